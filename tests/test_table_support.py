"""Grids and supports."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aevb.errors import DataError
from aevb.table.schema import Column
from aevb.table.support import check_support, on_grid


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
    check_support(column, np.array(good))
    with pytest.raises(DataError, match=f"'c', row 3 .*{column.kind}"):
        check_support(column, np.array([*good, bad, bad]))


def test_any_number_is_on_the_line():
    check_support(Column("c", "continuous"), np.array([-1e308, 1e308, np.nan]))
