"""Laws of every listed prior p(z): a density that integrates to one, with draws that follow it and slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from aevb import priors
from aevb.networks import parameter_count
from aevb.priors import GaussianMixture, StandardNormal

#: For each listed class one of two latents; a class without fails.
EXAMPLES = {
    "StandardNormal": lambda: StandardNormal(2),
    "GaussianMixture": lambda: GaussianMixture(2, 3, jax.random.key(0)),
}


@pytest.fixture(params=priors.__all__)
def prior(request: pytest.FixtureRequest) -> priors.Prior:
    return EXAMPLES[request.param]()


def test_it_integrates_to_one_and_draws_follow_it(prior: priors.Prior) -> None:
    p = prior()
    assert p.event_shape == (2,)
    side = np.linspace(-8, 8, 161, dtype=np.float32)
    z = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    mass = np.exp(np.asarray(jax.jit(p.log_prob)(z), np.float64)) * 0.1**2
    np.testing.assert_allclose(mass.sum(), 1.0, atol=1e-4)
    drawn = np.asarray(p.sample(jax.random.key(1), (20_000,)))
    mean, second = mass @ z, (mass[:, None] * z).T @ z
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(drawn.T @ drawn / 20_000, second, atol=0.08)


def test_slopes_are_finite_far_away_and_for_extreme_parameters(prior: priors.Prior) -> None:
    slope = jax.jit(jax.value_and_grad(lambda prior, z: prior().log_prob(z), allow_int=True))
    for size in (-1e2, 1.0, 1e2):
        scaled = jax.tree.map(lambda leaf, size=size: size * leaf + size, prior)
        for z in (-1e4, 0.0, 1e4):
            value, gradient = slope(scaled, jnp.full(2, z))
            assert np.isfinite(value)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_standard_normal_has_nothing_to_learn() -> None:
    assert parameter_count(StandardNormal(7)) == 0
    z = np.array([0.3, -2.0])
    np.testing.assert_allclose(StandardNormal(2)().log_prob(jnp.asarray(z)), stats.norm.logpdf(z).sum(), rtol=1e-6)


def test_a_mixture_is_the_sum_of_its_parts() -> None:
    mixture = GaussianMixture(2, 3, jax.random.key(0))
    z = np.array([0.3, -2.0])
    each = np.exp(stats.norm.logpdf(z, mixture.means, 1.0).sum(1))
    np.testing.assert_allclose(np.exp(mixture().log_prob(jnp.asarray(z))), each.mean(), rtol=1e-4)
    assert parameter_count(mixture) == 3 + 2 * 3 * 2
