"""Every check of the study cards passes, and fails where a formula is wrong."""

from collections.abc import Callable

import jax
import pytest

from aevb_paper import bound, derivation, divergence, gradients
from aevb_paper.cards import CARDS
from aevb_paper.checks import Check
from aevb_paper.reparameterization import FAMILIES, Family

pytest.importorskip("sympy")

CHECKS = [check for card in CARDS for check in card.checks]
ALL_FAMILIES = [family for families in FAMILIES.values() for family in families]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_it_passes(check: Check) -> None:
    result = check.result()
    assert result.passed, result


def test_every_card_has_checks_pictures_and_questions() -> None:
    for card in CARDS:
        assert len(card.checks) >= 3
        assert card.pictures
        assert card.questions
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)


WRONG = [
    (bound, "kl_to_prior", lambda row: -1.0, bound.both_forms),
    (bound, "entropy", lambda row: 0.0, bound.energy_and_entropy),
    (bound, "log_joint", lambda row, z: z.sum(1), bound.joint_over_posterior),
    (bound, "reconstruction_form", lambda row: row.log_evidence, bound.never_above),
    (divergence, "kl_of_gaussians", lambda q, p: q.mean - p.mean, divergence.closed_form),
    (
        divergence,
        "forward_variances",
        lambda p: 2 * p.diagonal(),
        divergence.forward_fit_of_correlated,
    ),
    (derivation, "mean_loss", lambda parameters, x: x.mean(), derivation.optimum),
    (derivation, "arrows", lambda: [("z", "theta", "p")], derivation.arrows_are_gradients),
    (gradients, "gradient", lambda mean, scale: [mean, scale], gradients.path_mean),
    (gradients, "slopes_of_z", lambda eps, scale: [eps, eps], gradients.transform_of_gaussian),
]


@pytest.mark.parametrize(("module", "name", "wrong", "check"), WRONG)
def test_a_wrong_formula_is_noticed(
    module: object,
    name: str,
    wrong: Callable[..., object],
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, wrong)
    assert not check.result().passed


def test_a_wrong_line_of_the_derivation_is_noticed() -> None:
    wrong = derivation.Check(
        "wrong", lambda: derivation.difference_of_symbols(lambda t: t.log_prior, derivation.loss)
    )
    assert not wrong.result().passed


@pytest.mark.parametrize("family", ALL_FAMILIES, ids=lambda family: family.name)
def test_a_wrong_transform_is_noticed(family: Family) -> None:
    wrong = family._replace(transform=lambda q, eps: 1.3 * family.transform(q, eps) + 0.02)
    assert abs(gradients.count_draws(wrong, jax.random.key(0)).excess) > 4
