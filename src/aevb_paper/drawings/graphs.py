"""Cards 2 and 4: the graphical model, and computation graphs of the reparameterization trick."""

from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon

from aevb.figures.style import INK, MUTED
from aevb_paper.derivation import arrows
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, Diagram, Node, Style, book

__all__ = ["gaussian_trick", "graphical_model", "trick"]


@book
def graphical_model() -> Figure:
    """Figure 1 of the paper: solid arrows p(z) p(x|z), dashed ones q(z|x), in a plate of N rows."""
    drawing = Diagram(5.2, 2.7)
    drawing.plate(1.02, 0.25, 2.42, 2.45, "$N$")
    nodes = {
        "phi": drawing.name(0.4, 1.95, r"$\phi$"),
        "z": drawing.circle(1.72, 1.95, r"$\mathbf{z}$"),
        "x": drawing.circle(1.72, 0.75, r"$\mathbf{x}$", observed=True),
        "theta": drawing.name(3.04, 1.35, r"$\theta$"),
    }
    looks: dict[str, Style] = {
        "p": {"color": GENERATIVE},
        "q": {"color": RECOGNITION, "dashed": True},
    }
    for start, end, model in arrows():
        both_ways = {start, end} == {"x", "z"}
        bend = -0.35 if both_ways else 0.0
        drawing.arrow(nodes[start], nodes[end], bend=bend, **looks[model])
    for y, words, formula, model in (
        (1.95, "generative model", r"$p_\theta(\mathbf{z})\,p_\theta(\mathbf{x}|\mathbf{z})$", "p"),
        (1.1, "recognition model", r"$q_\phi(\mathbf{z}|\mathbf{x})$", "q"),
    ):
        drawing.line(3.5, y, 4.0, y, **looks[model])
        drawing.text(3.5, y - 0.22, words, ha="left", size=8.5, color=MUTED)
        drawing.text(4.08, y, formula, ha="left", size=11)
    return drawing.figure


@book
def trick() -> Figure:
    """The gradient of E_q[f(z)]: stopped at a draw of z, and past it where z = T(eps; phi)."""
    drawing = Diagram(6.0, 4.0)

    f, x, phi = _draw_inputs(
        drawing, 1.7, r"before: $\mathbf{z}\sim q_\phi(\mathbf{z}|\mathbf{x})$"
    )
    z = drawing.circle(1.7, 2.05, r"$\mathbf{z}$")
    for start, end in ((phi, z), (x, z), (z, f)):
        drawing.arrow(start, end)
    _draw_gradient(drawing, f, z, r"$\partial f/\partial\mathbf{z}$")
    _draw_stop(drawing, z, phi)

    f, x, phi = _draw_inputs(drawing, 4.6, r"after: $\mathbf{z}=T_\phi(\mathbf{x},\varepsilon)$")
    z = drawing.diamond(4.6, 2.05, r"$\mathbf{z}$")
    eps = drawing.circle(5.55, 0.95, r"$\varepsilon$")
    for start, end in ((phi, z), (x, z), (z, f), (eps, z)):
        drawing.arrow(start, end)
    drawing.text(5.55, 0.56, r"$\varepsilon\sim p(\varepsilon)$", size=10)
    _draw_gradient(drawing, f, z, r"$\partial f/\partial\mathbf{z}$")
    _draw_gradient(drawing, z, phi, r"$\partial\mathbf{z}/\partial\phi$")

    _draw_legend(drawing)
    return drawing.figure


def _draw_inputs(drawing: Diagram, middle: float, title: str) -> tuple[Node, Node, Node]:
    """A title, and the nodes f, x and phi around z."""
    drawing.text(middle, 3.75, title, size=11.5)
    f = drawing.diamond(middle, 3.15, "$f$")
    x = drawing.circle(middle, 0.95, r"$\mathbf{x}$", observed=True)
    return f, x, drawing.name(middle - 0.95, 1.05, r"$\phi$")


def _draw_legend(drawing: Diagram) -> None:
    y = 0.18
    look: Style = {"facecolor": "white", "edgecolor": INK, "lw": 1.1}
    drawing.axes.add_patch(Circle((0.42, y), 0.09, **look))
    drawing.text(0.6, y, "random", ha="left", size=8.5, color=MUTED)
    corners = [(1.5, y), (1.61, y + 0.11), (1.72, y), (1.61, y - 0.11)]
    drawing.axes.add_patch(Polygon(corners, **look))
    drawing.text(1.8, y, "a function of what points at it", ha="left", size=8.5, color=MUTED)
    drawing.line(4.2, y, 4.6, y, color=RECOGNITION)
    drawing.text(4.68, y, "gradient, backwards", ha="left", size=8.5, color=MUTED)


def _parallel(start: Node, end: Node, offset: float = 0.13) -> tuple[float, float, float, float]:
    """The ends of a line parallel to the one between two nodes, to its left."""
    first, last = np.array([start.x, start.y]), np.array([end.x, end.y])
    along = (last - first) / np.hypot(*(last - first))
    aside = offset * np.array([along[1], -along[0]])
    x0, y0 = first + aside + (start.reach + 0.04) * along
    x1, y1 = last + aside - (end.reach + 0.04) * along
    return float(x0), float(y0), float(x1), float(y1)


def _draw_gradient(drawing: Diagram, start: Node, end: Node, text: str) -> None:
    """The way of a gradient, parallel to the arrow it goes against."""
    x0, y0, x1, y1 = _parallel(start, end)
    drawing.line(x0, y0, x1, y1, color=RECOGNITION)
    x, y = (x0 + x1) / 2 - 0.1, (y0 + y1) / 2 + 0.04
    drawing.text(x, y, text, ha="right", size=10.5, color=RECOGNITION)


def _draw_stop(drawing: Diagram, start: Node, end: Node) -> None:
    """A gradient that does not get past a draw."""
    x0, y0, x1, y1 = _parallel(start, end)
    x, y = x0 + 0.35 * (x1 - x0), y0 + 0.35 * (y1 - y0)
    drawing.axes.plot([x0, x], [y0, y], color=RECOGNITION, lw=1.2, ls=(0, (1.5, 1.5)))
    drawing.axes.plot([x], [y], marker="x", color=RECOGNITION, markersize=8, markeredgewidth=1.8)
    words = "no derivative\nof a draw"
    drawing.text(x - 0.16, y + 0.03, words, ha="right", size=8.5, color=RECOGNITION)


@book
def gaussian_trick() -> Figure:
    """z = mu + sigma eps between an encoder and a decoder."""
    drawing = Diagram(6.4, 2.5)
    x = drawing.circle(0.4, 1.25, r"$\mathbf{x}$", observed=True)
    encoder = drawing.box(1.4, 1.25, "encoder", 0.9)
    mean, total = drawing.diamond(2.5, 1.8, r"$\mu$"), drawing.diamond(3.7, 1.8, "$+$")
    scale, product = drawing.diamond(2.5, 0.7, r"$\sigma$"), drawing.diamond(3.7, 0.7, r"$\odot$")
    z, eps = drawing.diamond(4.7, 1.8, r"$\mathbf{z}$"), drawing.circle(4.7, 0.7, r"$\varepsilon$")
    decoder = drawing.box(5.8, 1.8, "decoder", 0.9)
    for way in (
        (x, encoder, mean, total, z, decoder),
        (encoder, scale, product, total),
        (eps, product),
    ):
        for start, end in pairwise(way):
            drawing.arrow(start, end)
    drawing.text(5.05, 0.7, r"$\varepsilon\sim\mathcal{N}(0,I)$", ha="left", size=11)
    drawing.text(4.15, 2.3, r"$\mathbf{z}=\mu+\sigma\odot\varepsilon$", size=12)
    for start, end, text in (
        (total, mean, r"$\partial\mathbf{z}/\partial\mu=1$"),
        (product, scale, r"$\partial\mathbf{z}/\partial\sigma=\varepsilon$"),
    ):
        x0, y0, x1, y1 = _parallel(start, end, offset=-0.13)
        drawing.line(x0, y0, x1, y1, color=RECOGNITION)
        drawing.text((x0 + x1) / 2, y0 - 0.17, text, size=9.5, color=RECOGNITION)
    return drawing.figure
