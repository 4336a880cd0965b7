"""Card 1: the bound as q moves, and log p(x) as what its terms add up to."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aevb.figures.style import DATA, INK, MUTED
from aevb_paper.bound import expected_log_likelihood, reconstruction_form
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, book, math
from aevb_paper.linear_gaussian import Row, rows

__all__ = ["decomposition"]

#: Of q's mean from the posterior's, where the terms are shown.
OFFSET = 1.5


@book
def decomposition() -> Figure:
    """Left, the bound of one wine as q's mean moves over the posterior; right, what its terms add
    up to.
    """
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
    row = rows()[3]
    _as_q_moves(left, row)
    _terms(right, _moved(row, OFFSET, 1.0))
    for axes in (left, right):
        axes.axhline(row.log_evidence, color=GENERATIVE, zorder=1)
    left.set(ylim=(row.log_evidence - 4.2, row.log_evidence + 2.6), ylabel="nats")
    math(
        left,
        -2.75,
        row.log_evidence + 0.32,
        r"$\log p(\mathbf{x})$",
        color=GENERATIVE,
        fontsize=11,
        ha="left",
    )
    return figure


def _moved(row: Row, step: float, scale: float) -> Row:
    """q with its mean `step` posterior deviations from the posterior's, along one latent, and its
    scale a multiple.
    """
    mean = row.posterior_mean + step * row.posterior_scale * np.array([1.0, 0.0])
    return row._replace(mean=mean, scale=scale * row.posterior_scale)


def _as_q_moves(axes: Axes, row: Row) -> None:
    steps = np.linspace(-2.75, 2.75, 111)
    exact, narrow = (
        np.array([reconstruction_form(_moved(row, step, scale)) for step in steps])
        for scale in (1.0, 0.5)
    )
    axes.fill_between(steps, exact, row.log_evidence, color=RECOGNITION, alpha=0.12, lw=0)
    axes.plot(steps, exact, color=RECOGNITION)
    axes.plot(steps, narrow, color=RECOGNITION, ls=(0, (4, 2)))
    below = row.log_evidence
    math(
        axes,
        0,
        below - 1.75,
        "with half the\nposterior's deviation",
        fontsize=8.5,
        color=RECOGNITION,
    )
    math(
        axes,
        -2.02,
        below - 1.75,
        r"$\mathcal{L}(\mathbf{x})$",
        fontsize=12,
        color=RECOGNITION,
        ha="right",
    )
    math(
        axes,
        OFFSET,
        below + 0.9,
        r"$\mathrm{KL}(q(\mathbf{z}|\mathbf{x})\,\|\,p(\mathbf{z}|\mathbf{x}))$",
        fontsize=10,
    )
    look = {
        "arrowstyle": "<|-|>",
        "color": INK,
        "shrinkA": 0,
        "shrinkB": 0,
        "lw": 0.9,
        "mutation_scale": 8,
    }
    axes.annotate(
        "",
        (OFFSET, reconstruction_form(_moved(row, OFFSET, 1.0))),
        (OFFSET, below),
        arrowprops=look,
    )
    axes.plot([0], [below], "o", color=INK, markersize=4, zorder=3)
    math(axes, 0, below + 1.75, r"$q=p(\mathbf{z}|\mathbf{x})$", fontsize=10)
    axes.annotate(
        "",
        (0, below + 0.12),
        (0, below + 1.5),
        arrowprops={**look, "arrowstyle": "-", "color": MUTED},
    )
    axes.set(xlabel="offset of q's mean, in posterior deviations", xlim=(-2.8, 2.8))


def _terms(axes: Axes, row: Row) -> None:
    """Bars that start where the one before ended: E_q[log p(x|z)], less KL to the prior, plus KL to
    the posterior.
    """
    expected, bound = expected_log_likelihood(row), reconstruction_form(row)
    axes.plot([0.0, 1.4], [expected, expected], color=INK, lw=1.2)
    axes.plot([0.6, 3.0], [bound, bound], color=RECOGNITION, lw=1.6)
    axes.bar(1.0, bound - expected, 0.7, expected, color=DATA, alpha=0.45)
    axes.bar(2.2, row.log_evidence - bound, 0.7, bound, color=RECOGNITION, alpha=0.25)
    math(
        axes,
        0.0,
        expected + 0.3,
        r"$\mathbb{E}_q[\log p(\mathbf{x}|\mathbf{z})]$",
        fontsize=10,
        ha="left",
    )
    math(
        axes,
        1.42,
        (expected + row.log_evidence) / 2,
        r"$-\,\mathrm{KL}(q\,\|\,p(\mathbf{z}))$",
        fontsize=10,
        ha="left",
    )
    math(axes, 2.2, bound - 0.42, r"$+\,\mathrm{KL}(q\,\|\,p(\mathbf{z}|\mathbf{x}))$", fontsize=10)
    math(
        axes, 0.55, bound, r"$\mathcal{L}(\mathbf{x})$", fontsize=12, color=RECOGNITION, ha="right"
    )
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set(xlim=(-0.1, 3.1), xlabel=f"its terms at an offset of {OFFSET:g}")
