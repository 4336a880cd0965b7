"""Rows that are images, drawn as images."""

import math

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from aevb.figures.style import WIDTH, canvas, drawable, styled

__all__ = ["reconstruction_grid", "sample_grid"]

Pixels = NDArray[np.uint8]


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
    """Originals with the reconstruction of each right below it; missing pixels are tinted.

    Values have shape (rows, pixels), images (height, width) or (height, width, channels), and
    limits are the values drawn as black and as white. `pairs` lines have originals, `across` each.
    """
    lines = []
    for values in (originals, reconstructions):
        tiles = _tiles(np.asarray(values)[: across * pairs], image_shape, limits)
        lines.append(_mosaic(tiles, across))
    # A wide gap below each reconstruction shows which original it belongs to.
    gap = max(2, image_shape[0] // 4)
    couples = np.concatenate(lines, axis=1)
    return _whole(np.pad(couples, ((0, 0), (0, gap), (0, 0), (0, 0)), constant_values=255))


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
    tiles = _tiles(np.asarray(samples)[: across * down], image_shape, limits)
    return _whole(_mosaic(tiles, across))


def _tiles(
    values: ArrayLike,
    image_shape: tuple[int, ...],
    limits: tuple[float, float],
    *,
    longest: int = 96,
    missing: tuple[int, int, int] = (255, 219, 179),
) -> Pixels:
    """Colors of shape (rows, height, width, 3); images with sides above `longest` are thinned."""
    height, width = image_shape[:2]
    cells = drawable(values).reshape(-1, height, width, math.prod(image_shape[2:]))
    step = math.ceil(max(height, width) / longest)
    cells = cells[:, ::step, ::step]
    if cells.shape[-1] != 3:
        cells = np.repeat(cells[..., :1], 3, axis=-1)
    low, high = limits
    bright = np.clip((cells - low) / ((high - low) or 1.0), 0, 1)
    tiles = np.nan_to_num(255 * bright).round().astype(np.uint8)
    tiles[np.isnan(cells).any(axis=-1)] = missing
    return tiles


def _mosaic(tiles: Pixels, across: int) -> Pixels:
    """Lines of `across` images with white between them, shape (lines, height, width, 3)."""
    lines = math.ceil(len(tiles) / across)
    gap = max(1, round(tiles.shape[2] / 14))
    margins = ((0, lines * across - len(tiles)), (0, gap), (0, gap), (0, 0))
    tiles = np.pad(tiles, margins, constant_values=255)
    _, height, width, _ = tiles.shape
    rows = tiles.reshape(lines, across, height, width, 3).swapaxes(1, 2)
    return rows.reshape(lines, height, across * width, 3)[:, :, :-gap]


def _whole(lines: Pixels) -> Figure:
    if not len(lines):
        return canvas(0.5)
    mosaic = np.concatenate(list(lines))
    figure = Figure(figsize=(WIDTH, WIDTH * mosaic.shape[0] / mosaic.shape[1]))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(mosaic, interpolation="none", aspect="auto")
    return figure
