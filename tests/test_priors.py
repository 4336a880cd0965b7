"""Laws of each prior p(z); those that all share are tried in test_testing.py."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from aevb.build import initial_model
from aevb.distributions.flows import CouplingFlow
from aevb.networks import MLP, parameter_count
from aevb.posteriors import ConditionalGaussian
from aevb.priors import (
    PRIORS,
    BernoulliPrior,
    CategoricalPrior,
    FlowPrior,
    GaussianMixture,
    StandardNormal,
    TwoLayerPrior,
    VampPrior,
)
from aevb.registry import configured
from aevb.start import Architecture
from conftest import Table


def q_of(row: jax.Array) -> dist.Distribution:
    """A posterior for the VampPrior: some Gaussian that depends on the row."""
    return dist.Normal(row[:2], 0.5 + 0.1 * row[2] ** 2).to_event(1)


def distribution_of(prior: Any) -> dist.Distribution:
    return prior.given(q_of) if isinstance(prior, VampPrior) else prior()


def far_flow() -> CouplingFlow:
    near = CouplingFlow(2, jax.random.key(1))
    return jax.tree.map(lambda weights: 20 * weights if len(weights) < 10 else weights, near)


#: For each listed class one of two latents or of one group of three levels; a class without fails.
EXAMPLES: dict[str, Any] = {
    "BernoulliPrior": lambda: eqx.tree_at(
        lambda p: p.logits, BernoulliPrior(2), jnp.array([0.3, -1.0])
    ),
    "CategoricalPrior": lambda: eqx.tree_at(
        lambda p: p.logits, CategoricalPrior(1, 3), jnp.array([[0.3, -1.0, 0.0]])
    ),
    "FlowPrior": lambda: FlowPrior(2, far_flow()),
    "TwoLayerPrior": lambda: TwoLayerPrior(
        ConditionalGaussian(MLP((1, 4, 2), "tanh", jax.random.key(2))), 1, 1
    ),
    "VampPrior": lambda: VampPrior(
        jax.random.normal(jax.random.key(3), (4, 3)), jnp.full(3, -3.0), jnp.full(3, 3.0)
    ),
    "StandardNormal": lambda: StandardNormal(2),
    "GaussianMixture": lambda: GaussianMixture(2, 3, key=jax.random.key(0)),
}


@pytest.fixture(params=[PRIORS[name].__name__ for name in PRIORS])
def prior(request: pytest.FixtureRequest) -> Any:
    return EXAMPLES[request.param]()


def test_its_mean_is_that_of_its_draws(prior: Any) -> None:
    p = distribution_of(prior)
    drawn = np.asarray(jax.jit(lambda: p.sample(jax.random.key(1), (20_000,)))())
    second = (drawn**2).mean(0).max()
    # Some means are those of 256 draws.
    np.testing.assert_allclose(p.mean, drawn.mean(0), atol=5 * np.sqrt(second / 256))


def test_slopes_are_finite_far_away_and_for_extreme_parameters(prior: Any) -> None:
    slope = jax.jit(
        jax.value_and_grad(lambda prior, z: distribution_of(prior).log_prob(z), allow_int=True)
    )
    latents = distribution_of(prior).event_shape
    for size in (-1e2, 1.0, 1e2):
        scaled = jax.tree.map(lambda leaf, size=size: size * leaf + size, prior)
        for z in (-1e4, 0.0, 1e4):
            value, gradient = slope(scaled, jnp.full(latents, z))
            assert np.isfinite(value)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_standard_normal_has_nothing_to_learn() -> None:
    assert parameter_count(StandardNormal(7)) == 0
    z = np.array([0.3, -2.0])
    np.testing.assert_allclose(
        StandardNormal(2)().log_prob(jnp.asarray(z)), stats.norm.logpdf(z).sum(), rtol=1e-6
    )


def test_a_mixture_is_the_sum_of_its_parts() -> None:
    mixture = GaussianMixture(2, 3, key=jax.random.key(0))
    z = np.array([0.3, -2.0])
    each = np.exp(stats.norm.logpdf(z, mixture.means, 1.0).sum(1))
    np.testing.assert_allclose(np.exp(mixture().log_prob(jnp.asarray(z))), each.mean(), rtol=1e-4)
    assert parameter_count(mixture) == 3 + 2 * 3 * 2


def test_a_vamp_prior_is_the_mixture_of_the_posteriors_of_its_rows(mixed_table: Table) -> None:
    """And moves with them: its slope goes through q."""
    q = mixed_table.model.posterior
    rows = np.nan_to_num(mixed_table.units[:3])
    vamp = VampPrior(*map(jnp.asarray, (rows, rows.min(0), rows.max(0))))
    z = jnp.array([0.3, -0.2])

    @jax.jit
    def log_density(row: jax.Array) -> jax.Array:
        return dist.Normal(q(row).mean, jnp.sqrt(q(row).variance)).to_event(1).log_prob(z)

    each = [log_density(row) for row in rows]
    standard = dist.Normal(jnp.zeros(2), 1.0).to_event(1).log_prob(z)
    expected = np.log(0.9 * np.exp(standard) + 0.1 * np.exp(np.array(each)).mean())
    value_and_slope = eqx.filter_value_and_grad(lambda q: vamp.given(q).log_prob(z))
    got, slope = eqx.filter_jit(value_and_slope)(q)
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slope.encoder.network))


def test_pseudo_rows_stay_within_the_range_of_the_training_rows(mixed_table: Table) -> None:
    """However far they are learned to be: no count below zero, no level that is none. The range is
    not learned.
    """
    architecture = Architecture(2, hidden=(8,), missing=True, prior=configured(VampPrior, rows=5))
    model = initial_model(mixed_table.schema, mixed_table.units, architecture, jax.random.key(0))
    vamp: Any = model.prior
    assert parameter_count(vamp) == 6 + vamp.rows.size
    low, high = np.nanmin(mixed_table.units, 0), np.nanmax(mixed_table.units, 0)
    np.testing.assert_array_equal(vamp.low.tree, low)
    np.testing.assert_array_equal(vamp.high.tree, high)
    assert np.array_equal(np.clip(vamp.rows, low, high), vamp.rows)
    np.testing.assert_array_equal(vamp.inside, vamp.rows)

    @eqx.filter_jit
    def log_density(prior: Any) -> jax.Array:
        return prior.given(model.posterior).log_prob(jnp.array([0.3, -0.2]))

    for size in (0.3, 1.0, 50.0, 1e6):
        steps = size * jax.random.normal(jax.random.key(1), vamp.rows.shape)
        far = eqx.tree_at(lambda prior: prior.rows, vamp, vamp.rows + steps)
        assert ((far.inside >= low) & (far.inside <= high)).all()
        there = eqx.tree_at(lambda prior: prior.rows, vamp, far.inside)
        assert log_density(far) == log_density(there)
    binary = mixed_table.schema.where("binary")
    assert ((low[binary] == 0) & (high[binary] == 1)).all()
    assert (low[mixed_table.schema.where("count")] >= 0).all()


@pytest.mark.parametrize("moved", [-0.3, 0.0, 0.3])
def test_a_pseudo_row_that_went_past_an_end_can_come_back(moved: float) -> None:
    """A 0 or 1 starts at an end: neither there nor beyond is it without a slope."""
    rows = jnp.array([[0.0, 1.0]]) + moved
    vamp = VampPrior(rows, jnp.zeros(2), jnp.ones(2))
    slope = jax.grad(lambda rows: eqx.tree_at(lambda prior: prior.rows, vamp, rows).inside.sum())(
        rows
    )
    assert (np.abs(slope) > 0).all()
    np.testing.assert_allclose(vamp.inside, np.abs([[moved, 1 - np.abs(moved)]]), rtol=1e-6)


def test_two_layers_draw_the_upper_one_first() -> None:
    lower = ConditionalGaussian(
        MLP((1, 2), "tanh", jax.random.key(0)).starting_at(jnp.array([2.0, 0.0]))
    )
    z = TwoLayerPrior(lower, 1, 1)().sample(jax.random.key(0), (4_000,))
    np.testing.assert_allclose(np.asarray(z).mean(0), [2.0, 0.0], atol=0.15)
