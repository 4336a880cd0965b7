"""Laws of every likelihood p(x|z) listed in the package; those that users' own parts must keep too
are tried in test_testing.py.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from aevb import likelihoods
from aevb.build import initial_model
from aevb.likelihoods import Likelihood, Located, LogNormal
from aevb.likelihoods.base import inverse_softplus, raw_scale
from aevb.start import Architecture
from aevb.table.schema import Column, Schema

RNG = np.random.default_rng(0)
Z = RNG.normal(size=400)
LISTED = [getattr(likelihoods, name) for name in likelihoods.__all__]
CLASSES = [
    kind
    for kind in LISTED
    if isinstance(kind, type) and issubclass(kind, Likelihood) and not inspect.isabstract(kind)
]

#: For each class (the first word) columns that ask for it, with their values; a class without them
#: fails.
COLUMNS: dict[str, dict[Column, np.ndarray]] = {
    "Gaussian": {
        Column("a", "continuous"): 5 + 20 * Z,
        Column("b", "continuous"): 1e-3 * RNG.normal(size=400),
    },
    "StudentT": {
        Column("a", "continuous"): 5 + 20 * RNG.standard_t(6, 400),
        Column("b", "continuous"): 1e-3 * RNG.standard_t(6, 400),
    },
    "DiscretizedLogisticColumns": {
        Column("a", "pixel", resolution=1.0, lower=0.0, upper=15.0): np.clip(
            np.round(6 + 4 * Z), 0, 15
        ),
        Column("b", "pixel", resolution=1 / 255, lower=0.0, upper=1.0): np.clip(
            np.round(128 + 60 * Z), 0, 255
        )
        / 255,
    },
    "LogNormal": {
        Column("a", "positive"): np.exp(3 + 0.5 * Z),
        Column("b", "positive"): np.exp(-9 + RNG.normal(size=400)),
    },
    "Gamma": {
        Column("a", "positive"): RNG.gamma(9.0, 3.0, 400),
        Column("b", "positive"): 1e-4 * RNG.gamma(2.0, 1.0, 400),
    },
    "Proportion": {
        Column("a", "proportion"): RNG.beta(2, 4, 400),
        Column("b", "proportion"): RNG.beta(5, 4, 400),
    },
    "AtomsAndRest": {
        Column("a", "continuous", atoms=(0.0, 30.0)): np.where(
            Z > 0, 0.0, np.where(Z > -0.3, 30.0, 500 + 99 * Z)
        ),
        Column("b", "continuous", atoms=(1.0,)): np.where(Z < -0.5, 1.0, 7 + 2 * Z),
    },
    "AtomsAndRest on a grid": {
        Column("a", "continuous", resolution=1.0, atoms=(40.0, 20.0)): np.where(
            Z > 0, 40, np.round(40 + 9 * Z)
        ),
        Column("b", "continuous", resolution=1.0, atoms=(7.0,)): np.where(
            Z < -0.5, 7, np.round(300 * Z)
        ),
    },
    "DiscretizedLogisticColumns without ends": {
        Column("a", "continuous", resolution=1.0): np.round(40 + 9 * Z),
        Column("b", "continuous", resolution=1.0): np.round(200 + 99 * RNG.normal(size=400)),
    },
    "Bernoulli": {
        Column("a", "binary", categories=(0, 1)): Z > 1,
        Column("b", "binary", categories=(0, 1)): Z > 0,
    },
    "Categorical": {
        Column("a", "categorical", categories=tuple("xyz")): np.clip(np.round(1 + Z), 0, 2),
        Column("b", "categorical", categories=tuple("wxyz")): np.clip(np.round(1 + Z), 0, 3),
    },
    "Ordinal": {
        Column("a", "ordinal", categories=tuple("abcde")): np.clip(np.round(2 + Z), 0, 4),
        Column("b", "ordinal", categories=tuple("abcdefg")): np.clip(np.round(2 + 2 * Z), 0, 6),
    },
    "Mapped": {
        Column("a", "continuous"): np.sinh(Z),
        Column("b", "continuous", lower=0.0): np.exp(2 + RNG.normal(size=400)),
    },
    "Mapped on a grid": {
        Column("a", "count", resolution=1.0, lower=0.0): RNG.negative_binomial(9, 0.2, 400),
        Column("b", "count", resolution=1.0, lower=0.0): RNG.negative_binomial(3, 0.1, 400),
    },
    "Poisson": {
        Column("a", "count", resolution=1.0): RNG.poisson(2.5, 400),
        Column("b", "count", resolution=1.0): RNG.poisson(30, 400),
    },
    "NegativeBinomial": {
        Column("a", "count", resolution=1.0): RNG.negative_binomial(2, 0.3, 400),
        Column("b", "count", resolution=1.0): RNG.negative_binomial(3, 0.1, 400),
    },
}


@dataclass(frozen=True)
class Example:
    """A likelihood and its training rows."""

    likelihood: Likelihood
    units: np.ndarray  # (n, d)

    @property
    def start(self) -> np.ndarray:
        return np.asarray(self.likelihood.start(self.units), np.float32)


@cache
def example(name: str, *, linear_start: bool = True) -> Example:
    columns = COLUMNS[name]
    values = np.stack([np.asarray(v, np.float64) for v in columns.values()], axis=1)
    names = [column.name for column in columns] if name.startswith("Mapped") else []
    schema = Schema(tuple(columns)).scaled(values, names)
    units = schema.to_model_units(values)
    architecture = Architecture(
        2,
        hidden=(4,),
        likelihoods=dict.fromkeys(schema.names, _class_of(name)),
        linear_start=linear_start,
    )
    (likelihood,) = initial_model(schema, units, architecture, jax.random.key(0)).likelihood.parts
    assert type(likelihood).__name__ == name.partition(" ")[0]
    return Example(likelihood, units)


def _class_of(name: str) -> type[Likelihood] | None:
    """The class that is asked for by name; atoms come from the columns alone."""
    (kind,) = [kind for kind in CLASSES if kind.__name__ == name.partition(" ")[0]]
    return None if kind is likelihoods.AtomsAndRest else kind


@pytest.fixture(params=COLUMNS)
def case(request: pytest.FixtureRequest) -> Example:
    return example(request.param)


def test_every_listed_likelihood_is_tried() -> None:
    assert {kind.__name__ for kind in CLASSES} == {name.partition(" ")[0] for name in COLUMNS}


def test_it_is_finite_for_extreme_raw_numbers_and_far_values(case: Example) -> None:
    part = case.likelihood
    free = min(part.parameters, 4)
    signs = np.array(list(product((-1.0, 0.0, 1.0), repeat=free)))
    signs = np.pad(signs, ((0, 0), (0, part.parameters - free)), mode="wrap")
    extreme = np.repeat(np.concatenate([1e2 * signs, 1e4 * signs])[:, None], 2, axis=1)
    raws = extreme.astype(np.float32)

    def read(raw: jax.Array) -> tuple[jax.Array, jax.Array]:
        distribution = part(raw)
        return part.expectation(distribution), distribution.sample(jax.random.key(0))

    assert all(np.isfinite(numbers).all() for numbers in jax.jit(jax.vmap(read))(raws))
    if not (isinstance(part, Located) or hasattr(part, "rest")) or isinstance(part, LogNormal):
        return

    def total(raw: jax.Array, x: jax.Array) -> jax.Array:
        return part.log_prob(part(raw), x).sum()

    slope = jax.jit(jax.vmap(jax.value_and_grad(total), (0, None)))
    for far in (1e6, -1e6):
        assert all(np.isfinite(numbers).all() for numbers in slope(raws, jnp.full(2, far)))


def test_gradients_follow_the_values(case: Example) -> None:
    """Finite differences at the start, where many numbers are exactly 0."""
    x = case.units[:3]
    raw = case.start

    def total(raw: jax.Array) -> jax.Array:
        return jax.vmap(lambda x: case.likelihood.log_prob(case.likelihood(raw), x))(
            jnp.asarray(x)
        ).sum()

    gradient = np.asarray(jax.jit(jax.grad(total))(jnp.asarray(raw)))
    steps = 1e-2 * np.eye(raw.size, dtype=np.float32).reshape(-1, *raw.shape)
    slopes = (
        np.diff(
            jax.jit(jax.vmap(total))(np.concatenate([raw - steps, raw + steps])).reshape(2, -1),
            axis=0,
        )
        / 2e-2
    )
    np.testing.assert_allclose(gradient.ravel(), slopes[0], rtol=2e-2, atol=3e-2)


@pytest.mark.parametrize("name", COLUMNS)
def test_the_start_is_the_marginal(name: str) -> None:
    """Without a linear model beside it, draws from the start have the shares and moments of the
    training rows.
    """
    case = example(name, linear_start=False)
    distribution = case.likelihood(jnp.asarray(case.start))
    drawn = np.asarray(
        jax.jit(lambda: distribution.sample(jax.random.key(0), (20_000,)))(), np.float64
    )
    transform: Callable[[np.ndarray], np.ndarray] = np.log if name == "LogNormal" else np.asarray
    seen, got = transform(case.units), transform(drawn)
    np.testing.assert_allclose(got.mean(0), seen.mean(0), atol=0.1 * seen.std(0).max(), rtol=0.05)
    if case.likelihood.parameters > 1 or isinstance(case.likelihood, Located):
        np.testing.assert_allclose(got.std(0), seen.std(0), rtol=0.15)
    for j, column in enumerate(COLUMNS[name]):
        for value in [*np.unique(seen[:, j])] if column.categories else []:
            assert abs((got[:, j] == value).mean() - (seen[:, j] == value).mean()) < 0.02
    if hasattr(case.likelihood, "atoms"):
        atoms = np.asarray(case.likelihood.atoms.tree)
        share = (seen[..., None] == atoms).mean(0)
        np.testing.assert_allclose((got[..., None] == atoms).mean(0), share, atol=0.02)


def test_draws_have_the_mean_and_lie_in_the_support(case: Example) -> None:
    rng = np.random.default_rng(2)
    raw = jnp.asarray(case.start + 0.3 * rng.normal(size=case.start.shape).astype(np.float32))
    distribution = case.likelihood(raw)
    drawn = np.asarray(
        jax.jit(lambda: distribution.sample(jax.random.key(3), (20_000,)))(), np.float64
    )
    expectation = np.asarray(case.likelihood.expectation(distribution))
    levels = getattr(case.likelihood, "levels", None)
    mean = expectation @ np.arange(expectation.shape[1]) if levels else expectation[:, 0]
    if levels:
        np.testing.assert_allclose(expectation.sum(1), 1.0, atol=1e-4)
        assert (drawn.max(0) < np.array(levels)).all()
    rounding = (
        case.likelihood.resolution.tree / 2 if hasattr(case.likelihood, "resolution") else 2e-3
    )
    error = drawn.std(0) / np.sqrt(len(drawn))
    # The expectation of a map is of its values, not of u: see test_distributions_cells.py.
    if not isinstance(case.likelihood, likelihoods.Mapped):
        assert (np.abs(drawn.mean(0) - mean) < 5 * error + rounding).all()
    log_probs = jax.jit(jax.vmap(lambda x: case.likelihood.log_prob(distribution, x)))
    assert np.isfinite(log_probs(drawn[:200].astype(np.float32))).all()


@pytest.mark.parametrize("name", ["Poisson", "NegativeBinomial"])
def test_counts_are_exact_to_a_hundredth_of_a_nat(name: str) -> None:
    """Logarithms of factorials are millions of nats for counts of a million: differences of them
    must not be.
    """
    part = example(name).likelihood
    counts = np.array([0, 1, 2, 10, 300, 5_000, 99_000, 1_000_000], np.float32)
    for count in counts:
        for ratio in (0.5, 0.98, 1.0, 1.03):
            mean = np.float32(max(count * ratio, 0.5))
            raw = np.full((2, part.parameters), np.log(mean), np.float32)
            if name == "Poisson":
                exact = stats.poisson.logpmf(count, np.exp(np.float64(raw[0, 0])))
            else:
                raw[:, 1] = [0.5, 7.0]
                n = np.exp(np.float64(raw[:, 1]))
                exact = stats.nbinom.logpmf(count, n, n / (n + np.exp(np.float64(raw[0, 0]))))
            got = part.log_prob(part(jnp.asarray(raw)), jnp.full(2, count))
            np.testing.assert_allclose(got, np.broadcast_to(exact, 2), rtol=1e-4, atol=1e-2)


def test_inverse_softplus_and_raw_scale_invert() -> None:
    y = np.array([1e-3, 0.1, 1.0, 20.0])
    np.testing.assert_allclose(np.log1p(np.exp(inverse_softplus(y))), y)
    floor = np.array([0.2, 0.2, 1.0])
    scale = floor * (1 + np.exp(np.asarray(raw_scale(np.array([1.0, 0.5, 0.3]), floor))))
    np.testing.assert_allclose(scale, [1.0, 0.5, 1.01], rtol=1e-5)


@pytest.mark.parametrize("k", [0.3, 2.0, 15.9, 16.1, 400.0, 1e5])
def test_the_gamma_keeps_its_digits(k: float) -> None:
    """Against SciPy in float64, also where the shape is large and float32 sums would cancel."""
    x = stats.gamma(k, scale=1 / k).ppf([0.001, 0.2, 0.5, 0.9, 0.999])
    case = example("Gamma").likelihood
    made = type(case(jnp.asarray(example("Gamma").start)))(jnp.float32(k), jnp.float32(k))
    expected = stats.gamma(k, scale=1 / k).logpdf(x)
    np.testing.assert_allclose(made.log_prob(jnp.asarray(x, jnp.float32)), expected, atol=2e-2)
