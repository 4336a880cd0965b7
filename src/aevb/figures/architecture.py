"""The model as a textbook draws it: x -> encoder -> q(z|x) -> z -> decoder -> p(x|z), with shapes
and sizes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon

from aevb.figures.style import ALERT, DATA, INK, MODEL, MUTED, WIDTH, plain, styled

__all__ = ["architecture"]

#: Parts that lead from data to latents, and those that are about the latents; all others lead from
#: latents to data.
INFERENCE = ("encoder", "posterior")
LATENT = ("latent", "prior")
_MOST_LAYERS = 14
_ROW, _HEIGHT = 0.44, 0.30  # inches from row to row, and of a box
_NARROW, _WIDE = 1.5, 2.7


@dataclass(frozen=True)
class Row:
    """One row of the drawing: a layer (in and out differ in width) or a variable."""

    text: str
    size_in: int
    size_out: int
    shape: str = ""
    note: str = ""
    parameters: int = 0
    variable: bool = False
    color: str = MODEL
    joint: str = "↓"  # how it follows the row above: fed by it, "~" drawn from it, "+" added to it, or "" beside it


@styled
def architecture(layers: Sequence[Mapping[str, Any]]) -> Figure:
    """Layers of a model, from x at the top to p(x|z) at the bottom; a box is the wider the larger
    its tensor.

    What leads to q(z|x) and what leads to p(x|z) differ in colour; ``~`` is a draw.

    Parameters
    ----------
    layers
        In the order data flow: ``{"part", "name", "shape_in", "shape_out", "parameters"}``. Parts
        named ``encoder`` or ``posterior`` lead from x to z; ``latent`` or ``prior`` stands beside
        z, its name in parts divided by commas; all others lead from z to x. A layer that takes the
        same tensor as the one above it, and not what that one gives, is added to it; names that
        begin with ``p(x|z)`` are heads, side by side.
    """
    rows = _rows(layers)
    height = _ROW * len(rows) + 0.1
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-WIDTH / 2, WIDTH / 2), ylim=(height, 0))
    axes.set_axis_off()
    largest = max(max(row.size_in, row.size_out) for row in rows)
    for place, row in enumerate(rows):
        middle = _ROW * (place + 0.5) + 0.05
        _draw(axes, row, middle, largest)
        if place:
            _join(axes, row.joint, middle - _ROW / 2)
    return figure


def _rows(layers: Sequence[Mapping[str, Any]]) -> list[Row]:
    inference = [layer for layer in layers if layer["part"] in INFERENCE]
    latents = [layer for layer in layers if layer["part"] in LATENT]
    generation = [layer for layer in layers if layer not in inference and layer not in latents]
    shape = (
        inference[0]["shape_in"] if inference else generation[-1]["shape_out"] if generation else 1
    )
    latent = (latents or generation or [{"shape_in": 1}])[0]["shape_in"]
    own = sum(int(layer.get("parameters") or 0) for layer in latents)
    data = _size(shape)
    beside = ", ".join(str(layer["name"]) for layer in latents).split(", ")
    return [
        Row(f"x ({_shape(shape)})", data, data, variable=True, color=DATA),
        *_layers(inference, ALERT),
        Row(
            f"z ({_shape(latent)})", _size(latent), _size(latent), beside[0] if beside[1:] else "", beside[-1], own,
            variable=True, color=INK, joint="~" if inference else "↓",
        ),
        *_layers(generation, MODEL),
        Row(f"x ({_shape(shape)})", data, data, variable=True, color=DATA, joint="~" if generation else "↓"),
    ]  # fmt: skip


def _layers(layers: Sequence[Mapping[str, Any]], color: str = MODEL) -> list[Row]:
    rows: list[Row] = []
    above: Mapping[str, Any] = {}
    for part, group in groupby(layers, key=lambda layer: str(layer["part"])):
        for layer in _shortened(list(group)):
            name, count = str(layer["name"]), layer["parameters"]
            rows.append(
                Row(
                    plain(name if name.startswith(("p(", "q(")) else f"{part}: {name}", 36),
                    _size(layer["shape_in"]),
                    _size(layer["shape_out"]),
                    f"{_shape(layer['shape_in'])} → {_shape(layer['shape_out'])}",
                    parameters=count or 0,
                    color=color,
                    joint=_joint(above, layer),
                )
            )
            above = layer
    return rows


def _joint(above: Mapping[str, Any], layer: Mapping[str, Any]) -> str:
    if all(str(each.get("name")).startswith("p(x|z)") for each in (above, layer)):
        return ""
    fed = not above or _size(above["shape_out"]) == _size(layer["shape_in"])
    return "↓" if fed or above["shape_in"] != layer["shape_in"] else "+"


def _shortened(layers: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """At most a few layers of a part, the middle ones taken together."""
    if len(layers) <= _MOST_LAYERS:
        return layers
    half = _MOST_LAYERS // 2
    middle = layers[half:-half]
    together = {
        **middle[0],
        "name": f"{len(middle)} more layers",
        "shape_out": middle[-1]["shape_out"],
        "parameters": sum(layer["parameters"] for layer in middle),
    }
    return [*layers[:half], together, *layers[-half:]]


def _size(shape: Any) -> int:
    return math.prod(int(side) for side in shape) if isinstance(shape, list | tuple) else int(shape)


def _shape(shape: Any) -> str:
    return "×".join(str(side) for side in shape) if isinstance(shape, list | tuple) else str(shape)


def _half_width(size: int, largest: int) -> float:
    fraction = math.log1p(size) / math.log1p(max(largest, 1))
    return (_NARROW + (_WIDE - _NARROW) * fraction) / 2


def _draw(axes: Axes, row: Row, middle: float, largest: int) -> None:
    top, bottom = middle - _HEIGHT / 2, middle + _HEIGHT / 2
    enter, leave = _half_width(row.size_in, largest), _half_width(row.size_out, largest)
    look: Any = {"facecolor": row.color + "1f", "edgecolor": row.color, "linewidth": 1.1}
    if row.variable:
        axes.add_patch(
            FancyBboxPatch(
                (-0.5, top), 1.0, _HEIGHT, boxstyle="round,pad=0,rounding_size=0.15", **look
            )
        )
    else:
        axes.add_patch(
            Polygon([(-enter, top), (enter, top), (leave, bottom), (-leave, bottom)], **look)
        )
    axes.text(
        0,
        middle,
        row.text,
        ha="center",
        va="center",
        fontstyle="italic" if row.variable else "normal",
    )
    counted = f"{row.parameters:,} parameter{'s' * (row.parameters != 1)}" if row.parameters else ""
    said = [text for text in (row.note, counted) if text]
    for line, text in enumerate(said):
        _aside(axes, WIDTH / 2 - 0.02, middle + 0.13 * (line - (len(said) - 1) / 2), text, "right")
    _aside(axes, -WIDTH / 2 + 0.02, middle, row.shape, "left")


def _aside(axes: Axes, place: float, middle: float, text: str, align: str) -> None:
    axes.text(place, middle, plain(text, 34), ha=align, va="center", fontsize=7, color=MUTED)


def _join(axes: Axes, joint: str, middle: float) -> None:
    reach = (_ROW - _HEIGHT) / 2 - 0.005
    if joint in ("↓", "~"):
        look = {
            "arrowstyle": "-|>",
            "color": MUTED,
            "shrinkA": 0,
            "shrinkB": 0,
            "linewidth": 0.9,
            "mutation_scale": 7,
        }
        axes.annotate("", (0, middle + reach), (0, middle - reach), arrowprops=look)
    if joint == "~":
        axes.text(0.08, middle, joint, va="center", color=MUTED, fontsize=10)
    elif joint == "+":
        axes.text(0, middle, joint, ha="center", va="center", color=MUTED, fontsize=10)
