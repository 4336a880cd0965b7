"""The two stochastic gradient variational Bayes estimators of the bound (section 2.3), and its parts."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from aevb.model import VAE

__all__ = ["kl", "sgvb_a", "sgvb_b"]


def sgvb_a(
    model: VAE, x: Array, key: PRNGKeyArray, *, samples: int = 1, kl_weight: float | Array = 1.0, free_bits: float = 0.0
) -> Array:
    """Estimator A, eq. 6: (1/L) sum_l [log p(x, z_l) - log q(z_l|x)], z_l = T(eps_l; phi).

    Parameters
    ----------
    model
        The VAE.
    x
        One row in model units, shape (D,), NaN where missing.
    key
        Source of eps.
    samples
        L.
    kl_weight
        Weight on log p(z) - log q(z|x), for warm-up; 1 is the bound.
    free_bits
        Nats of sampled KL, in all latents together, below which it is not reduced; 0 is the bound.

    Returns
    -------
    Array
        A scalar in nats, whose mean over eps is the bound.
    """
    q = model.posterior(x)
    z = q.rsample(key, (samples,))
    gap = jax.vmap(q.log_prob)(z) - jax.vmap(model.p_z().log_prob)(z)
    if free_bits:
        gap = jnp.maximum(gap, free_bits)
    log_likelihood = jax.vmap(lambda z: model.likelihood(z).log_prob(x))(z)
    return jnp.mean(log_likelihood - kl_weight * gap)


def sgvb_b(
    model: VAE, x: Array, key: PRNGKeyArray, *, samples: int = 1, kl_weight: float | Array = 1.0, free_bits: float = 0.0
) -> Array:
    """Estimator B, eq. 7: (1/L) sum_l log p(x|z_l) - KL(q(z|x) || p(z)), the KL in closed form where there is one.

    Parameters
    ----------
    model, x, key, samples, kl_weight
        As in `sgvb_a`.
    free_bits
        Nats of KL a latent may use without cost: sum_j max(KL_j, free_bits) (Kingma et al. 2016), row by row; where
        the KL does not split over the latents, they share as many nats as they would have each.

    Returns
    -------
    Array
        A scalar in nats, whose mean over eps is the bound; usually of less variance than A.
    """
    q = model.posterior(x)
    z = q.rsample(key, (samples,))
    log_likelihood = jax.vmap(lambda z: model.likelihood(z).log_prob(x))(z).mean()
    latents = kl(q, model.p_z(), z)
    if free_bits:
        latents = jnp.maximum(latents, free_bits * q.event_shape[0] / latents.size)
    return log_likelihood - kl_weight * latents.sum()


def kl(q: dist.Distribution, p: dist.Distribution, z: Array) -> Array:
    """KL(q || p): one number a latent where q and p factorise (appendix B), one in all otherwise.

    Where no closed form is registered, as from anything to a mixture, it is the mean of log q(z) - log p(z) over the
    draws at hand: unbiased, and noisy.

    Parameters
    ----------
    q, p
        Distributions of event shape (latent_dim,).
    z
        Draws of q, shape (samples, latent_dim); without a closed form only.

    Returns
    -------
    Array
        Nats, shape (latent_dim,) or (1,).
    """
    if isinstance(q, dist.Independent) and isinstance(p, dist.Independent):
        return jnp.atleast_1d(dist.kl_divergence(q.base_dist, p.base_dist))
    if isinstance(q, dist.MultivariateNormal) and isinstance(p, dist.Independent):
        standard = dist.MultivariateNormal(p.mean, scale_tril=jnp.diag(jnp.sqrt(p.variance)))
        return jnp.atleast_1d(dist.kl_divergence(q, standard))
    return jnp.atleast_1d(jnp.mean(jax.vmap(q.log_prob)(z) - jax.vmap(p.log_prob)(z)))
