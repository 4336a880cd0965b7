"""Laws of factor analysis and probabilistic PCA: closed forms, peers, marginals, EM."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA, FactorAnalysis

from aevb import linear
from aevb.linear import LinearModel, fit


def linear_data(rows, features, factors, seed=0):
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(features, factors))
    noise = rng.uniform(0.2, 0.8, size=features)
    return (
        rng.normal(size=(rows, factors)) @ loadings.T
        + rng.normal(size=(rows, features)) * np.sqrt(noise)
        + 1.0
    )


def with_holes(x, fraction, seed=1):
    return np.where(np.random.default_rng(seed).random(x.shape) < fraction, np.nan, x)


def covariance(model):
    return model.loadings @ model.loadings.T + np.diag(model.noise)


@pytest.fixture
def model():
    return fit(linear_data(300, 6, 2), 2)


@pytest.fixture
def holed():
    return with_holes(linear_data(40, 6, 2, seed=3), 0.4)


def test_log_likelihood_is_the_gaussian_of_the_observed_cells(model, holed):
    sigma = covariance(model)
    for row, value in zip(holed, model.log_likelihood(holed), strict=True):
        seen = ~np.isnan(row)
        expected = (
            multivariate_normal(model.mean[seen], sigma[np.ix_(seen, seen)]).logpdf(row[seen])
            if seen.any()
            else 0
        )
        assert value == pytest.approx(expected, abs=1e-10)


def test_posterior_and_filled_are_the_gaussian_conditionals(model, holed):
    sigma = covariance(model)
    means, filled = model.posterior(holed), model.filled(holed)
    for row, mean, full in zip(holed, means, filled, strict=True):
        seen = ~np.isnan(row)
        gain = np.linalg.solve(sigma[np.ix_(seen, seen)], row[seen] - model.mean[seen])
        np.testing.assert_allclose(mean, model.loadings[seen].T @ gain, atol=1e-10)
        np.testing.assert_allclose(
            full[~seen], (model.mean + sigma[:, seen] @ gain)[~seen], atol=1e-10
        )
        np.testing.assert_array_equal(full[seen], row[seen])


def test_the_filled_row_has_the_posterior_mean_of_its_observed_cells(model, holed):
    np.testing.assert_allclose(
        model.posterior(model.filled(holed)), model.posterior(holed), atol=1e-10
    )


def test_a_row_without_cells_is_the_prior(model):
    empty = np.full((1, 6), np.nan)
    assert model.log_likelihood(empty) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(model.posterior(empty), 0.0, atol=1e-12)
    np.testing.assert_allclose(model.filled(empty)[0], model.mean)


@pytest.mark.parametrize(("rows", "features", "factors"), [(200, 10, 3), (400, 30, 8)])
def test_factor_analysis_matches_scikit_learn(rows, features, factors):
    x = linear_data(rows, features, factors)
    peer = FactorAnalysis(factors, svd_method="lapack", tol=1e-8, max_iter=20_000).fit(x)
    model = fit(x, factors)
    assert model.log_likelihood(x).mean() == pytest.approx(peer.score(x), abs=1e-4)
    np.testing.assert_allclose(covariance(model), peer.get_covariance(), atol=1e-2)


def test_ppca_matches_scikit_learn():
    x = linear_data(200, 10, 3)
    model = fit(x, 3, isotropic=True)
    bessel = np.sqrt(200 / 199)  # scikit-learn divides by n - 1
    model = LinearModel(model.mean, model.loadings * bessel, model.noise * bessel**2)
    np.testing.assert_allclose(model.log_likelihood(x), PCA(3).fit(x).score_samples(x), atol=1e-6)


@pytest.mark.parametrize("isotropic", [False, True])
def test_em_and_the_complete_data_fit_have_the_same_optimum(isotropic):
    x = linear_data(300, 8, 2)
    best = fit(x, 2, isotropic=isotropic)
    start = LinearModel(np.zeros(8), np.random.default_rng(0).normal(size=(8, 2)), np.ones(8))
    options = linear._Settings(np.full(8, 1e-6), isotropic, 2000, 1e-12)
    reached = linear._fit_incomplete(start, x, np.ones(300), options)
    np.testing.assert_allclose(covariance(reached), covariance(best), atol=1e-3)
    assert reached.log_likelihood(x).mean() == pytest.approx(
        best.log_likelihood(x).mean(), abs=1e-6
    )


@pytest.mark.parametrize("isotropic", [False, True])
def test_em_never_lowers_the_likelihood(isotropic):
    x = with_holes(linear_data(100, 7, 2), 0.4)
    model = LinearModel(np.zeros(7), np.random.default_rng(0).normal(size=(7, 2)), np.ones(7))
    options = linear._Settings(np.full(7, 1e-6), isotropic, 1, 0.0)
    order = np.lexsort(np.packbits(~np.isnan(x), axis=1).T[::-1])
    blocks = linear._blocks(x[order], 2, np.ones(100))
    trace = []
    for _ in range(40):
        model, value = linear._em_step(model, blocks, options)
        trace.append(value)
    assert np.diff(trace).min() > -1e-9
    assert trace[-1] > trace[0] + 1


def test_missing_at_random_recovers_the_distribution():
    x = linear_data(4000, 6, 2)
    model = fit(with_holes(x, 0.3), 2)
    complete = fit(x, 2)
    np.testing.assert_allclose(covariance(model), covariance(complete), atol=0.15)
    np.testing.assert_allclose(model.mean, complete.mean, atol=0.06)


@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_a_weight_of_two_is_a_row_twice(holes):
    x = with_holes(linear_data(80, 5, 2, seed=3), holes)
    weights = np.random.default_rng(2).integers(0, 3, size=80)
    weighted, repeated = fit(x, 2, weights=weights), fit(np.repeat(x, weights, axis=0), 2)
    np.testing.assert_allclose(weighted.log_likelihood(x), repeated.log_likelihood(x), atol=1e-7)


@pytest.mark.parametrize("seed", [2, 4, 7])
def test_where_a_noise_goes_to_zero_weights_and_repeats_reach_the_same_maximum(seed):
    """The likelihood is flat there: where a fit stops hangs on the last bits, how high it is does
    not.
    """
    x = linear_data(80, 5, 2, seed)
    weights = np.random.default_rng(2).integers(0, 3, size=80)
    weighted, repeated = fit(x, 2, weights=weights), fit(np.repeat(x, weights, axis=0), 2)
    assert weighted.noise.min() < 1e-5
    reached = [weights @ model.log_likelihood(x) / weights.sum() for model in (weighted, repeated)]
    assert reached[0] == pytest.approx(reached[1], abs=5e-7)  # 1e-7 a feature


@pytest.mark.parametrize("isotropic", [False, True])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_factors_are_in_canonical_order(isotropic, holes):
    model = fit(with_holes(linear_data(200, 8, 3), holes), 3, isotropic=isotropic)
    gram = model.loadings.T @ (model.loadings / model.noise[:, None])
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-8 * gram.max())
    assert np.all(np.diff(np.diag(gram)) <= 0)
    assert np.all(model.loadings[np.abs(model.loadings).argmax(axis=0), range(3)] > 0)


def test_no_order_of_rows_changes_the_fit():
    x = with_holes(linear_data(100, 5, 2), 0.3)
    there, back = fit(x, 2), fit(x[::-1], 2)
    np.testing.assert_allclose(there.loadings, back.loadings, atol=1e-6)


@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_a_shift_moves_only_the_mean(holes):
    x = with_holes(linear_data(100, 5, 2), holes)
    there, back = fit(x + 1e4, 2), fit(x, 2)
    np.testing.assert_allclose(there.loadings, back.loadings, atol=1e-5)
    np.testing.assert_allclose(there.mean - 1e4, back.mean, atol=1e-6)


def test_noise_keeps_to_each_features_floor():
    floor = np.array([0.5, 2.0, 1e-6, 0.1])
    x = linear_data(100, 4, 2)
    for cells in (x, with_holes(x, 0.2)):
        assert np.all(fit(cells, 2, noise_floor=floor).noise >= floor * (1 - 1e-12))


def test_more_features_than_dense_algebra_likes(monkeypatch):
    x = linear_data(120, 20, 2)
    dense = fit(x, 2)
    monkeypatch.setattr(linear, "DENSE_FEATURES", 10)
    np.testing.assert_allclose(
        fit(x, 2).log_likelihood(x).mean(), dense.log_likelihood(x).mean(), atol=1e-3
    )


def test_blocks_of_rows_change_nothing(model, holed, monkeypatch):
    whole = fit(holed, 2)
    values = model.log_likelihood(holed)
    monkeypatch.setattr(linear, "BLOCK_CELLS", 9 * 7)
    np.testing.assert_allclose(model.log_likelihood(holed), values, atol=1e-12)
    np.testing.assert_allclose(fit(holed, 2).loadings, whole.loadings, atol=1e-8)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 12),
    features=st.integers(1, 8),
    latent_dim=st.integers(0, 10),
    isotropic=st.booleans(),
    holes=st.sampled_from([0.0, 0.3, 0.9]),
    constant=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_shape_gives_finite_results(
    *, rows, features, latent_dim, isotropic, holes, constant, seed
):
    x = np.random.default_rng(seed).normal(size=(rows, features))
    if constant:
        x[:, 0] = 3.0
    x = with_holes(x, holes, seed)
    model = fit(x, latent_dim, isotropic=isotropic, max_iterations=50)
    assert model.loadings.shape == (features, latent_dim)
    for result in (
        model.mean,
        model.loadings,
        model.log_likelihood(x),
        model.posterior(x),
        model.filled(x),
    ):
        assert np.isfinite(result).all()
    assert np.all(model.noise >= 1e-6)
