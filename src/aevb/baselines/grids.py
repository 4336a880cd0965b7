"""Families of masses on a grid, beside those of `aevb.baselines.families`: integers, pixels and
counts.

A column has one statistic for each of its distinct values and its table of log-masses as natural
parameters, which makes any discrete family linear.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.special import gammaln, log_ndtr

from aevb.baselines.families import PRIOR_ROWS, RELATIVE_FLOOR, Encoding, standard_units
from aevb.table.schema import Column

__all__ = ["GaussianMass", "NegativeBinomial"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Table:
    """Masses on a grid, with atoms: P(x) = sum_a p_a [x = a] + p_rest mass(x).

    By moments: cells at an atom are the atom's, the others give the mean and variance of the rest.
    """

    units: ClassVar[tuple[str, ...]] = ("location", "scale")

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
    def of(cls, columns: Sequence[Column], values: Array) -> Self:
        """The rest of a column has standard units."""
        return cls.in_units(columns, standard_units(values))

    @classmethod
    def in_units(cls, columns: Sequence[Column], units: Sequence[Array]) -> Self:
        """The grids of these columns; a pixel's two ends are atoms."""
        location, scale = units
        return cls(
            np.array([column.resolution or 1.0 for column in columns]),
            np.array(
                [-np.inf if c.lower is None or c.kind != "pixel" else c.lower for c in columns]
            ),
            np.array(
                [np.inf if c.upper is None or c.kind != "pixel" else c.upper for c in columns]
            ),
            location,
            scale,
            tuple(_atoms(column) for column in columns),
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """log p of the atoms and of the rest, mean and variance of the rest."""
        return (len(self.atom_column), *(len(self.location),) * 3)

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
        onehot = scipy.sparse.csr_array(
            (np.ones(len(row)), (row, entry)), shape=(len(values), start)
        )
        column = np.repeat(np.arange(len(supports)), [len(support) for support in supports])
        standard = np.where(np.isnan(values), 0.0, (values - self.location) / self.scale)
        support = np.concatenate(supports)
        return Encoding(
            onehot, np.zeros(len(values)), standard, support, column, self._atom_of(support, column)
        )

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
        variance = (
            self._by_column(weighed * v**2, encoding.column) / np.maximum(rest, 1e-12) - mean**2
        )
        log_atoms = np.log((counts + shares[self.atom_column]) / total[:, self.atom_column])
        return log_atoms, np.log((rest + shares) / total), mean, variance

    def natural(self, parameters: tuple[Array, ...], encoding: Encoding) -> Array:
        """The table of log-masses of the values met."""
        log_atoms, log_rest, mean, variance = parameters
        column, atom = encoding.column, encoding.atom
        table = log_rest[:, column] + self._log_mass(
            encoding.support, column, mean[:, column], variance[:, column]
        )
        at = atom >= 0
        table[:, at] = np.logaddexp(table[:, at], log_atoms[:, atom[at]])
        return table

    def _log_mass(
        self, values: Array, column: NDArray[np.intp], mean: Array, variance: Array
    ) -> Array:
        raise NotImplementedError

    def _atom_of(self, support: Array, column: NDArray[np.intp]) -> NDArray[np.intp]:
        known = {
            pair: i
            for i, pair in enumerate((c, a) for c, atoms in enumerate(self.atoms) for a in atoms)
        }
        pairs = zip(column.tolist(), support.tolist(), strict=True)
        return np.array([known.get(pair, -1) for pair in pairs], dtype=np.intp)

    def _by_column(self, sums: Array, column: NDArray[np.intp]) -> Array:
        """Sums over the statistics of each column, (K, S) -> (K, C); zero for a column without
        cells.
        """
        onto = scipy.sparse.csr_array(
            (np.ones(len(column)), (np.arange(len(column)), column)),
            shape=(len(column), len(self.location)),
        )
        return np.asarray(sums @ onto)


@dataclass(frozen=True)
class GaussianMass(_Table):
    """Phi((x + h/2 - m) / s) - Phi((x - h/2 - m) / s), open beyond a pixel's ends; Sheppard's h^2 /
    12 corrected.
    """

    def _log_mass(
        self, values: Array, column: NDArray[np.intp], mean: Array, variance: Array
    ) -> Array:
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
        width = (
            2.0 * half / deviation
        )  # a grid too fine for differences: the density, times the width
        density = (
            np.log(width) - 0.5 * ((values - centre) / deviation) ** 2 - 0.5 * np.log(2.0 * np.pi)
        )
        return np.where((width < 1e-5) & np.isfinite(low + high), density, mass)


@dataclass(frozen=True)
class NegativeBinomial(_Table):
    """Gamma(x + r) / (Gamma(r) x!) (r / (r + m))^r (m / (r + m))^x; near Poisson, r = 1e6, where
    not overdispersed.
    """

    def _log_mass(
        self, values: Array, column: NDArray[np.intp], mean: Array, variance: Array
    ) -> Array:
        m = np.maximum(self.location[column] + mean, 1e-6)
        r = np.clip(m**2 / np.maximum(variance - m, 1e-12), 1e-3, 1e6)
        choices = gammaln(values + r) - gammaln(r) - gammaln(values + 1.0)
        return np.asarray(choices - r * np.log1p(m / r) + values * (np.log(m) - np.log(r + m)))


def _atoms(column: Column) -> tuple[float, ...]:
    ends = (column.lower, column.upper) if column.kind == "pixel" else ()
    return tuple(dict.fromkeys((*column.atoms, *(end for end in ends if end is not None))))
