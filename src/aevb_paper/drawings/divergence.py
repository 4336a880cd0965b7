"""Card 3: a Gaussian fitted both ways, to two modes and to a correlated pair."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from aevb.figures.style import MUTED
from aevb_paper.divergence import (
    Gaussian,
    correlated_covariance,
    forward_fit,
    forward_variances,
    log_gaussian,
    log_mixture,
    reverse_fit,
    reverse_variances,
    two_modes,
)
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, Style, book, math

__all__ = ["correlated", "mixture"]


@book
def mixture() -> Figure:
    """Two modes, with the Gaussian of least KL(p || q), which covers both, and those of KL(q || p).

    These are each in a mode.
    """
    figure = Figure(figsize=(6.4, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    z = np.linspace(-6, 6, 601)
    p = np.exp(log_mixture(z, two_modes()))
    for axes in (left, right):
        axes.fill_between(z, p, color=GENERATIVE, alpha=0.22, lw=0)
        axes.plot(z, p, color=GENERATIVE, lw=1.2)
        axes.set(ylim=(0, 0.98), yticks=[], xticks=[-4, -2, 0, 2, 4])
        axes.spines["left"].set_visible(False)
        math(axes, 0.5, -0.2, r"$z$", inside=True, fontsize=11)
    _write_titles(left, right)
    covering = forward_fit(Gaussian(1.0, 1.0))
    left.plot(z, np.exp(log_gaussian(z, covering)), color=RECOGNITION, lw=2)
    math(left, 0, 0.5, _name(abs(covering.mean), covering.variance), color=RECOGNITION, fontsize=10)
    for side, style in ((1.0, "-"), (-1.0, (0, (4, 2)))):
        seeking = reverse_fit(Gaussian(side, 1.0))
        right.plot(z, np.exp(log_gaussian(z, seeking)), color=RECOGNITION, lw=2, ls=style)
        math(right, 2.35 * side, 0.87, _name(*seeking), color=RECOGNITION, fontsize=10)
    math(right, 0, 0.4, "or", color=RECOGNITION, fontsize=9)
    math(left, 3.3, 0.36, r"$p(z)$", color=GENERATIVE, fontsize=11)
    return figure


def _name(mean: float, variance: float) -> str:
    return rf"$q=\mathcal{{N}}({mean:.0f},\,{variance:.2f})$"


def _write_titles(left: Axes, right: Axes) -> None:
    forward, reverse = (
        r"$\min_q\ \mathrm{KL}(p\,\|\,q)$",
        r"$\min_q\ \mathrm{KL}(q\,\|\,p)$",
    )
    avoiding = "zero-avoiding: no zero of q where p has mass"
    forcing = "zero-forcing: no mass of q where p is zero"
    for axes, formula, words in ((left, forward, avoiding), (right, reverse, forcing)):
        math(axes, 0.5, 1.19, formula, inside=True, fontsize=12)
        math(axes, 0.5, 1.06, words, inside=True, fontsize=8.5, color=MUTED)


@book
def correlated() -> Figure:
    """A correlated Gaussian, and the independent ones that minimize KL(p || q) and KL(q || p).

    The first are too wide, the second too narrow.
    """
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    p = correlated_covariance()
    ticks, limits = [-2, 0, 2], (-2.9, 2.9)
    for axes in (left, right):
        _draw_ellipses(axes, p, GENERATIVE, filled=True)
        axes.set(xlim=limits, ylim=limits, aspect="equal", xticks=ticks, yticks=ticks)
        math(axes, 0.5, -0.17, r"$z_1$", inside=True, fontsize=11)
    math(left, -0.17, 0.5, r"$z_2$", inside=True, fontsize=11)
    _write_titles(left, right)
    for axes, variances in ((left, forward_variances(p)), (right, reverse_variances(p))):
        _draw_ellipses(axes, np.diag(variances), RECOGNITION)
        name = rf"$\sigma_q^2={variances[0]:.2f}$"
        math(axes, 1.5, -2.45, name, color=RECOGNITION, fontsize=11)
    name = rf"$p,\ \rho={p[0, 1]:.1f}$"
    math(left, 1.05, 2.35, name, color=GENERATIVE, fontsize=11, ha="right")
    return figure


def _draw_ellipses(axes: Axes, covariance: np.ndarray, color: str, *, filled: bool = False) -> None:
    """The contours of one and two deviations."""
    values, vectors = np.linalg.eigh(covariance)
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    for deviations in (2, 1):
        height, width = 2 * deviations * np.sqrt(values)
        place: Style = {"xy": (0, 0), "width": width, "height": height, "angle": angle}
        if filled:
            axes.add_patch(Ellipse(**place, facecolor=color, edgecolor="none", alpha=0.16))
        axes.add_patch(Ellipse(**place, facecolor="none", edgecolor=color, lw=1.4))
