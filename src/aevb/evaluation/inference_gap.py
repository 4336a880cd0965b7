"""How much of log p(x) the bound misses, and why: q's family or its encoder (Cremer, Li and Duvenaud 2018)."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.evaluation.annealed import refuse_levels
from aevb.evaluation.bounds import each_row, row_keys
from aevb.model import VAE

__all__ = ["InferenceGap", "inference_gap"]

#: Draws of a step of the optimisation, and of each bound afterwards.
STEP_DRAWS, DRAWS = 16, 1_000
STEP_SIZE = 0.05


class InferenceGap(NamedTuple):
    """Of each row, in nats, shape (n,)."""

    #: L[q], of the encoder's q(z|x).
    bound: NDArray[np.float64]
    #: L[q*], of the diagonal Gaussian that is best for this row.
    best_bound: NDArray[np.float64]
    #: log p(x), by importance weights from q*.
    log_likelihood: NDArray[np.float64]

    @property
    def amortisation(self) -> NDArray[np.float64]:
        """L[q*] - L[q]: what one encoder for all rows costs."""
        return self.best_bound - self.bound

    @property
    def approximation(self) -> NDArray[np.float64]:
        """log p(x) - L[q*]: what a diagonal Gaussian costs."""
        return self.log_likelihood - self.best_bound


def inference_gap(model: VAE, units: NDArray[np.float32], *, steps: int = 400, seed: int = 0) -> InferenceGap:
    """log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q]), q* = argmax L over diagonal Gaussians, row by row.

    q* is found by Adam on its mean and log-scale, from the encoder's own, with step sizes that fall to 0.

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

    Raises
    ------
    ConfigError
        Latents are levels.
    """
    refuse_levels(model)
    parts = each_row(partial(_bounds, steps=steps), model, units, row_keys(units, seed))
    return InferenceGap(*(np.asarray(part, dtype=np.float64) for part in parts))


def _bounds(model: VAE, x: Array, key: PRNGKeyArray, *, steps: int) -> tuple[Array, Array, Array]:
    key_steps, key_q, key_best = jax.random.split(key, 3)
    q = model.posterior(x)
    adam = optax.adam(optax.cosine_decay_schedule(STEP_SIZE, steps))

    def gaussian(parameters: tuple[Array, Array]) -> dist.Distribution:
        return dist.Normal(parameters[0], jnp.exp(parameters[1])).to_event(1)

    def negative(parameters: tuple[Array, Array], key: PRNGKeyArray) -> Array:
        return -_log_weights(model, x, gaussian(parameters), key, STEP_DRAWS).mean()

    def step(
        state: tuple[tuple[Array, Array], optax.OptState], key: PRNGKeyArray
    ) -> tuple[tuple[tuple[Array, Array], optax.OptState], None]:
        parameters, moments = state
        change, moments = adam.update(jax.grad(negative)(parameters, key), moments)
        return (optax.apply_updates(parameters, change), moments), None

    start = (q.mean, 0.5 * jnp.log(q.variance))
    (parameters, _), _ = jax.lax.scan(step, (start, adam.init(start)), jax.random.split(key_steps, steps))
    bound = _log_weights(model, x, q, key_q, DRAWS).mean()
    log_w = _log_weights(model, x, gaussian(parameters), key_best, DRAWS)
    return bound, log_w.mean(), jax.nn.logsumexp(log_w) - jnp.log(DRAWS)


def _log_weights(model: VAE, x: Array, q: dist.Distribution, key: PRNGKeyArray, draws: int) -> Array:
    z = q.rsample(key, (draws,))
    return jax.vmap(partial(model.log_joint, x))(z) - q.log_prob(z)
