"""`VAEImputer`: holes filled, the rest untouched, and what scikit-learn asks of a transformer."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from aevb import VAE, VAEImputer
from aevb.errors import ConfigError
from conftest import SMALL

RNG = np.random.default_rng(0)
FULL = RNG.normal(size=(60, 1)) * [1.0, 2.0, -1.0, 0.5] + 0.1 * RNG.normal(size=(60, 4))
HOLES = RNG.random(FULL.shape) < 0.2
X = np.where(HOLES, np.nan, FULL)


@pytest.fixture(scope="module")
def imputer() -> VAEImputer:
    return VAEImputer(**SMALL).fit(X)


@pytest.mark.long
def test_scikit_learn_finds_nothing_wrong() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(
            VAEImputer(latent_dim=1, hidden=(), epochs=1, random_state=0),
            on_fail="raise",
            on_skip=None,
        )


def test_holes_are_filled_and_nothing_else_is_touched(imputer: VAEImputer) -> None:
    filled = imputer.transform(X)
    assert not np.isnan(filled).any()
    assert np.array_equal(filled[~HOLES], FULL[~HOLES])
    assert np.array_equal(filled, imputer.vae_.impute(X))


def test_it_knows_more_than_the_means(imputer: VAEImputer) -> None:
    some = HOLES & ~HOLES.all(axis=1, keepdims=True)
    error = np.abs(imputer.transform(X) - FULL)[some].mean()
    assert error < 0.5 * np.abs(np.nanmean(X, axis=0) - FULL)[some].mean()


def test_infinite_cells_are_filled_where_they_count_as_missing() -> None:
    cells = np.random.default_rng(0).normal(size=(40, 3))
    cells[3, 1] = np.inf
    imputer = VAEImputer(latent_dim=1, hidden=(), epochs=0, inf="missing", random_state=0)
    filled = imputer.fit_transform(cells)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled != cells, np.isinf(cells))


def test_it_takes_the_parameters_of_vae_and_no_others() -> None:
    own, theirs = VAEImputer().get_params(), VAE().get_params()
    assert own == {"vae": None, **theirs}
    with pytest.raises(TypeError, match="latnet_dim"):
        VAEImputer(latnet_dim=2)
    with pytest.raises(ConfigError, match="did you mean 'sgvb_b'"):
        VAEImputer(objective="sgvb-b").fit(X)


def test_a_fitted_vae_is_used_as_it_is(imputer: VAEImputer) -> None:
    vae = imputer.vae_
    over = VAEImputer(vae=vae).fit(X[:5])
    assert over.vae_ is vae
    assert np.array_equal(over.transform(X), imputer.transform(X))
    with pytest.raises(ValueError, match="features"):
        VAEImputer(vae=vae).fit(X[:, :2])


def test_a_vae_that_is_not_fitted_is_cloned(imputer: VAEImputer) -> None:
    vae = VAE(**SMALL)
    over = VAEImputer(vae=vae).fit(X)
    assert not hasattr(vae, "model_")
    assert np.array_equal(over.transform(X), imputer.transform(X))
    assert clone(VAEImputer(vae=vae)).set_params(vae__latent_dim=1).vae.latent_dim == 1


@pytest.mark.parametrize(
    "parameters", [{"vae": 3}, {"vae": "vae"}, {"vae": VAE(), "latent_dim": 2}]
)
def test_a_vae_that_is_none_or_is_told_twice_is_an_error(parameters: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        VAEImputer(**parameters).fit(X)


def test_frames_come_back_as_frames() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"), index=range(100, 160))
    filled = VAEImputer(**SMALL).fit_transform(frame)
    assert filled.columns.tolist() == list("abcd")
    assert filled.index.equals(frame.index)
    assert not filled.isna().any(axis=None)
    pandas = VAEImputer(**SMALL).set_output(transform="pandas").fit_transform(X)
    assert pandas.columns.tolist() == ["x0", "x1", "x2", "x3"]
    assert np.array_equal(pandas.to_numpy(), filled.to_numpy())


@pytest.mark.long
def test_before_a_regression_in_a_grid_search(imputer: VAEImputer) -> None:
    pipeline = make_pipeline(VAEImputer(**SMALL), LinearRegression())
    search = GridSearchCV(pipeline, {"vaeimputer__epochs": [0, 2]}, cv=2, error_score="raise").fit(
        X, FULL[:, 0]
    )
    assert search.score(X, FULL[:, 0]) > 0.8


def test_a_pickle_fills_the_same(imputer: VAEImputer) -> None:
    assert np.array_equal(pickle.loads(pickle.dumps(imputer)).transform(X), imputer.transform(X))
