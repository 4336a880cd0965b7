"""Slopes by the score function, d log q(z|x) / d phi.

They hold for any q, levels included, where z is not a differentiable function of phi.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from aevb.model import Model
from aevb.objectives.registry import estimator
from aevb.objectives.weights import differentiated_as, held_fixed, log_weight_terms

__all__ = ["score", "vimco"]

_noisy = estimator(
    several_draws="has no baseline, and its slope is too noisy to learn much from", levels=True
)


@_noisy
def score(
    model: Model, x: Array, key: PRNGKeyArray, *, samples: int = 1, kl_weight: float | Array = 1.0
) -> Array:
    """The bound of section 2.2 with the naive slope of section 2.2, and a baseline against noise.

    d/d phi E_q[f(z)] = E_q[(f(z_l) - b_l) d log q(z_l|x) / d phi], f = log w, b_l the mean of f
    over the other draws (Mnih and Rezende 2016, section 2.4): b_l does not depend on z_l, so the
    slope stays unbiased. A single draw has no baseline.

    Parameters
    ----------
    model, x, key
        The VAE, one row in model units, shape (D,), NaN where missing, and the source of z.
    samples
        L; four or more.
    kl_weight
        Weight on log q(z|x) - log p(z), for warm-up; 1 is the bound.

    Returns
    -------
    Array
        The value of `sgvb_a`, in nats.
    """
    q = model.q_z(x)
    z = jax.lax.stop_gradient(q.sample(key, (samples,)))
    log_likelihood, gap = log_weight_terms(model, x, z, held_fixed(q), kl_weight)
    f = log_likelihood - gap
    others = jnp.zeros(1)
    if samples > 1:
        others = (f.sum() - f) / (samples - 1)
    signal = jax.lax.stop_gradient(f - others)
    return differentiated_as(f.mean(), jnp.mean(signal * q.log_prob(z) + f))


@_noisy
def vimco(
    model: Model, x: Array, key: PRNGKeyArray, *, samples: int = 1, kl_weight: float | Array = 1.0
) -> Array:
    """The bound of `iwae`, by score functions with a baseline for each draw.

    Mnih and Rezende (2016), eq. 6-9. The signal of draw l is log (1/k) sum_j w_j minus the same
    with w_l replaced by the geometric mean of the others. A single draw has no baseline.

    Arguments as in `score`, k = `samples` five or more; the value is that of `iwae`.
    """
    q = model.q_z(x)
    z = jax.lax.stop_gradient(q.sample(key, (samples,)))
    log_q = q.log_prob(z)
    log_likelihood, gap = log_weight_terms(model, x, z, q, kl_weight)
    log_w = log_likelihood - gap
    bound = jax.nn.logsumexp(log_w) - jnp.log(samples)
    without = jnp.zeros(1)
    if samples > 1:
        others = (log_w.sum() - log_w) / (samples - 1)
        replaced = jnp.where(jnp.eye(samples, dtype=bool), others[:, None], log_w)
        without = jax.nn.logsumexp(replaced, axis=1) - jnp.log(samples)
    signal = jax.lax.stop_gradient(bound - without)
    return differentiated_as(bound, jnp.sum(signal * log_q) + bound)
