"""What a latent class says of its columns: families of distributions, each linear in statistics of
the cells.

    log p(x | class k) = base(x) + statistics(x) . natural_k

so that an E-step over all rows, columns and classes is one matrix product and an M-step another.
Missing cells have zero statistics: they contribute nothing. `aevb.baselines.grids` has the families
of masses on a grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.special import betainc, betaln

from aevb.table.schema import Column

__all__ = [
    "PRIOR_ROWS",
    "RELATIVE_FLOOR",
    "Beta",
    "Encoding",
    "Family",
    "Gaussian",
    "Levels",
    "standard_units",
]

Array = NDArray[np.float64]

#: Variances stay above this part of their column's variance; a class counts this many rows of the
#: whole beside its own.
RELATIVE_FLOOR = 1e-4
PRIOR_ROWS = 0.1


class Encoding(NamedTuple):
    """Cells as a family sees them."""

    statistics: Any  # (n, S), dense or sparse
    base: Array  # (n,), the part of log p that all classes share
    embedding: Any  # (n, E), dense or sparse: rows as points, to start classes from
    support: Array  # (S,), the value behind each statistic of a table; empty elsewhere
    column: NDArray[np.intp]  # (S,), and its column
    atom: NDArray[np.intp]  # (S,), the atom it is, -1 where it is none


class Family(Protocol):
    """A family of distributions over some columns, independent within a class."""

    #: Names of the attributes, each (columns,), taken from training values; the columns say the
    #: rest.
    units: ClassVar[tuple[str, ...]]

    @classmethod
    def of(cls, columns: Sequence[Column], values: Array) -> Self:
        """The family of these columns, in units of training values, (n, columns) with NaN."""

    @classmethod
    def in_units(cls, columns: Sequence[Column], units: Sequence[Array]) -> Self:
        """The family of these columns in the units given, in the order of their names."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the parameters' arrays: each is (K, width)."""

    def encode(self, values: Array) -> Encoding:
        """The cells, (n, columns) with NaN, as statistics."""

    def prior(self, encoding: Encoding) -> Array:
        """Pseudo-observations, (S,), added to every class's statistics: few rows like the whole."""

    def estimate(self, sums: Array, encoding: Encoding) -> tuple[Array, ...]:
        """Parameters of the classes, each (K, ..), from their sums of statistics (K, S)."""

    def natural(self, parameters: tuple[Array, ...], encoding: Encoding) -> Array:
        """Natural parameters, (K, S)."""


_NONE = np.empty(0, dtype=np.intp)


def _plain(statistics: list[Array], base: Array, embedding: Array) -> Encoding:
    return Encoding(np.hstack(statistics), base, embedding, np.empty(0), _NONE, _NONE)


def _mean_statistics(statistics: Array, parts: int, empty: list[float]) -> Array:
    """Statistics of `PRIOR_ROWS` rows like the observed ones; those of `empty` for a column without
    cells.
    """
    sums = statistics.sum(axis=0).reshape(parts, -1)
    means = np.where(sums[0] > 0, sums / np.maximum(sums[0], 1.0), np.array(empty)[:, None])
    return PRIOR_ROWS * means.reshape(-1)


@dataclass(frozen=True)
class Levels:
    """Multinomials over level codes, smoothed towards the marginal: one statistic a level, natural
    = log p.
    """

    units: ClassVar[tuple[str, ...]] = ()

    sizes: tuple[int, ...]

    @classmethod
    def of(cls, columns: Sequence[Column], values: Array) -> Self:
        """Levels need no units."""
        return cls.in_units(columns, ())

    @classmethod
    def in_units(cls, columns: Sequence[Column], units: Sequence[Array]) -> Self:
        """As many levels as there are categories, or atoms and the rest."""
        return cls(tuple(_levels(column) for column in columns))

    @property
    def widths(self) -> tuple[int, ...]:
        """One log p for each level of each column."""
        return (sum(self.sizes),)

    def encode(self, values: Array) -> Encoding:
        """One-hot rows; sparse where most of them is zeros."""
        starts = np.concatenate([[0], np.cumsum(self.sizes)])
        row, column = np.nonzero(~np.isnan(values))
        entry = starts[column] + values[row, column].astype(np.intp)
        shape = (len(values), int(starts[-1]))
        onehot = scipy.sparse.csr_array((np.ones(len(row)), (row, entry)), shape=shape)
        statistics = onehot if starts[-1] > 4 * len(self.sizes) else onehot.toarray()
        of = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return Encoding(statistics, np.zeros(len(values)), statistics, np.empty(0), of, _NONE)

    def prior(self, encoding: Encoding) -> Array:
        """One row like the whole and a tenth of a uniform one, so that no level is impossible."""
        counts = np.asarray(encoding.statistics.sum(axis=0), dtype=np.float64)
        sizes = np.array(self.sizes)[encoding.column]
        return (counts + 1.0 / sizes) / (self._totals(counts) + 1.0)[encoding.column] + 0.1 / sizes

    def estimate(self, sums: Array, encoding: Encoding) -> tuple[Array, ...]:
        """log p of each level."""
        return (np.log(sums) - np.log(self._totals(sums))[:, encoding.column],)

    def natural(self, parameters: tuple[Array, ...], encoding: Encoding) -> Array:
        """log p itself."""
        return parameters[0]

    def _totals(self, sums: Array) -> Array:
        return np.add.reduceat(sums, np.concatenate([[0], np.cumsum(self.sizes)[:-1]]), axis=-1)


@dataclass(frozen=True)
class Gaussian:
    """Normal densities of (log, where positive) values; variances no less than their floor, in
    standard units.
    """

    units: ClassVar[tuple[str, ...]] = ("location", "scale")

    location: Array
    scale: Array
    floor: Array
    positive: NDArray[np.bool_]

    @classmethod
    def of(cls, columns: Sequence[Column], values: Array) -> Self:
        """Standard units from training values, or from their logs."""
        return cls.in_units(columns, standard_units(_logged(values, _positive(columns))))

    @classmethod
    def in_units(cls, columns: Sequence[Column], units: Sequence[Array]) -> Self:
        """What a column was recorded to is the least standard deviation."""
        location, scale = units
        positive = _positive(columns)
        grid = np.where(positive, 0.0, [column.grid for column in columns])
        return cls(
            location, scale, np.maximum((grid / scale) ** 2 / 12.0, RELATIVE_FLOOR), positive
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Means and variances."""
        return (len(self.location),) * 2

    def encode(self, values: Array) -> Encoding:
        """(observed, u, u^2), u in standard units; base: the change of variables."""
        x = _logged(values, self.positive)
        seen = ~np.isnan(x)
        u = (x / 2 - self.location / 2) / (self.scale / 2)  # halves: 1e308 - (-1e308) stays finite
        u = np.clip(np.where(seen, u, 0.0), -1e8, 1e8)
        jacobian = np.where(seen, np.log(self.scale) + np.where(self.positive, x, 0.0), 0.0)
        return _plain([seen.astype(np.float64), u, u**2], -jacobian.sum(axis=1), u)

    def prior(self, encoding: Encoding) -> Array:
        """A tenth of a row like the whole."""
        return _mean_statistics(encoding.statistics, 3, [1.0, 0.0, 1.0])

    def estimate(self, sums: Array, encoding: Encoding) -> tuple[Array, ...]:
        """Means and variances."""
        count, first, second = np.split(sums, 3, axis=1)
        mean = first / count
        return mean, np.maximum(second / count - mean**2, self.floor)

    def natural(self, parameters: tuple[Array, ...], encoding: Encoding) -> Array:
        """-(log 2 pi s^2 + m^2 / s^2) / 2, m / s^2, -1 / 2 s^2."""
        mean, variance = parameters
        constant = -0.5 * (np.log(2.0 * np.pi * variance) + mean**2 / variance)
        return np.hstack([constant, mean / variance, -0.5 / variance])


@dataclass(frozen=True)
class Beta:
    """Beta densities on [0, 1], by moments, truncated `margin` within the ends so that 0 and 1 have
    finite density.

    With y = margin + (1 - 2 margin) x and I the regularised incomplete beta function,
    p(x) = (1 - 2 margin) Beta(y; a, b) / (I_{1 - margin} - I_margin).
    """

    units: ClassVar[tuple[str, ...]] = ("margin",)

    margin: Array

    @classmethod
    def of(cls, columns: Sequence[Column], values: Array) -> Self:
        """Half the least distance from an end that is met, between 1e-6 and 0.01."""
        distance = np.minimum(values, 1.0 - values)
        least = np.min(np.where(distance > 0, distance, 0.02), axis=0, initial=0.02)
        return cls.in_units(columns, [np.clip(least / 2, 1e-6, 0.01)])

    @classmethod
    def in_units(cls, columns: Sequence[Column], units: Sequence[Array]) -> Self:
        """The margins are all there is."""
        return cls(*units)

    @property
    def widths(self) -> tuple[int, ...]:
        """a and b."""
        return (len(self.margin),) * 2

    def encode(self, values: Array) -> Encoding:
        """(observed, log y, log(1 - y), y, y^2)."""
        seen = ~np.isnan(values)
        y = self.margin + (1.0 - 2.0 * self.margin) * np.clip(np.where(seen, values, 0.5), 0.0, 1.0)
        parts = [np.ones_like(y), np.log(y), np.log1p(-y), y, y**2]
        return _plain(
            [seen * part for part in parts],
            np.zeros(len(values)),
            3.0 * np.where(seen, y - 0.5, 0.0),
        )

    def prior(self, encoding: Encoding) -> Array:
        """A tenth of a row like the whole."""
        return _mean_statistics(encoding.statistics, 5, [1.0, -1.0, -1.0, 0.5, 1 / 3])

    def estimate(self, sums: Array, encoding: Encoding) -> tuple[Array, ...]:
        """a and b with the class's mean and variance."""
        count, _, _, first, second = np.split(sums, 5, axis=1)
        mean = first / count
        variance = np.maximum(second / count - mean**2, 1e-12)
        concentration = np.clip(mean * (1.0 - mean) / variance - 1.0, 0.1, 1e4)
        return mean * concentration, (1.0 - mean) * concentration

    def natural(self, parameters: tuple[Array, ...], encoding: Encoding) -> Array:
        """log normaliser, a - 1, b - 1; nothing for the moments."""
        a, b = parameters
        inside = np.maximum(betainc(a, b, 1.0 - self.margin) - betainc(a, b, self.margin), 1e-300)
        constant = np.log1p(-2.0 * self.margin) - betaln(a, b) - np.log(inside)
        return np.hstack([constant, a - 1.0, b - 1.0, np.zeros_like(a), np.zeros_like(a)])


def _levels(column: Column) -> int:
    """Levels of a column's code: its categories, or its atoms and the rest."""
    return len(column.atoms) + 1 if column.measure == "mixed" else max(len(column.categories), 2)


def _positive(columns: Sequence[Column]) -> NDArray[np.bool_]:
    return np.array([column.kind == "positive" for column in columns], dtype=np.bool_)


def _logged(values: Array, positive: NDArray[np.bool_]) -> Array:
    tiny = np.finfo(np.float64).tiny
    return np.where(positive, np.log(np.maximum(np.where(positive, values, 1.0), tiny)), values)


def standard_units(values: Array) -> tuple[Array, Array]:
    """Means and standard deviations of the observed cells; a scale is never zero, and 1e308 does
    not overflow.
    """
    seen = ~np.isnan(values)
    count = np.maximum(seen.sum(axis=0), 1)
    size = np.max(np.where(seen, np.abs(values), 0.0), axis=0, initial=np.finfo(np.float64).tiny)
    shrunk = np.where(seen, values / size, 0.0)
    mean = shrunk.sum(axis=0) / count
    deviation = np.sqrt(np.sum(np.where(seen, shrunk - mean, 0.0) ** 2, axis=0) / count)
    constant = deviation <= 1e-12
    return mean * size, np.where(constant, np.maximum(size, 1.0), deviation * size)
