"""The laws of the parts of a model, for the tests of your own parts.

Each check takes a part as the registries and `aevb.VAE` do, builds it on example rows and raises
`AssertionError` with the law that it breaks. Random numbers are seeded: a check of the same part
gives the same answer every time.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PyTree
from numpy.typing import ArrayLike
from scipy import stats

from aevb.distributions.moments import mean_of
from aevb.likelihoods.base import LIKELIHOODS, Likelihood, single
from aevb.likelihoods.product import Product
from aevb.linear import LinearModel
from aevb.model import Model, PriorGivenPosterior, ReadsMissing
from aevb.networks import NETWORKS, Network, constant_at, trainable
from aevb.objectives.registry import Objective, estimator_of
from aevb.posteriors import POSTERIORS, DiagonalGaussian
from aevb.priors import PRIORS, StandardNormal
from aevb.start import Architecture, Start
from aevb.table.marginals import Marginal
from aevb.table.schema import Column, Schema

__all__ = [
    "check_likelihood",
    "check_network",
    "check_objective",
    "check_posterior",
    "check_prior",
    "example_columns",
]

Example = Mapping[Column, ArrayLike]


def check_likelihood(part: str | type[Likelihood], columns: Example | None = None) -> None:
    """Check the laws of p(x|z) of columns.

    At the start of training, and near it: the mass or density sums to 1 in the units of the data;
    draws follow it; its start is the marginal of the training rows; values and gradients are finite
    at the ends of the support and for extreme raw numbers; a missing cell is worth 0 nats; a row
    alone has the nats it has among others; imputed values lie in the support.

    Parameters
    ----------
    part
        A subclass of `aevb.likelihoods.Likelihood`, or its name.
    columns
        Columns of one kind with their values; by default the `example_columns` it suits.

    Raises
    ------
    AssertionError
        A law does not hold, or no example column suits the likelihood.

    Examples
    --------
    >>> from aevb.likelihoods import Poisson
    >>> check_likelihood(Poisson)
    """
    likelihood = LIKELIHOODS.find(part)
    examples = [columns]
    if columns is None:
        examples = [example for example in example_columns() if _suits(likelihood, example)]
    _hold(bool(examples), f"no example column suits {likelihood.__name__}: give `columns`")
    for example in examples:
        _check_columns(likelihood, example or {})


def check_posterior(part: object, *, latent_dim: int = 2) -> None:
    """Check the laws of q(z|x).

    It is one distribution over a vector; its density integrates to 1 and its draws follow it, for a
    complete row, a row with a missing cell and an empty one; a row alone has the q it has among
    others; the same key gives the same draw; values and gradients are finite at extreme rows.

    Parameters
    ----------
    part
        A name, a class with ``build(start)``, or any callable from a row of four numbers to a
        distribution. What is built for two layers has one latent more.
    latent_dim
        Number of latents. Laws of densities are checked by importance sampling: keep it small.

    Raises
    ------
    AssertionError
        A law does not hold.
    """
    found = POSTERIORS.find(part)
    start = _start(latent_dim, linear=not getattr(found, "levels", False))
    row = jnp.asarray(start.units[0])
    rows = (row, row.at[1].set(jnp.nan), jnp.full_like(row, jnp.nan))
    extremes = [[n, abs(n), abs(n), 1.0] for n in (-1e6, 0.0, 1e6, np.nan)]

    def value(posterior: object, x: Array) -> Array:
        q = _read(posterior, x)
        return q.log_prob(jax.lax.stop_gradient(q.sample(jax.random.key(0))))

    for posterior in _near(_built(found, start)):
        for given in rows:
            _check_density(_read(posterior, given))
        among = _means(posterior, jnp.stack(rows))[0]
        alone = mean_of(_read(posterior, row))
        same = np.allclose(among, alone, rtol=1e-3, atol=1e-4)
        _hold(same, f"q(z|x) of a row is another among others: {alone} and {among}")
        _check_finite(value, posterior, jnp.array(extremes), "log q(z|x)")


def check_prior(part: object, *, latent_dim: int = 2) -> None:
    """Check the laws of p(z).

    It is one distribution over a vector; its density integrates to 1 and its draws follow it; the
    same key gives the same draw; values and gradients are finite far away.

    Parameters
    ----------
    part
        A name, a class with ``build(start)``, or any callable without arguments that returns a
        distribution. One with ``given(posterior)`` is given a diagonal Gaussian q(z|x).
    latent_dim
        Number of latents. Laws of densities are checked by importance sampling: keep it small.

    Raises
    ------
    AssertionError
        A law does not hold.
    """
    start = _start(latent_dim)
    posterior = DiagonalGaussian.build(start)

    def density(prior: object) -> dist.Distribution:
        if isinstance(prior, PriorGivenPosterior):
            return prior.given(posterior)
        return prior()  # type: ignore[operator]

    def value(prior: object, z: Array) -> Array:
        return density(prior).log_prob(z)

    for prior in _near(_built(PRIORS.find(part), start)):
        p = eqx.filter_jit(density)(prior)
        _check_density(p)
        far = jnp.broadcast_to(jnp.array([[-1e4], [0.0], [1e4]]), (3, *p.event_shape))
        _check_finite(value, prior, far, "log p(z)")


def check_objective(objective: str | Objective, *, tight: bool = True, keys: int = 1000) -> None:
    """Check the laws of an estimator of the bound, on a linear Gaussian model with known log p(x).

    It is one number of nats per row; its mean is at most log p(x), within four standard errors,
    whatever q(z|x) is and with cells missing; it is log p(x) where q(z|x) is the posterior; its
    gradient is finite, and not zero; the same key gives the same number, traced or not.

    Parameters
    ----------
    objective
        A name, or a function of (model, x, key).
    tight
        Whether it reaches log p(x) at the posterior: false if it weights the KL by more than 1.
    keys
        Number of draws for each mean.

    Raises
    ------
    AssertionError
        A law does not hold.
    """
    function = estimator_of(objective).function
    wrong, right, rows, log_p = _linear_models()

    def value(model: Model, x: Array, key: Array) -> Array:
        return function(model, x, key)

    x, key = jnp.asarray(rows[0], jnp.float32), jax.random.key(0)
    one = value(wrong, x, key)
    _hold(jnp.shape(one) == (), f"expected one number per row, got shape {jnp.shape(one)}")
    for again in (value(wrong, x, key), eqx.filter_jit(value)(wrong, x, key)):
        same = np.allclose(again, one, rtol=1e-4, atol=1e-4)
        _hold(same, f"the same key gives {one}, then or traced {again}")
    mean, error = _mean_and_error(value, wrong, rows, keys)
    above = (mean - log_p - 4 * error).max()
    _hold(above < 1e-3, f"the mean is {above:.3g} nats above log p(x) and four standard errors")
    if tight:
        mean, error = _mean_and_error(value, right, rows[:4], keys)
        below = (np.abs(mean - log_p[:4]) - 4 * error).max()
        _hold(below < 2e-3, f"where q(z|x) is the posterior, the mean is {below:.3g} off log p(x)")
    gradient = eqx.filter_jit(eqx.filter_grad(value))(wrong, x, key)
    leaves = jax.tree.leaves(gradient)
    _hold(all(np.isfinite(leaf).all() for leaf in leaves), "the gradient is not finite")
    _hold(any(np.any(leaf) for leaf in leaves), "the gradient is zero: nothing can be learned")


def check_network(part: str | Callable[..., Network], *, activation: str = "tanh") -> None:
    """Check the laws of a network, built as ``part(sizes, activation, key, smooth=...)``.

    It maps sizes[0] numbers to sizes[-1]; the key alone gives its weights, traced or not; an input
    alone has the output it has among others; it can start at a constant, and learn from there.

    Parameters
    ----------
    part
        A class or function, or its name.
    activation
        A name in `aevb.networks.ACTIVATIONS`.

    Raises
    ------
    AssertionError
        A law does not hold.
    """
    build = NETWORKS.find(part)
    for sizes, smooth in product(((3, 2), (1, 4, 5), (3, 8, 8, 2)), (False, True)):
        inputs = jnp.linspace(-2.0, 2.0, 5 * sizes[0]).reshape(5, sizes[0])
        _check_outputs(partial(build, sizes, activation, smooth=smooth), inputs, sizes[-1])
    network = build((3, 8, 8, 2), activation, jax.random.key(0), smooth=True)
    constant = constant_at(network, jnp.array([3.0, -4.0]))
    at_start = constant(jnp.full(3, 7.0))
    _hold(np.array_equal(at_start, [3.0, -4.0]), "it does not start at the constant it is given")
    gradient = eqx.filter_grad(_total)(constant, jnp.ones(3))
    learns = any(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    _hold(learns, "training cannot leave the constant")


def example_columns(rows: int = 400) -> list[dict[Column, np.ndarray]]:
    """Two columns of every kind with their values, in units far from one; seeded.

    Columns that learned a map to standard normal units, see `Column.marginal`, are a kind too.
    """
    rng = np.random.default_rng(0)
    z = rng.normal(size=rows)
    levels = ("v", "w", "x", "y", "z")
    gray = Column("", "pixel", resolution=1.0, grid=1.0, lower=0.0, upper=15.0)
    tiny = 1e-3 * rng.normal(size=rows)
    examples: list[dict[Column, np.ndarray]] = [
        {Column("a", "continuous"): 5 + 20 * z, Column("b", "continuous"): tiny},
        {
            Column("a", "continuous", resolution=1.0): np.round(40 + 9 * z),
            Column("b", "continuous", resolution=1.0): np.round(99 * rng.normal(size=rows)),
        },
        {
            Column("a", "positive"): np.exp(3 + 0.3 * z),
            Column("b", "positive"): np.exp(-9 + 0.5 * rng.normal(size=rows)),
        },
        {
            Column("a", "proportion"): rng.beta(2, 4, rows),
            Column("b", "proportion"): rng.beta(5, 4, rows),
        },
        {
            Column("a", "count", resolution=1.0): rng.negative_binomial(2, 0.3, rows),
            Column("b", "count", resolution=1.0): rng.negative_binomial(3, 0.1, rows),
        },
        {
            Column("a", "ordinal", categories=levels): np.clip(np.round(2 + z), 0, 4),
            Column("b", "ordinal", categories=levels): np.clip(np.round(2 + 2 * z), 0, 4),
        },
        {
            Column("a", "categorical", categories=levels[:3]): np.clip(np.round(1 + z), 0, 2),
            Column("b", "categorical", categories=levels[:4]): np.clip(np.round(1 + z), 0, 3),
        },
        {
            Column("a", "binary", categories=(0, 1)): z > 1,
            Column("b", "binary", categories=(0, 1)): z > 0,
        },
        {
            replace(gray, name="a"): np.clip(np.round(6 + 4 * z), 0, 15),
            replace(gray, name="b"): np.clip(np.round(9 - 2 * z), 0, 15),
        },
    ]
    whole = Column("", "count", resolution=1.0, lower=0.0)
    skewed = {
        Column("a", "continuous"): 5 + 20 * np.sinh(z),
        Column("b", "continuous", lower=0.0): np.exp(0.5 * rng.normal(size=rows) - 9),
    }
    counted = {
        replace(whole, name="a"): rng.negative_binomial(9, 0.2, rows),
        replace(whole, name="b"): rng.negative_binomial(3, 0.1, rows),
    }
    for columns in (skewed, counted):
        examples.append({_mapped(column, cells): cells for column, cells in columns.items()})
    return examples


def _mapped(column: Column, cells: np.ndarray) -> Column:
    """The column with the map that these values teach."""
    return column.scaled(np.asarray(cells, np.float64), mapped=True)


def _check_outputs(build: Callable[..., Network], inputs: Array, size: int) -> None:
    """Check what networks built from a key give for the inputs."""

    def output(key: Array, x: Array) -> Array:
        return build(key)(x)

    key = jax.random.key(0)
    alone = output(key, inputs[0])
    _hold(alone.shape == (size,), f"expected an output of shape {(size,)}, got {alone.shape}")
    among = jax.jit(jax.vmap(output, (None, 0)))(key, inputs)[0]
    for again in (output(key, inputs[0]), among):
        same = np.allclose(again, alone, rtol=1e-4, atol=1e-5)
        _hold(same, "the same key gives another output: built again, or traced in a batch")
    other = output(jax.random.key(1), inputs[0])
    _hold(not np.allclose(alone, other), "another key gives the same weights")


def _total(network: Network, x: Array) -> Array:
    return network(x).sum()


class _Affine(eqx.Module):
    """N(W y + b, S): of independent cells, or with a factor of S."""

    weight: Array
    bias: Array
    scale: Array

    def __init__(self, weight: np.ndarray, bias: np.ndarray, scale: np.ndarray) -> None:
        self.weight, self.bias, self.scale = map(single, (weight, bias, scale))

    def __call__(self, given: Array) -> dist.Distribution:
        mean = self.weight @ given + self.bias
        if self.scale.ndim == 1:
            return dist.Normal(mean, self.scale).to_event(1)
        return dist.MultivariateNormal(mean, scale_tril=self.scale)


def _linear_models() -> tuple[Model, Model, np.ndarray, np.ndarray]:
    """A linear Gaussian model with another q(z|x) and with its posterior, rows and their log p(x).

    The first four rows are complete, the last four miss a cell, which this posterior does not read.
    """
    weight = np.array([[1.5, 0.0], [0.5, 1.0], [-1.0, 0.5]])
    bias, noise = np.array([0.5, -1.0, 0.0]), np.full(3, 0.8)
    precision = np.eye(2) + weight.T @ np.diag(1 / noise**2) @ weight
    gain = np.linalg.solve(precision, weight.T / noise**2)
    p = _Affine(weight, bias, noise)
    wrong = _Affine(0.5 * gain, np.array([0.3, 0.0]), np.full(2, 0.8))
    right = _Affine(gain, -gain @ bias, np.linalg.cholesky(np.linalg.inv(precision)))
    rows = np.random.default_rng(0).normal(size=(8, 3)) * 1.5
    rows[4:, 0] = np.nan
    log_p = LinearModel(bias, weight, noise**2).log_likelihood(rows)
    prior = StandardNormal(2)
    return Model(wrong, p, prior), Model(right, p, prior), rows, log_p


def _hold(law: object, broken: str) -> None:
    """Raise where a law does not hold, under python -O too."""
    if not law:
        raise AssertionError(broken)


def _start(latent_dim: int, *, linear: bool = True) -> Start:
    """What posteriors and priors are built from: 200 rows, the first complete."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=200)
    columns = {
        Column("number", "continuous"): 5 + 20 * z,
        Column("positive", "positive"): np.exp(z),
        Column("count", "count", resolution=1.0): rng.poisson(5.0, 200),
        Column("level", "categorical", categories=("x", "y", "z")): np.clip(np.round(1 + z), 0, 2),
    }
    values = np.stack([np.asarray(cells, np.float64) for cells in columns.values()], axis=1)
    values[1:] = np.where(rng.random((199, 4)) < 0.2, np.nan, values[1:])
    schema = Schema(tuple(columns)).scaled(values)
    architecture = Architecture(latent_dim, hidden=(8,), upper_dim=1, missing=True, rows=200)
    units = schema.to_model_units(values)
    return Start.of(schema, units, architecture, jax.random.key(0), linear_start=linear)


def _built(part: object, start: Start) -> object:
    """The part at the start of training; an object that is no recipe is the part itself."""
    build = getattr(part, "build", None)
    if build is None:
        return part
    return build(start)


def _near(part: PyTree, size: float = 0.1) -> list[PyTree]:
    """The part, and one with other weights."""
    rng = np.random.default_rng(1)
    weights, rest = eqx.partition(part, trainable(part))
    moved = jax.tree.map(lambda leaf: leaf + size * single(rng.normal(size=leaf.shape)), weights)
    return [part, eqx.combine(moved, rest)]


@eqx.filter_jit
def _read(posterior: object, x: Array) -> dist.Distribution:
    """q(z|x), as a model reads it: one that does not read missing cells is given 0."""
    if not isinstance(posterior, ReadsMissing):
        x = jnp.where(jnp.isnan(x), 0.0, x)
    return posterior(x)  # type: ignore[operator]


@eqx.filter_jit
def _means(posterior: object, rows: Array) -> Array:
    return jax.vmap(lambda x: mean_of(_read(posterior, x)))(rows)


def _check_finite(
    value: Callable[[PyTree, Array], Array], part: PyTree, points: Array, name: str
) -> None:
    """Check value(part, x) and its gradient in the part at each of the points."""
    slope = eqx.filter_vmap(eqx.filter_value_and_grad(value), in_axes=(None, 0))
    for leaf in jax.tree.leaves(eqx.filter_jit(slope)(part, points)):
        _hold(np.isfinite(leaf).all(), f"{name} or its gradient is not finite at an extreme")


@eqx.filter_jit
def _draws(p: dist.Distribution, key: Array, count: int) -> Array:
    return p.sample(key, (count,))


@eqx.filter_jit
def _log_probs(p: dist.Distribution, points: Array) -> Array:
    return jax.vmap(p.log_prob)(points)


def _check_density(p: dist.Distribution, draws: int = 20_000) -> None:
    """Check that p is one distribution over a vector, normalized, and that its draws follow it."""
    vector = p.batch_shape == () and len(p.event_shape) == 1
    shapes = f"{p.batch_shape} and {p.event_shape}"
    _hold(vector, f"expected batch shape () and event shape (n,), got {shapes}")
    drawn = np.asarray(_draws(p, jax.random.key(1), draws), np.float64)
    _hold(np.isfinite(drawn).all(), "a draw is not finite")
    again = _draws(p, jax.random.key(1), draws)
    _hold(np.array_equal(drawn, again), "the same key gives another draw")
    if p.support.is_discrete:
        _check_probabilities(p, drawn)
    else:
        _check_integrals(p, drawn)


def _check_probabilities(p: dist.Distribution, drawn: np.ndarray) -> None:
    """Check the sum of the probabilities of what was drawn, and how often each was."""
    points, counts = np.unique(drawn, axis=0, return_counts=True)
    mass = np.exp(np.asarray(_log_probs(p, single(points)), np.float64))
    _hold(abs(mass.sum() - 1) < 5e-3, f"the probabilities sum to {mass.sum():.4f}")
    error = np.abs(counts / len(drawn) - mass) - 5 * np.sqrt(mass / len(drawn))
    _hold(error.max() < 1e-3, "draws do not follow the probabilities")


def _check_integrals(p: dist.Distribution, drawn: np.ndarray) -> None:
    """Check the integrals of 1, z and z^2 under the density, by draws of a wider Student-t."""
    draws = len(drawn)
    center, covariance = drawn.mean(0), 1.5 * np.atleast_2d(np.cov(drawn.T))
    smallest = np.linalg.eigvalsh(covariance)[0]
    _hold(smallest > 0, "its draws have no spread: it has no density over all latents")
    proposal = stats.multivariate_t(center, covariance, df=5, seed=2)
    z = proposal.rvs(draws).reshape(draws, -1)
    log_p = np.asarray(_log_probs(p, single(z)), np.float64)
    weights = np.exp(log_p - proposal.logpdf(z))
    total, error = weights.mean(), weights.std() / np.sqrt(draws)
    _hold(abs(total - 1) < 5 * error + 1e-3, f"the density integrates to {total:.3f}")
    deviation = np.sqrt(np.diag(covariance))
    for power in (1, 2):
        wanted = weights[:, None] * ((z - center) / deviation) ** power
        got = ((drawn - center) / deviation) ** power
        gap = np.abs(wanted.mean(0) - got.mean(0))
        error = np.hypot(wanted.std(0), got.std(0)) / np.sqrt(draws)
        _hold((gap < 5 * error + 1e-3).all(), "draws do not follow the density")


def _mean_and_error(
    value: Callable[[Model, Array, Array], Array], model: Model, rows: np.ndarray, keys: int
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of an objective over keys and its standard error, each (rows,)."""
    over_keys = jax.vmap(value, (None, None, 0))
    over_rows = eqx.filter_jit(eqx.filter_vmap(over_keys, in_axes=(None, 0, None)))
    values = np.asarray(over_rows(model, single(rows), jax.random.split(jax.random.key(1), keys)))
    values = values.astype(np.float64)
    return values.mean(1), values.std(1) / np.sqrt(keys)


def _suits(likelihood: type[Likelihood], columns: Example) -> bool:
    """Whether the likelihood is for such columns."""
    column = next(iter(columns))
    if likelihood.takes(column):
        return True
    if column.marginal is not None:
        return False
    return likelihood.kind == column.kind and likelihood.suits(column)


def _check_columns(likelihood: type[Likelihood], columns: Example) -> None:
    values = np.stack([np.asarray(cells, np.float64) for cells in columns.values()], axis=1)
    mapped = [column.name for column in columns if column.marginal is not None]
    schema = Schema(tuple(columns)).scaled(values, mapped)
    units = schema.to_model_units(values)
    asked = dict.fromkeys(schema.names, likelihood)
    architecture = Architecture(2, hidden=(4,), likelihoods=asked)
    start = Start.of(schema, units, architecture, jax.random.key(0), linear_start=False)
    _hold(len(start.likelihoods) == 1, f"{likelihood.__name__} does not share these columns")
    (part,) = start.likelihoods
    supports = [_support(column) for column in schema.columns]
    most = max(len(points) for points, _ in supports)
    points = np.stack([np.pad(p, (0, most - len(p)), mode="edge") for p, _ in supports], axis=1)
    measure = np.stack([np.pad(m, (0, most - len(m))) for _, m in supports], axis=1)
    points = schema.to_model_units(points)
    raw = np.asarray(part.start(units), np.float32)
    moved = raw + single(0.4 * np.random.default_rng(1).normal(size=raw.shape))
    drawn = _check_mass(part, raw, points, measure)
    spread = units.std(0, dtype=np.float64)
    gap = np.abs(drawn.mean(0) - units.mean(0, dtype=np.float64))
    marginal = gap < 0.1 * spread + 0.05 * np.abs(units.mean(0))
    _hold(marginal.all(), "at the start, the mean of draws is not that of the training rows")
    _check_mass(part, moved, points, measure)
    _check_cells(part, jnp.asarray(moved), units, points)


def _support(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Values a column can take, in its units, and what each counts: 1, or the step of a grid."""
    if column.marginal is not None:
        return _mapped_support(column, column.marginal)
    if column.categories:
        points = np.arange(float(len(column.categories)))
    elif column.kind == "count":
        points = np.arange(0.0, 1500.0)
    elif column.kind == "pixel":
        points = np.arange(0.0, round((column.upper or 0.0) / column.resolution) + 1)
        points = points * column.resolution
    elif column.resolution > 0:
        points = np.arange(-3000.0, 3000.0) * column.resolution
    else:
        ends = {"positive": (-25.0, 25.0), "proportion": (0.0, 1.0)}.get(column.kind, (-40.0, 40.0))
        edges = np.linspace(*ends, 20_001)
        if column.kind == "positive":
            edges = np.exp(edges) * column.scale
        if column.kind == "continuous":
            edges = column.location + column.scale * edges
        points = np.append((edges[1:] + edges[:-1]) / 2, column.atoms)
        return points, np.append(np.diff(edges), np.ones(len(column.atoms)))
    return points, np.ones(len(points))


def _mapped_support(column: Column, marginal: Marginal) -> tuple[np.ndarray, np.ndarray]:
    """Values of a column with a map, and what each counts, out to where no mass is left."""
    if column.resolution > 0:
        first, last = marginal.from_units(np.array([-9.0, 9.0]))
        points = np.arange(first, last + column.resolution / 2, column.resolution)
        return points, np.ones(len(points))
    edges = marginal.from_units(np.linspace(-12.0, 12.0, 20_001))
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges)


def _check_mass(
    part: Likelihood, raw: ArrayLike, points: np.ndarray, measure: np.ndarray, draws: int = 20_000
) -> np.ndarray:
    """Check that a likelihood sums to 1, and that draws follow it; these draws, (draws, d)."""
    p = part(jnp.asarray(raw))
    over_points = eqx.filter_jit(eqx.filter_vmap(type(part).log_prob, in_axes=(None, None, 0)))
    log_p = np.asarray(over_points(part, p, single(points)), np.float64)
    mass = np.exp(log_p) * measure
    total = mass.sum(0)
    _hold((np.abs(total - 1) < 2e-3).all(), f"it sums to {total} in the units of the data, not 1")
    drawn = np.asarray(_draws(p, jax.random.key(1), draws), np.float64)
    for place in range(points.shape[1]):
        order = np.argsort(points[:, place])
        ordered = points[order, place].astype(np.float64)
        middle = (ordered[1:] + ordered[:-1]) / 2
        below = np.searchsorted(np.sort(drawn[:, place]), middle, side="right") / draws
        gap = np.abs(below - np.cumsum(mass[order, place])[:-1]).max()
        # Kolmogorov-Smirnov at one in a million, and the step of the grid.
        _hold(gap < 2.7 / np.sqrt(draws) + 3e-3, f"draws do not follow it: {gap:.3f} apart")
    return drawn


def _check_cells(part: Likelihood, raw: Array, units: np.ndarray, points: np.ndarray) -> None:
    """Check missing cells, rows among others, imputed values, and extremes."""

    def cells(raw: Array, x: Array) -> Array:
        return Product((part,), (part(raw),)).cells(x)

    slope = jax.jit(jax.vmap(jax.value_and_grad(lambda raw, x: cells(raw, x).sum()), (0, None)))
    row = single(units[0])
    alone = cells(raw, row)
    missing = cells(raw, row.at[0].set(jnp.nan))
    _hold(missing[0] == 0, f"a missing cell is worth {missing[0]} nats, not 0")
    _hold(np.allclose(missing[1:], alone[1:]), "a missing cell changes the nats of another")
    among = jax.jit(jax.vmap(cells, (None, 0)))(raw, single(units[:7]))[0]
    _hold(np.allclose(among, alone, rtol=1e-4, atol=1e-4), "a row has other nats among others")
    point = np.asarray(part.point(part.expectation(part(raw))))
    inside = (point >= points.min(0)) & (point <= points.max(0))
    _hold(inside.all(), f"an imputed value is outside the support: {point}")
    signs = np.array(list(product((-1.0, 0.0, 1.0), repeat=part.parameters))[:81])
    extreme = np.repeat(np.concatenate([1e2 * signs, 1e4 * signs])[:, None], len(point), axis=1)
    for x in (points[0], points[len(points) // 2], points[-1], np.full_like(points[0], np.nan)):
        for numbers in slope(single(extreme), single(x)):
            finite = np.isfinite(numbers).all()
            _hold(finite, f"a value or gradient is not finite at x = {x} and extreme raw numbers")
