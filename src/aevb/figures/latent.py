"""The latent space: posterior means of the most active latents, colored by a column."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from aevb.figures import style
from aevb.figures.style import (
    Floats,
    canvas,
    dots,
    drawable,
    one_line,
    pair_grid,
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
    color_levels: Sequence[object] = (),
) -> Figure:
    """Posterior means of the two latents with the largest KL; a histogram where there is only one.

    Codes have shape (rows, latents); without the KL of each in nats they are the first two. Colors,
    shape (rows,), are numbers, or indices into `color_levels`, NaN where unknown.
    """
    means, shades = _drawable_rows(codes, colors)
    order = most_active(means.shape[1], kl)[:2]
    if len(order) == 1:
        return _one_latent(means[:, 0])
    figure = canvas(4.2)
    axes = figure.add_subplot()
    axes.grid(True)
    x, y = means[:, order].T
    mappable = _scatter(axes, x, y, shades, color_levels, len(x))
    axes.set_xlabel(f"z{order[0]}")
    axes.set_ylabel(f"z{order[1]}", rotation=0)
    axes.set_xlim(span(x, 1.0))
    axes.set_ylim(span(y, 1.0))
    _add_legend(figure, axes, mappable, color_name)
    return figure


@styled
def latent_pairs(
    codes: ArrayLike,
    kl: Sequence[float] = (),
    colors: ArrayLike | None = None,
    color_levels: Sequence[object] = (),
    *,
    most: int = 4,
) -> Figure:
    """Every pair of the `most` most active latents, and the histogram of each on the diagonal.

    Parameters as `latent_space`.
    """
    means, shades = _drawable_rows(codes, colors)
    order = most_active(means.shape[1], kl)[:most]
    figure, grid = pair_grid([span(means[:, j], 1.0) for j in order])
    for row, column in np.ndindex(len(order), len(order)):
        axes, x, y = grid[row][column], means[:, order[column]], means[:, order[row]]
        if column > row:
            axes.set_axis_off()
        elif column == row:
            _draw_histogram(axes, x)
            axes.set_title(f"z{order[row]}")
        else:
            _scatter(axes, x, y, shades, color_levels, means.size)
    return figure


def most_active(latents: int, kl: Sequence[float]) -> NDArray[np.intp]:
    """Latents in order of their KL, largest first; in their own order where it is not known."""
    if len(kl) != latents:
        return np.arange(latents)
    return np.argsort(-np.nan_to_num(np.asarray(kl, dtype=np.float64)), kind="stable")


def _drawable_rows(codes: ArrayLike, colors: ArrayLike | None) -> tuple[Floats, Floats | None]:
    means = np.asarray(codes)
    rows = thin(len(means))
    if colors is None:
        return drawable(means[rows]), None
    return drawable(means[rows]), drawable(np.asarray(colors)[rows])


def _one_latent(means: Floats) -> Figure:
    figure = canvas(2.9)
    axes = figure.add_subplot()
    axes.grid(True)
    _draw_histogram(axes, means)
    axes.set_xlabel("z0")
    axes.set_ylabel("share of rows")
    return figure


def _scatter(
    axes: Axes,
    x: Floats,
    y: Floats,
    shades: Floats | None,
    levels: Sequence[object],
    drawn: int,
) -> PathCollection | None:
    """Draw the points; return what a color bar needs where colors are numbers."""
    if shades is None or not len(x):
        dots(axes, x, y, color=style.MODEL, drawn=drawn)
        return None
    known = np.isfinite(shades)
    if not known.all():
        dots(axes, x[~known], y[~known], color=style.FAINT, label="unknown", drawn=drawn)
    if not levels:
        low, high = span(shades, 0.98)
        points = dots(axes, x[known], y[known], drawn=drawn, c=shades[known], cmap="viridis")
        points.set_clim(low, high)
        return points
    for name, color, members in _groups(shades, levels):
        dots(axes, x[members], y[members], color=color, label=name, drawn=drawn)
    return None


def _groups(shades: Floats, levels: Sequence[object]) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Name, color and rows of each level; of more than ten levels, the nine largest and others."""
    shown = list(range(len(levels)))
    if len(levels) > len(style.LEVELS):
        known = shades[np.isfinite(shades)].astype(np.intp)
        counts = np.bincount(known, minlength=len(levels))
        shown = sorted(np.argsort(-counts, kind="stable")[: len(style.LEVELS) - 1].tolist())
    groups = []
    others = np.isfinite(shades) & ~np.isin(shades, shown)
    if others.any():
        groups.append((f"{len(levels) - len(shown)} others", style.DATA, others))
    for color, code in zip(style.LEVELS, shown, strict=False):
        groups.append((one_line(levels[code], 16), color, shades == code))
    return groups


def _add_legend(
    figure: Figure, axes: Axes, mappable: PathCollection | None, color_name: str
) -> None:
    if mappable is not None:
        name = one_line(color_name)
        bar = figure.colorbar(mappable, ax=axes, shrink=0.8, pad=0.02, label=name, alpha=1)
        bar.outline.set_visible(False)
    elif axes.get_legend_handles_labels()[1]:
        title = one_line(color_name, 16)
        legend = figure.legend(loc="outside right upper", title=title, handletextpad=0.2)
        for handle in filter(None, legend.legend_handles):
            handle.set(alpha=1, sizes=[24])


def _draw_histogram(axes: Axes, values: Floats) -> None:
    counts, edges = np.histogram(values[np.isfinite(values)], bins=30, range=span(values, 1.0))
    axes.stairs(counts / max(counts.sum(), 1), edges, fill=True, color=style.DATA)
