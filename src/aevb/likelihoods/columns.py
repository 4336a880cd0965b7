"""Which likelihood each column of a schema gets: one for all the columns that share a kind."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from aevb.likelihoods.base import SCALE_FLOOR, Likelihood, deviations, means, raw_scale
from aevb.likelihoods.continuous import (
    AtomsAndRest,
    DiscretizedLogisticColumns,
    Gaussian,
    LogNormal,
    Proportion,
)
from aevb.likelihoods.discrete import Bernoulli, Categorical, NegativeBinomial, Ordinal, Poisson
from aevb.networks import Fixed
from aevb.table.schema import Column, Schema

__all__ = ["grid_deviation", "likelihoods_of"]

Count = Literal["poisson", "negative_binomial"]


def likelihoods_of(
    schema: Schema, units: np.ndarray, deviation: np.ndarray, *, count: Count, scale_given: bool
) -> tuple[Likelihood, ...]:
    """The parts of p(x|z), which share out the columns between them.

    Parameters
    ----------
    schema
        The columns, with their units.
    units
        Training rows in model units, shape (rows, D), NaN where missing: what the parts' own
        numbers are taken from.
    deviation
        What a linear model leaves of each column, in model units, shape (D,).
    count
        "poisson" counts have variance equal to their mean, "negative_binomial" ones more.
    scale_given
        The decoder gives the scale of continuous columns row by row; else one learned scale a
        column.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, column in enumerate(schema.columns):
        groups.setdefault(_group(column), []).append(i)
    return tuple(
        _part(key[0], tuple(places), schema, units, deviation, count, scale_given)
        for key, places in groups.items()
    )


def grid_deviation(column: Column) -> float:
    """The deviation, in model units, of rounding to the grid the data were recorded on; at least a
    hundredth.

    Below that float32 could not tell the columns of nearly singular data apart.
    """
    return float(
        np.clip(max(column.grid, column.resolution) / column.scale / np.sqrt(12), 1e-2, 1.0)
    )


def _group(column: Column) -> tuple[Any, ...]:
    """Columns with the same key share one likelihood; levels are grouped by size, so that padding
    stays small.
    """
    if column.kind in ("categorical", "ordinal"):
        kind = (
            column.kind if len(column.categories) > 1 else "categorical"
        )  # one level has no cut point
        return (kind, int(np.ceil(np.log2(len(column.categories)))))
    if column.kind == "continuous":
        return (column.kind, column.resolution > 0, bool(column.atoms))
    return (column.kind,)


def _part(
    kind: str,
    places: tuple[int, ...],
    schema: Schema,
    units: np.ndarray,
    deviation: np.ndarray,
    count: Count,
    scale_given: bool,
) -> Likelihood:
    columns = [schema.columns[i] for i in places]
    mass = Fixed(jnp.zeros(len(places)))
    levels = tuple(len(column.categories) for column in columns)
    match kind:
        case "binary":
            return Bernoulli(places, mass)
        case "categorical":
            return Categorical(places, mass, levels)
        case "ordinal":
            return Ordinal.fitted(places, levels, units[:, places])
        case "count":
            return (Poisson if count == "poisson" else NegativeBinomial)(places, mass)
        case "proportion":
            return Proportion(places, mass)
    if not columns[0].atoms:
        return _located(places, columns, units[:, places], deviation[list(places)], scale_given)
    atoms = np.full((len(places), max(len(column.atoms) for column in columns)), np.nan)
    for row, column in zip(atoms, columns, strict=True):
        row[: len(column.atoms)] = [_in_units(column, atom) for atom in column.atoms]
    elsewhere = np.where(
        (units[:, places, None] == atoms.astype(np.float32)).any(-1), np.nan, units[:, places]
    )
    rest = _located(places, columns, elsewhere, deviations(elsewhere), scale_given)
    return AtomsAndRest(
        columns=places,
        log_units=rest.log_units,
        rest=rest,
        atoms=Fixed(_single(atoms)),
        on_grid=columns[0].resolution > 0,
    )


def _located(
    places: tuple[int, ...],
    columns: Sequence[Column],
    units: np.ndarray,
    deviation: np.ndarray,
    scale_given: bool,
) -> Any:
    """The log-normal for positive numbers, the discretised logistic for a grid, the Gaussian for
    the others.
    """
    floor = np.maximum(SCALE_FLOOR * deviation, [grid_deviation(column) for column in columns])
    common: dict[str, Any] = {
        "columns": places,
        "floor": Fixed(_single(floor)),
        "raw_scale": raw_scale(deviation, floor),
        "scale_given": scale_given,
    }
    log_units = Fixed(_of(columns, lambda column: float(np.log(column.scale))))
    if columns[0].kind == "positive":
        logs = np.log(np.maximum(units, 1e-30))
        center, spread = means(logs, 0.0), np.maximum(deviations(logs), 1e-6)
        return LogNormal(
            **common,
            log_units=log_units,
            center=Fixed(_single(center)),
            spread=Fixed(_single(spread)),
        )
    if columns[0].resolution == 0:
        return Gaussian(**common, log_units=log_units)
    return DiscretizedLogisticColumns(
        **common,
        log_units=Fixed(jnp.zeros(len(places))),
        resolution=Fixed(_of(columns, lambda column: column.resolution / column.scale)),
        low=Fixed(_of(columns, lambda column: _in_units(column, column.lower, -np.inf))),
        high=Fixed(_of(columns, lambda column: _in_units(column, column.upper, np.inf))),
        anchor=Fixed(_of(columns, lambda column: _in_units(column, column.lower or 0.0))),
    )


def _in_units(column: Column, value: float | None, otherwise: float = 0.0) -> float:
    return otherwise if value is None else (value / 2 - column.location / 2) / (column.scale / 2)


def _of(columns: Sequence[Column], read: Callable[[Column], float]) -> Array:
    return _single([read(column) for column in columns])


def _single(values: Any) -> Array:
    return jnp.asarray(np.asarray(values, dtype=np.float64), jnp.float32)
