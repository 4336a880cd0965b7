"""What a latent class says of its columns: families of distributions, each linear in statistics of the cells.

    log p(x | class k) = base(x) + statistics(x) . natural_k

so that an E-step over all rows, columns and classes is one matrix product and an M-step another. Missing cells have
zero statistics: they contribute nothing. A column of masses has one statistic for each of its distinct values and
its table of log-masses as natural parameters, which makes any discrete family linear.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.special import betainc, betaln, gammaln, log_ndtr

from aevb.schema import Column

__all__ = ["Beta", "Encoding", "Family", "Gaussian", "GaussianMass", "Levels", "NegativeBinomial", "standard_units"]

Array = NDArray[np.float64]

#: Variances stay above this part of their column's variance; a class counts this many rows of the whole beside its own.
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
    """Statistics of `PRIOR_ROWS` rows like the observed ones; those of `empty` for a column without cells."""
    sums = statistics.sum(axis=0).reshape(parts, -1)
    means = np.where(sums[0] > 0, sums / np.maximum(sums[0], 1.0), np.array(empty)[:, None])
    return PRIOR_ROWS * means.reshape(-1)


@dataclass(frozen=True)
class Levels:
    """Multinomials over level codes, smoothed towards the marginal: one statistic a level, natural = log p."""

    sizes: tuple[int, ...]

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
    """Normal densities of (log, where positive) values; variances no less than their floor, in standard units."""

    location: Array
    scale: Array
    floor: Array
    positive: NDArray[np.bool_]

    @classmethod
    def of(cls, columns: list[Column], values: Array) -> "Gaussian":
        """Standard units from training values; what a column was recorded to is the least standard deviation."""
        positive = np.array([column.kind == "positive" for column in columns], dtype=bool)
        location, scale = standard_units(_logged(values, positive))
        grid = np.where(positive, 0.0, [column.grid for column in columns])
        return cls(location, scale, np.maximum((grid / scale) ** 2 / 12.0, RELATIVE_FLOOR), positive)

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
    """Beta densities on [0, 1], by moments, truncated `margin` within the ends so that 0 and 1 have finite density.

    With y = margin + (1 - 2 margin) x and I the regularised incomplete beta function,
    p(x) = (1 - 2 margin) Beta(y; a, b) / (I_{1 - margin} - I_margin).
    """

    margin: Array

    @classmethod
    def of(cls, values: Array) -> "Beta":
        """Half the least distance from an end that is met, between 1e-6 and 0.01."""
        distance = np.minimum(values, 1.0 - values)
        least = np.min(np.where(distance > 0, distance, 0.02), axis=0, initial=0.02)
        return cls(np.clip(least / 2, 1e-6, 0.01))

    def encode(self, values: Array) -> Encoding:
        """(observed, log y, log(1 - y), y, y^2)."""
        seen = ~np.isnan(values)
        y = self.margin + (1.0 - 2.0 * self.margin) * np.clip(np.where(seen, values, 0.5), 0.0, 1.0)
        parts = [np.ones_like(y), np.log(y), np.log1p(-y), y, y**2]
        return _plain([seen * part for part in parts], np.zeros(len(values)), 3.0 * np.where(seen, y - 0.5, 0.0))

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


@dataclass(frozen=True)
class _Table:
    """Masses on a grid, with atoms: P(x) = sum_a p_a [x = a] + p_rest mass(x).

    By moments: cells at an atom are the atom's, the others give the mean and variance of the rest.
    """

    resolution: Array
    lower: Array
    upper: Array
    location: Array
    scale: Array
    atoms: tuple[tuple[float, ...], ...]
    atom_column: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        owners = np.repeat(np.arange(len(self.atoms)), [len(atoms) for atoms in self.atoms])
        object.__setattr__(self, "atom_column", owners)

    @classmethod
    def of(cls, columns: list[Column], values: Array) -> Any:
        """The grids of these columns; a pixel's two ends are atoms."""
        location, scale = standard_units(values)
        return cls(
            np.array([column.resolution or 1.0 for column in columns]),
            np.array([-np.inf if c.lower is None or c.kind != "pixel" else c.lower for c in columns]),
            np.array([np.inf if c.upper is None or c.kind != "pixel" else c.upper for c in columns]),
            location,
            scale,
            tuple(_atoms(column) for column in columns),
        )

    def encode(self, values: Array) -> Encoding:
        """One-hot rows of distinct values, sparse."""
        supports, entries, rows, start = [], [], [], 0
        for cells in values.T:
            seen = np.flatnonzero(~np.isnan(cells))
            distinct, entry = np.unique(cells[seen], return_inverse=True)
            supports.append(distinct)
            rows.append(seen)
            entries.append(start + entry)
            start += len(distinct)
        entry, row = np.concatenate(entries), np.concatenate(rows)
        onehot = scipy.sparse.csr_array((np.ones(len(row)), (row, entry)), shape=(len(values), start))
        column = np.repeat(np.arange(len(supports)), [len(support) for support in supports])
        standard = np.where(np.isnan(values), 0.0, (values - self.location) / self.scale)
        support = np.concatenate(supports)
        return Encoding(onehot, np.zeros(len(values)), standard, support, column, self._atom_of(support, column))

    def prior(self, encoding: Encoding) -> Array:
        """A tenth of a row like the whole."""
        counts = np.asarray(encoding.statistics.sum(axis=0), dtype=np.float64)
        totals = np.bincount(encoding.column, counts, len(self.location))
        return PRIOR_ROWS * counts / np.maximum(totals, 1.0)[encoding.column]

    def estimate(self, sums: Array, encoding: Encoding) -> tuple[Array, ...]:
        """log p of each atom, of the rest; mean (from `location`) and variance of the rest."""
        atom, is_atom = encoding.atom, encoding.atom >= 0
        counts = np.zeros((len(sums), len(self.atom_column)))
        counts[:, atom[is_atom]] = sums[:, is_atom]
        rest = self._by_column(np.where(is_atom, 0.0, sums), encoding.column)
        # one more tenth of a row, evenly over atoms and rest: none is impossible
        shares = 0.1 / (1.0 + np.bincount(self.atom_column, minlength=len(self.atoms)))
        total = self._by_column(sums, encoding.column) + 0.1
        v = encoding.support - self.location[encoding.column]
        weighed = np.where(is_atom, 0.0, sums)
        mean = self._by_column(weighed * v, encoding.column) / np.maximum(rest, 1e-12)
        variance = self._by_column(weighed * v**2, encoding.column) / np.maximum(rest, 1e-12) - mean**2
        log_atoms = np.log((counts + shares[self.atom_column]) / total[:, self.atom_column])
        return log_atoms, np.log((rest + shares) / total), mean, variance

    def natural(self, parameters: tuple[Array, ...], encoding: Encoding) -> Array:
        """The table of log-masses of the values met."""
        log_atoms, log_rest, mean, variance = parameters
        column, atom = encoding.column, encoding.atom
        table = log_rest[:, column] + self._log_mass(encoding.support, column, mean[:, column], variance[:, column])
        at = atom >= 0
        table[:, at] = np.logaddexp(table[:, at], log_atoms[:, atom[at]])
        return table

    def _log_mass(self, values: Array, column: NDArray[np.intp], mean: Array, variance: Array) -> Array:
        raise NotImplementedError

    def _atom_of(self, support: Array, column: NDArray[np.intp]) -> NDArray[np.intp]:
        known = {pair: i for i, pair in enumerate((c, a) for c, atoms in enumerate(self.atoms) for a in atoms)}
        pairs = zip(column.tolist(), support.tolist(), strict=True)
        return np.array([known.get(pair, -1) for pair in pairs], dtype=np.intp)

    def _by_column(self, sums: Array, column: NDArray[np.intp]) -> Array:
        """Sums over the statistics of each column, (K, S) -> (K, C); zero for a column without cells."""
        onto = scipy.sparse.csr_array(
            (np.ones(len(column)), (np.arange(len(column)), column)), shape=(len(column), len(self.location))
        )
        return np.asarray(sums @ onto)


@dataclass(frozen=True)
class GaussianMass(_Table):
    """Phi((x + h/2 - m) / s) - Phi((x - h/2 - m) / s), open beyond a pixel's ends; Sheppard's h^2 / 12 corrected."""

    def _log_mass(self, values: Array, column: NDArray[np.intp], mean: Array, variance: Array) -> Array:
        half = self.resolution[column] / 2
        floor = np.maximum((0.4 * half) ** 2, RELATIVE_FLOOR * self.scale[column] ** 2)
        deviation = np.sqrt(np.maximum(variance - half**2 / 3.0, floor))
        centre = self.location[column] + mean
        low = np.where(values <= self.lower[column], -np.inf, (values - half - centre) / deviation)
        high = np.where(values >= self.upper[column], np.inf, (values + half - centre) / deviation)
        flip = low + high > 0  # the tails are symmetric, and the left one keeps its digits
        low, high = np.where(flip, -high, low), np.where(flip, -low, high)
        log_high = log_ndtr(high)
        mass: Array = log_high + np.log1p(-np.exp(np.minimum(log_ndtr(low) - log_high, -1e-15)))
        width = 2.0 * half / deviation  # a grid too fine for differences: the density, times the width
        density = np.log(width) - 0.5 * ((values - centre) / deviation) ** 2 - 0.5 * np.log(2.0 * np.pi)
        return np.where((width < 1e-5) & np.isfinite(low + high), density, mass)


@dataclass(frozen=True)
class NegativeBinomial(_Table):
    """Gamma(x + r) / (Gamma(r) x!) (r / (r + m))^r (m / (r + m))^x; near Poisson, r = 1e6, where not overdispersed."""

    def _log_mass(self, values: Array, column: NDArray[np.intp], mean: Array, variance: Array) -> Array:
        m = np.maximum(self.location[column] + mean, 1e-6)
        r = np.clip(m**2 / np.maximum(variance - m, 1e-12), 1e-3, 1e6)
        choices = gammaln(values + r) - gammaln(r) - gammaln(values + 1.0)
        return np.asarray(choices - r * np.log1p(m / r) + values * (np.log(m) - np.log(r + m)))


def _atoms(column: Column) -> tuple[float, ...]:
    ends = (column.lower, column.upper) if column.kind == "pixel" else ()
    return tuple(dict.fromkeys((*column.atoms, *(end for end in ends if end is not None))))


def _logged(values: Array, positive: NDArray[np.bool_]) -> Array:
    tiny = np.finfo(np.float64).tiny
    return np.where(positive, np.log(np.maximum(np.where(positive, values, 1.0), tiny)), values)


def standard_units(values: Array) -> tuple[Array, Array]:
    """Means and standard deviations of the observed cells; a scale is never zero, and 1e308 does not overflow."""
    seen = ~np.isnan(values)
    count = np.maximum(seen.sum(axis=0), 1)
    size = np.max(np.where(seen, np.abs(values), 0.0), axis=0, initial=np.finfo(np.float64).tiny)
    shrunk = np.where(seen, values / size, 0.0)
    mean = shrunk.sum(axis=0) / count
    deviation = np.sqrt(np.sum(np.where(seen, shrunk - mean, 0.0) ** 2, axis=0) / count)
    constant = deviation <= 1e-12
    return mean * size, np.where(constant, np.maximum(size, 1.0), deviation * size)
