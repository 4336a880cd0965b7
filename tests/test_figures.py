"""Figures show the numbers they are given, leave matplotlib as it was, and draw any table."""

import io
import sys
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from scipy.stats import ks_2samp

from aevb import figures
from aevb.figures.latent import most_active
from aevb.figures.style import drawable, span, thin
from aevb.figures.tables import discrepancy, most_related
from aevb.table.schema import Column

NUMBER = Column("number", "continuous")
LEVEL = Column("level", "categorical", categories=("a", "b", "c"))


def layer(part: str, name: str, shape_in: Any, shape_out: Any, parameters: int) -> dict[str, Any]:
    shapes = {"shape_in": shape_in, "shape_out": shape_out}
    return {"part": part, "name": name, "parameters": parameters, **shapes}


LAYERS = [
    layer("encoder", "linear", 64, 32, 2080),
    layer("encoder", "Gaussian", [32], [4], 264),
    layer("decoder", "linear", 4, 64, 320),
]


def saved(figure: Figure) -> str:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg")
    return buffer.getvalue().decode()


def everything(random: np.random.Generator) -> list[Figure]:
    values = np.column_stack([random.normal(size=(40, 5)), random.integers(0, 3, 40)])
    columns = [NUMBER] * 5 + [LEVEL]
    images = random.random((12, 12))
    entry = {"difference": 1.0, "difference_standard_error": 0.1}
    return [
        figures.architecture(LAYERS),
        figures.comparison({"PPCA": entry}),
        figures.training_curves([{"epoch": 1, "train_bound": -3.0, "validation_bound": -4.0}], 1),
        figures.kl_per_latent([1.0, 0.0], [True, False]),
        figures.latent_space(values[:, :3], [1, 2, 3]),
        figures.latent_pairs(values[:, :3]),
        figures.marginals(values, values, columns),
        figures.pairs(values, values, columns),
        figures.reconstruction_scatter(values, values, columns),
        figures.level_recovery(values, values, columns),
        figures.reconstruction_grid(images, images, (3, 4), (0, 1)),
        figures.sample_grid(images, (2, 2, 3), (0, 1)),
    ]


def test_matplotlib_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    before = matplotlib.rcParams.copy()
    assert all(isinstance(figure, Figure) for figure in everything(np.random.default_rng(0)))
    assert "matplotlib.pyplot" not in sys.modules
    changed = [
        key for key in before if key != "backend" and matplotlib.rcParams[key] != before[key]
    ]
    assert changed == []  # looking at the backend would choose one


def test_comparison_sorts_by_difference_and_prints_it() -> None:
    baselines = {
        "marginals": {"difference": 40.0, "difference_standard_error": 0.5},
        "PPCA": {"difference": -1.25, "difference_standard_error": 0.25},
        "unscored": {"difference": None},
    }
    axes = figures.comparison(baselines).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["PPCA", "marginals"]
    texts = [text.get_text() for text in axes.texts]
    assert "−1.25 ± 0.25" in texts
    assert "+40.00 ± 0.50" in texts
    reach = axes.containers[0].lines[2][0].get_segments()[0]
    # Two standard errors on each side.
    np.testing.assert_allclose(sorted(reach[:, 0]), [-1.75, -0.75])


def test_kl_bars_are_in_order_and_active_ones_stand_out() -> None:
    axes = figures.kl_per_latent([0.0, 3.0, 1.0], [False, True, True]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "0"]
    active, unused = axes.containers
    assert [bar.get_height() for bar in active] == [3.0, 1.0]
    assert active[0].get_facecolor() != unused[0].get_facecolor()


def test_curves_show_the_bounds_and_the_kept_epoch() -> None:
    history = [
        {"epoch": e, "train_bound": -10.0 / e, "validation_bound": None if e == 2 else -20.0 / e}
        for e in (1, 2, 3)
    ]
    train, validation, kept = figures.training_curves(history, 3).axes[0].get_lines()
    np.testing.assert_allclose(train.get_ydata(), [-10, -5, -10 / 3])
    np.testing.assert_allclose(validation.get_xdata(), [1, 3])
    assert set(kept.get_xdata()) == {3}


def test_latents_come_by_their_kl() -> None:
    assert most_active(4, [0.1, 3.0, 0.0, 2.0]).tolist() == [1, 3, 0, 2]
    means = np.random.default_rng(0).normal(size=(9, 4))
    axes = figures.latent_space(means, [0.1, 3.0, 0.0, 2.0]).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z1", "z3")


def test_many_levels_are_gathered() -> None:
    random = np.random.default_rng(0)
    means, codes = random.normal(size=(300, 2)), random.integers(0, 30, 300)
    figure = figures.latent_space(means, (), codes, "k", range(30))
    assert figure.legends[0].get_texts()[0].get_text() == "21 others"
    assert len(figure.axes[0].collections) == 10


def test_many_points_become_an_image() -> None:
    means = np.random.default_rng(0).normal(size=(2_001, 2))
    assert "<image" not in saved(figures.latent_space(means[:2_000]))
    assert "<image" in saved(figures.latent_space(means))


def test_architecture_names_shapes_and_sizes() -> None:
    text = saved(figures.architecture(LAYERS))
    for words in ("64 → 32", "2,080 parameters", "encoder: Gaussian", "x (64)", "z (4)"):
        assert words in text


def test_layers_that_share_an_input_are_added_and_heads_stand_side_by_side() -> None:
    layers = [
        layer("decoder", "loadings", [4], [64], 1),
        layer("decoder", "tanh", [4], [32], 1),
        layer("decoder", "linear", [32], [64], 1),
        layer("decoder", "p(x|z): a", [40], [20], 1),
        layer("decoder", "p(x|z): b", [24], [12], 1),
    ]
    texts = figures.architecture(layers).axes[0].texts
    joints = [text for text in texts if text.get_text() in ("+", "~")]
    assert [joint.get_text() for joint in joints] == ["+", "~"]
    names = {text.get_text(): text.get_position()[1] for text in texts}
    assert names["decoder: loadings"] < joints[0].get_position()[1] < names["decoder: tanh"]
    arrows = [text for text in texts if isinstance(text, Annotation)]
    assert len(arrows) == 5  # x to z to loadings, tanh to linear to a, and the draw of x


def test_images_keep_their_pixels() -> None:
    images = np.array([[0.0, 1.0, 2.0, np.nan]])
    mosaic = figures.sample_grid(images, (2, 2), (0, 2), across=1).axes[0].images[0].get_array()
    assert mosaic[0, 0].tolist() == [0, 0, 0]
    assert mosaic[0, 1].tolist() == [128, 128, 128]
    assert mosaic[1, 0].tolist() == [255, 255, 255]
    assert len(set(mosaic[1, 1].tolist())) > 1  # missing: tinted, unlike any gray
    colors = np.arange(12.0)[None] / 11
    figure = figures.sample_grid(colors, (2, 2, 3), (0, 1), across=1)
    mosaic = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(mosaic[:2, :2].ravel(), np.round(255 * np.arange(12) / 11))


def test_reconstructions_stand_below_their_originals() -> None:
    originals = np.array([[0.0], [1.0], [2.0]])
    figure = figures.reconstruction_grid(originals, 2 - originals, (1, 1), (0, 2), across=2)
    mosaic = figure.axes[0].images[0].get_array()[..., 0]
    np.testing.assert_array_equal(mosaic[[0, 2], ::2], [[0, 128], [255, 128]])
    np.testing.assert_array_equal(mosaic[[6, 8], ::2], [[255, 255], [0, 255]])


def test_discrepancy_is_a_distance() -> None:
    data = np.random.default_rng(0).normal(size=200)
    assert discrepancy(NUMBER, data, data) == 0
    assert discrepancy(NUMBER, data, data + 100) == 1
    expected = ks_2samp(data, data + 0.3).statistic
    np.testing.assert_allclose(discrepancy(NUMBER, data, data + 0.3), expected)
    levels = np.array([0.0, 0, 1, 2]), np.array([0.0, 1, 1, 1])
    assert discrepancy(LEVEL, *levels) == pytest.approx(0.5)


def test_related_columns_are_found() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(200, 8))
    values[:, 6] = np.exp(values[:, 2])
    values[:, 4] = 1.0
    assert most_related(values, [NUMBER] * 8, 2) == [2, 6]
    assert most_related(values, [LEVEL] * 3 + [NUMBER] * 2 + [LEVEL] * 3, 4) == [3, 4]


def test_formulas_and_controls_stay_text() -> None:
    names = ("$x$ and $", "a\nb\x00\ud800", "\u202eturned", "x" * 10_000)
    columns = [Column(name, "continuous") for name in names]
    text = saved(figures.marginals(np.eye(4), np.eye(4), columns))
    assert "$x$ and $" in text
    assert "\u202e" not in text
    assert "x" * 100 not in text


@given(text=st.text())
@settings(deadline=None, derandomize=True, max_examples=200)
def test_one_line_is_short_and_printable(text: str) -> None:
    line = figures.one_line(text, 10)
    assert len(line) <= 10
    assert len(line.splitlines()) <= 1
    line.encode()
    assert figures.one_line(line, 10) == line


@given(
    values=arrays(
        np.float64, st.tuples(st.integers(0, 20), st.just(2)), elements=st.floats(width=64)
    )
)
@settings(deadline=None, derandomize=True, max_examples=10)
def test_any_values_are_drawn(values: np.ndarray) -> None:
    columns = [NUMBER, Column("n", "count", resolution=1, lower=0)]
    saved(figures.reconstruction_scatter(values, values[::-1], columns))
    saved(figures.pairs(values, values, columns))
    low, high = span(drawable(values))
    assert np.isfinite([low, high]).all()
    assert low < high


@given(count=st.integers(0, 300), limit=st.integers(1, 300))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_thinning_keeps_distinct_rows_in_order(count: int, limit: int) -> None:
    rows = thin(count, limit)
    assert len(rows) == min(count, limit)
    assert (np.diff(rows) > 0).all()
