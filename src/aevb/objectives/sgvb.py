"""The stochastic gradient variational Bayes estimators of the bound (section 2.3), and the KL they
have in common.
"""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from aevb.distributions.latents import StraightThroughBernoulli, StraightThroughCategorical
from aevb.model import Model
from aevb.objectives.registry import estimator
from aevb.objectives.weights import held_fixed, log_weights

__all__ = ["kl", "sgvb_a", "sgvb_b", "stl"]


@estimator(free_bits=True)
def sgvb_a(
    model: Model,
    x: Array,
    key: PRNGKeyArray,
    *,
    samples: int = 1,
    kl_weight: float | Array = 1.0,
    free_bits: float = 0.0,
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
        Nats of KL a latent may use without cost. The sampled KL does not split over the latents: in
        all it counts no less than as many times the nats as there are latents, a group of levels
        being one. 0 is the bound.

    Returns
    -------
    Array
        A scalar in nats, whose mean over eps is the bound.
    """
    q = model.posterior(x)
    return _generic(model, x, q.rsample(key, (samples,)), q, kl_weight, free_bits)


@estimator(free_bits=True, levels=False)
def stl(
    model: Model,
    x: Array,
    key: PRNGKeyArray,
    *,
    samples: int = 1,
    kl_weight: float | Array = 1.0,
    free_bits: float = 0.0,
) -> Array:
    """Estimator A by the path derivative alone (Roeder, Wu and Duvenaud 2017): phi acts through z =
    T(eps; phi) only.

    The rest of A's slope, that of log q(z|x; phi) at a z held fixed, is 0 in mean, and is left out:
    the variance of the encoder's slope then falls to 0 as q comes to the posterior ("sticking the
    landing").

    Parameters
    ----------
    model, x, key, samples, kl_weight, free_bits
        As in `sgvb_a`.

    Returns
    -------
    Array
        The value of `sgvb_a`, in nats.
    """
    q = model.posterior(x)
    return _generic(model, x, q.rsample(key, (samples,)), held_fixed(q), kl_weight, free_bits)


def _generic(
    model: Model,
    x: Array,
    z: Array,
    q: dist.Distribution,
    kl_weight: float | Array,
    free_bits: float,
) -> Array:
    """The mean of log w over the draws; the sampled KL counts no less than `free_bits` a latent."""
    log_likelihood, gap = log_weights(model, x, z, q, kl_weight)
    if not free_bits:
        return jnp.mean(log_likelihood - gap)
    return log_likelihood.mean() - jnp.maximum(gap.mean(), kl_weight * free_bits * _latents(q))


def _latents(q: dist.Distribution) -> int:
    """How many latents there are; a group of levels counts as one."""
    return len(q.logits) if isinstance(q, StraightThroughCategorical) else q.event_shape[0]


@estimator(free_bits=True)
def sgvb_b(
    model: Model,
    x: Array,
    key: PRNGKeyArray,
    *,
    samples: int = 1,
    kl_weight: float | Array = 1.0,
    free_bits: float = 0.0,
) -> Array:
    """Estimator B, eq. 7: (1/L) sum_l log p(x|z_l) - KL(q(z|x) || p(z)), the KL in closed form
    where there is one.

    Parameters
    ----------
    model, x, key, samples, kl_weight
        As in `sgvb_a`.
    free_bits
        Nats of KL a latent may use without cost: sum_j max(KL_j, free_bits) (Kingma et al. 2016),
        row by row; where the KL does not split over the latents, they share as many nats as they
        would have each, as in `sgvb_a`.

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
        latents = jnp.maximum(latents, free_bits * _latents(q) / latents.size)
    return log_likelihood - kl_weight * latents.sum()


def kl(q: dist.Distribution, p: dist.Distribution, z: Array) -> Array:
    """KL(q || p): one number a latent where q and p factorise (appendix B), one in all otherwise.

    Where no closed form is registered, as from anything to a mixture, it is the mean of log q(z) -
    log p(z) over the draws at hand: unbiased, and noisy.

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
    if isinstance(q, StraightThroughBernoulli | StraightThroughCategorical):
        return dist.kl_divergence(q, p)
    if isinstance(q, dist.MultivariateNormal) and isinstance(p, dist.Independent):
        standard = dist.MultivariateNormal(p.mean, scale_tril=jnp.diag(jnp.sqrt(p.variance)))
        return jnp.atleast_1d(dist.kl_divergence(q, standard))
    return jnp.atleast_1d(jnp.mean(q.log_prob(z) - p.log_prob(z)))
