"""Likelihoods of levels and counts."""

from collections.abc import Hashable
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from aevb.distributions import cells as distributions
from aevb.distributions.cells import CumulativeLogistic
from aevb.likelihoods.base import (
    LIKELIHOODS,
    Columns,
    Likelihood,
    inverse_softplus,
    level_counts,
    means,
    single,
)
from aevb.table.schema import Column

__all__ = ["Bernoulli", "Categorical", "NegativeBinomial", "Ordinal", "Poisson"]


@LIKELIHOODS.register("bernoulli")
class Bernoulli(Likelihood):
    """log p(x|z) = x log y + (1 - x) log(1 - y), eq. 11, y the sigmoid of the decoder's number."""

    kind: ClassVar[str] = "binary"
    default: ClassVar[bool] = True
    parameters = 1  # the logit

    def __call__(self, raw: Array) -> dist.Distribution:
        """The Bernoulli of each column."""
        return distributions.Bernoulli(raw[..., 0])

    @property
    def closed_form(self) -> bool:
        """The log-odds are."""
        return True

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The log-odds of the column."""
        counts = _level_counts(units, 2, weights)
        return np.log(counts[..., 1:] / counts[..., :1])

    def point(self, expectation: Array) -> Array:
        """The more probable level."""
        return (expectation[..., 0] >= 0.5).astype(expectation.dtype)


class _Leveled(Likelihood):
    """One of K levels; columns with fewer are padded."""

    levels: tuple[int, ...] = eqx.field(static=True)

    @classmethod
    def group(cls, column: Column) -> Hashable:
        """Columns of about as many levels, by doublings of one, so that padding stays small."""
        return int(np.ceil(np.log2(len(column.categories))))

    def point(self, expectation: Array) -> Array:
        """The most probable level."""
        return jnp.argmax(expectation, -1).astype(expectation.dtype)


@LIKELIHOODS.register("categorical")
class Categorical(_Leveled):
    """One of K unordered levels: p(k) = softmax of K numbers."""

    kind: ClassVar[str] = "categorical"

    @classmethod
    def takes(cls, column: Column) -> bool:
        """Levels without an order, and a single level, which has no cut point."""
        single_level = column.kind == "ordinal" and len(column.categories) <= 1
        return column.kind == cls.kind or single_level

    @classmethod
    def build(cls, columns: Columns) -> Self:
        """As many levels as each column has."""
        return cls(columns.places, columns.no_scale, columns.levels)

    @property
    def parameters(self) -> int:
        """As many logits as the column with the most levels has."""
        return max(self.levels)

    def __call__(self, raw: Array) -> dist.Distribution:
        """The categorical of each column; padding has no probability."""
        present = np.arange(self.parameters) < np.array(self.levels)[:, None]
        return dist.Categorical(logits=jnp.where(present, raw, -1e9))

    def log_prob(self, distribution: dist.Distribution, x: Array) -> Array:
        """Nats of each level's index."""
        return distribution.log_prob(x.astype(int))

    @property
    def closed_form(self) -> bool:
        """The frequencies are."""
        return True

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The log-frequencies of the column."""
        return np.log(_level_counts(units, self.parameters, weights))

    def expectation(self, distribution: dist.Distribution) -> Array:
        """The probability of every level."""
        return jax.nn.softmax(distribution.logits, -1)


@LIKELIHOODS.register("ordinal")
class Ordinal(_Leveled):
    """One of K ordered levels: a logistic variable cut at K - 1 learned places.

    See `aevb.distributions.cells.CumulativeLogistic`.
    """

    first_cut: Array
    raw_gaps: Array

    kind: ClassVar[str] = "ordinal"
    default: ClassVar[bool] = True
    parameters = 2  # a location and a log-scale

    @classmethod
    def suits(cls, column: Column) -> bool:
        """A single level has no cut point."""
        return len(column.categories) > 1

    @classmethod
    def build(cls, columns: Columns) -> Self:
        """Cut points at the log-odds of the cumulative frequencies: at the start the marginal."""
        most = max(columns.levels)
        counts = _level_counts(columns.units, most)
        present = np.arange(most) < np.array(columns.levels)[:, None]
        counts = np.where(present, counts, 0.0)
        below = np.cumsum(counts, 1)[:, :-1] / counts.sum(1, keepdims=True)
        below = np.minimum(below, 1 - 1e-6)
        cuts = np.log(below / (1 - below))
        gaps = inverse_softplus(np.maximum(np.diff(cuts, axis=1), 1e-3))
        return cls(
            columns.places, columns.no_scale, columns.levels, single(cuts[:, 0]), single(gaps)
        )

    @property
    def cutpoints(self) -> Array:
        """Increasing by construction, shape (d, K - 1); inf past a column's own."""
        gaps = jnp.cumsum(jax.nn.softplus(self.raw_gaps), 1)
        from_first = jnp.concatenate([jnp.zeros((len(self.levels), 1)), gaps], 1)
        cuts = self.first_cut[:, None] + from_first
        present = np.arange(max(self.levels) - 1) < np.array(self.levels)[:, None] - 1
        return jnp.where(present, cuts, jnp.inf)

    def __call__(self, raw: Array) -> dist.Distribution:
        """The cumulative logistic of each column."""
        scale = jnp.exp(jnp.clip(raw[..., 1], -4.0, 4.0))
        return CumulativeLogistic(raw[..., 0], scale, self.cutpoints)

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The standard logistic: the cut points hold the marginal, whatever the weights."""
        leading = () if weights is None else weights.shape[:-2]
        return np.zeros((*leading, len(self.columns), 2))

    def expectation(self, distribution: CumulativeLogistic) -> Array:
        """The probability of every level."""
        return distribution.probs


@LIKELIHOODS.register("poisson")
class Poisson(Likelihood):
    """Counts with variance equal to their mean; the decoder gives the log-rate."""

    kind: ClassVar[str] = "count"
    parameters = 1  # the log-rate

    def __call__(self, raw: Array) -> dist.Distribution:
        """The Poisson of each column."""
        return distributions.Poisson(_rate(raw[..., 0]))

    @property
    def closed_form(self) -> bool:
        """The mean is."""
        return True

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The log of the mean."""
        return np.log(_mean_count(units, weights))[..., None]


@LIKELIHOODS.register("negative_binomial")
class NegativeBinomial(Likelihood):
    """Counts with variance m + m^2 / c; the decoder gives log m and log c."""

    kind: ClassVar[str] = "count"
    default: ClassVar[bool] = True
    parameters = 2  # the logs of the mean and of the concentration

    def __call__(self, raw: Array) -> dist.Distribution:
        """The negative binomial; c is at least e^-6, and at most e^8 in float32 or e^16 in float64.

        Beyond that it is Poisson to that precision.
        """
        most = 8.0 if raw.dtype == jnp.float32 else 16.0
        concentration = jnp.exp(jnp.clip(raw[..., 1], -6.0, most))
        return dist.NegativeBinomial2(_rate(raw[..., 0]), concentration)

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """By moments: c = m^2 / (variance - m) where the counts vary more than Poisson's."""
        mean = _mean_count(units, weights)
        if weights is None:
            variance = means((units - mean) ** 2, 0.0)
        else:
            variance = means(np.square(units, dtype=np.float64), 0.0, weights) - mean**2
        excess = np.maximum(variance - mean, 1e-3 * mean)
        concentration = np.clip(mean**2 / excess, np.exp(-4), np.exp(6))
        return np.log(np.stack([mean, concentration], axis=-1))


def _rate(log_rate: Array) -> Array:
    return jnp.exp(jnp.clip(log_rate, -15.0, 18.0))


def _mean_count(units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The mean, above zero: with half an observation of 1 where each cell counts once."""
    observed = np.isfinite(units)
    if weights is not None:
        return np.maximum(means(units, 1.0, weights), 1e-6)
    return np.asarray((np.where(observed, units, 0.0).sum(0) + 0.5) / (observed.sum(0) + 0.5))


def _level_counts(units: np.ndarray, levels: int, weights: np.ndarray | None = None) -> np.ndarray:
    return level_counts((units == level for level in range(levels)), weights)
