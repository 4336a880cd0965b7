"""Figures 4 and 5, drawn again: images side by side without a gap, as printed."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aevb_paper.drawings.diagram import book
from aevb_paper.drawings.figure2 import TITLES
from aevb_paper.experiments.manifolds import SHAPES, Pictures

__all__ = ["mosaics"]

#: Inches of a part's height.
HEIGHT = 3.4


@book
def mosaics(parts: Sequence[Pictures]) -> Figure:
    """Each part a square of images, with its data set and latents above it."""
    tiles = [_tiled(part.images, SHAPES[part.dataset]) for part in parts]
    widths = [tile.shape[1] / tile.shape[0] for tile in tiles]
    figure = Figure(
        figsize=(HEIGHT * sum(widths) + 0.15 * len(parts), HEIGHT + 0.45), layout="constrained"
    )
    axes = figure.subplots(1, len(parts), width_ratios=widths, squeeze=False)[0]
    for ax, part, tile in zip(axes, parts, tiles, strict=True):
        ax.imshow(tile, cmap="gray", vmin=0, vmax=1, interpolation="none")
        ax.set_axis_off()
        ax.set_title(f"{TITLES[part.dataset]}, {part.latents} latents")
    return figure


def _tiled(images: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(n * n, height * width) -> (n * height, n * width)."""
    across = round(len(images) ** 0.5)
    square = images.reshape(across, across, *shape)
    return square.swapaxes(1, 2).reshape(across * shape[0], across * shape[1])
