"""What every q(z|x) starts from: the features of a row, the linear posterior, and a network's
residual beside it.
"""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from aevb.networks import MLP, Fixed, Layer, pick

__all__ = ["Encoder", "Features", "LinearPosterior", "Moments", "Posterior"]

LOG_VARIANCE_BOUNDS = (-14.0, 8.0)


class Features(eqx.Module):
    """What the encoder sees of a row: numbers standardised, levels one-hot, and which of them were
    observed.

    Parameters
    ----------
    numeric
        Places of the columns that enter as one number: (u - center) / spread, of log u where
        `logarithmic` is 1 (positive columns) and of log(1 + u) where it is 2 (counts).
    categorical
        (place, levels) of the columns that enter one-hot.
    """

    numeric: tuple[int, ...] = eqx.field(static=True)
    logarithmic: tuple[int, ...] = eqx.field(static=True)
    categorical: tuple[tuple[int, int], ...] = eqx.field(static=True)
    center: Fixed
    spread: Fixed

    @property
    def size(self) -> int:
        """Number of features F."""
        return len(self.numeric) + sum(levels for _, levels in self.categorical)

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Features (0 where missing) and whether each was observed, both of shape (F,)."""
        number = pick(x, self.numeric)
        seen = ~jnp.isnan(number)
        number = jnp.where(seen, number, 1.0)
        how = np.array(self.logarithmic, dtype=int)
        if (how == 1).any():
            number = jnp.where(how == 1, jnp.log(jnp.maximum(number, 1e-30)), number)
        if (how == 2).any():
            number = jnp.where(how == 2, jnp.log1p(jnp.maximum(number, 0.0)), number)
        features = [jnp.where(seen, (number - self.center.value) / self.spread.value, 0.0)]
        observed = [seen]
        for place, levels in self.categorical:
            missing = jnp.isnan(x[place])
            features.append(jax.nn.one_hot(jnp.where(missing, -1, x[place]).astype(int), levels))
            observed.append(jnp.full(levels, ~missing))
        return jnp.concatenate(features), jnp.concatenate(observed)


class LinearPosterior(eqx.Module):
    """p(z|x) of the factor analysis f = m + W z + e, e ~ N(0, Psi), with any cells missing: where
    the encoder starts.

    With the precision A = I + W_o' Psi_o^-1 W_o over the observed features, the mean is A^-1 W_o'
    Psi_o^-1 (f_o - m_o). A row whose missing features are filled with m + W E[z|f_o] has the same
    mean under the complete-data map B = (I + W' Psi^-1 W)^-1 W' Psi^-1, the one that training may
    change. The latent axes make A diagonal on complete rows; with a cell missing it is not, and
    where columns nearly determine each other the posterior is then a long thin ridge, which
    independent latents would miss.

    Parameters
    ----------
    mean, loadings, noise
        m (F,), W (F, k) and Psi (F,) of the linear model.
    gain
        B, shape (k, F).
    complete
        Whether rows have no missing cell, so that nothing need be filled; `Posterior.for_missing`
        gives the other kind.
    """

    mean: Fixed
    loadings: Fixed
    noise: Fixed
    gain: Array
    complete: bool = eqx.field(static=True)

    def __call__(self, features: Array, observed: Array) -> tuple[Array, Array, Array]:
        """Mean of z (k,), precision A (k, k), or its diagonal (k,) for complete rows, and features
        centred, filled.
        """
        loadings = self.loadings.value
        weighted = loadings * (observed / self.noise.value)[:, None]
        centred = jnp.where(observed, features - self.mean.value, 0.0)
        if self.complete:
            return centred @ self.gain.T, 1 + jnp.sum(weighted * loadings, 0), centred
        precision = jnp.eye(loadings.shape[1]) + weighted.T @ loadings
        z = jax.scipy.linalg.solve(precision, weighted.T @ centred, assume_a="pos")
        centred = jnp.where(observed, centred, loadings @ z)
        return centred @ self.gain.T, precision, centred


class Moments(NamedTuple):
    """What an encoder says of z: mean (k,), log-variance (k,), how latents hang together, and
    further outputs.
    """

    mean: Array
    log_variance: Array
    #: The precision over the roots of its diagonal, (k, k); None where the latents are independent.
    partial: Array | None
    rest: Array


class Encoder(eqx.Module):
    """What both Gaussians share: the linear posterior plus a network's residual, scaled by the
    observed fraction.
    """

    features: Features
    network: MLP
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
        return layers + self.network.describe()

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
            diagonal = precision if self.linear.complete else jnp.diag(precision)
            partial = (
                None
                if self.linear.complete
                else precision / jnp.sqrt(jnp.outer(diagonal, diagonal))
            )
        change = self._change(features, observed)
        log_variance = jnp.clip(
            change[latent_dim : 2 * latent_dim] - jnp.log(diagonal), *LOG_VARIANCE_BOUNDS
        )
        return Moments(mean + change[:latent_dim], log_variance, partial, change[2 * latent_dim :])

    def _change(self, features: Array, observed: Array) -> Array:
        inputs = jnp.concatenate([features, 1.0 - observed]) if self.sees_missing else features
        return observed.mean() * self.network(inputs)


class Posterior(eqx.Module):
    """q(z|x)."""

    encoder: eqx.AbstractVar["Encoder"]
    latent_dim: eqx.AbstractVar[int]

    @abstractmethod
    def __call__(self, x: Array) -> dist.Distribution:
        """The distribution of z given a row of model units, NaN where missing; event shape
        (latent_dim,).
        """

    def describe(self) -> list[Layer]:
        """The layers of the encoder."""
        return self.encoder.describe()

    def for_missing(self) -> "Posterior":
        """The same q for rows with missing cells, where it was fitted to complete ones."""
        linear = self.encoder.linear
        if linear is None or not linear.complete:
            return self
        filling = LinearPosterior(
            linear.mean, linear.loadings, linear.noise, linear.gain, complete=False
        )
        return eqx.tree_at(lambda q: q.encoder.linear, self, filling)
