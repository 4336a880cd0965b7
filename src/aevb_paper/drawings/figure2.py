"""Figure 2, drawn again: the bound against training samples, with the printed curves' values as
marks.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aevb.figures.style import ALERT, INK, MODEL
from aevb_paper.drawings.diagram import book
from aevb_paper.experiments.published import FIGURE_2, FIGURE_2_ENDS, FIGURE_2_RIGHT

__all__ = ["COLORS", "NAMES", "figure2"]

#: Of each algorithm, in figures 2 and 3.
COLORS = {"aevb": MODEL, "wake-sleep": "#009e73", "mcem": ALERT}
NAMES = {"aevb": "AEVB", "wake-sleep": "wake-sleep", "mcem": "Monte Carlo EM"}
#: Of the printed frames, MNIST's 5 nats higher: ours leave it.
LIMITS = {"mnist": (-150.0, -90.0), "frey-face": (0.0, 1600.0)}
TITLES = {"mnist": "MNIST", "frey-face": "Frey Face", "mnist-grey": "Grey MNIST"}
MOST_ACROSS = 5
#: What the print does not say and its numbers hang on.
CAPTION = "MNIST is black and white, drawn anew for every minibatch and once for test rows, unless its panel says grey."


@book
def figure2(points: Sequence[dict[str, Any]]) -> Figure:
    """A panel for each data set and number of latents; every seed has its own lines, train solid
    and test dashed.

    Parameters
    ----------
    points
        As `experiments.figure2.figure2` returns them.
    """
    key = lambda point: (point["dataset"], point["latents"])  # noqa: E731
    panels = {panel: list(group) for panel, group in groupby(sorted(points, key=_order), key)}
    across = max(2, min(MOST_ACROSS, len(panels)))
    down = max(1, -(-len(panels) // across))
    figure = Figure(figsize=(1.2 + 1.9 * across, 0.7 + 2.1 * down), layout="constrained")
    axes = figure.subplots(down, across).flat
    before = None
    for place, (ax, ((dataset, latents), its)) in enumerate(
        zip(axes, panels.items(), strict=False)
    ):
        first = place % across == 0 or dataset != before
        _panel(ax, its, dataset, latents)
        ax.set_title(f"{TITLES[dataset] + ', ' if first else ''}{latents} latents")
        ax.tick_params(labelleft=first)
        ax.set_ylabel("bound, nats a row" if first else "")
        ax.set_xlabel("training samples" if place >= len(panels) - across else "")
        before = dataset
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    _legend(figure, sorted({point["algorithm"] for point in points}))
    return figure


def _order(point: dict[str, Any]) -> tuple[Any, ...]:
    return (
        list(TITLES).index(point["dataset"]),
        point["latents"],
        point["algorithm"],
        point["seed"],
        point["samples"],
    )


def _panel(ax: Axes, points: list[dict[str, Any]], dataset: str, latents: int) -> None:
    for (algorithm, _), group in groupby(points, lambda point: (point["algorithm"], point["seed"])):
        line = list(group)
        samples = [point["samples"] for point in line]
        for part, look in (("train", "-"), ("test", (0, (3, 1.5)))):
            ax.plot(
                samples, [point[part] for point in line], color=COLORS[algorithm], ls=look, lw=1.1
            )
    for algorithm, color in COLORS.items():
        printed = dict(FIGURE_2.get((dataset, latents, algorithm), {}))
        if algorithm in FIGURE_2_ENDS.get((dataset, latents), {}):
            printed[FIGURE_2_RIGHT[dataset]] = FIGURE_2_ENDS[dataset, latents][algorithm]
        ax.plot(
            list(printed),
            list(printed.values()),
            "o",
            color=color,
            mfc="white",
            ms=3.6,
            mew=0.9,
            zorder=3,
        )
    ax.set(xscale="log", xlim=(1e5, 3e8), ylim=LIMITS[dataset.removesuffix("-grey")])
    ax.minorticks_off()
    ax.grid(axis="y")


def _legend(figure: Figure, algorithms: Sequence[str]) -> None:
    """Below a figure of curves: whose colours, and what is solid, dashed or a ring."""
    marks = [Line2D([], [], color=COLORS[name], lw=1.4, label=NAMES[name]) for name in algorithms]
    looks = [("train", {"ls": "-"}), ("test", {"ls": (0, (3, 1.5))})]
    marks += [Line2D([], [], color=INK, lw=1.1, label=name, **how) for name, how in looks]  # type: ignore[arg-type]
    marks.append(
        Line2D([], [], color=INK, ls="", marker="o", mfc="white", ms=4, label="printed (test)")
    )
    figure.legend(
        handles=marks,
        loc="outside lower center",
        ncols=len(marks),
        title=CAPTION,
        title_fontsize=7.5,
    )
