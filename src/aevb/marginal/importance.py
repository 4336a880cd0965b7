"""Bounds on log p(x) by sampling z from q(z|x), with the error of the sampling."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import ArrayLike, NDArray

from aevb.model import Model
from aevb.objectives.registry import Objective, with_options
from aevb.objectives.weights import log_weights
from aevb.rows import Progress, are_empty, check_count, map_rows, row_keys

__all__ = ["Scores", "elbo", "importance", "pareto_k"]


class Scores(NamedTuple):
    """For each row, shape (n,): an estimate of log p(x), its error, and how many draws it is worth.

    With a single sample the error is NaN.
    """

    #: Nats.
    log_likelihood: NDArray[np.float64]
    #: Monte Carlo standard error, in nats.
    monte_carlo_error: NDArray[np.float64]
    effective_sample_size: NDArray[np.float64]

    def mean(self) -> float:
        """Nats per row."""
        return float(self.log_likelihood.mean())


def importance(
    model: Model,
    rows: ArrayLike,
    *,
    samples: int = 1000,
    seed: int = 0,
    chunk: int = 1000,
    progress: Progress | None = None,
) -> Scores:
    """log (1/S) sum_s p(x, z_s) / q(z_s|x), z_s ~ q(z|x): a lower bound of log p(x) in mean.

    It tightens with S (Burda, Grosse and Salakhutdinov 2016, eq. 8). The standard error is the
    delta method's; the effective sample size is (sum w)^2 / sum w^2 (Kong 1992).

    Parameters
    ----------
    model, rows
        The VAE, and rows in model units, shape (n, D), NaN where missing.
    samples, chunk
        S, rounded up to equal chunks, and the most draws of a row that are held at once.
    seed
        The random seed; each row has its own stream of random numbers.
    progress
        Called after each block of rows with the number of rows done.

    Returns
    -------
    Scores
        The log-likelihood is exactly 0 for a row without an observed cell.

    Raises
    ------
    ConfigError
        `samples` is not a positive integer.
    """
    check_count("samples", samples)
    chunks = -(-samples // chunk)
    size = -(-samples // chunks)
    function = eqx.Partial(_weight_sums, chunks=chunks, size=size)
    sums = map_rows(function, model, rows, row_keys(rows, seed), progress=progress)
    log_sum, log_squares = (np.asarray(part, dtype=np.float64) for part in sums)
    return _scores(log_sum, log_squares, chunks * size, are_empty(rows))


def _scores(
    log_sum: NDArray[np.float64],
    log_squares: NDArray[np.float64],
    total: int,
    empty: NDArray[np.bool_],
) -> Scores:
    """The scores from the logs of the sum of `total` weights and of that of their squares."""
    effective = np.exp(2 * log_sum - log_squares)
    relative_variance = np.maximum(total / np.maximum(effective, 1e-12) - 1, 0.0)
    error = np.sqrt(relative_variance / total)
    if total == 1:
        error = np.full(len(log_sum), np.nan)
    return Scores(
        np.where(empty, 0.0, log_sum - np.log(total)),
        np.where(empty, 0.0, error),
        np.where(empty, float(total), np.clip(effective, 1.0, total)),
    )


def pareto_k(
    model: Model, rows: ArrayLike, *, samples: int = 1000, seed: int = 0, equal: float = 1e-3
) -> tuple[NDArray[np.float64], float]:
    """k of the generalized Pareto tail of each row's weights, and the k above which not to trust
    their mean.

    Vehtari et al. (2024), by arviz-stats: weights have 1 / k finite moments, and S of them average
    out below min(1 - 1 / log10 S, 0.7). It holds all weights: for some hundreds of rows, and 25
    samples or more.

    Parameters
    ----------
    model, rows, samples, seed
        As in `importance`.
    equal
        Log-weights that differ by no more than this are the same to single precision.

    Returns
    -------
    tuple
        k, shape (n,), -inf where all weights are the same, and the limit.
    """
    from arviz_stats.base.array import array_stats

    function = eqx.Partial(_log_weights, samples=samples)
    log_w = np.asarray(map_rows(function, model, rows, row_keys(rows, seed)), dtype=np.float64)
    tail = int(min(samples / 5, 3 * np.sqrt(samples)))
    ordered = np.sort(log_w, axis=1)
    cut = ordered[:, -tail - 1]
    quarter = ordered[:, -tail + tail // 4]
    # Levels make few different weights: a tail without a slope is not heavy, and no generalized
    # Pareto distribution fits it.
    sloping = (quarter - cut > equal) & (ordered[:, -1] - ordered[:, -tail + 1] > equal)
    k = np.full(len(log_w), -np.inf)
    if sloping.any():
        with np.errstate(all="ignore"):  # of tails in which one weight is all there is
            # It takes leave-one-out log-likelihoods, which are the log-weights' negatives.
            k[sloping] = array_stats.psislw(-log_w[sloping])[1]  # type: ignore[no-untyped-call]
    return np.where(np.isnan(k), np.inf, k), min(1 - 1 / np.log10(samples), 0.7)


def elbo(
    model: Model, objective: Objective, rows: ArrayLike, *, samples: int = 16, seed: int = 0
) -> NDArray[np.float64]:
    """The objective's value for each row, at weight 1 on the KL, in nats, shape (n,).

    It is 0 for a row without an observed cell.

    Parameters
    ----------
    model, rows, seed
        As in `importance`.
    objective
        (model, x, key) -> nats of one row.
    samples
        Draws per row, for an objective that takes `samples`.

    Raises
    ------
    ConfigError
        `samples` is not a positive integer.
    """
    check_count("samples", samples)
    function = with_options(objective, samples=samples)
    values = np.asarray(map_rows(function, model, rows, row_keys(rows, seed)), dtype=np.float64)
    return np.where(are_empty(rows), 0.0, values)


def _weight_sums(
    model: Model, x: Array, key: PRNGKeyArray, *, chunks: int, size: int
) -> tuple[Array, Array]:
    """Logs of the sum of the weights and of their squares, chunk by chunk to bound the memory."""

    def add(sums: tuple[Array, Array], key: PRNGKeyArray) -> tuple[tuple[Array, Array], None]:
        log_w, _ = log_weights(model, x, key, size)
        total = jnp.logaddexp(sums[0], jax.nn.logsumexp(log_w))
        return (total, jnp.logaddexp(sums[1], jax.nn.logsumexp(2 * log_w))), None

    nothing = (jnp.array(-jnp.inf), jnp.array(-jnp.inf))
    return jax.lax.scan(add, nothing, jax.random.split(key, chunks))[0]


def _log_weights(model: Model, x: Array, key: PRNGKeyArray, *, samples: int) -> Array:
    return log_weights(model, x, key, samples)[0]
