"""Card 4: how much gradients by the score function and along the path scatter."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aevb.figures.style import INK, MUTED
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, Style, book, math
from aevb_paper.gradients import (
    gradient_of_bound,
    gradients_of_bound,
    path_gradient,
    path_variance,
    score_gradient,
    score_variance,
    variance_of_draws,
)

__all__ = ["variances"]


@book
def variances() -> Figure:
    """Left, gradients of the bound of a wine from single draws; right, variances by scale."""
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    _draw_gradients(left)
    _draw_variances(right)
    return figure


def _draw_gradients(axes: Axes) -> None:
    path, score = gradients_of_bound("path")[:, 0], gradients_of_bound("score")[:, 0]
    known = gradient_of_bound()[0]
    reach = 2.6 * float(score.std())
    edges = list(np.linspace(known - reach, known + reach, 82))
    for values, color in ((score, GENERATIVE), (path, RECOGNITION)):
        fill: Style = {"alpha": 0.45, "histtype": "stepfilled", "lw": 0}
        axes.hist(values, edges, density=True, color=color, **fill)
        axes.hist(values, edges, density=True, color=color, histtype="step", lw=1.1)
    axes.axvline(known, color=INK, lw=0.9, ls=(0, (3, 2)))
    top = axes.get_ylim()[1]
    for x, y, text, size, color in (
        (0.06, 0.94, r"$\partial\mathcal{L}/\partial\mu_1$", 10, INK),
        (0.14, 0.5, "along the path", 9, RECOGNITION),
        (0.36, 0.16, "score function", 9, GENERATIVE),
    ):
        place = (known + x * reach, y * top)
        math(axes, *place, text, ha="left", fontsize=size, color=color)
    axes.set(yticks=[], xticks=[-100, 0, 100], xlim=(edges[0], edges[-1]))
    axes.set_xlabel("gradient of the bound, from one draw")
    axes.spines["left"].set_visible(False)


def _draw_variances(axes: Axes, mean: float = 1.0) -> None:
    """Variances of one draw of the gradient of E_q[z^2]: in closed form, and measured."""
    scales, places = np.geomspace(0.05, 3, 100), np.geomspace(0.07, 2, 7)
    for one_draw, variance, color in (
        (score_gradient, score_variance, GENERATIVE),
        (path_gradient, path_variance, RECOGNITION),
    ):
        axes.loglog(scales, [variance(mean, scale) for scale in scales], color=color)
        found = [variance_of_draws(one_draw, mean, scale)[0] for scale in places]
        ring: Style = {"markersize": 4, "markerfacecolor": "white", "markeredgewidth": 1.1}
        axes.loglog(places, found, "o", color=color, **ring)
    formula = r"$\mu^4/\sigma^2+14\mu^2+15\sigma^2$"
    math(axes, 0.1, 900, formula, fontsize=10, color=GENERATIVE, ha="left")
    math(axes, 0.36, 0.16, r"$4\sigma^2$", fontsize=10, color=RECOGNITION, ha="left")
    axes.minorticks_off()
    axes.set(xlim=(0.05, 3), ylim=(5e-3, 3e3), xticks=[0.1, 1], xticklabels=["0.1", "1"])
    axes.set_ylabel("variance, one draw")
    math(axes, 0.5, -0.17, r"$\sigma$ of $q=\mathcal{N}(1,\sigma^2)$", inside=True, fontsize=10)
    name = r"$\partial\,\mathbb{E}_q[z^2]/\partial\mu$"
    math(axes, 0.98, 0.05, name, inside=True, fontsize=10, color=MUTED, ha="right")
