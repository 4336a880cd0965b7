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


class Cells(NamedTuple):
    """The distinct values of the columns of each likelihood, and which of them each row has.

    Parameters
    ----------
    values
        For each likelihood of d columns, shape (U, d) in model units, NaN below a column's last.
    blocks
        For each block of rows, shape (rows, V), V the number of entries in `values`.
    """

    values: tuple[Values, ...]
    blocks: tuple[scipy.sparse.csr_array, ...]

    @classmethod
    def of(
        cls,
        parts: Sequence[Likelihood],
        units: Values,
        *,
        possible: Mapping[int, Values] | None = None,
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
                known = possible.get(column, np.empty(0))
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

    def entries(self, pieces: Sequence[Values]) -> Values:
        """Numbers of each likelihood, (K, U, d), as those of all entries, (V, K)."""
        flat = [piece.reshape(len(piece), -1) for piece in pieces]
        return np.ascontiguousarray(np.concatenate(flat, axis=1).T)

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


def merged(schema: Schema, units: Values, *, most: int = 1_000, step: float = 1e-2) -> Values:
    """The rows with close values of columns of more than `most` values replaced by one of them.

    Values t in standard units (logarithms of positive ones and of counts + 1) merge where arsinh(t)
    rounds to the same multiple of `step`, no more than the least scale of a class; the middle one
    stands for them, so that it lies in the support of a mass. Atoms and levels stay.
    """
    rounded = units.copy()
    for place, column in enumerate(schema.columns):
        if not column.categories and len(np.unique(units[:, place])) > most:
            rounded[:, place] = _merged(column, units[:, place], step)
    return rounded


def _merged(column: Column, cells: Values, step: float) -> Values:
    atoms = [column.in_units(atom) for atom in column.atoms]
    rest = np.isfinite(cells) & ~np.isin(cells, atoms)
    values = cells[rest]
    standard = values
    if column.kind == "positive":
        standard = np.log(values)
    elif column.kind == "count" and column.marginal is None:
        standard = np.log1p(values)
    standard = (standard - standard.mean()) / standard.std()
    _, group, sizes = np.unique(
        np.round(np.arcsinh(standard) / step), return_inverse=True, return_counts=True
    )
    middles = np.cumsum(sizes) - (sizes + 1) // 2  # groups follow each other in sorted values
    rounded = cells.copy()
    rounded[rest] = np.sort(values)[middles][group]
    return rounded


def _side_by_side(columns: Sequence[Values]) -> Values:
    """Columns of unequal length, NaN below each."""
    most = max(len(column) for column in columns)
    table = np.full((max(most, 1), len(columns)), np.nan)
    for offset, column in enumerate(columns):
        table[: len(column), offset] = column
    return table


def _one_hot(place: NDArray[np.intp], width: int) -> scipy.sparse.csr_array:
    there = place >= 0
    ends = np.concatenate([[0], np.cumsum(there.sum(1))])
    ones = np.ones(int(ends[-1]))
    return scipy.sparse.csr_array((ones, place[there], ends), shape=(len(place), width))
