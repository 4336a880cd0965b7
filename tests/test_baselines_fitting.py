"""Laws of the baselines: the peers' numbers, one event for all, nothing scored where it does not
apply.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA, FactorAnalysis

from aevb import baselines
from aevb.baselines import BASELINES, LatentClassBaseline, Mixture
from aevb.baselines.linear import Linear
from aevb.table.schema import Column, Schema

ALL = ["independent marginals", "PPCA", "factor analysis", "Gaussian mixture", "latent classes"]
GAUSSIAN = ["PPCA", "factor analysis", "Gaussian mixture"]


def linear_data(rows=400, features=5, factors=2, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0.3, 1.5, size=features)
    loadings = rng.normal(size=(features, factors))
    return rng.normal(size=(rows, factors)) @ loadings.T + noise * rng.normal(size=(rows, features))


def columns(features, kind="continuous", **options):
    return Schema(tuple(Column(f"x{i}", kind, **options) for i in range(features)))


def fit_baselines(train, validation, schema, **options):
    """In units of the training rows, as a fit has them."""
    return baselines.fit_baselines(train, validation, schema.scaled(train), **options)


@pytest.fixture(scope="module", autouse=True)
def short_grids():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mixture, "ridges", (1e-2, 1e-4))
        patch.setattr(Mixture, "components", (1, 2, 4))
        patch.setattr(LatentClassBaseline, "classes", (1, 2, 4))
        yield


@pytest.fixture(scope="module")
def x():
    return linear_data()


@pytest.fixture(scope="module")
def fitted(x):
    return fit_baselines(x[:250], x[250:320], columns(5), seed=0)


def test_every_baseline_applies_to_complete_densities(fitted):
    models, reasons = fitted
    assert list(models) == list(BASELINES) == ALL
    assert reasons == {}


def test_settings_are_plain(fitted):
    for model in fitted[0].values():
        assert json.loads(json.dumps(model.settings)) == model.settings


def test_factor_analysis_is_scikit_learns(x, fitted):
    model = fitted[0]["factor analysis"]
    peer = FactorAnalysis(
        model.settings["factors"], svd_method="lapack", tol=1e-8, max_iter=20_000
    ).fit(x[:250])
    np.testing.assert_allclose(model.score_samples(x[320:]).mean(), peer.score(x[320:]), atol=1e-3)


def test_ppca_in_the_datas_units_is_scikit_learns(x, monkeypatch):
    monkeypatch.setattr(Linear, "factors", (2,))
    x = x / x[:250].std(axis=0)
    model = fit_baselines(x[:250], x[250:320], columns(5))[0]["PPCA"]
    peer = PCA(2).fit(x[:250])
    np.testing.assert_allclose(model.score_samples(x[320:]).mean(), peer.score(x[320:]), atol=0.02)


def test_linear_data_prefer_linear_models(x, fitted):
    scores = {name: model.score_samples(x[320:]).mean() for name, model in fitted[0].items()}
    assert scores["factor analysis"] > scores["independent marginals"] + 0.5
    assert scores["factor analysis"] > scores["latent classes"]


def test_a_mixture_is_found(monkeypatch):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 600)
    x = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])[label] + rng.normal(size=(600, 2)) @ [
        [1.0, 0.9],
        [0.0, 0.4],
    ]
    models, _ = fit_baselines(x[:400], x[400:500], columns(2))
    truth = [
        multivariate_normal(m, np.array([[1.0, 0.9], [0.9, 0.97]]))
        for m in ([0, 0], [8, 0], [0, 8])
    ]
    exact = np.log(np.mean([t.pdf(x[500:]) for t in truth], axis=0)).mean()
    mixture = models["Gaussian mixture"]
    assert mixture.settings["covariance"] == "full"
    assert mixture.settings["components"] >= 3
    assert mixture.score_samples(x[500:]).mean() == pytest.approx(exact, abs=0.15)


def test_a_change_of_units_shifts_every_baseline_by_the_same_constant(x, fitted):
    units = np.array([1e3, 1e-3, 1.0, 10.0, 0.5])
    scaled, _ = fit_baselines(x[:250] * units, x[250:320] * units, columns(5), seed=0)
    for name in ("independent marginals", "factor analysis", "Gaussian mixture"):
        difference = fitted[0][name].score_samples(x[320:]) - scaled[name].score_samples(
            x[320:] * units
        )
        np.testing.assert_allclose(difference, np.log(units).sum(), atol=1e-2)


def test_discrete_columns_are_scored_as_masses():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 1))
    x = (50 + 6 * z @ [[1.0, -1.0, 0.5]] + 3 * rng.normal(size=(600, 3))).round()
    schema = columns(3, resolution=1.0, grid=1.0)
    models, reasons = fit_baselines(x[:400], x[400:500], schema)
    assert reasons == {}
    assert "lower bound" in models["PPCA"].settings["dequantized"]
    # a tenth of the step, a tenth of the units: the mass is the same
    tenth = Schema(tuple(replace(column, resolution=0.1, grid=0.1) for column in schema.columns))
    scaled, _ = fit_baselines(x[:400] / 10, x[400:500] / 10, tenth)
    rows = x[500:]
    for name in ("PPCA", "factor analysis", "Gaussian mixture"):
        scores = models[name].score_samples(rows)
        assert scores.max() < 0
        np.testing.assert_allclose(
            scores.mean(), scaled[name].score_samples(rows / 10).mean(), atol=1e-3
        )
    assert (
        models["factor analysis"].score_samples(rows).mean()
        > models["independent marginals"].score_samples(rows).mean()
    )


def test_the_dequantized_score_is_below_the_mass():
    x = np.random.default_rng(0).normal(20, 2, size=(500, 1)).round()
    models, _ = fit_baselines(x[:400], x[400:], columns(1, resolution=1.0))
    grid = np.arange(0.0, 41.0)[:, None]
    for name in ("PPCA", "factor analysis"):
        assert np.exp(models[name].score_samples(grid)).sum() <= 1.0 + 1e-2
    assert np.exp(models["independent marginals"].score_samples(grid)).sum() == pytest.approx(
        1.0, abs=1e-6
    )


def test_positive_columns_are_modeled_in_logs():
    x = np.exp(linear_data(features=3))
    models, _ = fit_baselines(x[:300], x[300:350], columns(3, "positive"))
    logs, _ = fit_baselines(np.log(x[:300]), np.log(x[300:350]), columns(3))
    for name in ("factor analysis", "independent marginals"):
        expected = logs[name].score_samples(np.log(x[350:])) - np.log(x[350:]).sum(axis=1)
        np.testing.assert_allclose(models[name].score_samples(x[350:]), expected, atol=1e-6)
    assert models["PPCA"].settings["logarithm_of"] == ["x0", "x1", "x2"]


def test_missing_cells_are_marginalized(x):
    holed = np.where(np.random.default_rng(1).random(x.shape) < 0.2, np.nan, x)
    models, reasons = fit_baselines(holed[:250], holed[250:320], columns(5))
    assert list(reasons) == ["Gaussian mixture"]
    assert "missing" in reasons["Gaussian mixture"]
    for model in models.values():
        assert np.isfinite(model.score_samples(holed[320:])).all()
        np.testing.assert_allclose(model.score_samples(np.full((2, 5), np.nan)), 0.0, atol=1e-10)


@pytest.mark.parametrize(
    ("column", "named"),
    [
        (Column("zip", "categorical", categories=("a", "b")), "zip (categorical)"),
        (Column("gain", atoms=(0.0,), kind="continuous"), "gain (atoms)"),
    ],
)
def test_gaussians_do_not_apply_to_levels_and_atoms(x, column, named):
    values = np.column_stack([x[:, :2], np.random.default_rng(0).integers(0, 2, len(x))])
    models, reasons = fit_baselines(
        values[:250], values[250:320], Schema((*columns(2).columns, column))
    )
    assert list(models) == ["independent marginals", "latent classes"]
    assert list(reasons) == GAUSSIAN
    assert all(named in reason for reason in reasons.values())


def test_discrete_columns_with_atoms_keep_the_gaussians():
    x = np.random.default_rng(0).poisson(5, size=(200, 2)).astype(float)
    models, _ = fit_baselines(x[:120], x[120:160], columns(2, resolution=1.0, atoms=(5.0,)))
    assert list(models) == ALL


def test_the_same_seed_gives_the_same_scores(x):
    schema = columns(5, resolution=1.0)
    first, second = (
        fit_baselines(x[:250].round(), x[250:320].round(), schema, seed=4)[0] for _ in range(2)
    )
    for name in first:
        np.testing.assert_array_equal(
            first[name].score_samples(x.round(), 1), second[name].score_samples(x.round(), 1)
        )


def test_the_vaes_own_number_of_factors_is_tried(x, monkeypatch):
    monkeypatch.setattr(Linear, "factors", ())
    models, _ = fit_baselines(x[:250], x[250:320], columns(5), latent_dim=3)
    assert models["PPCA"].settings["factors"] == 3


@pytest.mark.parametrize(
    "values", [np.ones((20, 3)), np.zeros((3, 3)), np.array([[1e308, -1e308, 1e-308]] * 5)]
)
def test_degenerate_tables_give_finite_scores(values):
    models, _ = fit_baselines(values, values[:2], columns(3))
    for model in models.values():
        assert np.isfinite(model.score_samples(values)).all()


def test_no_validation_rows_are_needed(x):
    models, _ = fit_baselines(x[:100], x[:0], columns(5))
    assert list(models) == ALL
