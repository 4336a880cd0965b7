"""What z says of x: the KL of q(z|x) from p(z), split at the average of q over the rows (Hoffman
and Johnson 2016).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.marginal.importance import each_row, row_keys
from aevb.model import Model
from aevb.posteriors import Posterior
from aevb.results import mean_and_error

__all__ = ["AggregatePosterior", "aggregate_posterior"]

#: Draws of z that are held against all rows at once: bounds the memory, n x `DRAWS` densities.
DRAWS = 500


class AggregatePosterior(NamedTuple):
    """Mean and standard error, in nats a row: mutual_information + aggregate_kl = mean_kl, to the
    last draw.
    """

    #: I_q(x; z) = E[log q(z|x) - log q(z)].
    mutual_information: tuple[float, float]
    #: KL(q(z) || p(z)) = E[log q(z) - log p(z)].
    aggregate_kl: tuple[float, float]
    #: E[KL(q(z|x) || p(z))], what the bound pays.
    mean_kl: tuple[float, float]


def aggregate_posterior(
    model: Model, units: NDArray[np.float32], *, seed: int = 0
) -> AggregatePosterior:
    """E_x KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || p(z)), q(z) = (1/n) sum_i q(z|x_i), by a draw
    of z for each row.

    The first part is what z tells of x. The second says how far codes of data are from those that
    `sample` draws: where it is large, samples come from where no row was encoded to.

    q(z) is the average over these rows, the row's own q included. So the mutual information is that
    with the number of the row, at most log n, and errs on the low side of that with x, by about
    (E[q(z|x) / q(z)] - 1) / 2n where that is small: within a nat or two of log n it is a lower
    bound. The aggregate's KL errs by as much on the high side. Without the row's own q it would be
    the other way round, and without limit. Time grows with n^2, memory with n.

    Parameters
    ----------
    model
        The VAE.
    units
        Rows in model units, shape (n, D), NaN where missing, n at least 1.
    seed
        Of the draws; a row's are its own.

    Returns
    -------
    AggregatePosterior
        Three numbers with their standard errors over rows and draws; NaN from a single row.
    """
    z, log_q, log_p = each_row(_draw, model, units, row_keys(units, seed))
    log_aggregate = np.concatenate(
        [_log_mean(model, units, z[i : i + DRAWS]) for i in range(0, len(z), DRAWS)]
    )
    log_q, log_p = (np.asarray(part, dtype=np.float64) for part in (log_q, log_p))
    return AggregatePosterior(
        mean_and_error(log_q - log_aggregate),
        mean_and_error(log_aggregate - log_p),
        mean_and_error(log_q - log_p),
    )


class _Held(eqx.Module):
    """What `each_row` takes for a model: q, and the draws to hold it against."""

    posterior: Posterior
    z: Array


def _log_mean(
    model: Model, units: NDArray[np.float32], z: NDArray[np.float32]
) -> NDArray[np.float64]:
    """log (1/n) sum_i q(z|x_i) of each of at most `DRAWS` draws."""
    padded = np.concatenate([z, np.repeat(z[-1:], DRAWS - len(z), axis=0)])
    held: Any = _Held(model.posterior, jnp.asarray(padded))
    densities = np.asarray(each_row(_densities, held, units, row_keys(units, 0)))[:, : len(z)]
    most = densities.max(axis=0)
    return np.asarray(most + np.log(np.exp(densities - most).mean(axis=0, dtype=np.float64)))


def _draw(model: Model, x: Array, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
    q = model.posterior(x)
    z = q.sample(key)
    return z, q.log_prob(z), model.p_z().log_prob(z)


def _densities(held: Any, x: Array, key: PRNGKeyArray) -> Array:
    return jax.vmap(held.posterior(x).log_prob)(held.z)
