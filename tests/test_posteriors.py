"""Laws of each q(z|x); those that all share are tried in test_testing.py."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from paramax import NonTrainable

from aevb.distributions.flows import CouplingFlow
from aevb.encoders import Encoder, Features, LinearPosterior
from aevb.networks import MLP
from aevb.posteriors import (
    POSTERIORS,
    BernoulliPosterior,
    CategoricalPosterior,
    ConditionalGaussian,
    DiagonalGaussian,
    FlowPosterior,
    FullGaussian,
    Posterior,
    TwoLayerPosterior,
)

#: What a flow's layers see of the encoder's outputs.
CONDITION = 16
CLASSES: list[Any] = [POSTERIORS[name] for name in POSTERIORS]
#: A number, a positive number, a count and a column of three levels.
FEATURES = Features(
    (0, 1, 2),
    (0, 1, 2),
    ((3, 3),),
    NonTrainable(jnp.array([0.5, 0.0, 1.0])),
    NonTrainable(jnp.array([2.0, 1.0, 1.0])),
)
ROW = jnp.array([1.5, 2.0, 3.0, 1.0])
RNG = np.random.default_rng(0)
LOADINGS = RNG.normal(size=(6, 2))


def linear(complete: bool = False, latents: int = 2) -> LinearPosterior:
    noise, loadings = RNG.uniform(0.5, 2.0, 6), LOADINGS[:, :latents]
    gain = np.linalg.solve(np.eye(latents) + (loadings.T / noise) @ loadings, loadings.T / noise)
    mean = 0.1 * np.arange(6)
    fixed = (NonTrainable(jnp.asarray(part, jnp.float32)) for part in (mean, loadings, noise))
    return LinearPosterior(*fixed, gain=jnp.asarray(gain, jnp.float32), complete=complete)


def encoder(kind: Any, latents: int = 2, *, start: bool = True, more: int = 0) -> Encoder:
    network = MLP((12, 8, kind.outputs(latents) + more), "tanh", jax.random.key(0))
    return Encoder(FEATURES, network, linear(latents=latents) if start else None, sees_missing=True)


def flow() -> CouplingFlow:
    """Far from the identity."""
    near = CouplingFlow(2, jax.random.key(1), CONDITION)
    return jax.tree.map(lambda weights: 20 * weights if len(weights) < 10 else weights, near)


def two_layers() -> TwoLayerPosterior:
    upper = ConditionalGaussian(MLP((1, 4, 2), "tanh", jax.random.key(2)))
    return TwoLayerPosterior(encoder(TwoLayerPosterior, 1), 2, upper, 1)


#: For each listed class one to try, of two latents or of one group of levels; a class without
#: fails.
EXAMPLES: dict[str, Any] = {
    "BernoulliPosterior": lambda: BernoulliPosterior(encoder(BernoulliPosterior, start=False), 2),
    "CategoricalPosterior": lambda: CategoricalPosterior(
        encoder(CategoricalPosterior, 10, start=False), 10
    ),
    "DiagonalGaussian": lambda: DiagonalGaussian(encoder(DiagonalGaussian), 2),
    "FlowPosterior": lambda: FlowPosterior(encoder(FlowPosterior, more=CONDITION), 2, flow()),
    "FullGaussian": lambda: FullGaussian(encoder(FullGaussian), 2),
    "TwoLayerPosterior": two_layers,
}
DISCRETE = (BernoulliPosterior, CategoricalPosterior)
GAUSSIAN = (DiagonalGaussian, FullGaussian)


@pytest.fixture(params=CLASSES, ids=lambda kind: kind.__name__)
def posterior(request: pytest.FixtureRequest) -> Posterior:
    return EXAMPLES[request.param.__name__]()


@pytest.fixture(params=GAUSSIAN, ids=lambda kind: kind.__name__)
def gaussian(request: pytest.FixtureRequest) -> Posterior:
    return EXAMPLES[request.param.__name__]()


def test_there_is_one_to_try() -> None:
    assert DiagonalGaussian in CLASSES


def test_its_moments_are_those_of_its_draws(posterior: Posterior) -> None:
    """Those of layers and flows come from 256 draws."""

    @jax.jit
    def read() -> tuple[jax.Array, jax.Array, jax.Array]:
        q = posterior(ROW)
        return q.rsample(jax.random.key(1), (20_000,)), q.mean, q.variance

    drawn, mean, variance = (np.asarray(numbers, np.float64) for numbers in read())
    deviation = np.sqrt(variance)
    exact = isinstance(posterior, DISCRETE + GAUSSIAN)
    moments = 20_000 if exact else 256
    np.testing.assert_allclose(drawn.mean(0), mean, atol=5 * deviation.max() / np.sqrt(moments))
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.03 if exact else 0.2, atol=0.01)


def test_values_and_slopes_are_finite_for_extreme_weights(posterior: Posterior) -> None:
    def value(posterior: Posterior, x: jax.Array) -> jax.Array:
        q = posterior(x)
        z = q.rsample(jax.random.key(0))
        return q.log_prob(z) + z.sum()

    slope = jax.jit(jax.value_and_grad(value, allow_int=True))
    scaled = jax.tree.map(lambda leaf: 1e3 * leaf, posterior)
    scaled = jax.tree.unflatten(jax.tree.structure(posterior), jax.tree.leaves(scaled))
    for number in (-1e6, 0.0, 1e6, np.nan):
        result, gradient = slope(scaled, jnp.array([number, abs(number), abs(number), 2.0]))
        assert np.isfinite(result)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_an_empty_row_encodes_to_the_prior(gaussian: Posterior) -> None:
    """Whatever the network's weights."""
    q = gaussian(jnp.full(4, jnp.nan))
    z = jnp.array([0.7, -1.2])
    np.testing.assert_array_equal(q.mean, 0.0)
    np.testing.assert_array_equal(q.variance, 1.0)
    np.testing.assert_allclose(
        q.log_prob(z), -np.log(2 * np.pi) - 0.5 * (0.7**2 + 1.2**2), rtol=1e-6
    )


def test_features_are_standardized_logged_and_one_hot() -> None:
    values, observed = FEATURES(ROW)
    assert FEATURES.size == 6
    np.testing.assert_allclose(values, [0.5, np.log(2), np.log(4) - 1, 0, 1, 0], rtol=1e-5)
    assert observed.all()
    for place, cells in ((0, [0]), (1, [1]), (2, [2]), (3, [3, 4, 5])):
        values, observed = FEATURES(ROW.at[place].set(jnp.nan))
        assert list(np.flatnonzero(~np.asarray(observed))) == cells
        assert (np.asarray(values)[cells] == 0).all()


def test_a_missing_cell_is_not_the_same_as_a_zero(posterior: Posterior) -> None:

    @jax.jit
    def moments(row: jax.Array) -> tuple[jax.Array, jax.Array]:
        q = posterior(row)
        return q.mean, q.variance

    (zero, _), (missing, variance) = map(moments, (ROW.at[0].set(0.5), ROW.at[0].set(jnp.nan)))
    assert not np.allclose(zero, missing)
    assert (variance > 0).all()


@pytest.mark.parametrize("missing", [[], [0], [1, 4], [0, 1, 2, 3, 5]])
def test_linear_posterior_is_exact_given_the_observed_cells(missing: list[int]) -> None:
    """Its mean and its precision are those of p(z|x_o)."""
    posterior = linear()
    noise, mean = (
        np.asarray(posterior.noise.tree, np.float64),
        np.asarray(posterior.mean.tree, np.float64),
    )
    features = RNG.normal(size=6)
    seen = ~np.isin(np.arange(6), missing)
    precision = np.eye(2) + (LOADINGS[seen].T / noise[seen]) @ LOADINGS[seen]
    exact = np.linalg.solve(precision, LOADINGS[seen].T / noise[seen] @ (features - mean)[seen])
    got, found, filled = posterior(jnp.asarray(np.where(seen, features, 0.0)), jnp.asarray(seen))
    np.testing.assert_allclose(got, exact, atol=1e-5)
    np.testing.assert_allclose(found, precision, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(filled, np.where(seen, features - mean, LOADINGS @ exact), atol=1e-5)


def test_complete_rows_need_no_filling() -> None:
    features = jnp.asarray(RNG.normal(size=6))
    incomplete = linear()
    complete = LinearPosterior(
        incomplete.mean, incomplete.loadings, incomplete.noise, incomplete.gain, complete=True
    )
    mean, precision, filled = complete(features, jnp.ones(6, bool))
    same_mean, full_precision, same_filled = incomplete(features, jnp.ones(6, bool))
    np.testing.assert_allclose(mean, same_mean, rtol=1e-6)
    np.testing.assert_allclose(precision, jnp.diag(full_precision), rtol=1e-6)
    np.testing.assert_allclose(filled, same_filled, rtol=1e-6)


@pytest.mark.parametrize("kind", GAUSSIAN)
def test_before_training_q_is_the_linear_model_s_posterior_given_the_observed_cells(
    kind: Any,
) -> None:
    """Its covariance too: with a cell missing the latents hang together."""
    network = MLP((12, kind.outputs(2)), "tanh", jax.random.key(0)).starting_at(
        jnp.zeros(kind.outputs(2)), weights=0.0
    )
    start = linear()
    q = kind(Encoder(FEATURES, network, start, sees_missing=True), 2)
    row = ROW.at[1].set(jnp.nan)
    mean, precision, _ = start(*FEATURES(row))
    np.testing.assert_allclose(q(row).mean, mean, rtol=1e-5)
    draws = jax.vmap(q(row).rsample)(jax.random.split(jax.random.key(1), 20_000))
    exact = np.linalg.inv(precision)
    assert abs(exact[0, 1]) > 0.02
    np.testing.assert_allclose(np.cov(np.asarray(draws).T), exact, atol=0.05 * exact.max())


def test_a_posterior_of_complete_rows_can_be_made_to_fill(gaussian: Posterior) -> None:
    """The same numbers, and for a row with missing cells those of one fitted with missing cells."""
    given = gaussian.encoder.linear
    complete = LinearPosterior(given.mean, given.loadings, given.noise, given.gain, complete=True)
    unfilling = eqx.tree_at(lambda q: q.encoder.linear, gaussian, complete)
    assert gaussian.for_missing() is gaussian
    row = ROW.at[1].set(jnp.nan)
    np.testing.assert_array_equal(unfilling.for_missing()(row).mean, gaussian(row).mean)
    assert not np.array_equal(unfilling(row).mean, gaussian(row).mean)


def test_a_flow_starts_as_its_gaussian() -> None:
    start = FlowPosterior(
        encoder(FlowPosterior, more=CONDITION), 2, CouplingFlow(2, jax.random.key(1), CONDITION)
    )
    q = start(ROW)
    plain = q.base
    z = plain.sample(jax.random.key(0), (50,))
    got = jax.jit(jax.vmap(q.log_prob))(z)
    np.testing.assert_allclose(got, jax.vmap(plain.log_prob)(z), atol=0.2)


def test_a_draw_of_levels_has_a_slope() -> None:
    """The straight-through one, which points to the side the mean moves to."""

    given = EXAMPLES["BernoulliPosterior"]()

    def total(bias: jax.Array) -> jax.Array:
        moved = eqx.tree_at(lambda q: q.encoder.network.layers[-1].bias, given, bias)
        return jax.vmap(moved(ROW).rsample)(jax.random.split(jax.random.key(0), 500)).mean(0).sum()

    slope = jax.jit(jax.grad(total))(jnp.zeros(2))
    assert (np.asarray(slope) > 0.02).all()
