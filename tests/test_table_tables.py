"""Every container shows the same cells and has the same fingerprint."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from aevb.errors import DataError
from aevb.table.tables import fingerprint, table_of

NUMBERS = [1.5, None, -2.0, 0.0]
TEXTS = ["b", None, "a", "b"]
FLAGS = [True, None, False, True]


def frames():
    columns = {"number": NUMBERS, "text": TEXTS, "flag": FLAGS}
    yield pd.DataFrame(columns)
    yield pd.DataFrame(columns).astype({"number": "Float64", "text": "string", "flag": "boolean"})
    yield pd.DataFrame(columns).astype({"text": "category", "flag": "category"})
    yield pd.DataFrame(columns).astype(object)
    yield pl.DataFrame(columns)
    yield pl.DataFrame(columns).with_columns(
        pl.col("text").cast(pl.Categorical), pl.col("number").cast(pl.Float32)
    )
    yield pl.DataFrame(columns).with_columns(pl.col("text").cast(pl.Enum(["a", "b"])))
    yield pa.table(columns)
    yield pa.table({**columns, "text": pa.array(TEXTS).dictionary_encode()})


@pytest.mark.parametrize("frame", list(frames()))
def test_every_frame_shows_the_same_cells(frame):
    table = table_of(frame)
    assert table.names == ("number", "text", "flag")
    np.testing.assert_array_equal(table.column("number").values, [1.5, np.nan, -2, 0])
    text, flag = table.column("text"), table.column("flag")
    assert (text.family, text.levels) == ("text", ("a", "b"))
    np.testing.assert_array_equal(text.values, [1, np.nan, 0, 1])
    assert (flag.family, flag.levels) == ("boolean", (False, True))
    np.testing.assert_array_equal(flag.values, [1, np.nan, 0, 1])


@pytest.mark.parametrize(
    "missing", [None, np.nan, pd.NA, pd.NaT, np.ma.masked, Decimal("NaN"), np.float32("nan")]
)
def test_every_way_of_missing(missing):
    column = np.empty((3, 2), dtype=object)
    column[:] = [[1, "a"], [missing, missing], [2, "b"]]
    table = table_of(column)
    np.testing.assert_array_equal(table.column("x0").values, [1, np.nan, 2])
    np.testing.assert_array_equal(table.column("x1").values, [0, np.nan, 1])


@pytest.mark.parametrize("dtype", [float, np.float32, int, bool, "U1"])
def test_masked_cells_are_missing(dtype):
    array = np.ma.MaskedArray(np.array([[1, 0], [0, 1]]).astype(dtype), mask=[[0, 1], [0, 0]])
    np.testing.assert_array_equal(np.isnan(table_of(array).column("x1").values), [True, False])


def test_images_are_flattened_and_lists_keep_their_types():
    assert len(table_of(np.zeros((2, 3, 4, 3))).names) == 36
    mixed = table_of([[1, "1"], [2, "2"]])
    assert [mixed.column(name).family for name in mixed.names] == ["number", "text"]


def test_decimals_are_exact_or_an_error():
    exact = pa.table({"price": pa.array([Decimal("0.10"), None, Decimal("12345.67")])})
    np.testing.assert_array_equal(table_of(exact).column("price").values, [0.1, np.nan, 12345.67])
    with pytest.raises(DataError, match=r"'price', row 1 .*0.1234567890123456789"):
        table_of(
            pa.table(
                {"price": [Decimal("0.1000000000000000000"), Decimal("0.1234567890123456789")]}
            )
        ).column("price")


@pytest.mark.parametrize(
    "column",
    [
        np.array([1, 2**63 + 5], dtype=np.uint64),
        np.array([1, 2**53 + 1]),
        np.array([1, 2**64 + 1], dtype=object),
        np.array([1, np.int64(2**53 + 1)], dtype=object),
        np.array([1, 10**400], dtype=object),
    ],
)
@pytest.mark.parametrize("container", [lambda c: c[:, None], lambda c: pd.DataFrame({"x0": c})])
def test_integers_that_float64_would_round_are_an_error(column, container):
    with pytest.raises(DataError, match=r"'x0', row 1 .*exactly.*ignore=\['x0'\]"):
        table_of(container(column)).column("x0")


def test_integers_that_float64_holds_are_exact():
    exact = [2**53, -(2**53), 2**53 + 2, 2**62]
    assert [int(v) for v in table_of(pl.DataFrame({"i": exact})).column("i").values] == exact
    assert table_of([[2**80], [3 * 2**70]]).column("x0").values.tolist() == [2.0**80, 3 * 2.0**70]


TIMES = {
    "date": [datetime.date(2020, 1, 1)] * 2,
    "datetime": [datetime.datetime(1677, 9, 22, tzinfo=datetime.UTC)] * 2,
    "duration": [datetime.timedelta(1)] * 2,
    "time": [datetime.time(1)] * 2,
}
UNSUPPORTED = {
    "binary": [b"a", b"b"],
    "list": [[1], [2]],
    "struct": [{"a": 1}, {"a": 2}],
}


@pytest.mark.parametrize(
    ("name", "unit", "value"),
    [
        ("date", "day", 18262),
        ("datetime", "day", -106751),
        ("duration", "day", 1),
        ("time", "hour", 1),
    ],
)
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_dates_times_and_durations_count_time(frame, name, unit, value):
    cells = table_of(frame({name: TIMES[name]})).column(name)
    assert (cells.family, cells.format.unit, cells.values.tolist()) == ("time", unit, [value] * 2)


@pytest.mark.parametrize("name", UNSUPPORTED)
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_types_without_a_likelihood(frame, name):
    cells = table_of(frame({name: UNSUPPORTED[name]})).column(name)
    assert cells.family == "unsupported"
    assert cells.dtype


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (np.zeros(3), "expected 2 axes"),
        (np.zeros((0, 3)), "0 rows"),
        (np.zeros((3, 0)), "0 columns"),
        (pd.DataFrame(), "0 rows and 0 columns"),
        (pl.DataFrame({"a": []}), "0 rows"),
        (pa.table({}), "0 columns"),
        (np.zeros((2, 2), dtype=complex), "complex"),
        (np.zeros((2, 2), dtype="M8[s]"), "datetime64"),
        (np.array([[b"a"]]), "an array of"),
        ([[1, 2], [3]], "expected a table"),
        ({"a": 1}, "expected 2 axes"),
        ("missing.csv", "expected 2 axes"),
        (pd.Series([1, 2]), "data frame"),
        (pl.LazyFrame({"a": [1]}), r"\.collect\(\)"),
    ],
)
def test_what_is_no_table(data, says):
    with pytest.raises(DataError, match=says):
        table_of(data)


def test_sparse_matrices_are_refused():
    from scipy.sparse import csr_matrix

    with pytest.raises(DataError, match=r"\.toarray\(\)"):
        table_of(csr_matrix(np.eye(2)))


HARD_NAMES = ["", " ", "a.b", "🦆", "שלום", "x" * 10_000, "__index_level_0__", "<script>", "a\nb"]


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_hard_names_are_kept(frame):
    assert table_of(frame({name: [1, 2] for name in HARD_NAMES})).names == tuple(HARD_NAMES)


def test_names_that_are_no_text_become_text_and_repeated_ones_are_refused():
    assert table_of(pd.DataFrame([[1, 2]])).names == ("0", "1")
    for frame in (
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=["1", 1]),
    ):
        with pytest.raises(DataError, match="twice"):
            table_of(frame)
    with pytest.raises(DataError, match="'a' twice"):
        table_of(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))


def test_arrays_of_jax():
    import jax.numpy as jnp

    np.testing.assert_array_equal(table_of(jnp.array([[1.5], [2.0]])).column("x0").values, [1.5, 2])


COLUMNS = {
    "number": [0.5, None, 1.5],
    "whole": [1, 2, 3],
    "text": ["x", None, "é"],
    "flag": [True, False, True],
}


def digest(data):
    return fingerprint(data)["sha256"]


def test_a_fingerprint_is_that_of_the_cells_whatever_holds_them():
    frames = [pd.DataFrame(COLUMNS), pl.DataFrame(COLUMNS), pa.table(COLUMNS)]
    assert len({digest(frame) for frame in frames}) == 1
    assert fingerprint(frames[0]) == {"rows": 3, "columns": 4, "sha256": digest(frames[1])}


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(number=[0.5, None, 1.6]),
        lambda table: table.assign(number=[0.5, 0.0, 1.5]),
        lambda table: table.assign(text=["x", "", "y"]),
        lambda table: table.assign(flag=[True, True, True]),
        lambda table: table.rename(columns={"whole": "all"}),
        lambda table: table[::-1],
        lambda table: table[["whole", "number", "text", "flag"]],
        lambda table: table[:2],
        lambda table: table.assign(more=1),
    ],
)
def test_any_change_changes_the_fingerprint(change):
    table = pd.DataFrame(COLUMNS)
    assert digest(change(table)) != digest(table)


def test_fingerprints_of_arrays_are_those_of_their_cells():
    array = np.random.default_rng(0).normal(size=(6, 4, 4))
    assert digest(array) == digest(array.reshape(6, 16)) == digest(np.asfortranarray(array))
    assert digest(array) != digest(array.reshape(12, 8))
    assert digest(array) != digest(array[::-1])
    assert digest(np.zeros((2, 8), np.uint8)) != digest(np.zeros((2, 1)))
    text = np.array([["a", "b"], ["c", "d"]])
    assert digest(text) == digest(text.astype(object)) != digest(text.T)
    masked = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[True, False], [False, False]])
    assert digest(masked) != digest(masked.data)
    mixed = np.array([[1, "a"], [b"b", 2]], dtype=object)
    assert digest(mixed) == digest(mixed.copy()) != digest(mixed.T)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_what_no_model_can_hold_has_a_fingerprint(frame):
    strange = {
        "day": [datetime.date(2020, 1, day) for day in (1, 2)],
        "time": [datetime.datetime(2020, 1, day) for day in (1, 2)],
        "large": [2**60 + 1, 7],
        "list": [[1], [2, 3]],
    }
    assert digest(frame(strange)) == digest(frame(strange))
    for name, cells in strange.items():
        assert digest(frame(strange)) != digest(frame({**strange, name: cells[::-1]}))
