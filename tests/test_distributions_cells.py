"""Laws of the distributions that NumPyro lacks: mass one, draws that follow it, no cancellation, no
overflow.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import special, stats

from aevb.distributions import cells as distributions
from aevb.distributions.cells import (
    Atoms,
    Bernoulli,
    ContinuousBernoulli,
    CumulativeLogistic,
    DiscretizedLogistic,
    MappedNormal,
    Poisson,
    log_logistic_interval,
    log_normal_interval,
    unit_of,
)
from aevb.likelihoods.mapped import bins_of
from aevb.table.marginals import Marginal, learn

FINE = (np.arange(20_000, dtype=np.float32) + 0.5) / 20_000
LINE = 40 * (FINE - 0.5)
NAN = np.nan

#: Maps whose bins are single cells of a grid, one of them heavy, and runs of cells.
ON_A_GRID = Marginal(
    edges=(-0.5, 0.5, 2.5, 3.5, 9.5, 10.5), heights=(-40.0, -1.0, 0.2, 0.9, 2.5, 40.0), step=1.0
)
#: Maps of densities, with an end and without, of another number of bins.
SMOOTH = (
    Marginal(edges=(0.0, 1.0, 3.0, 10.0, 99.0), heights=(-40.0, -1.2, 0.0, 1.8, 12.0)),
    Marginal(edges=(-5.0, 0.0, 5.0), heights=(-3.6, -0.6, 2.4)),
)


@cache
def examples() -> dict[str, tuple[dist.Distribution, np.ndarray, np.ndarray]]:
    """By the name of the class (first word) a distribution, points of its support and their
    measure.
    """
    normal = dist.Normal(jnp.array([0.3, 0.3]), jnp.array([1.0, 2.0]))
    whole = DiscretizedLogistic(jnp.array([3.0, 3.3]), jnp.array([2.0, 0.3]), 1.0)
    atoms, logits = (
        jnp.array([[2.0, 5.0], [7.0, NAN]]),
        jnp.array([[0.3, 0.0, -1.0], [0.5, 0.2, 9.0]]),
    )
    both = np.concatenate([LINE, [2.0, 5.0, 7.0]])[:, None] * np.ones(2)
    # A point counts as an atom only in the column that has it: the other has density there, of no
    # measure.
    measure = np.concatenate([np.full((20_000, 2), 40 / 20_000), [[1, 0], [1, 0], [0, 1]]])
    integers, levels = np.arange(-150.0, 151.0), np.arange(5.0)
    cuts = jnp.array([[-1.0, 0.2, 1.0, 3.0], [-0.5, 0.1, jnp.inf, jnp.inf]])
    return {
        "DiscretizedLogistic": (whole, integers, np.ones(301)),
        "DiscretizedLogistic between ends": (
            DiscretizedLogistic(
                jnp.array([0.2, 9.0]), jnp.array([2.0, 0.01]), 0.5, -1.0, 2.0, -1.0
            ),
            np.arange(-1.0, 2.01, 0.5),
            np.ones(7),
        ),
        "DiscretizedLogistic below an end": (
            DiscretizedLogistic(jnp.array([1.0, -3.0]), jnp.array([2.0, 0.5]), 1.0, -jnp.inf, 2.0),
            np.arange(-150.0, 2.1),
            np.ones(153),
        ),
        "CumulativeLogistic": (
            CumulativeLogistic(jnp.array([0.4, -2.0]), jnp.array([1.5, 0.2]), cuts),
            levels,
            None,
        ),
        "ContinuousBernoulli": (
            ContinuousBernoulli(jnp.array([2.0, -9.0])),
            FINE,
            np.full(20_000, 1 / 20_000),
        ),
        "ContinuousBernoulli near 0": (
            ContinuousBernoulli(jnp.array([0.0, 9e-3])),
            FINE,
            np.full(20_000, 1 / 20_000),
        ),
        "Bernoulli": (Bernoulli(jnp.array([0.3, -9.0])), np.arange(2.0), np.ones(2)),
        "Poisson": (Poisson(jnp.array([3.0, 60.0])), np.arange(200.0), np.ones(200)),
        "Atoms": (Atoms(normal, atoms, logits), both, measure),
        "Atoms on a grid": (Atoms(whole, atoms, logits, on_grid=True), integers, np.ones(301)),
        "MappedNormal": smooth_map(),
        "MappedNormal on a grid": map_on_a_grid(),
    }


def smooth_map() -> tuple[MappedNormal, np.ndarray, np.ndarray]:
    """Points in u, measured by what they are wide in the units of the data."""
    edges = np.linspace(-12.0, 12.0, 20_001)
    points = (edges[1:] + edges[:-1]) / 2
    measure = np.stack([np.diff(marginal.from_units(edges)) for marginal in SMOOTH], axis=1)
    normal = MappedNormal(jnp.array([0.3, -1.0]), jnp.array([1.0, 2.0]), bins_of(SMOOTH))
    return normal, points, measure


def map_on_a_grid() -> tuple[MappedNormal, np.ndarray, np.ndarray]:
    """A point is the unit that stands for a value."""
    bins = bins_of([ON_A_GRID] * 2)
    normal = MappedNormal(jnp.array([0.3, -1.0]), jnp.array([1.0, 2.0]), bins)
    units = ON_A_GRID.to_units(np.arange(11.0))[:, None] * np.ones(2)
    return normal, np.asarray(normal.on_values(jnp.asarray(units, jnp.float32))), np.ones(11)


NAMES = list(examples())


def test_every_listed_distribution_is_tried() -> None:
    listed = [getattr(distributions, name) for name in distributions.__all__]
    kinds = {
        kind.__name__
        for kind in listed
        if isinstance(kind, type) and issubclass(kind, dist.Distribution)
    }
    assert kinds == {name.partition(" ")[0] for name in NAMES}


def masses(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points and the probability of each, shape (m, 2)."""
    d, points, measure = examples()[name]
    points = np.broadcast_to(points.reshape(len(points), -1), (len(points), 2)).astype(np.float32)
    measure = np.ones(len(points)) if measure is None else measure
    probabilities = np.exp(np.asarray(jax.jit(jax.vmap(d.log_prob))(points), np.float64))
    return points, probabilities * measure.reshape(len(points), -1)


@pytest.mark.parametrize("name", NAMES)
def test_mass_mean_and_draws_agree(name: str) -> None:
    points, mass = masses(name)
    np.testing.assert_allclose(mass.sum(0), 1.0, atol=1e-3)
    d = examples()[name][0]
    drawn = np.asarray(jax.jit(lambda: d.sample(jax.random.key(0), (20_000,)))(), np.float64)
    mean = (mass * points).sum(0)
    deviation = np.sqrt((mass * (points - mean) ** 2).sum(0))
    assert (np.abs(drawn.mean(0) - mean) < 5 * deviation / np.sqrt(20_000) + 1e-3).all()
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.05, atol=5e-3)
    if "Cumulative" not in name and name != "MappedNormal on a grid":  # whose mean is that of u
        np.testing.assert_allclose(
            d.mean, mean, atol=0.1 if "Logistic" in name or "grid" in name else 2e-3
        )
    # Every draw is a point that has a mass, or lies where the density is.
    if len(points) < 1_000:
        assert np.isin(np.round(drawn, 4), np.round(points.astype(np.float64), 4)).all()
        for value in points[:, 0]:
            expected = mass[points[:, 0] == value].sum(0)
            assert (
                np.abs((drawn == value).mean(0) - expected) < 5 * np.sqrt(expected / 20_000) + 1e-3
            ).all()


def test_logistic_intervals_do_not_cancel() -> None:
    """Against differences in float64, from widths of 1e-6 to tails of 30."""
    lower = np.array([-30.0, -4.0, 0.0, 2.5, 12.0])[:, None]
    width = np.array([1e-6, 1e-2, 0.69, 0.71, 5.0, 60.0])
    exact = np.log(special.expit(-lower) * special.expit(lower + width) * -np.expm1(-width))
    np.testing.assert_allclose(
        log_logistic_interval(jnp.asarray(lower), jnp.asarray(width)), exact, rtol=2e-6, atol=1e-12
    )


@pytest.mark.parametrize("width", [1e-30, 1e-8, 1e-6, 0.7, 1e4, 1e8])
def test_logistic_intervals_have_finite_gradients(width: float) -> None:
    """Incomes on a grid of 1 are, in units of their deviation, on one of 1e-6."""
    both = jax.jit(jax.grad(log_logistic_interval, (0, 1)))
    for lower in (-1e6, 0.0, 1e6):
        assert np.isfinite(both(lower, width)).all()


def test_discretized_logistic_is_the_difference_of_two_cdfs() -> None:
    d, points, _ = examples()["DiscretizedLogistic"]
    edges = np.append(points - 0.5, points[-1] + 0.5)
    exact = np.diff(stats.logistic(3.0, 2.0).cdf(edges))
    np.testing.assert_allclose(masses("DiscretizedLogistic")[1][:, 0], exact, rtol=1e-4, atol=1e-7)
    assert float(d.log_prob(jnp.array([1e6, 1e6]))[0]) < -4e5


def test_ends_hold_the_tails() -> None:
    mass = masses("DiscretizedLogistic between ends")[1][:, 0]
    exact = stats.logistic(0.2, 2.0)
    np.testing.assert_allclose([mass[0], mass[-1]], [exact.cdf(-0.75), exact.sf(1.75)], rtol=1e-4)


def test_one_grid_point_is_certain() -> None:
    assert float(DiscretizedLogistic(3.0, 1.0, 1.0, 0.0, 0.0).log_prob(0.0)) == 0.0


def test_padded_levels_have_no_probability_and_no_gradient() -> None:
    """A column with 3 levels next to one with 5: its numbers stay, its slopes are finite."""
    own = CumulativeLogistic(-2.0, 0.2, jnp.array([-0.5, 0.1]))
    padded: Any = examples()["CumulativeLogistic"][0]
    np.testing.assert_allclose(padded.probs[1, :3], own.probs, rtol=1e-5)
    assert (np.asarray(padded.probs[1, 3:]) == 0).all()
    cuts = padded.cutpoints

    def total(loc: jax.Array, scale: jax.Array) -> jax.Array:
        return CumulativeLogistic(loc, scale, cuts).log_prob(jnp.array([4, 2])).sum()

    slopes = jax.jit(jax.grad(total, (0, 1)))
    for scale in (1e-4, 1.0, 1e4):
        assert np.isfinite(slopes(jnp.array([0.4, -2.0]), jnp.full(2, scale))).all()


def test_continuous_bernoulli_is_a_truncated_exponential() -> None:
    logits = jnp.array([-3.0, 0.5, 40.0])
    x = jnp.array([0.2, 0.9, 0.99])
    exact = np.array(
        [
            stats.truncexpon(3.0, scale=1 / 3.0).logpdf(0.2),
            0,
            stats.truncexpon(40, scale=1 / 40).logpdf(0.01),
        ]
    )
    exact[1] = stats.truncexpon(0.5, scale=1 / 0.5).logpdf(0.1)
    d = ContinuousBernoulli(logits)
    np.testing.assert_allclose(d.log_prob(x), exact, rtol=1e-5)
    quantiles = np.array([stats.truncexpon(3.0, scale=1 / 3.0).ppf(0.3), 0.0, 0.0])
    np.testing.assert_allclose(d.icdf(jnp.full(3, 0.3))[0], quantiles[0], rtol=1e-5)
    mirrored = ContinuousBernoulli(-logits)
    np.testing.assert_allclose(d.log_prob(x), mirrored.log_prob(1 - x), rtol=1e-4)
    np.testing.assert_allclose(d.mean, 1 - mirrored.mean, rtol=1e-5)


@pytest.mark.parametrize("logit", [0.0, 1e-2, -1e-2, 1e-1])
def test_continuous_bernoulli_is_smooth_where_its_formulas_meet(logit: float) -> None:
    """Value, slope and mean just left and right of t; the slope at 0 is x - 1/2, not 0."""
    left, right = logit - 1e-5, logit + 1e-5

    def value(t: float) -> jax.Array:
        return ContinuousBernoulli(t).log_prob(0.9)

    np.testing.assert_allclose(value(left), value(right), atol=1e-4)
    for t in (left, logit, right):
        np.testing.assert_allclose(jax.grad(value)(t), 0.9 - 0.5 - logit / 12, atol=2e-3)
        np.testing.assert_allclose(ContinuousBernoulli(t).mean, 0.5 + logit / 12, atol=1e-4)


def test_atoms_on_a_grid_add_the_mass_of_the_rest_there() -> None:
    """And beside a density they do not."""
    points, mass = masses("Atoms on a grid")
    weights = special.softmax([0.3, 0.0, -1.0])
    rest = masses("DiscretizedLogistic")[1][:, 0]
    at_2 = points[:, 0] == 2
    np.testing.assert_allclose(mass[at_2, 0], weights[1] + weights[0] * rest[at_2], rtol=1e-4)
    density: Any = examples()["Atoms"][0]
    np.testing.assert_allclose(
        density.log_prob(jnp.array([2.0, 7.0]))[0], np.log(weights[1]), rtol=1e-5
    )


@pytest.mark.parametrize("name", ["MappedNormal", "MappedNormal on a grid"])
def test_a_map_has_the_mean_of_the_values_and_the_units_of_its_marginal(name: str) -> None:
    """In the units of the data, which its own standard units are a shift and a scale of."""
    d: Any = examples()[name][0]
    marginals = SMOOTH if name == "MappedNormal" else (ON_A_GRID, ON_A_GRID)
    points, mass = masses(name)
    for j, marginal in enumerate(marginals):
        edges, standard = np.array(marginal.edges), np.asarray(d.bins.edges[j], np.float64)
        spread = (edges[1] - edges[0]) / (standard[1] - standard[0])
        center = edges[0] - spread * standard[0]
        values = marginal.from_units(points[:, j].astype(np.float64))
        mean = (mass[:, j] * values).sum()
        assert center + spread * float(d.mean_value[j]) == pytest.approx(mean, abs=5e-3 * spread)
        inside = np.linspace(edges[0], edges[-1], 401)[1:-1]
        if marginal.step:
            inside = np.arange(11.0)
        given = jnp.asarray((inside - center) / spread, jnp.float32)
        given = jnp.stack([given, given], axis=1)
        np.testing.assert_allclose(
            unit_of(d.bins, given)[:, j], marginal.to_units(inside), rtol=1e-4, atol=1e-4
        )


def test_cells_of_a_map_have_the_probability_of_their_interval() -> None:
    """A cell alone in its bin has all of it, and those of a run share the height evenly."""
    heights = np.array([-np.inf, -1.0, -0.4, 0.2, 0.9, *np.linspace(0.9, 2.5, 7)[1:], np.inf])
    expected = np.diff(stats.norm(0.3, 1.0).cdf(heights))
    np.testing.assert_allclose(masses("MappedNormal on a grid")[1][:, 0], expected, rtol=1e-4)


def test_normal_intervals_do_not_cancel() -> None:
    """Against quadrature in float64, from widths far below float32's steps to tails of 30."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    for lower in (-30.0, -4.0, -0.3, 0.0, 2.5, 12.0, 30.0):
        for width in (1e-12, 1e-6, 1e-3, 9e-2, 0.11, 1.0, 5.0):
            at = lower + width * (nodes + 1) / 2
            exact = special.logsumexp(stats.norm.logpdf(at), b=weights * width / 2)
            interval = map(jnp.float32, (lower, lower + width, width))
            np.testing.assert_allclose(log_normal_interval(*interval), exact, rtol=2e-5, atol=2e-4)


def test_cells_narrower_than_steps_of_float32_have_their_mass() -> None:
    """Whole numbers up to a million million: the density of u times the width of a cell."""
    numbers = np.random.default_rng(0).lognormal(20, 2, 400).round()
    marginal = learn(numbers, lower=0.0, step=1.0)
    assert marginal is not None
    units = marginal.to_units(numbers)
    # Where two bins meet, float32 may take either.
    apart = np.abs(units[:, None] - np.array(marginal.heights)).min(axis=1) > 1e-5
    numbers, units = numbers[apart], units[apart]
    expected = stats.norm.logpdf(units) + np.log(marginal.slope_at(numbers))
    normal = MappedNormal(jnp.zeros(1), jnp.ones(1), bins_of([marginal]))
    found = normal.log_prob(jnp.asarray(units, jnp.float32)[:, None])[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("width", [1e-8, 1e-4, 0.1, 1e4, 1e8])
def test_normal_intervals_have_finite_gradients(width: float) -> None:
    both = jax.jit(jax.value_and_grad(log_normal_interval, (0, 1, 2)))
    for lower in (-1e6, -30.0, 0.0, 30.0, 1e6):
        for leaf in jax.tree.leaves(both(lower, lower + width, width)):
            assert np.isfinite(leaf).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("logit", [-1e30, -200.0, -9.0, 0.0, 1e-4, 9.0, 200.0, 1e30])
def test_a_bernoulli_is_numpyros_and_its_slope_the_residual(logit: float, value: float) -> None:
    nats, slope = jax.value_and_grad(lambda t: Bernoulli(t).log_prob(value))(logit)
    np.testing.assert_allclose(nats, dist.Bernoulli(logits=logit).log_prob(value), rtol=1e-6)
    np.testing.assert_allclose(slope, value - special.expit(logit), atol=1e-6)


@pytest.mark.parametrize("n", [300, 20_000])
def test_masses_sum_to_one_in_float32_whatever_the_gaps(n: int) -> None:
    """Also where heavy cells and cells never met take turns, in u closer than float32 sees."""
    rng = np.random.default_rng(0)
    far = np.where(rng.random(n) < 0.16, 200, 0) + rng.integers(0, 10, n)
    prices = np.floor(rng.lognormal(2.5, 0.7, n)) * 100 + 99
    never = ((far, np.arange(50, 150)), (prices, np.arange(1098, 3000, 100)))
    for numbers, gap in never:
        marginal = learn(numbers.astype(np.float64), lower=0.0, step=1.0)
        assert marginal is not None
        grid = np.arange(min(numbers.max() + 1, 30_000), dtype=np.float64)
        units = marginal.to_units(grid).astype(np.float32)
        np.testing.assert_array_equal(marginal.from_units(units.astype(np.float64)), grid)
        normal = MappedNormal(jnp.zeros(1), jnp.ones(1), bins_of([marginal]))
        mass = np.exp(np.asarray(normal.log_prob(jnp.asarray(units)[:, None])[:, 0], np.float64))
        assert 0.99 < mass.sum() < 1.001
        assert mass[gap].max() < 2 / n
