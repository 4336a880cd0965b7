"""Laws of imputation and sampling, against the exact conditional of a linear-Gaussian model."""

from typing import Any

import numpy as np
import pytest

from aevb.predict import decoded, imputed, sampled
from conftest import Table

S, DRAWS = 500, 64


def conditional(exact: Any, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the missing cells given the observed ones."""
    covariance = exact.loadings @ exact.loadings.T + np.diag(exact.noise)
    o, m = ~np.isnan(row), np.isnan(row)
    gain = np.linalg.solve(covariance[np.ix_(o, o)], covariance[np.ix_(o, m)]).T
    mean = exact.mean[m] + gain @ (row[o] - exact.mean[o])
    return mean, covariance[np.ix_(m, m)] - gain @ covariance[np.ix_(o, m)]


def test_imputation_is_the_conditional_mean(loose_table: Table, exact: Any) -> None:
    """Also from a wrong q, which importance weights mend; in deviations of the cell."""
    filled = loose_table.schema.from_model_units(
        imputed(loose_table.model, loose_table.units, draws=None, samples=S, seed=0)[0]
    )
    errors = []
    for row, guess in zip(loose_table.values, filled, strict=True):
        if np.isnan(row).any():
            mean, covariance = conditional(exact, row)
            errors += list((guess[np.isnan(row)] - mean) / np.sqrt(np.diag(covariance)))
    assert len(errors) > 80
    assert abs(np.mean(errors)) < 0.02
    assert np.sqrt(np.mean(np.square(errors))) < 0.12


def test_draws_have_the_conditional_mean_and_covariance(loose_table: Table, exact: Any) -> None:
    draws = loose_table.schema.from_model_units(
        imputed(loose_table.model, loose_table.units, draws=DRAWS, samples=S, seed=1)
    )
    assert draws.shape == (DRAWS, *loose_table.values.shape)
    whitened = []
    for i, row in enumerate(loose_table.values):
        missing = np.isnan(row)
        if missing.any():
            mean, covariance = conditional(exact, row)
            factor = np.linalg.cholesky(covariance)
            whitened.append(np.linalg.solve(factor, (draws[:, i, missing] - mean).T))
    each = np.concatenate([w.ravel() for w in whitened])
    assert abs(each.mean()) < 0.05
    assert abs(each.var() - 1) < 0.06
    cross = np.concatenate([w[0] * w[1] for w in whitened if len(w) > 1])
    assert abs(cross.mean()) < 0.06


def test_imputation_is_the_same_in_any_company(mixed_table: Table) -> None:
    model, units = mixed_table.model, mixed_table.units[:40]
    whole = imputed(model, units, draws=3, samples=20, seed=0)
    assert np.array_equal(
        imputed(model, units[10:11], draws=3, samples=20, seed=0)[:, 0], whole[:, 10]
    )
    assert not np.array_equal(whole[0], whole[1])
    assert not np.array_equal(imputed(model, units, draws=3, samples=20, seed=1), whole)


def test_samples_have_the_moments_of_the_model(linear_table: Table, exact: Any) -> None:
    rows = linear_table.schema.from_model_units(sampled(linear_table.model, 4_000, seed=0))
    covariance = exact.loadings @ exact.loadings.T + np.diag(exact.noise)
    deviation = np.sqrt(np.diag(covariance))
    assert (np.abs(rows.mean(0) - exact.mean) < 4 * deviation / np.sqrt(4_000)).all()
    got = np.cov((rows / deviation).T)
    np.testing.assert_allclose(got, covariance / np.outer(deviation, deviation), atol=0.1)
    assert len(np.unique(rows, axis=0)) == 4_000


@pytest.mark.parametrize("n", [0, 1, 130])
def test_as_many_samples_as_asked(linear_table: Table, n: int) -> None:
    assert sampled(linear_table.model, n, seed=0).shape == (n, 5)


def test_decoding_codes_is_the_linear_map(linear_table: Table, exact: Any) -> None:
    z = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    values = linear_table.schema.from_model_units(decoded(linear_table.model, z))
    np.testing.assert_allclose(values, exact.mean + z @ exact.loadings.T, rtol=1e-3)
    assert np.array_equal(
        decoded(linear_table.model, z, means=True), decoded(linear_table.model, z)
    )


def test_means_of_binary_columns_are_probabilities(mixed_table: Table) -> None:
    z = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    place = mixed_table.schema.names.index("flag")
    points, means = (
        decoded(mixed_table.model, z, means=means)[:, place] for means in (False, True)
    )
    assert np.isin(points, (0, 1)).all()
    assert ((means > 0) & (means < 1)).all()
    assert np.array_equal(points, means >= 0.5)
