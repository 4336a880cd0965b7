"""What every likelihood p(x|z) has in common: raw numbers in, a distribution of its columns out."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from aevb.networks import Fixed

__all__ = [
    "Likelihood",
    "Located",
    "column_sums",
    "deviations",
    "inverse_softplus",
    "level_counts",
    "means",
    "raw_scale",
]

#: A fitted scale never falls below this share of what a linear model leaves of its column, nor
#: below the grid the data were recorded on: a decoder free to shrink it would score single training
#: rows, not the distribution.
SCALE_FLOOR = 0.2
#: Nor does it rise above this many deviations.
SCALE_CEILING = 1e3


class Likelihood(eqx.Module):
    """p(x|z) of d columns of one kind, independent given z.

    Attributes
    ----------
    columns
        Their places in a row.
    log_units
        log(scale) of each column where the likelihood is a density, 0 where it is a mass:
        subtracted from the log-density of u to give that of x in the units of the data, log p(x) =
        log p(u) - log(scale).
    """

    columns: eqx.AbstractVar[tuple[int, ...]]
    log_units: eqx.AbstractVar[Fixed]
    #: A value of the support.
    inside: ClassVar[float] = 0.0

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many raw numbers a decoder must give for each column."""

    @abstractmethod
    def __call__(self, raw: Array) -> dist.Distribution:
        """The distribution of the columns in model units, batch shape (d,), from raw numbers (d,
        parameters).
        """

    @abstractmethod
    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Raw numbers that give each column its marginal, shape (..., d, parameters).

        Parameters
        ----------
        units
            Training values of the columns in model units, shape (rows, d), NaN where missing.
        weights
            Weights of the cells, shape (..., rows, d); the leading axes are those of the result.
            None counts each cell once, with half an observation of every level.
        """

    @property
    def closed_form(self) -> bool:
        """Whether `start` with weights is the maximum-likelihood estimate."""
        return False

    def log_prob(self, distribution: dist.Distribution, x: Array) -> Array:
        """Nats of each cell in the units of the data, shape (d,)."""
        return distribution.log_prob(x) - self.log_units.value

    def expectation(self, distribution: dist.Distribution) -> Array:
        """What is averaged over z to impute a cell, shape (d, m): its mean, or the probabilities of
        its levels.
        """
        return distribution.mean[..., None]

    def point(self, expectation: Array) -> Array:
        """The imputed value, shape (d,): the mean, or the most probable level."""
        return expectation[..., 0]


class Located(Likelihood):
    """A location-scale family: its location can start linear in z, and its scale has a floor.

    With ``scale_given`` the decoder changes the scale from row to row (eq. 12); without it, each
    column learns one.
    """

    scale_given: eqx.AbstractVar[bool]
    raw_scale: eqx.AbstractVar[Array]
    floor: eqx.AbstractVar[Fixed]

    @property
    def parameters(self) -> int:
        """A location, and a change of the scale where the decoder gives it."""
        return 2 if self.scale_given else 1

    def location_scale(self, raw: Array) -> tuple[Array, Array]:
        """The location and the bounded scale, both (d,): s = floor (1 + e^raw), at most
        `SCALE_CEILING`.
        """
        raw_scale = self.raw_scale + raw[..., 1] if self.scale_given else self.raw_scale
        return raw[..., 0], jnp.minimum(
            self.floor.value * (1 + jnp.exp(jnp.minimum(raw_scale, 20.0))), SCALE_CEILING
        )

    def standardized(self, units: np.ndarray) -> np.ndarray:
        """The units of the location and the scale."""
        return units

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Zeros, the origin of the units and the scale of each column; with weights, by moments."""
        if weights is None:
            return np.zeros((len(self.columns), self.parameters))
        standard = self.standardized(np.asarray(units, dtype=np.float64))
        location = means(standard, 0.0, weights)
        if not self.scale_given:
            return location[..., None]
        variance = np.maximum(means(standard**2, 0.0, weights) - location**2, 0.0)
        raw = np.asarray(raw_scale(np.sqrt(variance), np.asarray(self.floor.value)))
        return np.stack([location, raw - np.asarray(self.raw_scale)], axis=-1)


def raw_scale(deviation: np.ndarray, floor: np.ndarray) -> Array:
    """The raw number that gives a scale: log(s / floor - 1); just above the floor where the scale
    is below it.
    """
    return jnp.asarray(np.log(np.maximum(deviation / floor - 1, 1e-2)), jnp.float32)


def inverse_softplus(y: np.ndarray) -> np.ndarray:
    """x with log(1 + e^x) = y > 0."""
    return np.asarray(y + np.log(-np.expm1(-y)))


def column_sums(cells: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The sum of each column of (rows, d), each cell weighted or counted once; shape (..., d)."""
    if weights is None:
        return np.asarray(cells.sum(0))
    return np.asarray(np.einsum("...nd,nd->...d", weights, cells))


def level_counts(levels: Iterable[np.ndarray], weights: np.ndarray | None = None) -> np.ndarray:
    """How often each level is met, shape (..., d, levels), never zero.

    `levels` holds one array of truth values (rows, d) per level. Where each cell counts once, each
    level has half an observation more.
    """
    counts = np.stack([column_sums(at, weights) for at in levels], axis=-1)
    return counts + 0.5 if weights is None else np.maximum(counts, 1e-6)


def means(units: np.ndarray, empty: float, weights: np.ndarray | None = None) -> np.ndarray:
    """The mean of each column's observed values, shape (..., d); `empty` where there are none."""
    observed = np.isfinite(units)
    count = column_sums(observed, weights)
    total = column_sums(np.where(observed, units, 0.0), weights)
    return np.where(count > 0, total / np.where(count > 0, count, 1), empty)


def deviations(units: np.ndarray) -> np.ndarray:
    """The standard deviation of each column's observed values, shape (d,); 1 where they do not
    vary.
    """
    observed = np.isfinite(units)
    squares = np.where(observed, units - means(units, 0.0), 0.0) ** 2
    variance = squares.sum(0) / np.maximum(observed.sum(0), 1)
    return np.where(variance > 0, np.sqrt(variance), 1.0)
