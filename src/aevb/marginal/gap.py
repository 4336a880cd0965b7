"""How much of log p(x) the bound misses, and why: q's family or its encoder (Cremer, Li and
Duvenaud 2018).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.marginal.annealed import refuse_levels
from aevb.marginal.importance import Progress, at_least_one, each_row, row_keys
from aevb.model import Model

__all__ = ["InferenceGap", "inference_gap"]

#: Draws of a step of the optimisation, and of each bound afterwards.
STEP_DRAWS, DRAWS = 16, 1_000
#: Of Adam at first, in units of q's own deviations.
STEP_SIZE = 0.05

#: Where q* is, and how much wider than q: (a, b) of z -> m + s a + exp(b) (z - m), each of shape
#: (latent_dim,).
Change = tuple[Array, Array]


class InferenceGap(NamedTuple):
    """Of each row, in nats, shape (n,); errors are those of sampling z, `results.mean_and_error`
    has those of rows.
    """

    #: L[q], of the encoder's q(z|x).
    bound: NDArray[np.float64]
    #: L[q*], of the q that is best for this row.
    best_bound: NDArray[np.float64]
    #: log p(x), by importance weights from q*.
    log_likelihood: NDArray[np.float64]
    #: Of `amortisation` and of `approximation`.
    amortisation_error: NDArray[np.float64]
    approximation_error: NDArray[np.float64]

    @property
    def amortisation(self) -> NDArray[np.float64]:
        """L[q*] - L[q]: what one encoder for all rows costs."""
        return self.best_bound - self.bound

    @property
    def approximation(self) -> NDArray[np.float64]:
        """log p(x) - L[q*]: what the family of q costs."""
        return self.log_likelihood - self.best_bound


def inference_gap(
    model: Model,
    units: NDArray[np.float32],
    *,
    steps: int = 400,
    seed: int = 0,
    progress: Progress | None = None,
) -> InferenceGap:
    """log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q]), q* = argmax L over q(z|x) moved and
    stretched, row by row.

    q* is the distribution of m + s a + exp(b) (z - m), z ~ q(z|x), with m and s the mean and
    deviations of q. Of a diagonal Gaussian these are all diagonal Gaussians, as in the paper;
    correlations, where q has some, and the shape of a flow stay those the encoder gave, and what
    better ones would gain counts as the family's. Adam starts at a = b = 0, the encoder's own q, on
    the path derivative of estimator A (Roeder et al. 2017), which has no noise at the posterior;
    its steps fall to 0. Both bounds are of the same draws of q.

    Parameters
    ----------
    model
        The VAE, with latents that are numbers.
    units
        Rows in model units, shape (n, D), NaN where missing.
    steps
        Of Adam.
    seed
        Of the draws; a row's are its own.
    progress
        Told how many rows are done, block by block.

    Returns
    -------
    InferenceGap
        Where the approximation gap is more than some nats, importance weights from q* see too
        little of it: replace `log_likelihood` by that of `annealed`. Of a row without an observed
        cell all are 0 exactly.

    Raises
    ------
    ConfigError
        Latents are levels, or fewer steps than one.
    """
    refuse_levels(model)
    at_least_one("steps", steps)
    parts = each_row(
        partial(_log_weights, steps=steps), model, units, row_keys(units, seed), progress=progress
    )
    log_w, best = (np.asarray(part, dtype=np.float64) for part in parts)
    most = best.max(axis=1, keepdims=True)
    weights = np.exp(best - most)
    weights /= weights.mean(axis=1, keepdims=True)
    log_likelihood = most[:, 0] + np.log(np.exp(best - most).mean(axis=1))
    found = (
        log_w.mean(axis=1),
        best.mean(axis=1),
        log_likelihood,
        _error(best - log_w),
        _error(weights - best),
    )
    # log p(x) is 0 of no cells at all, and nothing was asked of q: its KL there is no fault of the
    # encoder's.
    empty = np.isnan(units).all(axis=1)
    return InferenceGap(*(np.where(empty, 0.0, part) for part in found))


def _error(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the mean over draws, shape (n, DRAWS) -> (n,)."""
    return np.asarray(values.std(axis=1, ddof=1) / np.sqrt(values.shape[1]))


def _log_weights(model: Model, x: Array, key: PRNGKeyArray, *, steps: int) -> tuple[Array, Array]:
    """log p(x, z) - log q(z) of the encoder's q and of q*, shape (DRAWS,) each."""
    key_steps, key_draws = jax.random.split(key)
    q = model.posterior(x)
    change = _best(model, x, q, key_steps, steps)
    z = q.sample(key_draws, (DRAWS,))
    log_joint = jax.vmap(partial(model.log_joint, x))
    moved = _moved(q, change, z)
    return log_joint(z) - q.log_prob(z), log_joint(moved) - _log_density(q, change, moved)


def _best(model: Model, x: Array, q: dist.Distribution, key: PRNGKeyArray, steps: int) -> Change:
    adam = optax.adam(optax.cosine_decay_schedule(STEP_SIZE, steps))

    def negative(change: Change, key: PRNGKeyArray) -> Array:
        z = _moved(q, change, q.sample(key, (STEP_DRAWS,)))
        log_q = _log_density(q, jax.lax.stop_gradient(change), z)
        return -jnp.mean(jax.vmap(partial(model.log_joint, x))(z) - log_q)

    def step(
        state: tuple[Change, optax.OptState], key: PRNGKeyArray
    ) -> tuple[tuple[Change, optax.OptState], None]:
        change, moments = state
        update, moments = adam.update(jax.grad(negative)(change, key), moments)
        return (optax.apply_updates(change, update), moments), None

    none = (jnp.zeros_like(q.mean), jnp.zeros_like(q.mean))
    (change, _), _ = jax.lax.scan(step, (none, adam.init(none)), jax.random.split(key, steps))
    return change


def _moved(q: dist.Distribution, change: Change, z: Array) -> Array:
    """m + s a + exp(b) (z - m): of z ~ q a draw of q*."""
    a, b = change
    return q.mean + jnp.sqrt(q.variance) * a + jnp.exp(b) * (z - q.mean)


def _log_density(q: dist.Distribution, change: Change, z: Array) -> Array:
    """log q*(z), by the change of variables."""
    a, b = change
    back = q.mean + jnp.exp(-b) * (z - q.mean - jnp.sqrt(q.variance) * a)
    return q.log_prob(back) - b.sum()
