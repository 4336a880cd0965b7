"""Rows that are records: data and samples by column and by pair, reconstructions and originals."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from aevb.figures import style
from aevb.figures.style import (
    Floats,
    canvas,
    dots,
    drawable,
    minus,
    name_rows,
    one_line,
    pair_grid,
    span,
    styled,
    thin,
)
from aevb.table.schema import LEVELED, Column

__all__ = ["level_recovery", "marginals", "pairs", "reconstruction_scatter"]


@styled
def marginals(
    originals: ArrayLike, samples: ArrayLike, columns: Sequence[Column], *, most: int = 12
) -> Figure:
    """Distribution of each column in the data (gray) and in samples (blue), and their distance.

    At most `most` columns are shown, those that differ most: the model's worst marginals.
    Values have shape (rows, columns); missing cells are left out.
    """
    data, drawn = _thinned(originals), _thinned(samples)
    gaps = [discrepancy(column, data[:, i], drawn[:, i]) for i, column in enumerate(columns)]
    shown = sorted(np.argsort(-np.array(gaps), kind="stable")[:most].tolist())
    figure, grid = _panels(len(shown), height=1.35)
    for axes, i in zip(grid, shown, strict=False):
        axes.set_title(f"{one_line(columns[i].name, 16)}  {gaps[i]:.2f}")
        draw = _draw_levels if columns[i].kind in LEVELED else _draw_numbers
        draw(axes, columns[i], _known(data[:, i]), _known(drawn[:, i]))
    handles = grid[0].get_legend_handles_labels()[0]
    figure.legend(handles, ["data", "samples"], loc="outside upper right", ncols=2)
    return figure


def discrepancy(column: Column, data: Floats, samples: Floats) -> float:
    """Distance between two samples of a column, from 0 to 1; NaN where both are empty.

    Numbers have the largest gap of their cumulative distributions (Kolmogorov-Smirnov), levels
    their total variation.
    """
    data, samples = _known(data), _known(samples)
    if not len(data) and not len(samples):
        return float("nan")
    if not len(data) or not len(samples):
        return 1.0
    if column.kind in LEVELED:
        return 0.5 * float(np.abs(_shares(column, data) - _shares(column, samples)).sum())
    points = np.concatenate([data, samples])
    below = np.searchsorted(np.sort(data), points, side="right") / len(data)
    below_too = np.searchsorted(np.sort(samples), points, side="right") / len(samples)
    return float(np.abs(below - below_too).max())


@styled
def pairs(
    originals: ArrayLike, samples: ArrayLike, columns: Sequence[Column], *, most: int = 4
) -> Figure:
    """Pairs of the most related numeric columns: data below the diagonal, samples above it.

    Parameters as `marginals`; at least two columns must be numeric.
    """
    data, drawn = _thinned(originals), _thinned(samples)
    shown = most_related(data, columns, most)
    figure, grid = pair_grid([span(data[:, i]) for i in shown])
    panels = len(shown) ** 2
    for row, column in np.ndindex(len(shown), len(shown)):
        axes, i, j = grid[row][column], shown[column], shown[row]
        if row == column:
            _draw_numbers(axes, columns[i], _known(data[:, i]), _known(drawn[:, i]))
        elif row > column:
            dots(axes, data[:, i], data[:, j], drawn=panels * len(data), color=style.DATA)
        else:
            dots(axes, drawn[:, i], drawn[:, j], drawn=panels * len(drawn), color=style.MODEL)
        if row == 0:
            axes.set_title(one_line(columns[i].name, 16), fontsize=7.5)
        if column == 0:
            axes.set_ylabel(one_line(columns[j].name, 16), fontsize=7.5)
    return figure


def most_related(
    data: Floats, columns: Sequence[Column], most: int, *, compared: int = 200
) -> list[int]:
    """The `most` numeric columns with the largest rank correlations, in the order of the table.

    A column counts by its two largest correlations with others, missing cells at the median; of
    very many numeric columns the first `compared` are looked at.
    """
    numeric = [i for i, column in enumerate(columns) if column.kind not in LEVELED][:compared]
    if len(numeric) <= most:
        return numeric
    strength = np.zeros((len(numeric), len(numeric)))
    if len(data) > 1:
        filled = np.stack([_with_medians(data[:, i]) for i in numeric])
        ranks = np.argsort(np.argsort(filled, axis=1, kind="stable"), axis=1)
        strength = np.abs(np.corrcoef(ranks))
        constant = np.ptp(filled, axis=1) <= 0
        strength[constant] = 0.0
        strength[:, constant] = 0.0
        np.fill_diagonal(strength, 0.0)
    order = np.argsort(-np.sort(strength, axis=0)[-2:].sum(axis=0), kind="stable")
    return sorted(numeric[i] for i in order[:most])


@styled
def reconstruction_scatter(
    originals: ArrayLike, reconstructions: ArrayLike, columns: Sequence[Column], *, most: int = 6
) -> Figure:
    """Reconstruction against original for the most related numeric columns, and the line x' = x.

    Each title gives R² = 1 - sum (x - x')² / sum (x - mean)². Parameters as `marginals`.
    """
    data, rebuilt = _thinned(originals), _thinned(reconstructions)
    shown = most_related(data, columns, most)
    figure, grid = _panels(len(shown), height=1.55)
    for axes, i in zip(grid, shown, strict=False):
        both = np.isfinite(data[:, i]) & np.isfinite(rebuilt[:, i])
        x, y = data[both, i], rebuilt[both, i]
        axes.axline((0, 0), slope=1, color=style.INK, linewidth=0.8)
        dots(axes, x, y, drawn=len(x) * len(shown), color=style.MODEL)
        axes.set_xlim(span(x))
        axes.set_ylim(span(x))
        axes.set_title(f"{one_line(columns[i].name, 14)}  {_r_squared(x, y)}")
    figure.supxlabel("original", fontsize=8.5)
    figure.supylabel("reconstruction", fontsize=8.5)
    return figure


@styled
def level_recovery(
    originals: ArrayLike, reconstructions: ArrayLike, columns: Sequence[Column], *, most: int = 20
) -> Figure:
    """Share of rows whose level is reconstructed correctly, for the `most` worst columns.

    A mark shows the share of the most frequent level. Parameters as `marginals`; at least one
    column must have levels.
    """
    data, rebuilt = _thinned(originals), _thinned(reconstructions)
    rates = []
    for i, column in enumerate(columns):
        if column.kind in LEVELED:
            known = np.isfinite(data[:, i])
            original, copy = data[known, i], rebuilt[known, i]
            correct = np.sum(original == np.round(copy)) / max(len(original), 1)
            rates.append((correct, _shares(column, original).max(), one_line(column.name, 22)))
    rates = sorted(rates, key=lambda rate: rate[0])[:most]
    correct, frequent, names = zip(*rates, strict=True)
    figure = canvas(0.9 + 0.2 * len(rates))
    axes = figure.add_subplot()
    places = np.arange(len(rates))
    axes.barh(places, correct, color=style.MODEL, height=0.6, label="reconstructed correctly")
    marks = axes.plot(frequent, places, "|", label="most frequent level")[0]
    marks.set(color=style.ALERT, markersize=9, markeredgewidth=2)
    name_rows(axes, names)
    axes.set_xlim(0, 1.02)
    axes.grid(axis="x")
    axes.set_xlabel("share of rows")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def _thinned(values: ArrayLike) -> Floats:
    values = np.asarray(values)
    return drawable(values[thin(len(values), 2_000)])


def _known(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _with_medians(values: Floats) -> Floats:
    """The values with the median in place of missing ones; zeros where none is known."""
    known = _known(values)
    if not len(known):
        return np.zeros(len(values))
    return np.nan_to_num(values, nan=float(np.median(known)))


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    across = min(3, count)
    down = math.ceil(count / across)
    figure = canvas(0.35 + height * down)
    grid: list[Axes] = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.set_axis_off()
    return figure, grid


def _draw_numbers(axes: Axes, column: Column, data: Floats, samples: Floats) -> None:
    bins = _bins(column, data if len(data) else samples)
    drawn = np.histogram(data, bins)[0] / max(len(data), 1)
    axes.stairs(drawn, bins, fill=True, color=style.DATA, label="data")
    drawn = np.histogram(samples, bins)[0] / max(len(samples), 1)
    axes.stairs(drawn, bins, color=style.MODEL, linewidth=1.3, label="samples")
    axes.set_xlim(bins[0], bins[-1])
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _bins(column: Column, values: Floats, most: int = 28) -> Floats:
    """Edges of as many bins as the number of values allows, or one bin per value of a grid."""
    low, high = span(values)
    bins = int(np.clip(2 * np.sqrt(len(values)), 8, most))
    step = column.resolution
    if step > 0 and 2 <= (high - low) / step <= 2 * bins:
        return np.arange(math.floor(low / step) - 0.5, math.ceil(high / step) + 1) * step
    return np.linspace(low, high, bins + 1)


def _draw_levels(axes: Axes, column: Column, data: Floats, samples: Floats, most: int = 6) -> None:
    shares = np.stack([_shares(column, data), _shares(column, samples)])
    order = np.argsort(-shares[0], kind="stable")[:most]
    if column.kind == "ordinal":
        order.sort()
    categories = column.categories or ("unknown",)
    names = [one_line(categories[i], 13) for i in order]
    heights = shares[:, order]
    if shares.shape[1] > most:
        names.append(f"{shares.shape[1] - most} others")
        rest = np.maximum(1 - heights.sum(axis=1, keepdims=True), 0.0)
        heights = np.hstack([heights, rest])
    places = np.arange(len(names))
    axes.barh(places - 0.2, heights[0], color=style.DATA, height=0.38, label="data")
    axes.barh(places + 0.2, heights[1], color=style.MODEL, height=0.38, label="samples")
    name_rows(axes, names, least=3, fontsize=6.5)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _shares(column: Column, codes: Floats) -> Floats:
    """Share of each level."""
    levels = max(len(column.categories), 1)
    counts = np.bincount(np.clip(codes, 0, levels - 1).astype(np.intp), minlength=levels)
    return counts / max(len(codes), 1)


def _r_squared(x: Floats, y: Floats) -> str:
    unit = np.abs(x).max(initial=0.0) or 1.0
    x, y = x / unit, np.clip(y / unit, -1e6, 1e6)
    spread = float(x.var()) if len(x) else 0.0
    if spread <= 0:
        return "R² –"
    return minus(f"R² {max(1 - np.mean((x - y) ** 2) / spread, -99):.2f}")
