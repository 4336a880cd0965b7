"""The lines of figure 2 on a few small rows, their comparison with the print, and their drawing."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb.objectives import sgvb_b
from aevb_paper.drawings.figure2 import figure2 as draw
from aevb_paper.experiments import figure2
from aevb_paper.experiments.data import PaperData
from aevb_paper.experiments.published import FIGURE_2, compare_figure2, gaps

pytestmark = pytest.mark.long


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.repeat(np.random.default_rng(0).random((300, 2)) < 0.3, 4, axis=1)
    bits = rows.astype(np.float32)
    noise = 0.02 * np.random.default_rng(1).normal(size=rows.shape)
    gray = np.clip(bits * 0.6 + 0.2 + noise, 0.0, 1.0).astype(np.float32)
    data = {
        "mnist": PaperData(bits[:200], bits[200:], None, "bernoulli", 6),
        "frey-face": PaperData(gray[:200], gray[200:], None, "gaussian", 6),
    }
    monkeypatch.setattr(figure2, "paper_data", data.__getitem__)


@pytest.mark.usefixtures("small")
def test_every_line_of_every_panel_is_there_in_nats_and_goes_up(tmp_path: Path) -> None:
    panels, notes = (("mnist", 3), ("frey-face", 2)), []
    points = figure2.figure2(
        tmp_path, 100_000, panels=panels, seeds=(0, 1), search=10_000, note=notes.append
    )
    assert len(notes) == 8
    found = {(p["dataset"], p["latents"], p["algorithm"], p["seed"]) for p in points}
    assert found == {
        (*panel, name, seed) for panel in panels for name in figure2.ALGORITHMS for seed in (0, 1)
    }
    names = {"dataset", "latents", "algorithm", "seed", "rate", "samples", "train", "test"}
    ends = {}
    for point in points:
        assert point.keys() == names
        assert point["rate"] in (0.01, 0.02, 0.1)
        assert np.isfinite([point["train"], point["test"]]).all()
        ends[point["dataset"], point["algorithm"]] = point["test"]
    assert ends["mnist", "aevb"] > 8 * np.log(0.5)
    assert ends["frey-face", "aevb"] > 0
    figure = draw(points)
    titles = [ax.get_title("left") for ax in figure.axes]
    assert titles == ["MNIST, 3 latents", "Frey Face, 2 latents"]
    assert len(figure.axes[0].lines) >= 8  # train and test, of two algorithms and two seeds


@pytest.mark.usefixtures("small")
def test_the_mean_bound_is_that_of_the_rows_one_draw_each() -> None:
    data = figure2.paper_data("mnist")
    model, key = data.model(2, jax.random.key(3)), jax.random.key(4)
    rows = jnp.asarray(data.test)
    each = jax.vmap(lambda x, k: sgvb_b(model, x, k))(rows, jax.random.split(key, len(rows)))
    assert float(figure2.mean_bound(model, rows, key)) == pytest.approx(
        float(each.mean()), rel=1e-5
    )


def point(**other: Any) -> dict[str, Any]:
    settings = {"dataset": "mnist", "latents": 20, "algorithm": "aevb", "seed": 0}
    numbers = {"samples": 10**7, "rate": 0.02, "train": -99.0, "test": -100.0}
    return settings | numbers | other


def test_the_last_point_of_a_line_is_compared_with_the_printed_one_at_as_many_samples() -> None:
    (row,) = compare_figure2([point(samples=10**6, test=-130.0), point()])
    assert (row["samples"], row["printed"]) == (10**7, FIGURE_2["mnist", 20, "aevb"][1e7])
    assert row["difference"] == pytest.approx(-100.0 - row["printed"])
    (row,) = compare_figure2([point(samples=2 * 10**6)])
    assert row["printed"] is None
    assert row["difference"] is None
    (row,) = compare_figure2([point(dataset="frey-face", algorithm="wake-sleep", test=580.0)])
    assert row["difference"] == pytest.approx(2.0)
    (row,) = compare_figure2([point(dataset="frey-face", algorithm="wake-sleep", latents=3)])
    assert row["printed"] is None
    (row,) = compare_figure2([point(test=None), point(seed=1)])
    assert (row["test"], row["spread"], row["difference"]) == (None, None, None)
    (row,) = compare_figure2([point(dataset="mnist-gray")])
    assert row["printed"] is None


def test_a_longer_line_is_compared_with_the_print_on_its_way_too() -> None:
    samples = (10**6, 10**7, 5 * 10**7, 10**8, 2 * 10**8)
    rows = compare_figure2([point(samples=count) for count in samples])
    assert [row["samples"] for row in rows] == [10**7, 10**8, 2 * 10**8]


def test_what_is_compared_is_the_mean_over_seeds_with_its_spread() -> None:
    (row,) = compare_figure2([point(), point(seed=1, train=-98.0, test=-103.0, rate=0.01)])
    assert (row["seeds"], row["rate"]) == (2, "0.01, 0.02")
    assert (row["train"], row["test"], row["spread"]) == (-98.5, -101.5, pytest.approx(4.5**0.5))
    (row,) = compare_figure2([point()])
    assert (row["seeds"], row["spread"]) == (1, None)


def test_gaps_are_the_mean_over_seeds_at_equal_samples_with_the_paper_s() -> None:
    points = [
        point(test=-100.0),
        point(seed=1, test=-101.0),
        point(algorithm="wake-sleep", test=-105.0),
        point(algorithm="wake-sleep", seed=1, test=-107.0),
    ]
    others = [
        point(samples=950_000, test=-120.0),
        point(samples=950_000, algorithm="wake-sleep", test=None),
        point(seed=2, test=0.0),  # without its rival it is no gap
    ]
    (row,) = gaps(points + others)
    assert (row["samples"], row["seeds"], row["gap"]) == (10**7, 2, 5.5)
    assert row["spread"] == pytest.approx(0.5**0.5)
    assert row["printed"] == pytest.approx(108.2 - 104.4)
    assert row["printed_end"] == pytest.approx(103.7 - 99.4)
    faces = [{**one, "dataset": "frey-face", "seed": 0} for one in (points[0], points[2])]
    (row,) = gaps(faces)
    assert (row["gap"], row["spread"]) == (5.0, None)
    assert (row["printed"], row["printed_end"]) == (1249 - 578, 1313 - 578)
    (row,) = gaps([{**one, "latents": 7} for one in faces])
    assert row["printed"] is None
