"""Laws of every likelihood p(x|z) listed in the package: it sums to one, starts at the marginal,
and stays finite.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from aevb import likelihoods
from aevb.build import initial_model
from aevb.likelihoods import Likelihood, Located
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
    """A likelihood, its training rows, and points of the support with their measures in the units
    of the data.
    """

    likelihood: Likelihood
    units: np.ndarray  # (n, d)
    points: np.ndarray  # (m, d), model units
    measure: np.ndarray  # (m, d): 1 of a mass, the step in data units of a density

    @property
    def start(self) -> np.ndarray:
        return np.asarray(self.likelihood.start(self.units), np.float32)


@cache
def example(name: str, *, linear_start: bool = True) -> Example:
    columns = COLUMNS[name]
    values = np.stack([np.asarray(v, np.float64) for v in columns.values()], axis=1)
    schema = Schema(tuple(columns)).scaled(values)
    units = schema.to_model_units(values)
    architecture = Architecture(
        2,
        hidden=(4,),
        likelihoods=dict.fromkeys(schema.names, _class_of(name)),
        linear_start=linear_start,
    )
    (likelihood,) = initial_model(schema, units, architecture, jax.random.key(0)).likelihood.parts
    assert type(likelihood).__name__ == name.partition(" ")[0]
    points, measure = zip(*(_support(column) for column in schema.columns), strict=True)
    m = max(map(len, points))
    filled = [np.pad(p, (0, m - len(p)), mode="edge") for p in points]
    weights = [np.pad(w, (0, m - len(w))) for w in measure]
    return Example(
        likelihood, units, schema.to_model_units(np.stack(filled, 1)), np.stack(weights, 1)
    )


def _class_of(name: str) -> type[Likelihood] | None:
    """The class that is asked for by name; atoms come from the columns alone."""
    (kind,) = [kind for kind in CLASSES if kind.__name__ == name.partition(" ")[0]]
    return None if kind is likelihoods.AtomsAndRest else kind


def _support(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Values a column can take, and the measure of each: those of a mass, or a fine grid and the
    atoms.
    """
    if column.categories:
        points = np.arange(float(len(column.categories)))
        return points, np.ones(len(points))
    if column.kind == "pixel":
        assert column.upper is not None
        points = np.arange(0, round(column.upper / column.resolution) + 1) * column.resolution
        return points, np.ones(len(points))
    if column.resolution > 0:
        points = np.arange(0.0, 1500.0) if column.kind == "count" else np.arange(-3000.0, 3000.0)
        return points, np.ones(len(points))
    ends = {"positive": (-25.0, 25.0), "proportion": (0.0, 1.0)}.get(column.kind, (-40.0, 40.0))
    edges = np.linspace(*ends, 20_001)
    if column.kind == "positive":
        edges = np.exp(edges) * column.scale
    elif column.kind == "continuous":
        edges = column.location + column.scale * edges
    middle = (edges[1:] + edges[:-1]) / 2
    atoms = np.array(column.atoms)
    return np.concatenate([middle, atoms]), np.concatenate([np.diff(edges), np.ones(len(atoms))])


@pytest.fixture(params=COLUMNS)
def case(request: pytest.FixtureRequest) -> Example:
    return example(request.param)


def log_probs(case: Example, raw: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Of each point, shape (m, d)."""

    def at(x: jax.Array) -> jax.Array:
        return case.likelihood.log_prob(case.likelihood(jnp.asarray(raw)), x)

    return np.asarray(jax.jit(jax.vmap(at))(points), np.float64)


def test_every_listed_likelihood_is_tried() -> None:
    assert {kind.__name__ for kind in CLASSES} == {name.partition(" ")[0] for name in COLUMNS}


def test_it_sums_to_one_in_the_units_of_the_data(case: Example) -> None:
    rng = np.random.default_rng(1)
    for spread in (0.0, 0.4):
        raw = case.start + spread * rng.normal(size=case.start.shape).astype(np.float32)
        total = (np.exp(log_probs(case, raw, case.points)) * case.measure).sum(0)
        np.testing.assert_allclose(total, 1.0, atol=2e-3)


def test_values_and_gradients_are_finite_at_extremes(case: Example) -> None:
    part = case.likelihood
    ends = np.stack([case.points[0], case.points[-1], case.points[len(case.points) // 2]])
    if (isinstance(part, Located) and type(part).__name__ != "LogNormal") or hasattr(part, "rest"):
        ends = np.concatenate(
            [ends, np.full((1, ends.shape[1]), 1e6), np.full((1, ends.shape[1]), -1e6)]
        )
    signs = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * min(part.parameters, 4)), -1).reshape(
        -1, min(part.parameters, 4)
    )
    signs = np.pad(signs, ((0, 0), (0, part.parameters - signs.shape[1])), mode="wrap")
    raws = np.repeat(
        np.concatenate([1e2 * signs, 1e4 * signs])[:, None], len(part.columns), 1
    ).astype(np.float32)

    def total(raw: jax.Array, x: jax.Array) -> jax.Array:
        return part.log_prob(part(raw), x).sum()

    over = jax.jit(jax.vmap(jax.vmap(jax.value_and_grad(total), (0, None)), (None, 0)))
    values, gradients = over(raws, ends.astype(np.float32))
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()
    said = jax.jit(
        jax.vmap(lambda raw: (part.expectation(part(raw)), part(raw).sample(jax.random.key(0))))
    )(raws)
    assert all(np.isfinite(numbers).all() for numbers in said)


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
    assert (np.abs(drawn.mean(0) - mean) < 5 * error + rounding).all()
    assert np.isfinite(log_probs(case, np.asarray(raw), drawn[:200].astype(np.float32))).all()
    point = np.asarray(case.likelihood.point(jnp.asarray(expectation)))
    assert (point >= case.points.min(0)).all()
    assert (point <= case.points.max(0)).all()


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
