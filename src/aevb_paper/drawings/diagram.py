"""Graphs as textbooks draw them: circles for random variables, diamonds for functions, plates."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch, Polygon
from matplotlib.text import Text

from aevb.figures.style import ALERT, INK, MODEL, MUTED, STYLE

__all__ = ["GENERATIVE", "RECOGNITION", "Diagram", "Node", "Style", "book", "math"]

P = ParamSpec("P")
Style = dict[str, Any]  # keyword arguments of matplotlib
#: The colors of p, the generative model, and of q, the recognition model, in every picture.
GENERATIVE, RECOGNITION = MODEL, ALERT


def book(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the style of `aevb.figures`, with formulas set as in a book."""
    sizes = dict.fromkeys(("font.size", "axes.labelsize", "axes.titlesize"), 9.5)
    settings: Any = {**STYLE, **sizes, "mathtext.fontset": "cm"}

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(settings):
            return draw(*args, **kwargs)

    return styled


def math(axes: Axes, x: float, y: float, text: str, *, inside: bool = False, **style: Any) -> Text:
    """Write a text with formulas between dollars, centered at a place.

    `inside` measures the place in parts of the axes instead of data.
    """
    if inside:
        style["transform"] = axes.transAxes
    return axes.text(x, y, text, **{"ha": "center", "va": "center", "parse_math": True, **style})


class Node:
    """A place in a diagram, and the patch that arrows end at."""

    def __init__(self, x: float, y: float, patch: Patch | None, reach: float) -> None:
        self.x, self.y, self.patch, self.reach = x, y, patch, reach


class Diagram:
    """A figure of `width` by `height` inches, in which one unit is an inch; y goes up."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.axes.set_axis_off()
        self.radius = 0.24

    def circle(
        self, x: float, y: float, text: str, *, observed: bool = False, color: str = INK
    ) -> Node:
        """A random variable, shaded where it is observed."""
        face = "#d9dee3" if observed else "white"
        patch = Circle((x, y), self.radius, facecolor=face, edgecolor=color, lw=1.2, zorder=3)
        return self._node(x, y, text, patch, self.radius)

    def diamond(self, x: float, y: float, text: str, *, color: str = INK) -> Node:
        """A function of what points at it."""
        r = self.radius * 1.25
        corners = [(x - r, y), (x, y + r), (x + r, y), (x, y - r)]
        patch = Polygon(corners, facecolor="white", edgecolor=color, lw=1.2, zorder=3)
        return self._node(x, y, text, patch, r)

    def box(self, x: float, y: float, text: str, width: float) -> Node:
        """A network."""
        height = 0.42
        corner = (x - width / 2, y - height / 2)
        look: Style = {"boxstyle": "round,pad=0,rounding_size=0.06", "lw": 1.2, "zorder": 3}
        patch = FancyBboxPatch(corner, width, height, facecolor="white", edgecolor=INK, **look)
        return self._node(x, y, text, patch, width / 2, size=10)

    def name(self, x: float, y: float, text: str) -> Node:
        """A parameter: a name without a border."""
        patch = Circle((x, y), 0.15, facecolor="none", edgecolor="none")
        return self._node(x, y, text, patch, 0.15)

    def _node(
        self, x: float, y: float, text: str, patch: Patch, reach: float, size: float = 13
    ) -> Node:
        self.axes.add_patch(patch)
        self.text(x, y - 0.01, text, size=size, zorder=4)
        return Node(x, y, patch, reach)

    def arrow(
        self, start: Node, end: Node, *, dashed: bool = False, bend: float = 0.0, color: str = INK
    ) -> None:
        """An arrow from one node to another, from border to border."""
        patch = FancyArrowPatch(
            (start.x, start.y),
            (end.x, end.y),
            patchA=start.patch,
            patchB=end.patch,
            shrinkA=0,
            shrinkB=1,
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>,head_length=0.45,head_width=0.22",
            mutation_scale=13,
            lw=1.2,
            color=color,
            ls=(0, (4, 2.5)) if dashed else "solid",
            zorder=2,
        )
        self.axes.add_patch(patch)

    def line(
        self, x0: float, y0: float, x1: float, y1: float, *, dashed: bool = False, color: str = INK
    ) -> None:
        """An arrow between two places."""
        self.arrow(Node(x0, y0, None, 0), Node(x1, y1, None, 0), dashed=dashed, color=color)

    def plate(self, left: float, bottom: float, right: float, top: float, text: str) -> None:
        """A border around what is repeated, and how often."""
        look: Style = {"boxstyle": "round,pad=0,rounding_size=0.12", "lw": 1.0, "zorder": 1}
        size = (right - left, top - bottom)
        patch = FancyBboxPatch((left, bottom), *size, facecolor="none", edgecolor=MUTED, **look)
        self.axes.add_patch(patch)
        self.text(right - 0.16, bottom + 0.16, text, size=12, color=MUTED)

    def text(self, x: float, y: float, text: str, *, size: float = 9.5, **style: Any) -> None:
        """A text with formulas between dollars."""
        math(self.axes, x, y, text, fontsize=size, **style)
