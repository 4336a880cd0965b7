"""The recognition model q(z|x), section 2.3: a module whose call returns a distribution over z."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from aevb.networks import MLP, Fixed, pick

__all__ = ["DiagonalGaussian", "Encoder", "Features", "FullGaussian", "LinearPosterior", "Moments", "for_missing"]

LOG_VARIANCE_BOUNDS = (-14.0, 8.0)


class Features(eqx.Module):
    """What the encoder sees of a row: numbers standardised, levels one-hot, and which of them were observed.

    Parameters
    ----------
    numeric
        Places of the columns that enter as one number: (u - center) / spread, of log u where `logarithmic`
        is 1 (positive columns) and of log(1 + u) where it is 2 (counts).
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
    """p(z|x) of the factor analysis f = m + W z + e, e ~ N(0, Psi), with any cells missing: where the encoder starts.

    With the precision A = I + W_o' Psi_o^-1 W_o over the observed features, the mean is A^-1 W_o' Psi_o^-1 (f_o - m_o).
    A row whose missing features are filled with m + W E[z|f_o] has the same mean under the complete-data map
    B = (I + W' Psi^-1 W)^-1 W' Psi^-1, the one that training may change. The latent axes make A diagonal on complete
    rows; with a cell missing it is not, and where columns nearly determine each other the posterior is then a long thin
    ridge, which independent latents would miss.

    Parameters
    ----------
    mean, loadings, noise
        m (F,), W (F, k) and Psi (F,) of the linear model.
    gain
        B, shape (k, F).
    complete
        Whether rows have no missing cell, so that nothing need be filled; `for_missing` gives the other kind.
    """

    mean: Fixed
    loadings: Fixed
    noise: Fixed
    gain: Array
    complete: bool = eqx.field(static=True)

    def __call__(self, features: Array, observed: Array) -> tuple[Array, Array, Array]:
        """Mean of z (k,), precision A (k, k), or its diagonal (k,) for complete rows, and features centred, filled."""
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
    """What an encoder says of z: mean (k,), log-variance (k,), how latents hang together, and further outputs."""

    mean: Array
    log_variance: Array
    #: The precision over the roots of its diagonal, (k, k); None where the latents are independent.
    partial: Array | None
    rest: Array


class Encoder(eqx.Module):
    """What both Gaussians share: the linear posterior plus a network's residual, scaled by the observed fraction."""

    features: Features
    network: MLP
    linear: LinearPosterior | None
    sees_missing: bool = eqx.field(static=True)

    def __call__(self, x: Array, latent_dim: int) -> Moments:
        """The moments of z given a row.

        An empty row has residual 0 and the linear model's posterior without observations: it encodes to the prior.
        """
        features, observed = self.features(x)
        mean, diagonal, partial = jnp.zeros(latent_dim), jnp.ones(latent_dim), None
        if self.linear is not None:
            mean, precision, features = self.linear(features, observed)
            diagonal = precision if self.linear.complete else jnp.diag(precision)
            partial = None if self.linear.complete else precision / jnp.sqrt(jnp.outer(diagonal, diagonal))
        inputs = jnp.concatenate([features, 1.0 - observed]) if self.sees_missing else features
        change = observed.mean() * self.network(inputs)
        log_variance = jnp.clip(change[latent_dim : 2 * latent_dim] - jnp.log(diagonal), *LOG_VARIANCE_BOUNDS)
        return Moments(mean + change[:latent_dim], log_variance, partial, change[2 * latent_dim :])


class Posterior(eqx.Module):
    """q(z|x)."""

    encoder: eqx.AbstractVar["Encoder"]
    latent_dim: eqx.AbstractVar[int]

    @abstractmethod
    def __call__(self, x: Array) -> dist.Distribution:
        """The distribution of z given a row of model units, NaN where missing; event shape (latent_dim,)."""


def for_missing(posterior: Posterior) -> Posterior:
    """The same posterior for rows with missing cells, where it was fitted to complete ones and so need not fill any."""
    linear = posterior.encoder.linear
    if linear is None or not linear.complete:
        return posterior
    filling = LinearPosterior(linear.mean, linear.loadings, linear.noise, linear.gain, complete=False)
    return eqx.tree_at(lambda q: q.encoder.linear, posterior, filling)


class DiagonalGaussian(Posterior):
    """q(z|x) = N(z; mu, diag sigma^2), eq. 9, mu and log sigma^2 given by the encoder.

    For a row with missing cells 1 / sigma^2 is the diagonal of the precision, which off it is the linear model's.
    """

    encoder: Encoder
    latent_dim: int = eqx.field(static=True)

    def __call__(self, x: Array) -> dist.Distribution:
        """N(mu(x), diag sigma^2(x))."""
        z = self.encoder(x, self.latent_dim)
        if z.partial is not None:
            return _correlated(z, z.partial)
        return dist.Normal(z.mean, jnp.exp(0.5 * z.log_variance)).to_event(1)

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """How many numbers the encoder's network gives."""
        return 2 * latent_dim


class FullGaussian(Posterior):
    """q(z|x) = N(z; mu, L L'), z = mu + L eps: L has exp(log sigma) on its diagonal and free numbers below.

    For a row with missing cells it is that of `DiagonalGaussian`.
    """

    encoder: Encoder
    latent_dim: int = eqx.field(static=True)

    def __call__(self, x: Array) -> dist.Distribution:
        """N(mu(x), L(x) L(x)')."""
        z = self.encoder(x, self.latent_dim)
        if z.partial is not None:
            return _correlated(z, z.partial)
        scale = jnp.exp(0.5 * z.log_variance)
        rows, columns = jnp.tril_indices(self.latent_dim, -1)
        # Off-diagonal numbers are in units of the row's scale, so that an unused latent stays unused.
        factor = jnp.diag(scale).at[rows, columns].set(z.rest * scale[rows])
        return dist.MultivariateNormal(z.mean, scale_tril=factor)

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """How many numbers the encoder's network gives."""
        return 2 * latent_dim + latent_dim * (latent_dim - 1) // 2


def _correlated(z: Moments, partial: Array) -> dist.Distribution:
    """N(mu, P^-1), P = the linear model's partial correlations in units of the encoder's own sigma."""
    inverse_scale = jnp.exp(-0.5 * z.log_variance)
    precision = partial * jnp.outer(inverse_scale, inverse_scale)
    symmetric = (precision + precision.T) / 2  # to the last bit, which NumPyro asks for
    return dist.MultivariateNormal(z.mean, precision_matrix=symmetric, validate_args=False)
