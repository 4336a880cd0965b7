"""What every q(z|x) starts from: features of a row, the linear posterior and a residual to it."""

from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from paramax import NonTrainable

from aevb.likelihoods.base import single
from aevb.linear import LinearModel
from aevb.networks import Layer, Network, layers_of, pick
from aevb.table.schema import Column, Schema

__all__ = ["LOG_VARIANCE_BOUNDS", "Encoder", "Features", "LinearPosterior", "Moments"]

LOG_VARIANCE_BOUNDS = (-14.0, 8.0)
#: Kinds of columns that enter as log u (1) or log(1 + u) (2).
LOGARITHMS = {"positive": 1, "count": 2}


class Features(eqx.Module):
    """What the encoder sees of a row: numbers standardized, levels one-hot, and which are observed.

    A number enters as (u - center) / spread, of log u or log(1 + u) for some kinds of columns.
    """

    #: Places of the columns that enter as one number, and 1 for log u, 2 for log(1 + u), else 0.
    numeric: tuple[int, ...] = eqx.field(static=True)
    logarithmic: tuple[int, ...] = eqx.field(static=True)
    #: (place, levels) of the columns that enter one-hot.
    categorical: tuple[tuple[int, int], ...] = eqx.field(static=True)
    center: NonTrainable[Array]
    spread: NonTrainable[Array]

    @classmethod
    def of(cls, schema: Schema, units: np.ndarray) -> Self:
        """The features of these columns, numbers in standard units of these training rows."""
        columns = schema.columns
        numeric = [place for place, column in enumerate(columns) if column.kind != "categorical"]
        logarithmic = [_logarithm(columns[place]) for place in numeric]
        center, spread = [], []
        for place, how in zip(numeric, logarithmic, strict=True):
            mean, deviation = _mean_and_deviation(units[:, place], how)
            # A level met once in a thousand rows, divided by its deviation, would be an outlier of
            # the input.
            if columns[place].kind == "binary":
                deviation = 1.0
            center.append(mean)
            spread.append(deviation)
        categorical = [
            (place, len(column.categories))
            for place, column in enumerate(columns)
            if column.kind == "categorical"
        ]
        return cls(
            numeric=tuple(numeric),
            logarithmic=tuple(logarithmic),
            categorical=tuple(categorical),
            center=NonTrainable(single(center)),
            spread=NonTrainable(single(spread)),
        )

    def matrix(self, units: np.ndarray) -> np.ndarray:
        """The features of many rows, shape (rows, F), float64, NaN where missing."""
        values, observed = jax.vmap(self)(jnp.asarray(units))
        return np.where(np.asarray(observed), np.asarray(values, dtype=np.float64), np.nan)

    @property
    def size(self) -> int:
        """Number of features F."""
        return len(self.numeric) + sum(levels for _, levels in self.categorical)

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Features (0 where missing) and whether each was observed, both of shape (F,)."""
        number = pick(x, self.numeric)
        seen = jnp.isfinite(number)  # an infinite one stands for a value that was never met
        number = jnp.where(seen, number, 1.0)
        how = np.array(self.logarithmic, dtype=int)
        if (how == 1).any():
            number = jnp.where(how == 1, jnp.log(jnp.maximum(number, 1e-30)), number)
        if (how == 2).any():
            number = jnp.where(how == 2, jnp.log1p(jnp.maximum(number, 0.0)), number)
        features = [jnp.where(seen, (number - self.center.tree) / self.spread.tree, 0.0)]
        observed = [seen]
        for place, levels in self.categorical:
            missing = ~jnp.isfinite(x[place])
            features.append(jax.nn.one_hot(jnp.where(missing, -1, x[place]).astype(int), levels))
            observed.append(jnp.full(levels, ~missing))
        return jnp.concatenate(features), jnp.concatenate(observed)


class LinearPosterior(eqx.Module):
    """p(z|x) of the factor analysis f = m + W z + e, e ~ N(0, Psi): where the encoder starts.

    With the precision A = I + W_o' Psi_o^-1 W_o over the observed features, the mean is A^-1 W_o'
    Psi_o^-1 (f_o - m_o). A row whose missing features are filled with m + W E[z|f_o] has the same
    mean under the complete-data map B = (I + W' Psi^-1 W)^-1 W' Psi^-1, the one that training may
    change. The latent axes make A diagonal on complete rows; with a cell missing it is not, and
    where columns nearly determine each other the posterior is then a long thin ridge, which
    independent latents would miss.
    """

    #: m (F,), W (F, k) and Psi (F,).
    mean: NonTrainable[Array]
    loadings: NonTrainable[Array]
    noise: NonTrainable[Array]
    #: B, shape (k, F).
    gain: Array
    #: Whether rows have no missing cell, so that nothing need be filled.
    complete: bool = eqx.field(static=True)

    @classmethod
    def of(cls, model: LinearModel, *, complete: bool) -> Self:
        """The posterior of a fitted linear model."""
        weighted = model.loadings / model.noise[:, None]
        precision = np.eye(model.loadings.shape[1]) + model.loadings.T @ weighted
        return cls(
            mean=NonTrainable(single(model.mean)),
            loadings=NonTrainable(single(model.loadings)),
            noise=NonTrainable(single(model.noise)),
            gain=single(np.linalg.solve(precision, weighted.T)),
            complete=complete,
        )

    @classmethod
    def empty(cls, features: int, latent_dim: int, *, complete: bool) -> Self:
        """Zeros of the same shapes, to be filled from a file."""
        each = NonTrainable(jnp.zeros(features))
        loadings = jnp.zeros((features, latent_dim))
        return cls(each, NonTrainable(loadings), each, loadings.T, complete=complete)

    def __call__(self, features: Array, observed: Array) -> tuple[Array, Array, Array]:
        """Mean of z (k,), precision A (k, k), and features centered, filled.

        For complete rows the diagonal of A, (k,), in place of A.
        """
        loadings = self.loadings.tree
        weighted = loadings * (observed / self.noise.tree)[:, None]
        centered = jnp.where(observed, features - self.mean.tree, 0.0)
        if self.complete:
            return centered @ self.gain.T, 1 + jnp.sum(weighted * loadings, 0), centered
        precision = jnp.eye(loadings.shape[1]) + weighted.T @ loadings
        z = jax.scipy.linalg.solve(precision, weighted.T @ centered, assume_a="pos")
        centered = jnp.where(observed, centered, loadings @ z)
        return centered @ self.gain.T, precision, centered


class Moments(NamedTuple):
    """What an encoder says of z: mean (k,), log-variance (k,), and further outputs."""

    mean: Array
    log_variance: Array
    #: The precision over the roots of its diagonal, (k, k); None where the latents are independent.
    partial: Array | None
    rest: Array


class Encoder(eqx.Module):
    """The linear posterior plus a network's residual, scaled by the observed share of the row."""

    features: Features
    network: Network
    linear: LinearPosterior | None
    sees_missing: bool = eqx.field(static=True)

    def describe(self) -> list[Layer]:
        """The features, the linear posterior and the network."""
        features = self.features.size
        columns = len(self.features.numeric) + len(self.features.categorical)
        layers = [Layer("features of x", columns, features, 0)]
        if self.linear is not None:
            gain = self.linear.gain
            layers.append(Layer("linear posterior", features, len(gain), gain.size))
        return layers + layers_of(self.network)

    def outputs(self, x: Array) -> Array:
        """The network's numbers for a row, 0 for one without an observed cell."""
        return self._change(*self.features(x))

    def __call__(self, x: Array, latent_dim: int) -> Moments:
        """The moments of a Gaussian z given a row.

        An empty row has residual 0 and the linear model's posterior without observations: it
        encodes to N(0, I).
        """
        features, observed = self.features(x)
        mean, diagonal, partial = jnp.zeros(latent_dim), jnp.ones(latent_dim), None
        if self.linear is not None:
            mean, precision, features = self.linear(features, observed)
            diagonal = precision
            if not self.linear.complete:
                diagonal = jnp.diag(precision)
                partial = precision / jnp.sqrt(jnp.outer(diagonal, diagonal))
        change = self._change(features, observed)
        log_variance = change[latent_dim : 2 * latent_dim] - jnp.log(diagonal)
        log_variance = jnp.clip(log_variance, *LOG_VARIANCE_BOUNDS)
        return Moments(mean + change[:latent_dim], log_variance, partial, change[2 * latent_dim :])

    def _change(self, features: Array, observed: Array) -> Array:
        inputs = jnp.concatenate([features, 1.0 - observed]) if self.sees_missing else features
        return observed.mean() * self.network(inputs)


def _logarithm(column: Column) -> int:
    """Which logarithm a column enters by; none where it learned units of its own."""
    if column.marginal is not None:
        return 0
    return LOGARITHMS.get(column.kind, 0)


def _mean_and_deviation(values: np.ndarray, how: int) -> tuple[float, float]:
    """Mean and deviation of a column's observed values or their logarithms; 0 and 1 for none."""
    seen = values[np.isfinite(values)].astype(np.float64)
    if not len(seen):
        return 0.0, 1.0
    if how == 1:
        seen = np.log(np.maximum(seen, 1e-30))
    if how == 2:
        seen = np.log1p(np.maximum(seen, 0))
    deviation = float(seen.std())
    return float(seen.mean()), deviation if deviation > 0 else 1.0
