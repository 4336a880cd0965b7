"""Laws of the Gaussian baselines as data: scikit-learn's densities, and scores in the units of the
data.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.mixture import GaussianMixture

from aevb.baselines import FactorAnalysis, Mixture
from aevb.baselines.gaussian import StandardUnits
from aevb.linear import LinearModel
from aevb.table.schema import Column, Schema

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(80, 3)) @ RNG.normal(size=(3, 3))
ONE = LinearModel(np.array([0.3]), np.zeros((1, 1)), np.array([0.7]))


def units_of(width: int) -> StandardUnits:
    columns = tuple(Column(f"x{i}", "continuous") for i in range(width))
    return StandardUnits(columns, np.zeros(width), np.ones(width))


def linear(model: LinearModel, ratio: np.ndarray, units: StandardUnits) -> FactorAnalysis:
    return FactorAnalysis({}, units, model.mean, model.loadings, model.noise, ratio)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_a_mixture_is_scikit_learns(covariance: str) -> None:
    fitted = GaussianMixture(3, covariance_type=covariance, random_state=0).fit(ROWS)
    arrays = (fitted.weights_, fitted.means_, fitted.precisions_cholesky_)
    mixture = Mixture({}, units_of(3), *arrays)
    np.testing.assert_allclose(mixture.log_density(ROWS), fitted.score_samples(ROWS), rtol=1e-10)


def test_a_ratio_is_a_change_of_units() -> None:
    model = LinearModel(np.zeros(3), RNG.normal(size=(3, 1)), np.ones(3))
    ratio = np.array([0.5, 2.0, 3.0])
    expected = stats.multivariate_normal(
        np.zeros(3), model.loadings @ model.loadings.T + np.eye(3)
    ).logpdf(ROWS * ratio)
    scores = linear(model, ratio, units_of(3)).log_density(ROWS)
    np.testing.assert_allclose(scores, expected + np.log(ratio).sum(), rtol=1e-10)


@pytest.mark.parametrize("kind", ["continuous", "positive"])
def test_a_density_integrates_to_one_in_the_units_of_the_data(kind: str) -> None:
    values = np.exp(RNG.normal(1.0, 0.4, (200, 1)))
    units = StandardUnits.of(Schema((Column("x", kind),)), values)
    density = linear(ONE, np.ones(1), units)
    low = 1e-6 if kind == "positive" else -30.0

    def p(x: float) -> float:
        return float(np.exp(density.score_samples(np.array([[x]]))[0]))

    assert integrate.quad(p, low, 60, points=[1.0, 3.0], limit=200)[0] == pytest.approx(
        1.0, abs=1e-4
    )


def test_a_mass_is_hardly_ever_above_the_exact_one() -> None:
    """E_u log p(x + u) + log h <= log P(x), and close to it where p hardly bends over a step."""
    column = Column("x", "continuous", resolution=1.0, grid=1.0)
    values = np.round(RNG.normal(50, 12, (400, 1)))
    units = StandardUnits.of(Schema((column,)), values)
    mass = linear(replace(ONE, mean=np.zeros(1), noise=np.ones(1)), np.ones(1), units)
    x = np.arange(0.0, 101.0)[:, None]
    exact = np.diff(
        stats.norm(units.location[0], units.scale[0]).cdf(np.append(x[:, 0], 101.0) - 0.5)
    )
    scores = np.mean([mass.score_samples(x, seed=seed) for seed in range(50)], axis=0)
    assert (scores < np.log(exact) + 0.02).all()
    np.testing.assert_allclose(scores, np.log(exact), atol=0.05)
    assert mass.settings["draws"] == 8
