"""Card 4: how far gradients by the score function scatter, and those along the path."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aevb.figures.style import INK, MUTED
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, book, math
from aevb_paper.reparameterized import (
    measured,
    path_variance,
    score_variance,
    slope_of_the_bound,
    slopes_of_the_bound,
)

__all__ = ["variances"]

PATH, SCORE = RECOGNITION, GENERATIVE
MEAN = 1.0


@book
def variances() -> Figure:
    """Left, gradients of the bound of a wine from single draws; right, variances of that of
    E_q[z^2] by scale.
    """
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    _draws(left)
    _by_scale(right)
    return figure


def _draws(axes: Axes) -> None:
    slopes, known = slopes_of_the_bound(), slope_of_the_bound()[0]
    reach = 2.6 * float(slopes.score[:, 0].std())
    edges = np.linspace(known - reach, known + reach, 82)
    for values, color in ((slopes.score[:, 0], SCORE), (slopes.path[:, 0], PATH)):
        axes.hist(
            values, list(edges), density=True, color=color, alpha=0.45, histtype="stepfilled", lw=0
        )
        axes.hist(values, list(edges), density=True, color=color, histtype="step", lw=1.1)
    axes.axvline(known, color=INK, lw=0.9, ls=(0, (3, 2)))
    top = axes.get_ylim()[1]
    math(
        axes,
        known + 0.06 * reach,
        0.94 * top,
        r"$\partial\mathcal{L}/\partial\mu_1$",
        fontsize=10,
        ha="left",
    )
    math(axes, known + 0.14 * reach, 0.5 * top, "along the path", fontsize=9, color=PATH, ha="left")
    math(
        axes, known + 0.36 * reach, 0.16 * top, "score function", fontsize=9, color=SCORE, ha="left"
    )
    axes.set(
        yticks=[],
        xticks=[-100, 0, 100],
        xlabel="gradient of the bound, from one draw",
        xlim=(edges[0], edges[-1]),
    )
    axes.spines["left"].set_visible(False)


def _by_scale(axes: Axes) -> None:
    scales, places = np.geomspace(0.05, 3, 100), np.geomspace(0.07, 2, 7)
    axes.loglog(scales, [score_variance(MEAN, s) for s in scales], color=SCORE)
    axes.loglog(scales, [path_variance(s) for s in scales], color=PATH)
    for way, color in (("score", SCORE), ("path", PATH)):
        found = [measured(way, MEAN, s)[0] for s in places]
        axes.loglog(
            places,
            found,
            "o",
            color=color,
            markersize=4,
            markerfacecolor="white",
            markeredgewidth=1.1,
        )
    math(
        axes, 0.1, 900, r"$\mu^4/\sigma^2+14\mu^2+15\sigma^2$", fontsize=10, color=SCORE, ha="left"
    )
    math(axes, 0.36, 0.16, r"$4\sigma^2$", fontsize=10, color=PATH, ha="left")
    axes.minorticks_off()
    axes.set(
        ylabel="variance, one draw",
        xlim=(0.05, 3),
        ylim=(5e-3, 3e3),
        xticks=[0.1, 1],
        xticklabels=["0.1", "1"],
    )
    math(
        axes,
        0.5,
        -0.17,
        r"$\sigma$ of $q=\mathcal{N}(1,\sigma^2)$",
        fontsize=10,
        transform=axes.transAxes,
    )
    math(
        axes,
        0.98,
        0.05,
        r"$\partial\,\mathbb{E}_q[z^2]/\partial\mu$",
        fontsize=10,
        color=MUTED,
        ha="right",
        transform=axes.transAxes,
    )
