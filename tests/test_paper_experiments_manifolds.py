"""The grid of figure 4 holds even shares of p(z), and a part that was made is only drawn again."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats

from aevb_paper.drawings.mosaics import mosaics
from aevb_paper.experiments import algorithm, figure2
from aevb_paper.experiments.algorithm import CHUNK
from aevb_paper.experiments.data import PaperData
from aevb_paper.experiments.manifolds import SHAPES, drawn_from_prior, grid, pictures


@pytest.mark.parametrize("across", [1, 2, 7, 20])
def test_the_grid_is_the_middle_of_even_cells_of_the_unit_square(across: int) -> None:
    u = stats.norm.cdf(np.asarray(grid(across), np.float64)).reshape(across, across, 2)
    middles = (np.arange(across) + 0.5) / across
    np.testing.assert_allclose(u[..., 0], np.tile(middles, (across, 1)), atol=1e-5)  # left to right
    np.testing.assert_allclose(
        u[..., 1], np.tile(middles[::-1, None], (1, across)), atol=1e-5
    )  # bottom to top


def test_a_part_is_means_of_pixels_and_is_not_trained_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def data(name: str) -> PaperData:
        pixels = int(np.prod(SHAPES[name]))
        rows = (np.random.default_rng(0).random((200, pixels)) < 0.3).astype(np.float32)
        return PaperData(rows[:150], rows[150:], None, "bernoulli", 4)

    monkeypatch.setattr(figure2, "paper_data", data)
    monkeypatch.setattr(algorithm, "FIRST", 1_000)
    parts, chunks = (("mnist", 2), ("frey-face", 2)), []
    how: Any = {"progress": chunks.append}
    found = pictures(tmp_path, parts, lambda model: grid(3), CHUNK, **how)
    assert [chunk["total"] for chunk in chunks] == [
        1_000,
        CHUNK,
    ] * 2  # the search of the step size, then training
    for (dataset, latents), part in zip(parts, found, strict=True):
        assert (part.dataset, part.latents) == (dataset, latents)
        assert part.images.shape == (9, np.prod(SHAPES[dataset]))
        assert ((part.images > 0) & (part.images < 1)).all()
        assert part.images.mean() == pytest.approx(0.3, abs=0.1)
    again = pictures(tmp_path, parts, drawn_from_prior(4, jax.random.key(0)), CHUNK, **how)
    assert len(chunks) == 4
    assert [part.point for part in again] == [part.point for part in found]
    figure = mosaics(again)
    assert [ax.images[0].get_array().shape for ax in figure.axes] == [(56, 56), (56, 40)]  # type: ignore[union-attr]


def test_images_lie_in_the_order_of_the_grid() -> None:
    """Line by line from the top: the first is above the second line's first, and left of the
    second.
    """
    from aevb_paper.drawings.mosaics import _tiled

    images = np.arange(4)[:, None] * np.ones((4, 6))
    np.testing.assert_array_equal(_tiled(images, (2, 3))[::2, ::3], [[0, 1], [2, 3]])
