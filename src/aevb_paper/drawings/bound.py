"""Card 1: the bound as q moves, and log p(x) as what its terms add up to."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aevb.figures.style import DATA, INK, MUTED
from aevb_paper.bound import expected_log_likelihood, reconstruction_form
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, Style, book, math
from aevb_paper.linear_gaussian import Row, rows

__all__ = ["decomposition"]


@book
def decomposition(offset: float = 1.5) -> Figure:
    """Left, the bound of one wine as q moves over the posterior; right, what its terms add up to.

    The terms are those of a q whose mean is `offset` posterior deviations off.
    """
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
    row = rows()[3]
    top = row.log_evidence
    _draw_curves(left, row, offset)
    _draw_terms(right, _move(row, offset))
    right.set_xlabel(f"its terms at an offset of {offset:g}")
    for axes in (left, right):
        axes.axhline(top, color=GENERATIVE, zorder=1)
    left.set(ylim=(top - 4.2, top + 2.6), ylabel="nats")
    name = r"$\log p(\mathbf{x})$"
    math(left, -2.75, top + 0.32, name, color=GENERATIVE, fontsize=11, ha="left")
    return figure


def _move(row: Row, step: float, scale: float = 1.0) -> Row:
    """q with its mean some posterior deviations off along one latent, and its scale multiplied."""
    mean = row.posterior_mean + step * row.posterior_scale * np.array([1.0, 0.0])
    return row._replace(mean=mean, scale=scale * row.posterior_scale)


def _draw_curves(axes: Axes, row: Row, offset: float) -> None:
    steps = np.linspace(-2.75, 2.75, 111)
    exact = np.array([reconstruction_form(_move(row, step)) for step in steps])
    narrow = np.array([reconstruction_form(_move(row, step, 0.5)) for step in steps])
    top = row.log_evidence
    axes.fill_between(steps, exact, top, color=RECOGNITION, alpha=0.12, lw=0)
    axes.plot(steps, exact, color=RECOGNITION)
    axes.plot(steps, narrow, color=RECOGNITION, ls=(0, (4, 2)))
    words = "with half the\nposterior's deviation"
    math(axes, 0, top - 1.75, words, fontsize=8.5, color=RECOGNITION)
    bound = r"$\mathcal{L}(\mathbf{x})$"
    math(axes, -2.02, top - 1.75, bound, fontsize=12, color=RECOGNITION, ha="right")
    divergence = r"$\mathrm{KL}(q(\mathbf{z}|\mathbf{x})\,\|\,p(\mathbf{z}|\mathbf{x}))$"
    math(axes, offset, top + 0.9, divergence, fontsize=10)
    arrow: Style = {"shrinkA": 0, "shrinkB": 0, "lw": 0.9, "mutation_scale": 8}
    gap: Style = {"arrowstyle": "<|-|>", "color": INK, **arrow}
    place = reconstruction_form(_move(row, offset))
    axes.annotate("", (offset, place), (offset, top), arrowprops=gap)
    axes.plot([0], [top], "o", color=INK, markersize=4, zorder=3)
    math(axes, 0, top + 1.75, r"$q=p(\mathbf{z}|\mathbf{x})$", fontsize=10)
    stem: Style = {"arrowstyle": "-", "color": MUTED, **arrow}
    axes.annotate("", (0, top + 0.12), (0, top + 1.5), arrowprops=stem)
    axes.set(xlabel="offset of q's mean, in posterior deviations", xlim=(-2.8, 2.8))


def _draw_terms(axes: Axes, row: Row) -> None:
    """Bars that start where the one before ended.

    From E_q[log p(x|z)], minus the KL to the prior, plus the KL to the posterior.
    """
    expected, bound, top = expected_log_likelihood(row), reconstruction_form(row), row.log_evidence
    axes.plot([0.0, 1.4], [expected, expected], color=INK, lw=1.2)
    axes.plot([0.6, 3.0], [bound, bound], color=RECOGNITION, lw=1.6)
    axes.bar(1.0, bound - expected, 0.7, expected, color=DATA, alpha=0.45)
    axes.bar(2.2, top - bound, 0.7, bound, color=RECOGNITION, alpha=0.25)
    likelihood = r"$\mathbb{E}_q[\log p(\mathbf{x}|\mathbf{z})]$"
    math(axes, 0.0, expected + 0.3, likelihood, fontsize=10, ha="left")
    to_prior = r"$-\,\mathrm{KL}(q\,\|\,p(\mathbf{z}))$"
    math(axes, 1.42, (expected + top) / 2, to_prior, fontsize=10, ha="left")
    to_posterior = r"$+\,\mathrm{KL}(q\,\|\,p(\mathbf{z}|\mathbf{x}))$"
    math(axes, 2.2, bound - 0.42, to_posterior, fontsize=10)
    name = r"$\mathcal{L}(\mathbf{x})$"
    math(axes, 0.55, bound, name, fontsize=12, color=RECOGNITION, ha="right")
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xlim(-0.1, 3.1)
