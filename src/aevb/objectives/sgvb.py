"""The stochastic gradient variational Bayes estimators of the bound (section 2.3)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from aevb.distributions.kl import kl
from aevb.distributions.latents import latent_count
from aevb.model import Model
from aevb.objectives.registry import estimator
from aevb.objectives.weights import held_fixed, log_weight_terms, reparameterized

__all__ = ["sgvb_a", "sgvb_b", "stl"]


@estimator(free_bits=True, levels=True)
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
    model, x, key
        The VAE, one row in model units, shape (D,), NaN where missing, and the source of eps.
    samples
        L.
    kl_weight
        Weight on log p(z) - log q(z|x), for warm-up; 1 is the bound.
    free_bits
        Nats of KL that each latent may use without cost; 0 is the bound. The sampled KL does not
        split over the latents, so all of them together have as many nats as they would have each.

    Returns
    -------
    Array
        A scalar in nats, whose mean over eps is the bound.
    """
    q = model.q_z(x)
    z = reparameterized(q, key, samples)
    return _mean_log_weight(model, x, z, q, kl_weight, free_bits)


@estimator(free_bits=True)
def stl(
    model: Model,
    x: Array,
    key: PRNGKeyArray,
    *,
    samples: int = 1,
    kl_weight: float | Array = 1.0,
    free_bits: float = 0.0,
) -> Array:
    """Estimator A by the path derivative alone (Roeder, Wu and Duvenaud 2017).

    phi acts through z = T(eps; phi) only. The rest of A's slope, that of log q(z|x; phi) at a fixed
    z, is 0 in mean and is left out: the variance of the encoder's slope then falls to 0 as q comes
    to the posterior ("sticking the landing").

    Arguments and value as in `sgvb_a`.
    """
    q = model.q_z(x)
    z = reparameterized(q, key, samples)
    return _mean_log_weight(model, x, z, held_fixed(q), kl_weight, free_bits)


def _mean_log_weight(
    model: Model,
    x: Array,
    z: Array,
    q: dist.Distribution,
    kl_weight: float | Array,
    free_bits: float,
) -> Array:
    """The mean of log w over the draws; the sampled KL counts no less than the free bits."""
    log_likelihood, gap = log_weight_terms(model, x, z, q, kl_weight)
    if not free_bits:
        return jnp.mean(log_likelihood - gap)
    free = kl_weight * free_bits * latent_count(q)
    return log_likelihood.mean() - jnp.maximum(gap.mean(), free)


@estimator(free_bits=True, levels=True)
def sgvb_b(
    model: Model,
    x: Array,
    key: PRNGKeyArray,
    *,
    samples: int = 1,
    kl_weight: float | Array = 1.0,
    free_bits: float = 0.0,
) -> Array:
    """Estimator B, eq. 7: (1/L) sum_l log p(x|z_l) - KL(q(z|x) || p(z)).

    The KL is that of `kl`: in closed form where there is one, else by the same draws. Its mean over
    eps is the bound, as A's is, usually with less variance.

    Arguments as in `sgvb_a`. With `free_bits` the KL is sum_j max(KL_j, free_bits) (Kingma et al.
    2016), row by row; where it does not split over the latents it is as in `sgvb_a`.
    """
    q = model.q_z(x)
    z = reparameterized(q, key, samples)
    log_likelihood = jax.vmap(partial(model.log_likelihood, x))(z).mean()
    nats = kl(q, model.p_z(), z)
    if free_bits:
        nats = jnp.maximum(nats, free_bits * latent_count(q) / nats.size)
    return log_likelihood - kl_weight * nats.sum()
