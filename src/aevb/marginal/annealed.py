"""log p(x) by annealed importance sampling (Neal 2001; Wu et al. 2017): from q(z|x) to p(z|x) in
many small steps.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.errors import ConfigError
from aevb.marginal.importance import Progress, at_least_one, each_row, row_keys
from aevb.model import Model
from aevb.posteriors import BernoulliPosterior, CategoricalPosterior

__all__ = [
    "Annealed",
    "Bracket",
    "annealed",
    "bracket",
    "hmc_step",
    "refuse_levels",
    "reverse_annealed",
]

#: Of Hamiltonian Monte Carlo: leapfrog steps, the share of proposals to accept, and what a step
#: size is changed by after each step; step sizes are in units of the start's own deviations.
LEAPFROG, ACCEPTANCE, CHANGE, FIRST_STEP = 10, 0.65, 1.02, 0.2
#: Each step size is drawn within this share of its mean. With a fixed one there are lengths of path
#: after which a Gaussian target brings z back to where it was: chains that met one stood still, and
#: errors of appendix D were 1.4 to 8 times what they are.
JITTER = 0.3
#: How steep the path from p(z) is in its middle: a tenth of the steps then go to the first 2% of
#: it.
STEEPNESS = 4.0

#: Of the chains: where they are, the logarithms of their weights, and the step size they share.
State = tuple[Array, Array, Array]
#: Where chains start, or end in reverse: at q(z|x), or at p(z).
Start = Literal["posterior", "prior"]


class Annealed(NamedTuple):
    """Of each row, as in `bounds.Scores`, and the share of proposals that were accepted."""

    log_likelihood: NDArray[np.float64]
    monte_carlo_error: NDArray[np.float64]
    effective_sample_size: NDArray[np.float64]
    acceptance: NDArray[np.float64]


class Bracket(NamedTuple):
    """Of each simulated row a stochastic lower and upper bound of log p(x), and the row itself in
    model units.
    """

    lower: Annealed
    upper: Annealed
    units: NDArray[np.float32]


def annealed(
    model: Model,
    units: NDArray[np.float32],
    *,
    chains: int = 16,
    temperatures: int = 200,
    start: Start = "posterior",
    seed: int = 0,
    progress: Progress | None = None,
) -> Annealed:
    """log (1/C) sum_c w_c, log w = sum_t (b_t - b_{t-1}) [log p(x, z_{t-1}) - log q(z_{t-1}|x)]: a
    lower bound in mean.

    z_0 ~ q(z|x), and z_t follows from z_{t-1} by a step of Hamiltonian Monte Carlo that leaves
    q^(1-b_t) p(x, .)^b_t as it is. From q, temperatures b_t are even from 0 to 1: q is near its
    end, so there is no stretch to spend more on. From p(z), which stands for q above where q is not
    to be relied on, they are those of a sigmoid (Wu et al. 2017), close together at both ends:
    first the density of z changes by orders of magnitude, last it settles.

    The step size follows the acceptance of the row's chains, so that a step depends a little on the
    chains' past; that the mean weight is p(x) is then true as far as such slow changes do not
    matter, as in Wu et al. and Cremer et al.

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
    start
        Where chains start: "posterior", at q(z|x), or "prior".
    seed
        Of the draws; a row's are its own, as in `bounds.importance_weighted`.
    progress
        Told how many rows are done, block by block.

    Returns
    -------
    Annealed
        Arrays of shape (n,), in nats. A row without an observed cell has log-likelihood 0 exactly;
        the error is NaN where there is but one chain.

    Raises
    ------
    ConfigError
        Latents are levels, or there are fewer chains or temperatures than one.
    """
    _check(model, chains, temperatures)
    row = partial(_forward, chains=chains, temperatures=temperatures, start=start)
    log_w, acceptance = each_row(row, model, units, row_keys(units, seed), progress=progress)
    return _summary(log_w, acceptance, empty=np.asarray(np.isnan(units).all(axis=1)))


def reverse_annealed(
    model: Model,
    units: NDArray[np.float32],
    z: NDArray[np.float32],
    *,
    chains: int = 16,
    temperatures: int = 200,
    start: Start = "posterior",
    seed: int = 0,
    progress: Progress | None = None,
) -> Annealed:
    """-log (1/C) sum_c w_c of chains that go the path of `annealed` backwards, from z ~ p(z|x): an
    upper bound in mean.

    The weights then have the mean 1 / p(x) (Grosse, Ancha and Roy 2016). It needs an exact draw of
    the posterior, which one has of rows simulated from the model alone, drawn together with their
    z; cells may be taken from them after.

    Parameters
    ----------
    model, units, chains, temperatures, start, seed, progress
        As in `annealed`.
    z
        One exact draw of p(z|x) for each row, shape (n, latent_dim).
    """
    _check(model, chains, temperatures)
    row = partial(
        _reverse, latents=z.shape[1], chains=chains, temperatures=temperatures, start=start
    )
    both = np.concatenate([units, z], axis=1)
    log_w, acceptance = each_row(row, model, both, row_keys(both, seed), progress=progress)
    found = _summary(log_w, acceptance, empty=np.asarray(np.isnan(units).all(axis=1)))
    return found._replace(log_likelihood=-found.log_likelihood)


def bracket(
    model: Model,
    rows: int,
    *,
    chains: int = 16,
    temperatures: int = 200,
    start: Start = "posterior",
    seed: int = 0,
) -> Bracket:
    """Both sides of log p(x) on rows drawn from the model (Grosse, Ancha and Roy 2016):
    bidirectional Monte Carlo.

    Of a row that is drawn together with its z, that z is an exact draw of p(z|x), from which
    `reverse_annealed` starts. Where the two sides are near each other, `annealed` is to be trusted
    on data that are like the model's.

    Parameters
    ----------
    model, chains, temperatures, start, seed
        As in `annealed`.
    rows
        How many to draw.
    """
    width = sum(len(part.columns) for part in model.likelihood.parts)
    keys = jax.random.split(jax.random.key(seed), rows)
    z, units = each_row(_simulated, model, np.zeros((rows, width), np.float32), keys)
    lower = annealed(model, units, chains=chains, temperatures=temperatures, start=start, seed=seed)
    upper = reverse_annealed(
        model, units, z, chains=chains, temperatures=temperatures, start=start, seed=seed
    )
    return Bracket(lower, upper, units)


def refuse_levels(model: Model) -> None:
    """`ConfigError` where z is no vector of numbers: Hamiltonian Monte Carlo follows slopes."""
    if isinstance(model.posterior, BernoulliPosterior | CategoricalPosterior):
        raise ConfigError("latents that are levels have no slope to follow: take method 'iwae'")


def _check(model: Model, chains: int, temperatures: int) -> None:
    refuse_levels(model)
    at_least_one("chains", chains)
    at_least_one("temperatures", temperatures)


def _forward(
    model: Model, x: Array, key: PRNGKeyArray, *, chains: int, temperatures: int, start: Start
) -> tuple[Array, Array]:
    key_start, key_walk = jax.random.split(key)
    q = _base(model, x, start)
    return _walk(model, x, q, q.sample(key_start, (chains,)), _path(start, temperatures), key_walk)


def _reverse(
    model: Model,
    both: Array,
    key: PRNGKeyArray,
    *,
    latents: int,
    chains: int,
    temperatures: int,
    start: Start,
) -> tuple[Array, Array]:
    x, z = both[:-latents], both[-latents:]
    ends = jnp.broadcast_to(z, (chains, latents))
    return _walk(model, x, _base(model, x, start), ends, _path(start, temperatures)[::-1], key)


def _simulated(model: Model, _: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
    """(z, x) ~ p(x, z)."""
    key_z, key_x = jax.random.split(key)
    z = model.p_z().sample(key_z)
    return z, model.likelihood(z).sample(key_x)


def _base(model: Model, x: Array, start: Start) -> dist.Distribution:
    """Where chains start: q(z|x), or p(z)."""
    return model.posterior(x) if start == "posterior" else model.p_z()


def _path(start: Start, temperatures: int) -> Array:
    """b_0 = 0 to b_T = 1, shape (T + 1,)."""
    even = jnp.linspace(0.0, 1.0, temperatures + 1)
    if start == "posterior":
        return even
    s = jax.nn.sigmoid(STEEPNESS * (2 * even - 1))
    return (s - s[0]) / (s[-1] - s[0])


def _walk(
    model: Model,
    x: Array,
    q: dist.Distribution,
    start: Array,
    temperatures: Array,
    key: PRNGKeyArray,
) -> tuple[Array, Array]:
    """Log-weights of the chains, shape (C,), and the mean acceptance."""
    variance = q.variance

    def gap(z: Array) -> Array:
        return jax.vmap(partial(model.log_joint, x))(z) - q.log_prob(z)

    def step(state: State, inputs: tuple[Array, Array, PRNGKeyArray]) -> tuple[State, Array]:
        z, log_w, size = state
        before, now, key = inputs
        log_w = log_w + (now - before) * gap(z)

        def target(z: Array) -> Array:
            return (1 - now) * q.log_prob(z) + now * model.log_joint(x, z)

        z, accepted = hmc_step(target, z, size, variance, key)
        size = size * jnp.where(accepted > ACCEPTANCE, CHANGE, 1 / CHANGE)
        return (z, log_w, size), accepted

    keys = jax.random.split(key, len(temperatures) - 1)
    first = (start, jnp.zeros(len(start)), jnp.array(FIRST_STEP))
    (_, log_w, _), accepted = jax.lax.scan(step, first, (temperatures[:-1], temperatures[1:], keys))
    return log_w, accepted.mean()


def hmc_step(
    target: Callable[[Array], Array],
    z: Array,
    size: Array,
    variance: Array,
    key: PRNGKeyArray,
    *,
    leapfrog: int = LEAPFROG,
) -> tuple[Array, Array]:
    """One step of Hamiltonian Monte Carlo for every chain: where they are then, and the share
    accepted.

    Parameters
    ----------
    target
        Log-density of one z, up to a constant.
    z
        Shape (C, k).
    size, variance
        Of a leapfrog step in the mean over `JITTER`, in units of deviations; of the latents, shape
        (k,).
    leapfrog
        Steps of a proposal.
    """
    from blackjax.mcmc import hmc

    kernel = hmc.build_kernel()

    def one(z: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        key_size, key_move = jax.random.split(key)
        jittered = size * jax.random.uniform(key_size, minval=1 - JITTER, maxval=1 + JITTER)
        state, info = kernel(key_move, hmc.init(z, target), target, jittered, variance, leapfrog)
        return state.position, info.acceptance_rate

    moved, accepted = jax.vmap(one)(z, jax.random.split(key, len(z)))
    return moved, accepted.mean()


def _summary(log_weights: Array, acceptance: Array, *, empty: NDArray[np.bool_]) -> Annealed:
    """Log of the mean weight, with the delta method's standard error, of each row's chains, shape
    (n, C).
    """
    log_w = np.asarray(log_weights, dtype=np.float64)
    most = log_w.max(axis=1, keepdims=True)
    w = np.exp(log_w - most)
    mean, chains = w.mean(axis=1), log_w.shape[1]
    effective = w.sum(axis=1) ** 2 / (w**2).sum(axis=1)
    error = (
        np.sqrt(w.var(axis=1, ddof=1) / chains) / mean if chains > 1 else np.full(len(w), np.nan)
    )
    return Annealed(
        np.where(empty, 0.0, np.log(mean) + most[:, 0]),
        np.where(empty, 0.0, error),
        np.where(empty, float(chains), effective),
        np.asarray(acceptance, dtype=np.float64),
    )
