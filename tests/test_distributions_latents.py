"""Laws of the distributions of z that NumPyro lacks; their densities and draws are held to each
other as q and p.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import kl_divergence

from aevb.distributions.latents import Chain, StraightThroughBernoulli, StraightThroughCategorical

KEY = jax.random.key(0)


def test_kl_of_bits_is_the_sum_over_their_levels() -> None:
    q, p = (
        StraightThroughBernoulli(jnp.array([0.3, -2.0])),
        StraightThroughBernoulli(jnp.array([0.0, 1.0])),
    )
    levels = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    log_q, log_p = q.log_prob(levels), p.log_prob(levels)
    np.testing.assert_allclose(
        kl_divergence(q, p).sum(), jnp.sum(jnp.exp(log_q) * (log_q - log_p)), rtol=1e-5
    )
    np.testing.assert_allclose(kl_divergence(q, q), 0.0, atol=1e-7)


def test_kl_of_levels_is_the_sum_over_them() -> None:
    q = StraightThroughCategorical(jnp.array([[0.3, -2.0, 1.0]]))
    p = StraightThroughCategorical(jnp.zeros((1, 3)))
    log_q, log_p = q.log_prob(jnp.eye(3)), p.log_prob(jnp.eye(3))
    np.testing.assert_allclose(
        kl_divergence(q, p)[0], jnp.sum(jnp.exp(log_q) * (log_q - log_p)), rtol=1e-5
    )


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
