"""Laws of the scores: right against exact log p(x), an error that is the error, and the same bits
in any company.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb.build import initial_model
from aevb.errors import ConfigError
from aevb.marginal import elbo, importance, pareto_k
from aevb.objectives import sgvb_a, sgvb_b
from aevb.start import Architecture
from conftest import Table

S = 200


def scores(table: Table, **settings: int) -> np.ndarray:
    return importance(table.model, table.units, **{"samples": S, **settings}).log_likelihood


def test_with_the_exact_posterior_there_is_no_error(linear_table: Table, exact: object) -> None:
    complete = ~np.isnan(linear_table.values).any(1)
    result = importance(linear_table.model, linear_table.units, samples=S)
    truth = exact.log_likelihood(linear_table.values)  # type: ignore[attr-defined]
    np.testing.assert_allclose(result.log_likelihood[complete], truth[complete], atol=3e-4)
    assert (result.monte_carlo_error[complete] < 3e-4).all()
    np.testing.assert_allclose(result.effective_sample_size[complete], S, rtol=1e-3)
    assert result.log_likelihood[0] == result.monte_carlo_error[0] == 0  # the empty row
    error = result.monte_carlo_error
    assert (np.abs(result.log_likelihood - truth) < 5 * error + 3e-4).all()


def test_with_a_wrong_q_it_is_exact_within_its_error(loose_table: Table, exact: object) -> None:
    """Row by row within 5, in the mean within 4 standard errors + 1e-4 (less the bias, of half the
    variance).
    """
    result = importance(loose_table.model, loose_table.units, samples=S)
    truth = exact.log_likelihood(loose_table.values)  # type: ignore[attr-defined]
    bias = 0.5 * result.monte_carlo_error**2
    gap = result.log_likelihood - truth
    good = result.effective_sample_size > 30
    assert good.mean() > 0.7
    assert (np.abs(gap + bias)[good] < 5 * result.monte_carlo_error[good] + 2e-3).all()
    mean_error = np.sqrt(np.sum(result.monte_carlo_error**2)) / len(gap)
    assert abs(np.mean(gap + bias)) < 4 * mean_error + 1e-4


def test_it_tightens_with_more_samples(loose_table: Table, exact: object) -> None:
    means = [scores(loose_table, samples=n).mean() for n in (1, 10, S)]
    truth = exact.log_likelihood(loose_table.values).mean()  # type: ignore[attr-defined]
    assert means[0] < means[1] < means[2] < truth + 0.01
    assert (
        abs(elbo(loose_table.model, sgvb_a, loose_table.units, samples=16).mean() - means[0]) < 0.2
    )


def test_the_reported_error_is_the_spread_over_seeds(loose_table: Table) -> None:
    seeds = [
        importance(loose_table.model, loose_table.units, samples=S, seed=seed) for seed in range(20)
    ]
    spread = np.std([result.log_likelihood for result in seeds], axis=0, ddof=1)
    reported = np.sqrt(np.mean([result.monte_carlo_error**2 for result in seeds], axis=0))
    good = np.median([result.effective_sample_size for result in seeds], axis=0) > 30
    assert 0.85 < np.sqrt(np.mean(spread[good] ** 2) / np.mean(reported[good] ** 2)) < 1.15
    # And of the mean over rows, whose draws are independent: neither shared nor the same for equal
    # values elsewhere.
    of_mean = np.std([result.log_likelihood[good].mean() for result in seeds], ddof=1)
    expected = np.sqrt(np.sum(reported[good] ** 2)) / good.sum()
    assert 0.5 < of_mean / expected < 1.6


@pytest.mark.parametrize("name", ["loose_table", "mixed_table"])
def test_a_row_has_the_same_bits_in_any_company(name: str, request: pytest.FixtureRequest) -> None:
    """Shuffled, alone, in part, across blocks, repeated; with missing cells too."""
    table: Table = request.getfixturevalue(name)
    model, units = table.model, table.units
    rng = np.random.default_rng(0)

    def numbers(rows: np.ndarray) -> np.ndarray:
        return np.stack(importance(model, rows, samples=S), axis=1)

    whole = numbers(units)
    order = rng.permutation(len(units))
    assert np.array_equal(numbers(units[order]), whole[order])
    assert np.array_equal(numbers(np.concatenate([units[5:140], units[:9]]))[:135], whole[5:140])
    for i in (0, 1, 4, 130):
        assert np.array_equal(numbers(units[i : i + 1])[0], whole[i])
    assert np.array_equal(numbers(np.repeat(units[7:8], 3, 0)), np.repeat(whole[7:8], 3, 0))
    negative_zero = np.where(units == 0, np.float32(-0.0), units)
    assert np.array_equal(numbers(negative_zero), whole)


def test_one_sample_cannot_tell_its_error(loose_table: Table) -> None:
    found = importance(loose_table.model, loose_table.units, samples=1)
    assert np.isfinite(found.log_likelihood).all()
    assert found.monte_carlo_error[0] == 0.0  # the empty row's number is exact
    assert np.isnan(found.monte_carlo_error[1:]).all()
    assert (found.effective_sample_size == 1.0).all()


@pytest.mark.parametrize("samples", [0, -3, 2.0, True, None])
def test_fewer_samples_than_one_are_refused(samples: Any, loose_table: Table) -> None:
    for scored in (importance, partial(elbo, objective=sgvb_a)):
        with pytest.raises(
            ConfigError, match=f"samples must be a whole number of at least 1; got {samples}"
        ):
            scored(loose_table.model, rows=loose_table.units[:2], samples=samples)


def test_more_samples_than_a_chunk(linear_table: Table, exact: object) -> None:
    rows, values = linear_table.units[1:4], linear_table.values[1:4]
    result = importance(linear_table.model, rows, samples=2_500)
    np.testing.assert_allclose(result.log_likelihood, exact.log_likelihood(values), atol=3e-4)  # type: ignore[attr-defined]
    np.testing.assert_allclose(result.effective_sample_size, 2_502, rtol=1e-3)


def test_elbo_is_below_and_its_objective_can_be_said(loose_table: Table, exact: object) -> None:
    truth = exact.log_likelihood(loose_table.values)  # type: ignore[attr-defined]
    for objective in (sgvb_a, sgvb_b):
        values = elbo(loose_table.model, objective, loose_table.units, samples=16)
        assert values.dtype == np.float64
        assert values.mean() < truth.mean()
        assert values[0] == pytest.approx(0, abs=1e-6)


def test_pareto_k_tells_a_q_that_is_too_narrow(linear_table: Table, loose_table: Table) -> None:
    """At the posterior all weights are equal; of a q a fifth as wide they have no variance."""
    model = linear_table.model
    shrink = jnp.array([0.0, 0.0, 2 * np.log(0.2), 2 * np.log(0.2)])
    narrow = eqx.tree_at(lambda m: m.posterior.encoder.network.layers[-1].bias, model, shrink)
    rows = linear_table.units[1:4]
    heavy, limit = pareto_k(narrow, rows, samples=500)
    assert 0.6 < limit < 0.7
    assert (heavy > limit).all()
    assert (pareto_k(loose_table.model, rows, samples=500)[0] < limit).all()


def test_pareto_k_of_levels_is_no_error(linear_table: Table) -> None:
    """Four z there are make four different weights: their tail has no slope."""
    shape = Architecture(2, hidden=(4,), missing=True, posterior="bernoulli")
    model = initial_model(linear_table.schema, linear_table.units, shape, jax.random.key(0))
    k, _ = pareto_k(model, linear_table.units[:20], samples=250)
    assert (k < 0).all()
