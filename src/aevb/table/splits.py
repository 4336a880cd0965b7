"""Three parts of the rows: to learn from, to stop and choose by, to report once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aevb.errors import ConfigError, DataError
from aevb.table.tables import is_missing

__all__ = ["split"]

Indices = NDArray[np.intp]
Groups = Sequence[object] | NDArray[np.generic]


def split(
    n: int,
    *,
    validation: float,
    test: float,
    seed: int | None,
    groups: Groups | None = None,
    ordered: bool = False,
) -> tuple[Indices, Indices, Indices]:
    """Split n rows into train, validation and test: their indices, each part ascending.

    The sizes of validation and test are fractions of the rows (floats below 1) or numbers of rows
    (integers). If rows are few, train gets one first, then validation, then test. Rows of one group
    (`groups` has shape (n,), rows without a group are one) stay in one part. If `ordered`, rows are
    in time order, and the parts are too: train first, test last, no shuffle by the seed; rows of a
    group must then be together.

    `ConfigError` if a size is negative, no number, or leaves no rows to learn from; `DataError` if
    there are fewer rows (or groups) than parts, or ordered groups are not together.

    >>> split(10, validation=0.2, test=1, seed=0, ordered=True)
    (array([0, 1, 2, 3, 4, 5, 6]), array([7, 8]), array([9]))
    """
    validation = _rows("validation", validation, n)
    test = _rows("test", test, n)
    group = np.arange(n) if groups is None else _group_codes(groups, n, ordered)
    sizes = np.bincount(group)
    what = "rows" if groups is None else "groups of rows"
    _check_sizes(validation, test, n, len(sizes), what)
    order = np.arange(len(sizes))
    if not ordered:
        order = np.random.default_rng(seed).permutation(len(sizes))
    first, second = _cuts(sizes[order], validation, test)
    place = np.argsort(order)[group]
    middle = (first <= place) & (place < second)
    return np.flatnonzero(place < first), np.flatnonzero(middle), np.flatnonzero(place >= second)


def _check_sizes(validation: int, test: int, n: int, groups: int, what: str) -> None:
    needed = 1 + (validation > 0)
    if groups < needed:
        raise DataError(
            f"expected at least {needed} {what} to split, got {groups}: "
            "give more, or hold nothing out"
        )
    if validation + test >= n > needed:
        raise ConfigError(
            "expected validation and test to leave rows to learn from, got "
            f"{validation} + {test} of {n} rows"
        )


def _rows(name: str, size: float, n: int) -> int:
    """The number of rows that a fraction or a number of rows is."""
    number = isinstance(size, int | float | np.integer | np.floating)
    if isinstance(size, bool) or not number or not size >= 0:
        raise ConfigError(f"expected {name} to be a fraction or a number of rows, got {size!r}")
    if isinstance(size, int | np.integer):
        return int(size)
    if size >= 1:
        raise ConfigError(
            f"expected {name} to be a fraction below 1 or a whole number of rows, got {size!r}"
        )
    return max(1, round(size * n)) if size else 0


def _group_codes(groups: Groups, n: int, ordered: bool) -> Indices:
    """Each row's group, numbered in order of first appearance."""
    if len(groups) != n:
        raise DataError(f"expected a group for each of {n} rows, got {len(groups)}")
    number: dict[object, int] = {}
    codes: list[int] = []
    for row, group in enumerate(groups):
        missing = is_missing(group)
        code = number.setdefault(None if missing else group, len(number))
        if ordered and codes and code < codes[-1]:
            raise DataError(
                f"expected ordered rows of one group to be together, got group {group!r} again in "
                f"row {row} (counting from 0): sort by group, or leave out ordered"
            )
        codes.append(code)
    return np.array(codes, dtype=np.intp)


def _cuts(sizes: Indices, validation: int, test: int) -> tuple[int, int]:
    """How many groups come before validation and before test, so that each part comes nearest its
    number of rows.
    """
    groups, starts = len(sizes), np.concatenate([[0], np.cumsum(sizes)])

    def nearest(rows: int) -> int:
        return int(np.argmin(np.abs(starts - rows)))

    n = int(starts[-1])
    fewest = 1 + (validation > 0)  # groups before the test rows
    second = groups
    if test:
        most = groups - (groups > fewest)
        second = min(max(nearest(n - test), fewest), most)
    first = second
    if validation:
        first = min(max(nearest(n - validation - test), 1), second - 1)
    return first, second
