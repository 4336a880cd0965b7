"""Appendix F drawn: what a distribution over theta buys held-out rows, by the number of rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aevb.figures.style import INK
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, Style, book
from aevb_paper.experiments.lines import Point, column, group

__all__ = ["full_vb"]


class _Curve(NamedTuple):
    """A line of the left panel: the value of each fit's point where `chosen` is greatest."""

    label: str
    algorithm: str
    chosen: str
    value: str
    solid: bool

    @property
    def look(self) -> Style:
        color = _color(self.algorithm)
        if self.solid:
            return {"color": color, "mfc": color, "ls": "-", "marker": "o", "ms": 4.2, "mew": 1.0}
        dashes = (0, (4, 2))
        return {"color": color, "mfc": "white", "ls": dashes, "marker": "o", "ms": 4.2, "mew": 1.0}


def _curves() -> tuple[_Curve, ...]:
    return (
        _Curve("MAP", "map", "samples", "test", True),
        _Curve("MAP, stopped by validation rows", "map", "validation", "test", False),
        _Curve("full VB", "full-vb", "samples", "test", True),
        _Curve("full VB, at the mean of theta", "full-vb", "samples", "test_at_mean", False),
    )


def _color(algorithm: str) -> str:
    return {"map": GENERATIVE, "full-vb": RECOGNITION}[algorithm]


@book
def full_vb(points: Sequence[Point]) -> Figure:
    """Left, held-out log-likelihood against N at the end of a fit; right, for each N, on the way.

    Lines go through the means over seeds, each of which has its dot, with its standard error over
    test rows as a bar.

    Parameters
    ----------
    points
        As `experiments.full_vb.full_vb` returns them.
    """
    sizes = sorted(set(column(points, "n_train")))
    figure = Figure(figsize=(2.7 + 1.5 * len(sizes), 3.0), layout="constrained")
    left, *right = figure.subplots(1, 1 + len(sizes), width_ratios=[1.7] + [1] * len(sizes))
    for curve in _curves():
        fits = [point for point in points if point["algorithm"] == curve.algorithm]
        _draw_ends(left, curve, fits)
    left.set(
        xscale="log",
        xlabel="training rows N",
        ylabel="log-likelihood, nats per row",
        xticks=sizes,
        xticklabels=[f"{size:,}" for size in sizes],
    )
    left.set_title("held-out rows, by N")
    # Training rows climb so far that on their axis held-out rows differ by a hair: the left panel
    # has its own.
    for axes in right[1:]:
        axes.sharey(right[0])
        axes.tick_params(labelleft=False)
    for axes, size in zip(right, sizes, strict=True):
        _draw_way(axes, [point for point in points if point["n_train"] == size])
        axes.set(xscale="log", xlabel="training samples", title=f"N = {size:,}")
    for axes in (left, *right):
        axes.minorticks_off()
        axes.grid(axis="y")
    marks = [Line2D([], [], label=curve.label, **curve.look) for curve in _curves()]
    marks.append(Line2D([], [], color=INK, ls=(0, (1, 1.2)), lw=1.1, label="training rows"))
    figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure


def _draw_ends(axes: Axes, curve: _Curve, points: Sequence[Point]) -> None:
    ends = []
    for fit in group(points, "n_train", "seed"):
        ends.append(max(fit, key=lambda point: point[curve.chosen]))
    ends.sort(key=lambda end: end["n_train"])
    sizes = sorted(set(column(ends, "n_train")))
    means = [np.mean(column(of_size, curve.value)) for of_size in group(ends, "n_train")]
    axes.plot(sizes, means, color=curve.look["color"], ls=curve.look["ls"], lw=1.3)
    axes.errorbar(
        column(ends, "n_train"),
        column(ends, curve.value),
        column(ends, f"{curve.value}_error"),
        **{**curve.look, "ls": ""},
        elinewidth=0.9,
        zorder=3,
    )


def _draw_way(axes: Axes, points: Sequence[Point]) -> None:
    for fit in group(points, "algorithm", "seed"):
        color = _color(fit[0]["algorithm"])
        line = sorted(fit, key=lambda point: point["samples"])
        samples = column(line, "samples")
        axes.plot(samples, column(line, "test"), color=color, lw=1.3)
        axes.plot(samples, column(line, "train"), color=color, lw=1.1, ls=(0, (1, 1.2)))
