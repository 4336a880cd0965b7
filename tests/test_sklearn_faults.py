"""Bad rows, odd tables and wrong settings, met by `VAE`: what must happen is in the names."""

import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest

from aevb import VAE
from aevb.errors import AevbWarning, ConfigError, DataError
from conftest import SMALL

#: Where only the columns matter: no training.
TABLES = {"epochs": 0, "hidden": ()}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 1)) + RNG.normal(size=(60, 4))


def fitted(data, **changes) -> VAE:
    return VAE(**{**SMALL, **changes}).fit(data)


def assert_works(vae: VAE, data) -> None:
    assert np.isfinite(vae.transform(data)).all()
    assert np.isfinite(vae.score_samples(data, samples=20)).all()
    assert np.isfinite([line["validation_bound"] for line in vae.history_]).all()
    assert np.isfinite(np.asarray(vae.sample(5), dtype=float)).all()


@pytest.fixture(scope="module")
def vae() -> VAE:
    holed = X.copy()
    holed[RNG.random(X.shape) < 0.1] = np.nan
    return fitted(holed)


# Cells


def test_a_row_without_a_cell_scores_zero_and_encodes_to_the_prior(vae: VAE) -> None:
    empty = np.full((1, 4), np.nan)
    assert vae.score_samples(empty, samples=20).tolist() == [0.0]
    assert np.array_equal(vae.transform(empty), np.zeros((1, 2)))
    assert np.allclose(vae.bound(empty), 0.0, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize(
    "missing",
    [
        lambda x: np.ma.masked_array(np.nan_to_num(x, nan=7.0), np.isnan(x)),
        lambda x: np.where(np.isnan(x), None, x.astype(object)),
        lambda x: np.where(np.isnan(x), pd.NA, x.astype(object)),
        lambda x: [[None if np.isnan(cell) else float(cell) for cell in row] for row in x],
    ],
    ids=["masked", "None", "NA", "lists"],
)
def test_every_way_of_being_missing_is_the_same(vae: VAE, missing) -> None:
    holed = X.copy()
    holed[RNG.random(X.shape) < 0.2] = np.nan
    assert np.array_equal(
        vae.score_samples(missing(holed), samples=20), vae.score_samples(holed, samples=20)
    )
    assert np.array_equal(fitted(missing(holed)).transform(holed), fitted(holed).transform(holed))


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_an_infinite_cell_is_named_by_column_and_row(vae: VAE, infinite: float) -> None:
    bad = X.copy()
    bad[[7, 9], 2] = infinite
    for call in (vae.transform, vae.fit):
        with pytest.raises(DataError, match=r"column 'x2', row 7.*finite.*inf='missing'"):
            call(bad)


def test_an_infinite_cell_is_a_missing_one_where_asked() -> None:
    holed, infinite = X.copy(), X.copy()
    holed[[7, 9], 2], infinite[[7, 9], 2] = np.nan, (np.inf, -np.inf)
    plain, told = fitted(holed), fitted(infinite, inf="missing")
    assert np.array_equal(told.transform(infinite), plain.transform(holed))
    assert np.array_equal(
        told.score_samples(infinite, samples=20), plain.score_samples(holed, samples=20)
    )
    filled = told.impute(infinite)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled, plain.impute(holed))
    infinite[:, 2] = np.inf
    with pytest.warns(AevbWarning, match="all cells are missing.*x2"):
        assert fitted(infinite, inf="missing", **TABLES).schema_.names == ["x0", "x1", "x3"]


def test_a_column_without_a_cell_is_left_out_with_a_warning() -> None:
    holed = X.copy()
    holed[:, 1] = np.nan
    with pytest.warns(AevbWarning, match="all cells are missing.*x1"):
        vae = fitted(holed, **TABLES)
    assert vae.schema_.names == ["x0", "x2", "x3"]
    assert vae.reconstruct(holed).shape == (60, 4)
    assert np.isnan(vae.impute(holed)[:, 1]).all()
    assert vae.score_samples(holed[:3], samples=20).shape == (3,)


@pytest.mark.parametrize("value", [1.0, 0.0, -1e300])
def test_a_constant_column_is_warned_of_and_given_back(value: float) -> None:
    constant = X.copy()
    constant[:, 0] = value
    with pytest.warns(AevbWarning, match="constant.*x0"):
        vae = fitted(constant)
    assert_works(vae, constant)
    assert np.allclose(vae.sample(5)[:, 0], value, rtol=1e-6)
    assert any("constant" in note for note in vae.schema_.notes)


@pytest.mark.long
@pytest.mark.parametrize("size", [1e308, 1e100, 1e-100, 1e-308, 1e-320])
def test_columns_of_any_size_stay_finite(size: float) -> None:
    scaled = X / np.abs(X).max() * [1, size, 1, 1]
    assert_works(fitted(scaled), scaled)


@pytest.mark.long
def test_a_change_of_units_changes_the_score_by_its_logarithm() -> None:
    start = {
        "epochs": 0,
        "validation_fraction": 0.0,
        "objective": "sgvb_a",
    }  # q is exact there: no noise
    bounds = [
        fitted(X * [1, size, 1, 1], **start).bound(X[:5] * [1, size, 1, 1], samples=1)
        for size in (1.0, 2.0**70)
    ]
    assert np.allclose(bounds[0] - bounds[1], 70 * np.log(2), atol=1e-3)


def test_a_value_far_from_all_others_scores_low_but_finite(vae: VAE) -> None:
    far = X[:1].copy()
    far[0, 0] = 1e30
    assert np.isfinite(vae.score_samples(far, samples=20)).all()
    assert vae.score_samples(far, samples=20) < vae.score_samples(X[:1], samples=20) - 100


@pytest.mark.parametrize(
    "cells",
    [
        np.array([2**63 + 5] * 2, dtype=np.uint64),
        np.array([2**70 + 1] * 2, dtype=object),
        np.array([2**53 + 1] * 2, dtype=np.int64),
        np.array([10**400] * 2, dtype=object),
    ],
)
def test_integers_that_float64_would_round_are_an_error(cells: np.ndarray) -> None:
    with pytest.raises(DataError, match="not held exactly by float64"):
        fitted(np.column_stack([cells, cells]))


@pytest.mark.long
def test_text_in_arrays_and_lists_is_categorical() -> None:
    words = RNG.choice(["a", "b", "c"], 60)
    rows = [[float(x), str(word)] for x, word in zip(X[:, 0], words, strict=True)]
    vae = fitted(rows, **TABLES)
    assert [column.kind for column in vae.schema_.columns] == ["continuous", "categorical"]
    assert np.array_equal(
        vae.score_samples(np.array(rows, dtype=object), samples=20),
        vae.score_samples(rows, samples=20),
    )
    texts = np.column_stack([words, words[::-1]])
    assert set(fitted(texts, **TABLES).sample(20).ravel()) <= {"a", "b", "c"}


def test_dates_are_modeled_as_numbers_and_come_back_as_dates() -> None:
    dates = pd.date_range("2020-01-01", periods=60)
    frame = pd.DataFrame({"x": X[:, 0], "when": dates})
    vae = fitted(frame, **TABLES)
    assert [column.kind for column in vae.schema_.columns] == ["continuous", "continuous"]
    assert np.isfinite(vae.score_samples(frame, samples=20)).all()
    assert vae.sample(5)["when"].dtype == frame["when"].dtype
    holed = frame.assign(when=frame["when"].where(np.arange(60) != 7))
    filled = vae.impute(holed)
    assert filled["when"].dtype == frame["when"].dtype
    assert dates[0] - pd.Timedelta(days=60) < filled["when"][7] < dates[-1] + pd.Timedelta(days=60)
    assert filled["when"].drop(7).equals(frame["when"].drop(7))


def test_an_unseen_level_lowers_the_score_with_a_warning_and_is_not_missing() -> None:
    """It has the probability that the next row has of being the first of a new level."""
    words = RNG.choice(["a", "b", "c"], 60)
    frame = pd.DataFrame({"x": X[:, 0], "word": words})
    vae = fitted(frame, **TABLES)
    with pytest.warns(AevbWarning, match="'d'") as told:
        unseen = vae.score_samples(pd.DataFrame({"x": [0.5], "word": ["d"]}), samples=20)
    assert [warning.message.code for warning in told] == ["AEV302"]
    missing = vae.score_samples(
        pd.DataFrame({"x": [0.5], "word": pd.Series([None], dtype="str")}), samples=20
    )
    (share,) = [column.unseen for column in vae.schema_.columns if column.name == "word"]
    assert share == pytest.approx(1 / 55)  # of the 54 training rows, and one more
    np.testing.assert_allclose(unseen - missing, np.log(share), atol=0.1)  # other draws of z
    p = vae.model_.likelihood(jnp.zeros(vae.latent_dim_))
    seen = [p.cells(jnp.array([0.5, level]))[1] for level in range(3)]
    assert (np.log(share) < np.array(seen)).all()
    assert np.exp(seen).sum() + share == pytest.approx(1.0, abs=1e-5)


# Columns


def test_columns_of_another_schema_are_refused() -> None:
    frame = pl.DataFrame(X, schema=list("abcd"))
    vae = fitted(frame, **TABLES)
    for other in (frame.drop("b"), frame.select("b", "a", "c", "d"), frame.rename({"a": "z"})):
        with pytest.raises(ValueError, match=r"(?i)feature names|columns"):
            vae.transform(other)
    with pytest.raises(DataError, match=r"'a'.*expected numbers"):
        vae.transform(frame.with_columns(pl.lit("text").alias("a")))


NAMES = [
    "",
    " ",
    "a.b",
    "\N{GRINNING FACE}",
    "\u05d0\u05d1",
    "x" * 10_000,
    "__index_level_0__",
    "<script>",
]


@pytest.mark.long
def test_any_name_is_kept() -> None:
    data = pd.DataFrame(np.hstack([X, X[::-1]]), columns=NAMES)
    vae = fitted(data, **TABLES)
    assert vae.feature_names_in_.tolist() == NAMES
    assert vae.sample(3).columns.tolist() == NAMES
    assert vae.reconstruct(data).columns.tolist() == NAMES


@pytest.mark.long
def test_names_that_look_alike_are_kept_apart_with_a_warning() -> None:
    data = pd.DataFrame(X, columns=["\u00e9", "e\u0301", "c", "d"])
    with pytest.warns(AevbWarning, match="look alike"):
        vae = fitted(data, **TABLES)
    assert vae.sample(2).columns.tolist() == ["\u00e9", "e\u0301", "c", "d"]


def test_names_met_twice_are_an_error() -> None:
    with pytest.raises(DataError, match="'a'"):
        fitted(pd.DataFrame(X, columns=list("aabc")))


def test_names_that_are_no_text_are_kept() -> None:
    data = pd.DataFrame(X, columns=[3, 1, 4, 5])
    assert fitted(data, **TABLES).reconstruct(data).columns.tolist() == [3, 1, 4, 5]


# Sizes


@pytest.mark.long
@pytest.mark.parametrize("rows", [2, 3])
def test_the_fewest_rows(rows: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AevbWarning)
        vae = fitted(X[:rows])
    assert vae.transform(X[:rows]).shape == (rows, 2)
    assert np.isfinite(vae.score_samples(X[:rows], samples=20)).all()


def test_one_row_is_too_few() -> None:
    with pytest.raises(ValueError, match="1 sample"):
        fitted(X[:1])
    with pytest.raises(DataError, match="at least 2 rows"):
        fitted(pd.DataFrame(X[:1]))


@pytest.mark.long
@pytest.mark.parametrize("batch_size", [1, 50, 53, 10**9])
def test_batches_of_any_size(batch_size: int) -> None:
    vae = fitted(X, batch_size=batch_size, epochs=1)
    assert vae.history_[-1]["samples_seen"] == 54
    assert np.isfinite(vae.history_[-1]["train_bound"])


@pytest.mark.long
@pytest.mark.parametrize(("columns", "latent_dim"), [(1, 1), (1, 3), (4, 4), (4, 6)])
def test_as_many_latents_as_columns_and_more(columns: int, latent_dim: int) -> None:
    vae = fitted(X[:, :columns], latent_dim=latent_dim)
    assert vae.transform(X[:, :columns]).shape == (60, latent_dim)
    assert_works(vae, X[:, :columns])


@pytest.mark.long
def test_duplicate_rows_do_not_make_the_likelihood_unbounded() -> None:
    twice = np.repeat(X[:6], 10, axis=0)
    vae = fitted(twice, epochs=20)
    assert_works(vae, twice)
    assert vae.score(twice) < 40


def test_zero_epochs_is_the_linear_start() -> None:
    vae = fitted(X, epochs=0)
    assert (vae.n_iter_, vae.best_epoch_, len(vae.history_)) == (0, 0, 1)
    assert_works(vae, X)


# Settings


class NeverRead:
    """Data that may not be touched."""

    def __getattr__(self, name: str):
        raise AssertionError(f"the data were read: {name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("latent_dim", 0),
        ("latent_dim", "many"),
        ("latent_dim", True),
        ("latent_dim", 10**9),
        ("hidden", (0,)),
        ("hidden", "256"),
        ("likelihood", "normal"),
        ("prior", "gauss"),
        ("posterior", None),
        ("objective", "elbo"),
        ("samples", 0),
        ("epochs", -1),
        ("epochs", 2.5),
        ("batch_size", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", -1e-3),
        ("learning_rate", "fast"),
        ("random_state", "seed"),
        ("random_state", -1),
        ("validation_fraction", 1.5),
        ("columns", {"x0": "number"}),
        ("binarize", "yes"),
        ("patience", 0),
        ("weight_decay", -1),
    ],
)
def test_a_wrong_setting_is_named_before_the_data_are_read(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be .*; got "):
        VAE(**{**SMALL, name: value}).fit(NeverRead())


def test_the_nearest_word_is_suggested() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sgvb_b'"):
        fitted(X, objective="sgvb-b")
    with pytest.raises(ConfigError, match="did you mean 'height'"):
        fitted(pd.DataFrame(X, columns=["height", "b", "c", "d"]), ignore=["hieght"])
    with pytest.raises(TypeError, match="latent_dims"):
        VAE(latent_dims=3)


@pytest.mark.parametrize("weights", [[1.0], np.full(60, np.nan), np.full(60, -1.0), np.zeros(60)])
def test_weights_that_weigh_nothing_are_an_error(weights) -> None:
    with pytest.raises(DataError, match="sample_weight"):
        VAE(**SMALL).fit(X, sample_weight=weights)


# Training


@pytest.mark.long
def test_a_collapsed_posterior_is_said() -> None:
    noise = np.random.default_rng(1).normal(size=(200, 3))
    vae = fitted(noise, latent_dim=1, epochs=0, hidden=())
    diagnostics = vae.report_["diagnostics"]
    assert diagnostics["collapsed"] == any(
        "Posterior collapse" in note for note in diagnostics["warnings"]
    )
    assert diagnostics["active_units"] == sum(diagnostics["active"])
