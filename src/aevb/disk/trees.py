"""Trees as arrays by name, and back: how weights and training states go into safetensors files."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path, tree_map_with_path
from numpy.typing import ArrayLike, NDArray

from aevb.errors import ModelFileError

__all__ = ["from_arrays", "to_arrays"]

Tree = TypeVar("Tree")


def to_arrays(tree: object) -> dict[str, NDArray[np.generic]]:
    """The arrays of a tree by their key path; leaves that are no arrays are left out.

    >>> to_arrays({"layers": [{"bias": np.zeros(2)}], "name": "tanh"})
    {"['layers'][0]['bias']": array([0., 0.])}
    """
    return {keystr(path): np.asarray(leaf) for path, leaf in _array_leaves(tree)}


def from_arrays(
    like: Tree,
    arrays: Mapping[str, NDArray[np.generic]],
    name: str,
    *,
    finite: bool = False,
    as_array: Callable[[NDArray[np.generic]], ArrayLike] = jnp.asarray,
) -> Tree:
    """The tree `like` with its arrays replaced by those that `to_arrays` gave.

    Parameters
    ----------
    like
        Holds an array or a `jax.ShapeDtypeStruct` wherever the result holds an array.
    arrays
        By key path. Names, shapes and types must be those of `like`.
    name
        The file, for messages.
    finite
        Whether NaN and infinity are refused.
    as_array
        Makes a leaf of a NumPy array: `jnp.asarray`, or `np.array`, which keeps float64.

    Raises
    ------
    ModelFileError
        An array is missing, left over, not finite, or of another shape or type.
    """
    expected = {keystr(path): leaf for path, leaf in _array_leaves(like)}
    for key, leaf in expected.items():
        if key not in arrays:
            raise ModelFileError(f"{name}: expected {_described(key, leaf)}, found nothing")
        found = arrays[key]
        if found.shape != leaf.shape or found.dtype != leaf.dtype:
            raise ModelFileError(
                f"{name}: expected {_described(key, leaf)}, "
                f"found {found.dtype} of shape {found.shape}"
            )
        if finite and not np.isfinite(found).all():
            raise ModelFileError(f"{name}: expected {key} to be finite, found NaN or infinity")
    extra = sorted(arrays.keys() - expected.keys())
    if extra:
        raise ModelFileError(f"{name}: {extra[0]} belongs to no part of the model")

    def replaced(path: tuple[object, ...], leaf: object) -> object:
        if not _is_array(leaf):
            return leaf
        return as_array(arrays[keystr(path)])

    return tree_map_with_path(replaced, like)


def _array_leaves(tree: object) -> list[tuple[tuple[object, ...], jax.ShapeDtypeStruct]]:
    return [(path, leaf) for path, leaf in tree_leaves_with_path(tree) if _is_array(leaf)]


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic)


def _described(key: str, leaf: jax.ShapeDtypeStruct) -> str:
    return f"{key} as {leaf.dtype} of shape {leaf.shape}"
