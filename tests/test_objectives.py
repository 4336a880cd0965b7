"""Laws of every listed estimator of the bound, and of estimators A and B (eq. 6 and 7) and their KL
(appendix B); those that users' own must keep too, a lower bound first, are in test_testing.py.
"""

from functools import partial
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from aevb.build import initial_model
from aevb.objectives import (
    OBJECTIVES,
    dreg,
    dreg_resampled,
    iwae,
    iwae_resampled,
    kl,
    renyi,
    score,
    sgvb_a,
    sgvb_b,
    stl,
    vimco,
)
from aevb.priors import GaussianMixture, StandardNormal
from aevb.start import Architecture
from conftest import Table

#: Bounds that rise with the number of draws; the others' mean is the bound of section 2.2 whatever
#: it is.
TIGHTENING = (iwae, iwae_resampled, dreg, dreg_resampled, vimco, renyi)
LISTED = [OBJECTIVES[name].function for name in OBJECTIVES]
#: One of each way to take a slope is fast; the others are long.
FEW = [
    objective
    if objective in (sgvb_b, iwae, vimco)
    else pytest.param(objective, marks=pytest.mark.long)
    for objective in LISTED
]
KEYS = jax.random.split(jax.random.key(0), 400)
SAME = dist.Normal(jnp.full(2, 3.0), 0.1).to_event(1)
MANY = jax.random.split(jax.random.key(1), 1_000)


@eqx.filter_jit
def over(objective: Any, model: Any, rows: Any, keys: Any, **settings: Any) -> Any:
    """Values, shape (rows, keys)."""
    return jax.vmap(lambda x: jax.vmap(lambda key: objective(model, x, key, **settings))(keys))(
        rows
    )


@eqx.filter_jit
def slopes(objective: Any, model: Any, rows: Any, keys: Any) -> Any:
    def total(model: Any) -> Any:
        return jax.vmap(lambda x, key: objective(model, x, key))(rows, keys).sum()

    return eqx.filter_grad(total)(model)


def mean_and_error(values: Any) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, np.float64)
    return values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1])


@pytest.mark.parametrize("objective", FEW)
def test_values_and_slopes_are_finite_for_any_kind_and_missing_cell(
    objective: Any, mixed_table: Table
) -> None:
    rows = np.array(mixed_table.units[:8])
    rows[0] = np.nan
    assert np.isfinite(over(objective, mixed_table.model, rows, KEYS)).all()
    gradient = slopes(objective, mixed_table.model, rows, KEYS[:8])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("objective", FEW)
def test_weights_and_samples_are_arguments(objective: Any, loose_table: Table) -> None:
    rows = loose_table.units[1:9]
    kl_weight = jnp.asarray(1.0)
    values = over(objective, loose_table.model, rows, KEYS, samples=2, kl_weight=kl_weight)
    assert values.shape == (8, 400)
    assert np.array_equal(values, over(objective, loose_table.model, rows, KEYS, samples=2))
    one, two = (
        np.var(v, axis=1).mean() for v in (over(objective, loose_table.model, rows, KEYS), values)
    )
    assert two < 0.8 * one


@pytest.mark.long
@pytest.mark.parametrize("objective", LISTED)
def test_it_rises_with_the_draws_or_does_not_change(
    objective: Any, loose_table: Table, exact: Any
) -> None:
    rows = loose_table.units[1:9]
    truth = exact.log_likelihood(loose_table.values[1:9])
    means, errors = zip(
        *(
            mean_and_error(over(objective, loose_table.model, rows, MANY, samples=k))
            for k in (1, 5, 25)
        ),
        strict=True,
    )
    for (low, high), (e, f) in zip(pairwise(means), pairwise(errors), strict=True):
        error = 4 * np.hypot(e, f) + 1e-4
        assert (high > low - error).all()
        if objective not in TIGHTENING:
            assert (high < low + error).all()
    assert (means[-1] < truth + 4 * errors[-1] + 1e-4).all()
    if objective in TIGHTENING:
        share = (
            0.3 if objective is not renyi else 0.8
        )  # Renyi's bound stays below log p(x) by its divergence
        assert (truth - means[-1]).mean() < share * (truth - means[0]).mean()


@pytest.mark.parametrize(
    ("objective", "same"),
    [
        *((stl, sgvb_a), (score, sgvb_a)),
        *((other, iwae) for other in (iwae_resampled, dreg, dreg_resampled, vimco)),
    ],
)
def test_what_is_reported_is_the_bound(objective: Any, same: Any, loose_table: Table) -> None:
    """However its slope is taken: the value is that of the estimator whose slope is its own."""
    rows = loose_table.units[:8]
    reported, bound = (
        over(o, loose_table.model, rows, KEYS[:20], samples=3) for o in (objective, same)
    )
    np.testing.assert_allclose(reported, bound, rtol=1e-4, atol=1e-3)


# Slopes, along a few directions of the encoder's weights and the decoder's biases.


def trained(model: Any) -> tuple[Any, Any]:
    return model.posterior, model.likelihood.network.layers[-1].bias


def along(directions: Any, slope: Any) -> Any:
    return directions @ jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(slope)])


def directions_of(model: Any) -> Any:
    parameters = eqx.filter(trained(model), eqx.is_inexact_array)
    size = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    return jax.random.normal(jax.random.key(5), (8, size)) / size**0.5


def slope_of(function: Any, model: Any) -> Any:
    """Of a function of a model, in what is trained of it."""
    parameters, rest = eqx.partition(trained(model), eqx.is_inexact_array)
    return jax.grad(lambda p: function(eqx.tree_at(trained, model, eqx.combine(p, rest))))(
        parameters
    )


@eqx.filter_jit
def drawn_slopes(objective: Any, model: Any, rows: Any, keys: Any, samples: int) -> Any:
    """Shape (keys, directions), of the sum over rows."""
    directions = directions_of(model)

    def one(key: Any) -> Any:
        def total(model: Any) -> Any:
            return jax.vmap(lambda x, k: objective(model, x, k, samples=samples))(
                rows, jax.random.split(key, 4)
            ).sum()

        return along(directions, slope_of(total, model))

    return jax.vmap(one)(keys)


def closed_bound(model: Any, x: Any) -> Any:
    """The bound of a linear-Gaussian model without sampling: E_q log p(x|z) is that at E_q z less a
    trace.
    """
    q = model.posterior(x)
    at_mean = model.likelihood(q.mean)
    loadings = model.likelihood.linear.reshape(5, 2, 2)[:, 0]
    spread = jnp.sum((loadings @ q.covariance_matrix) * loadings, axis=1)
    trace = jnp.sum(jnp.where(jnp.isnan(x), 0.0, spread / at_mean.distributions[0].variance))
    return at_mean.log_prob(x) - trace / 2 - kl(q, model.p_z()).sum()


@pytest.mark.long
@pytest.mark.parametrize(("objective", "samples"), [(o, k) for o in LISTED for k in (1, 5)])
def test_its_slope_is_without_bias(objective: Any, samples: int, loose_table: Table) -> None:
    """At one draw every one of them has the closed form's; at more, those that tighten have the
    importance weights'.
    """
    if objective is renyi and samples > 1:
        pytest.skip("a bound of its own: its slope is its own by construction")
    model, rows = loose_table.model, jnp.asarray(loose_table.units[1:5])
    slopes = np.asarray(drawn_slopes(objective, model, rows, MANY, samples), np.float64)
    mean, error = slopes.mean(0), slopes.std(0) / np.sqrt(len(slopes))
    if samples > 1 and objective in TIGHTENING:
        plain = np.asarray(
            drawn_slopes(iwae, model, rows, jax.random.split(KEYS[1], 4_000), samples), np.float64
        )
        expected, error = plain.mean(0), np.hypot(error, plain.std(0) / np.sqrt(len(plain)))
    else:
        whole = eqx.filter_jit(
            lambda m: slope_of(lambda m: jax.vmap(lambda x: closed_bound(m, x))(rows).sum(), m)
        )
        expected = np.asarray(along(directions_of(model), whole(model)), np.float64)
    assert (np.abs(mean - expected) < 4 * error + 1e-4).all()
    without_baseline = samples == 1 and objective in (score, vimco)
    assert (
        np.abs(expected).max() > 4 * error.min() or without_baseline
    )  # there is something to agree on


@pytest.mark.long
@pytest.mark.parametrize("objective", [dreg, dreg_resampled])
def test_dreg_is_without_bias_while_the_kl_warms_up(objective: Any, loose_table: Table) -> None:
    """At a weight of the KL between 0 and 1 too: its slope is that of the importance weights'."""
    model, rows = loose_table.model, jnp.asarray(loose_table.units[1:5])
    half = [partial(o, kl_weight=0.5) for o in (objective, iwae)]
    keys = MANY, jax.random.split(KEYS[1], 4_000)
    slopes = [
        np.asarray(drawn_slopes(o, model, rows, k, 5), np.float64)
        for o, k in zip(half, keys, strict=True)
    ]
    (mean, expected), errors = (
        [s.mean(0) for s in slopes],
        [s.std(0) / np.sqrt(len(s)) for s in slopes],
    )
    assert (np.abs(mean - expected) < 4 * np.hypot(*errors) + 1e-4).all()
    assert np.abs(expected).max() > 4 * errors[0].min()


def test_at_the_posterior_the_path_alone_has_no_variance(linear_table: Table) -> None:
    """And is exactly 0 for the encoder; estimator A's slope is not, and DReG's is as well."""
    rows = jnp.asarray(linear_table.units[1:4])

    @eqx.filter_jit
    def largest(objective: Any) -> Any:
        def one(key: Any) -> Any:
            def total(posterior: Any) -> Any:
                model = eqx.tree_at(lambda m: m.posterior, linear_table.model, posterior)
                return jax.vmap(lambda x: objective(model, x, key, samples=2))(rows).sum()

            slope = eqx.filter_grad(total)(linear_table.model.posterior).encoder.network
            return jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(slope)]).max()

        return jax.vmap(one)(KEYS[:50]).max()

    assert largest(stl) < 1e-4
    assert largest(dreg) < 1e-4
    assert largest(dreg_resampled) < 1e-4
    assert largest(sgvb_a) > 0.1


@pytest.mark.long
@pytest.mark.parametrize(("objective", "samples"), [(score, 1), (score, 4), (vimco, 4)])
@pytest.mark.parametrize("posterior", ["bernoulli", "categorical"])
def test_levels_have_slopes_without_bias(
    objective: Any, samples: int, posterior: Any, linear_table: Table
) -> None:
    """Against the sum over all z there are."""
    latents = 2 if posterior == "bernoulli" else 10
    shape = Architecture(latents, hidden=(4,), missing=True, posterior=posterior)
    model = initial_model(linear_table.schema, linear_table.units, shape, jax.random.key(0))
    rows = jnp.asarray(linear_table.units[1:5])
    levels = (
        jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]) if latents == 2 else jnp.eye(10)
    )
    trained = lambda m: m.posterior.encoder.network.layers[-1].bias  # noqa: E731

    def exact(bias: Any) -> Any:
        m = eqx.tree_at(trained, model, bias)

        def one(x: Any) -> Any:
            q, p = m.posterior(x), m.p_z()
            log_w = (
                jax.vmap(lambda z: m.likelihood(z).log_prob(x))(levels)
                + p.log_prob(levels)
                - q.log_prob(levels)
            )
            return jnp.sum(jnp.exp(q.log_prob(levels)) * log_w)

        return jax.vmap(one)(rows).sum()

    def drawn(bias: Any, key: Any, objective: Any = objective) -> Any:
        m = eqx.tree_at(trained, model, bias)
        return jax.vmap(lambda x, k: objective(m, x, k, samples=samples))(
            rows, jax.random.split(key, 4)
        ).sum()

    at = trained(model)
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(drawn), (None, 0)))(at, MANY), np.float64)
    mean, error = slopes.mean(0), slopes.std(0) / np.sqrt(len(slopes))
    if objective is score:
        expected, other = np.asarray(jax.jit(jax.grad(exact))(at), np.float64), 0.0
    else:  # without a baseline VIMCO is the score function of its own bound

        def naive(bias: Any, key: Any) -> Any:
            m = eqx.tree_at(trained, model, bias)

            def one(x: Any, key: Any) -> Any:
                z = jax.lax.stop_gradient(m.posterior(x).sample(key, (samples,)))
                log_q = m.posterior(x).log_prob(z)
                log_w = (
                    jax.vmap(lambda z: m.likelihood(z).log_prob(x))(z) + m.p_z().log_prob(z) - log_q
                )
                bound = jax.nn.logsumexp(log_w) - jnp.log(samples)
                return bound + jax.lax.stop_gradient(bound) * log_q.sum()

            return jax.vmap(one)(rows, jax.random.split(key, 4)).sum()

        plain = np.asarray(
            jax.jit(jax.vmap(jax.grad(naive), (None, 0)))(at, jax.random.split(KEYS[2], 8_000)),
            float,
        )
        expected, other = plain.mean(0), plain.std(0) / np.sqrt(len(plain))
        assert slopes.var(0).sum() < 0.5 * plain.var(0).sum()  # and the baseline is worth having
    assert (np.abs(mean - expected) < 4 * np.hypot(error, other) + 1e-4).all()


@pytest.mark.parametrize(
    "prior",
    [StandardNormal(2), GaussianMixture(2, 3, key=jax.random.key(1))],
    ids=["closed", "sampled"],
)
def test_a_and_b_agree_in_mean(
    prior: Any, mixed_table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    model, rows = eqx.tree_at(lambda m: m.prior, mixed_table.model, prior), mixed_table.units[:8]
    a, b = (over(objective, model, rows, KEYS) for objective in (sgvb_a, sgvb_b))
    (mean_a, error_a), (mean_b, error_b) = mean_and_error(a), mean_and_error(b)
    with capsys.disabled():
        of_a, of_b = (np.var(values, axis=1).mean() for values in (a, b))
        print(f"\nvariance of A {of_a:.3f}, of B {of_b:.3f} nats^2", end=" ")
    assert (np.abs(mean_a - mean_b) < 4 * np.hypot(error_a, error_b) + 1e-4).all()


def test_with_the_exact_posterior_a_has_no_variance(linear_table: Table, exact: Any) -> None:
    complete = ~np.isnan(linear_table.values).any(1)
    values, rows = linear_table.values[complete][:8], linear_table.units[complete][:8]
    a = np.asarray(over(sgvb_a, linear_table.model, rows, KEYS), np.float64)
    np.testing.assert_allclose(
        a, np.repeat(exact.log_likelihood(values)[:, None], 400, 1), atol=2e-4
    )
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


@pytest.mark.parametrize("objective", [sgvb_a, sgvb_b, stl])
def test_the_weight_multiplies_the_kl_alone(objective: Any, loose_table: Table) -> None:
    rows = loose_table.units[1:9]
    none, half, one, two = (
        np.asarray(
            over(objective, loose_table.model, rows, KEYS, kl_weight=jnp.asarray(w)), np.float64
        )
        for w in (0.0, 0.5, 1.0, 2.0)
    )
    np.testing.assert_allclose(half, (none + one) / 2, atol=1e-4)
    np.testing.assert_allclose(two, 2 * one - none, atol=1e-4)
    if objective is sgvb_b:
        mean, variance, log_determinant = jax.vmap(
            lambda x: _moments(loose_table.model.posterior(x))
        )(rows)
        appendix_b = -0.5 * (np.sum(1 - np.square(mean) - variance, axis=1) + log_determinant)
        np.testing.assert_allclose((none - one)[:, 0], appendix_b, rtol=1e-3, atol=1e-4)


def _moments(q: Any) -> tuple[Any, Any, Any]:
    """Mean, variances and the log-determinant of the covariance: a sum of logs where the latents
    are independent.
    """
    roots = jnp.diag(q.scale_tril) if hasattr(q, "scale_tril") else jnp.sqrt(q.variance)
    return q.mean, q.variance, 2 * jnp.sum(jnp.log(roots))


@pytest.mark.parametrize("objective", [sgvb_a, sgvb_b, stl])
def test_free_bits_cost_as_much_as_is_free(objective: Any, loose_table: Table) -> None:
    """Far above every KL: a constant a latent; else never more than the bound."""
    rows, model = loose_table.units[1:9], loose_table.model
    log_likelihood = over(objective, model, rows, KEYS, kl_weight=jnp.asarray(0.0))
    free = over(objective, model, rows, KEYS, free_bits=50.0)
    np.testing.assert_allclose(log_likelihood - free, 50.0 * 2, atol=1e-3)
    plain, some = (
        np.asarray(over(objective, model, rows, KEYS, free_bits=nats)) for nats in (0.0, 0.5)
    )
    assert (some <= plain + 1e-5).all()


def test_free_bits_mean_as_many_nats_in_a_as_in_b(mixed_table: Table) -> None:
    """Where the KL to the prior has no closed form the two are the same number, whether it is above
    or below.
    """
    model, rows = mixed_table.model, mixed_table.units[:8]
    plain, log_likelihood = (
        over(sgvb_a, model, rows, KEYS, samples=3, kl_weight=jnp.asarray(w)) for w in (1.0, 0.0)
    )
    nats = float(np.median(log_likelihood - plain)) / 2  # a latent's, of two
    a, b, path = (
        over(o, model, rows, KEYS, samples=3, free_bits=nats) for o in (sgvb_a, sgvb_b, stl)
    )
    assert 0.4 < np.mean(np.asarray(a) < np.asarray(plain) - 1e-3) < 0.6
    for other in (b, path):
        np.testing.assert_allclose(a, other, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("free_bits", [2.0, 20.0])
def test_latents_of_equal_kl_cost_the_same_in_a_and_in_b(
    free_bits: float, linear_table: Table
) -> None:
    """Of q(z|x) = N(3, 0.1^2) each: 6.3 nats a latent, give or take a draw's half."""
    model = eqx.tree_at(lambda m: m.posterior, linear_table.model, lambda x: SAME)
    rows = linear_table.units[1:9]
    values = (
        over(objective, model, rows, KEYS, free_bits=free_bits) for objective in (sgvb_a, sgvb_b)
    )
    (mean_a, error_a), (mean_b, error_b) = (mean_and_error(v) for v in values)
    assert (np.abs(mean_a - mean_b) < 4 * np.hypot(error_a, error_b) + 1e-3).all()


@pytest.mark.parametrize(("posterior", "groups"), [("bernoulli", 20), ("categorical", 2)])
def test_a_group_of_levels_is_one_latent(posterior: Any, groups: int, linear_table: Table) -> None:
    shape = Architecture(20, hidden=(4,), missing=True, posterior=posterior)
    model = initial_model(linear_table.schema, linear_table.units, shape, jax.random.key(0))
    rows = linear_table.units[1:9]
    for objective in (sgvb_a, sgvb_b):
        log_likelihood = over(objective, model, rows, KEYS, kl_weight=jnp.asarray(0.0))
        free = over(objective, model, rows, KEYS, free_bits=50.0)
        np.testing.assert_allclose(log_likelihood - free, 50.0 * groups, rtol=1e-5)
