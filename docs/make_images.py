"""The picture at the top of the README: digits fitted with the defaults, and the report's own
figures in one.

uv run --group docs python docs/make_images.py [--epochs N] [--latent-dim N]
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageOps

from aevb import VAE, figures
from aevb.table import read

PLACE = Path(__file__).parent / "images" / "digits.png"
DPI, GAP, MARGIN = 160, 32, 16


def main() -> None:
    """Fit, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--latent-dim", type=int)
    settings = {
        name: value for name, value in vars(parser.parse_args()).items() if value is not None
    }
    digits = read("digits")
    images = digits.data.reshape(-1, *digits.image_shape)
    vae = VAE(test_fraction=0.2, random_state=0, **settings).fit(images, digits.labels)
    print(vae.report_["verdict"]["text"])
    PLACE.parent.mkdir(exist_ok=True)
    arranged(*map(pixels, drawn(vae))).save(PLACE, optimize=True)


def drawn(vae: Any) -> tuple[Figure, Figure, Figure]:
    """Codes by digit, the differences to the baselines, and samples."""
    contents = vae.contents(name="digits")
    kl = contents.results["diagnostics"]["kl_per_latent"]
    height, width = contents.schema.image_shape
    samples = np.reshape(contents.samples, (-1, height, width))
    samples = np.pad(samples, ((0, 0), (1, 1), (0, 0)))  # digits fill the height of an image
    shape, white_to_black = samples.shape[1:], (16.0, 0.0)
    return (
        figures.latent_space(contents.codes, kl, contents.colors, "digit", contents.color_levels),
        figures.comparison(contents.results["baselines"]),
        figures.sample_grid(samples, shape, white_to_black, across=18, down=4),
    )


def pixels(figure: Figure) -> Image.Image:
    """The figure as an image."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    colors: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())
    return Image.fromarray(colors[:, :, :3].copy())


def arranged(codes: Image.Image, comparison: Image.Image, samples: Image.Image) -> Image.Image:
    """Codes on the left, the other two on the right."""
    right = comparison.height + GAP + samples.height
    picture = Image.new(
        "RGB", (codes.width + GAP + comparison.width, max(codes.height, right)), "white"
    )
    picture.paste(codes, (0, (picture.height - codes.height) // 2))
    picture.paste(comparison, (codes.width + GAP, 0))
    picture.paste(samples, (codes.width + GAP, picture.height - samples.height))
    return ImageOps.expand(picture, MARGIN, "white")


if __name__ == "__main__":
    main()
