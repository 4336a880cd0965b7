"""Likelihoods of continuous columns and of numbers on a grid."""

from collections.abc import Hashable
from typing import Any, ClassVar, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array
from paramax import NonTrainable

from aevb.distributions.cells import Atoms, ContinuousBernoulli, DiscretizedLogistic
from aevb.likelihoods.base import (
    LIKELIHOODS,
    Columns,
    Likelihood,
    Located,
    deviations,
    inverse_softplus,
    level_counts,
    means,
    single,
)
from aevb.table.schema import Column

__all__ = [
    "AtomsAndRest",
    "DiscretizedLogisticColumns",
    "Gamma",
    "Gaussian",
    "LogNormal",
    "Proportion",
    "StudentT",
]


@LIKELIHOODS.register("gaussian")
class Gaussian(Located):
    """log p(x|z) = log N(x; mu, sigma^2), eq. 12.

    mu = W_4 h + b_4, and log sigma^2 = W_5 h + b_5 or one sigma per column.
    """

    @classmethod
    def takes(cls, column: Column) -> bool:
        """Numbers that lie on no grid."""
        if column.marginal is not None:
            return False
        return column.kind == "continuous" and column.resolution == 0

    @property
    def closed_form(self) -> bool:
        """The weighted mean and deviation are."""
        return True

    def __call__(self, raw: Array) -> dist.Distribution:
        """N(mu, sigma^2) of each column."""
        return dist.Normal(*self.location_scale(raw))


@LIKELIHOODS.register("student_t")
class StudentT(Located):
    """Numbers with outliers: Student's t, whose degrees of freedom each column learns."""

    #: n = 2.1 + log(1 + e^raw), so that variances are finite, up to `most_degrees`; (d,).
    raw_degrees: Array

    most_degrees: ClassVar[float] = 1e3

    @classmethod
    def build(cls, columns: Columns, *, degrees: float = 5.0, **own: Any) -> Self:
        """The likelihood, its degrees of freedom at `degrees` before training."""
        raw = inverse_softplus(np.full(len(columns.places), degrees - 2.1))
        return super().build(columns, raw_degrees=single(raw), **own)

    @property
    def degrees(self) -> Array:
        """Degrees of freedom, shape (d,)."""
        return jnp.minimum(2.1 + jax.nn.softplus(self.raw_degrees), self.most_degrees)

    def __call__(self, raw: Array) -> dist.Distribution:
        """Student's t of each column, by its mean and deviation."""
        location, deviation = self.location_scale(raw)
        scale = deviation * jnp.sqrt((self.degrees - 2) / self.degrees)
        return dist.StudentT(self.degrees, location, scale)


@LIKELIHOODS.register("discretized_logistic")
class DiscretizedLogisticColumns(Located):
    """Numbers on a grid, such as pixels of 8 bits, ages and hours; see `DiscretizedLogistic`."""

    resolution: NonTrainable[Array]
    low: NonTrainable[Array]
    high: NonTrainable[Array]
    anchor: NonTrainable[Array]

    density: ClassVar[bool] = False

    @classmethod
    def takes(cls, column: Column) -> bool:
        """Pixels, and numbers on a grid."""
        if column.marginal is not None:
            return False
        gridded = column.kind == "continuous" and column.resolution > 0
        return gridded or column.kind == "pixel"

    @classmethod
    def suits(cls, column: Column) -> bool:
        """Numbers that have a grid."""
        return column.resolution > 0

    @classmethod
    def group(cls, column: Column) -> Hashable:
        """Pixels apart from other numbers."""
        return column.kind

    @classmethod
    def build(cls, columns: Columns, **own: Any) -> Self:
        """The grid of each column, in model units."""
        return super().build(
            columns,
            resolution=columns.fixed(lambda column: column.resolution / column.scale),
            low=columns.fixed(lambda column: column.in_units(column.lower, -np.inf)),
            high=columns.fixed(lambda column: column.in_units(column.upper, np.inf)),
            anchor=columns.fixed(lambda column: column.in_units(column.lower or 0.0)),
            **own,
        )

    def __call__(self, raw: Array) -> dist.Distribution:
        """The mass of each column on its grid."""
        location, deviation = self.location_scale(raw)
        scale = deviation / (np.pi / np.sqrt(3))  # the deviation of a standard logistic
        grid = (self.resolution.tree, self.low.tree, self.high.tree, self.anchor.tree)
        return DiscretizedLogistic(location, scale, *grid)


class LogBounds(NamedTuple):
    """Bounds on log x, 13 decades either way, and on its deviation: draws stay within float32."""

    location: float = 30.0
    scale: float = 10.0


class _OfLog(Located):
    """Positive numbers whose location and scale are those of log x, in its standard units."""

    #: The mean and the deviation of log x over training rows, shape (d,).
    center: NonTrainable[Array]
    spread: NonTrainable[Array]

    kind: ClassVar[str] = "positive"
    inside: ClassVar[float] = 1.0
    log_bounds: ClassVar[LogBounds] = LogBounds()
    least_spread: ClassVar[float]

    @classmethod
    def build(cls, columns: Columns, **own: Any) -> Self:
        """Log x in standard units."""
        logs = np.log(np.maximum(columns.units, 1e-30))
        return super().build(
            columns,
            center=NonTrainable(single(means(logs, 0.0))),
            spread=NonTrainable(single(np.maximum(deviations(logs), cls.least_spread))),
            **own,
        )

    def standardized(self, units: np.ndarray) -> np.ndarray:
        """log x in deviations from its mean."""
        logs = np.log(np.maximum(units, 1e-30))
        return (logs - np.asarray(self.center.tree)) / np.asarray(self.spread.tree)

    def shift_and_deviation(self, raw: Array) -> tuple[Array, Array]:
        """The location of log x minus `center`, and its deviation, within `log_bounds`; (d,)."""
        location, scale = self.location_scale(raw)
        bounds = self.log_bounds
        shift = jnp.clip(self.spread.tree * location, -bounds.location, bounds.location)
        return shift, jnp.minimum(self.spread.tree * scale, bounds.scale)

    def log_prob(self, distribution: dist.Distribution, x: Array) -> Array:
        """Nats of each cell; zero or less cannot come from here and counts as the least float."""
        return distribution.log_prob(jnp.maximum(x, 1e-30)) - self.log_units.tree


@LIKELIHOODS.register("log_normal")
class LogNormal(_OfLog):
    """Positive numbers: log x is Gaussian, in units of its mean and deviation in training."""

    default: ClassVar[bool] = True
    least_spread: ClassVar[float] = 1e-6

    @property
    def closed_form(self) -> bool:
        """The weighted mean and deviation of the logarithm are."""
        return True

    def __call__(self, raw: Array) -> dist.Distribution:
        """The log-normal of each column."""
        shift, deviation = self.shift_and_deviation(raw)
        return dist.LogNormal(self.center.tree + shift, deviation)


class _StableGamma(dist.Gamma):
    """The gamma, without the digits that k log(k u) - k u - log Gamma(k) loses for large k.

    With u = x / mean it is k (log u - u + 1) - log x + [k log k - k - log Gamma(k)], and the
    bracket is log(k / 2 pi) / 2 - 1 / (12 k) + 1 / (360 k^3) for k above 16 (Stirling).
    """

    def log_prob(self, value: Array) -> Array:
        """Log-density of each cell, in nats."""
        k = self.concentration
        log_u = jnp.minimum(jnp.log(value) + jnp.log(self.rate) - jnp.log(k), 40.0)
        large = k > 16
        safe = jnp.where(large, k, 17.0)
        stirling = 0.5 * jnp.log(safe / (2 * jnp.pi)) - 1 / (12 * safe) + 1 / (360 * safe**3)
        small = jnp.where(large, 1.0, k)
        exact = small * jnp.log(small) - small - jax.scipy.special.gammaln(small)
        constant = jnp.where(large, stirling, exact)
        return k * (log_u - jnp.expm1(log_u)) - jnp.log(value) + constant


@LIKELIHOODS.register("gamma")
class Gamma(_OfLog):
    """Positive numbers with a tail shorter than the log-normal's: x ~ Gamma(k, rate).

    The location is the mean m of log x, in units of its mean and deviation over training rows, and
    the scale s is close to its deviation: k = (1 + sqrt(1 + 2 s^2)) / (2 s^2), which solves
    1 / k + 1 / (2 k^2) = s^2, and rate = exp(digamma(k) - m).
    """

    least_spread: ClassVar[float] = 1e-3

    def __call__(self, raw: Array) -> dist.Distribution:
        """The gamma of each column."""
        shift, deviation = self.shift_and_deviation(raw)
        variance = deviation**2
        k = (1 + jnp.sqrt(1 + 2 * variance)) / (2 * variance)
        log_rate = jax.scipy.special.digamma(k) - self.center.tree - shift
        return _StableGamma(k, jnp.exp(log_rate))


@LIKELIHOODS.register("continuous_bernoulli")
class Proportion(Likelihood):
    """Values in [0, 1]: the continuous Bernoulli.

    The usual cross-entropy on gray values leaves out its normalizer.
    """

    kind: ClassVar[str] = "proportion"
    default: ClassVar[bool] = True
    inside: ClassVar[float] = 0.5
    parameters = 1  # the logit

    def __call__(self, raw: Array) -> dist.Distribution:
        """The continuous Bernoulli of each column."""
        return ContinuousBernoulli(jnp.clip(raw[..., 0], -1e4, 1e4))

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The logit whose mean is the column's, by the slope 1/12 of the mean at 0."""
        mean = np.clip(means(units, 0.5, weights), 0.02, 0.98)
        return np.asarray(12 * (mean - 0.5) / (4 * mean * (1 - mean)))[..., None]


class AtomsAndRest(Likelihood):
    """Some values hold a mass of their own; the rest is another likelihood of the same columns.

    The atoms' log-weights come from the decoder, one for each atom and one for the rest.
    """

    rest: Likelihood
    atoms: NonTrainable[Array]
    on_grid: bool = eqx.field(static=True)

    @classmethod
    def around(cls, part: type[Likelihood], columns: Columns) -> Self:
        """Atoms where these columns have them, and this likelihood of all other values."""
        most = max(len(column.atoms) for column in columns.columns)
        atoms = np.full((len(columns.places), most), np.nan)
        for row, column in zip(atoms, columns.columns, strict=True):
            row[: len(column.atoms)] = [column.in_units(atom) for atom in column.atoms]
        rest = part.build(columns.without(atoms))
        return cls(
            columns=columns.places,
            log_units=rest.log_units,
            rest=rest,
            atoms=NonTrainable(single(atoms)),
            on_grid=not part.density,
        )

    @property
    def parameters(self) -> int:
        """Those of the rest, then K + 1 log-weights."""
        return self.rest.parameters + int(self.atoms.tree.shape[-1]) + 1

    def __call__(self, raw: Array) -> dist.Distribution:
        """Point masses and the rest."""
        split = self.rest.parameters
        return Atoms(
            self.rest(raw[..., :split]), self.atoms.tree, raw[..., split:], on_grid=self.on_grid
        )

    @property
    def closed_form(self) -> bool:
        """The shares are, unless the rest has a share of an atom's mass too."""
        return self.rest.closed_form and not self.on_grid

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The observed share of each atom, and the marginal of the values that are none."""
        at = units[..., None] == np.asarray(self.atoms.tree)
        elsewhere = np.isfinite(units) & ~at.any(-1)
        counts = level_counts([elsewhere, *np.moveaxis(at, -1, 0)], weights)
        rest = self.rest.start(np.where(at.any(-1), np.nan, units), weights)
        shares = np.log(counts / counts.sum(-1, keepdims=True))
        return np.concatenate([rest, shares], axis=-1)

    def log_prob(self, distribution: dist.Distribution, x: Array) -> Array:
        """Nats of each cell: an atom's is a mass and has no units."""
        at_atom = (x[..., None] == self.atoms.tree).any(-1)
        return distribution.log_prob(x) - jnp.where(at_atom, 0.0, self.log_units.tree)

    def expectation(self, distribution: Atoms) -> Array:
        """The mean, then the probability of each atom."""
        weights = jnp.exp(distribution.log_weights[..., 1:])
        return jnp.concatenate([distribution.mean[..., None], weights], -1)

    def point(self, expectation: Array) -> Array:
        """The mean, or the atom that holds more than half of the mass, which is also the median."""
        weights = expectation[..., 1:]
        atoms, likeliest = jnp.nan_to_num(self.atoms.tree), jnp.argmax(weights, -1)
        atom = jnp.take_along_axis(atoms, likeliest[..., None], -1)[..., 0]
        return jnp.where(weights.max(-1) > 0.5, atom, expectation[..., 0])
