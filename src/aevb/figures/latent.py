"""The latent space: posterior means of the most active latents, coloured by a column."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from aevb.figures.style import (
    DATA,
    FAINT,
    LEVELS,
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

__all__ = ["latent_pairs", "latent_space"]


@styled
def latent_space(
    codes: ArrayLike,
    kl: Sequence[float] = (),
    colors: ArrayLike | None = None,
    color_name: str = "",
    color_levels: Sequence[Any] = (),
) -> Figure:
    """Posterior means of the two latents with the largest KL; a histogram where there is one
    latent.

    Parameters
    ----------
    codes
        Posterior means, shape (rows, latents).
    kl
        KL of each latent in nats, to order them by; the first latents where not given.
    colors
        Shape (rows,): numbers, or indices into `color_levels`; NaN where unknown.
    color_name
        Title of the legend.
    color_levels
        Names of the levels `colors` points to; empty for numbers.
    """
    means, shades = _prepared(codes, colors)
    order = most_active(means.shape[1], kl)[:2]
    figure = canvas(4.2 if len(order) > 1 else 2.9)
    axes = figure.add_subplot()
    axes.grid(True)
    if len(order) > 1:
        x, y = means[:, order].T
        mappable = _scatter(axes, x, y, shades, color_levels, drawn=len(x))
        axes.set_ylabel(f"z{order[1]}", rotation=0)
        axes.set_xlim(span(x, 1.0))
        axes.set_ylim(span(y, 1.0))
        _legend(figure, axes, mappable, color_name)
    else:
        _histogram(axes, means[:, 0])
        axes.set_ylabel("share of rows")
    axes.set_xlabel(f"z{order[0]}")
    return figure


@styled
def latent_pairs(
    codes: ArrayLike,
    kl: Sequence[float] = (),
    colors: ArrayLike | None = None,
    color_levels: Sequence[Any] = (),
    most: int = 4,
) -> Figure:
    """Every pair of the most active latents, at most `most` of them; each one's histogram on the
    diagonal.

    Parameters as `latent_space`.
    """
    means, shades = _prepared(codes, colors)
    order = most_active(means.shape[1], kl)[:most]
    figure = canvas(WIDTH * 0.93)
    grid: Any = figure.subplots(len(order), len(order), squeeze=False)
    for row, column in np.ndindex(grid.shape):
        axes, x = grid[row, column], means[:, order[column]]
        axes.tick_params(
            labelbottom=row == len(order) - 1, labelleft=column == 0 < row, labelsize=6.5
        )
        axes.set_xlim(span(x, 1.0))
        if column > row:
            axes.set_axis_off()
        elif column == row:
            _histogram(axes, x)
            axes.tick_params(left=False, labelleft=False)
            axes.set_title(f"z{order[row]}")
        else:
            _scatter(axes, x, means[:, order[row]], shades, color_levels, s=4, drawn=means.size)
            axes.set_ylim(span(means[:, order[row]], 1.0))
    return figure


def most_active(latents: int, kl: Sequence[float]) -> NDArray[np.intp]:
    """Latents in order of their KL, largest first; in their own order where it is not known."""
    if len(kl) != latents:
        return np.arange(latents)
    return np.argsort(-np.nan_to_num(np.asarray(kl, dtype=np.float64)), kind="stable")


def _prepared(codes: ArrayLike, colors: ArrayLike | None) -> tuple[Array, Array | None]:
    means = np.asarray(codes)
    rows = thin(len(means))
    return drawable(means[rows]), None if colors is None else drawable(np.asarray(colors)[rows])


def _scatter(
    axes: Axes, x: Array, y: Array, shades: Array | None, levels: Sequence[Any], **marks: Any
) -> Any:
    """Draw the points; return what a colour bar needs where colours are numbers."""
    if shades is None or not len(x):
        dots(axes, x, y, color=MODEL, **marks)
        return None
    known = np.isfinite(shades)
    if not known.all():
        dots(axes, x[~known], y[~known], color=FAINT, label="unknown", **marks)
    if not levels:
        low, high = span(shades, 0.98)
        return dots(
            axes, x[known], y[known], c=shades[known], vmin=low, vmax=high, cmap="viridis", **marks
        )
    groups = _groups(shades, levels)
    for name, color, members in groups:
        dots(axes, x[members], y[members], color=color, label=name, **marks)
    return None


def _groups(shades: Array, levels: Sequence[Any]) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """(name, colour, rows) of each level; beyond ten levels the nine largest, and one group of
    others.
    """
    counts = [int((shades == code).sum()) for code in range(len(levels))]
    shown = list(range(len(levels)))
    if len(levels) > len(LEVELS):
        shown = sorted(np.argsort(-np.array(counts), kind="stable")[: len(LEVELS) - 1].tolist())
    groups = [
        (plain(levels[code], 16), LEVELS[place], shades == code) for place, code in enumerate(shown)
    ]
    others = np.isfinite(shades) & ~np.isin(shades, shown)
    if others.any():
        groups.insert(0, (f"{len(levels) - len(shown)} others", DATA, others))
    return groups


def _legend(figure: Figure, axes: Axes, mappable: Any, name: str) -> None:
    if mappable is not None:
        bar: Any = figure.colorbar(mappable, ax=axes, shrink=0.8, pad=0.02, label=plain(name))
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1)
    elif axes.get_legend_handles_labels()[1]:
        legend: Any = figure.legend(
            loc="outside right upper", title=plain(name, 16), handletextpad=0.2
        )
        for handle in legend.legend_handles:
            handle.set(alpha=1)
            handle.set_sizes([24])


def _histogram(axes: Axes, values: Array) -> None:
    low, high = span(values, 1.0)
    counts, edges = np.histogram(values[np.isfinite(values)], bins=30, range=(low, high))
    axes.stairs(counts / max(counts.sum(), 1), edges, fill=True, color=DATA)
