"""Card 3: a Gaussian fitted both ways, to two modes and to a correlated pair."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from aevb.figures.style import MUTED
from aevb_paper.divergence import (
    CORRELATED,
    Gaussian,
    forward_fit,
    forward_variances,
    log_gaussian,
    log_mixture,
    reverse_fit,
    reverse_variances,
)
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, book, math

__all__ = ["correlated", "two_modes"]


@book
def two_modes() -> Figure:
    """The mixture, with the Gaussian of least KL(p || q), which covers it, and those of least KL(q
    || p), in a mode.
    """
    figure = Figure(figsize=(6.4, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    z = np.linspace(-6, 6, 601)
    for axes in (left, right):
        axes.fill_between(z, np.exp(log_mixture(z)), color=GENERATIVE, alpha=0.22, lw=0)
        axes.plot(z, np.exp(log_mixture(z)), color=GENERATIVE, lw=1.2)
        axes.set(ylim=(0, 0.98), yticks=[], xticks=[-4, -2, 0, 2, 4])
        axes.spines["left"].set_visible(False)
        math(axes, 0.5, -0.2, r"$z$", fontsize=11, transform=axes.transAxes)
    _titles(left, right)
    covering = forward_fit(Gaussian(1.0, 1.0))
    left.plot(z, np.exp(log_gaussian(z, covering)), color=RECOGNITION, lw=2)
    math(
        left,
        0,
        0.5,
        rf"$q=\mathcal{{N}}({abs(covering.mean):.0f},\,{covering.variance:.2f})$",
        color=RECOGNITION,
        fontsize=10,
    )
    for side, look in ((1.0, "-"), (-1.0, (0, (4, 2)))):
        seeking = reverse_fit(Gaussian(side, 1.0))
        right.plot(z, np.exp(log_gaussian(z, seeking)), color=RECOGNITION, lw=2, ls=look)
        name = rf"$q=\mathcal{{N}}({seeking.mean:.0f},\,{seeking.variance:.2f})$"
        math(right, 2.35 * side, 0.87, name, color=RECOGNITION, fontsize=10)
    math(right, 0, 0.4, "or", color=RECOGNITION, fontsize=9)
    math(left, 3.3, 0.36, r"$p(z)$", color=GENERATIVE, fontsize=11)
    return figure


def _titles(left: Axes, right: Axes) -> None:
    for axes, formula, words in (
        (left, r"$\min_q\ \mathrm{KL}(p\,\|\,q)$", "zero-avoiding: no zero of q where p has mass"),
        (right, r"$\min_q\ \mathrm{KL}(q\,\|\,p)$", "zero-forcing: no mass of q where p is zero"),
    ):
        math(axes, 0.5, 1.19, formula, fontsize=12, transform=axes.transAxes)
        math(axes, 0.5, 1.06, words, fontsize=8.5, color=MUTED, transform=axes.transAxes)


@book
def correlated() -> Figure:
    """The correlated Gaussian, and the independent ones of least KL(p || q), too wide, and KL(q ||
    p), too narrow.
    """
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes in (left, right):
        _contours(axes, CORRELATED, GENERATIVE, filled=True)
        axes.set(
            xlim=(-2.9, 2.9), ylim=(-2.9, 2.9), aspect="equal", xticks=[-2, 0, 2], yticks=[-2, 0, 2]
        )
        math(axes, 0.5, -0.17, r"$z_1$", fontsize=11, transform=axes.transAxes)
    math(left, -0.17, 0.5, r"$z_2$", fontsize=11, transform=left.transAxes)
    _titles(left, right)
    for axes, variances in (
        (left, forward_variances(CORRELATED)),
        (right, reverse_variances(CORRELATED)),
    ):
        _contours(axes, np.diag(variances), RECOGNITION)
        math(axes, 1.5, -2.45, rf"$\sigma_q^2={variances[0]:.2f}$", color=RECOGNITION, fontsize=11)
    math(
        left,
        1.05,
        2.35,
        rf"$p,\ \rho={CORRELATED[0, 1]:.1f}$",
        color=GENERATIVE,
        fontsize=11,
        ha="right",
    )
    return figure


def _contours(axes: Axes, covariance: np.ndarray, color: str, *, filled: bool = False) -> None:
    """The ellipses of one and two deviations."""
    values, vectors = np.linalg.eigh(covariance)
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    for deviations in (2, 1):
        width, height = (2 * deviations * np.sqrt(value) for value in values[::-1])
        axes.add_patch(
            Ellipse(
                (0, 0),
                width,
                height,
                angle=angle,
                facecolor=color if filled else "none",
                edgecolor="none",
                alpha=0.16,
            )
        )
        axes.add_patch(
            Ellipse((0, 0), width, height, angle=angle, facecolor="none", edgecolor=color, lw=1.4)
        )
