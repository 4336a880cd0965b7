"""log p(x) by annealed importance sampling (Neal 2001; Wu et al. 2017): from q(z|x) to p(z|x) in many small steps."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.errors import ConfigError
from aevb.evaluation.bounds import Progress, each_row, row_keys
from aevb.model import VAE
from aevb.posteriors import BernoulliPosterior, CategoricalPosterior

__all__ = ["Annealed", "Bracket", "annealed", "bracket", "hmc_step", "refuse_levels"]

#: Of Hamiltonian Monte Carlo: leapfrog steps, the share of proposals to accept, and what a step size is changed by
#: after each step; step sizes are in units of q's own deviations.
LEAPFROG, ACCEPTANCE, CHANGE, FIRST_STEP = 10, 0.65, 1.02, 0.2


#: Of the chains: where they are, the logarithms of their weights, and the step size they share.
State = tuple[Array, Array, Array]


class Annealed(NamedTuple):
    """Of each row, as in `bounds.Scores`, and the share of proposals that were accepted."""

    log_likelihood: NDArray[np.float64]
    monte_carlo_error: NDArray[np.float64]
    effective_sample_size: NDArray[np.float64]
    acceptance: NDArray[np.float64]


class Bracket(NamedTuple):
    """Of each simulated row a stochastic lower and upper bound of log p(x), and the row itself in model units."""

    lower: Annealed
    upper: Annealed
    units: NDArray[np.float32]


def annealed(
    model: VAE,
    units: NDArray[np.float32],
    *,
    chains: int = 16,
    temperatures: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> Annealed:
    """log (1/C) sum_c w_c, log w = sum_t (b_t - b_{t-1}) [log p(x, z_{t-1}) - log q(z_{t-1}|x)]: a lower bound in mean.

    z_0 ~ q(z|x), and z_t follows from z_{t-1} by a step of Hamiltonian Monte Carlo that leaves q^(1-b_t) p(x, .)^b_t as
    it is. Temperatures b_t are even from 0 to 1: q is near its end, and so there is no stretch to spend more on.

    Parameters
    ----------
    model
        The VAE, with latents that are numbers.
    units
        Rows in model units, shape (n, D), NaN where missing.
    chains
        C.
    temperatures
        T: the bound tightens, and takes longer, with each.
    seed
        Of the draws; a row's are its own, as in `bounds.importance_weighted`.
    progress
        Told how many rows are done, block by block.

    Returns
    -------
    Annealed
        Arrays of shape (n,), in nats. A row without an observed cell has log-likelihood 0 exactly.

    Raises
    ------
    ConfigError
        Latents are levels.
    """
    refuse_levels(model)
    row = partial(_forward, chains=chains, temperatures=temperatures)
    log_w, acceptance = each_row(row, model, units, row_keys(units, seed), progress=progress)
    return _summary(log_w, acceptance, empty=np.asarray(np.isnan(units).all(axis=1)))


def bracket(model: VAE, rows: int, *, chains: int = 16, temperatures: int = 200, seed: int = 0) -> Bracket:
    """Both sides of log p(x) on rows drawn from the model (Grosse, Ancha and Roy 2016): bidirectional Monte Carlo.

    Of a row that is drawn together with its z, that z is an exact draw of p(z|x): chains annealed from it back to q
    have weights of mean 1 / p(x), and minus the log of their mean is an upper bound.

    Parameters
    ----------
    model, chains, temperatures, seed
        As in `annealed`.
    rows
        How many to draw.
    """
    refuse_levels(model)
    width = sum(len(part.columns) for part in model.likelihood.parts)
    keys = jax.random.split(jax.random.key(seed), rows)
    row = partial(_both, chains=chains, temperatures=temperatures)
    forward, reverse, units = each_row(row, model, np.zeros((rows, width), np.float32), keys)
    lower, mirrored = (_summary(*found, empty=np.zeros(rows, bool)) for found in (forward, reverse))
    return Bracket(lower, mirrored._replace(log_likelihood=-mirrored.log_likelihood), np.asarray(units))


def refuse_levels(model: VAE) -> None:
    """`ConfigError` where z is no vector of numbers: Hamiltonian Monte Carlo follows slopes."""
    if isinstance(model.posterior, BernoulliPosterior | CategoricalPosterior):
        raise ConfigError("latents that are levels have no slope to follow: take method 'iwae'")


def _forward(model: VAE, x: Array, key: PRNGKeyArray, *, chains: int, temperatures: int) -> tuple[Array, Array]:
    key_start, key_walk = jax.random.split(key)
    q = model.posterior(x)
    start = q.sample(key_start, (chains,))
    return _walk(model, x, q, start, jnp.linspace(0.0, 1.0, temperatures + 1), key_walk)


def _both(model: VAE, _: Array, key: PRNGKeyArray, *, chains: int, temperatures: int) -> tuple[Any, Any, Array]:
    key_z, key_x, key_forward, key_reverse = jax.random.split(key, 4)
    z = model.p_z().sample(key_z)
    x = model.likelihood(z).sample(key_x)
    forward = _forward(model, x, key_forward, chains=chains, temperatures=temperatures)
    start = jnp.broadcast_to(z, (chains, *z.shape))
    down = jnp.linspace(1.0, 0.0, temperatures + 1)
    return forward, _walk(model, x, model.posterior(x), start, down, key_reverse), x


def _walk(
    model: VAE, x: Array, q: dist.Distribution, start: Array, temperatures: Array, key: PRNGKeyArray
) -> tuple[Array, Array]:
    """Log-weights of the chains, shape (C,), and the mean acceptance."""

    def gap(z: Array) -> Array:
        return jax.vmap(partial(model.log_joint, x))(z) - q.log_prob(z)

    def step(state: State, inputs: tuple[Array, Array, PRNGKeyArray]) -> tuple[State, Array]:
        z, log_w, size = state
        before, now, key = inputs
        log_w = log_w + (now - before) * gap(z)

        def target(z: Array) -> Array:
            return (1 - now) * q.log_prob(z) + now * model.log_joint(x, z)

        z, accepted = hmc_step(target, z, size, q.variance, key)
        size = size * jnp.where(accepted > ACCEPTANCE, CHANGE, 1 / CHANGE)
        return (z, log_w, size), accepted

    keys = jax.random.split(key, len(temperatures) - 1)
    state = (start, jnp.zeros(len(start)), jnp.array(FIRST_STEP))
    (_, log_w, _), accepted = jax.lax.scan(step, state, (temperatures[:-1], temperatures[1:], keys))
    return log_w, accepted.mean()


def hmc_step(
    target: Callable[[Array], Array], z: Array, size: Array, variance: Array, key: PRNGKeyArray
) -> tuple[Array, Array]:
    """One step of Hamiltonian Monte Carlo for every chain: where they are then, and the share accepted.

    Parameters
    ----------
    target
        Log-density of one z, up to a constant.
    z
        Shape (C, k).
    size, variance
        Of a leapfrog step, in units of deviations; of the latents, shape (k,).
    """
    from blackjax.mcmc import hmc

    kernel = hmc.build_kernel()

    def one(z: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        state, info = kernel(key, hmc.init(z, target), target, size, variance, LEAPFROG)
        return state.position, info.acceptance_rate

    moved, accepted = jax.vmap(one)(z, jax.random.split(key, len(z)))
    return moved, accepted.mean()


def _summary(log_weights: Array, acceptance: Array, *, empty: NDArray[np.bool_]) -> Annealed:
    """Log of the mean weight, with the delta method's standard error, of each row's chains, shape (n, C)."""
    log_w = np.asarray(log_weights, dtype=np.float64)
    most = log_w.max(axis=1, keepdims=True)
    w = np.exp(log_w - most)
    mean, chains = w.mean(axis=1), log_w.shape[1]
    effective = w.sum(axis=1) ** 2 / (w**2).sum(axis=1)
    error = np.sqrt(w.var(axis=1, ddof=min(1, chains - 1)) / chains) / mean
    return Annealed(
        np.where(empty, 0.0, np.log(mean) + most[:, 0]),
        np.where(empty, 0.0, error),
        np.where(empty, float(chains), effective),
        np.asarray(acceptance, dtype=np.float64),
    )
