"""Figures 4 and 5 drawn again: images side by side without a gap, as printed."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aevb_paper.drawings.diagram import book
from aevb_paper.drawings.figure2 import DATA_SETS
from aevb_paper.experiments.manifolds import Pictures

__all__ = ["mosaics", "tile"]


@book
def mosaics(parts: Sequence[Pictures], *, height: float = 3.4) -> Figure:
    """Each part a square of images, `height` inches high, with its data set and latents above."""
    tiles = [tile(part.images) for part in parts]
    widths = [image.shape[1] / image.shape[0] for image in tiles]
    size = (height * sum(widths) + 0.15 * len(parts), height + 0.45)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(parts), width_ratios=widths, squeeze=False)[0]
    for ax, part, image in zip(axes, parts, tiles, strict=True):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="none")
        ax.set_axis_off()
        ax.set_title(f"{DATA_SETS[part.dataset]}, {part.latents} latents")
    return figure


def tile(images: NDArray[np.float32], height: int = 28) -> NDArray[np.float32]:
    """n^2 images of this height, shape (n^2, pixels), as one image, line by line from the top.

    Images of MNIST are 28 by 28, those of Frey Face 28 high and 20 wide.
    """
    across = round(len(images) ** 0.5)
    square = images.reshape(across, across, height, -1)
    return square.swapaxes(1, 2).reshape(across * height, -1)
