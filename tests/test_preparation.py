"""Laws of preparation: rows in an order of their own, whole weights as repetitions, gray values
made 0 or 1.
"""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aevb.errors import ConfigError, DataError
from aevb.preparation import (
    are_repetitions,
    bernoulli,
    canonical_order,
    prepare,
    restored,
    weighted_rows,
)
from aevb.settings import Settings

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 17, (60, 20)).astype(float)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 5))
def test_the_order_is_that_of_the_contents(seed: int, rows: int, columns: int) -> None:
    """Few levels, so that rows repeat; NaN and both zeros among them."""
    rng = np.random.default_rng(seed)
    values = rng.choice([0.0, -0.0, 1.0, np.nan, 1e300], (rows, columns))
    shuffled = values[rng.permutation(rows)]
    one, other = values[canonical_order(values, None)], shuffled[canonical_order(shuffled, None)]
    np.testing.assert_array_equal(one, other)
    assert sorted(canonical_order(values, None)) == list(range(rows))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 30))
def test_a_whole_weight_is_a_repetition(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 3))
    weights = rng.integers(1, 4, rows).astype(float)
    repeated = np.repeat(values, weights.astype(int), axis=0)
    np.testing.assert_array_equal(
        values[canonical_order(values, weights)], repeated[canonical_order(repeated, None)]
    )


def test_other_weights_leave_each_row_once() -> None:
    values = RNG.normal(size=(5, 2))
    for weights in (np.full(5, 0.5), np.full(5, 11.0)):
        assert not are_repetitions(weights)
        assert sorted(canonical_order(values, weights)) == list(range(5))
    assert are_repetitions(np.array([1.0, 3.0, 0.0, 2.0, 1.0]))


def test_rows_of_weight_zero_are_as_if_absent() -> None:
    data = RNG.normal(size=(4, 2))
    rows, y, weights, groups = weighted_rows(data, [1, 2, 3, 4], [1, 0, 2, 0], list("abcd"))
    np.testing.assert_array_equal(rows, data[[0, 2]])
    assert (list(y), list(weights), list(groups)) == ([1, 3], [1, 2], ["a", "c"])
    assert weighted_rows(data, None, None, None) == (data, None, None, None)


@pytest.mark.parametrize(
    "weights", [[1, 2], [1, 1, 1, np.nan], [1, 1, 1, -1], [0, 0, 0, 0], [1, 1, 1, np.inf]]
)
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(DataError, match="sample_weight must"):
        weighted_rows(RNG.normal(size=(4, 2)), None, weights, None)


def test_binarization_is_the_row_s_own() -> None:
    """The same 0s and 1s for a row in any company, others for another seed; NaN stays."""
    gray = GRAY.copy()
    gray[3, 5] = np.nan
    preparation, values = prepare(gray, Settings(binarize="static"), seed=1)
    units = preparation.units(values)
    assert set(np.unique(units[~np.isnan(units)])) == {0.0, 1.0}
    assert np.array_equal(np.isnan(units), np.isnan(gray))
    assert np.array_equal(preparation.units(values[7:8]), units[7:8])
    assert np.array_equal(preparation.units(values[::-1]), units[::-1], equal_nan=True)
    other, _ = prepare(gray, Settings(binarize="static"), seed=2)
    assert not np.array_equal(other.units(values), units, equal_nan=True)
    assert preparation.resample is None
    assert np.array_equal(preparation.training_units(values), units, equal_nan=True)
    again = restored(preparation.source, Settings(binarize="static"), 1)
    assert np.array_equal(again.units(values), units, equal_nan=True)


def test_dynamic_binarization_leaves_training_rows_gray() -> None:
    preparation, values = prepare(GRAY, Settings(binarize="dynamic"), seed=1)
    gray = preparation.training_units(values)
    np.testing.assert_allclose(gray, GRAY / 16, rtol=1e-6)
    np.testing.assert_allclose(preparation.values_of(gray), GRAY, rtol=1e-6)
    assert preparation.resample is bernoulli
    assert {column.kind for column in preparation.schema.columns} == {"binary"}


def test_draws_have_the_gray_value_as_their_mean_and_keep_missing_cells() -> None:
    x = np.array([0.0, 0.25, 0.9, 1.0, np.nan], np.float32)
    draws = np.asarray(
        jax.vmap(lambda key: bernoulli(x, key))(jax.random.split(jax.random.key(0), 4_000))
    )
    assert np.isnan(draws[:, 4]).all()
    np.testing.assert_allclose(draws[:, :4].mean(0), x[:4], atol=0.03)
    assert (draws[:, 0] == 0).all()
    assert (draws[:, 3] == 1).all()


def test_binarizing_what_is_not_gray_names_the_column() -> None:
    with pytest.raises(ConfigError, match="'x0' is continuous"):
        prepare(RNG.normal(size=(40, 2)), Settings(binarize="static"), seed=0)


@pytest.mark.parametrize(
    ("likelihood", "kind", "measure"),
    [
        ("gaussian", "continuous", "density"),
        ("discretized_logistic", "continuous", "mass"),
        ("poisson", "count", "mass"),
        ("categorical", "categorical", "mass"),
    ],
)
def test_a_likelihood_by_name_is_that_of_every_column(
    likelihood: str, kind: str, measure: str
) -> None:
    data = np.column_stack([RNG.poisson(3.0, 200), RNG.poisson(9.0, 200)]).astype(float)
    preparation, values = prepare(data, Settings(likelihood=likelihood), seed=0)
    assert {(column.kind, column.measure) for column in preparation.schema.columns} == {
        (kind, measure)
    }
    if kind != "categorical":
        np.testing.assert_array_equal(values, data)


def test_likelihoods_by_column_leave_the_others_inferred() -> None:
    data = RNG.normal(size=(200, 2)) ** 2
    preparation, _ = prepare(data, Settings(likelihood={"x1": "log_normal"}), seed=0)
    assert preparation.schema.columns[1].kind == "positive"
    alone, _ = prepare(data, Settings(), seed=0)
    assert preparation.schema.columns[0] == alone.schema.columns[0]


def test_units_come_from_the_training_rows_and_go_back() -> None:
    data = RNG.normal(7.0, 3.0, (200, 2))
    preparation, values = prepare(data, Settings(), seed=0)
    scaled = preparation.scaled_by(values[:100])
    units = scaled.units(values)
    np.testing.assert_allclose(units[:100].mean(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(units[:100].std(0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(scaled.values_of(units), data, rtol=1e-5, atol=1e-5)
