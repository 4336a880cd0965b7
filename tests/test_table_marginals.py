"""Maps of columns to standard normal units are distributions, monotone, and fit held-out values."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from aevb.table.marginals import Marginal, learn

SHAPES = {
    "normal": (lambda r, n: r.normal(20, 5, n), {}),
    "money": (lambda r, n: np.round(r.lognormal(7, 1, n), 2), {"lower": 0.0, "grid": 0.01}),
    "shares": (lambda r, n: r.beta(0.5, 0.5, n), {"lower": 0.0, "upper": 1.0}),
    "below a cap": (lambda r, n: 10 - r.gamma(2, 1, n), {"upper": 10.0}),
    "two groups": (lambda r, n: r.normal(np.where(r.random(n) < 0.5, -4, 4), 1), {}),
    "counts": (lambda r, n: r.poisson(3, n), {"lower": 0.0, "step": 1.0}),
    "days": (lambda r, n: r.integers(1, 32, n), {"lower": 1.0, "upper": 31.0, "step": 1.0}),
    "fives": (lambda r, n: 5 * r.poisson(40, n), {"lower": 0.0, "step": 5.0}),
    "gains": (lambda r, n: np.where(r.random(n) < 0.9, 0, r.choice([594, 2174, 7298, 15024], n)),
              {"lower": 0.0, "step": 1.0}),
    "below zero": (lambda r, n: np.round(r.normal(0, 400, n)), {"step": 1.0}),
}  # fmt: skip


def drawn(name, rows=2_000, seed=0):
    draw, support = SHAPES[name]
    return np.asarray(draw(np.random.default_rng(seed), rows), dtype=float), support


@pytest.mark.parametrize("name", SHAPES)
def test_units_of_training_values_are_standard_normal_and_come_back(name):
    values, support = drawn(name)
    marginal = learn(values, **support)
    units = marginal.to_units(values)
    assert np.allclose(marginal.from_units(units), values, rtol=1e-9, atol=1e-9)
    order = np.argsort(values)
    assert (np.diff(units[order]) >= 0).all()
    if not support.get("step"):
        assert stats.kstest(units, "norm").statistic < 0.03
    assert np.isnan(marginal.to_units(np.array([np.nan]))).all()


@pytest.mark.parametrize("name", SHAPES)
def test_draws_have_the_distribution_of_the_values_and_stay_within_the_support(name):
    values, support = drawn(name, 10_000)
    marginal = learn(values, **support)
    draws = marginal.from_units(np.random.default_rng(1).normal(size=20_000))
    points = np.unique(values)
    below = [np.searchsorted(np.sort(some), points, side="right") / len(some)
             for some in (values, draws)]  # fmt: skip
    assert np.abs(below[0] - below[1]).max() < 0.02
    assert draws.min() >= support.get("lower", -np.inf)
    assert draws.max() <= support.get("upper", np.inf)
    if step := support.get("step"):
        assert np.allclose(draws / step, np.rint(draws / step))


@pytest.mark.parametrize(
    ("name", "rival"),
    [
        ("normal", stats.norm(20, 5).logpdf),
        ("shares", stats.beta(0.5, 0.5).logpdf),
        ("counts", stats.poisson(3).logpmf),
        ("fives", lambda x: stats.poisson(40).logpmf(x / 5)),
    ],
)
def test_held_out_nats_come_close_to_those_of_the_truth(name, rival):
    values, support = drawn(name)
    fresh, _ = drawn(name, 4_000, seed=1)
    assert nats(learn(values, **support), fresh).mean() > rival(fresh).mean() - 0.03


def nats(marginal, values):
    """log p of each value under the map itself, from distribution functions of the normal."""
    half = marginal.step / 2
    if not marginal.step:
        units = marginal.to_units(values)
        return stats.norm.logpdf(units) + np.log(marginal.slope_at(values))
    ends = np.interp([values - half, values + half], marginal.edges, marginal.heights)
    return np.log(stats.norm.cdf(ends[1]) - stats.norm.cdf(ends[0]))


def test_a_wild_number_is_improbable_and_not_impossible():
    values, support = drawn("money")
    marginal = learn(values, **support)
    far = marginal.to_units(values.max() * np.array([2.0, 10.0, 1e6]))
    assert np.isfinite(far).all()
    assert (np.diff([marginal.to_units(values).max(), *far]) > 0).all()


def test_too_few_or_too_far_values_have_no_map():
    assert learn(np.arange(10.0)) is None
    assert learn(np.repeat(3.0, 100)) is None
    assert learn(np.linspace(-1e300, 1e300, 100)) is None
    assert learn(1e12 + 1e-3 * np.random.default_rng(0).normal(size=100)) is None


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.lists(st.integers(-50, 400), min_size=25, max_size=80, unique=False),
    st.integers(-10, 10),
)
def test_the_map_does_not_depend_on_the_order_or_the_unit(numbers, power):
    values = np.array(numbers, dtype=float)
    if len(np.unique(values)) < 5:
        return
    marginal = learn(values)
    units = marginal.to_units(values)
    assert np.array_equal(learn(values[::-1]).to_units(values), units)
    # Powers of two are exact: a value on the edge of a bin stays on its side.
    scaled = 2.0**power * values
    assert np.allclose(learn(scaled).to_units(scaled), units, atol=1e-6)


def test_nonsense_is_refused():
    for edges, heights in (
        ([0, 0], [0, 1]),
        ([0, 1], [1, 1]),
        ([0, 1], [0]),
        ([0, np.inf], [0, 1]),
    ):
        with pytest.raises(ValueError, match="map"):
            Marginal(tuple(edges), tuple(heights))


def test_wild_numbers_cost_tens_of_nats_and_not_thousands() -> None:
    """The tails are no lighter than exponential; the mean of what is drawn stays where it is."""
    numbers = np.random.default_rng(0).normal(40, 10, 400)
    for values in (numbers, numbers.round(), np.exp(numbers / 10)):
        step = float(values[0] == np.rint(values[0]))
        marginal = learn(values, step=step)
        assert marginal is not None
        far = values.max() + 30 * values.std()
        for wild in (far, 1e6, -1e6):
            assert 4 < abs(marginal.to_units(np.array([wild]))[0]) < 30
        drawn = marginal.from_units(np.random.default_rng(1).normal(size=100_000))
        assert abs(drawn.mean() - values.mean()) < 0.3 * values.std()
