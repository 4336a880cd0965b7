"""Invertible maps of latents with a cheap Jacobian, by FlowJAX."""

from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from flowjax.bijections import AbstractBijection, Chain, Coupling, Flip
from jaxtyping import Array, PRNGKeyArray

__all__ = ["CouplingFlow"]


class FlowSizes(NamedTuple):
    """Layers of a flow (an even number, so that the halves end where they began), width, start.

    The last layers of the networks start `near_identity` times as large as Equinox makes them.
    """

    layers: int = 6
    width: int = 64
    near_identity: float = 1e-2


class CouplingFlow(eqx.Module):
    """f: R^k -> R^k, affine coupling layers (Dinh et al. 2017), near the identity at first.

    k = `latent_dim` is at least 2; each layer looks at `condition` further numbers.

    Examples
    --------
    >>> f = CouplingFlow(3, jax.random.key(0)).bijection()
    >>> z, log_det = f.transform_and_log_det(jnp.ones(3))
    >>> bool(jnp.allclose(z, 1, atol=0.05)), bool(abs(log_det) < 0.05)
    (True, True)
    """

    #: Alone of FlowJAX's modules, whose other leaves are functions that no file can hold.
    weights: list[Array]
    latent_dim: int = eqx.field(static=True)
    condition: int = eqx.field(static=True)

    def __init__(self, latent_dim: int, key: PRNGKeyArray, condition: int = 0) -> None:
        layers = _coupling_layers(latent_dim, condition, key, FlowSizes())
        self.weights = jax.tree.leaves(eqx.filter(layers, eqx.is_inexact_array))
        self.latent_dim, self.condition = latent_dim, condition

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.weights, self.latent_dim, self.condition)

    def bijection(self) -> Any:
        """FlowJAX's bijection of these weights: `transform_and_log_det`, `inverse_and_log_det`."""
        structure, rest = layers_without_weights(self.latent_dim, self.condition)
        return eqx.combine(jax.tree.unflatten(structure, self.weights), rest)


class BoundedAffine(AbstractBijection):
    """y = exp(2 tanh(raw)) x + loc: its scale is in [exp(-2), exp(2)], so that none overflows."""

    shape: tuple[int, ...]
    cond_shape: tuple[int, ...] | None
    loc: Array
    raw: Array

    def __init__(self) -> None:
        self.shape = ()
        self.cond_shape = None
        self.loc = jnp.zeros(())
        self.raw = jnp.zeros(())

    @property
    def scale(self) -> Array:
        """The bounded scale, shape ()."""
        return jnp.exp(2 * jnp.tanh(self.raw))

    def transform_and_log_det(self, x: Any, condition: Any = None) -> tuple[Array, Array]:
        """y and log |dy/dx|."""
        return x * self.scale + self.loc, jnp.log(jnp.abs(self.scale)).sum()

    def inverse_and_log_det(self, y: Any, condition: Any = None) -> tuple[Array, Array]:
        """x and log |dx/dy|."""
        return (y - self.loc) / self.scale, -jnp.log(jnp.abs(self.scale)).sum()


def _coupling_layers(latent_dim: int, condition: int, key: PRNGKeyArray, sizes: FlowSizes) -> Any:
    """The coupling layers, each followed by a flip, so that each half turns the other."""
    flip: Any = Flip((latent_dim,))  # type: ignore[call-arg]
    bijections = []
    for key_layer in jax.random.split(key, sizes.layers):
        layer = Coupling(
            key_layer,
            transformer=BoundedAffine(),
            untransformed_dim=latent_dim // 2,
            dim=latent_dim,
            cond_dim=condition or None,
            nn_width=sizes.width,
            nn_depth=1,
            nn_activation=jnp.tanh,
        )
        last: Any = layer.conditioner.layers[-1]
        small = (sizes.near_identity * last.weight, jnp.zeros_like(last.bias))
        layer = eqx.tree_at(
            lambda c: (c.conditioner.layers[-1].weight, c.conditioner.layers[-1].bias), layer, small
        )
        bijections += [layer, flip]
    return Chain(bijections)


@cache
def layers_without_weights(latent_dim: int, condition: int) -> tuple[Any, Any]:
    """The structure that the weights belong in, and all else; one for all flows of these sizes."""
    with jax.ensure_compile_time_eval():  # FlowJAX keeps arrays in it, which must not be tracers
        layers = _coupling_layers(latent_dim, condition, jax.random.key(0), FlowSizes())
    weights, rest = eqx.partition(layers, eqx.is_inexact_array)
    return jax.tree.structure(weights), rest


def _restored(weights: list[Array], latent_dim: int, condition: int) -> CouplingFlow:
    flow = CouplingFlow(latent_dim, jax.random.key(0), condition)
    return eqx.tree_at(lambda flow: flow.weights, flow, weights)
