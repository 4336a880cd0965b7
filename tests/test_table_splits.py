"""Parts of the rows: disjoint, complete, of the size asked, and loyal to groups and time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aevb.errors import ConfigError, DataError
from aevb.table import split

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100)
FRACTIONS = st.sampled_from([0.0, 0.1, 0.25, 0.4, 1, 3])


@SETTINGS
@given(st.integers(8, 200), FRACTIONS, FRACTIONS, st.booleans(), st.integers(0, 99))
def test_parts_are_disjoint_complete_and_of_the_size_asked(n, validation, test, ordered, seed):
    parts = split(n, validation=validation, test=test, seed=seed, ordered=ordered)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    for part, size in zip(parts[1:], (validation, test), strict=True):
        assert len(part) == (
            size if isinstance(size, int) else max(1, round(size * n)) if size else 0
        )
        assert (np.diff(part) > 0).all()
    if ordered:
        np.testing.assert_array_equal(np.concatenate(parts), np.arange(n))


@SETTINGS
@given(st.lists(st.integers(0, 12), min_size=20, max_size=80), st.booleans(), st.integers(0, 99))
def test_groups_stay_together(groups, ordered, seed):
    groups = sorted(groups) if ordered else groups
    count = len(set(groups))
    if count < 3:
        return
    parts = split(len(groups), validation=0.2, test=0.2, seed=seed, groups=groups, ordered=ordered)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(groups)))
    members = [{groups[i] for i in part} for part in parts]
    assert all(members)
    assert sum(map(len, members)) == count
    if ordered:
        np.testing.assert_array_equal(np.concatenate(parts), np.arange(len(groups)))


def test_seeds():
    one, again, other = (split(100, validation=0.2, test=0.2, seed=seed) for seed in (0, 0, 1))
    for part, same in zip(one, again, strict=True):
        np.testing.assert_array_equal(part, same)
    assert not np.array_equal(one[1], other[1])


def test_the_shuffle_is_uniform():
    met = sum(
        np.isin(np.arange(10), split(10, validation=2, test=0, seed=seed)[1])
        for seed in range(2000)
    )
    np.testing.assert_allclose(met / 2000, 0.2, atol=4 * np.sqrt(0.2 * 0.8 / 2000))


@pytest.mark.parametrize(("n", "sizes"), [(2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_few_rows_go_to_train_then_validation_then_test(n, sizes):
    assert tuple(map(len, split(n, validation=0.1, test=0.1, seed=0))) == sizes


def test_no_validation_no_test():
    assert tuple(map(len, split(1, validation=0, test=0, seed=0))) == (1, 0, 0)
    assert tuple(map(len, split(9, validation=0.0, test=0.0, seed=0))) == (9, 0, 0)


def test_missing_groups_are_one_group():
    groups = [None, float("nan"), "a", "b", None, "c", "a", np.nan]
    parts = split(8, validation=0.3, test=0.2, seed=3, groups=groups)
    homes = [i for i, part in enumerate(parts) if {0, 1, 4, 7} & set(part.tolist())]
    assert len(homes) == 1


@pytest.mark.parametrize("size", [-0.1, float("nan"), 1.5, -1, True, "0.1", None])
def test_sizes_that_are_none(size):
    with pytest.raises(ConfigError, match="validation"):
        split(10, validation=size, test=0, seed=0)


def test_nothing_left_to_learn_from():
    with pytest.raises(ConfigError, match=r"5 \+ 5 of 10 rows"):
        split(10, validation=5, test=5, seed=0)


@pytest.mark.parametrize(
    ("n", "groups", "what"),
    [(1, None, "rows"), (0, None, "rows"), (4, ["a"] * 4, "groups of rows")],
)
def test_too_few(n, groups, what):
    with pytest.raises(DataError, match=f"expected at least 2 {what} to split"):
        split(n, validation=0.2, test=0, seed=0, groups=groups)


def test_ordered_groups_must_be_together():
    with pytest.raises(DataError, match=r"group 'a' again in row 2"):
        split(4, validation=0.25, test=0.25, seed=0, groups=["a", "b", "a", "c"], ordered=True)
    with pytest.raises(DataError, match="a group for each of 3 rows"):
        split(3, validation=0.25, test=0.25, seed=0, groups=["a"])
