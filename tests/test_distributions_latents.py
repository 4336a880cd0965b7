"""Laws of the distributions of z that NumPyro lacks; their densities and draws are held to each
other as q and p.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from aevb.distributions.latents import Chain, StraightThroughBernoulli, StraightThroughCategorical

KEY = jax.random.key(0)


def test_draws_are_levels() -> None:
    bits = StraightThroughBernoulli(jnp.array([0.3, -2.0])).sample(KEY, (100,))
    assert set(np.unique(bits)) == {0.0, 1.0}
    groups = StraightThroughCategorical(jnp.zeros((2, 3))).sample(KEY, (100,)).reshape(100, 2, 3)
    assert set(np.unique(groups)) == {0.0, 1.0}
    np.testing.assert_array_equal(groups.sum(-1), 1.0)


def test_a_chain_of_gaussians_is_the_joint_one() -> None:
    """h ~ N(0, 1), g | h ~ N(2 h, 1): jointly N(0, [[1, 2], [2, 5]])."""
    first = dist.Normal(jnp.zeros(1), 1.0).to_event(1)
    joint = dist.MultivariateNormal(jnp.zeros(2), jnp.array([[1.0, 2.0], [2.0, 5.0]]))
    z = jnp.array([[0.3, -0.7], [1.0, 2.0]])
    chain = Chain(first, lambda h: dist.Normal(2 * h, 1.0).to_event(1), 1)
    np.testing.assert_allclose(chain.log_prob(z), joint.log_prob(z), rtol=1e-5)
    backwards = Chain(first, lambda h: dist.Normal(2 * h, 1.0).to_event(1), 1, backwards=True)
    np.testing.assert_allclose(backwards.log_prob(z[:, ::-1]), joint.log_prob(z), rtol=1e-5)
    drawn = np.asarray(chain.sample(KEY, (20_000,)))
    np.testing.assert_allclose(np.cov(drawn.T), [[1.0, 2.0], [2.0, 5.0]], atol=0.15)
