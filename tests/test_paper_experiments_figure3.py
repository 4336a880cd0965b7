"""The lines of figure 3 on a table of a few pixels: what a point has, and nothing runs twice."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb_paper.drawings.figure3 import figure3 as draw
from aevb_paper.experiments import figure3 as module
from aevb_paper.experiments.data import PaperData
from aevb_paper.experiments.published import FIGURE_3, compare_figure3

pytestmark = pytest.mark.long


@pytest.fixture
def pixels(monkeypatch: pytest.MonkeyPatch) -> PaperData:
    rng = np.random.default_rng(0)
    gray = rng.random((60, 6)).astype(np.float32)

    def resample(x: jax.Array, key: jax.Array) -> jax.Array:
        return jax.random.bernoulli(key, x).astype(jnp.float32)

    data = PaperData(gray[:40], (gray[40:] > 0.5).astype(np.float32), resample, "bernoulli", 4)
    monkeypatch.setattr(module, "paper_data", lambda name: data)
    return data


def test_every_line_has_its_points_and_is_run_once(pixels: PaperData, tmp_path: Path) -> None:
    notes: list[str] = []
    lines = {"sizes": (20, 40), "algorithms": ("mcem", "aevb"), "rows": 8}
    settings = {**lines, "marks": 1, "chunk": 600, "search": 600, "note": notes.append}
    points = module.figure3(tmp_path, 1_200, **settings)
    lines = list(dict.fromkeys((point["n_train"], point["algorithm"]) for point in points))
    assert lines == [(20, "mcem"), (20, "aevb"), (40, "mcem"), (40, "aevb")]
    for point in points:
        line = {"dataset": "mnist", "latents": 3, "hidden": 100, "seed": 0, "rows": 8}
        assert line.items() <= point.items()
        assert point["rate"] in (0.01, 0.02, 0.1)
        for part in ("train", "test"):
            # Six pixels of which nothing is known cost 6 log 2 nats.
            assert -6 < point[part] < -2
            assert 0 < point[f"{part}_monte_carlo_error"] < 0.2
            assert 0 < point[f"{part}_error"] < 1
    for last, estimates in (
        (points[-1], ("harmonic_from_q", "l_5000", "annealed")),
        (points[1], ("annealed",)),
    ):
        for estimate in estimates:
            assert last[f"test_{estimate}"] == pytest.approx(last["test_harmonic"], abs=0.1)
    assert "test_l_5000" not in points[1]  # Monte Carlo EM has no encoder
    assert points[-1]["samples"] == 1_200
    assert len(notes) == 4
    assert module.figure3(tmp_path, 1_200, **settings) == points
    assert len(notes) == 4


def test_places_of_chains_are_draws_of_the_posterior_whatever_the_encoder_says(
    pixels: PaperData,
) -> None:
    """Their mean and deviation by quadrature over the one latent."""
    model = pixels.model(1, jax.random.key(0))
    matrices = lambda model: [layer.weight for layer in model.likelihood.network.layers]  # noqa: E731
    model = eqx.tree_at(matrices, model, [matrix * 200 for matrix in matrices(model)])
    rows, z = pixels.test[:2], jnp.linspace(-6, 6, 2_001)[:, None]
    log_joint = jax.vmap(jax.vmap(model.log_joint, (None, 0)), (0, None))(jnp.asarray(rows), z)
    weights, z = np.asarray(jax.nn.softmax(log_joint, axis=1), np.float64), np.asarray(z)[:, 0]
    mean = weights @ z
    deviation = np.sqrt(weights @ z**2 - mean**2)
    assert deviation.max() < 0.8  # of p(z) it is 1
    draws = [
        module.posterior_places(model, rows, candidates=20_000, seed=seed)[:, :, 0]
        for seed in range(50)
    ]
    found = np.concatenate(draws, axis=1)
    assert (np.abs(found.mean(1) - mean) < 4 * deviation / np.sqrt(found.shape[1])).all()
    assert np.abs(found.std(1) / deviation - 1).max() < 0.15


def test_a_row_s_places_are_the_same_in_any_company(pixels: PaperData) -> None:
    model = pixels.model(2, jax.random.key(0))
    alone = module.posterior_places(model, pixels.test[1:2], candidates=500)
    assert np.array_equal(
        alone[0], module.posterior_places(model, pixels.test[:5], candidates=500)[1]
    )


def test_a_line_is_compared_with_the_print_where_that_has_values_and_at_its_end() -> None:
    point = {"n_train": 1_000, "algorithm": "mcem", "seed": 0, "train": -120.0, "test": -140.0}
    printed = {part: FIGURE_3[1_000, "mcem", part] for part in ("train", "test")}
    samples = (60_030_000, 56_250_000, 10_035_000, 45_000)
    rows = compare_figure3([{**point, "samples": count} for count in samples])
    assert [row["samples"] for row in rows] == [10_035_000, 60_030_000]
    for row, mark in zip(rows, (1e7, 5.9e7), strict=True):
        for part, marks in printed.items():
            assert row[f"printed_{part}"] == marks[mark]
    (row,) = compare_figure3([{**point, "samples": samples} for samples in (45_000, 90_000)])
    assert (row["samples"], row["printed_train"], row["printed_test"]) == (90_000, None, None)
    (row,) = compare_figure3([{**point, "n_train": 7, "samples": 10**7}])
    assert row["printed_train"] is None


def test_the_drawing_has_a_line_for_each_algorithm_and_part() -> None:
    point = {"n_train": 1_000, "seed": 0, "train": -130.0, "test": -140.0}
    algorithms = ("aevb", "wake-sleep", "mcem")
    points = []
    for name in algorithms:
        points.append({**point, "algorithm": name, "samples": 10**6})
        points.append({**point, "algorithm": name, "samples": 10**7})
    few, many = draw(points).axes
    curves = [line for line in few.lines if line.get_linestyle() != "None"]
    assert [len(curve.get_xdata()) for curve in curves] == [2] * 6
    assert len(few.lines) == 12
    assert few.get_ylim() == (-160, -100)
    assert many.get_ylim() == (-160, -125)
