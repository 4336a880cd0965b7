"""The rules for kinds, one by one; the same kinds whatever the container."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from aevb.errors import AevbWarning, ConfigError, DataError
from aevb.table import decode, infer

GENERATOR = np.random.default_rng(0)
GAUSSIAN = GENERATOR.standard_normal(400)


def kind_of(column, **options):
    return infer(pd.DataFrame({"c": column, "other": GAUSSIAN[: len(column)]}), **options).columns[
        0
    ]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (GAUSSIAN, "continuous"),
        (["a", "b"] * 200, "binary"),
        (["a", "b", "c", "b"] * 100, "categorical"),
        ([True, False] * 200, "binary"),
        ([0, 1] * 200, "binary"),
        ([1.5, 2.5] * 200, "binary"),
        ([1, 2, 3, 4, 5] * 80, "count"),
        ([0.5, 1.0, 1.5] * 100, "ordinal"),
        (np.arange(400) % 11 / 2, "continuous"),
        (np.arange(400) % 20, "count"),
        (np.arange(400) % 21, "count"),
        ([1, 2, 3, 4, 5], "count"),
        (np.arange(400) - 200, "continuous"),
        (GENERATOR.poisson(30, 400) * (np.arange(400) > 0), "count"),
        (pd.Categorical([1, 2, 3, 4] * 100), "categorical"),
        (pd.Categorical(["a", "b", "c"] * 100, ordered=True), "ordinal"),
        (pd.Categorical(["a", "b"] * 100, categories=["b", "a", "unmet"]), "categorical"),
    ],
)
def test_the_rules_of_one_column(column, kind):
    assert kind_of(column).kind == kind


def test_levels_are_plain_and_sorted_or_as_declared():
    whole = np.array([3, 1] * 20, dtype=np.int16)
    assert kind_of(whole).categories == (1, 3)
    assert {type(level) for level in kind_of(whole).categories} == {int}
    assert kind_of([2.5, 0.5, 1.0] * 20).categories == (0.5, 1.0, 2.5)
    assert {type(level) for level in kind_of([3.0, 1.0] * 20).categories} == {float}
    assert kind_of(["b", "c", "a", "c"] * 20).categories == ("a", "b", "c")
    assert kind_of([True, None, False] * 20).categories == (False, True)
    declared = pd.Categorical(["a", "b"] * 20, categories=["b", "a", "unmet"])
    assert kind_of(declared).categories == ("b", "a", "unmet")


def test_integers_are_on_a_grid_and_floats_record_theirs():
    column = kind_of((np.arange(400) - 200) * 3)
    assert (column.resolution, column.step, column.grid, column.measure) == (3, 3, 3, "mass")
    column = kind_of(np.round(GAUSSIAN, 1))
    assert (column.resolution, column.step, column.measure) == (0, 0.1, "density")
    assert column.grid == pytest.approx(0.1)
    assert kind_of(GAUSSIAN * 1e300).resolution == 0  # beyond 2^53 every float is whole


def test_atoms():
    spiked = np.where(np.arange(400) % 2, 0.0, np.abs(GAUSSIAN))
    assert kind_of(spiked).atoms == (0.0,)
    gains = np.where(np.arange(400) % 3, 0, GENERATOR.integers(1, 9999, 400))
    column = kind_of(gains)
    assert (column.kind, column.atoms, column.resolution) == ("count", (), 1)


@pytest.mark.parametrize(
    ("array", "upper", "resolution"),
    [
        (GENERATOR.integers(0, 17, (50, 64)), 16, 1),
        (GENERATOR.integers(0, 16, (50, 64)).astype(float), 15, 1),
        (GENERATOR.integers(0, 256, (50, 16)), 255, 1),
        (GENERATOR.integers(0, 256, (50, 16)) / 255, 1, 1 / 255),
        ((GENERATOR.integers(0, 256, (50, 16)) / 255).astype(np.float32), 1, 1 / 255),
        (GENERATOR.integers(3, 201, (50, 28, 28)).astype(np.uint8), 255, 1),
        (GENERATOR.integers(0, 256, (200, 3)).astype(np.uint8), 255, 1),
    ],
)
def test_gray_values_are_pixels(array, upper, resolution):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = infer(array)
    assert {column.kind for column in schema.columns} == {"pixel"}
    assert {(c.lower, c.upper, c.resolution) for c in schema.columns} == {(0, upper, resolution)}
    assert schema.image_shape == (array.shape[1:] if array.ndim > 2 else None)


def test_black_and_white_is_binary_also_where_a_pixel_never_changes():
    images = GENERATOR.integers(0, 2, (50, 4, 4))
    images[:, 0, 0] = 0
    with pytest.warns(AevbWarning, match="constant.*x0"):
        schema = infer(images)
    assert {(column.kind, column.categories) for column in schema.columns} == {("binary", (0, 1))}


def test_a_table_of_numbers_is_no_image():
    kinds = {
        column.kind
        for column in infer(GENERATOR.integers(0, 90, (200, 3)).astype(np.uint8)).columns
    }
    assert kinds == {"count"}
    assert {column.kind for column in infer(GENERATOR.standard_normal((50, 8, 8))).columns} == {
        "continuous"
    }


@pytest.mark.parametrize(
    "convert", [pl.from_pandas, pa.Table.from_pandas, lambda frame: frame.astype(object)]
)
def test_kinds_do_not_depend_on_the_container(convert):
    frame = pd.DataFrame(
        {
            "a": GAUSSIAN,
            "b": np.arange(400) % 4,
            "c": np.where(np.arange(400) % 3, "x", None),
            "d": np.arange(400) % 50,
            "e": np.where(np.arange(400) % 2, np.nan, GAUSSIAN),
            "f": np.arange(400) % 7 > 3,
        }
    )
    with pytest.warns(AevbWarning, match="constant"):
        here, there = infer(frame), infer(convert(frame))
    for one, other in zip(here.columns, there.columns, strict=True):
        assert (one.name, one.kind, one.categories, one.atoms, one.grid, one.missing) == (
            *(other.name, other.kind, other.categories, other.atoms, other.grid, other.missing),
        )


def test_infer_does_not_depend_on_the_order_of_rows():
    frame = pd.DataFrame({"a": GAUSSIAN, "b": list("abcd") * 100, "c": np.arange(400) % 5})
    assert infer(frame) == infer(frame.sample(frac=1, random_state=0))


def test_fraction_missing():
    assert kind_of(np.where(np.arange(400) % 4, GAUSSIAN, np.nan)).missing == 0.25


def test_said_kinds():
    schema = infer(
        pd.DataFrame(
            {"a": np.arange(1, 401) % 5 + 1, "b": np.linspace(0, 1, 400), "c": list("abcd") * 100}
        ),
        columns={"a": "positive", "b": "proportion", "c": "ordinal"},
    )
    assert [column.kind for column in schema.columns] == ["positive", "proportion", "ordinal"]
    assert (schema.columns[1].lower, schema.columns[1].upper) == (0, 1)
    assert kind_of([1, 2, 3, 4] * 10, columns={"c": "continuous"}).resolution == 1
    assert kind_of([0, 1, 2] * 10, columns={"c": "count"}).lower == 0
    assert kind_of([0, 3, 9] * 10, columns={"c": "pixel"}).upper == 15
    assert kind_of([True, False] * 10, columns={"c": "categorical"}).categories == (False, True)


@pytest.mark.parametrize(
    ("column", "kind", "row"),
    [
        ([1, 2, -3, 4], "count", 2),
        ([1, 2.5, 3, 4], "count", 1),
        ([0.5, 0.2, 0.1, 1.5], "proportion", 3),
        ([1.0, 0.0, 2.0, 3.0], "positive", 1),
        ([1, 2, 3, 4], "binary", 2),
        (["a", "b", "a", "c"], "binary", 3),
        ([1, -1, 3, 4], "pixel", 1),
        ([0.1, 0.2, 3, 4], "pixel", 0),
    ],
)
def test_said_kinds_that_cannot_hold_a_value(column, kind, row):
    with pytest.raises(DataError, match=f"'c', row {row} "):
        kind_of(column, columns={"c": kind})


def test_text_is_no_number():
    with pytest.raises(
        DataError, match="'c': expected numbers for kind 'continuous', got text such as 'a'"
    ):
        kind_of(["a", "b"] * 3, columns={"c": "continuous"})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"columns": {"othr": "continuous"}}, "did you mean 'other'"),
        ({"columns": {"other": "continous"}}, "did you mean 'continuous'"),
        ({"ignore": ["othe"]}, "did you mean 'other'"),
        ({"labels": ["zzz"]}, "there are c, other"),
    ],
)
def test_names_and_kinds_that_do_not_exist(options, says):
    with pytest.raises(ConfigError, match=says):
        kind_of([1.0, 2.0, 4.0], **options)


def test_ignored_and_label_columns_stay_out():
    frame = pd.DataFrame(
        {"id": [2**60 + 1, 2, 3], "a": [0.5, 1.5, 9.0], "y": list("abc"), "when": pd.NaT}
    )
    schema = infer(frame, ignore=["id", "when"], labels=["y"])
    assert (schema.names, schema.ignored, schema.labels) == (["a"], ("id", "y", "when"), ("y",))


def test_identifiers_are_left_out_with_a_warning():
    names = [f"person {i}" for i in range(40)]
    with pytest.warns(AevbWarning, match=r"identifier.*columns=\{'c': 'categorical'\}"):
        schema = infer(pd.DataFrame({"c": names, "a": GAUSSIAN[:40]}))
    assert (schema.names, schema.ignored) == (["a"], ("c",))
    assert kind_of(names, columns={"c": "categorical"}).kind == "categorical"
    many = [f"{i % 1001}" for i in range(3000)]
    with pytest.warns(AevbWarning, match="identifier"):
        assert infer(pd.DataFrame({"c": many, "a": np.arange(3000.0)})).ignored == ("c",)
    with pytest.raises(DataError, match="at most 10000 levels"):
        infer(pd.DataFrame({"c": [str(i) for i in range(10_001)]}), columns={"c": "categorical"})


def test_constant_and_all_missing_columns():
    with pytest.warns(AevbWarning, match="constant.*c"):
        column = kind_of([7.5] * 5)
    assert (column.kind, column.atoms) == ("continuous", (7.5,))
    with pytest.warns(AevbWarning, match="constant"):
        assert kind_of(["a"] * 5).kind == "categorical"
    for empty in ([None] * 5, [np.nan] * 5):
        with pytest.warns(AevbWarning, match="all cells are missing.*c"):
            assert infer(pd.DataFrame({"c": empty, "a": GAUSSIAN[:5]})).ignored == ("c",)
    with pytest.raises(DataError, match="at least one column"):
        infer(np.full((3, 2), np.nan))


def test_notes_say_what_was_warned():
    with pytest.warns(AevbWarning) as caught:
        schema = infer(pd.DataFrame({"a": [1.0, 1.0], "b": [None, None], "c": [1.5, 2.5]}))
    assert [str(one.message) for one in caught] == list(schema.notes)


def test_names_that_look_alike_are_kept_apart():
    with pytest.warns(AevbWarning, match="look alike"):
        schema = infer(pd.DataFrame({"caf\u00e9": [1.5, 2.5, 3.5], "cafe\u0301": [1.5, 2.5, 4.5]}))
    assert len(schema) == 2


def test_infinite_cells():
    array = np.array([[1.0, 2.0], [2.0, np.inf], [3.5, -np.inf]])
    with pytest.raises(DataError, match=r"'x1', row 1 .*finite.*empty"):
        infer(array)
    with pytest.warns(AevbWarning, match="constant"):
        assert infer(array, inf="missing").columns[1].missing == pytest.approx(2 / 3)


def test_extreme_numbers_are_scaled():
    array = np.array([[1.7e308, 1e-308], [-1.7e308, 5e-324], [1.6e308, 2e-308]])
    schema = infer(array)
    assert [column.kind for column in schema.columns] == ["continuous", "continuous"]
    assert np.isfinite(schema.scaled(array).to_model_units(array)).all()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (np.zeros((1, 3)), "at least 2 rows"),
        (
            pl.DataFrame({"raw": [b"a", b"b"], "a": [1, 2]}),
            r"'raw' \(Binary.*ignore=\['raw'\]",
        ),
        (pd.DataFrame({"a": [1, "x", 2]}), "'a' .*int and str"),
    ],
)
def test_data_that_nothing_can_be_learned_from(data, says):
    with pytest.raises(DataError, match=says):
        infer(data)


def test_given_ends_and_steps_are_those_of_what_is_drawn():
    numbers = np.random.default_rng(0).integers(1, 20, 200).astype(float)
    for choice, lower, resolution in (
        ({"lower": 0.5}, 1.0, 1.0),  # moved to the next whole number
        ({"lower": 0, "step": 0.5}, 0.0, 0.5),
        ({"lower": -0.5, "step": 0.5}, -0.5, 0.5),
    ):
        said = {"x0": {"kind": "continuous", **choice}}
        schema = infer(numbers[:, None], columns=said)
        (column,) = schema.columns
        assert (column.lower, column.resolution) == (lower, resolution)
        drawn = np.linspace(-2, 30, 90)[:, None]
        cells = decode(drawn, schema)[:, 0]
        assert column.holds(cells).all()
        assert cells.min() == lower
