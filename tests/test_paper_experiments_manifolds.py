"""The grid of figure 4 holds even shares of p(z), and no model is trained twice."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats

from aevb_paper.drawings.mosaics import mosaics, tile
from aevb_paper.experiments import figure2
from aevb_paper.experiments.data import PaperData
from aevb_paper.experiments.manifolds import draw_from_prior, grid, pictures

pytestmark = pytest.mark.long  # they train models


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
        pixels = {"mnist": 28 * 28, "frey-face": 28 * 20}[name]
        rows = (np.random.default_rng(0).random((200, pixels)) < 0.3).astype(np.float32)
        return PaperData(rows[:150], rows[150:], None, "bernoulli", 4)

    monkeypatch.setattr(figure2, "paper_data", data)
    parts, chunks = (("mnist", 2), ("frey-face", 2)), []
    how: Any = {"search": 1_000, "progress": chunks.append}
    found = pictures(tmp_path, parts, lambda model: grid(3), 50_000, **how)
    totals = [chunk["total"] for chunk in chunks]
    assert totals == [1_000, 50_000] * 2  # the search of the step size, then training
    for (dataset, latents), part in zip(parts, found, strict=True):
        assert (part.dataset, part.latents) == (dataset, latents)
        assert part.images.shape == (9, data(dataset).train.shape[1])
        assert ((part.images > 0) & (part.images < 1)).all()
        assert part.images.mean() == pytest.approx(0.3, abs=0.1)
    again = pictures(tmp_path, parts, draw_from_prior(4, jax.random.key(0)), 50_000, **how)
    assert len(chunks) == 4
    assert [part.point for part in again] == [part.point for part in found]
    figure = mosaics(again)
    assert [ax.images[0].get_array().shape for ax in figure.axes] == [(56, 56), (56, 40)]  # type: ignore[union-attr]


def test_images_lie_in_the_order_of_the_grid() -> None:
    """Line by line from the top: the first is left of the second, and above the third."""
    images = np.arange(4)[:, None] * np.ones((4, 6))
    np.testing.assert_array_equal(tile(images, 2)[::2, ::3], [[0, 1], [2, 3]])
