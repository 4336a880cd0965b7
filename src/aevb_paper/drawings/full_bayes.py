"""Appendix F, drawn: what a distribution over theta buys held-out rows, by how many rows there were
to learn from.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aevb.figures.style import INK
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, book

__all__ = ["full_vb"]

Point = dict[str, Any]


class _Way(NamedTuple):
    """A line of the left panel: whose points, which of a run's points counts, and what of it."""

    name: str
    algorithm: str
    chosen: Callable[[Point], float]
    value: str
    look: dict[str, Any]


COLORS = {"map": GENERATIVE, "full-vb": RECOGNITION}
SOLID, HOLLOW = {"ls": "-", "marker": "o"}, {"ls": (0, (4, 2)), "marker": "o", "mfc": "white"}
WAYS = (
    _Way("MAP", "map", lambda point: point["samples"], "test", SOLID),
    _Way(
        "MAP, stopped by validation rows", "map", lambda point: point["validation"], "test", HOLLOW
    ),
    _Way("full VB", "full-vb", lambda point: point["samples"], "test", SOLID),
    _Way(
        "full VB, at the mean of theta",
        "full-vb",
        lambda point: point["samples"],
        "test_at_mean",
        HOLLOW,
    ),
)


@book
def full_vb(points: Sequence[Point]) -> Figure:
    """Left, held-out log-likelihood against N at the end of a fit; right, for each N, on the way
    there.

    Lines go through the means over seeds, each of which has its dot, with its standard error over
    test rows as a bar.

    Parameters
    ----------
    points
        As `experiments.full_vb.full_vb` returns them.
    """
    sizes = sorted({point["n_train"] for point in points})
    figure = Figure(figsize=(2.7 + 1.5 * len(sizes), 3.0), layout="constrained")
    against, *ways = figure.subplots(1, 1 + len(sizes), width_ratios=[1.7] + [1] * len(sizes))
    _against_size(against, points)
    # Training rows climb so far that on their axis held-out rows differ by a hair: the left panel
    # has its own.
    for axes in ways[1:]:
        axes.sharey(ways[0])
        axes.tick_params(labelleft=False)
    for axes, size in zip(ways, sizes, strict=True):
        _on_the_way(axes, [point for point in points if point["n_train"] == size])
        axes.set_title(f"N = {size:,}")
    against.set_title("held-out rows, by N")
    against.set(
        ylabel="log-likelihood, nats a row",
        xticks=sizes,
        xticklabels=[f"{size:,}" for size in sizes],
    )
    marks = [
        Line2D([], [], color=COLORS[way.algorithm], ms=4.2, mew=1.0, label=way.name, **way.look)
        for way in WAYS
    ]
    marks.append(Line2D([], [], color=INK, ls=(0, (1, 1.2)), lw=1.1, label="training rows"))
    figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure


def _against_size(axes: Axes, points: Sequence[Point]) -> None:
    for way in WAYS:
        of_algorithm = [point for point in points if point["algorithm"] == way.algorithm]
        fits = sorted({(point["n_train"], point["seed"]) for point in of_algorithm})
        ends = [
            max((p for p in of_algorithm if (p["n_train"], p["seed"]) == fit), key=way.chosen)
            for fit in fits
        ]
        if not ends:
            continue
        color, sizes = COLORS[way.algorithm], sorted({size for size, _ in fits})
        means = [
            np.mean([end[way.value] for end in ends if end["n_train"] == size]) for size in sizes
        ]
        axes.plot(sizes, means, color=color, ls=way.look["ls"], lw=1.3)
        axes.errorbar(
            [end["n_train"] for end in ends],
            [end[way.value] for end in ends],
            [end[f"{way.value}_error"] for end in ends],
            color=color, mfc=way.look.get("mfc", color), ls="", marker="o", ms=4.2, mew=1.0, elinewidth=0.9, zorder=3,
        )  # fmt: skip
    axes.set(xscale="log", xlabel="training rows N")
    _tidy(axes)


def _on_the_way(axes: Axes, points: Sequence[Point]) -> None:
    for algorithm, color in COLORS.items():
        for seed in sorted({point["seed"] for point in points}):
            of_fit = (p for p in points if (p["algorithm"], p["seed"]) == (algorithm, seed))
            line = sorted(of_fit, key=lambda point: point["samples"])
            samples = [point["samples"] for point in line]
            axes.plot(samples, [point["test"] for point in line], color=color, lw=1.3)
            axes.plot(
                samples, [point["train"] for point in line], color=color, lw=1.1, ls=(0, (1, 1.2))
            )
    axes.set(xscale="log", xlabel="training samples")
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    axes.minorticks_off()
    axes.grid(axis="y")
