"""Gaussian q(z|x), and the flow that starts from one."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from aevb.distributions.flows import CouplingFlow
from aevb.distributions.latents import Flow
from aevb.encoders import Encoder, Moments, Posterior

__all__ = ["DiagonalGaussian", "FlowPosterior", "FullGaussian"]


class DiagonalGaussian(Posterior):
    """q(z|x) = N(z; mu, diag sigma^2), eq. 9, mu and log sigma^2 given by the encoder.

    For a row with missing cells 1 / sigma^2 is the diagonal of the precision, which off it is the
    linear model's.
    """

    encoder: Encoder
    latent_dim: int = eqx.field(static=True)

    def __call__(self, x: Array) -> dist.Distribution:
        """N(mu(x), diag sigma^2(x))."""
        return _gaussian(self.encoder(x, self.latent_dim))

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """How many numbers the encoder's network gives."""
        return 2 * latent_dim


class FullGaussian(Posterior):
    """q(z|x) = N(z; mu, L L'), z = mu + L eps: L has exp(log sigma) on its diagonal and free
    numbers below.

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
        # Off-diagonal numbers are in units of the row's scale, so that an unused latent stays
        # unused.
        factor = jnp.diag(scale).at[rows, columns].set(z.rest * scale[rows])
        return dist.MultivariateNormal(z.mean, scale_tril=factor)

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """How many numbers the encoder's network gives."""
        return 2 * latent_dim + latent_dim * (latent_dim - 1) // 2


class FlowPosterior(Posterior):
    """q(z|x): z = f(u; h(x)), u ~ N(mu(x), diag sigma^2(x)), f a normalising flow (Rezende and
    Mohamed 2015).

    The layers of f are affine couplings (Dinh et al. 2017), whose density is as cheap as their
    draws, near the identity at first: training starts from the Gaussian. Needs two latents.
    """

    #: Numbers of the encoder's that the layers look at.
    CONDITION: ClassVar[int] = 16

    encoder: Encoder
    latent_dim: int = eqx.field(static=True)
    flow: CouplingFlow

    def __call__(self, x: Array) -> dist.Distribution:
        """The flow of N(mu(x), diag sigma^2(x)), conditioned on further numbers of the encoder's."""
        z = self.encoder(x, self.latent_dim)
        return Flow(_gaussian(z), self.flow, jnp.tanh(z.rest))

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """How many numbers the encoder's network gives."""
        return 2 * latent_dim + FlowPosterior.CONDITION


def _gaussian(z: Moments) -> dist.Distribution:
    if z.partial is not None:
        return _correlated(z, z.partial)
    return dist.Normal(z.mean, jnp.exp(0.5 * z.log_variance)).to_event(1)


def _correlated(z: Moments, partial: Array) -> dist.Distribution:
    """N(mu, P^-1), P = the linear model's partial correlations in units of the encoder's own sigma."""
    inverse_scale = jnp.exp(-0.5 * z.log_variance)
    precision = partial * jnp.outer(inverse_scale, inverse_scale)
    symmetric = (precision + precision.T) / 2  # to the last bit, which NumPyro asks for
    return dist.MultivariateNormal(z.mean, precision_matrix=symmetric, validate_args=False)
