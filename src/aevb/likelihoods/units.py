"""p(x|z) of one's own, over rows in model units, with nats in the units of the data."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray, PyTree
from numpyro.distributions import constraints
from paramax import NonTrainable

from aevb.distributions import observed

__all__ = ["InDataUnits"]


class InDataUnits(eqx.Module):
    """z -> p(x|z): a decoder whose distribution is over u = (x - location) / scale.

    log p(x|z) = log p(u|z) - sum_j log(scale_j) over the observed cells where p is a density; a
    mass does not depend on units.
    """

    #: z -> distribution over u, event shape (D,).
    decoder: Callable[[Array], dist.Distribution]
    #: log(scale) of each column, shape (D,).
    log_scale: NonTrainable[Array]

    def __call__(self, z: Array) -> dist.Distribution:
        """The distribution of a row given z of shape (latent_dim,)."""
        p = self.decoder(z)
        if p.support.is_discrete:
            return p
        return _Rescaled(p, self.log_scale.tree)


class _Rescaled(dist.Distribution):
    """A density over u that answers in nats of x; rows go in and come out in units of u."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    pytree_data_fields = ("base", "log_scale")

    def __init__(self, base: dist.Distribution, log_scale: Array) -> None:
        self.base, self.log_scale = base, log_scale
        super().__init__(event_shape=base.event_shape)

    def cells(self, x: Array) -> Array:
        """log p of each cell in nats, shape (D,); 0 where it is missing."""
        return observed.cells(self.base, x) - jnp.where(jnp.isnan(x), 0.0, self.log_scale)

    def log_prob(self, value: Array) -> Array:
        """log p over the observed cells, in nats; scalar."""
        scales = jnp.where(jnp.isnan(value), 0.0, self.log_scale)
        return observed.log_prob(self.base, value) - scales.sum()

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """Rows, shape sample_shape + (D,)."""
        return self.base.sample(key, sample_shape)

    def expectations(self) -> PyTree[Array]:
        """What is averaged over z before `point` makes a row of it."""
        return observed.expectations(self.base)

    def point(self, averaged: PyTree[Array]) -> Array:
        """The row that averaged `expectations` stand for."""
        return observed.point(self.base, averaged)
