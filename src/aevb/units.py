"""Which columns learn a map to standard normal units, chosen by validation rows.

A map of each column makes its marginal right, skew, ends and heaps included, but it bends straight
relations between columns. Columns whose support or values need it always have one. The others,
which a Gaussian of the values themselves could describe, have one where a linear model of the
columns then gives held-out rows more nats.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from aevb import linear
from aevb.preparation import Preparation
from aevb.rows import mean_and_error
from aevb.table.schema import Column, Schema, Values, on_grid

__all__ = ["Marginals", "linear_nats", "with_units"]

Marginals = Literal["auto", "mapped", "plain"]


def with_units(
    preparation: Preparation, train: Values, held_out: Values, marginals: Marginals = "auto"
) -> Preparation:
    """The preparation with units of the training rows, shape (n, D).

    Parameters
    ----------
    preparation
        Without units.
    train, held_out
        Values of rows.
    marginals
        "mapped" gives a map to every column that can have one, and "plain" to those alone that need
        one. "auto" is "plain" unless held-out rows gain by the maps, by more than the standard
        error of the gain.
    """
    mapped = preparation.scaled_by(train, preparation.mappable)
    free = _free_columns(mapped.schema, train, grids=marginals == "auto")
    if marginals == "mapped" or not free:
        return mapped
    others = [name for name in preparation.mappable if name not in free]
    plain = preparation.scaled_by(train, others)
    if marginals == "plain":
        return plain
    if len(held_out) < 2:
        return plain
    nats = linear_nats(mapped.schema, train, held_out)
    gain, error = mean_and_error(nats - linear_nats(plain.schema, train, held_out))
    return mapped if gain > error else plain


def _free_columns(
    schema: Schema, train: Values, *, grids: bool, most_outside: float = 0.1
) -> list[str]:
    """The columns of which a Gaussian of the values themselves could be the marginal.

    These are columns of densities, and decimal grids if asked for, of whose Gaussian at most
    `most_outside` would leave the support. What leaves it is put on its end.
    """
    free = []
    for column, values in zip(schema.columns, train.T, strict=True):
        if column.marginal is None:
            continue
        is_whole = bool(on_grid(np.array(column.resolution), 1.0))
        if column.resolution > 0 and (is_whole or not grids):
            continue
        rest = values[np.isfinite(values) & ~np.isin(values, column.atoms)]
        mean, deviation = rest.mean(), rest.std()
        outside = 0.0
        if column.lower is not None:
            outside += ndtr((column.lower - mean) / deviation)
        if column.upper is not None:
            outside += ndtr((mean - column.upper) / deviation)
        if outside < most_outside:
            free.append(column.name)
    return free


@dataclass(frozen=True)
class _Ordered:
    """The ordered columns of rows in standard units, and the nats of their units."""

    rows: Values
    log_slopes: Values


def linear_nats(
    schema: Schema,
    train: Values,
    held_out: Values,
    *,
    factors: int = 8,
    least_noise: float = 1e-3,
    iterations: int = 100,
) -> Values:
    """Log-likelihood of held-out rows under factor analysis of the ordered columns, shape (n,).

    It compares units of the same columns: densities count in the units of the data, a cell of a
    grid is as wide as its probability asks for, and a value with a mass of its own is left out.
    """
    center, spread = _moments(_ordered(schema, train).rows)
    fitted = linear.fit(
        (_ordered(schema, train).rows - center) / spread,
        min(factors, max(len(center) - 1, 1)),
        noise_floor=least_noise,
        max_iterations=iterations,
    )
    judged = _ordered(schema, held_out)
    nats = fitted.log_likelihood((judged.rows - center) / spread)
    log_spread = np.where(np.isnan(judged.rows), 0.0, np.log(spread))
    return nats + (judged.log_slopes - log_spread).sum(axis=1)


def _ordered(schema: Schema, values: Values) -> _Ordered:
    rows, log_slopes = [], []
    for column, cells in zip(schema.columns, values.T, strict=True):
        if column.kind not in ("continuous", "count"):
            continue
        observed = np.isfinite(cells) & ~np.isin(cells, column.atoms)
        rows.append(np.where(observed, column.to_units(cells), np.nan))
        log_slopes.append(np.where(observed, _log_slope(column, cells), 0.0))
    return _Ordered(np.column_stack(rows), np.column_stack(log_slopes))


def _log_slope(column: Column, cells: Values) -> Values:
    """log(du/dx) of a density, and of a mass the log of the width of its cell in u, shape (n,)."""
    if column.marginal is None:
        return np.full(len(cells), np.log((column.resolution or 1.0) / column.scale))
    if column.resolution > 0:
        return np.log(column.marginal.width_at(cells))
    return np.log(column.marginal.slope_at(cells))


def _moments(rows: Values) -> tuple[Values, NDArray[np.float64]]:
    """Means and deviations of the observed cells; a deviation is never zero."""
    observed = ~np.isnan(rows)
    count = np.maximum(observed.sum(axis=0), 1)
    mean = np.where(observed, rows, 0.0).sum(axis=0) / count
    squares = np.where(observed, rows - mean, 0.0) ** 2
    deviation = np.sqrt(squares.sum(axis=0) / count)
    return mean, np.where(deviation > 0, deviation, 1.0)
