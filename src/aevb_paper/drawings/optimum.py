"""Card 2: the loss over theta and phi, its least value, and why going down in both together gets
there.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aevb.figures.style import DATA, INK
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, book, math

__all__ = ["landscape"]

Array = NDArray[np.float64]

#: Variance of p(x|z) = N(w z, V), held fixed; x has variance 1, so that w* = sqrt(1 - V).
V = 0.3
START = (1.45, 0.2)


def mean_loss(w: Array, a: Array) -> Array:
    """The mean of L_VAE over x of variance 1: theta = w of p(x|z) = N(w z, V), phi = a of q(z|x) =
    N(a x, s^2).

    s^2 = V / (w^2 + V), the best there is for this w.
    """
    s2 = V / (w**2 + V)
    reconstruction = (np.log(2 * np.pi * V) + ((1 - w * a) ** 2 + w**2 * s2) / V) / 2
    return reconstruction + (s2 + a**2 - 1 - np.log(s2)) / 2


def mean_surprise(w: Array) -> Array:
    """The mean of -log p(x), p(x) = N(0, w^2 + V)."""
    return (np.log(2 * np.pi * (w**2 + V)) + 1 / (w**2 + V)) / 2


def posterior_slope(w: Array) -> Array:
    """a of the posterior: E[z|x] = w x / (w^2 + V)."""
    return w / (w**2 + V)


@book
def landscape() -> Figure:
    """Left, contours of the loss and the way down; right, -log p(x) with the losses of two q, which
    touch it.
    """
    figure = Figure(figsize=(6.4, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    w = np.linspace(0.02, 1.65, 164)
    _contours(left, w)
    _profiles(right, w)
    for axes in (left, right):
        axes.set(xlim=(0.02, 1.65), xticks=[0.5, 1, 1.5])
        math(
            axes,
            0.5,
            -0.19,
            r"$\theta$: slope $w$ of $p_\theta(x|z)$",
            fontsize=10,
            transform=axes.transAxes,
        )
    return figure


def _contours(axes: Axes, w: Array) -> None:
    a, best = np.linspace(0.0, 1.4, 141), np.asarray(np.sqrt(1 - V))
    lowest = mean_loss(best, posterior_slope(best))
    levels = lowest + np.array([0.01, 0.04, 0.1, 0.2, 0.4, 0.8])
    axes.contour(
        w, a, mean_loss(w[None, :], a[:, None]), levels=levels, colors=DATA, linewidths=0.8
    )
    axes.plot(w, posterior_slope(w), color=RECOGNITION, ls=(0, (4, 2)), lw=1.4)
    way = _downhill(np.array(START))
    axes.plot(*way.T, color=INK, lw=1.4)
    look = {"arrowstyle": "-|>", "color": INK, "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", way[30], way[24], arrowprops=look)
    axes.plot([best], [posterior_slope(best)], "o", color=INK, markersize=5, zorder=4)
    math(
        axes,
        float(best) + 0.04,
        float(posterior_slope(best)) + 0.1,
        r"$\theta^{*},\ \phi^{*}$",
        fontsize=11,
        ha="left",
    )
    math(axes, 0.22, 0.2, r"$q=p_\theta(z|x)$", color=RECOGNITION, fontsize=10, ha="left")
    math(
        axes,
        -0.18,
        0.5,
        r"$\phi$: slope $a$ of $q_\phi(z|x)$",
        fontsize=10,
        rotation=90,
        transform=axes.transAxes,
    )
    axes.set(ylim=(0, 1.4), yticks=[0, 0.5, 1])


def _downhill(place: Array, step: float = 0.02, steps: int = 400) -> Array:
    """The way of gradient descent on theta and phi together; shape (steps + 1, 2)."""
    way, h = [place], 1e-5
    for _ in range(steps):
        w, a = way[-1]
        slope = np.array(
            [mean_loss(w + h, a) - mean_loss(w - h, a), mean_loss(w, a + h) - mean_loss(w, a - h)]
        )
        way.append(way[-1] - step * slope / (2 * h))
    return np.array(way)


def _profiles(axes: Axes, w: Array) -> None:
    best = np.sqrt(1 - V)
    axes.plot(w, mean_surprise(w), color=GENERATIVE, lw=2.2)
    for a, look in ((0.6, (0, (1.5, 1.5))), (posterior_slope(best), "-")):
        axes.plot(w, mean_loss(w, np.full_like(w, a)), color=RECOGNITION, ls=look, lw=1.4)
        touching = (1 + np.array([-1, 1]) * np.sqrt(1 - 4 * a**2 * V)) / (
            2 * a
        )  # where a is the posterior's
        axes.plot(touching, mean_surprise(touching), "o", color=RECOGNITION, markersize=3.5)
    axes.plot([best], [mean_surprise(best)], "o", color=INK, markersize=5, zorder=4)
    math(axes, best, 1.345, r"$\theta^{*}$", fontsize=11)
    math(axes, 1.2, 1.4, r"$-\log p_\theta(x)$", color=GENERATIVE, fontsize=11, ha="left")
    math(
        axes,
        0.62,
        1.69,
        r"$L_{\mathrm{VAE}}$ at $a=0.6$",
        color=RECOGNITION,
        fontsize=10,
        ha="left",
    )
    math(
        axes,
        1.0,
        2.0,
        r"$L_{\mathrm{VAE}}$ at $a=\phi^{*}$",
        color=RECOGNITION,
        fontsize=10,
        ha="left",
    )
    axes.set(ylim=(1.3, 2.2), yticks=[1.4, 1.6, 1.8, 2.0, 2.2], ylabel="nats a row")
