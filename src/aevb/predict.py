"""What the model says of rows it has not seen whole: reconstructions, samples, missing cells."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import ArrayLike, NDArray

from aevb.distributions import observed
from aevb.distributions.moments import mean_of
from aevb.forked import refuse_if_forked
from aevb.model import Model
from aevb.objectives.weights import log_weights
from aevb.rows import map_rows, row_keys

__all__ = ["decoded", "imputed", "sampled"]


def decoded(model: Model, z: ArrayLike, *, means: bool = False) -> NDArray[np.float32]:
    """E[x|z] of codes of shape (n, latent_dim), in model units, shape (n, D).

    A column of levels has its most probable one; with `means` a binary column has the probability
    of 1.
    """
    return np.asarray(map_rows(_mean if means else Model.decode, model, z))


def sampled(model: Model, n: int, seed: int) -> NDArray[np.float32]:
    """n draws from p(x) = integral of p(z) p(x|z), shape (n, D)."""
    refuse_if_forked()
    keys = jax.random.split(jax.random.key(seed), max(n, 1))[:n]
    return np.asarray(map_rows(Model.draw, model, keys))


def imputed(
    model: Model, rows: ArrayLike, *, draws: int | None, samples: int, seed: int
) -> NDArray[np.float32]:
    """Every cell given by p(x|x_observed), by importance sampling over z ~ q(z|x_observed).

    E[x_m | x_o] = sum_s w_s E[x_m | z_s] / sum_s w_s, w_s = p(x_o, z_s) / q(z_s|x_o) (Mattei and
    Frellsen 2019). Draws resample z_s with probability proportional to w_s, then draw x_m given
    z_s; each row has its own stream of the seed. The result is in model units, as the rows are:
    so many completions of each, shape (draws, n, D), or the expected rows, shape (1, n, D).
    """
    function = eqx.Partial(_expected, samples=samples)
    if draws is not None:
        function = eqx.Partial(_drawn_by_weight, samples=samples, draws=draws)
    return np.moveaxis(map_rows(function, model, rows, row_keys(rows, seed)), 1, 0)


def _mean(model: Model, z: Array) -> Array:
    return mean_of(model.likelihood(z))


def _expected(model: Model, x: Array, key: PRNGKeyArray, *, samples: int) -> Array:
    log_w, z = log_weights(model, x, key, samples)
    weights = jax.nn.softmax(log_w)
    each = jax.vmap(lambda z: observed.expectations(model.likelihood(z)))(z)
    averaged = jax.tree.map(lambda expectation: jnp.tensordot(weights, expectation, 1), each)
    return observed.point(model.likelihood(z[0]), averaged)[None]


def _drawn_by_weight(
    model: Model, x: Array, key: PRNGKeyArray, *, samples: int, draws: int
) -> Array:
    key_z, key_choice, key_x = jax.random.split(key, 3)
    log_w, z = log_weights(model, x, key_z, samples)
    chosen = z[jax.random.categorical(key_choice, log_w, shape=(draws,))]
    return jax.vmap(lambda z, key: model.likelihood(z).sample(key))(
        chosen, jax.random.split(key_x, draws)
    )
