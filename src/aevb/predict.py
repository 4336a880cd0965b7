"""What the model says of rows it has not seen whole: reconstructions, samples, missing cells."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.marginal.importance import each_row, log_weights, row_keys
from aevb.model import Model

__all__ = ["decoded", "imputed", "sampled"]

Units = NDArray[np.float32]


def decoded(model: Model, z: Units, *, means: bool = False) -> Units:
    """E[x|z] of codes of shape (n, latent_dim), in model units (n, D); the probability of 1 with
    `means`.
    """
    return np.asarray(each_row(_mean if means else _point, model, z, row_keys(z, 0)))


def sampled(model: Model, n: int, seed: int) -> Units:
    """n draws from p(x) = integral of p(z) p(x|z), shape (n, D)."""
    keys = jax.random.split(jax.random.key(seed), max(n, 1))[:n]
    width = sum(len(part.columns) for part in model.likelihood.parts)
    return np.asarray(each_row(_draw, model, np.zeros((n, width), np.float32), keys))


def imputed(
    model: Model, units: Units, *, draws: int | None, samples: int, seed: int
) -> NDArray[np.float32]:
    """Rows with every cell given by p(x|x_observed), by self-normalised importance sampling over z
    ~ q(z|x_observed).

    E[x_m | x_o] = sum_s w_s E[x_m | z_s] / sum_s w_s, w_s = p(x_o, z_s) / q(z_s|x_o) (Mattei and
    Frellsen 2019); draws resample z_s with probability proportional to w_s, then draw x_m given
    z_s.

    Returns
    -------
    ndarray
        Shape (1, n, D) with `draws` None, else (draws, n, D), in model units.
    """
    function = (
        partial(_expected, samples=samples)
        if draws is None
        else partial(_resampled, samples=samples, draws=draws)
    )
    return np.moveaxis(np.asarray(each_row(function, model, units, row_keys(units, seed))), 1, 0)


def _point(model: Model, z: Array, key: PRNGKeyArray) -> Array:
    return model.decode(z)


def _mean(model: Model, z: Array, key: PRNGKeyArray) -> Array:
    product = model.likelihood(z)
    out = jnp.zeros(product.event_shape)
    for part, expectation in zip(product.parts, product.expectations(), strict=True):
        out = out.at[jnp.array(part.columns)].set(expectation[..., 0])
    return out


def _draw(model: Model, x: Array, key: PRNGKeyArray) -> Array:
    return model.draw(key)


def _expected(model: Model, x: Array, key: PRNGKeyArray, *, samples: int) -> Array:
    w, z = log_weights(model, x, key, samples)
    weights = jax.nn.softmax(w)
    expectations = jax.vmap(lambda z: model.likelihood(z).expectations())(z)
    mean: Any = jax.tree.map(lambda e: jnp.tensordot(weights, e, 1), expectations)
    return model.likelihood(z[0]).point(mean)[None]


def _resampled(model: Model, x: Array, key: PRNGKeyArray, *, samples: int, draws: int) -> Array:
    key_z, key_choice, key_x = jax.random.split(key, 3)
    w, z = log_weights(model, x, key_z, samples)
    chosen = z[jax.random.categorical(key_choice, w, shape=(draws,))]
    return jax.vmap(lambda z, key: model.likelihood(z).sample(key))(
        chosen, jax.random.split(key_x, draws)
    )
