"""Columns and schemas: supports, units there and back, measures, and a JSON form."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aevb.errors import DataError, ModelFileError
from aevb.table.schema import KINDS, LEVELED, Column, Schema, on_grid

SETTINGS = settings(deadline=None, derandomize=True, max_examples=80)
SCHEMA = Schema(
    columns=(
        Column("a", "continuous", grid=0.1, atoms=(0.0, 7.5)),
        Column("b", "categorical", dtype="str", categories=("x", "", "NA")),
        Column("c", "pixel", resolution=1 / 255, lower=0.0, upper=1.0),
        Column("d", "binary", categories=(False, True), missing=0.25),
        Column("e", "positive", scale=3.0),
    ),
    container="pandas",
    ignored=("id", "y"),
    labels=("y",),
    image_shape=(1, 5),
    notes=("constant: a",),
)


@SETTINGS
@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(2, 20), st.just(1)),
        elements=st.floats(-1e6, 1e6, allow_subnormal=False),
    )
)
def test_units_there_and_back(values):
    schema = Schema((Column("x", "continuous"),)).scaled(values)
    column = schema.columns[0]
    units = schema.to_model_units(values)
    assert units.dtype == np.float32
    assert column.scale > 0
    tolerance = 1e-6 * (np.abs(values).max() + column.scale)
    np.testing.assert_allclose(schema.from_model_units(units), values, rtol=1e-5, atol=tolerance)


@SETTINGS
@given(st.floats(-100, 100), st.floats(0.01, 100))
def test_model_units_do_not_depend_on_the_units_of_the_data(shift, factor):
    values = np.random.default_rng(0).standard_normal((50, 1))
    there = values * factor + shift
    schema = Schema((Column("x", "continuous"),))
    np.testing.assert_allclose(
        schema.scaled(there).to_model_units(there),
        schema.scaled(values).to_model_units(values),
        rtol=1e-4,
        atol=1e-4,
    )


def test_scaled_numbers_have_mean_0_and_deviation_1_without_their_atoms():
    values = np.append(np.random.default_rng(0).normal(5, 3, 500), np.zeros(300))[:, None]
    schema = Schema((Column("x", "continuous", atoms=(0.0,)),)).scaled(values)
    assert schema.columns[0].location == pytest.approx(values[:500].mean())
    assert schema.columns[0].scale == pytest.approx(values[:500].std())


@pytest.mark.parametrize(
    "values",
    [
        [1.7e308, -1.7e308, 1e308],
        [5e-324, 0.0, 1e-323],
        [1e-308, 2e-308, 3e-308],
        [1e300, 1e300, 1.0],
    ],
)
def test_no_number_is_too_large_or_too_small(values):
    values = np.array(values)[:, None]
    schema = Schema((Column("x", "continuous"),)).scaled(values)
    assert np.isfinite(schema.to_model_units(values)).all()


@pytest.mark.parametrize("cells", [[3.0, 3.0], [np.nan, np.nan], [0.0, np.nan], [-5e8, -5e8]])
def test_a_constant_column_has_a_scale(cells):
    values = np.array(cells)[:, None]
    schema = Schema((Column("x", "continuous"),)).scaled(values)
    assert schema.columns[0].scale >= 1
    np.testing.assert_array_equal(np.isnan(schema.to_model_units(values)), np.isnan(values))


def test_the_origin_of_positive_numbers_stays():
    values = np.exp(np.random.default_rng(0).normal(3, 1, (100, 1)))
    column = Schema((Column("x", "positive"),)).scaled(values).columns[0]
    assert column.location == 0
    assert np.log(column.scale) == pytest.approx(np.log(values).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_levels_counts_and_proportions_keep_their_units(kind):
    column = Column("x", kind, categories=("a", "b") if kind in LEVELED else ())
    scaled = Schema((column,)).scaled(np.array([[1.0], [2.0], [5.0]])).columns[0]
    kept = replace(scaled, unseen=0.0) == column
    assert kept == (kind in (*LEVELED, "count", "proportion"))


@pytest.mark.parametrize("kind", KINDS)
def test_values_never_met_have_little_probability(kind):
    column = Column("x", kind, categories=("a", "b") if kind in LEVELED else ())
    unseen = Schema((column,)).scaled(np.array([[1.0], [1.0], [1.0]])).columns[0].unseen
    assert unseen == {"pixel": 0.0}.get(kind, 0.25 if kind in LEVELED else 1e-6)


def test_measures():
    measures = {column.name: column.measure for column in SCHEMA.columns}
    assert measures == {"a": "mixed", "b": "mass", "c": "mass", "d": "mass", "e": "density"}
    assert Column("x", "continuous", resolution=1, atoms=(0.0,)).measure == "mass"
    assert Column("x", "count").measure == "mass"
    assert SCHEMA.measure == "mixed"
    assert Schema(SCHEMA.columns[1:4]).measure == "mass"


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 255))
def test_bytes_lie_on_their_grid_in_any_precision(k):
    for value in (k / 255, k * (1 / 255), float(np.float32(k) / np.float32(255))):
        assert on_grid(np.array([value]), 1 / 255).all()
    assert on_grid(np.array([float(k)]), 1).all()
    assert not on_grid(np.array([(k + 0.5) / 255]), 1 / 255).any()


def test_missing_cells_lie_on_any_grid_and_floats_beyond_2_to_53_on_none():
    np.testing.assert_array_equal(
        on_grid(np.array([np.nan, 0.5, 2.0**53, 2.0**54, 1e300]), 1), [1, 0, 1, 0, 0]
    )


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        (Column("c", "positive"), [1e-300, 5.0, np.nan], 0.0),
        (Column("c", "proportion", lower=0, upper=1), [0.0, 1.0, np.nan], 1.0001),
        (Column("c", "count", resolution=1, lower=0), [0.0, 7.0, np.nan], 2.5),
        (Column("c", "pixel", resolution=1, lower=0, upper=16), [0.0, 16.0, np.nan], 17.0),
    ],
)
def test_the_first_value_off_the_support_is_named(column, good, bad):
    column.check_support(np.array(good))
    with pytest.raises(DataError, match=f"'c', row 3 .*{column.kind}"):
        column.check_support(np.array([*good, bad, bad]))


def test_any_number_is_on_the_line():
    Column("c", "continuous").check_support(np.array([-1e308, 1e308, np.nan]))


def test_columns_by_kind():
    assert SCHEMA.where("pixel").tolist() == [2]
    assert SCHEMA.where("count").dtype == np.intp
    assert (len(SCHEMA), SCHEMA.names) == (5, list("abcde"))


def test_json_there_and_back():
    again = Schema.from_json(json.loads(json.dumps(SCHEMA.to_json())))
    assert again == SCHEMA
    assert again.notes == SCHEMA.notes
    assert [type(level) for level in again.columns[3].categories] == [bool, bool]


def changed(path, value):
    content = json.loads(json.dumps(SCHEMA.to_json()))
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        None,
        "text",
        changed(["columns"], None),
        changed(["columns", 0], {"name": "a"}),
        changed(["columns", 0, "kind"], "gaussian"),
        changed(["columns", 0, "kind"], ["continuous"]),
        changed(["columns", 0, "scale"], 0.0),
        changed(["columns", 0, "scale"], "1"),
        changed(["columns", 0, "scale"], float("nan")),
        changed(["columns", 0, "location"], float("inf")),
        changed(["columns", 0, "unknown"], 1),
        changed(["columns", 0, "atoms"], ["x"]),
        changed(["image_shape"], ["x"]),
        changed(["image_shape"], 5),
    ],
)
def test_anything_else_is_no_schema(content):
    with pytest.raises(ModelFileError, match=r"schema\.json does not hold"):
        Schema.from_json(content)
