"""The prior p(z): a module whose call returns a distribution over latents of shape (latent_dim,)."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from aevb.posteriors import Posterior

__all__ = ["GaussianMixture", "StandardNormal"]


class Prior(eqx.Module):
    """p(z), possibly with parameters learned with the rest of theta."""

    @abstractmethod
    def __call__(self, posterior: Posterior | None = None) -> dist.Distribution:
        """The distribution of z, event shape (latent_dim,), given q(z|x) where it depends on it."""


class StandardNormal(Prior):
    """p(z) = N(0, I), the centred isotropic Gaussian of section 3.

    Examples
    --------
    >>> float(StandardNormal(2)().log_prob(jax.numpy.zeros(2)))
    -1.837877
    """

    latent_dim: int = eqx.field(static=True)

    def __call__(self, posterior: Posterior | None = None) -> dist.Distribution:
        """N(0, I)."""
        return dist.Normal(jnp.zeros(self.latent_dim), 1.0).to_event(1)


class GaussianMixture(Prior):
    """p(z) = sum_c pi_c N(z; m_c, diag s_c^2), learned with the generative parameters.

    Its KL from a Gaussian q has no closed form: estimator B uses the sampled one (`objectives.kl`).

    Parameters
    ----------
    latent_dim
        Number of latents.
    components
        Number of Gaussians C.
    key
        Where the means start: draws from N(0, I), so that the mixture starts wide.

    Examples
    --------
    >>> GaussianMixture(2, 5, jax.random.key(0))().event_shape
    (2,)
    """

    logits: Array
    means: Array
    log_scales: Array

    def __init__(self, latent_dim: int, components: int, key: PRNGKeyArray) -> None:
        self.logits = jnp.zeros(components)
        self.means = 0.5 * jax.random.normal(key, (components, latent_dim))
        self.log_scales = jnp.zeros((components, latent_dim))

    def __call__(self, posterior: Posterior | None = None) -> dist.Distribution:
        """The mixture; scales are kept in [exp(-5), exp(5)] so that no component shrinks to a point."""
        components = dist.Normal(self.means, jnp.exp(jnp.clip(self.log_scales, -5.0, 5.0))).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=self.logits), components)
