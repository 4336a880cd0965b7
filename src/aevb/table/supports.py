"""What a column of numbers can be: the ends, the steps and the single values of its support."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aevb.table.marginals import repeated
from aevb.table.schema import Values, on_grid

__all__ = ["Support", "support_of"]


@dataclass(frozen=True)
class Support:
    """The support of a column of numbers, as its values suggest it.

    Parameters
    ----------
    whole
        All values are whole numbers.
    step
        The largest number that all values are multiples of, such as 1, 0.01 or 50; 0 if none is.
    lower, upper
        Ends, where there are any.
    atoms
        Values of a column that is not whole with a mass of their own.
    """

    whole: bool
    step: float
    lower: float | None
    upper: float | None
    atoms: tuple[float, ...]


def support_of(levels: Values, counts: NDArray[np.intp], *, most_atoms: int = 64) -> Support:
    """The support of these distinct values in ascending order and how often each is met.

    Zero is the lower end where no value is below it. A value at which the others pile up is an end:
    the last of all, met five times or more and not much less often than its neighbors. Shares and
    percentages that come close to both 0 and 1, or 0 and 100, end there.

    >>> days = np.arange(1.0, 32.0)
    >>> support_of(days, np.full(31, 20))
    Support(whole=True, step=1.0, lower=1.0, upper=31.0, atoms=())
    """
    whole = bool(on_grid(levels, 1.0).all())
    lower = 0.0 if levels[0] >= 0 else None
    upper = None
    if _is_end(counts):
        lower = float(levels[0])
    if _is_end(counts[::-1]):
        upper = float(levels[-1])
    for end in (1.0, 100.0):
        inside = levels[0] >= 0 and levels[-1] <= end
        if not whole and inside and levels[0] < 0.1 * end and levels[-1] > 0.9 * end:
            lower, upper = 0.0, end
            break
    atoms: tuple[float, ...] = ()
    if len(levels) == 1:
        atoms = (float(levels[0]),)
    elif not whole:
        atoms = _atoms(levels, counts, most_atoms)
    return Support(whole, _step(levels, int(counts.sum())), lower, upper, atoms)


def _is_end(counts: NDArray[np.intp], *, least: int = 5, share: float = 0.2) -> bool:
    """Whether values pile up at the first of them, so that it is an end and not a tail.

    It is met `least` times, and this share of what the next values are.
    """
    if len(counts) < 3:
        return False
    return bool(counts[0] >= least and counts[0] >= share * np.median(counts[1:5]))


def _atoms(levels: Values, counts: NDArray[np.intp], most: int) -> tuple[float, ...]:
    """The values that are met far more often than their neighbors, the most frequent of many.

    That takes one row in twenty of few rows, and 25 of many.
    """
    times = np.asarray(counts, dtype=np.float64)
    least = float(np.clip(0.05 * times.sum(), 10, 25))
    found = np.flatnonzero(repeated(times, least=least))
    largest = sorted(found, key=lambda place: -counts[place])[:most]
    return tuple(float(levels[place]) for place in sorted(largest))


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
