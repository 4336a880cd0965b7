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
from PIL import Image

from aevb import VAE, figures
from aevb.table import read

PLACE = Path(__file__).parent / "images" / "digits.png"
DPI, GAP = 160, 32


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
    shape, limits = contents.schema.image_shape, (16.0, 0.0)
    return (
        figures.latent_space(contents.codes, kl, contents.colors, "digit", contents.color_levels),
        figures.comparison(contents.results["baselines"]),
        figures.sample_grid(contents.samples, shape, limits, across=18, down=5),
    )


def pixels(figure: Figure) -> Image.Image:
    """The figure as an image."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    colours: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())
    return Image.fromarray(colours[:, :, :3].copy())


def arranged(codes: Image.Image, comparison: Image.Image, samples: Image.Image) -> Image.Image:
    """Codes on the left, the other two on the right, in a palette of 128 colours to keep the file
    small.
    """
    right = comparison.height + GAP + samples.height
    picture = Image.new(
        "RGB", (codes.width + GAP + comparison.width, max(codes.height, right)), "white"
    )
    picture.paste(codes, (0, (picture.height - codes.height) // 2))
    picture.paste(comparison, (codes.width + GAP, 0))
    picture.paste(samples, (codes.width + GAP, picture.height - samples.height))
    return picture.quantize(128)


if __name__ == "__main__":
    main()
