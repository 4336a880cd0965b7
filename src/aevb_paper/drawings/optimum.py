"""Card 2: the loss over theta and phi, and why going down in both leads to the least -log p(x).

x has variance 1, p(x|z) = N(w z, v) with theta = w, and q(z|x) = N(a x, s^2) with phi = a; v is
held fixed, and s^2 = v / (w^2 + v) is the best for this w. Then theta* = sqrt(1 - v).
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aevb.figures.style import DATA, INK
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, Style, book, math
from aevb_paper.linear_gaussian import Vector

__all__ = ["descend", "landscape", "mean_loss", "mean_surprise", "posterior_slope"]


def mean_loss(w: Vector, a: Vector, v: float = 0.3) -> Vector:
    """The mean of L_VAE over x."""
    s2 = v / (w**2 + v)
    reconstruction = (np.log(2 * np.pi * v) + ((1 - w * a) ** 2 + w**2 * s2) / v) / 2
    return reconstruction + (s2 + a**2 - 1 - np.log(s2)) / 2


def mean_surprise(w: Vector, v: float = 0.3) -> Vector:
    """The mean of -log p(x), p(x) = N(0, w^2 + v)."""
    return (np.log(2 * np.pi * (w**2 + v)) + 1 / (w**2 + v)) / 2


def posterior_slope(w: Vector, v: float = 0.3) -> Vector:
    """The a of the posterior: E[z|x] = w x / (w^2 + v)."""
    return w / (w**2 + v)


def descend(w: float, a: float, step: float = 0.02, steps: int = 400) -> Vector:
    """The way of gradient descent on theta and phi together; shape (steps + 1, 2)."""
    way, h = [np.array([w, a])], 1e-5
    for _ in range(steps):
        place = way[-1]
        slope = np.empty(2)
        for axis in range(2):
            to = h * np.eye(2)[axis]
            slope[axis] = (mean_loss(*(place + to)) - mean_loss(*(place - to))) / (2 * h)
        way.append(place - step * slope)
    return np.array(way)


@book
def landscape() -> Figure:
    """Left, contours of the loss and the way down; right, -log p(x) with the losses of two q."""
    figure = Figure(figsize=(6.4, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    w, best = np.linspace(0.02, 1.65, 164), np.asarray(np.sqrt(1 - 0.3))
    _draw_contours(left, w, best)
    _draw_profiles(right, w, best)
    for axes in (left, right):
        axes.set(xlim=(0.02, 1.65), xticks=[0.5, 1, 1.5])
        name = r"$\theta$: slope $w$ of $p_\theta(x|z)$"
        math(axes, 0.5, -0.19, name, inside=True, fontsize=10)
    return figure


def _draw_contours(axes: Axes, w: Vector, best: Vector) -> None:
    a, best_a = np.linspace(0.0, 1.4, 141), posterior_slope(best)
    levels = mean_loss(best, best_a) + np.array([0.01, 0.04, 0.1, 0.2, 0.4, 0.8])
    losses = mean_loss(w[None, :], a[:, None])
    axes.contour(w, a, losses, levels=levels, colors=DATA, linewidths=0.8)
    axes.plot(w, posterior_slope(w), color=RECOGNITION, ls=(0, (4, 2)), lw=1.4)
    way = descend(1.45, 0.2)
    axes.plot(*way.T, color=INK, lw=1.4)
    look: Style = {"arrowstyle": "-|>", "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", way[30], way[24], arrowprops={"color": INK, **look})
    axes.plot([best], [best_a], "o", color=INK, markersize=5, zorder=4)
    math(
        axes,
        float(best) + 0.04,
        float(best_a) + 0.1,
        r"$\theta^{*},\ \phi^{*}$",
        fontsize=11,
        ha="left",
    )
    math(axes, 0.22, 0.2, r"$q=p_\theta(z|x)$", color=RECOGNITION, fontsize=10, ha="left")
    name = r"$\phi$: slope $a$ of $q_\phi(z|x)$"
    math(axes, -0.18, 0.5, name, inside=True, fontsize=10, rotation=90)
    axes.set(ylim=(0, 1.4), yticks=[0, 0.5, 1])


def _draw_profiles(axes: Axes, w: Vector, best: Vector, v: float = 0.3) -> None:
    axes.plot(w, mean_surprise(w), color=GENERATIVE, lw=2.2)
    for a, style in ((np.asarray(0.6), (0, (1.5, 1.5))), (posterior_slope(best), "-")):
        axes.plot(w, mean_loss(w, a), color=RECOGNITION, ls=style, lw=1.4)
        root = np.sqrt(1 - 4 * a**2 * v)
        touching = np.array([1 - root, 1 + root]) / (2 * a)  # where a is the posterior's
        axes.plot(touching, mean_surprise(touching), "o", color=RECOGNITION, markersize=3.5)
    axes.plot([best], [mean_surprise(best)], "o", color=INK, markersize=5, zorder=4)
    math(axes, float(best), 1.345, r"$\theta^{*}$", fontsize=11)
    math(axes, 1.2, 1.4, r"$-\log p_\theta(x)$", color=GENERATIVE, fontsize=11, ha="left")
    text: Style = {"color": RECOGNITION, "fontsize": 10, "ha": "left"}
    math(axes, 0.62, 1.69, r"$L_{\mathrm{VAE}}$ at $a=0.6$", **text)
    math(axes, 1.0, 2.0, r"$L_{\mathrm{VAE}}$ at $a=\phi^{*}$", **text)
    axes.set(ylim=(1.3, 2.2), yticks=[1.4, 1.6, 1.8, 2.0, 2.2], ylabel="nats per row")
