"""Bounds by several draws at once: the log of a mean of weights, not the mean of their logs."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from aevb.model import Model
from aevb.objectives.registry import estimator
from aevb.objectives.weights import (
    differentiated_as,
    held_fixed,
    log_weight_terms,
    reparameterized,
)

__all__ = ["dreg", "dreg_resampled", "iwae", "iwae_resampled", "renyi"]

_ordinary = estimator(several_draws="is the ordinary bound, that of 'sgvb_b'")


@_ordinary
def iwae(
    model: Model, x: Array, key: PRNGKeyArray, *, samples: int = 1, kl_weight: float | Array = 1.0
) -> Array:
    """log (1/k) sum_l w_l, w_l = p(x, z_l) / q(z_l|x), z_l = T(eps_l; phi).

    Burda et al. (2016), eq. 8. Its mean rises with k from the bound of section 2.2 to log p(x). The
    more samples, the smaller the share of signal in the encoder's slope (Rainforth et al. 2018):
    see `dreg`.

    Parameters
    ----------
    model, x, key
        The VAE, one row in model units, shape (D,), NaN where missing, and the source of eps.
    samples
        k.
    kl_weight
        Weight on log q(z|x) - log p(z), for warm-up; 1 is the bound.

    Returns
    -------
    Array
        A scalar in nats.
    """
    q = model.q_z(x)
    z = reparameterized(q, key, samples)
    log_likelihood, gap = log_weight_terms(model, x, z, q, kl_weight)
    return jax.nn.logsumexp(log_likelihood - gap) - jnp.log(samples)


@_ordinary
def dreg(
    model: Model, x: Array, key: PRNGKeyArray, *, samples: int = 1, kl_weight: float | Array = 1.0
) -> Array:
    """The bound of `iwae` with the doubly reparameterized slope of the encoder.

    Tucker et al. (2019), eq. 8. With v_l = w_l / sum w, phi has the slope
    sum_l v_l^2 (d log w_l / d z_l) (d z_l / d phi), and theta, as in `iwae`,
    sum_l v_l d log p(x, z_l) / d theta. Both are unbiased, and phi's signal grows with k. With a
    weight beta on the KL phi's v_l^2 becomes beta v_l^2 + (1 - beta) v_l: only beta log q has a
    score function to remove.

    Arguments and value as in `iwae`.
    """
    q = model.q_z(x)
    z = reparameterized(q, key, samples)
    log_likelihood, gap = log_weight_terms(held_fixed(model), x, z, held_fixed(q), kl_weight)
    log_w = log_likelihood - gap
    v = jax.lax.stop_gradient(jax.nn.softmax(log_w))
    fixed_z = jax.lax.stop_gradient(z)
    log_likelihood, gap = log_weight_terms(model, x, fixed_z, held_fixed(q), kl_weight)
    weight = kl_weight * v**2 + (1 - kl_weight) * v
    surrogate = jnp.sum(weight * log_w) + jnp.sum(v * (log_likelihood - gap))
    return differentiated_as(jax.nn.logsumexp(log_w) - jnp.log(samples), surrogate)


@_ordinary
def iwae_resampled(
    model: Model, x: Array, key: PRNGKeyArray, *, samples: int = 1, kl_weight: float | Array = 1.0
) -> Array:
    """The bound of `iwae` with the slope of one draw, z_l with probability v_l = w_l / sum w.

    The slope of `iwae` is sum_l v_l d log w_l, a mean over l ~ v: that of one such l is unbiased, a
    little noisier, and goes backwards through the networks once, not k times (Burda et al. 2016,
    section 3).

    Arguments and value as in `iwae`.
    """
    q = model.q_z(x)
    z = reparameterized(q, key, samples)
    bound, _, chosen = _resampled(model, x, z, q, key, kl_weight)
    log_likelihood, gap = log_weight_terms(model, x, z[chosen][None], q, kl_weight)
    return differentiated_as(bound, jnp.sum(log_likelihood - gap))


@_ordinary
def dreg_resampled(
    model: Model, x: Array, key: PRNGKeyArray, *, samples: int = 1, kl_weight: float | Array = 1.0
) -> Array:
    """The bound of `dreg` with the slope of one draw, as in `iwae_resampled`.

    Arguments and value as in `iwae`.
    """
    q = model.q_z(x)
    z = reparameterized(q, key, samples)
    bound, v, chosen = _resampled(model, x, z, q, key, kl_weight)
    z = z[chosen][None]
    log_likelihood, gap = log_weight_terms(held_fixed(model), x, z, held_fixed(q), kl_weight)
    path = (kl_weight * v[chosen] + 1 - kl_weight) * (log_likelihood - gap)
    fixed_z = jax.lax.stop_gradient(z)
    log_likelihood, gap = log_weight_terms(model, x, fixed_z, held_fixed(q), kl_weight)
    return differentiated_as(bound, jnp.sum(path + log_likelihood - gap))


def _resampled(
    model: Model,
    x: Array,
    z: Array,
    q: dist.Distribution,
    key: PRNGKeyArray,
    kl_weight: float | Array,
) -> tuple[Array, Array, Array]:
    """The bound, the normalized weights v, and the index of a draw, with probability v.

    None of them has a slope.
    """
    fixed_z = jax.lax.stop_gradient(z)
    log_likelihood, gap = log_weight_terms(held_fixed(model), x, fixed_z, held_fixed(q), kl_weight)
    log_w = log_likelihood - gap
    chosen = jax.random.categorical(jax.random.fold_in(key, 1), log_w)
    return jax.nn.logsumexp(log_w) - jnp.log(len(z)), jax.nn.softmax(log_w), chosen


@_ordinary
def renyi(
    model: Model,
    x: Array,
    key: PRNGKeyArray,
    *,
    samples: int = 1,
    kl_weight: float | Array = 1.0,
    alpha: float = 0.5,
) -> Array:
    """(1 / (1 - alpha)) log (1/k) sum_l w_l^(1 - alpha): Renyi's bound, 0 <= alpha < 1.

    Li and Turner (2016), eq. 7. At alpha = 0 it is `iwae`; as alpha comes to 1 it is the mean of
    the logarithms, `sgvb_a`.

    Arguments as in `iwae`, and `alpha`, the order of the divergence.
    """
    q = model.q_z(x)
    z = reparameterized(q, key, samples)
    log_likelihood, gap = log_weight_terms(model, x, z, q, kl_weight)
    log_powers = (1 - alpha) * (log_likelihood - gap)
    return (jax.nn.logsumexp(log_powers) - jnp.log(samples)) / (1 - alpha)
