"""What a column of numbers can be: the ends, the steps and the single values of its support."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aevb.table.marginals import repeated
from aevb.table.schema import Values, on_grid

__all__ = ["Support", "spikes_of", "support_of"]


@dataclass(frozen=True)
class Support:
    """The support of a column of numbers, as its values suggest it.

    Parameters
    ----------
    whole
        All values are whole numbers.
    step
        The largest number that all values are multiples of, such as 1, 0.01 or 50; 0 if none is.
    resolution
        The same where each multiple has a probability: of whole numbers, and of decimal ones among
        which single values stand out, or which are few, such as prices that end on .99; else 0.
    lower, upper
        Ends, where there are any.
    atoms
        Values of a column that is not whole with a mass of their own.
    """

    whole: bool
    step: float
    resolution: float
    lower: float | None
    upper: float | None
    atoms: tuple[float, ...]


def support_of(levels: Values, counts: NDArray[np.intp]) -> Support:
    """The support of these distinct values in ascending order and how often each is met.

    Zero is the lower end where no value is below it. A value at which the others pile up is an end:
    the last of all, met five times or more and not much less often than its neighbors. So is the
    last of a grid, if by how its counts fall some more would have been met beyond it. Shares and
    percentages that come close to both 0 and 1, or 0 and 100, end there.

    >>> days = np.arange(1.0, 32.0)
    >>> support_of(days, np.full(31, 20))
    Support(whole=True, step=1.0, resolution=1.0, lower=1.0, upper=31.0, atoms=())
    """
    countable = bool(np.abs(levels).max() < 2.0**51)
    whole = countable and bool(on_grid(levels, 1.0).all())
    lower = 0.0 if levels[0] >= 0 else None
    upper = None
    step = _step(levels, int(counts.sum()))
    if _is_end(counts) or _is_cut(levels, counts, step):
        lower = float(levels[0])
    if _is_end(counts[::-1]) or _is_cut(levels[::-1], counts[::-1], step):
        upper = float(levels[-1])
    for end in (1.0, 100.0):
        if not whole and _is_share(levels / end):
            lower, upper = 0.0, end
            break
    atoms: tuple[float, ...] = ()
    if len(levels) == 1:
        atoms = (float(levels[0]),)
    elif not whole:
        atoms = spikes_of(levels, counts)
    resolution = 0.0
    if whole:
        resolution = step or 1.0
    elif len(levels) > 1 and (atoms or _is_heaped(levels, counts, step)):
        resolution = step
    return Support(whole, step, resolution, lower, upper, atoms)


def _is_end(counts: NDArray[np.intp], *, least: int = 5, share: float = 0.5) -> bool:
    """Whether values pile up at the first of them, so that it is an end and not a tail.

    It is met `least` times, and this share of what the next values are.
    """
    if len(counts) < 3:
        return False
    return bool(counts[0] >= least and counts[0] >= share * np.median(counts[1:5]))


def _is_share(levels: Values, *, near: float = 0.1) -> bool:
    """Whether values go from about 0 to about 1, with more than a stray one in the upper tenth.

    Distinct values count, so that a row of weight 2 is two rows.
    """
    if levels[0] < 0 or levels[-1] > 1 or levels[0] >= near:
        return False
    high = np.count_nonzero(levels > 1 - near)
    return bool(high >= 2 and high >= 0.01 * len(levels))


def _is_cut(levels: Values, counts: NDArray[np.intp], step: float, *, least: float = 8.0) -> bool:
    """Whether a grid stops at the first level, where a tail would have gone on.

    Counts fall by a ratio from cell to cell, which itself falls as that of a Gaussian does. It is
    an end where at least this many values would be expected in the next cell, and none is there.
    """
    if step == 0 or len(levels) < 4 or not np.allclose(np.abs(np.diff(levels[:3])), step):
        return False
    first, second, third = map(float, counts[:3])
    ratio = min(first / second, 1.0)
    ratio = ratio * min(ratio * third / second, 1.0)
    return first * ratio >= least


def spikes_of(levels: Values, counts: NDArray[np.intp], most: int = 64) -> tuple[float, ...]:
    """The values that are met far more often than their neighbors, the most frequent of many.

    That takes one row in twenty of few rows, and 25 of many.
    """
    times = np.asarray(counts, dtype=np.float64)
    least = float(np.clip(0.05 * times.sum(), 10, 25))
    found = np.flatnonzero(repeated(times, least=least))
    largest = sorted(found, key=lambda place: -counts[place])[:most]
    return tuple(float(levels[place]) for place in sorted(largest))


def _is_heaped(
    levels: Values, counts: NDArray[np.intp], step: float, *, least: float = 2.0
) -> bool:
    """Whether the middle half of the rows is on few of the grid's values, `least` rows on each."""
    if step == 0:
        return False
    below = np.cumsum(counts) / counts.sum()
    middle = (below >= 0.25) & (below <= 0.75)
    met = levels[middle]
    if len(met) < 2:
        return False
    cells = np.rint((met[-1] - met[0]) / step) + 1
    return bool(counts[middle].mean() >= least and len(met) <= cells / 2)


def _have_decimals(levels: Values, decimals: int) -> bool:
    """Whether these are the nearest to decimal numbers, to the last digit: 0.1 + 0.2 is not."""
    return np.array_equal(np.round(levels, decimals), levels)


def _step(levels: Values, rows: int, *, most_decimals: int = 6, fewest: int = 30) -> float:
    """The largest number of at most `most_decimals` decimals that all values are multiples of.

    Few rows, or few distinct values, may be multiples of more than 1 by chance.
    """
    largest = float(np.abs(levels).max())
    for decimals in range(most_decimals + 1):
        unit = 10.0**-decimals
        if largest > 2**53 * unit:
            return 0.0
        if not all(_have_decimals(some, decimals) for some in (levels[:100], levels)):
            continue
        if rows < fewest or len(levels) < 5:
            return unit
        common = np.gcd.reduce(np.rint(levels / unit).astype(np.int64))
        return float(np.round(common * unit, decimals))
    return 0.0
