"""The density of a column of numbers that is smooth on a scale of its own.

The log-density is smooth in the values, in their logarithms near an end of the support, or on a
scale that is straight between two ends. Which scale and how smooth is chosen by the log-likelihood
less a price for the effective number of parameters (penalized Poisson regression on bins).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counted", "Scale", "Smooth", "smooth_density"]

Values = NDArray[np.float64]


class Scale(NamedTuple):
    """A scale on which a density is smooth: values to it and back."""

    there: Callable[[Values], Values]
    back: Callable[[Values], Values]


class Counted(NamedTuple):
    """The distinct values of a column and how often each is met, all and without its excess."""

    levels: Values
    counts: Values
    kept: Values

    @property
    def total(self) -> float:
        """Number of values."""
        return float(self.counts.sum())


class Smooth(NamedTuple):
    """A smooth density: shares of bins between edges on a scale, and how well it fits."""

    axis: Scale
    edges: Values
    shares: Values
    criterion: float

    def below(self, at: Values) -> Values:
        """The share below points on the scale."""
        cumulated = np.concatenate([[0.0], np.cumsum(self.shares)])
        return np.interp(at, self.edges, cumulated / cumulated[-1])


def smooth_density(
    counted: Counted,
    lower: float | None,
    upper: float | None,
    cell: float,
    on_grid: bool = False,
) -> Smooth:
    """The density that fits best, over the scales of the support and degrees of smoothness."""
    candidates = []
    for scale in _scales(counted, lower, upper, cell, on_grid):
        candidates.append(_smooth_on(scale, counted, cell))
    return max(candidates, key=lambda one: one.criterion)


def _scales(
    counted: Counted, lower: float | None, upper: float | None, cell: float, on_grid: bool
) -> list[Scale]:
    """Scales that have no end: towards an end of the support they are logarithms.

    An end that is met has room below it, half of what parts it from the next value.
    """
    levels, weights = counted.levels, counted.counts / counted.total
    mean = float((weights * levels).sum())
    deviation = float(np.sqrt((weights * (levels - mean) ** 2).sum()))
    cumulated = np.cumsum(weights)
    quarter, median, last = (
        levels[min(int(np.searchsorted(cumulated, p)), len(levels) - 1)] for p in (0.25, 0.5, 0.75)
    )
    middle = max((last - quarter) / 1.35, 1e-3 * deviation, cell)
    present = levels[counted.kept > 0]
    start = end = 0.0
    if lower is not None:
        start = lower - _room(present, lower, cell, on_grid)
    if upper is not None:
        end = upper + _room(present, upper, cell, on_grid)
    if lower is None and upper is None:
        return [
            Scale(lambda x: (x - mean) / deviation, lambda y: mean + deviation * y),
            Scale(
                lambda x: np.arcsinh((x - median) / middle),
                lambda y: median + middle * np.sinh(y),
            ),
        ]
    if upper is None:
        return [
            Scale(lambda x: _log(x - start), lambda y: start + np.exp(y)),
            Scale(
                lambda x: _inverse_softplus((x - start) / middle),
                lambda y: start + middle * np.logaddexp(0, y),
            ),
        ]
    if lower is None:
        return [
            Scale(lambda x: -_log(end - x), lambda y: end - np.exp(-y)),
            Scale(
                lambda x: -_inverse_softplus((end - x) / middle),
                lambda y: end - middle * np.logaddexp(0, -y),
            ),
        ]
    width = end - start
    logit = Scale(
        lambda x: _log(x - start) - _log(end - x), lambda y: start + width / (1 + np.exp(-y))
    )
    return [logit, _straight_inside(start, end, logit)]


def _straight_inside(start: float, end: float, logit: Scale, share: float = 0.1) -> Scale:
    """A scale that is straight but for a share of the support at either end."""
    margin = share * (end - start)

    def there(x: Values) -> Values:
        return _inverse_softplus((x - start) / margin) - _inverse_softplus((end - x) / margin)

    points = logit.back(np.linspace(-40.0, 40.0, 4_001))
    heights = there(points)
    return Scale(there, lambda y: np.interp(y, heights, points))


def _room(present: Values, end: float, cell: float, on_grid: bool) -> float:
    """How far beyond an end of the support the scale begins."""
    if on_grid:
        return cell
    others = np.abs(present - end)
    if not (others == 0).any():
        return 0.0
    return float(others[others > 0].min()) / 2


def _log(x: Values) -> Values:
    return np.log(np.maximum(x, 1e-300))


def _inverse_softplus(x: Values) -> Values:
    """y with log(1 + e^y) = x."""
    x = np.maximum(x, 1e-300)
    return x + np.log(-np.expm1(-x))


#: Weights of the roughness penalty that are tried, from hardly any to a Gaussian on the scale.
PENALTIES: Values = 10.0 ** np.arange(-1.0, 9.0)


def _smooth_on(
    scale: Scale, counted: Counted, cell: float, *, bins: int = 64, price: float = 1.5
) -> Smooth:
    """The density on a scale: log-density by penalized Poisson regression on the counts of bins.

    The penalty is on third differences, so that the smoothest density is a Gaussian (Eilers and
    Marx 1996). Its weight is chosen by the log-likelihood less `price` times the effective number
    of parameters; in units of the data, so that scales compare.
    """
    levels, kept = counted.levels, counted.kept
    there = kept > 0
    first, last = scale.there(levels - cell / 2), scale.there(levels + cell / 2)
    begin, end = first[there][0], last[there][-1]
    if cell == 0:
        margin = (end - begin) / (bins - 1) / 2
        begin, end = begin - margin, end + margin
    edges = np.linspace(begin, end, bins + 1)
    cumulated = np.concatenate([[0.0], np.cumsum(kept)])
    if cell > 0:  # a rounded value may have been anywhere in its cell
        points = np.stack([first, last], axis=1).ravel()
        heights = np.stack([cumulated[:-1], cumulated[1:]], axis=1).ravel()
        below = np.interp(edges, points, heights)
    else:
        below = cumulated[np.searchsorted(first, edges, side="right")]
        below[0], below[-1] = 0.0, cumulated[-1]
    shares, fits = _penalized(np.diff(below), PENALTIES, price)
    slopes = np.log(_derivative(scale, levels))
    known = float((kept * slopes).sum() - kept.sum() * np.log(edges[1] - edges[0]))
    best = int(np.argmax(fits))
    return Smooth(scale, edges, shares[best], float(fits[best]) + known)


def _derivative(scale: Scale, x: Values) -> Values:
    """dy/dx, by the difference to a point a millionth of the range nearer the middle."""
    towards = np.where(x < (x[0] + x[-1]) / 2, 1.0, -1.0) * 1e-6 * (x[-1] - x[0])
    return np.maximum((scale.there(x + towards) - scale.there(x)) / towards, 1e-300)


def _penalized(
    counts: Values, penalties: Values, price: float, *, iterations: int = 40
) -> tuple[Values, Values]:
    """Expected counts for each penalty by Newton's method, (L, B), and what each is worth, (L,)."""
    bins, total = len(counts), counts.sum()
    differences = np.diff(np.eye(bins), 3, axis=0)
    penalty = penalties[:, None, None] * (differences.T @ differences) + 1e-9 * np.eye(bins)
    start = np.log((counts + 0.5 * total / bins) / 1.5)
    log_expected = np.repeat(start[None], len(penalties), axis=0)
    for _ in range(iterations):
        expected = np.exp(np.clip(log_expected, -30, 30))
        slope = counts - expected - (penalty @ log_expected[..., None])[..., 0]
        curvature = penalty + expected[..., None] * np.eye(bins)
        change = np.linalg.solve(curvature, slope[..., None])[..., 0]
        largest = np.abs(change).max(axis=-1, keepdims=True)
        log_expected = log_expected + change * np.minimum(1.0, 3.0 / np.maximum(largest, 1e-12))
        if largest.max() < 1e-6:
            break
    expected = np.exp(np.clip(log_expected, -30, 30))
    curvature = penalty + expected[..., None] * np.eye(bins)
    influence = np.linalg.solve(curvature, expected[..., None] * np.eye(bins))
    parameters = np.trace(influence, axis1=1, axis2=2)
    nats = (counts * log_expected - expected).sum(axis=1)
    return expected, nats - price * parameters
