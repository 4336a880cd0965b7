"""log p of values under many raw numbers at once, and the M-step of likelihoods without a closed
form.

Values and classes go through one compiled program in chunks of fixed sizes, so that tables of any
length and any number of classes share it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from aevb.likelihoods import Likelihood
from aevb.table.schema import Values

__all__ = ["Ascent", "log_p"]


def log_p(part: Likelihood, values: Values, raw: Values) -> Values:
    """log p(value | class) in nats in data units.

    Parameters
    ----------
    part
        The likelihood of d columns.
    values
        Values of each column in model units, shape (U, d); NaN stands for any value.
    raw
        Raw numbers of each class, shape (K, d, parameters).

    Returns
    -------
    Shape (K, U, d).
    """
    return _in_chunks(_log_p, part, values, raw)


class Ascent(NamedTuple):
    """Where the raw numbers of a likelihood are on their way up.

    Parameters
    ----------
    raw
        Shape (K, d, parameters).
    nats
        log p of each value there, shape (K, U, d).
    length
        What part of a step each class and column takes next, shape (K, d).
    """

    raw: Values
    nats: Values
    length: Values

    @classmethod
    def at(cls, part: Likelihood, values: Values, raw: Values) -> Self:
        """Before the first step."""
        return cls(raw, log_p(part, values, raw), np.ones(raw.shape[:2]))

    def step(
        self,
        part: Likelihood,
        values: Values,
        weights: Values,
        *,
        sufficient: float = 0.1,
    ) -> Self:
        """Raw numbers of no lower weighted log p: a step along each column's natural gradient.

        The step solves (sum w g g') step = sum w g, with g the gradient of log p of a value. One
        that gains less than a sufficient part of what the slope promises (Armijo 1966) is not
        taken, and the next is shorter.

        Parameters
        ----------
        part, values
            As in `log_p`.
        weights
            How often each class has each value, shape (K, U, d).
        """
        slopes = _in_chunks(_slopes, part, values, self.raw)
        slope, direction = _natural_gradient(slopes, weights)
        raw = self.raw + self.length[..., None] * direction
        nats = log_p(part, values, raw)
        promised = self.length * (slope * direction).sum(axis=-1)
        higher = ((nats - self.nats) * weights).sum(axis=1) >= sufficient * promised
        return type(self)(
            np.where(higher[..., None], raw, self.raw),
            np.where(higher[:, None], nats, self.nats),
            np.where(higher, np.minimum(2 * self.length, 1.0), self.length / 4),
        )


def _natural_gradient(
    slopes: Values, weights: Values, *, damping: float = 1e-3, longest: float = 4.0
) -> tuple[Values, Values]:
    """The slope of the weighted log p and the step along its natural gradient, (K, d, p) both."""
    weighted = weights[..., None] * slopes
    slope = weighted.sum(axis=1)
    information = np.einsum("kudp,kudq->kdpq", weighted, slopes)
    diagonal = np.einsum("kdpp->kdp", information)
    information += damping * (diagonal + 1.0)[..., None] * np.eye(slopes.shape[-1])
    direction = np.nan_to_num(np.linalg.solve(information, slope[..., None])[..., 0])
    # Shortened as a whole: a step cut in one number only may point down.
    direction /= np.maximum(np.abs(direction).max(axis=-1, keepdims=True) / longest, 1.0)
    return slope, direction


def _log_p(part: Likelihood, values: Array, raw: Array) -> Array:
    inside = jnp.where(jnp.isnan(values), part.inside, values)
    return jax.vmap(partial(part.log_prob, part(raw)))(inside)


def _slopes(part: Likelihood, values: Array, raw: Array) -> Array:
    """The gradient of log p of each value in its column's raw numbers, (U, d, parameters)."""
    nats = partial(_log_p, part, values)

    def along(direction: Array) -> Array:
        return jax.jvp(nats, (raw,), (jnp.broadcast_to(direction, raw.shape),))[1]

    return jax.vmap(along, out_axes=-1)(jnp.eye(raw.shape[-1]))


def _in_chunks(
    function: Callable[[Likelihood, Array, Array], Array],
    part: Likelihood,
    values: Values,
    raw: Values,
    *,
    few: int = 32,
    many: int = 128,
    step: int = 4,
    chunk: int = 8,
    room: int = 64,
) -> Values:
    """The function of one class and a few values, for all of them: shape (K, U, ...)."""
    rows = many
    if len(values) <= few:
        rows = -(-len(values) // step) * step
    padded_values = _padded(values, rows, np.nan)
    padded_raw = _padded(raw, room, 0.0).reshape(-1, chunk, *raw.shape[1:])
    chunks = -(-len(raw) // chunk)
    out = []
    with jax.enable_x64(True):
        for some in np.split(padded_values, len(padded_values) // rows):
            found = np.asarray(for_classes(function, part, some, padded_raw, chunks))
            out.append(found.reshape(-1, *found.shape[2:])[: len(raw)])
    return np.concatenate(out, axis=1)[:, : len(values)]


@partial(jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": 1})
def for_classes(
    function: Callable[[Likelihood, Array, Array], Array],
    part: Likelihood,
    values: Array,
    raw: Array,
    chunks: Array,
) -> Array:
    """The function of each class in the first chunks of `raw`, (C, chunk, ...); zeros elsewhere."""
    of_some = jax.vmap(partial(function, part, values))
    shape = jax.eval_shape(of_some, raw[0]).shape

    def put(i: Array, out: Array) -> Array:
        return out.at[i].set(of_some(raw[i]))

    out = jnp.zeros((len(raw), *shape))
    return jax.lax.fori_loop(0, chunks, put, out)


def _padded(array: Values, size: int, filling: float) -> Values:
    """The array with rows added up to a multiple of `size`."""
    missing = -len(array) % size
    return np.concatenate([array, np.full((missing, *array.shape[1:]), filling)])
