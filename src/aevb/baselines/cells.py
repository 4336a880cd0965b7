"""The cells of a table by column and distinct value, so that EM looks at each value only once.

Rows share most of their values. With log p(value | class) in a table of one line per distinct
value of each column,

    log p(x | class) of all rows = places @ table,    sums over rows = places' @ responsibilities

where `places` has a one wherever a row has that value. A missing cell has no place: it adds
nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from aevb.likelihoods import Likelihood
from aevb.table.schema import Column, Schema, Values

__all__ = ["Cells", "merged"]

Units = NDArray[np.float32]


class Cells(NamedTuple):
    """The distinct values of the columns of each likelihood, and which of them each row has.

    Parameters
    ----------
    values
        For each likelihood of d columns, shape (U, d) in model units, NaN below a column's last.
    blocks
        For each block of rows, shape (rows, V), V the number of entries in `values`.
    """

    values: tuple[Units, ...]
    blocks: tuple[scipy.sparse.csr_array, ...]

    @classmethod
    def of(
        cls,
        parts: Sequence[Likelihood],
        units: Units,
        *,
        possible: Mapping[int, Units] | None = None,
        block_rows: int = 4_096,
    ) -> "Cells":
        """The cells of rows in model units, shape (n, D), NaN where missing.

        `possible` has values, by the place of the column, that get an entry without being met.
        """
        possible = possible or {}
        place = np.full(units.shape, -1)
        values = []
        begin = 0
        for part in parts:
            width = len(part.columns)
            columns = []
            for offset, column in enumerate(part.columns):
                known = possible.get(column, np.empty(0, np.float32))
                observed = ~np.isnan(units[:, column])
                both = np.concatenate([known, units[observed, column]])
                distinct, which = np.unique(both, return_inverse=True)
                place[observed, column] = begin + which[len(known) :] * width + offset
                columns.append(distinct)
            values.append(_side_by_side(columns))
            begin += values[-1].size
        rows = _one_hot(place, begin)
        starts = range(0, max(len(units), 1), block_rows)
        return cls(tuple(values), tuple(rows[start : start + block_rows] for start in starts))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(block.shape[0] for block in self.blocks)

    def by_part(self, entries: Values) -> list[Values]:
        """Numbers of all entries, (V, ...), for each likelihood: (..., U, d)."""
        pieces = []
        begin = 0
        for values in self.values:
            piece = entries[begin : begin + values.size]
            begin += values.size
            piece = piece.reshape(*values.shape, *entries.shape[1:])
            pieces.append(np.moveaxis(piece, (0, 1), (-2, -1)))
        return pieces


def merged(schema: Schema, units: Units, *, most: int = 2_000, step: float = 2e-3) -> Units:
    """The rows with close values of columns of more than `most` values replaced by their mean.

    Values t in standard units (logarithms where positive) merge where arsinh(t) rounds to the same
    multiple of `step`: well within the least scale of a class. Atoms stay.
    """
    rounded = units.copy()
    for place, column in enumerate(schema.columns):
        if len(np.unique(units[:, place])) > most:
            rounded[:, place] = _merged(column, units[:, place], step)
    return rounded


def _merged(column: Column, cells: Units, step: float) -> Units:
    atoms = np.array([column.in_units(atom) for atom in column.atoms], np.float32)
    rest = np.isfinite(cells) & ~np.isin(cells, atoms)
    values = cells[rest].astype(np.float64)
    standard = values
    if column.kind == "positive":
        standard = np.log(values)
    standard = (standard - standard.mean()) / standard.std()
    _, group = np.unique(np.round(np.arcsinh(standard) / step), return_inverse=True)
    means = np.bincount(group, values) / np.bincount(group)
    rounded = cells.copy()
    rounded[rest] = means[group]
    return rounded


def _side_by_side(columns: Sequence[Units]) -> Units:
    """Columns of unequal length, NaN below each; few different lengths, so few programs."""
    most = max(len(column) for column in columns)
    unit = 1 << max(most.bit_length() - 3, 0)
    length = max(-(-most // unit) * unit, 1)
    table = np.full((length, len(columns)), np.nan, np.float32)
    for offset, column in enumerate(columns):
        table[: len(column), offset] = column
    return table


def _one_hot(place: NDArray[np.intp], width: int) -> scipy.sparse.csr_array:
    there = place >= 0
    ends = np.concatenate([[0], np.cumsum(there.sum(1))])
    ones = np.ones(int(ends[-1]))
    return scipy.sparse.csr_array((ones, place[there], ends), shape=(len(place), width))
