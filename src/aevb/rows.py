"""Functions of single rows over whole tables, and what belongs to a row: its hash and its keys.

A row's number is the same to the last bit in any batch, order and company: rows go one by one
through a program of fixed shape, and a row's draws come from a key made of the seed and the row's
own bytes. Draws of different rows are independent, so the error of their mean is what it seems.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree
from numpy.typing import ArrayLike, NDArray

from aevb.errors import ConfigError, DataError
from aevb.forked import refuse_if_forked
from aevb.model import Model

__all__ = [
    "Progress",
    "RowFunction",
    "are_empty",
    "check_count",
    "content_hashes",
    "map_rows",
    "mean_and_error",
    "row_hashes",
    "row_keys",
]

#: Called with the number of rows that are done.
Progress = Callable[[int], None]
#: (model, one row of each array) -> arrays.
RowFunction = Callable[..., PyTree[Array]]
#: One number, vector or random key for each row.
RowArray = NDArray[np.float32] | PRNGKeyArray


def map_rows(
    function: RowFunction,
    model: Model,
    *arrays: ArrayLike | PRNGKeyArray,
    block: int = 128,
    progress: Progress | None = None,
) -> PyTree[np.ndarray]:
    """function(model, row of each array) for every row, as NumPy arrays with n rows each.

    One program of `block` rows serves any number of rows, and takes time only for those that are
    there. Equal functions share it; an `equinox.Partial` may hold further arrays and settings. Rows
    with a missing cell in the first array are given `model.for_missing()`. `progress` is called
    with the number of rows that are done, after each block.
    """
    refuse_if_forked()
    report = progress or (lambda done: None)
    tables = tuple(_row_array(array) for array in arrays)
    missing = _have_missing(tables[0])
    for_missing = model
    if missing.any():
        for_missing = model.for_missing()
    if for_missing is model or missing.all():
        return _in_blocks(function, for_missing, tables, block, report)
    complete, holed = np.flatnonzero(~missing), np.flatnonzero(missing)
    rows = tuple(table[complete] for table in tables)
    first = _in_blocks(function, model, rows, block, report)
    rows = tuple(table[holed] for table in tables)
    second = _in_blocks(
        function, for_missing, rows, block, lambda done: report(len(complete) + done)
    )
    order = np.argsort(np.concatenate([complete, holed]))
    return jax.tree.map(lambda a, b: np.concatenate([a, b])[order], first, second)


def row_keys(rows: ArrayLike, seed: int) -> PRNGKeyArray:
    """fold_in(seed, hash of the row's bytes) for each row, shape (n,)."""
    refuse_if_forked()
    return jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(
        jnp.asarray(row_hashes(rows))
    )


def row_hashes(rows: ArrayLike) -> NDArray[np.uint32]:
    """A 32-bit hash of the bytes of each row of float32 numbers, shape (n,).

    Each cell is mixed with its place (splitmix64), then all are added.
    """
    cells = _row_array(rows)
    bits = np.where(cells == 0, np.float32(0), cells).view(np.uint32).astype(np.uint64)
    mixed = _mixed(bits + _places(bits), 30, 0xBF58476D1CE4E5B9)
    mixed = _mixed(mixed, 27, 0x94D049BB133111EB)
    total = (mixed ^ (mixed >> np.uint64(31))).sum(axis=1, dtype=np.uint64)
    return (total ^ (total >> np.uint64(32))).astype(np.uint32)


def content_hashes(rows: NDArray[np.float64]) -> NDArray[np.uint64]:
    """A 64-bit hash of the bytes of each row of float64 numbers, shape (n,); all NaN are alike."""
    bits = np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows + 0.0)).view(np.uint64)
    mixed = _mixed(bits, 31, 0xBF58476D1CE4E5B9) + _places(bits)
    mixed = _mixed(mixed, 29, 0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64)


def are_empty(rows: ArrayLike) -> NDArray[np.bool_]:
    """Which rows have no observed cell, shape (n,)."""
    return np.asarray(np.isnan(_row_array(rows)).all(axis=1))


def mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """The mean over rows and its standard error, deviation / sqrt(rows); NaN from a single row.

    Examples
    --------
    >>> mean_and_error(np.array([1.0, 3.0]))
    (2.0, 1.0)
    """
    error = float("nan")
    if len(values) > 1:
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()), error


def check_count(name: str, number: int) -> None:
    """Raise `ConfigError` if a number of draws, chains or steps is not a positive integer."""
    whole = isinstance(number, int | np.integer)
    if not whole or isinstance(number, bool) or number < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1; got {number!r}")


def _mixed(bits: NDArray[np.uint64], shift: int, factor: int) -> NDArray[np.uint64]:
    """One round of splitmix64."""
    return (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)


def _places(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A different number for each column, shape (D,)."""
    return np.arange(1, bits.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def _row_array(array: ArrayLike | PRNGKeyArray) -> RowArray:
    """Random keys as they are, anything else as single precision."""
    if isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    numbers = np.asarray(array, dtype=np.float32)
    if numbers.ndim < 2:
        raise DataError(f"rows must be an array of shape (n, D); got shape {numbers.shape}")
    return numbers


def _have_missing(array: RowArray) -> NDArray[np.bool_]:
    """Which rows have a missing cell, shape (n,)."""
    if not isinstance(array, np.ndarray):
        return np.zeros(len(array), dtype=bool)
    return np.asarray(np.isnan(array).any(axis=1))


def _in_blocks(
    function: RowFunction,
    model: Model,
    arrays: tuple[RowArray, ...],
    block: int,
    report: Progress,
) -> PyTree[np.ndarray]:
    """`map_rows` with one model for all rows."""
    n = len(arrays[0])
    blocks = []
    for start in range(0, max(n, 1), block):
        rows = tuple(_padded(array[start : start + block], block) for array in arrays)
        there = jnp.array(min(n - start, block))
        blocks.append(jax.tree.map(np.asarray, _run_block(function, model, rows, there)))
        report(min(start + block, n))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:n], *blocks)


def _padded(rows: RowArray, size: int) -> Array:
    """The rows, and as many more as make `size`; what these are does not matter."""
    lacking = size - len(rows)
    if isinstance(rows, np.ndarray):
        zeros = np.zeros((lacking, *rows.shape[1:]), rows.dtype)
        return jnp.asarray(np.concatenate([rows, zeros]))
    return jnp.concatenate([rows, jnp.broadcast_to(jax.random.key(0), (lacking,))])


@eqx.filter_jit
def _run_block(
    function: RowFunction, model: Model, rows: tuple[Array, ...], there: Array
) -> PyTree[Array]:
    """The function of the first `there` rows, one after the other.

    How many there are is a number of the program's, not of its shape.
    """
    # jit: traced once, for shapes and for the loop
    of_row = jax.jit(lambda i: function(model, *(array[i] for array in rows)))

    def put(i: Array, values: PyTree[Array]) -> PyTree[Array]:
        return jax.tree.map(
            lambda column, one: jax.lax.dynamic_update_index_in_dim(column, one, i, 0),
            values,
            of_row(i),
        )

    size = len(rows[0])
    zeros = jax.tree.map(
        lambda one: jnp.zeros((size, *one.shape), one.dtype), jax.eval_shape(of_row, there)
    )
    return jax.lax.fori_loop(0, there, put, zeros)
