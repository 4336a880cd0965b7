"""Trees as arrays by name, and back: how weights and training states go into safetensors files."""

from collections.abc import Callable
from typing import TypeGuard, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path, tree_map_with_path
from numpy.typing import ArrayLike, NDArray

from aevb.disk.formats import Arrays
from aevb.errors import ModelFileError

__all__ = ["from_arrays", "to_arrays"]

Tree = TypeVar("Tree")


def to_arrays(tree: object) -> Arrays:
    """The arrays of a tree by their key path; leaves that are no arrays are left out.

    >>> to_arrays({"layers": [{"bias": np.zeros(2)}], "name": "tanh"})
    {"['layers'][0]['bias']": array([0., 0.])}
    """
    leaves = tree_leaves_with_path(tree)
    return {keystr(path): np.asarray(leaf) for path, leaf in leaves if _is_array(leaf)}


def from_arrays(
    like: Tree,
    arrays: Arrays,
    name: str,
    *,
    finite: bool = False,
    as_array: Callable[[NDArray[np.generic]], ArrayLike] = jnp.asarray,
) -> Tree:
    """The tree `like` with its arrays replaced by those that `to_arrays` gave.

    `like` has an array or a `jax.ShapeDtypeStruct` wherever the result has an array, of the same
    shape and type. `name` is the file, for messages. `finite` refuses NaN and infinity. `as_array`
    makes a leaf of a NumPy array; `np.array` keeps float64.

    Raises
    ------
    ModelFileError
        An array is missing, left over, not finite, or of another shape or type.
    """
    left_over = dict(arrays)

    def filled(path: tuple[object, ...], leaf: object) -> object:
        if not _is_array(leaf):
            return leaf
        key = keystr(path)
        array = left_over.pop(key, None)
        if array is None:
            raise ModelFileError(f"{name}: expected {key} as {_described(leaf)}, found nothing")
        if _described(array) != _described(leaf):
            raise ModelFileError(
                f"{name}: expected {key} as {_described(leaf)}, found {_described(array)}"
            )
        if finite and not np.isfinite(array).all():
            raise ModelFileError(f"{name}: expected {key} to be finite, found NaN or infinity")
        return as_array(array)

    tree = tree_map_with_path(filled, like)
    if left_over:
        raise ModelFileError(f"{name}: {min(left_over)[:80]!r} belongs to no part of the model")
    return tree


def _is_array(leaf: object) -> TypeGuard[NDArray[np.generic]]:
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic)


def _described(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} of shape {array.shape}"
