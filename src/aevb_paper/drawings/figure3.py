"""Figure 3 drawn again: marginal log-likelihood against training samples, with the values of the
printed one.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aevb.figures.style import FAINT, INK
from aevb_paper.drawings.diagram import book, math
from aevb_paper.drawings.figure2 import COLORS, NAMES
from aevb_paper.experiments.published import FIGURE_3

__all__ = ["figure3"]

#: The parts: line of ours, filling of the printed marker.
PARTS = {"train": ("-", True), "test": ((0, (4, 2)), False)}
#: Axes of the print, by training rows: nats a row.
HEIGHTS = {1_000: (-160, -100), 50_000: (-160, -125)}


@book
def figure3(points: Sequence[dict[str, Any]]) -> Figure:
    """A panel for few and one for many training rows: ours as lines, the printed values as circles.

    Parameters
    ----------
    points
        As `experiments.figure3` gives them; where there are many seeds, each has its lines.
    """
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    for axes, (n_train, limits) in zip(figure.subplots(1, 2), HEIGHTS.items(), strict=True):
        _panel(axes, [point for point in points if point["n_train"] == n_train], n_train)
        axes.set(ylim=limits, xscale="log", xlim=(4e4, 1e8))
        math(
            axes,
            0.5,
            1.05,
            rf"$N_{{\mathrm{{train}}}}$ = {n_train:,}",
            transform=axes.transAxes,
            fontsize=10.5,
        )
        math(axes, 0.5, -0.17, "training samples evaluated", transform=axes.transAxes)
        axes.grid(axis="y", color=FAINT)
    figure.axes[0].set_ylabel(r"$\log p_\theta(x)$, nats a row", parse_math=True)
    figure.legend(
        handles=_key(), loc="outside lower center", ncols=4, fontsize=8, columnspacing=1.4
    )
    return figure


def _panel(axes: Axes, points: Sequence[dict[str, Any]], n_train: int) -> None:
    for algorithm, color in COLORS.items():
        for part, (line, filled) in PARTS.items():
            for seed in sorted({point["seed"] for point in points}):
                ours = [p for p in points if (p["algorithm"], p["seed"]) == (algorithm, seed)]
                axes.plot(
                    [p["samples"] for p in ours],
                    [p[part] for p in ours],
                    color=color,
                    ls=line,
                    lw=1.3,
                )
            printed = FIGURE_3[n_train, algorithm, part]
            face = color if filled else "white"
            axes.plot(
                list(printed),
                list(printed.values()),
                "o",
                mec=color,
                mfc=face,
                ms=4.5,
                mew=1.1,
                zorder=3,
            )


def _key() -> list[Line2D]:
    """Algorithms by colour, with an empty place that fills their column, then what lines and
    circles are.
    """
    colors = [
        Line2D([], [], color=color, lw=2, label=NAMES[name]) for name, color in COLORS.items()
    ]
    lines = [
        Line2D([], [], color=INK, lw=1.2, ls=line, label=part) for part, (line, _) in PARTS.items()
    ]
    circles = [
        Line2D(
            [],
            [],
            color=INK,
            ls="none",
            marker="o",
            ms=4.5,
            mfc=INK if filled else "white",
            label=f"paper, {part}",
        )
        for part, (_, filled) in PARTS.items()
    ]
    return [*colors, Line2D([], [], ls="none", label=" "), *lines, *circles]
