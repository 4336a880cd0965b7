"""Likelihoods of continuous columns and of numbers on a grid."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from aevb.distributions.cells import Atoms, ContinuousBernoulli, DiscretizedLogistic
from aevb.likelihoods.base import Likelihood, Located, level_counts, means
from aevb.networks import Fixed

__all__ = ["AtomsAndRest", "DiscretizedLogisticColumns", "Gaussian", "LogNormal", "Proportion"]

LOGISTIC_DEVIATION = np.pi / np.sqrt(3)
#: Bounds on log x, 13 decades either way, and on its deviation: means and draws then stay within
#: float32.
LOG_RANGE, LOG_SCALE = 30.0, 10.0


class Gaussian(Located):
    """log p(x|z) = log N(x; mu, sigma^2), eq. 12: mu = W_4 h + b_4, log sigma^2 = W_5 h + b_5 or
    one sigma a column.
    """

    columns: tuple[int, ...] = eqx.field(static=True)
    log_units: Fixed
    floor: Fixed
    raw_scale: Array
    scale_given: bool = eqx.field(static=True)

    @property
    def closed_form(self) -> bool:
        """The weighted mean and deviation are."""
        return True

    def __call__(self, raw: Array) -> dist.Distribution:
        """N(mu, sigma^2) of each column."""
        return dist.Normal(*self.location_scale(raw))


class DiscretizedLogisticColumns(Located):
    """Numbers on a grid: pixels of 8 bits, ages, hours; see `DiscretizedLogistic`."""

    columns: tuple[int, ...] = eqx.field(static=True)
    log_units: Fixed
    floor: Fixed
    raw_scale: Array
    resolution: Fixed
    low: Fixed
    high: Fixed
    anchor: Fixed
    scale_given: bool = eqx.field(static=True)

    def __call__(self, raw: Array) -> dist.Distribution:
        """The mass of each column on its grid."""
        location, deviation = self.location_scale(raw)
        grid = (part.value for part in (self.resolution, self.low, self.high, self.anchor))
        return DiscretizedLogistic(location, deviation / LOGISTIC_DEVIATION, *grid)


class LogNormal(Located):
    """Positive numbers: log x is Gaussian, around the mean and in the deviation log x has in the
    training rows.
    """

    columns: tuple[int, ...] = eqx.field(static=True)
    log_units: Fixed
    floor: Fixed
    raw_scale: Array
    center: Fixed
    spread: Fixed
    scale_given: bool = eqx.field(static=True)
    inside: ClassVar[float] = 1.0

    @property
    def closed_form(self) -> bool:
        """The weighted mean and deviation of the logarithm are."""
        return True

    def standardized(self, units: np.ndarray) -> np.ndarray:
        """log x in deviations from its mean."""
        logs = np.log(np.maximum(units, 1e-30))
        return (logs - np.asarray(self.center.value)) / np.asarray(self.spread.value)

    def __call__(self, raw: Array) -> dist.Distribution:
        """The log-normal of each column, within `LOG_RANGE` of the geometric mean and of no more
        than `LOG_SCALE`.
        """
        location, scale = self.location_scale(raw)
        location = jnp.clip(self.spread.value * location, -LOG_RANGE, LOG_RANGE)
        return dist.LogNormal(
            self.center.value + location, jnp.minimum(self.spread.value * scale, LOG_SCALE)
        )

    def log_prob(self, distribution: dist.Distribution, x: Array) -> Array:
        """Nats of each cell; a value of zero or less cannot have come from here and is held at the
        least float.
        """
        return distribution.log_prob(jnp.maximum(x, 1e-30)) - self.log_units.value


class Proportion(Likelihood):
    """Values in [0, 1]: the continuous Bernoulli; the usual cross-entropy on grey values leaves out
    its normaliser.
    """

    columns: tuple[int, ...] = eqx.field(static=True)
    log_units: Fixed
    inside: ClassVar[float] = 0.5

    @property
    def parameters(self) -> int:
        """The logit."""
        return 1

    def __call__(self, raw: Array) -> dist.Distribution:
        """The continuous Bernoulli of each column."""
        return ContinuousBernoulli(jnp.clip(raw[..., 0], -1e4, 1e4))

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The logit whose mean is the column's, by the slope 1/12 of the mean at 0."""
        mean = np.clip(means(units, 0.5, weights), 0.02, 0.98)
        return np.asarray(12 * (mean - 0.5) / (4 * mean * (1 - mean)))[..., None]


class AtomsAndRest(Likelihood):
    """Columns where some values hold a mass of their own; the rest is another likelihood of the
    same columns.

    The atoms' log-weights come from the decoder, one for each atom and one for the rest.
    """

    rest: Located
    atoms: Fixed
    columns: tuple[int, ...] = eqx.field(static=True)
    on_grid: bool = eqx.field(static=True)
    log_units: Fixed

    @property
    def parameters(self) -> int:
        """Those of the rest, then K + 1 log-weights."""
        return self.rest.parameters + int(self.atoms.value.shape[-1]) + 1

    def __call__(self, raw: Array) -> dist.Distribution:
        """Point masses and the rest."""
        split = self.rest.parameters
        return Atoms(
            self.rest(raw[..., :split]), self.atoms.value, raw[..., split:], on_grid=self.on_grid
        )

    @property
    def closed_form(self) -> bool:
        """The shares are, unless the rest has a share of an atom's mass too."""
        return self.rest.closed_form and not self.on_grid

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The observed share of each atom, and the marginal of the values that are none."""
        at = units[..., None] == np.asarray(self.atoms.value)
        elsewhere = np.isfinite(units) & ~at.any(-1)
        counts = level_counts([elsewhere, *np.moveaxis(at, -1, 0)], weights)
        rest = self.rest.start(np.where(at.any(-1), np.nan, units), weights)
        shares = np.log(counts / counts.sum(-1, keepdims=True))
        return np.concatenate([rest, shares], axis=-1)

    def log_prob(self, distribution: dist.Distribution, x: Array) -> Array:
        """Nats of each cell: an atom's is a mass and has no units."""
        at_atom = (x[..., None] == self.atoms.value).any(-1)
        return distribution.log_prob(x) - jnp.where(at_atom, 0.0, self.log_units.value)

    def expectation(self, distribution: Atoms) -> Array:
        """The mean, then the probability of each atom."""
        weights = jnp.exp(distribution.log_weights[..., 1:])
        return jnp.concatenate([distribution.mean[..., None], weights], -1)

    def point(self, expectation: Array) -> Array:
        """The mean, unless one atom holds more than half of the mass: then that atom, which is also
        the median.
        """
        weights = expectation[..., 1:]
        atom = jnp.take_along_axis(
            jnp.nan_to_num(self.atoms.value), jnp.argmax(weights, -1)[..., None], -1
        )[..., 0]
        return jnp.where(weights.max(-1) > 0.5, atom, expectation[..., 0])
