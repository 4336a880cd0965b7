"""Laws of full variational Bayes: eq. 22 and 24 agree, and find a known posterior of theta."""

from functools import partial
from itertools import product
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.flatten_util import ravel_pytree
from numpyro.distributions import Independent, Normal
from scipy import special

from aevb.disk.checkpoints import Checkpoint
from aevb.errors import ConfigError
from aevb.model import Model
from aevb.networks import trainable
from aevb.objectives import sgvb_a
from aevb.priors import StandardNormal
from aevb_paper.drawings.full_bayes import full_vb as draw
from aevb_paper.experiments import full_vb as experiment
from aevb_paper.experiments.algorithm import run
from aevb_paper.experiments.data import PaperData
from aevb_paper.experiments.full_bayes import (
    Uncertain,
    closed_form,
    full_bayes,
    generic,
    kl_from_prior,
)
from aevb_paper.experiments.full_vb import cost_of_theta, ends, full_vb, log_predictive
from aevb_paper.experiments.networks import paper_model

pytestmark = pytest.mark.long  # they train models

PIXELS, ROWS, DRAWS = 6, 20, 4_000


def black_and_white(rows: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((rows, PIXELS)) < 0.3).astype(np.float32)


@pytest.fixture(scope="module")
def uncertain() -> Uncertain:
    """A small network, its theta spread as widely as a prior that has begun to be learned from."""
    return Uncertain(paper_model(PIXELS, 2, 3, "bernoulli", jax.random.key(0)), scale=0.4)


# The conjugate model: x ~ N(theta, NOISE^2) whatever z is, theta ~ N(0, 1), so that theta | X is
# Gaussian.
NOISE, X = 0.8, np.random.default_rng(3).normal(1.2, 0.8, (8, 1)).astype(np.float32)
VARIANCE = 1 / (1 + len(X) / NOISE**2)
MEAN = VARIANCE * float(X.sum()) / NOISE**2
LOG_EVIDENCE = float(
    dist.MultivariateNormal(jnp.zeros(len(X)), NOISE**2 * jnp.eye(len(X)) + 1.0).log_prob(
        jnp.asarray(X[:, 0])
    )
)


class Ignored(eqx.Module):
    """q(z|x) = N(mean, scale^2) of every row: p(z), unless it is to be wrong."""

    mean: float = eqx.field(static=True, default=0.0)
    scale: float = eqx.field(static=True, default=1.0)

    def __call__(self, x: jax.Array) -> dist.Distribution:
        return dist.Normal(jnp.full(1, self.mean), self.scale).to_event(1)


class Mean(eqx.Module):
    """p(x|z) = N(theta, NOISE^2)."""

    theta: jax.Array

    def __call__(self, z: jax.Array) -> dist.Distribution:
        return dist.Normal(self.theta, NOISE).to_event(1)


def conjugate(mean: float = 0.0, scale: float = 0.01) -> Uncertain:
    return Uncertain(
        Model(Ignored(), Mean(jnp.array([mean], jnp.float32)), StandardNormal(1)), scale
    )


def values_and_slopes(estimator, model: Uncertain, x: np.ndarray, count: int):
    """Values (DRAWS,) and gradients (DRAWS, P) in mu, log sigma and phi, of many draws."""
    learned, rest = eqx.partition(model, trainable(model))

    def bound(learned, key):
        return estimator(eqx.combine(learned, rest), jnp.asarray(x), key, count)

    values, slopes = jax.jit(jax.vmap(partial(jax.value_and_grad(bound), learned)))(
        jax.random.split(jax.random.key(1), DRAWS)
    )
    return np.asarray(values), np.asarray(jax.vmap(lambda tree: ravel_pytree(tree)[0])(slopes))


def test_both_estimators_have_one_mean_and_one_mean_slope_and_the_closed_form_scatters_less(
    uncertain: Uncertain,
) -> None:
    x = black_and_white(ROWS)
    value, slope = values_and_slopes(generic, uncertain, x, ROWS)
    value_24, slope_24 = values_and_slopes(closed_form, uncertain, x, ROWS)
    # The draws are the same, so that it is their differences whose mean is to be 0.
    for a, b in ((value[:, None], value_24[:, None]), (slope, slope_24)):
        error = (a - b).std(0) / np.sqrt(DRAWS)
        assert np.all(np.abs((a - b).mean(0)) < 4.5 * error + 1e-5)
    assert value_24.var() < value.var()
    assert slope_24.var(0).sum() < slope.var(0).sum()


def test_the_bound_is_of_all_rows_and_its_prior_counts_once(uncertain: Uncertain) -> None:
    """The value is that of rows less KL / N: of N rows in all the KL counts once, whatever N is."""
    x, key = jnp.asarray(black_and_white(ROWS)), jax.random.key(2)
    kl = float(kl_from_prior(uncertain.mean, uncertain.log_scale))
    bound = eqx.filter_jit(closed_form)
    few, many = (float(bound(uncertain, x, key, jnp.asarray(count))) for count in (10, 1_000))
    assert few + kl / 10 == pytest.approx(many + kl / 1_000, abs=1e-4)


def test_the_kl_is_numpyro_s_and_that_of_a_quadrature(uncertain: Uncertain) -> None:
    q, p = uncertain.q(), uncertain.p()
    assert isinstance(q, Independent)
    assert isinstance(p, Independent)
    expected = float(dist.kl_divergence(q.base_dist, p.base_dist).sum())
    assert float(kl_from_prior(uncertain.mean, uncertain.log_scale)) == pytest.approx(
        expected, rel=1e-5
    )
    eps, weights = np.polynomial.hermite_e.hermegauss(20)
    theta = 0.7 + 0.3 * eps
    gap = Normal(0.7, 0.3).log_prob(theta) - Normal(0.0, 1.0).log_prob(theta)
    by_quadrature = float(weights / np.sqrt(2 * np.pi) @ np.asarray(gap))
    assert float(kl_from_prior(jnp.array([0.7]), jnp.log(jnp.array([0.3])))) == pytest.approx(
        by_quadrature, rel=1e-5
    )


def test_with_no_spread_it_is_map_s_objective_up_to_a_constant() -> None:
    """sigma -> 0: eq. 22 is the mean of eq. 6 at mu plus log N(mu; 0, I) / N, up to log q."""
    x, key = jnp.asarray(black_and_white(ROWS)), jax.random.key(4)
    constants = []
    for seed in range(3):
        model = paper_model(PIXELS, 2, 3, "bernoulli", jax.random.key(seed))
        model = jax.tree.map(lambda leaf: 30 * leaf if eqx.is_inexact_array(leaf) else leaf, model)
        certain = Uncertain(model, scale=1e-4)
        keys = jax.random.split(jax.random.split(key)[1], ROWS)
        rows = jax.vmap(partial(sgvb_a, model))(x, keys).mean()
        # Theta is the decoder's numbers, biases too, and no more.
        assert certain.mean.size == 3 * 2 + 3 + PIXELS * 3 + PIXELS
        at_point = rows + certain.p().log_prob(certain.mean) / ROWS
        value = eqx.filter_jit(generic)(certain, x, key, ROWS)
        constants.append(float(value - at_point))
    assert np.ptp(constants) < 2e-3


def test_at_the_exact_posterior_eq_22_is_the_log_evidence_draw_by_draw() -> None:
    exact = conjugate(MEAN, VARIANCE**0.5)
    values, _ = values_and_slopes(generic, exact, X, len(X))
    np.testing.assert_allclose(len(X) * values, LOG_EVIDENCE, atol=1e-3)
    noisy, _ = values_and_slopes(closed_form, exact, X, len(X))
    assert abs(len(X) * noisy.mean() - LOG_EVIDENCE) < 4 * len(X) * noisy.std() / np.sqrt(DRAWS)


@pytest.mark.parametrize(
    ("mean", "scale"), [(MEAN + 0.2, VARIANCE**0.5), (MEAN, 2 * VARIANCE**0.5), (0.0, 1.0)]
)
def test_anywhere_else_the_bound_is_lower_by_the_kl_to_the_posterior(
    mean: float, scale: float
) -> None:
    values, _ = values_and_slopes(closed_form, conjugate(mean, scale), X, len(X))
    gap = float(dist.kl_divergence(dist.Normal(mean, scale), dist.Normal(MEAN, VARIANCE**0.5)))
    error = len(X) * values.std() / np.sqrt(DRAWS)
    assert abs(LOG_EVIDENCE - gap - len(X) * values.mean()) < 4 * error


@pytest.mark.parametrize(("estimator", "draws"), [(closed_form, 1), (generic, 20)])
def test_ascent_comes_to_the_exact_posterior_of_theta(estimator, draws: int) -> None:
    model = conjugate()
    start = eqx.combine(model.unravel(model.mean), model.rest.likelihood)
    data = PaperData(X, X, None, "gaussian", 1)
    whole = Model(Ignored(), start, StandardNormal(1))
    fit = full_bayes(whole, data, estimator=estimator, draws=draws)
    found, points = run(fit, lambda: 0.1, jax.random.key(5), 300_000, lambda found: {})
    assert float(found.mean[0]) == pytest.approx(MEAN, abs=0.2 * VARIANCE**0.5)
    assert float(found.log_scale[0]) == pytest.approx(0.5 * np.log(VARIANCE), abs=0.1)
    assert len(X) * points[-1]["bound"] == pytest.approx(LOG_EVIDENCE, abs=0.3)


def test_a_fit_that_is_resumed_is_the_fit_that_went_on(tmp_path: Path) -> None:
    data = PaperData(black_and_white(ROWS), black_and_white(5), None, "bernoulli", 3)
    fit = full_bayes(data.model(2, jax.random.key(0)), data)

    def run_to(samples: int, checkpoint: Checkpoint | None = None) -> Uncertain:
        how = {"chunk": 1_000, "checkpoint": checkpoint}
        return run(fit, lambda: 0.1, jax.random.key(1), samples, lambda found: {}, **how)[0]

    run_to(1_000, Checkpoint(tmp_path))
    again, straight = run_to(3_000, Checkpoint(tmp_path)), run_to(3_000)
    np.testing.assert_array_equal(again.mean, straight.mean)
    np.testing.assert_array_equal(again.log_scale, straight.log_scale)


class Odds(eqx.Module):
    """p(x|z) = Bernoulli with the log-odds theta + z."""

    theta: jax.Array

    def __call__(self, z: jax.Array) -> dist.Distribution:
        return dist.Bernoulli(logits=self.theta + z).to_event(1)


def test_draws_of_theta_share_a_minibatch_evenly_or_not_at_all() -> None:
    data = PaperData(black_and_white(ROWS), black_and_white(5), None, "bernoulli", 3)
    with pytest.raises(ConfigError, match="draws must divide 100"):
        full_bayes(data.model(2, jax.random.key(0)), data, draws=7)


@pytest.mark.parametrize("q", [Ignored(), Ignored(3.0, 0.1)])
def test_the_predictive_likelihood_averages_over_z_and_theta_before_the_logarithm(
    q: Ignored,
) -> None:
    """Rows of one pixel: p(x=1) = E[sigmoid(theta + z)] over both Gaussians, by quadrature."""
    found = Uncertain(Model(q, Odds(jnp.array([1.5])), StandardNormal(1)), scale=2.0)
    eps, weights = np.polynomial.hermite_e.hermegauss(60)
    units = np.array([[0], [1]], np.float32)
    for model, spread in ((found, 5**0.5), (found.at(found.mean), 1.0)):
        one = float(weights / np.sqrt(2 * np.pi) @ special.expit(1.5 + spread * eps))
        values = log_predictive(model, units, jax.random.key(0), thetas=2_000, samples=50)
        np.testing.assert_allclose(values, np.log([1 - one, one]), atol=0.08)


def test_the_experiment_has_both_fits_and_knows_what_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gray = np.random.default_rng(0).random((60, PIXELS)).astype(np.float32)
    # Nothing is to be drawn afresh.
    data = PaperData(gray, black_and_white(12), lambda x, key: x / 0, "bernoulli", 3)
    monkeypatch.setattr(experiment, "paper_data", {"mnist": data}.__getitem__)
    few = partial(log_predictive, thetas=3, samples=64)
    monkeypatch.setattr(experiment, "log_predictive", few)
    line = {"sizes": (8,), "latents": 2, "hidden": 3, "seeds": (0,), "rows": 10}
    how = {**line, "chunk": 1_000, "search": 1_000}
    points = full_vb(tmp_path, 2_000, **how)
    ends = [point["algorithm"] for point in points if point["samples"] == 2_000]
    assert ends == ["map", "full-vb"]
    settings = {"dataset": "mnist", "n_train": 8, "latents": 2, "hidden": 3}
    for point in points:
        assert settings.items() <= point.items()
        assert point["rate"] in (0.01, 0.02, 0.1)
        for part in ("train", "validation", "test", "test_at_mean"):
            assert -2 * PIXELS < point[part] < 0 < point[f"{part}_error"]
        assert (point["test"] == point["test_at_mean"]) == (point["algorithm"] == "map")
    assert ["kl" in point for point in points] == [False] * (len(points) - 1) + [True]
    assert points[-1]["kl"] > 0
    assert points[-1]["units"] in range(4)
    notes: list[str] = []
    assert full_vb(tmp_path, 2_000, **how, note=notes.append) == points
    assert not notes


def test_the_cost_is_the_divergence_per_row_and_units_at_their_prior_are_not_used(
    uncertain: Uncertain,
) -> None:
    """N(0, 1) costs nothing; one weight to a pixel known to a hundredth uses its unit."""
    at_prior = eqx.tree_at(
        lambda u: (u.mean, u.log_scale), uncertain, (0 * uncertain.mean, 0 * uncertain.log_scale)
    )
    assert cost_of_theta(at_prior, 7) == {"kl": 0.0, "units": 0}
    decoder = at_prior.unravel(at_prior.log_scale)
    known = eqx.tree_at(
        lambda d: d.network.layers[-1].weight,
        decoder,
        replace_fn=lambda w: w.at[2, 1].set(np.log(0.01)),
    )
    found = eqx.tree_at(lambda u: u.log_scale, at_prior, ravel_pytree(known)[0])
    assert cost_of_theta(found, 7) == {
        "kl": pytest.approx((np.log(100) - (1 - 1e-4) / 2) / 7, rel=1e-5),
        "units": 1,
    }
    inward = eqx.tree_at(
        lambda d: d.network.layers[0].weight, decoder, replace_fn=lambda w: w - 5.0
    )
    found = eqx.tree_at(lambda u: u.log_scale, at_prior, ravel_pytree(inward)[0])
    assert cost_of_theta(found, 7)["units"] == 0


def test_ends_are_last_points_and_of_map_where_validation_rows_like_it_best_too() -> None:
    points = []
    for name in ("map", "full-vb"):
        for seed, validations in enumerate([(-9.0, -7.0, -8.0), (-9.0, -8.0, -7.0)]):
            fit = {"n_train": 8, "algorithm": name, "seed": seed}
            for samples, validation in zip((10, 20, 30), validations, strict=True):
                points.append({**fit, "samples": samples, "validation": validation})
    found = [(point["algorithm"], point["seed"], point["samples"]) for point in ends(points)]
    assert found == [
        ("map", 0, 20),
        ("map", 0, 30),
        ("map", 1, 30),
        ("full-vb", 0, 30),
        ("full-vb", 1, 30),
    ]


def test_the_figure_has_a_panel_for_each_size_and_a_dot_for_each_seed() -> None:
    points = []
    for size, name, seed, samples in product((8, 40), ("map", "full-vb"), (0, 1), (10, 100)):
        fit = {"n_train": size, "algorithm": name, "seed": seed, "samples": samples}
        nats = {"train": -120.0, "validation": -samples, "test": -150.0 + seed}
        others = {"test_at_mean": -140.0, "test_error": 1.0, "test_at_mean_error": 1.0}
        points.append(fit | nats | others)
    figure = draw(points)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "held-out rows, by N",
        "N = 8",
        "N = 40",
    ]
    assert [len(bars.lines[0].get_xdata()) for bars in figure.axes[0].containers] == [4, 4, 4, 4]
    against, *ways = figure.axes
    assert {axes.get_ylim() for axes in ways} != {against.get_ylim()}
    assert len({axes.get_ylim() for axes in ways}) == 1
    figure.canvas.draw()
