"""A tree's arrays come back in the same places, or what is wrong with them is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb.disk.trees import from_arrays, to_arrays
from aevb.errors import ModelFileError

TREE = {"layers": [jnp.ones((2, 3)), None], "scale": np.float64(1 / 3), "activation": jnp.tanh}


def test_trees_come_back() -> None:
    arrays = to_arrays(TREE)
    assert arrays.keys() == {"['layers'][0]", "['scale']"}
    again = from_arrays(TREE, arrays, "x")
    assert jax.tree.structure(again) == jax.tree.structure(TREE)
    assert again["activation"] is jnp.tanh
    assert isinstance(again["layers"][0], jax.Array)
    shapes = {"scale": jax.ShapeDtypeStruct((), np.float64)}
    only_scale = {"['scale']": arrays["['scale']"]}
    assert from_arrays(shapes, only_scale, "x", as_array=np.array)["scale"] == 1 / 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"['scale']": np.float32(1)}, "as float64 of shape .., found float32"),
     ({"['layers'][0]": np.ones((3, 2), np.float32)}, r"of shape .2, 3., found .* .3, 2."),
     ({"['layers'][0]": None}, "found nothing"),
     ({"['more']": np.zeros(1)}, "belongs to no part"),
     ({"['scale']": np.float64("inf")}, "to be finite")],
)  # fmt: skip
def test_trees_of_other_arrays(changes: dict[str, object], says: str) -> None:
    arrays = {**to_arrays(TREE), **changes}
    with pytest.raises(ModelFileError, match=says):
        from_arrays(TREE, {key: a for key, a in arrays.items() if a is not None}, "x", finite=True)
