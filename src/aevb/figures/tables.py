"""Rows that are records: marginals and pairs of the data beside samples, reconstructions beside
originals.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from aevb.figures.style import (
    ALERT,
    DATA,
    INK,
    MODEL,
    WIDTH,
    Array,
    canvas,
    dots,
    drawable,
    plain,
    span,
    styled,
    thin,
)
from aevb.table.schema import LEVELED, Column

__all__ = ["level_recovery", "marginals", "pairs", "reconstruction_scatter"]

_BINS = 28
_LEVELS = 6
#: Rows looked at when columns are compared, and columns whose rank correlations are.
_ROWS, _COLUMNS = 2_000, 200


@styled
def marginals(
    originals: ArrayLike, samples: ArrayLike, columns: Sequence[Column], most: int = 12
) -> Figure:
    """Each column's distribution in the data (grey) and among samples (blue), and the distance
    between the two.

    Of more than `most` columns, those that differ most are drawn: the model's worst marginals.

    Parameters
    ----------
    originals, samples
        Values, shape (rows, columns); missing cells are left out.
    columns
        The columns of the schema.
    """
    data, drawn = _rows(originals), _rows(samples)
    gaps = [discrepancy(column, data[:, i], drawn[:, i]) for i, column in enumerate(columns)]
    shown = sorted(np.argsort(-np.array(gaps), kind="stable")[:most].tolist())
    across = min(3, len(shown))
    figure, grid = _panels(len(shown), across, height=1.35)
    for axes, i in zip(grid, shown, strict=False):
        axes.set_title(f"{plain(columns[i].name, 16)}  {gaps[i]:.2f}")
        draw = _draw_levels if columns[i].kind in LEVELED else _draw_numbers
        draw(axes, columns[i], _known(data[:, i]), _known(drawn[:, i]))
    figure.legend(
        grid[0].get_legend_handles_labels()[0],
        ["data", "samples"],
        loc="outside upper right",
        ncols=2,
    )
    return figure


def discrepancy(column: Column, data: Array, samples: Array) -> float:
    """Between 0 and 1: largest gap of the cumulative distributions of numbers, total variation of
    levels.
    """
    data, samples = _known(data), _known(samples)
    if not len(data) or not len(samples):
        return float("nan") if len(data) == len(samples) else 1.0
    if column.kind in LEVELED:
        return 0.5 * float(np.abs(_shares(column, data) - _shares(column, samples)).sum())
    data, samples = np.sort(data), np.sort(samples)
    points = np.concatenate([data, samples])
    below = [
        np.searchsorted(values, points, side="right") / len(values) for values in (data, samples)
    ]
    return float(np.abs(below[0] - below[1]).max())


@styled
def pairs(
    originals: ArrayLike, samples: ArrayLike, columns: Sequence[Column], most: int = 4
) -> Figure:
    """Pairs of the numeric columns that hang together most: data below the diagonal, samples above
    it.

    Parameters as `marginals`; at least two columns must be numeric.
    """
    data, drawn = _rows(originals), _rows(samples)
    shown = most_related(data, columns, most)
    figure = canvas(WIDTH)
    grid: Any = figure.subplots(len(shown), len(shown), squeeze=False)
    limits = [span(data[:, i]) for i in shown]
    for row, column in np.ndindex(grid.shape):
        axes, i, j = grid[row, column], shown[column], shown[row]
        axes.tick_params(
            labelbottom=row == len(shown) - 1, labelleft=column == 0 < row, labelsize=6.5
        )
        if row == column:
            _draw_numbers(axes, columns[i], _known(data[:, i]), _known(drawn[:, i]))
            axes.tick_params(left=False, labelleft=False)
        else:
            values, color = (data, DATA) if row > column else (drawn, MODEL)
            dots(axes, values[:, i], values[:, j], drawn=len(values) * grid.size, color=color, s=4)
            axes.set_ylim(limits[row])
        axes.set_xlim(limits[column])
        if row == 0:
            axes.set_title(plain(columns[i].name, 16), fontsize=7.5)
        if column == 0:
            axes.set_ylabel(plain(columns[j].name, 16), fontsize=7.5)
    return figure


def most_related(data: Array, columns: Sequence[Column], most: int) -> list[int]:
    """Numeric columns with the largest rank correlations to other numeric ones, in the order of the
    table.
    """
    numeric = [i for i, column in enumerate(columns) if column.kind not in LEVELED][:_COLUMNS]
    if len(numeric) <= most:
        return numeric
    filled = np.where(np.isnan(data), np.nan_to_num(_median(data)), data)[:, numeric]
    ranks = np.argsort(np.argsort(filled, axis=0, kind="stable"), axis=0).astype(np.float64)
    constant = np.ptp(filled, axis=0) <= 0
    strength = np.abs(np.corrcoef(ranks, rowvar=False)) if len(ranks) > 1 else np.eye(len(numeric))
    strength[constant] = strength[:, constant] = 0.0
    order = np.argsort(
        -np.sort(strength, axis=0)[-3:-1].sum(axis=0), kind="stable"
    )  # the largest is itself
    return sorted(numeric[i] for i in order[:most])


@styled
def reconstruction_scatter(
    originals: ArrayLike, reconstructions: ArrayLike, columns: Sequence[Column], most: int = 6
) -> Figure:
    """Reconstruction against original for the numeric columns that hang together most, with the
    line of equality.

    Each title gives R² = 1 - sum (x - x')² / sum (x - mean)². Parameters as `marginals`.
    """
    data, rebuilt = _rows(originals), _rows(reconstructions)
    shown = most_related(data, columns, most)
    figure, grid = _panels(len(shown), min(3, len(shown)), height=1.55)
    for axes, i in zip(grid, shown, strict=False):
        both = np.isfinite(data[:, i]) & np.isfinite(rebuilt[:, i])
        x, y = data[both, i], rebuilt[both, i]
        axes.axline((0, 0), slope=1, color=INK, linewidth=0.8)
        dots(axes, x, y, drawn=len(x) * len(shown), color=MODEL, s=4)
        axes.set_xlim(span(x))
        axes.set_ylim(span(x))
        axes.set_title(f"{plain(columns[i].name, 14)}  {_r_squared(x, y)}")
    figure.supxlabel("original", fontsize=8.5)
    figure.supylabel("reconstruction", fontsize=8.5)
    return figure


@styled
def level_recovery(
    originals: ArrayLike, reconstructions: ArrayLike, columns: Sequence[Column], most: int = 20
) -> Figure:
    """Share of rows whose level is reconstructed right, beside the share of the most frequent
    level; worst first.

    Parameters as `marginals`; at least one column must have levels.
    """
    data, rebuilt = _rows(originals), _rows(reconstructions)
    rates = [
        (plain(column.name, 22), *_recovered(column, data[:, i], rebuilt[:, i]))
        for i, column in enumerate(columns)
        if column.kind in LEVELED
    ]
    rates = sorted(rates, key=lambda rate: rate[1])[:most]
    figure = canvas(0.9 + 0.2 * len(rates))
    axes = figure.add_subplot()
    places = np.arange(len(rates))
    axes.barh(
        places, [rate[1] for rate in rates], color=MODEL, height=0.6, label="reconstructed right"
    )
    axes.plot(
        [rate[2] for rate in rates],
        places,
        "|",
        color=ALERT,
        markersize=9,
        mew=2,
        label="most frequent level",
    )
    axes.set_yticks(places, [rate[0] for rate in rates], color=INK)
    axes.set_ylim(len(rates) - 0.4, -0.6)
    axes.set_xlim(0, 1.02)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of rows")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def _rows(values: ArrayLike) -> Array:
    values = np.asarray(values, dtype=np.float64)
    return drawable(values[thin(len(values), _ROWS)])


def _known(values: Array) -> Array:
    return values[np.isfinite(values)]


def _median(data: Array) -> Array:
    """Medians over the known cells of each column; NaN for a column without one."""
    return np.array(
        [np.median(_known(column)) if np.isfinite(column).any() else np.nan for column in data.T]
    )


def _panels(count: int, across: int, height: float) -> tuple[Figure, list[Axes]]:
    down = math.ceil(count / across)
    figure = canvas(0.35 + height * down)
    grid = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.set_axis_off()
    return figure, grid


def _draw_numbers(axes: Axes, column: Column, data: Array, samples: Array) -> None:
    low, high = span(data if len(data) else samples)
    step = column.resolution
    bins = np.linspace(low, high, _BINS + 1)
    if step > 0 and 2 <= (high - low) / step <= 2 * _BINS:  # one bin a value
        bins = np.arange(math.floor(low / step) - 0.5, math.ceil(high / step) + 1) * step
    shares = [np.histogram(values, bins)[0] / max(len(values), 1) for values in (data, samples)]
    axes.stairs(shares[0], bins, fill=True, color=DATA, label="data")
    axes.stairs(shares[1], bins, color=MODEL, linewidth=1.3, label="samples")
    axes.set_xlim(bins[0], bins[-1])
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _draw_levels(axes: Axes, column: Column, data: Array, samples: Array) -> None:
    shares = [_shares(column, data), _shares(column, samples)]
    order = np.argsort(-shares[0], kind="stable")
    order = np.sort(order[:_LEVELS]) if column.kind == "ordinal" else order[:_LEVELS]
    names = [plain(column.categories[i] if i < len(column.categories) else i, 13) for i in order]
    heights = [share[order] for share in shares]
    if len(shares[0]) > _LEVELS:
        names.append(f"{len(shares[0]) - _LEVELS} others")
        heights = [np.append(height, max(1 - height.sum(), 0.0)) for height in heights]
    places = np.arange(len(names))
    axes.barh(places - 0.2, heights[0], color=DATA, height=0.38, label="data")
    axes.barh(places + 0.2, heights[1], color=MODEL, height=0.38, label="samples")
    axes.set_yticks(places, names, fontsize=6.5, color=INK)
    axes.set_ylim(max(len(names), 3) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _shares(column: Column, codes: Array) -> Array:
    levels = max(len(column.categories), 2 if column.kind == "binary" else 1)
    counts = np.bincount(np.clip(codes, 0, levels - 1).astype(np.intp), minlength=levels)
    return counts / max(len(codes), 1)


def _r_squared(x: Array, y: Array) -> str:
    unit = np.abs(x).max(initial=0.0) or 1.0
    spread = ((x / unit - (x / unit).mean()) ** 2).sum() if len(x) else 0.0
    if spread <= 0:
        return "R² –"
    return f"R² {max(1 - ((x / unit - np.clip(y / unit, -1e6, 1e6)) ** 2).sum() / spread, -99):.2f}".replace(
        "-", "−"
    )


def _recovered(column: Column, data: Array, rebuilt: Array) -> tuple[float, float]:
    known: NDArray[np.bool_] = np.isfinite(data)
    if not known.any():
        return 0.0, 0.0
    return float((data[known] == np.round(rebuilt[known])).mean()), float(
        _shares(column, data[known]).max()
    )
