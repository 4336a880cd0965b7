"""Three parts of the rows: to learn from, to stop and choose by, to report once."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aevb.errors import ConfigError, DataError

__all__ = ["split"]

Indices = NDArray[np.intp]


def split(
    n: int,
    *,
    validation: float,
    test: float,
    seed: int | None,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    ordered: bool = False,
) -> tuple[Indices, Indices, Indices]:
    """Row indices of three disjoint parts (train, validation, test) that together are all rows,
    each ascending.

    Parameters
    ----------
    n
        Number of rows.
    validation, test
        Size of each part: a fraction of the rows (a float below 1) or a number of rows (an
        integer). A part of a size above 0 gets a row where there are enough; train always, then
        validation, then test.
    seed
        Seed of the shuffle; of no effect where `ordered`.
    groups
        Shape (n,): rows of one group stay in one part. Rows whose group is missing are one group.
    ordered
        Rows are in time order: train comes first, then validation, then test. Rows of a group must
        then be together.

    Raises
    ------
    ConfigError
        A size that is negative, no number, or leaves no rows to learn from.
    DataError
        Fewer rows (or groups) than parts that need one, or ordered groups that are not together.

    Examples
    --------
    >>> split(10, validation=0.2, test=1, seed=0, ordered=True)
    (array([0, 1, 2, 3, 4, 5, 6]), array([7, 8]), array([9]))
    """
    held_out = _rows("validation", validation, n), _rows("test", test, n)
    unit = np.arange(n) if groups is None else _group_codes(groups, n, ordered)
    sizes = np.bincount(unit, minlength=1)
    units = len(sizes) if n else 0
    needed = 1 + (held_out[0] > 0)
    if units < needed:
        what = "rows" if groups is None else "groups of rows"
        raise DataError(
            f"expected at least {needed} {what} to split, got {units}: give more, or hold nothing out"
        )
    if sum(held_out) >= n > needed:
        raise ConfigError(
            f"expected validation and test to leave rows to learn from, got {held_out[0]} + {held_out[1]} of {n} rows"
        )
    order = np.arange(units) if ordered else np.random.default_rng(seed).permutation(units)
    first, second = _cuts(sizes[order], *held_out)
    part = np.empty(units, dtype=np.intp)
    part[order] = np.repeat([0, 1, 2], [first, second - first, units - second])
    train, validate, report = (np.flatnonzero(part[unit] == which) for which in range(3))
    return train, validate, report


def _rows(name: str, size: float, n: int) -> int:
    """The number of rows a fraction or a number of rows is."""
    if (
        isinstance(size, bool)
        or not isinstance(size, int | float | np.integer | np.floating)
        or not size >= 0
    ):
        raise ConfigError(f"expected {name} to be a fraction or a number of rows, got {size!r}")
    if isinstance(size, int | np.integer):
        return int(size)
    if size >= 1:
        raise ConfigError(
            f"expected {name} to be a fraction below 1 or a whole number of rows, got {size!r}"
        )
    return max(1, round(size * n)) if size else 0


def _group_codes(groups: Sequence[Any] | NDArray[Any], n: int, ordered: bool) -> Indices:
    """Each row's group, numbered in order of first appearance."""
    if len(groups) != n:
        raise DataError(f"expected a group for each of {n} rows, got {len(groups)}")
    number: dict[Any, int] = {}
    codes = np.array(
        [number.setdefault(_key(group), len(number)) for group in groups], dtype=np.intp
    )
    if ordered and (np.diff(codes) < 0).any():
        row = int(np.flatnonzero(np.diff(codes) < 0)[0]) + 1
        raise DataError(
            f"expected ordered rows of one group to be together, got group {groups[row]!r} again in row {row} "
            "(counting from 0): sort by group, or do not say ordered"
        )
    return codes


def _key(group: Any) -> Any:
    missing = type(group).__name__ in ("NAType", "NaTType") or (
        isinstance(group, float) and math.isnan(group)
    )
    return None if missing else group


def _cuts(sizes: Indices, validation: int, test: int) -> tuple[int, int]:
    """Where validation and test start in a row of groups of these sizes, so that each part comes
    nearest its share.
    """
    units, ends = len(sizes), np.cumsum(sizes)
    rows = int(ends[-1])
    fewest = 1 + (validation > 0)  # groups before the test rows
    kept_for_test = int(test > 0 and units > fewest)
    second = _nearest_cut(ends, rows - test) if test else units
    second = min(max(second, fewest), units - kept_for_test)
    if not validation:
        return second, second
    return min(max(_nearest_cut(ends, rows - validation - test), 1), second - 1), second


def _nearest_cut(ends: Indices, rows: int) -> int:
    """How many groups, taken from the front, hold most nearly this many rows."""
    starts = np.concatenate([[0], ends])
    return int(np.argmin(np.abs(starts - rows)))
