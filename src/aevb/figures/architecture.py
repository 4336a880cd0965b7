"""The model as a textbook draws it: x -> encoder -> q(z|x) -> z -> decoder -> p(x|z), with shapes and sizes."""

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

#: Parts that lead from data to latents; all others lead from latents to data.
INFERENCE = ("encoder", "posterior", "q(z|x)")
_MOST_LAYERS = 8
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
    variable: bool = False
    color: str = MODEL


@styled
def architecture(layers: Sequence[Mapping[str, Any]]) -> Figure:
    """Layers of a model, from x at the top to p(x|z) at the bottom; a box is the wider the larger its tensor.

    Parameters
    ----------
    layers
        In the order data flow: ``{"part", "name", "shape_in", "shape_out", "parameters"}``. Parts named
        ``encoder`` or ``posterior`` lead from x to z; a ``prior`` stands beside z; all others lead from z to x.
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
            tip, tail = middle - _HEIGHT / 2 - 0.005, middle - _ROW + _HEIGHT / 2 + 0.005
            axes.annotate("", (0, tip), (0, tail), arrowprops={"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0,
                          "shrinkB": 0, "linewidth": 0.9, "mutation_scale": 7})  # fmt: skip
    return figure


def _rows(layers: Sequence[Mapping[str, Any]]) -> list[Row]:
    inference = [layer for layer in layers if str(layer["part"]).lower() in INFERENCE]
    prior = [layer for layer in layers if str(layer["part"]).lower() == "prior"]
    generation = [layer for layer in layers if layer not in inference and layer not in prior]
    data = _size(inference[0]["shape_in"]) if inference else _size(generation[-1]["shape_out"]) if generation else 1
    latent = _size(generation[0]["shape_in"]) if generation else 1
    beside = f"p(z): {plain(prior[0]['name'], 18)}" if prior else ""
    return [
        Row("x", data, data, _shape(inference[0]["shape_in"]) if inference else str(data), variable=True, color=DATA),
        *_layers(inference, MODEL),
        Row("z ~ q(z|x)", latent, latent, str(latent), beside, variable=True, color=ALERT),
        *_layers(generation, MODEL),
        Row("x ~ p(x|z)", data, data, str(data), variable=True, color=DATA),
    ]


def _layers(layers: Sequence[Mapping[str, Any]], color: str) -> list[Row]:
    rows: list[Row] = []
    for part, group in groupby(layers, key=lambda layer: str(layer["part"])):
        members = list(group)
        for layer in _shortened(members):
            shapes = f"{_shape(layer['shape_in'])} → {_shape(layer['shape_out'])}"
            count = layer["parameters"]
            text = f"{plain(part, 12)}: {plain(layer['name'], 24)}"
            note = f"{count:,} parameters" if count else ""
            rows.append(Row(text, _size(layer["shape_in"]), _size(layer["shape_out"]), shapes, note, color=color))
    return rows


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
        axes.add_patch(FancyBboxPatch((-0.5, top), 1.0, _HEIGHT, boxstyle="round,pad=0,rounding_size=0.15", **look))
    else:
        axes.add_patch(Polygon([(-enter, top), (enter, top), (leave, bottom), (-leave, bottom)], **look))
    axes.text(0, middle, row.text, ha="center", va="center", fontstyle="italic" if row.variable else "normal")
    axes.text(-WIDTH / 2 + 0.02, middle, plain(row.shape, 22), ha="left", va="center", fontsize=7, color=MUTED)
    axes.text(WIDTH / 2 - 0.02, middle, row.note, ha="right", va="center", fontsize=7, color=INK)
