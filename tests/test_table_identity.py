"""The same data have one fingerprint, and other data another."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from aevb.table import fingerprint

COLUMNS = {
    "number": [0.5, None, 1.5],
    "whole": [1, 2, 3],
    "text": ["x", None, "é"],
    "flag": [True, False, True],
}


def digest(data: object) -> str:
    return str(fingerprint(data)["sha256"])


def test_it_is_that_of_the_cells_whatever_holds_them() -> None:
    frames = [pd.DataFrame(COLUMNS), pl.DataFrame(COLUMNS), pa.table(COLUMNS)]
    assert len({digest(frame) for frame in frames}) == 1
    assert fingerprint(frames[0]) == {"rows": 3, "columns": 4, "sha256": digest(frames[1])}


@pytest.mark.parametrize(
    "change",
    [lambda t: t.assign(number=[0.5, None, 1.6]), lambda t: t.assign(number=[0.5, 0.0, 1.5]),
     lambda t: t.assign(text=["x", "", "y"]), lambda t: t.assign(flag=[True, True, True]),
     lambda t: t.rename(columns={"whole": "all"}), lambda t: t[::-1], lambda t: t[["whole", "number", "text", "flag"]],
     lambda t: t[:2], lambda t: t.assign(more=1)],
)  # fmt: skip
def test_any_change_changes_it(change) -> None:
    table = pd.DataFrame(COLUMNS)
    assert digest(change(table)) != digest(table)


def test_arrays_of_any_layout_and_images() -> None:
    array = np.random.default_rng(0).normal(size=(6, 4, 4))
    assert (
        fingerprint(array)
        == fingerprint(array.reshape(6, 16))
        == fingerprint(np.asfortranarray(array))
    )
    assert digest(array) != digest(array.reshape(12, 8))
    assert digest(array) != digest(array[::-1])
    assert digest(np.zeros((2, 8), np.uint8)) != digest(np.zeros((2, 1)))
    text = np.array([["a", "b"], ["c", "d"]])
    assert (
        digest(text) == digest(text.astype(object)) != digest(text.T)
    )  # the cells, not where they lie in memory
    masked = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[True, False], [False, False]])
    assert digest(masked) != digest(masked.data)


def test_what_no_model_can_hold_has_one_too() -> None:
    strange = {
        "day": [datetime.date(2020, 1, day) for day in (1, 2)],
        "time": [datetime.datetime(2020, 1, day) for day in (1, 2)],
        "large": [2**60 + 1, 7],
        "list": [[1], [2, 3]],
    }
    for kind in (pd.DataFrame, pl.DataFrame, pa.table):
        assert digest(kind(strange)) == digest(kind(strange))
        for name in strange:
            assert digest(kind(strange)) != digest(kind({**strange, name: strange[name][::-1]}))
    mixed = np.array([[1, "a"], [b"b", 2]], dtype=object)
    assert digest(mixed) == digest(mixed.copy()) != digest(mixed.T)
