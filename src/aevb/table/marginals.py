"""The smooth monotone map of one ordered column: from its values to standard normal units.

A column with distribution function F has u = Phi^-1(F(x)), which is standard normal. F is learned
from training values as a density that is smooth on a scale that fits the support (the values, their
logarithms near an end), with the values of a grid that hold more added to it, and kept as a
table of bins: between two edges u is linear in x, so that a density of u times the slope is exactly
a density of x. A cell of a grid is an interval of u, and has its probability.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aevb.table.smooth import Counted, Smooth, smooth_density

__all__ = ["FARTHEST", "Marginal", "learn", "repeated"]

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: The unit that stands for an end without anything beyond: Phi(-40) is 0 in double precision.
FARTHEST = 40.0


@dataclass(frozen=True)
class Marginal:
    """A distribution function in K bins, and the map to the units in which it is standard normal.

    Parameters
    ----------
    edges
        K + 1 values in ascending order.
    heights
        u at the edges, in ascending order; -40 or 40 where the support ends.
    step
        Distance between the values of a grid, of which every bin holds whole cells; 0 for a
        density.

    Examples
    --------
    >>> coin = Marginal(edges=(-0.5, 0.5, 1.5), heights=(-40.0, 0.0, 40.0), step=1.0)
    >>> coin.to_units(np.array([0.0, 1.0])).round(2)
    array([-0.67,  0.67])
    >>> coin.from_units(np.array([-1.3, 0.2]))
    array([0., 1.])
    """

    edges: tuple[float, ...]
    heights: tuple[float, ...]
    step: float = 0.0

    def __post_init__(self) -> None:
        edges, heights = np.array(self.edges), np.array(self.heights)
        if len(edges) != len(heights) or len(edges) < 2:
            raise ValueError("a map has as many heights as edges, and at least two")
        if (np.diff(edges) <= 0).any() or (np.diff(heights) <= 0).any():
            raise ValueError("the edges and the heights of a map ascend")
        if not (np.isfinite(edges).all() and np.isfinite(heights).all() and self.step >= 0):
            raise ValueError("the numbers of a map are finite, and its step is not negative")

    @property
    def single(self) -> Flags:
        """Which bins hold one cell of a grid, shape (K,)."""
        return np.diff(self.edges) <= 1.5 * self.step

    @property
    def centers(self) -> Values:
        """u of the middle of each bin's probability, shape (K,)."""
        heights = np.array(self.heights)
        below, above = ndtr(heights), ndtr(-heights)
        lower = ndtri((below[1:] + below[:-1]) / 2)
        upper = -ndtri((above[1:] + above[:-1]) / 2)
        return np.where(heights[1:] + heights[:-1] < 0, lower, upper)

    @property
    def slopes(self) -> Values:
        """du/dx in each bin, shape (K,)."""
        return np.diff(self.heights) / np.diff(self.edges)

    def to_units(self, values: Values) -> Values:
        """u of values of any shape; of a cell alone in its bin the middle of its probability."""
        edges = np.array(self.edges)
        bins = self._bins(edges, values)
        units = np.array(self.heights)[bins] + (values - edges[bins]) * self.slopes[bins]
        units = np.where(self.single[bins], self.centers[bins], units)
        # In float32 a unit next to the end of its bin stays below it.
        last = np.nextafter(np.array(self.heights[1:], np.float32), np.float32(-np.inf))
        units = np.minimum(units, last.astype(np.float64)[bins])
        return np.where(np.isnan(values), np.nan, units)

    def slope_at(self, values: Values) -> Values:
        """du/dx at values of a density, of any shape."""
        return self.slopes[self._bins(np.array(self.edges), values)]

    def width_at(self, values: Values) -> Values:
        """P / phi(u) of cells of a grid, any shape: the width in u that gives each its mass."""
        bins = self._bins(np.array(self.edges), values)
        heights = np.array(self.heights)
        below, above = ndtr(heights), ndtr(-heights)
        masses = np.where(heights[1:] < 0, np.diff(below), -np.diff(above))
        alone = np.log(masses) + self.centers**2 / 2 + np.log(2 * np.pi) / 2
        return np.where(self.single[bins], np.exp(alone)[bins], self.slopes[bins] * self.step)

    def from_units(self, units: Values) -> Values:
        """The value at each u, any shape: the inverse of `to_units`."""
        edges, heights = np.array(self.edges), np.array(self.heights)
        bins = self._bins(heights, units)
        values = edges[bins] + (units - heights[bins]) / self.slopes[bins]
        middles = (edges[bins] + edges[bins + 1]) / 2
        values = np.where(self.single[bins], middles, values)
        if self.step:
            first = edges[0] + self.step / 2
            values = first + np.round((values - first) / self.step) * self.step
        return np.where(np.isnan(units), np.nan, values)

    @staticmethod
    def _bins(ends: Values, at: Values) -> NDArray[np.intp]:
        """The bin of each number; the first and the last reach beyond their ends."""
        found = np.searchsorted(ends, np.where(np.isnan(at), ends[0], at), side="right") - 1
        return np.clip(found, 0, len(ends) - 2)


def learn(
    values: Values,
    *,
    lower: float | None = None,
    upper: float | None = None,
    step: float = 0.0,
    grid: float = 0.0,
    fewest: int = 20,
    rounds: int = 4,
) -> Marginal | None:
    """The map of these training values; None where they are too few, or too far apart.

    Parameters
    ----------
    values
        Shape (n,), NaN where missing.
    lower, upper
        Ends of the support, where it has any.
    step
        Distance between the values of a grid of probabilities, 0 for a density.
    grid
        What the values of a density were recorded to.
    """
    levels, times = np.unique(values[np.isfinite(values)], return_counts=True)
    counts = times.astype(np.float64)
    spread = levels[-1] - levels[0] if len(levels) > 2 else 0.0
    if counts.sum() < fewest or not 1e-150 < spread < 1e150:
        return None
    largest = np.abs(levels).max()
    if step == 0 and spread < 1e-9 * largest:
        return None
    if largest > 2.0**51 * step > 0:  # cells could not be counted
        return None
    if step == 0:
        counted = Counted(levels, counts, counts)
        smooth = smooth_density(counted, lower, upper, grid)
        edges, below, above = _with_tails(smooth, counted, grid, lower, upper)
        parts = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))
        return _table(edges, parts, below[0], above[-1], step=0.0)
    counted, smooth = _split(levels, counts, lower, upper, step, rounds)
    edges, below, above = _with_tails(smooth, counted, step, lower, upper)
    return _of_cells(counted, edges, below, above, lower, upper, step)


def _split(
    levels: Values,
    counts: Values,
    lower: float | None,
    upper: float | None,
    step: float,
    rounds: int,
) -> tuple[Counted, Smooth]:
    """The values of a grid without their excess, and the smooth density of what is left."""
    often = np.flatnonzero(repeated(counts, least=5))
    kept = counts.copy()
    kept[often] = np.minimum(counts[often], _typical(counts, often))
    for _ in range(rounds):
        counted = Counted(levels, counts, kept)
        smooth = smooth_density(counted, lower, upper, step, on_grid=True)
        kept = _without_excess(smooth, counted, step)
        if np.array_equal(kept < counts, counted.kept < counts):
            break
    return Counted(levels, counts, kept), smooth


# Single values


def repeated(counts: Values, *, least: float = 10, least_share: float = 0.005) -> Flags:
    """Which of the distinct values are met far more often than their neighbors.

    That is at least five times the median of the two on either side, `least` times, and half a
    percent of all.

    >>> repeated(np.array([50.0, 1, 2, 1])).tolist()
    [True, False, False, False]
    """
    found = (counts >= least) & (counts >= least_share * counts.sum())
    places = np.flatnonzero(found)
    found[places] = counts[places] >= 5 * _typical(counts, places)
    return found


def _typical(counts: Values, places: NDArray[np.intp]) -> Values:
    """The median count of the two values on either side of those at some places."""
    if len(counts) == 1:
        return np.zeros(len(places))
    around = np.concatenate([[np.nan] * 2, counts, [np.nan] * 2])
    neighbors = places[:, None] + np.array([0, 1, 3, 4])
    return np.nanmedian(around[neighbors], axis=1)


def _without_excess(
    smooth: Smooth, counted: Counted, step: float, *, least: int = 3, deviations: float = 4.0
) -> Values:
    """How often each value of a grid is met, without what is more than the smooth density says.

    That is where it is met `least` times, and this many deviations of a Poisson more often.
    """
    scale, counts = smooth.axis, counted.counts
    above = smooth.below(scale.there(counted.levels + step / 2))
    below = smooth.below(scale.there(counted.levels - step / 2))
    expected = (above - below) * counted.kept.sum()
    too_many = counts > expected + deviations * np.sqrt(expected) + 1
    return np.where((counts >= least) & too_many, np.minimum(counts, expected), counts)


def _with_tails(
    smooth: Smooth,
    counted: Counted,
    cell: float,
    lower: float | None,
    upper: float | None,
    *,
    beyond: float = 0.5,
) -> tuple[Values, Values, Values]:
    """Edges of the smooth part in data units, and the shares below and above each.

    Beyond the training values u goes on at its average slope over the outer tenth, or over the
    middle if that is less. `beyond` observations more would be expected there, and less if the last
    value was met several times.
    """
    under, over = beyond / (counted.total + 1) / counted.counts[[0, -1]]
    below = under + (1 - under - over) * smooth.below(smooth.edges)
    above = over + (1 - under - over) * (1 - smooth.below(smooth.edges))
    units = np.where(below < 0.5, ndtri(below), -ndtri(above))
    edges = smooth.edges
    tenth, ninth = np.interp([0.1, 0.9], below, edges)
    narrowest = 1e-9 * (edges[-1] - edges[0])
    middle = (ndtri(0.9) - ndtri(0.1)) / max(ninth - tenth, narrowest)
    rising = min((ndtri(0.1) - units[0]) / max(tenth - edges[0], narrowest), middle)
    falling = min((units[-1] - ndtri(0.9)) / max(edges[-1] - ninth, narrowest), middle)
    with np.errstate(over="ignore", invalid="ignore"):  # the farthest may be beyond every number
        left = _tail(smooth, edges[0], -rising, without_end=lower is None)[::-1]
        right = _tail(smooth, edges[-1], falling, without_end=upper is None)
    units = np.concatenate([units[0] - TAIL[::-1], units, units[-1] + TAIL])
    there = counted.kept > 0
    ends = counted.levels[there][[0, -1]] + np.array([-cell / 2, cell / 2])
    inner = smooth.axis.back(edges)
    if cell > 0:
        inner[[0, -1]] = ends
    values = np.concatenate([left, inner, right])
    ascending = np.concatenate([[True], values[1:] > np.maximum.accumulate(values)[:-1]])
    ascending &= np.isfinite(values)
    return values[ascending], ndtr(units[ascending]), ndtr(-units[ascending])


#: Units beyond the last one met, at which the tails of a map have edges.
TAIL: Values = np.concatenate([np.linspace(0.25, 2, 8), np.arange(3.0, 21)])


def _tail(smooth: Smooth, edge: float, slope: float, *, without_end: bool) -> Values:
    """The values at the units of a tail, which has a slope of u on the scale.

    Without an end it is no lighter than an exponential of the data, and in the end than a power of
    them, so that a wild number is improbable by tens of nats and not by thousands.
    """
    values = smooth.axis.back(edge + TAIL / slope)
    if not without_end:
        return values
    start = smooth.axis.back(np.array([edge, edge + TAIL[0] / slope]))
    step = (start[1] - start[0]) / TAIL[0]
    distances = np.where(TAIL > 2, TAIL**2 / 2, TAIL)
    distances = np.where(TAIL > 12, 72 * 2.0 ** (TAIL - 12), distances)
    heavier = start[0] + distances * step
    return np.where(np.abs(heavier - start[0]) > np.abs(values - start[0]), heavier, values)


# Tables of bins


def _of_cells(
    counted: Counted,
    edges: Values,
    below: Values,
    above: Values,
    lower: float | None,
    upper: float | None,
    step: float,
    *,
    most_single: int = 256,
) -> Marginal:
    """Whole cells in each bin; up to `most_single` of them, and all that are heavy, alone."""
    levels, counts, kept = counted
    first = levels[0] - step / 2
    countable = np.abs(edges - first) < 2.0**52 * step
    edges, below, above = edges[countable], below[countable], above[countable]

    def place(x: Values | float) -> NDArray[np.int64]:
        return np.rint((np.asarray(x) - first) / step).astype(np.int64)

    # Edges and cells are counted in steps from the first cell: whole numbers are exact.
    begin = place(edges[0]) if lower is None else place(lower - step / 2)
    end = place(edges[-1]) if upper is None else place(upper + step / 2)
    heavy = place(levels[kept < counts] - step / 2)
    ends = [np.clip(place(edges), begin, end), heavy, heavy + 1]
    if lower is not None:
        ends.append(np.array([begin, begin + 1]))
    if upper is not None:
        ends.append(np.array([end - 1, end]))
    cells = int(place(levels[-1] + step / 2))
    if cells <= most_single:
        ends.append(np.arange(cells + 1))
    at: NDArray[np.int64] = np.unique(np.concatenate(ends))
    values = first + at * step
    share = kept.sum() / counted.total
    under, over = np.interp(values, edges, below), np.interp(values, edges, above)
    if lower is not None:
        under[0], over[0] = 0.0, 1.0
    if upper is not None:
        under[-1], over[-1] = 1.0, 0.0
    parts = share * np.where(under[1:] < 0.5, under[1:] - under[:-1], over[:-1] - over[1:])
    bins = np.searchsorted(at, place(levels - step / 2), side="right") - 1
    np.add.at(parts, bins, (counts - kept) / counted.total)
    if cells <= most_single:
        seen = np.zeros(len(parts))
        np.add.at(seen, bins, counts)
        inside = (at[:-1] >= 0) & (at[:-1] < cells)
        parts = _between(seen, np.where(inside, np.maximum(parts, 1e-9), parts))
    outside = (share * under[0], share * over[-1])
    return _table(values, parts, *outside, step=step)


def _between(counts: Values, shares: Values) -> Values:
    """Shares between the smooth ones and the observed: (c + a s) / (n + a).

    The weight a is the one under which each observation, left out in turn, is most probable.
    """
    total = counts.sum()
    shares = shares / shares.sum()
    met = counts > 0
    best = (-np.inf, shares)
    for weight in 10.0 ** np.arange(-1, 7, 0.5):
        left_out = np.maximum(counts[met] - 1 + weight * shares[met], 1e-300)
        nats = float((counts[met] * np.log(left_out / (total - 1 + weight))).sum())
        if nats > best[0]:
            best = (nats, (counts + weight * shares) / (total + weight))
    return best[1]


def _table(edges: Values, parts: Values, below: float, above: float, *, step: float) -> Marginal:
    """The map of bins of these probabilities, with `below` and `above` them all."""
    under = below + np.concatenate([[0.0], np.cumsum(parts)])
    over = above + np.concatenate([np.cumsum(parts[::-1])[::-1], [0.0]])
    total = under[-1] + above
    heights = np.where(under < over, ndtri(under / total), -ndtri(over / total))
    heights = _told_apart(np.clip(heights, -FARTHEST, FARTHEST))
    return Marginal(tuple(edges.tolist()), tuple(heights.tolist()), step)


def _told_apart(heights: Values, steps: int = 8) -> Values:
    """The heights as float32 has them, each at least so many of its steps above the one before.

    Models see u in float32: in a narrower bin it would round to a neighbor's probability.
    """
    rounded = heights.astype(np.float32)
    for i in range(1, len(rounded)):
        least = rounded[i - 1] + steps * np.spacing(np.abs(rounded[i - 1]))
        rounded[i] = max(rounded[i], least)
    return rounded.astype(np.float64)


def ndtr(units: Values) -> Any:
    """Phi, the distribution function of a standard normal."""
    from scipy import special  # its import takes longer than most inspections of a table

    return special.ndtr(units)


def ndtri(shares: Values | float) -> Any:
    """The inverse of Phi."""
    from scipy import special

    return special.ndtri(shares)
