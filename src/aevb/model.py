"""The variational auto-encoder of section 2.1: p(z), p(x|z) and q(z|x), and what one can ask of
them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from aevb.likelihoods import Decoder, Product
from aevb.posteriors import Posterior
from aevb.priors import Prior

__all__ = ["Model"]


class Model(eqx.Module):
    """p(x, z) = p(z) p(x|z), with q(z|x) to stand for the posterior p(z|x).

    Rows x are in model units, shape (D,), NaN where a cell is missing; latents z have shape
    (latent_dim,).

    Parameters
    ----------
    posterior
        q(z|x): x -> distribution over z.
    likelihood
        p(x|z): z -> distribution over x, with nats in the units of the data.
    prior
        p(z): q -> distribution over z; all but the VampPrior leave q alone.
    """

    posterior: Posterior
    likelihood: Decoder
    prior: Prior

    def p_z(self) -> dist.Distribution:
        """p(z); a prior may look at q, as the VampPrior does."""
        return self.prior(self.posterior)

    def encode(self, x: Array) -> Array:
        """E_q[z], shape (latent_dim,): no noise, so the same row always has the same code.

        A row without an observed cell has no posterior but the prior, and is encoded as its mean.
        """
        return jnp.where(jnp.isnan(x).all(), self.p_z().mean, self.posterior(x).mean)

    def decode(self, z: Array) -> Array:
        """E[x|z] in model units (the most probable level of a categorical column), shape (D,)."""
        p: Product = self.likelihood(z)
        return p.point(p.expectations())

    def draw(self, key: PRNGKeyArray) -> Array:
        """x ~ p(x): z from the prior, then x given z; shape (D,)."""
        key_z, key_x = jax.random.split(key)
        return self.likelihood(self.p_z().sample(key_z)).sample(key_x)

    def log_joint(self, x: Array, z: Array) -> Array:
        """log p(x, z) = log p(x|z) + log p(z), in nats; scalar."""
        return self.likelihood(z).log_prob(x) + self.p_z().log_prob(z)
