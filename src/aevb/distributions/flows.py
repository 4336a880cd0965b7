"""Invertible maps of latents with a cheap Jacobian, by FlowJAX."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

__all__ = ["CouplingFlow", "prepare"]


class CouplingFlow(eqx.Module):
    """f: R^k -> R^k, affine coupling layers (Dinh et al. 2017), near the identity at first.

    Parameters
    ----------
    latent_dim
        k, at least 2.
    key
        Source of the weights.
    condition
        How many further numbers each layer looks at.

    Examples
    --------
    >>> flow = CouplingFlow(3, jax.random.key(0)).bijection()
    >>> z, log_det = flow.transform_and_log_det(jnp.ones(3))
    >>> bool(jnp.allclose(z, 1, atol=0.05)), bool(abs(log_det) < 0.05)
    (True, True)
    """

    #: Alone of FlowJAX's modules, whose other leaves are functions that no file can hold.
    weights: list[Array]
    latent_dim: int = eqx.field(static=True)
    condition: int = eqx.field(static=True)

    def __init__(self, latent_dim: int, key: PRNGKeyArray, condition: int = 0) -> None:
        prepare(latent_dim, condition)
        self.weights = jax.tree.leaves(
            eqx.filter(_layers(latent_dim, condition, key), eqx.is_inexact_array)
        )
        self.latent_dim, self.condition = latent_dim, condition

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.weights, self.latent_dim, self.condition)

    def bijection(self) -> Any:
        """The FlowJAX bijection with these weights.

        It has `transform_and_log_det` and `inverse_and_log_det`.
        """
        structure, rest = _without_weights(self.latent_dim, self.condition)
        return eqx.combine(jax.tree.unflatten(structure, self.weights), rest)


def prepare(latent_dim: int, condition: int = 0) -> None:
    """Keep what flows of these sizes share, so that a function that JAX traces can make one."""
    _without_weights(latent_dim, condition)


def _layers(
    latent_dim: int,
    condition: int,
    key: PRNGKeyArray,
    *,
    layers: int = 6,
    width: int = 64,
    near_identity: float = 1e-2,
) -> Any:
    """The FlowJAX bijection at its start.

    Parameters
    ----------
    latent_dim, key, condition
        As in `CouplingFlow`.
    layers
        An even number, so that the halves end where they began.
    width
        Hidden units of each layer's network.
    near_identity
        The last layers of the networks start so many times smaller than Equinox makes them.
    """
    import paramax
    from flowjax.bijections import Affine, Chain, Coupling, Flip

    # Scales of a layer are in [exp(-2), exp(2)], so that no weights overflow.
    affine = eqx.tree_at(
        lambda a: a.scale, Affine(), paramax.Parameterize(_bounded_scale, jnp.zeros(()))
    )
    flip: Any = Flip((latent_dim,))  # type: ignore[call-arg]

    halves: dict[str, Any] = {
        "untransformed_dim": latent_dim // 2,
        "dim": latent_dim,
        "cond_dim": condition or None,
    }

    def coupling(key: PRNGKeyArray) -> Any:
        layer = Coupling(
            key, transformer=affine, **halves, nn_width=width, nn_depth=1, nn_activation=jnp.tanh
        )
        last: Any = layer.conditioner.layers[-1]
        small = (near_identity * last.weight, jnp.zeros_like(last.bias))
        return eqx.tree_at(
            lambda c: (c.conditioner.layers[-1].weight, c.conditioner.layers[-1].bias), layer, small
        )

    bijections = []
    for layer_key in jax.random.split(key, layers):
        bijections += [coupling(layer_key), flip]
    return Chain(bijections)


def _bounded_scale(raw: Array) -> Array:
    return jnp.exp(2 * jnp.tanh(raw))


@cache
def _without_weights(latent_dim: int, condition: int) -> tuple[Any, Any]:
    """The structure that the weights belong in, and all the rest, for all flows of these sizes.

    FlowJAX keeps arrays in it, so it must first be made outside of any compiled function: where a
    flow is made.
    """
    weights, rest = eqx.partition(
        _layers(latent_dim, condition, jax.random.key(0)), eqx.is_inexact_array
    )
    return jax.tree.structure(weights), rest


def _restored(weights: list[Array], latent_dim: int, condition: int) -> CouplingFlow:
    flow = CouplingFlow(latent_dim, jax.random.key(0), condition)
    return eqx.tree_at(lambda flow: flow.weights, flow, weights)
