"""The model as a textbook draws it: x, encoder, z, decoder and p(x|z), with shapes and sizes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Polygon

from aevb.figures import style
from aevb.figures.style import one_line, styled

__all__ = ["architecture"]

Layer = Mapping[str, Any]
Shape = int | Sequence[int]


@styled
def architecture(layers: Sequence[Layer]) -> Figure:
    """Layers of a model, from x at the top to p(x|z) at the bottom.

    The larger a tensor, the wider its box. The way to q(z|x) and the way to p(x|z) have different
    colors; ``~`` is a draw.

    A layer has "part", "name", "shape_in", "shape_out" and "parameters". The ``encoder`` leads from
    x to z; ``latent`` stands next to z, its name in parts divided by commas; all others lead from z
    to x. A layer that takes the same tensor as the layer above it, and not the output of that
    layer, is added to it; names that begin with ``p(x|z)`` are heads, side by side.
    """
    encoder, latents, decoder = [], [], []
    for layer in layers:
        if layer["part"] == "encoder":
            encoder.append(layer)
        elif layer["part"] == "latent":
            latents.append(layer)
        else:
            decoder.append(layer)
    x = z = 1
    if decoder:
        x, z = decoder[-1]["shape_out"], decoder[0]["shape_in"]
    if encoder:
        x = encoder[0]["shape_in"]
    if latents:
        z = latents[0]["shape_in"]
    drawing = _Drawing(layers)
    drawing.add_variable("x", x, style.DATA)
    drawing.add_layers(encoder, style.ALERT)
    drawing.add_variable("z", z, style.INK, "~" if encoder else "↓")
    *left, right = ", ".join(layer["name"] for layer in latents).split(", ")
    drawing.add_notes(", ".join(left), right, _parameter_count(latents))
    drawing.add_layers(decoder, style.MODEL)
    drawing.add_variable("x", x, style.DATA, "~" if decoder else "↓")
    return drawing.figure


class _Drawing:
    """Rows from top to bottom, one for each variable or layer; lengths are inches."""

    def __init__(self, layers: Sequence[Layer], pitch: float = 0.44, height: float = 0.30) -> None:
        self.pitch, self.height = pitch, height
        self.largest = 1
        for layer in layers:
            self.largest = max(self.largest, _size(layer["shape_in"]), _size(layer["shape_out"]))
        self.figure = Figure()
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.rows, self.middle = 0, 0.0

    def add_variable(self, name: str, shape: Shape, color: str, joint: str = "") -> None:
        self._add_row(joint)
        corner = (-0.5, self.middle - self.height / 2)
        outline = "round,pad=0,rounding_size=0.15"
        box = FancyBboxPatch(corner, 1.0, self.height, boxstyle=outline)
        self._add_box(box, color, f"{name} ({_sides(shape)})", "italic")

    def add_layers(self, layers: Sequence[Layer], color: str) -> None:
        above: Layer = {}
        for layer in layers:
            self._add_row(_joint(above, layer))
            self._add_layer(layer, color)
            above = layer

    def add_notes(self, left: str, right: str, parameters: int) -> None:
        """Write on both sides of the last row."""
        lines = [one_line(right, 34)]
        if parameters:
            lines.append(f"{parameters:,} parameter{'s' * (parameters > 1)}")
        edge = style.WIDTH / 2 - 0.02
        for place, align, note in (
            (-edge, "left", one_line(left, 34)),
            (edge, "right", "\n".join(lines).strip()),
        ):
            text = self.axes.text(place, self.middle, note, ha=align, va="center")
            text.set(fontsize=7, color=style.MUTED)

    def _add_row(self, joint: str) -> None:
        """Move on by one row, which is fed by, drawn from ("~"), added to or next to the last."""
        top = self.pitch * self.rows
        self.rows, self.middle = self.rows + 1, top + self.pitch / 2
        self.figure.set_size_inches(style.WIDTH, top + self.pitch)
        self.axes.set(xlim=(-style.WIDTH / 2, style.WIDTH / 2), ylim=(top + self.pitch, 0))
        if joint in ("↓", "~"):
            reach = (self.pitch - self.height) / 2 - 0.005
            arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
            arrow |= {"color": style.MUTED, "linewidth": 0.9}
            self.axes.annotate("", (0, top + reach), (0, top - reach), arrowprops=arrow)
        if joint in ("~", "+"):
            place = {"~": 0.12, "+": 0.0}[joint]
            text = self.axes.text(place, top, joint, ha="center", va="center", fontsize=10)
            text.set_color(style.MUTED)

    def _add_layer(self, layer: Layer, color: str) -> None:
        top, bottom = self.middle - self.height / 2, self.middle + self.height / 2
        enter, leave = self._half_width(layer["shape_in"]), self._half_width(layer["shape_out"])
        box = Polygon([(-enter, top), (enter, top), (leave, bottom), (-leave, bottom)])
        name = layer["name"]
        if not name.startswith(("p(", "q(")):
            name = f"{layer['part']}: {name}"
        self._add_box(box, color, one_line(name, 36), "normal")
        shapes = f"{_sides(layer['shape_in'])} → {_sides(layer['shape_out'])}"
        self.add_notes(shapes, "", _parameter_count([layer]))

    def _half_width(self, shape: Shape, narrowest: float = 0.75, widest: float = 1.35) -> float:
        fraction = math.log1p(_size(shape)) / math.log1p(self.largest)
        return narrowest + (widest - narrowest) * fraction

    def _add_box(self, box: Patch, color: str, text: str, slant: str) -> None:
        box.set(facecolor=f"{color}1f", edgecolor=color, linewidth=1.1)
        self.axes.add_patch(box)
        self.axes.text(0, self.middle, text, ha="center", va="center", fontstyle=slant)


def _joint(above: Layer, layer: Layer) -> str:
    if not above:
        return "↓"
    if above["name"].startswith("p(x|z)") and layer["name"].startswith("p(x|z)"):
        return ""
    fed = _size(above["shape_out"]) == _size(layer["shape_in"])
    if not fed and above["shape_in"] == layer["shape_in"]:
        return "+"
    return "↓"


def _parameter_count(layers: Sequence[Layer]) -> int:
    return sum(layer["parameters"] or 0 for layer in layers)


def _size(shape: Shape) -> int:
    if isinstance(shape, int):
        return shape
    return math.prod(shape)


def _sides(shape: Shape) -> str:
    if isinstance(shape, int):
        return str(shape)
    return "×".join(map(str, shape))
