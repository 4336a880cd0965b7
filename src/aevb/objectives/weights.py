"""What the estimators share: importance weights, and values that are differentiated as something
else.
"""

from typing import TypeVar

import equinox as eqx
import jax
import numpyro.distributions as dist
from jaxtyping import Array

from aevb.model import Model

__all__ = ["differentiated_as", "held_fixed", "log_weights"]

Tree = TypeVar("Tree")


def log_weights(
    model: Model, x: Array, z: Array, q: dist.Distribution, kl_weight: float | Array = 1.0
) -> tuple[Array, Array]:
    """The two parts of log w_l = log p(x|z_l) - beta [log q(z_l|x) - log p(z_l)], each of shape
    (samples,).
    """
    log_likelihood = jax.vmap(lambda z: model.likelihood(z).log_prob(x))(z)
    return log_likelihood, kl_weight * (q.log_prob(z) - model.p_z().log_prob(z))


def differentiated_as(value: Array, surrogate: Array) -> Array:
    """The bound that is reported, with the slope of a surrogate in place of its own."""
    return jax.lax.stop_gradient(value - surrogate) + surrogate


def held_fixed(tree: Tree) -> Tree:
    """The same module or distribution, through whose numbers no slope goes."""
    held: Tree = jax.tree.map(
        lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, tree
    )
    return held
