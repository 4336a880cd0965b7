"""The wake-sleep algorithm (Hinton et al. 1995): the same encoder, with gradients of its own."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from aevb.model import Model
from aevb.objectives import differentiated_as, kl

__all__ = ["wake_sleep"]


def wake_sleep(
    model: Model, x: Array, key: PRNGKeyArray, *, samples: int = 1, kl_weight: float | Array = 1.0
) -> Array:
    """The value of `sgvb_b`, in nats, with the gradients of both phases in place of its own.

    Awake, theta follows d/d theta log p(x|z), z ~ q(z|x): its gradient of the bound too. Asleep,
    phi follows d/d phi log q(z'|x') of a dream, z' ~ p(z) and x' ~ p(x|z'): down
    KL(p(z|x) || q(z|x)), the other way round from the bound's, and over rows of the model's own
    instead of x. The two phases climb no common objective (section 4).

    Parameters
    ----------
    model
        The VAE, with a prior that has nothing to learn.
    x
        One row in model units, shape (D,).
    key
        Source of z and of the dreams.
    samples
        Draws of z, and dreams, for each row.
    kl_weight
        Weight on the KL in the reported bound.
    """
    key_wake, key_sleep = jax.random.split(key)
    q = model.posterior(x)
    z = jax.lax.stop_gradient(q.sample(key_wake, (samples,)))
    wake = jnp.mean(jax.vmap(lambda z: model.likelihood(z).log_prob(x))(z))

    def dream(key: PRNGKeyArray) -> Array:
        key_z, key_x = jax.random.split(key)
        z = model.p_z().sample(key_z)
        x = jax.lax.stop_gradient(model.likelihood(z).sample(key_x))
        return model.posterior(x).log_prob(z)

    sleep = jnp.mean(jax.vmap(dream)(jax.random.split(key_sleep, samples)))
    return differentiated_as(wake - kl_weight * kl(q, model.p_z(), z).sum(), wake + sleep)
