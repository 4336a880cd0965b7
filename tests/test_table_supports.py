"""The support of a column: its ends, its steps and the values with a mass of their own."""

import numpy as np
import pytest

from aevb.table.marginals import learn
from aevb.table.supports import support_of

GENERATOR = np.random.default_rng(0)


def support(values):
    return support_of(*np.unique(values, return_counts=True))


@pytest.mark.parametrize(
    ("values", "lower", "upper"),
    [
        (GENERATOR.normal(size=500), None, None),
        (GENERATOR.lognormal(size=500), 0.0, None),
        (GENERATOR.integers(1, 32, 1_500), 1.0, 31.0),
        (GENERATOR.poisson(2, 600), 0.0, None),
        (GENERATOR.integers(1, 6, 100), 1.0, 5.0),
        (GENERATOR.gamma(2, 25, 1_500).round().clip(0, 72) + 18, 0.0, 90.0),
        (np.minimum(GENERATOR.lognormal(10, 1, 2_000), 80_000.0), 0.0, 80_000.0),
        (GENERATOR.beta(0.5, 0.5, 500), 0.0, 1.0),
        (100 * GENERATOR.beta(2, 2, 2_000), 0.0, 100.0),
        (GENERATOR.normal(170, 8, 5_000).round(), 0.0, None),
        (np.append(GENERATOR.exponential(10, 500).clip(0, 80), 95.5), 0.0, None),
        (np.round(20 * GENERATOR.beta(8, 2, 9_000)) * 5, 0.0, 100.0),
        (np.clip(np.round(7 + 2 * GENERATOR.normal(size=9_000)) / 2, 1, 6), 1.0, 6.0),
        (GENERATOR.poisson(0.5, 3_000), 0.0, None),
        (np.round(3 * GENERATOR.normal(size=9_000)) * 0.5, None, None),
    ],
)
def test_ends(values, lower, upper):
    found = support(values)
    assert (found.lower, found.upper) == (lower, upper)


@pytest.mark.parametrize("step", [1.0, 5.0, 100.0, 0.01, 0.05, 0.5])
def test_steps(step):
    found = support(np.round(step * GENERATOR.integers(0, 10_000, 300), 6))
    assert found.step == step
    assert found.whole == (step >= 1)


def test_floats_have_no_step_and_few_rows_no_large_one():
    assert support(GENERATOR.normal(size=100)).step == 0
    assert support(np.array([10.0, 20.0, 40.0])).step == 1


def test_atoms():
    gains = np.abs(GENERATOR.normal(size=400))
    gains[::20] = 0.0  # one in twenty
    assert support(gains).atoms == (0.0,)
    assert support(GENERATOR.normal(size=400)).atoms == ()
    assert support(np.repeat(2.5, 30)).atoms == (2.5,)
    assert support(GENERATOR.poisson(1, 400)).atoms == ()  # whole numbers are masses anyway


def test_heaped_decimals_are_a_grid_of_probabilities():
    prices = np.floor(GENERATOR.lognormal(2.5, 0.7, 4_000)) + 0.99
    found = support(prices)
    assert found.resolution == found.step == 0.01
    assert support(np.round(GENERATOR.normal(size=4_000), 3)).resolution == 0  # none stands out
    gains = np.where(GENERATOR.random(400) < 0.2, 0, GENERATOR.exponential(size=400))
    assert support(gains).resolution == 0  # numbers of many decimals lie on no grid


def test_few_rows_end_where_they_pile_up_and_not_where_they_fall():
    """Of small tables of counts, one in 25 or less has an end that its tail goes beyond."""
    ends = 0
    for seed in range(200):
        found = support(np.random.default_rng(seed).poisson(1.0, 50))
        ends += found.upper is not None
    assert ends <= 8


def test_prices_of_few_rows_keep_their_endings():
    chance = np.random.default_rng(0)
    ends = np.where(chance.random(400) < 0.85, 0.99, chance.integers(0, 99, 400) / 100)
    prices = np.round(np.floor(chance.lognormal(2.7, 0.6, 400)) + ends, 2)
    found = support(prices)
    assert found.resolution == 0.01
    marginal = learn(prices, lower=0.0, step=0.01)
    assert marginal is not None
    drawn = marginal.from_units(chance.normal(size=4_000))
    assert np.isclose(drawn % 1, 0.99).mean() > 0.6
