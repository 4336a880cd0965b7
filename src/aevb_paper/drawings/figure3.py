"""Figure 3 drawn again: marginal log-likelihood against training samples, with printed values."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aevb.figures.style import FAINT, INK
from aevb_paper.drawings.diagram import Style, book, math
from aevb_paper.drawings.figure2 import COLORS, NAMES
from aevb_paper.experiments.lines import Point, column, group
from aevb_paper.experiments.published import FIGURE_3

__all__ = ["figure3"]


@book
def figure3(points: Sequence[Point]) -> Figure:
    """A panel for few and one for many training rows: lines are ours, circles the printed values.

    Parameters
    ----------
    points
        As `experiments.figure3.figure3` returns them; every seed has its lines.
    """
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, n_train, top in ((left, 1_000, -100), (right, 50_000, -125)):
        _draw_panel(axes, [point for point in points if point["n_train"] == n_train], n_train)
        axes.set(ylim=(-160, top), xscale="log", xlim=(4e4, 1e8))
        title = rf"$N_{{\mathrm{{train}}}}$ = {n_train:,}"
        math(axes, 0.5, 1.05, title, inside=True, fontsize=10.5)
        math(axes, 0.5, -0.17, "training samples evaluated", inside=True)
        axes.grid(axis="y", color=FAINT)
    left.set_ylabel(r"$\log p_\theta(x)$, nats per row", parse_math=True)
    figure.legend(
        handles=_legend(), loc="outside lower center", ncols=4, fontsize=8, columnspacing=1.4
    )
    return figure


def _draw_panel(axes: Axes, points: Sequence[Point], n_train: int) -> None:
    for line in group(points, "algorithm", "seed"):
        color = COLORS[line[0]["algorithm"]]
        samples = column(line, "samples")
        axes.plot(samples, column(line, "train"), color=color, ls="-", lw=1.3)
        axes.plot(samples, column(line, "test"), color=color, ls=(0, (4, 2)), lw=1.3)
    circle: Style = {"ls": "", "marker": "o", "ms": 4.5, "mew": 1.1, "zorder": 3}
    for algorithm, color in COLORS.items():
        train = FIGURE_3[n_train, algorithm, "train"]
        test = FIGURE_3[n_train, algorithm, "test"]
        axes.plot(list(train), list(train.values()), mec=color, mfc=color, **circle)
        axes.plot(list(test), list(test.values()), mec=color, mfc="white", **circle)


def _legend() -> list[Line2D]:
    """Algorithms by color, with an empty place that fills their column, then lines and circles."""
    marks = [Line2D([], [], color=COLORS[name], lw=2, label=NAMES[name]) for name in COLORS]
    circle: Style = {"ls": "none", "marker": "o", "ms": 4.5}
    return [
        *marks,
        Line2D([], [], ls="none", label=" "),
        Line2D([], [], color=INK, lw=1.2, ls="-", label="train"),
        Line2D([], [], color=INK, lw=1.2, ls=(0, (4, 2)), label="test"),
        Line2D([], [], color=INK, mfc=INK, label="paper, train", **circle),
        Line2D([], [], color=INK, mfc="white", label="paper, test", **circle),
    ]
