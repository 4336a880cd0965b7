"""What estimators share: draws of q, importance weights, and slopes other than a value's own."""

from functools import partial
from typing import TypeVar

import equinox as eqx
import jax
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from aevb.errors import ConfigError
from aevb.model import Model

__all__ = ["differentiated_as", "held_fixed", "log_weight_terms", "log_weights", "reparameterized"]

Tree = TypeVar("Tree")


def log_weights(model: Model, x: Array, key: PRNGKeyArray, samples: int) -> tuple[Array, Array]:
    """log w_l = log p(x, z_l) - log q(z_l|x) in nats, shape (samples,), and the z_l ~ q(z|x).

    The draws have shape (samples, latent_dim). Both have a slope in phi where q is reparameterized.
    """
    q = model.q_z(x)
    z = q.sample(key, (samples,))
    return jax.vmap(partial(model.log_joint, x))(z) - q.log_prob(z), z


def log_weight_terms(
    model: Model, x: Array, z: Array, q: dist.Distribution, kl_weight: float | Array = 1.0
) -> tuple[Array, Array]:
    """log p(x|z_l) and beta [log q(z_l|x) - log p(z_l)], in nats, each of shape (samples,).

    Their difference is log w_l. Draws z have shape (samples, latent_dim), beta is `kl_weight`.
    """
    log_likelihood = jax.vmap(partial(model.log_likelihood, x))(z)
    return log_likelihood, kl_weight * (q.log_prob(z) - model.p_z().log_prob(z))


def reparameterized(q: dist.Distribution, key: PRNGKeyArray, samples: int) -> Array:
    """Draws z_l = T(eps_l; phi), shape (samples, latent_dim).

    Raises
    ------
    ConfigError
        q has no reparameterization.
    """
    try:
        return q.rsample(key, (samples,))
    except NotImplementedError as error:
        raise ConfigError(
            f"q(z|x), a {type(q).__name__}, has no reparameterized draws: "
            "take the objective 'score' or 'vimco'"
        ) from error


def differentiated_as(value: Array, surrogate: Array) -> Array:
    """The bound that is reported, with the slope of a surrogate in place of its own."""
    return jax.lax.stop_gradient(value - surrogate) + surrogate


def held_fixed(tree: Tree) -> Tree:
    """The same module or distribution, through whose numbers no slope goes."""

    def held(leaf: object) -> object:
        if eqx.is_array(leaf):
            return jax.lax.stop_gradient(leaf)
        return leaf

    fixed: Tree = jax.tree.map(held, tree)
    return fixed
