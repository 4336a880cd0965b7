"""Values and back: round trips to the last bit in every container; errors name column and row."""

import datetime

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aevb.errors import AevbWarning, DataError
from aevb.table import decode, encode, infer
from aevb.table.schema import Column, Schema

ROWS = 40
GENERATOR = np.random.default_rng(0)
COLUMNS = {
    "number": GENERATOR.standard_normal(ROWS),
    "whole": GENERATOR.integers(-500, 500, ROWS),
    "small": GENERATOR.integers(0, 4, ROWS).astype(np.int8),
    "half": (GENERATOR.integers(0, 3, ROWS) / 2).astype(np.float32),
    "text": np.array(["", "NA", "null"] * 13 + ["x"], dtype=object),
    "flag": GENERATOR.integers(0, 2, ROWS).astype(bool),
    "day": np.array([datetime.date(2020, 1, 1)] * ROWS),
}


def pandas_frame():
    frame = pd.DataFrame(COLUMNS, index=pd.Index(np.arange(ROWS)[::-1] * 3, name="row"))
    frame["text"] = frame["text"].astype(str)
    frame["level"] = pd.Categorical(
        frame["small"].map(lambda i: "dcba"[i]), categories=list("dcbae")
    )
    frame["grade"] = pd.Categorical(
        frame["small"].map(lambda i: "dcba"[i]), categories=list("dcba"), ordered=True
    )
    frame["code"] = pd.Categorical(frame["small"], categories=[3, 2, 1, 0])
    return frame


def containers():
    plain = pandas_frame()
    extension = plain.astype(
        {"whole": "Int64", "number": "Float64", "text": "string", "flag": "boolean"}
    )
    table = pa.table({name: pa.array(cells) for name, cells in COLUMNS.items()})
    table = table.append_column("level", pa.array(COLUMNS["text"]).dictionary_encode())
    table = table.append_column("large", pa.array(COLUMNS["text"], type=pa.large_string()))
    frame = pl.DataFrame(
        {**COLUMNS, "text": COLUMNS["text"].tolist(), "day": COLUMNS["day"].tolist()}
    ).with_columns(
        level=pl.col("text").cast(pl.Categorical),
        enum=pl.col("text").cast(pl.Enum(["x", "null", "", "NA"])),
    )
    return [plain, extension, frame, table]


def same(one, other):
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    else:
        assert one.equals(other)
        assert one.schema == other.schema


def with_missing(frame):
    """The same frame with a missing cell in each column, as the container says it."""
    if isinstance(frame, pd.DataFrame):
        mask = np.zeros(frame.shape, dtype=bool)
        mask[2:4] = True
        nullable = frame.astype(
            {name: "Int64" for name in frame if frame[name].dtype in ("int64", "int8")}
        )
        return nullable.astype({"small": "Int8", "flag": "boolean"}).mask(mask)
    if isinstance(frame, pl.DataFrame):
        return frame.with_columns(pl.when(pl.int_range(pl.len()) != 2).then(pl.all()).name.keep())
    keep = pa.array([i != 2 for i in range(ROWS)])
    columns = [
        pa.compute.if_else(keep, c.combine_chunks(), pa.scalar(None, c.type)) for c in frame.columns
    ]
    return pa.table(columns, names=frame.column_names)


def without_day(frame):
    if isinstance(frame, pa.Table):
        return frame.drop_columns("day")
    return nw.from_native(frame).drop("day").to_native()


@pytest.mark.parametrize("frame", containers())
def test_round_trip_to_the_last_bit(frame):
    schema = infer(frame, ignore=["day"])
    values = encode(frame, schema)
    same(frame, decode(values, schema, like=frame))
    alone, modeled = decode(values, schema), without_day(frame)
    if isinstance(frame, pd.DataFrame):
        modeled = modeled.reset_index(drop=True)
    same(modeled, alone)
    np.testing.assert_array_equal(encode(alone, schema), values)


@pytest.mark.parametrize("frame", containers())
def test_missing_cells_come_back_missing(frame):
    schema = infer(frame, ignore=["day"])
    holed = with_missing(frame)
    values = encode(holed, schema)
    assert np.isnan(values[2]).all()
    back = decode(values, schema, like=holed)
    np.testing.assert_array_equal(encode(back, schema), values)
    missing = nw.from_native(without_day(back))
    assert all(missing[name].is_null()[2] for name in missing.columns)
    if isinstance(frame, pd.DataFrame):
        assert back["small"].dtype == "Int8"


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int64, np.int16, bool])
def test_arrays_round_trip(dtype):
    array = GENERATOR.integers(0, 2 if dtype is bool else 100, (50, 3)).astype(dtype)
    schema = infer(array)
    same(array, decode(encode(array, schema), schema))
    ignored = infer(array, ignore=["x1"])
    assert encode(array, ignored).shape == (50, 2)
    same(array, decode(encode(array, ignored), ignored, like=array))


def test_images_and_mixed_arrays_round_trip():
    for images in (
        GENERATOR.integers(0, 256, (30, 4, 5, 3)).astype(np.uint8),
        GENERATOR.integers(0, 256, (30, 4, 5)) / 255,
    ):
        schema = infer(images)
        same(images, decode(encode(images, schema), schema, like=images))
    mixed = np.array(
        [[0.5, "a", True], [1.5, "b", False], [2.5, "c", None], [None, "a", True]], dtype=object
    )
    schema = infer(mixed)
    same(mixed[:2], decode(encode(mixed, schema), schema, like=mixed)[:2])
    texts = np.array([["a", "b"], ["b", "a"]])
    same(texts, decode(encode(texts, infer(texts)), infer(texts)))


def test_an_integer_array_with_missing_cells_becomes_float():
    array = np.array([[1, 5], [2, 6], [3, 9]])
    values = encode(array, infer(array))
    values[0, 0] = np.nan
    assert decode(values, infer(array)).dtype == np.float64


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(2, 30), st.integers(1, 4)),
        elements=st.one_of(
            st.just(np.nan),
            st.floats(allow_nan=False, allow_infinity=False),
            st.integers(0, 3).map(float),
        ),
    )
)
@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_any_float_array_round_trips(array):
    if np.isnan(array).all():
        return
    schema = infer(array)
    same(array, decode(encode(array, schema), schema, like=array))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=2, max_size=19), st.randoms())
@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_any_text_round_trips_in_any_order(cells, random):
    if not any(cell is not None for cell in cells):
        return
    frame = pl.DataFrame({"text": cells, "number": np.arange(len(cells)) + 0.5})
    schema = infer(frame, columns={"text": "categorical"})
    shuffled = frame[random.sample(range(len(cells)), len(cells))]
    for one in (frame, shuffled):
        assert decode(encode(one, schema), schema, like=one).equals(one)


def test_columns_of_python_objects_round_trip():
    cells = {
        "text": ["\ud800", "b", None, "b"],
        "number": [1, 2.5, 4, None],
        "flag": [True, None, False, True],
    }
    frame = pd.DataFrame(cells, dtype=object)
    schema = infer(frame)
    back = decode(encode(frame, schema), schema, like=frame)
    assert list(back.dtypes) == [object] * 3
    same(frame.fillna("missing"), back.fillna("missing"))


def test_empty_text_null_and_na_are_three_things():
    frame = pd.DataFrame({"text": ["", None, "NA", "x"] * 3})
    schema = infer(frame)
    assert schema.columns[0].categories == ("", "NA", "x")
    np.testing.assert_array_equal(encode(frame, schema)[:4, 0], [0, np.nan, 1, 2])


def test_numbers_are_rounded_and_clipped_to_their_support():
    columns = (
        Column("whole", "continuous", "float64", resolution=1),
        Column("count", "count", "float64", resolution=1, lower=0),
        Column("share", "proportion", "float64", lower=0, upper=1),
        Column("gray", "pixel", "float64", resolution=1 / 255, lower=0, upper=1),
        Column("level", "ordinal", "float64", categories=(1.5, 2.5, 4.5)),
    )
    values = np.array([[1.6, -3.0, 1.2, 0.5, 1.4], [-1.4, 2.4, -0.1, 9.0, 7.0]])
    decoded = decode(values, Schema(columns))
    np.testing.assert_array_equal(decoded, [[2, 0, 1, 128 / 255, 2.5], [-1, 2, 0, 1, 4.5]])
    small = Schema(tuple(Column(f"x{i}", "continuous", "uint8", resolution=1) for i in range(3)))
    np.testing.assert_array_equal(
        decode(np.array([[-3.0, 300.0, 5.4]]), small), np.array([[0, 255, 5]], dtype=np.uint8)
    )
    huge = Schema((Column("x0", "continuous", "int64", resolution=1),))
    assert decode(np.array([[1e30]]), huge)[0, 0] > 2**62


# What does not fit


FRAME = pd.DataFrame(
    {"a": GENERATOR.standard_normal(30), "b": list("xyz") * 10, "c": np.arange(30) % 3}
)
SCHEMA = infer(FRAME)


def test_missing_columns_are_listed():
    with pytest.raises(DataError, match="missing: 'a', 'c'"):
        encode(FRAME[["b"]], SCHEMA)
    with pytest.raises(DataError, match="expected 3 columns, got 2"):
        encode(np.zeros((2, 2)), SCHEMA)


def test_another_order_is_an_error_unless_asked():
    other = FRAME[["c", "a", "b"]]
    with pytest.raises(DataError, match="got 'c' where 'a'"):
        encode(other, SCHEMA)
    np.testing.assert_array_equal(encode(other, SCHEMA, reorder=True), encode(FRAME, SCHEMA))
    same(other, decode(encode(FRAME, SCHEMA), SCHEMA, like=other))


def test_extra_columns_are_left_alone_with_a_warning():
    extra = FRAME.assign(new=1)
    with pytest.warns(AevbWarning, match="left alone: new"):
        values = encode(extra, SCHEMA)
    same(extra, decode(values, SCHEMA, like=extra))


@pytest.mark.parametrize(
    ("name", "cells", "says"),
    [
        ("a", ["1"] * 30, "'a': expected numbers.*got text"),
        ("a", [True] * 30, "'a': expected numbers.*got booleans"),
        ("b", np.arange(30), "'b': expected text.*got numbers"),
        ("a", pd.to_datetime(["2020-01-01"] * 30), "'a': expected numbers.*datetime"),
    ],
)
def test_another_type_is_an_error(name, cells, says):
    with pytest.raises(DataError, match=says):
        encode(FRAME.assign(**{name: cells}), SCHEMA)


def test_other_number_types_are_numbers():
    np.testing.assert_array_equal(
        encode(FRAME.assign(c=FRAME["c"].astype("float32")), SCHEMA), encode(FRAME, SCHEMA)
    )
    np.testing.assert_array_equal(
        encode(FRAME.assign(c=FRAME["c"].astype("category")), SCHEMA), encode(FRAME, SCHEMA)
    )
    flags = pd.DataFrame({"f": [True, False] * 5})
    assert encode(flags.astype(float), infer(flags))[:2, 0].tolist() == [1, 0]


def test_values_never_met_are_infinite_with_one_warning():
    strange = FRAME.assign(b=["x", "?", "!"] * 10, c=[0, 1, 7] * 10)
    with pytest.warns(AevbWarning, match=r"^AEV302: 30 cells .*b: '!', '\?', c: 7.0$") as caught:
        values = encode(strange, SCHEMA)
    assert len(caught) == 1
    np.testing.assert_array_equal(np.isinf(values[:3]), [[0, 0, 0], [0, 1, 0], [0, 1, 1]])


def test_the_order_of_categories_does_not_matter():
    as_categories = [
        FRAME.assign(b=pd.Categorical(FRAME["b"], categories=order))
        for order in (list("xyz"), list("zyx"))
    ]
    for one in as_categories:
        np.testing.assert_array_equal(encode(one, SCHEMA), encode(FRAME, SCHEMA))
    schema = infer(as_categories[1])
    np.testing.assert_array_equal(
        encode(as_categories[0], schema), encode(as_categories[1], schema)
    )


def test_levels_in_float32_are_met_again():
    levels = np.tile([[0.1], [0.7], [3.3]], (10, 1))
    schema = infer(levels)
    assert schema.columns[0].kind == "ordinal"
    np.testing.assert_array_equal(encode(levels.astype(np.float32), schema), encode(levels, schema))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_cells_name_column_and_row(value):
    frame = FRAME.assign(a=[1.0] * 7 + [value] * 23)
    with pytest.raises(DataError, match=r"'a', row 7 .*inf"):
        encode(frame, SCHEMA)
    values = encode(frame, SCHEMA, inf="missing")
    np.testing.assert_array_equal(np.isnan(values[:, 0]), np.isinf(frame["a"]))


def test_an_infinite_level_is_none():
    frame = pd.DataFrame(
        {"a": pd.Categorical([1.0, 2.0, np.inf, 5.0] * 10, categories=[1.0, np.inf, 2.0, 5.0])}
    )
    schema = infer(frame, inf="missing")
    assert schema.columns[0].categories == (1.0, 2.0, 5.0)
    np.testing.assert_array_equal(encode(frame, schema, inf="missing")[:4, 0], [0, 1, np.nan, 2])


def test_values_off_the_support_are_infinite_and_no_gray_value_is_an_error():
    counts = np.arange(400)[:, None] % 50
    schema = infer(counts)
    assert schema.columns[0].kind == "count"
    with pytest.warns(AevbWarning, match=r"2 cells .*x0: -2.0, 2.5"):
        values = encode(np.array([[3], [-2], [2.5]]), schema)
    np.testing.assert_array_equal(values, [[3], [np.inf], [np.inf]])
    gray = infer(np.arange(256, dtype=np.uint8)[:, None] * np.ones((1, 16), np.uint8))
    assert gray.columns[0].kind == "pixel"
    with pytest.raises(DataError, match=r"'x3', row 1 .*-2"):
        encode(np.where(np.arange(32).reshape(2, 16) == 19, -2, 0), gray)


def test_an_all_missing_row_and_column_are_missing():
    values = encode(FRAME.assign(a=None, b=pd.Series([None] * 30, dtype=object)), SCHEMA)
    assert np.isnan(values[:, :2]).all()


def test_positions_count_where_one_side_has_no_names():
    array = np.column_stack([FRAME["a"], FRAME["c"]])
    schema = infer(array)
    other = pl.DataFrame({"p": array[:, 0], "q": array[:, 1]})
    np.testing.assert_array_equal(encode(other, schema), encode(array, schema))
    assert decode(encode(other, schema), schema, like=other).equals(other)
    numeric = infer(FRAME[["a", "c"]])
    same(array, decode(encode(array, numeric), numeric, like=array))


def test_another_container_is_answered_in_kind():
    other = pl.from_pandas(FRAME)
    back = decode(encode(other, SCHEMA), SCHEMA, like=other)
    assert isinstance(back, pl.DataFrame)
    np.testing.assert_array_equal(encode(back, SCHEMA), encode(FRAME, SCHEMA))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("name", ["", "a.b", "🦆", "__index_level_0__", "<script>", "x" * 10_000])
def test_hard_names_round_trip(frame, name):
    data = frame({name: [0.5, 1.5, 4.5], "z": [1.5, 2.5, 9.5]})
    schema = infer(data)
    same(data, decode(encode(data, schema), schema, like=data))
    same(data, decode(encode(data, schema), schema))


def test_names_that_are_no_text_are_kept_where_the_table_is_given():
    frame = pd.DataFrame(GENERATOR.standard_normal((5, 2)))
    same(frame, decode(encode(frame, infer(frame)), infer(frame), like=frame))


def test_the_schema_survives_json():
    for frame in containers():
        schema = infer(frame, ignore=["day"])
        again = Schema.from_json(schema.to_json())
        assert again == schema
        np.testing.assert_array_equal(encode(frame, again), encode(frame, schema))
