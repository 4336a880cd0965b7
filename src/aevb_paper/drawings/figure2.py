"""Figure 2 drawn again: the bound against training samples, with the printed values as rings."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aevb.figures.style import ALERT, INK, MODEL
from aevb_paper.drawings.diagram import Style, book
from aevb_paper.experiments.lines import Point, column, group
from aevb_paper.experiments.published import FIGURE_2

__all__ = ["COLORS", "DATA_SETS", "NAMES", "figure2"]

#: The algorithms of figures 2 and 3, in colors and in words.
COLORS = {"aevb": MODEL, "wake-sleep": "#009e73", "mcem": ALERT}
NAMES = {"aevb": "AEVB", "wake-sleep": "wake-sleep", "mcem": "Monte Carlo EM"}
DATA_SETS = {"mnist": "MNIST", "frey-face": "Frey Face", "mnist-gray": "Gray MNIST"}


@book
def figure2(points: Sequence[Point]) -> Figure:
    """A panel for each data set and number of latents: train solid, test dashed, for every seed.

    Parameters
    ----------
    points
        As `experiments.figure2.figure2` returns them.
    """
    panels = sorted(group(points, "dataset", "latents"), key=_place)
    across = min(5, max(2, len(panels)))
    down = max(1, -(-len(panels) // across))
    figure = Figure(figsize=(1.2 + 1.9 * across, 0.7 + 2.1 * down), layout="constrained")
    axes = list(figure.subplots(down, across).flat)
    before = None
    for number, (ax, panel) in enumerate(zip(axes, panels, strict=False)):
        dataset, latents = panel[0]["dataset"], panel[0]["latents"]
        _draw_panel(ax, panel, dataset, latents)
        first = number % across == 0 or dataset != before
        title = f"{latents} latents"
        ax.set_title(f"{DATA_SETS[dataset]}, {title}" if first else title)
        ax.tick_params(labelleft=first)
        if first:
            ax.set_ylabel("bound, nats per row")
        if number >= len(panels) - across:
            ax.set_xlabel("training samples")
        before = dataset
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    _draw_legend(figure, sorted(set(column(points, "algorithm"))))
    return figure


def _place(panel: list[Point]) -> tuple[int, int]:
    return list(DATA_SETS).index(panel[0]["dataset"]), panel[0]["latents"]


def _draw_panel(ax: Axes, points: list[Point], dataset: str, latents: int) -> None:
    for line in sorted(group(points, "algorithm", "seed"), key=lambda line: line[0]["algorithm"]):
        in_order = sorted(line, key=lambda point: point["samples"])
        samples = column(in_order, "samples")
        color = COLORS[line[0]["algorithm"]]
        ax.plot(samples, column(in_order, "train"), color=color, ls="-", lw=1.1)
        ax.plot(samples, column(in_order, "test"), color=color, ls=(0, (3, 1.5)), lw=1.1)
    ring: Style = {"mfc": "white", "ms": 3.6, "mew": 0.9, "zorder": 3}
    for algorithm, color in COLORS.items():
        printed = FIGURE_2.get((dataset, latents, algorithm), {})
        ax.plot(list(printed), list(printed.values()), "o", color=color, **ring)
    # The frames of the print, MNIST's 5 nats higher, which ours reach.
    height = (0.0, 1600.0) if dataset == "frey-face" else (-150.0, -90.0)
    ax.set(xscale="log", xlim=(1e5, 3e8), ylim=height)
    ax.minorticks_off()
    ax.grid(axis="y")


def _draw_legend(figure: Figure, algorithms: Sequence[str]) -> None:
    """Below the curves: the color of each algorithm, and what is solid, dashed or a ring."""
    marks = [Line2D([], [], color=COLORS[name], lw=1.4, label=NAMES[name]) for name in algorithms]
    marks.append(Line2D([], [], color=INK, lw=1.1, label="train", ls="-"))
    marks.append(Line2D([], [], color=INK, lw=1.1, label="test", ls=(0, (3, 1.5))))
    ring: Style = {"ls": "", "marker": "o", "mfc": "white", "ms": 4}
    marks.append(Line2D([], [], color=INK, label="printed (test)", **ring))
    # What the print does not say and its numbers depend on.
    caption = (
        "MNIST is binarized, anew for every minibatch and once for test rows, "
        "unless its panel says gray."
    )
    figure.legend(
        handles=marks,
        loc="outside lower center",
        ncols=len(marks),
        title=caption,
        title_fontsize=7.5,
    )
