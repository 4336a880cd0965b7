"""p(x|z) of a whole row: the product over its columns, and the decoder that gives it."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, ArrayLike, PRNGKeyArray
from numpyro.distributions import constraints
from paramax import NonTrainable

from aevb.errors import ConfigError
from aevb.likelihoods.base import Likelihood, single
from aevb.networks import Layer, Network, class_words, layers_of, parameter_count, pick
from aevb.table.schema import Column

__all__ = ["Decoder", "Product", "Unseen", "flat", "raw_size", "split"]


class Product(dist.Distribution):
    """Independent columns given z; a missing cell (NaN) contributes nothing to log p(x|z).

    The parts share out the places 0..D-1 between them; each has its distribution for this z. A cell
    that is infinite stands for a value never met, and has the probability that `unseen` says.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    pytree_data_fields = ("parts", "distributions", "unseen")

    def __init__(
        self,
        parts: tuple[Likelihood, ...],
        distributions: tuple[dist.Distribution, ...],
        unseen: "Unseen | None" = None,
    ) -> None:
        self.parts, self.distributions, self.unseen = parts, distributions, unseen
        width = sum(len(part.columns) for part in parts)
        super().__init__(event_shape=(width,))

    def cells(self, x: Array) -> Array:
        """log p(x_j|z) of every cell, nats in units of the data, shape (D,); 0 where missing."""
        nats = self._in_places(_cells(*pair, x) for pair in self._pairs())
        return nats if self.unseen is None else nats + self.unseen(x)

    def log_prob(self, value: Array) -> Array:
        """log p(x|z) = sum over the observed cells, in nats; scalar."""
        nats = jnp.zeros(()) if self.unseen is None else self.unseen(value).sum()
        for part, distribution in self._pairs():
            nats = nats + _cells(part, distribution, value).sum()
        return nats

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """A draw of the whole row in model units, shape sample_shape + (D,)."""
        keys = jax.random.split(key, len(self.parts))
        pairs = zip(self.distributions, keys, strict=True)
        return self._in_places((p.sample(k, sample_shape) for p, k in pairs), sample_shape)

    def expectations(self) -> tuple[Array, ...]:
        """For each part what is averaged over z to impute its columns, shape (d, m)."""
        return tuple(part.expectation(distribution) for part, distribution in self._pairs())

    @property
    def mean(self) -> Array:
        """E[x|z], of a binary column the probability of 1, shape (D,)."""
        return self._in_places(expectation[..., 0] for expectation in self.expectations())

    def point(self, expectations: tuple[Array, ...]) -> Array:
        """The row of model units that these (averaged) expectations say, shape (D,)."""
        pairs = zip(self.parts, expectations, strict=True)
        return self._in_places(part.point(expectation) for part, expectation in pairs)

    def _pairs(self) -> list[tuple[Likelihood, dist.Distribution]]:
        return list(zip(self.parts, self.distributions, strict=True))

    def _in_places(self, pieces: Iterable[Array], leading: tuple[int, ...] = ()) -> Array:
        """A row of what each part has for its columns."""
        out = jnp.zeros((*leading, *self.event_shape))
        for part, piece in zip(self.parts, pieces, strict=True):
            out = out.at[..., np.array(part.columns)].set(piece.astype(out.dtype))
        return out


class Unseen(eqx.Module):
    """The nats of values that columns never met, and what all other values pay for them.

    They do not depend on z. See `aevb.table.schema.Column`.
    """

    #: Of an infinite cell, shape (D,).
    unseen: NonTrainable[Array]
    #: Of any other, shape (D,).
    seen: NonTrainable[Array]

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Self:
        """Those of the columns of a schema."""
        return cls(
            NonTrainable(single([column.log_unseen for column in columns])),
            NonTrainable(single([column.log_seen for column in columns])),
        )

    def __call__(self, x: Array) -> Array:
        """Nats of each cell, shape (D,); 0 where missing."""
        nats = jnp.where(jnp.isinf(x), self.unseen.tree, self.seen.tree)
        return jnp.where(jnp.isnan(x), 0.0, nats)


def _cells(part: Likelihood, distribution: dist.Distribution, x: Array) -> Array:
    value = pick(x, part.columns)
    observed = jnp.isfinite(value)
    # The gradient of an unused branch must be finite too, so a missing cell is given some value of
    # the support.
    nats = part.log_prob(distribution, jnp.where(observed, value, part.inside))
    return jnp.where(observed, nats, 0.0)


class Decoder(eqx.Module):
    """z -> p(x|z): a network, a linear map beside it, and the likelihoods that read their sum.

    raw = network(z) + W z. With the linear start (DESIGN: factor analysis) W is the loadings and
    the network's last layer is zero, so that the decoder begins as the linear model and learns the
    residual. Of two layers of latents it looks at the lower one, the first `reads` of z.
    """

    network: Network
    linear: Array | None
    parts: tuple[Likelihood, ...]
    unseen: Unseen
    reads: int | None = eqx.field(static=True, default=None)

    def __call__(self, z: Array) -> Product:
        """The distribution of a row given z of shape (latent_dim,)."""
        z = z[: self.reads]
        raw = self.network(z)
        if self.linear is not None:
            raw = raw + z @ self.linear.T
        pieces = zip(self.parts, split(self.parts, raw), strict=True)
        distributions = tuple(_by_column(part, piece) for part, piece in pieces)
        return Product(self.parts, distributions, self.unseen)

    def describe(self) -> list[Layer]:
        """Loadings, the network, and each likelihood."""
        layers = []
        if self.linear is not None:
            outputs, inputs = self.linear.shape
            layers.append(Layer("loadings", inputs, outputs, self.linear.size))
        layers += layers_of(self.network)
        for part in self.parts:
            name = f"p(x|z): {class_words(part)}"
            columns = len(part.columns)
            layers.append(Layer(name, columns * part.parameters, columns, parameter_count(part)))
        return layers


def _by_column(part: Likelihood, raw: Array) -> dist.Distribution:
    """The likelihood's distribution, refused where it is not one for each column."""
    distribution = part(raw)
    expected = (len(part.columns),)
    if distribution.event_shape or distribution.batch_shape != expected:
        raise ConfigError(
            f"likelihood {type(part).__name__}: expected a distribution for each column, of batch "
            f"shape {expected} and event shape (), got {distribution.batch_shape} and "
            f"{distribution.event_shape}: give it the raw numbers' columns, without to_event"
        )
    return distribution


def raw_size(parts: Sequence[Likelihood]) -> int:
    """How many raw numbers a decoder of these likelihoods gives."""
    return sum(len(part.columns) * part.parameters for part in parts)


def split(parts: Sequence[Likelihood], raw: Array) -> list[Array]:
    """The raw numbers of each part, (..., d, parameters), out of a decoder's (..., R)."""
    pieces = []
    begin = 0
    for part in parts:
        shape = (len(part.columns), part.parameters)
        end = begin + shape[0] * shape[1]
        pieces.append(raw[..., begin:end].reshape(*raw.shape[:-1], *shape))
        begin = end
    return pieces


def flat(raw: Sequence[ArrayLike]) -> Array:
    """The raw numbers of each part, shape (d, parameters), in the decoder's order (R,)."""
    return jnp.concatenate([jnp.asarray(piece, jnp.float32).ravel() for piece in raw])
