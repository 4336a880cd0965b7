"""What z says of x: the KL of q(z|x) from p(z), split at the average of q over the rows.

Hoffman and Johnson (2016). q(z) = (1/n) sum_i q(z|x_i) is the average over these rows, the row's
own q included. So the mutual information is that with the number of the row, at most log n, and
lower than that with x, by about (E[q(z|x) / q(z)] - 1) / 2n where that is small: within a nat or
two of log n it is a lower bound. The aggregate's KL is too high by as much. Without the row's own q
it would be the other way round, and without limit.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import ArrayLike, NDArray

from aevb.model import Model
from aevb.rows import map_rows, mean_and_error, row_keys

__all__ = ["AggregatePosterior", "aggregate_posterior"]


class AggregatePosterior(NamedTuple):
    """Mean and standard error, in nats per row: mutual_information + aggregate_kl = mean_kl."""

    #: I_q(x; z) = E[log q(z|x) - log q(z)].
    mutual_information: tuple[float, float]
    #: KL(q(z) || p(z)) = E[log q(z) - log p(z)].
    aggregate_kl: tuple[float, float]
    #: E[KL(q(z|x) || p(z))], what the bound pays.
    mean_kl: tuple[float, float]


def aggregate_posterior(
    model: Model, rows: ArrayLike, *, seed: int = 0, at_once: int = 500
) -> AggregatePosterior:
    """E_x KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || p(z)), by a draw of z for each row.

    The first part is what z says of x. The second says how far codes of data are from those that
    `sample` draws: where it is large, samples come from where no row was encoded to. Time grows
    with n^2, memory with n.

    Parameters
    ----------
    model, rows
        The VAE, and rows in model units, shape (n, D), NaN where missing, n at least 1.
    seed
        The random seed; each row has its own stream of random numbers.
    at_once
        The number of draws of z that are compared with all rows at once; it bounds the memory.

    Returns
    -------
    AggregatePosterior
        Three means with their standard errors over rows and draws, NaN for a single row.
    """
    z, *densities = map_rows(_draw, model, rows, row_keys(rows, seed))
    log_q, log_p = (part.astype(np.float64) for part in densities)
    parts = []
    for start in range(0, len(z), at_once):
        parts.append(_log_aggregate(model, rows, z[start : start + at_once], at_once))
    log_aggregate = np.concatenate(parts)
    return AggregatePosterior(
        mean_and_error(log_q - log_aggregate),
        mean_and_error(log_aggregate - log_p),
        mean_and_error(log_q - log_p),
    )


def _log_aggregate(
    model: Model, rows: ArrayLike, z: NDArray[np.float32], size: int
) -> NDArray[np.float64]:
    """log (1/n) sum_i q(z|x_i) of each of at most `size` draws."""
    padded = np.concatenate([z, np.repeat(z[-1:], size - len(z), axis=0)])
    densities = map_rows(eqx.Partial(_densities, z=jnp.asarray(padded)), model, rows)[:, : len(z)]
    largest = densities.max(axis=0)
    means = np.exp(densities - largest).mean(axis=0, dtype=np.float64)
    return np.asarray(largest + np.log(means))


def _draw(model: Model, x: Array, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
    q = model.q_z(x)
    z = q.sample(key)
    return z, q.log_prob(z), model.p_z().log_prob(z)


def _densities(model: Model, x: Array, *, z: Array) -> Array:
    """log q(z|x) of every z."""
    return jax.vmap(model.q_z(x).log_prob)(z)
