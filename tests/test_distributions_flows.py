"""Laws of the coupling flow: a bijection with the Jacobian it says, near the identity at first, and
plain data.
"""

import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb.distributions.flows import CouplingFlow


@pytest.mark.parametrize(("latents", "condition"), [(2, 0), (3, 4)])
def test_its_inverse_and_its_jacobian_are_what_it_says(latents: int, condition: int) -> None:
    near = CouplingFlow(latents, jax.random.key(0), condition)
    flow = jax.tree.map(
        lambda weights: 20 * weights if len(weights) < 10 else weights, near
    ).bijection()
    given = jnp.ones(condition) if condition else None
    u = jax.random.normal(jax.random.key(1), (latents,))

    @jax.jit
    def forward(u: jax.Array) -> tuple[jax.Array, jax.Array]:
        return flow.transform_and_log_det(u, given)

    z, log_det = forward(u)
    assert np.abs(z - u).max() > 0.1
    back, minus = jax.jit(lambda z: flow.inverse_and_log_det(z, given))(z)
    np.testing.assert_allclose(back, u, atol=1e-4)
    np.testing.assert_allclose(minus, -log_det, atol=1e-4)
    jacobian = jax.jit(jax.jacobian(lambda u: forward(u)[0]))(u)
    np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], log_det, atol=1e-4)


def test_it_starts_near_the_identity() -> None:
    flow = CouplingFlow(5, jax.random.key(0)).bijection()
    z, log_det = eqx.filter_jit(flow.transform_and_log_det)(jnp.arange(5.0))
    np.testing.assert_allclose(z, np.arange(5.0), atol=0.1)
    assert abs(log_det) < 0.1


def test_it_is_weights_and_two_sizes() -> None:
    flow = CouplingFlow(3, jax.random.key(0), 2)
    same = pickle.loads(pickle.dumps(flow))
    assert jax.tree.structure(same) == jax.tree.structure(flow)
    assert all(map(np.array_equal, jax.tree.leaves(same), jax.tree.leaves(flow)))
