"""How much of log p(x) the bound misses, and why: q's family or its encoder.

Cremer, Li and Duvenaud (2018). The best q* for a row is q(z|x) moved and stretched, the
distribution of m + s a + exp(b) (z - m), z ~ q(z|x), with m and s the mean and deviations of q. Of
a diagonal Gaussian these are all diagonal Gaussians, as in the paper; correlations, where q has
some, and the shape of a flow stay those the encoder gave, and what better ones would gain counts as
the family's. Adam starts at a = b = 0, the encoder's own q, on the path derivative of estimator A
(Roeder et al. 2017), which has no noise at the posterior; its steps fall to 0.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import ArrayLike, NDArray

from aevb.distributions.moments import mean_of, variance_of
from aevb.marginal.annealed import refuse_levels
from aevb.model import Model
from aevb.rows import Progress, are_empty, check_count, map_rows, row_keys

__all__ = ["InferenceGap", "inference_gap"]

#: (a, b) of z -> m + s a + exp(b) (z - m), each of shape (latent_dim,).
Change = tuple[Array, Array]


class InferenceGap(NamedTuple):
    """For each row, in nats, shape (n,); the errors are those of sampling z."""

    #: L[q], of the encoder's q(z|x).
    bound: NDArray[np.float64]
    #: L[q*], of the q that is best for this row.
    best_bound: NDArray[np.float64]
    #: log p(x), by importance weights from q*.
    log_likelihood: NDArray[np.float64]
    #: Of `amortization` and of `approximation`.
    amortization_error: NDArray[np.float64]
    approximation_error: NDArray[np.float64]

    @property
    def amortization(self) -> NDArray[np.float64]:
        """L[q*] - L[q]: what one encoder for all rows costs."""
        return self.best_bound - self.bound

    @property
    def approximation(self) -> NDArray[np.float64]:
        """log p(x) - L[q*]: what the family of q costs."""
        return self.log_likelihood - self.best_bound


def inference_gap(
    model: Model,
    rows: ArrayLike,
    *,
    steps: int = 400,
    samples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> InferenceGap:
    """log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q]), q* the best q for each row.

    q* takes `steps` Adam steps per row; both bounds use the same `samples` draws.

    Parameters
    ----------
    model, rows, seed, progress
        As in `annealed`.
    steps
        Adam steps per row.
    samples
        Draws per row.

    Returns
    -------
    InferenceGap
        All numbers are exactly 0 for a row without an observed cell. Where the approximation gap is
        more than a few nats, importance weights from q* underestimate it: replace `log_likelihood`
        by that of `annealed`.

    Raises
    ------
    ConfigError
        Latents are levels, or `steps` or `samples` is not a positive integer.
    """
    refuse_levels(model)
    check_count("steps", steps)
    check_count("samples", samples)
    function = eqx.Partial(_log_weights_of_both, steps=steps, samples=samples)
    found = map_rows(function, model, rows, row_keys(rows, seed), progress=progress)
    log_w, best = (np.asarray(part, dtype=np.float64) for part in found)
    largest = best.max(axis=1, keepdims=True)
    weights = np.exp(best - largest)
    weights /= weights.mean(axis=1, keepdims=True)
    numbers = (
        log_w.mean(axis=1),
        best.mean(axis=1),
        largest[:, 0] + np.log(np.exp(best - largest).mean(axis=1)),
        _error(best - log_w),
        _error(weights - best),
    )
    # log p(x) of no cells is 0, and nothing was asked of q: its KL there is no fault of the encoder
    empty = are_empty(rows)
    return InferenceGap(*(np.where(empty, 0.0, number) for number in numbers))


def _error(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The standard error of the mean over draws, shape (n, draws) -> (n,)."""
    return np.asarray(values.std(axis=1, ddof=1) / np.sqrt(values.shape[1]))


def _log_weights_of_both(
    model: Model, x: Array, key: PRNGKeyArray, *, steps: int, samples: int
) -> tuple[Array, Array]:
    """log p(x, z) - log q(z) of the encoder's q and of q*, shape (samples,) each."""
    key_steps, key_draws = jax.random.split(key)
    q = model.q_z(x)
    change = _best(model, x, q, key_steps, steps)
    z = q.sample(key_draws, (samples,))
    log_joint = jax.vmap(partial(model.log_joint, x))
    moved = _moved(q, change, z)
    return log_joint(z) - q.log_prob(z), log_joint(moved) - _log_density(q, change, moved)


def _best(
    model: Model,
    x: Array,
    q: dist.Distribution,
    key: PRNGKeyArray,
    steps: int,
    *,
    draws: int = 16,
    step_size: float = 0.05,
) -> Change:
    """The change to q* by Adam with `draws` per step; step sizes are in deviations of q."""
    adam = optax.adam(optax.cosine_decay_schedule(step_size, steps))

    def negative(change: Change, key: PRNGKeyArray) -> Array:
        z = _moved(q, change, q.sample(key, (draws,)))
        log_q = _log_density(q, jax.lax.stop_gradient(change), z)
        return -jnp.mean(jax.vmap(partial(model.log_joint, x))(z) - log_q)

    def step(
        state: tuple[Change, optax.OptState], key: PRNGKeyArray
    ) -> tuple[tuple[Change, optax.OptState], None]:
        change, adam_state = state
        update, adam_state = adam.update(jax.grad(negative)(change, key), adam_state)
        return (optax.apply_updates(change, update), adam_state), None

    none = (jnp.zeros_like(mean_of(q)), jnp.zeros_like(mean_of(q)))
    (change, _), _ = jax.lax.scan(step, (none, adam.init(none)), jax.random.split(key, steps))
    return change


def _moved(q: dist.Distribution, change: Change, z: Array) -> Array:
    """m + s a + exp(b) (z - m): a draw of q* from a draw z of q."""
    a, b = change
    mean = mean_of(q)
    return mean + jnp.sqrt(variance_of(q)) * a + jnp.exp(b) * (z - mean)


def _log_density(q: dist.Distribution, change: Change, z: Array) -> Array:
    """log q*(z), by the change of variables."""
    a, b = change
    mean = mean_of(q)
    back = mean + jnp.exp(-b) * (z - mean - jnp.sqrt(variance_of(q)) * a)
    return q.log_prob(back) - b.sum()
