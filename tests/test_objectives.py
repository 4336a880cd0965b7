"""Laws of every listed estimator of the bound, and of estimators A and B (eq. 6 and 7) and their KL (appendix B)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats

from aevb import objectives
from aevb.objectives import sgvb_a, sgvb_b
from aevb.objectives.sgvb import kl
from aevb.priors import GaussianMixture, StandardNormal
from conftest import Table

LISTED = [getattr(objectives, name) for name in objectives.__all__]
KEYS = jax.random.split(jax.random.key(0), 400)


@eqx.filter_jit
def over(objective: Any, model: Any, rows: Any, keys: Any, **settings: Any) -> Any:
    """Values, shape (rows, keys)."""
    return jax.vmap(lambda x: jax.vmap(lambda key: objective(model, x, key, **settings))(keys))(rows)


@eqx.filter_jit
def slopes(objective: Any, model: Any, rows: Any, keys: Any) -> Any:
    def total(model: Any) -> Any:
        return jax.vmap(lambda x, key: objective(model, x, key))(rows, keys).sum()

    return eqx.filter_grad(total)(model)


def mean_and_error(values: Any) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, np.float64)
    return values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1])


@pytest.mark.parametrize("objective", LISTED)
def test_it_is_a_lower_bound_whatever_q_is(objective: Any, loose_table: Table, exact: Any) -> None:
    rows = loose_table.units[1:9]
    mean, error = mean_and_error(over(objective, loose_table.model, rows, jax.random.split(KEYS[0], 4_000)))
    gap = exact.log_likelihood(loose_table.values[1:9]) - mean
    assert (gap > -4 * error - 1e-4).all()
    assert gap.mean() > 0.02  # this q is far enough from the posterior to tell


@pytest.mark.parametrize("objective", LISTED)
def test_values_and_slopes_are_finite_for_any_kind_and_missing_cell(objective: Any, mixed_table: Table) -> None:
    rows = np.array(mixed_table.units[:8])
    rows[0] = np.nan
    assert np.isfinite(over(objective, mixed_table.model, rows, KEYS)).all()
    gradient = slopes(objective, mixed_table.model, rows, KEYS[:8])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("objective", LISTED)
def test_weights_and_samples_are_arguments(objective: Any, loose_table: Table) -> None:
    rows = loose_table.units[1:9]
    kl_weight = jnp.asarray(1.0)
    values = over(objective, loose_table.model, rows, KEYS, samples=2, kl_weight=kl_weight, free_bits=0.0)
    assert values.shape == (8, 400)
    assert np.array_equal(values, over(objective, loose_table.model, rows, KEYS, samples=2))
    one, two = (np.var(v, axis=1).mean() for v in (over(objective, loose_table.model, rows, KEYS), values))
    assert two < 0.8 * one


@pytest.mark.parametrize(
    "prior", [StandardNormal(2), GaussianMixture(2, 3, jax.random.key(1))], ids=["closed", "sampled"]
)
def test_a_and_b_agree_in_mean(prior: Any, mixed_table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    model, rows = eqx.tree_at(lambda m: m.prior, mixed_table.model, prior), mixed_table.units[:8]
    a, b = (over(objective, model, rows, KEYS) for objective in (sgvb_a, sgvb_b))
    (mean_a, error_a), (mean_b, error_b) = mean_and_error(a), mean_and_error(b)
    with capsys.disabled():
        print(f"\nvariance of A {np.var(a, axis=1).mean():.3f}, of B {np.var(b, axis=1).mean():.3f} nats^2", end=" ")
    assert (np.abs(mean_a - mean_b) < 4 * np.hypot(error_a, error_b) + 1e-4).all()


def test_with_the_exact_posterior_a_has_no_variance(linear_table: Table, exact: Any) -> None:
    complete = ~np.isnan(linear_table.values).any(1)
    values, rows = linear_table.values[complete][:8], linear_table.units[complete][:8]
    a = np.asarray(over(sgvb_a, linear_table.model, rows, KEYS), np.float64)
    np.testing.assert_allclose(a, np.repeat(exact.log_likelihood(values)[:, None], 400, 1), atol=2e-4)
    mean, error = mean_and_error(over(sgvb_b, linear_table.model, rows, KEYS))
    assert (np.abs(mean - exact.log_likelihood(values)) < 4 * error + 1e-4).all()


@pytest.mark.parametrize("objective", [sgvb_a, sgvb_b])
def test_an_empty_row_is_worth_nothing(objective: Any, loose_table: Table) -> None:
    empty = np.full((8, 5), np.nan, np.float32)
    np.testing.assert_allclose(over(objective, loose_table.model, empty, KEYS), 0.0, atol=1e-6)


def test_missing_cells_are_as_if_the_column_were_not_there(mixed_table: Table) -> None:
    """Whatever stands in them: their log p(x|z) is 0 and has no slope."""
    model, rows = mixed_table.model, mixed_table.units[:8]
    z = jax.random.normal(jax.random.key(0), (2,))
    cells = np.asarray(jax.jit(jax.vmap(model.likelihood(z).cells))(rows))
    assert (cells[np.isnan(rows)] == 0).all()
    assert (cells[~np.isnan(rows)] != 0).all()


@pytest.mark.parametrize("objective", [sgvb_a, sgvb_b])
def test_the_weight_multiplies_the_kl_alone(objective: Any, loose_table: Table) -> None:
    rows = loose_table.units[1:9]
    none, half, one, two = (
        np.asarray(over(objective, loose_table.model, rows, KEYS, kl_weight=jnp.asarray(w)), np.float64)
        for w in (0.0, 0.5, 1.0, 2.0)
    )
    np.testing.assert_allclose(half, (none + one) / 2, atol=1e-4)
    np.testing.assert_allclose(two, 2 * one - none, atol=1e-4)
    if objective is sgvb_b:
        mean, variance, log_determinant = jax.vmap(lambda x: _moments(loose_table.model.posterior(x)))(rows)
        appendix_b = -0.5 * (np.sum(1 - np.square(mean) - variance, axis=1) + log_determinant)
        np.testing.assert_allclose((none - one)[:, 0], appendix_b, rtol=1e-3, atol=1e-4)


def _moments(q: Any) -> tuple[Any, Any, Any]:
    """Mean, variances and the log-determinant of the covariance: a sum of logs where the latents are independent."""
    roots = jnp.diag(q.scale_tril) if hasattr(q, "scale_tril") else jnp.sqrt(q.variance)
    return q.mean, q.variance, 2 * jnp.sum(jnp.log(roots))


def test_free_bits_cost_as_much_as_is_free(loose_table: Table) -> None:
    """Far above every KL: a constant a latent in B, one in all in A; else never more than the bound."""
    rows, model = loose_table.units[1:9], loose_table.model
    zero = jnp.asarray(0.0)
    for objective, times in ((sgvb_a, 1), (sgvb_b, 2)):
        log_likelihood = over(objective, model, rows, KEYS, kl_weight=zero)
        free = over(objective, model, rows, KEYS, free_bits=50.0)
        np.testing.assert_allclose(log_likelihood - free, 50.0 * times, atol=1e-3)
    plain = over(sgvb_b, model, rows, KEYS)
    assert (np.asarray(over(sgvb_b, model, rows, KEYS, free_bits=0.5)) <= np.asarray(plain) + 1e-5).all()


NO_DRAWS = jnp.zeros((0, 2))


def test_kl_of_appendix_b_is_the_integral() -> None:
    mean, deviation = np.array([0.7, -2.0, 0.0]), np.array([0.3, 1.5, 1.0])
    q = dist.Normal(jnp.asarray(mean), jnp.asarray(deviation)).to_event(1)
    got = kl(q, StandardNormal(3)(), NO_DRAWS)
    for j in range(3):

        def integrand(z: float, j: int = j) -> float:
            q = stats.norm(mean[j], deviation[j])
            return float(q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)))

        exact, _ = integrate.quad(integrand, -15, 15, points=[mean[j]])
        np.testing.assert_allclose(got[j], exact, atol=1e-5)


def test_kl_of_a_full_covariance_is_the_closed_form_and_the_mean_of_samples() -> None:
    mean, factor = np.array([0.5, -1.0]), np.array([[0.8, 0.0], [0.6, 0.4]])
    q = dist.MultivariateNormal(jnp.asarray(mean), scale_tril=jnp.asarray(factor))
    covariance = factor @ factor.T
    exact = 0.5 * (np.trace(covariance) + mean @ mean - 2 - np.log(np.linalg.det(covariance)))
    got = kl(q, StandardNormal(2)(), NO_DRAWS)
    assert got.shape == (1,)
    np.testing.assert_allclose(got[0], exact, rtol=1e-5)
    z = mean + np.random.default_rng(0).normal(size=(20_000, 2)) @ factor.T
    gaps = np.asarray(jax.jit(lambda z: q.log_prob(z) - StandardNormal(2)().log_prob(z))(z), np.float64)
    assert abs(gaps.mean() - exact) < 4 * gaps.std() / np.sqrt(20_000)


def test_kl_to_a_mixture_is_sampled_without_bias() -> None:
    """A mixture of one component N(0, I) has the closed form's KL."""
    mixture = eqx.tree_at(lambda p: p.means, GaussianMixture(2, 1, KEYS[0]), jnp.zeros((1, 2)))()
    q = dist.Normal(jnp.array([0.7, -1.0]), jnp.array([0.5, 1.2])).to_event(1)
    exact = float(kl(q, StandardNormal(2)(), NO_DRAWS).sum())
    draws = np.asarray(jax.jit(jax.vmap(lambda key: kl(q, mixture, q.rsample(key, (4,)))[0]))(KEYS), np.float64)
    assert abs(draws.mean() - exact) < 4 * draws.std() / 20
