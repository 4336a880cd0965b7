"""Rows that are images, drawn as images."""

import math

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from aevb.figures.style import WIDTH, canvas, drawable, styled

__all__ = ["reconstruction_grid", "sample_grid"]

Pixels = NDArray[np.uint8]
#: Pixels of an image's longer side; larger images are thinned out to it.
_LONGEST = 96
_GUTTER = 1 / 14
_MISSING = (255, 219, 179)


@styled
def reconstruction_grid(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    image_shape: tuple[int, ...],
    limits: tuple[float, float],
    *,
    across: int = 10,
    pairs: int = 3,
) -> Figure:
    """Originals and, right below each, its reconstruction; missing pixels are tinted.

    Parameters
    ----------
    originals, reconstructions
        Values, shape (rows, pixels).
    image_shape
        (height, width) or (height, width, channels).
    limits
        Values drawn as black and as white.
    across, pairs
        Images in a line, and lines of originals.
    """
    above = _tiles(originals, image_shape, limits)[: across * pairs]
    below = _tiles(reconstructions, image_shape, limits)[: across * pairs]
    strips = []
    for first in range(0, len(above), across):
        couple = [_line(tiles[first : first + across], across) for tiles in (above, below)]
        strips.append(np.concatenate(couple))
    # Couples stand further apart than the lines within one, so that each reconstruction belongs to
    # its original.
    return _drawn(strips, gap=max(2, image_shape[0] // 4))


@styled
def sample_grid(
    samples: ArrayLike,
    image_shape: tuple[int, ...],
    limits: tuple[float, float],
    *,
    across: int = 10,
    down: int = 6,
) -> Figure:
    """Samples of the model, side by side; parameters as `reconstruction_grid`."""
    tiles = _tiles(samples, image_shape, limits)[: across * down]
    return _drawn(
        [_line(tiles[first : first + across], across) for first in range(0, len(tiles), across)],
        gap=0,
    )


def _tiles(values: ArrayLike, image_shape: tuple[int, ...], limits: tuple[float, float]) -> Pixels:
    """Bytes of shape (rows, height, width, 3)."""
    height, width = image_shape[:2]
    cells = drawable(values)[:200].reshape(-1, height, width, math.prod(image_shape[2:]))
    step = math.ceil(max(height, width) / _LONGEST)
    cells = cells[:, ::step, ::step]
    cells = cells if cells.shape[-1] == 3 else np.repeat(cells[..., :1], 3, axis=-1)
    low, high = limits
    bright = np.clip((cells - low) / ((high - low) or 1.0), 0, 1)
    shown = np.where(np.isnan(bright), 0, 255 * bright).round().astype(np.uint8)
    return np.where(
        np.isnan(cells).any(axis=-1, keepdims=True), np.array(_MISSING, dtype=np.uint8), shown
    )


def _line(tiles: Pixels, across: int) -> Pixels:
    """One line of images with white between them, filled up with white to `across` images."""
    rows, height, width, _ = tiles.shape
    gap = max(1, round(_GUTTER * width))
    line = np.full((height + gap, across * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for place in range(rows):
        left = place * (width + gap)
        line[:height, left : left + width] = tiles[place]
    return line


def _drawn(strips: list[Pixels], gap: int) -> Figure:
    if not strips:
        return canvas(0.5)
    white = np.full((gap, strips[0].shape[1], 3), 255, dtype=np.uint8)
    mosaic = np.concatenate([part for strip in strips for part in (strip, white)])
    figure = Figure(figsize=(WIDTH, WIDTH * mosaic.shape[0] / mosaic.shape[1]))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(mosaic, interpolation="none", aspect="auto")
    return figure
