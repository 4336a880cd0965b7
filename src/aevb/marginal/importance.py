"""Bounds on log p(x) by sampling z from q(z|x), with the error of the sampling.

A row's draws come from a key made of the seed and the row's own bytes, and rows go one by one
through a program of fixed shape: a row's number is the same to the last bit whatever the batch, the
order or the company it comes in, and draws of different rows are independent, so that the error of
their mean is what it seems.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.errors import ConfigError
from aevb.model import Model
from aevb.posteriors import for_missing

__all__ = [
    "Scores",
    "at_least_one",
    "each_row",
    "elbo",
    "importance_weighted",
    "log_weights",
    "pareto_k",
    "row_hashes",
    "row_keys",
]

#: Rows of a block and samples of a chunk: they bound the memory, and are fixed so that one program
#: serves all calls.
BLOCK, CHUNK = 128, 1_000


#: Log-weights of a row that differ by no more are the same to single precision.
EQUAL = 1e-3
#: Told how many rows are done.
Progress = Callable[[int], None]


class Scores(NamedTuple):
    """Of each row: an estimate of log p(x) in nats, its Monte Carlo standard error, and the
    effective sample size.

    One sample cannot tell its error, which is then NaN.
    """

    log_likelihood: NDArray[np.float64]
    monte_carlo_error: NDArray[np.float64]
    effective_sample_size: NDArray[np.float64]


def importance_weighted(
    model: Model,
    units: NDArray[np.float32],
    *,
    samples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Scores:
    """log (1/S) sum_s p(x, z_s) / q(z_s|x), z_s ~ q(z|x): a lower bound of log p(x) in mean that
    tightens with S.

    Burda, Grosse and Salakhutdinov (2016), eq. 8. The standard error is the delta method's, the
    deviation of the weights over their mean and sqrt(S); the effective sample size is (sum w)^2 /
    sum w^2 (Kong 1992).

    Parameters
    ----------
    model
        The VAE.
    units
        Rows in model units, shape (n, D), NaN where missing.
    samples
        S, rounded up to equal chunks of at most `CHUNK`.
    seed
        Of the draws.
    progress
        Told how many rows are done, block by block.

    Returns
    -------
    Scores
        Three arrays of shape (n,). A row without an observed cell has log-likelihood 0 exactly.

    Raises
    ------
    ConfigError
        Fewer samples than one.
    """
    at_least_one("samples", samples)
    chunks = -(-samples // CHUNK)
    chunk = -(-samples // chunks)
    row = partial(_weight_sums, chunks=chunks, chunk=chunk)
    sums = each_row(row, model, units, row_keys(units, seed), progress=progress)
    log_sum, log_squares = (np.asarray(s, dtype=np.float64) for s in sums)
    total = chunks * chunk
    effective = np.exp(2 * log_sum - log_squares)
    relative_variance = np.maximum(total / np.maximum(effective, 1e-12) - 1, 0.0)
    error = np.sqrt(relative_variance / total) if total > 1 else np.nan
    empty = ~np.isfinite(units).any(axis=1)
    return Scores(
        np.where(empty, 0.0, log_sum - np.log(total)),
        np.where(empty, 0.0, error),
        np.where(empty, float(total), np.clip(effective, 1.0, total)),
    )


def pareto_k(
    model: Model, units: NDArray[np.float32], *, samples: int = 1000, seed: int = 0
) -> tuple[NDArray[np.float64], float]:
    """k of the generalised Pareto tail of each row's importance weights, and the k above which not
    to trust their mean.

    Vehtari et al. (2024), by arviz-stats: weights have 1 / k finite moments, and S of them average
    out below min(1 - 1 / log10 S, 0.7). Keeps all weights of all rows: meant for some hundreds of
    rows, and 25 samples or more.

    Returns
    -------
    tuple
        k, shape (n,), -inf where all weights are the same, and the limit.
    """
    from arviz_stats.base.array import array_stats

    row = partial(_each_log_weight, samples=samples)
    log_w = np.asarray(each_row(row, model, units, row_keys(units, seed)), dtype=np.float64)
    most = int(min(samples / 5, 3 * np.sqrt(samples)))
    ordered = np.sort(log_w, axis=1)
    cut, quarter, top = ordered[:, -most - 1], ordered[:, -most + most // 4], ordered[:, -1]
    # Levels make few different weights: a tail without a slope is not heavy, and no generalised
    # Pareto fits it.
    sloping = (quarter - cut > EQUAL) & (top - ordered[:, -most + 1] > EQUAL)
    k = np.full(len(log_w), -np.inf)
    if sloping.any():
        with np.errstate(all="ignore"):  # of tails in which one weight is all there is
            # It takes the log-likelihoods of leaving one out, of which the log-weights are the
            # negatives.
            k[sloping] = array_stats.psislw(-log_w[sloping])[1]  # type: ignore[no-untyped-call]
    return np.where(np.isnan(k), np.inf, k), min(1 - 1 / np.log10(samples), 0.7)


def elbo(
    model: Model,
    objective: Callable[..., Array],
    units: NDArray[np.float32],
    *,
    samples: int = 16,
    seed: int = 0,
) -> NDArray[np.float64]:
    """The objective's value for each row, at weight 1 on the KL, in nats; shape (n,); 0 for a row
    without a cell.

    Raises
    ------
    ConfigError
        Fewer samples than one.
    """
    at_least_one("samples", samples)
    values = each_row(
        partial(_objective, objective=objective, samples=samples),
        model,
        units,
        row_keys(units, seed),
    )
    return np.where(np.isfinite(units).any(axis=1), np.asarray(values, dtype=np.float64), 0.0)


def at_least_one(name: str, number: int) -> None:
    """`ConfigError` where so many draws, chains or steps, by the name they were asked for, are not
    a whole number.
    """
    if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1; got {number!r}")


def row_keys(units: NDArray[np.float32], seed: int) -> PRNGKeyArray:
    """fold_in(seed, hash of the row's bytes) for each row, shape (n,)."""
    return jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(
        jnp.asarray(row_hashes(units))
    )


def each_row(
    function: Callable[..., Any],
    model: Model,
    units: NDArray[np.float32],
    keys: PRNGKeyArray,
    *,
    progress: Progress | None = None,
) -> Any:
    """Function (model, x, key) of every row, in blocks of fixed shape, one row at a time within a
    block.

    One program serves any number of rows, and takes time for those that are there alone.

    Returns
    -------
    Any
        What the function returns, with a leading axis of n rows, as NumPy arrays.
    """
    holed = np.isnan(units).any(axis=1)
    if not holed.any() or (posterior := for_missing(model.posterior)) is model.posterior:
        return _in_blocks(function, model, units, keys, progress)
    filling = eqx.tree_at(lambda m: m.posterior, model, posterior)
    if holed.all():
        return _in_blocks(function, filling, units, keys, progress)
    whole = _in_blocks(function, model, units[~holed], keys[~holed], progress)
    rest = None if progress is None else lambda done: progress(done + int((~holed).sum()))
    parts = (whole, _in_blocks(function, filling, units[holed], keys[holed], rest))
    order = np.argsort(np.concatenate([np.flatnonzero(~holed), np.flatnonzero(holed)]))
    return jax.tree.map(lambda a, b: np.concatenate([a, b])[order], *parts)


def _in_blocks(
    function: Callable[..., Any],
    model: Model,
    units: NDArray[np.float32],
    keys: PRNGKeyArray,
    progress: Progress | None,
) -> Any:
    n = len(units)
    padded = -(-max(n, 1) // BLOCK) * BLOCK
    rows = np.concatenate([units, np.zeros((padded - n, units.shape[1]), np.float32)])
    keys = jnp.concatenate([keys, jnp.broadcast_to(jax.random.key(0), (padded - n,))])
    blocks = []
    for i in range(0, padded, BLOCK):
        there = jnp.array(min(n - i, BLOCK))
        block = _block(
            _Named(function), model, jnp.asarray(rows[i : i + BLOCK]), keys[i : i + BLOCK], there
        )
        blocks.append(jax.tree.map(np.asarray, block))
        if progress is not None:
            progress(min(i + BLOCK, n))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:n], *blocks)


class _Named:
    """A partial function that equals another of the same function and settings, so that one
    compilation serves both.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.identity: tuple[Any, ...] = (function,)
        if isinstance(function, partial):
            self.identity = (function.func, tuple(sorted(function.keywords.items())))

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and self.identity == other.identity


@eqx.filter_jit
def _block(function: _Named, model: Model, rows: Array, keys: PRNGKeyArray, there: Array) -> Any:
    """Of the first rows, as many as are there, one after the other: a number of the program's, not
    of its shape.
    """
    of_row = jax.jit(
        lambda i: function.function(model, rows[i], keys[i])
    )  # traced once, for shapes and for the loop

    def put(i: Array, values: Any) -> Any:
        return jax.tree.map(
            lambda all, one: jax.lax.dynamic_update_index_in_dim(all, one, i, 0), values, of_row(i)
        )

    none = jax.tree.map(
        lambda one: jnp.zeros((BLOCK, *one.shape), one.dtype), jax.eval_shape(of_row, there)
    )
    return jax.lax.fori_loop(0, there, put, none)


def log_weights(model: Model, x: Array, key: PRNGKeyArray, samples: int) -> tuple[Array, Array]:
    """log p(x, z_s) - log q(z_s|x), shape (samples,), and the draws z_s, shape (samples,
    latent_dim).
    """
    q = model.posterior(x)
    z = q.sample(key, (samples,))
    return jax.vmap(partial(model.log_joint, x))(z) - q.log_prob(z), z


def _weight_sums(
    model: Model, x: Array, key: PRNGKeyArray, *, chunks: int, chunk: int
) -> tuple[Array, Array]:
    """Logarithms of the sum of the weights and of their squares, chunk by chunk so that memory
    stays bounded.
    """

    def add(sums: tuple[Array, Array], key: PRNGKeyArray) -> tuple[tuple[Array, Array], None]:
        w, _ = log_weights(model, x, key, chunk)
        total = jnp.logaddexp(sums[0], jax.nn.logsumexp(w))
        return (total, jnp.logaddexp(sums[1], jax.nn.logsumexp(2 * w))), None

    nothing = (jnp.array(-jnp.inf), jnp.array(-jnp.inf))
    return jax.lax.scan(add, nothing, jax.random.split(key, chunks))[0]


def _each_log_weight(model: Model, x: Array, key: PRNGKeyArray, *, samples: int) -> Array:
    return log_weights(model, x, key, samples)[0]


def _objective(
    model: Model, x: Array, key: PRNGKeyArray, *, objective: Callable[..., Array], samples: int
) -> Array:
    return objective(model, x, key, samples=samples)


def row_hashes(units: NDArray[np.float32]) -> NDArray[np.uint32]:
    """A 32-bit hash of each row's bytes: each cell mixed with its place (splitmix64), then summed."""
    bits = (
        np.ascontiguousarray(np.where(units == 0, np.float32(0), units))
        .view(np.uint32)
        .astype(np.uint64)
    )
    place = np.arange(1, units.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = bits + place
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    total = (mixed ^ (mixed >> np.uint64(31))).sum(axis=1, dtype=np.uint64)
    return (total ^ (total >> np.uint64(32))).astype(np.uint32)
