"""The lines of figure 3 on a table of a few pixels: what a point has, in which order, and that nothing is run twice."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb.paper.drawings.figure3 import figure3 as drawing
from aevb.paper.experiments import algorithm as loop
from aevb.paper.experiments import figure3 as module
from aevb.paper.experiments.data import PaperData


@pytest.fixture
def pixels(monkeypatch: pytest.MonkeyPatch) -> PaperData:
    rng = np.random.default_rng(0)
    grey = rng.random((60, 6)).astype(np.float32)
    data = PaperData(
        grey[:40],
        (grey[40:] > 0.5).astype(np.float32),
        lambda x, key: jax.random.bernoulli(key, x).astype(jnp.float32),
        "bernoulli",
        4,
    )
    monkeypatch.setattr(module, "paper_data", lambda name: data)
    monkeypatch.setattr(module, "AGREED_ON", 3)
    monkeypatch.setattr(loop, "CHUNK", 600)
    monkeypatch.setattr(loop, "FIRST", 600)
    return data


def test_every_line_has_its_points_and_is_run_once(pixels: PaperData, tmp_path: Path) -> None:
    said: list[str] = []
    settings = {"sizes": (20, 40), "algorithms": ("mcem", "aevb"), "rows": 8, "marks": 1, "said": said.append}
    points = module.figure3(tmp_path, 1_200, **settings)
    lines = list(dict.fromkeys((point["n_train"], point["algorithm"]) for point in points))
    assert lines == [(20, "mcem"), (20, "aevb"), (40, "mcem"), (40, "aevb")]
    for point in points:
        assert {"dataset": "mnist", "latents": 3, "hidden": 100, "seed": 0, "rows": 8}.items() <= point.items()
        assert point["rate"] in loop.RATES
        for part in ("train", "test"):
            # Six pixels of which nothing is known cost 6 log 2 nats.
            assert -6 < point[part] < -2
            assert 0 < point[f"{part}_monte_carlo_error"] < 0.2
            assert 0 < point[f"{part}_error"] < 1
    last = points[-1]
    for estimate in ("harmonic_from_q", "l_5000", "annealed"):
        assert last[f"test_{estimate}"] == pytest.approx(last["test_harmonic"], abs=0.1)
    assert last["samples"] == 1_200
    assert len(said) == 4
    assert module.figure3(tmp_path, 1_200, **settings) == points
    assert len(said) == 4


def test_the_drawing_has_a_line_for_each_algorithm_and_part() -> None:
    point = {"n_train": 1_000, "seed": 0, "train": -130.0, "test": -140.0}
    algorithms = ("aevb", "wake-sleep", "mcem")
    points = [{**point, "algorithm": name, "samples": samples} for name in algorithms for samples in (10**6, 10**7)]
    few, many = drawing(points).axes
    assert sum(line.get_linestyle() != "None" and len(line.get_xdata()) == 2 for line in few.lines) == 6
    assert len(few.lines) == 12
    assert few.get_ylim() == (-160, -100)
    assert many.get_ylim() == (-160, -125)
