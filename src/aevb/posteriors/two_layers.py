"""q(h1, h2|x) = q(h1|x) q(h2|h1): two stochastic layers (Burda, Grosse and Salakhutdinov 2016)."""

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from aevb.distributions.latents import Chain
from aevb.encoders import LOG_VARIANCE_BOUNDS, Encoder, Posterior
from aevb.networks import MLP, Layer
from aevb.posteriors.gaussian import DiagonalGaussian

__all__ = ["ConditionalGaussian", "TwoLayerPosterior"]


class ConditionalGaussian(eqx.Module):
    """N(h; mu(g), diag sigma^2(g)) of one layer of latents given the other, mu and log sigma^2 an
    MLP's (eq. 12).
    """

    network: MLP

    def __call__(self, given: Array) -> dist.Distribution:
        """The distribution of h, half as wide as the network's output."""
        mean, log_variance = jnp.split(self.network(given), 2)
        return dist.Normal(
            mean, jnp.exp(0.5 * jnp.clip(log_variance, *LOG_VARIANCE_BOUNDS))
        ).to_event(1)


class TwoLayerPosterior(Posterior):
    """z = (h1, h2): h1 given x is the Gaussian of `DiagonalGaussian`, h2 given h1 another.

    Parameters
    ----------
    encoder
        Of h1.
    latent_dim
        Of h1 and h2 together.
    upper
        h1 -> distribution of h2.
    upper_dim
        Of h2.
    """

    encoder: Encoder
    latent_dim: int = eqx.field(static=True)
    upper: ConditionalGaussian
    upper_dim: int = eqx.field(static=True)

    def __call__(self, x: Array) -> dist.Distribution:
        """q(h1|x) q(h2|h1)."""
        lower = DiagonalGaussian(self.encoder, self.latent_dim - self.upper_dim)
        return Chain(lower(x), self.upper, self.upper_dim)

    def describe(self) -> list[Layer]:
        """The layers of the encoder, and those from h1 to h2."""
        return self.encoder.describe() + self.upper.network.describe()

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """How many numbers the encoder's network gives for h1."""
        return 2 * latent_dim
