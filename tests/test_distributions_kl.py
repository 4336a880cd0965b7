"""Law of the KL: closed form or by draws, it is the integral, for every pair of distributions."""

from functools import cache
from itertools import product
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpy.typing import ArrayLike

from aevb.distributions.flows import CouplingFlow
from aevb.distributions.kl import closed_form_kl, kl, register_kl
from aevb.distributions.latents import (
    Chain,
    Flow,
    StraightThroughBernoulli,
    StraightThroughCategorical,
)
from aevb.errors import ConfigError
from aevb.priors import FlowPrior, GaussianMixture, StandardNormal, VampPrior

KEY = jax.random.key(0)
DRAWS = 20_000
MEAN, SCALE = jnp.array([0.4, -0.7]), jnp.array([0.6, 1.3])


def conditional(given: jax.Array) -> dist.Distribution:
    return dist.Normal(jnp.sin(given), 0.8).to_event(1)


def vamp() -> dist.Distribution:
    rows = jax.random.normal(jax.random.key(3), (4, 2))
    prior = VampPrior(rows, jnp.full(2, -3.0), jnp.full(2, 3.0))
    return prior.given(lambda row: dist.Normal(row, 0.5).to_event(1))


def flow() -> CouplingFlow:
    """Far enough from the identity to bend a Gaussian."""
    return jax.tree.map(
        lambda weights: 20 * weights if len(weights) < 10 else weights,
        CouplingFlow(2, jax.random.key(1)),
    )


#: What the package has for latents that are numbers, and three families that it has not.
NUMBERS = {
    "standard normal": StandardNormal(2)(),
    "diagonal": dist.Normal(MEAN, SCALE).to_event(1),
    "expanded": dist.Normal(0.3, 0.9).expand([2]).to_event(1),
    "full": dist.MultivariateNormal(MEAN, scale_tril=jnp.array([[0.8, 0.0], [0.6, 0.7]])),
    "flow": Flow(dist.Normal(MEAN, SCALE).to_event(1), flow()),
    "flow prior": FlowPrior(2, flow())(),
    "chain": Chain(dist.Normal(MEAN[:1], 0.7).to_event(1), conditional, 1),
    "chain of the prior": Chain(StandardNormal(1)(), conditional, 1, backwards=True),
    "mixture": GaussianMixture(2, 3, key=KEY)(),
    "vamp": vamp(),
    "Laplace": dist.Laplace(MEAN, SCALE).to_event(1),
    "StudentT": dist.StudentT(9.0, MEAN, SCALE).to_event(1),
    "Logistic": dist.Logistic(MEAN, 0.7 * SCALE).to_event(1),
}
#: And q that have no finite KL the other way round.
SKEWED = {
    "Gumbel": dist.Gumbel(MEAN, 0.5 * SCALE).to_event(1),
    "LogNormal": dist.LogNormal(MEAN, 0.3 * SCALE).to_event(1),
}
BITS = {
    "bits": StraightThroughBernoulli(jnp.array([0.3, -2.0])),
    "other bits": StraightThroughBernoulli(jnp.array([0.0, 1.0])),
    "NumPyro's": dist.Bernoulli(logits=jnp.array([-0.4, 0.8])).to_event(1),
}
GROUPS = {
    "groups": StraightThroughCategorical(jnp.array([[0.3, -2.0, 1.0], [0.0, 0.5, 0.0]])),
    "other groups": StraightThroughCategorical(jnp.zeros((2, 3))),
}
ALL = {**NUMBERS, **SKEWED, **BITS, **GROUPS}
#: Pairs with a closed form.
CLOSED = {
    *product(("standard normal", "diagonal", "expanded"), repeat=2),
    *(("full", p) for p in ("standard normal", "diagonal", "expanded", "full")),
    *product(("bits", "other bits"), repeat=2),
    *product(GROUPS, repeat=2),
}
#: Each q to the prior, one q to each p, and the closed forms; the other pairs take minutes.
FAST = {*product(NUMBERS | SKEWED, ["standard normal"]), *product(["full"], NUMBERS), *CLOSED}
PAIRS = [
    pytest.param(names, marks=[] if names in FAST else pytest.mark.long, id="-".join(names))
    for names in product(NUMBERS | SKEWED, NUMBERS)
]
#: By pair: how far a KL by draws is from the truth, in standard errors.
FOUND: dict[tuple[str, str], float] = {}


@eqx.filter_jit
def log_prob(distribution: Any, z: jax.Array) -> jax.Array:
    return distribution.log_prob(z)


@cache
def draws(name: str) -> jax.Array:
    return eqx.filter_jit(lambda q: q.sample(KEY, (DRAWS,)))(ALL[name])


@cache
def nodes(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights whose sums are integrals of smooth functions over the plane.

    Even in t, z = mean + deviation sinh(t) / 2, so that tails are seen a few hundred deviations
    out.
    """
    t = np.linspace(-7, 7, 401)
    side, steps = np.sinh(t) / 2, np.cosh(t) / 2 * (t[1] - t[0])
    known = np.asarray(draws(name), np.float64)
    mean, deviation = known.mean(0), known.std(0)
    points = mean + deviation * np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    return points.astype(np.float32), np.outer(steps, steps).ravel() * deviation.prod()


@cache
def log_prob_of_draws(name: str) -> jax.Array:
    return log_prob(ALL[name], draws(name))


@cache
def log_prob_of_nodes(name: str) -> jax.Array:
    points, _ = nodes(name)
    return log_prob(ALL[name], points)


def integral(log_q: ArrayLike, log_p: ArrayLike, weights: np.ndarray) -> float:
    log_q, log_p = np.asarray(log_q, np.float64), np.asarray(log_p, np.float64)
    mass = weights * np.exp(np.nan_to_num(log_q, nan=-np.inf))  # NaN: not in the support
    np.testing.assert_allclose(mass.sum(), 1, atol=1e-3)
    there = mass > 0
    return float(np.sum(mass[there] * (log_q[there] - log_p[there])))


def check(names: tuple[str, str], q: Any, p: Any, truth: float) -> None:
    exact = closed_form_kl(q, p)
    assert (exact is not None) == (names in CLOSED)
    if exact is not None:
        np.testing.assert_allclose(jnp.sum(exact), truth, atol=1e-5)
        return
    z = draws(names[0])
    gaps = np.asarray(log_prob_of_draws(names[0]) - log_prob(p, z), np.float64)
    (nats,) = kl(q, p, z)
    error = gaps.std() / np.sqrt(DRAWS)
    FOUND[names] = abs(float(nats) - truth) / max(error, 1e-5)
    assert FOUND[names] < 4.5


@pytest.mark.parametrize("names", PAIRS)
def test_it_is_the_integral(names: tuple[str, str]) -> None:
    q, p = (ALL[name] for name in names)
    points, weights = nodes(names[0])
    check(names, q, p, integral(log_prob_of_nodes(names[0]), log_prob(p, points), weights))


@pytest.mark.parametrize(
    "names", [*product(BITS, repeat=2), *product(GROUPS, repeat=2)], ids="-".join
)
def test_of_levels_it_is_the_sum(names: tuple[str, str]) -> None:
    q, p = (ALL[name] for name in names)
    levels = np.array(list(product([0, 1], repeat=2)))
    if names[0] in GROUPS:
        levels = np.array([np.append(a, b) for a, b in product(np.eye(3), repeat=2)])
    levels = levels.astype(np.float32)
    truth = integral(log_prob(q, levels), log_prob(p, levels), np.ones(len(levels)))
    check(names, q, p, truth)


def test_the_largest_error_of_all_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    """With as many pairs, it is about 2.5 standard errors where each is unbiased."""
    if len(FOUND) < 100:
        pytest.skip("the pairs were not all looked at")
    worst = max(FOUND, key=lambda names: FOUND[names])
    with capsys.disabled():
        print(f"\n{len(FOUND)} pairs by draws, at most {FOUND[worst]:.2f} errors off: {worst}")
    assert np.sqrt(np.mean(np.square(list(FOUND.values())))) < 1.3


def test_a_full_gaussian_to_a_laplace_is_not_that_to_a_gaussian_of_its_moments() -> None:
    q = dist.MultivariateNormal(jnp.zeros(2), jnp.array([[1.0, 0.8], [0.8, 1.0]]))
    p = dist.Laplace(jnp.zeros(2), 1.0).to_event(1)
    truth = -0.5 * np.log(0.36) - np.log(2 * np.pi) - 1 + 2 * (np.log(2) + np.sqrt(2 / np.pi))
    draws = q.sample(KEY, (100_000,))
    np.testing.assert_allclose(kl(q, p, draws), [truth], atol=0.01)
    assert kl(q, p, key=KEY, samples=7).shape == (1,)


def test_it_has_a_number_for_each_latent_that_stands_alone() -> None:
    shapes = {
        ("diagonal", "standard normal"): (2,),
        ("full", "standard normal"): (1,),
        ("full", "full"): (1,),
    }
    for (q, p), shape in shapes.items():
        assert kl(NUMBERS[q], NUMBERS[p]).shape == shape
    assert kl(BITS["bits"], BITS["other bits"]).shape == (2,)
    assert kl(GROUPS["groups"], GROUPS["other groups"]).shape == (2,)  # of six levels
    gammas = [dist.Gamma(jnp.array([1.0, 2.0]), rate).to_event(1) for rate in (1.0, 2.0)]
    assert kl(*gammas).shape == (2,)  # NumPyro's own


class Shifted(dist.Normal):
    """A subclass with another density than its parent's."""

    def log_prob(self, value: Any) -> Any:
        return super().log_prob(value - 1)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        return super().sample(key, sample_shape) + 1


def test_a_subclass_does_not_take_its_parents_closed_form() -> None:
    q, p = Shifted(jnp.zeros(2), 1.0).to_event(1), StandardNormal(2)()
    assert closed_form_kl(q, p) is None
    np.testing.assert_allclose(kl(q, p, key=KEY, samples=40_000), [1.0], atol=0.03)


def test_a_truncated_series_is_no_closed_form() -> None:
    """NumPyro's from a Kumaraswamy to this Beta is half a nat too low."""
    q = dist.Kumaraswamy(jnp.array([0.7]), 0.8).to_event(1)
    p = dist.Beta(jnp.array([2.0]), 5.0).to_event(1)
    assert closed_form_kl(q, p) is None


def test_what_is_registered_may_decline() -> None:
    q, p = dist.Laplace(jnp.zeros(2), 1.0).to_event(1), dist.Cauchy(jnp.zeros(2), 1.0).to_event(1)

    @register_kl(dist.Laplace, dist.Cauchy)
    def declines(q: Any, p: Any) -> Any:
        raise NotImplementedError

    assert kl(q, p, key=KEY).shape == (1,)


def test_what_cannot_be_had_is_said() -> None:
    q, p = NUMBERS["diagonal"], NUMBERS["Laplace"]
    for none in ({}, {"z": jnp.zeros((0, 2))}):
        with pytest.raises(ConfigError, match="no closed form: give draws z of q, or a key"):
            kl(q, p, **none)
    with pytest.raises(ConfigError, match=r"same latents; got shapes \(2,\) and \(3,\)"):
        kl(q, StandardNormal(3)())
