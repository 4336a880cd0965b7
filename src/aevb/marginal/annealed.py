"""log p(x) by annealed importance sampling (Neal 2001; Wu et al. 2017).

Chains go from q(z|x), or p(z), to p(z|x) in many small steps, each a step of Hamiltonian Monte
Carlo that leaves q^(1-b_t) p(x, .)^b_t as it is. From q, temperatures b_t are even from 0 to 1: q
is near its end, so no stretch needs more of them. From p(z), which replaces q where q is not
reliable, they are those of a sigmoid (Wu et al. 2017), close together at both ends: at first the
density of z changes by orders of magnitude, at last it settles.

The step size follows the acceptance of the row's chains, so that a step depends a little on the
chains' past; that the mean weight is p(x) is then true as far as such slow changes do not matter,
as in Wu et al. and Cremer et al.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import ArrayLike, NDArray

from aevb.distributions.moments import variance_of
from aevb.errors import ConfigError
from aevb.model import Model
from aevb.rows import Progress, are_empty, check_count, map_rows, row_keys

__all__ = [
    "Bracket",
    "ChainScores",
    "annealed",
    "bracket",
    "hmc_step",
    "refuse_levels",
    "reverse_annealed",
]

#: Where chains start, or end in reverse: at q(z|x), or at p(z).
ChainStart = Literal["posterior", "prior"]


class ChainScores(NamedTuple):
    """For each row, shape (n,): as in `Scores`, and the share of proposals that were accepted."""

    log_likelihood: NDArray[np.float64]
    monte_carlo_error: NDArray[np.float64]
    effective_sample_size: NDArray[np.float64]
    acceptance: NDArray[np.float64]

    def mean(self) -> float:
        """Nats per row."""
        return float(self.log_likelihood.mean())


class Bracket(NamedTuple):
    """Stochastic lower and upper bounds of log p(x) for simulated rows, and the rows themselves."""

    lower: ChainScores
    upper: ChainScores
    #: In model units, shape (n, D).
    units: NDArray[np.float32]


class Chains(NamedTuple):
    """Places of a row's chains, shape (C, k), their log-weights (C,), and the step size."""

    z: Array
    log_w: Array
    size: Array


def annealed(
    model: Model,
    rows: ArrayLike,
    *,
    chains: int = 16,
    temperatures: int = 200,
    start: ChainStart = "posterior",
    seed: int = 0,
    progress: Progress | None = None,
) -> ChainScores:
    """log (1/C) sum_c w_c, a lower bound of log p(x) in mean.

    log w = sum_t (b_t - b_{t-1}) [log p(x, z_{t-1}) - log q(z_{t-1}|x)], z_0 ~ q(z|x).

    Parameters
    ----------
    model, rows
        The VAE, and rows in model units, shape (n, D), NaN where missing.
    chains, temperatures
        C and T: the bound tightens, and takes longer, with each.
    start
        Where chains start: "posterior", at q(z|x), or "prior".
    seed
        The random seed; each row has its own stream of random numbers.
    progress
        Called after each block of rows with the number of rows done.

    Returns
    -------
    ChainScores
        The log-likelihood is exactly 0 for a row without an observed cell. The error of a single
        chain is NaN.

    Raises
    ------
    ConfigError
        Latents are levels, or `chains` or `temperatures` is not a positive integer.
    """
    walk = eqx.Partial(_forward, chains=chains, temperatures=temperatures, start=start)
    return _scored(walk, model, rows, row_keys(rows, seed), progress=progress)


def reverse_annealed(
    model: Model,
    rows: ArrayLike,
    z: ArrayLike,
    *,
    chains: int = 16,
    temperatures: int = 200,
    start: ChainStart = "posterior",
    seed: int = 0,
    progress: Progress | None = None,
) -> ChainScores:
    """-log (1/C) sum_c w_c of chains that go the path of `annealed` backwards from z ~ p(z|x).

    The weights have the mean 1 / p(x) (Grosse, Ancha and Roy 2016), so this is an upper bound in
    mean. It needs an exact draw of the posterior, which only rows have that were simulated from the
    model together with their z; cells may be removed from them afterwards.

    Parameters
    ----------
    model, rows, chains, temperatures, start, seed, progress
        As in `annealed`.
    z
        One exact draw of p(z|x) for each row, shape (n, latent_dim).

    Raises
    ------
    ConfigError
        As in `annealed`.
    """
    keys = row_keys(np.concatenate([np.asarray(rows), np.asarray(z)], axis=1), seed)
    walk = eqx.Partial(_reverse, chains=chains, temperatures=temperatures, start=start)
    found = _scored(walk, model, rows, z, keys, progress=progress)
    return found._replace(log_likelihood=-found.log_likelihood)


def bracket(
    model: Model,
    rows: int,
    *,
    chains: int = 16,
    temperatures: int = 200,
    start: ChainStart = "posterior",
    seed: int = 0,
) -> Bracket:
    """Both sides of log p(x) on rows drawn from the model: bidirectional Monte Carlo.

    Grosse, Ancha and Roy (2016). The z that a row is drawn with is an exact draw of p(z|x), from
    which `reverse_annealed` starts. Where the two sides are close, `annealed` can be trusted on
    data that are like the model's.

    Parameters
    ----------
    model, chains, temperatures, start
        As in `annealed`.
    rows
        The number of rows to draw.
    seed
        The random seed, of the rows and of the chains.

    Raises
    ------
    ConfigError
        As in `annealed`.
    """
    keys = jax.random.split(jax.random.key(seed), rows)
    z, units = map_rows(_simulated, model, keys)
    units = units.astype(np.float32)
    lower = annealed(model, units, chains=chains, temperatures=temperatures, start=start, seed=seed)
    upper = reverse_annealed(
        model, units, z, chains=chains, temperatures=temperatures, start=start, seed=seed
    )
    return Bracket(lower, upper, units)


def refuse_levels(model: Model) -> None:
    """Raise `ConfigError` where latents are levels: Hamiltonian Monte Carlo follows slopes."""
    if model.has_levels:
        raise ConfigError("latents that are levels have no slope to follow: take method 'iwae'")


def _scored(
    walk: eqx.Partial[tuple[Array, Array]],
    model: Model,
    rows: ArrayLike,
    *inputs: ArrayLike | PRNGKeyArray,
    progress: Progress | None,
) -> ChainScores:
    """What the log-weights of the chains that `walk` from each row say."""
    refuse_levels(model)
    check_count("chains", walk.keywords["chains"])
    check_count("temperatures", walk.keywords["temperatures"])
    log_w, acceptance = map_rows(walk, model, rows, *inputs, progress=progress)
    return _summary(log_w, acceptance, are_empty(rows))


def _forward(
    model: Model, x: Array, key: PRNGKeyArray, *, chains: int, temperatures: int, start: ChainStart
) -> tuple[Array, Array]:
    key_start, key_walk = jax.random.split(key)
    q = _base(model, x, start)
    z = q.sample(key_start, (chains,))
    return _walk(model, x, q, z, _path(start, temperatures), key_walk)


def _reverse(
    model: Model,
    x: Array,
    z: Array,
    key: PRNGKeyArray,
    *,
    chains: int,
    temperatures: int,
    start: ChainStart,
) -> tuple[Array, Array]:
    ends = jnp.broadcast_to(z, (chains, len(z)))
    backwards = _path(start, temperatures)[::-1]
    return _walk(model, x, _base(model, x, start), ends, backwards, key)


def _simulated(model: Model, key: PRNGKeyArray) -> tuple[Array, Array]:
    """(z, x) ~ p(x, z)."""
    key_z, key_x = jax.random.split(key)
    z = model.p_z().sample(key_z)
    return z, model.likelihood(z).sample(key_x)


def _base(model: Model, x: Array, start: ChainStart) -> dist.Distribution:
    """The distribution that chains start from: q(z|x) or p(z)."""
    if start == "posterior":
        return model.q_z(x)
    return model.p_z()


def _path(start: ChainStart, temperatures: int, *, steepness: float = 4.0) -> Array:
    """b_0 = 0 to b_T = 1, shape (T + 1,).

    The steepness of the path from p(z) gives its first 2 % a tenth of the steps.
    """
    even = jnp.linspace(0.0, 1.0, temperatures + 1)
    if start == "posterior":
        return even
    s = jax.nn.sigmoid(steepness * (2 * even - 1))
    return (s - s[0]) / (s[-1] - s[0])


def _walk(
    model: Model,
    x: Array,
    q: dist.Distribution,
    z: Array,
    temperatures: Array,
    key: PRNGKeyArray,
    *,
    acceptance: float = 0.65,
    first_size: float = 0.2,
    change: float = 1.02,
) -> tuple[Array, Array]:
    """Log-weights of chains from z ~ q, shape (C, k), along b_0 to b_T, and the mean acceptance.

    The step size starts at `first_size` deviations of q, and changes by a factor at each step
    toward the share of proposals to accept.
    """
    variance = variance_of(q)

    def gap(z: Array) -> Array:
        return jax.vmap(partial(model.log_joint, x))(z) - q.log_prob(z)

    def step(chains: Chains, inputs: tuple[Array, Array, PRNGKeyArray]) -> tuple[Chains, Array]:
        before, now, key = inputs
        log_w = chains.log_w + (now - before) * gap(chains.z)

        def target(z: Array) -> Array:
            return (1 - now) * q.log_prob(z) + now * model.log_joint(x, z)

        moved, accepted = hmc_step(target, chains.z, chains.size, variance, key)
        size = chains.size * jnp.where(accepted > acceptance, change, 1 / change)
        return Chains(moved, log_w, size), accepted

    keys = jax.random.split(key, len(temperatures) - 1)
    first = Chains(z, jnp.zeros(len(z)), jnp.array(first_size))
    inputs = (temperatures[:-1], temperatures[1:], keys)
    chains, accepted = jax.lax.scan(step, first, inputs)
    return chains.log_w, accepted.mean()


def hmc_step(
    target: Callable[[Array], Array],
    z: Array,
    size: Array,
    variance: Array,
    key: PRNGKeyArray,
    *,
    leapfrog: int = 10,
    jitter: float = 0.3,
) -> tuple[Array, Array]:
    """One step of Hamiltonian Monte Carlo for every chain: the new places and the mean acceptance.

    Chains are at z, shape (C, k), the target is the log-density of one up to a constant, and the
    mean size of a leapfrog step is in deviations of latents of this variance, shape (k,). Each size
    is drawn within the share `jitter` of its mean: with a fixed one there are lengths of path after
    which a Gaussian target brings z back to where it was; chains that met one stood still, and
    errors of appendix D were 1.4 to 8 times what they are.
    """
    from blackjax.mcmc import hmc

    kernel = hmc.build_kernel()

    def one(z: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        key_size, key_move = jax.random.split(key)
        jittered = size * jax.random.uniform(key_size, minval=1 - jitter, maxval=1 + jitter)
        state, info = kernel(key_move, hmc.init(z, target), target, jittered, variance, leapfrog)
        return state.position, info.acceptance_rate

    moved, accepted = jax.vmap(one)(z, jax.random.split(key, len(z)))
    return moved, accepted.mean()


def _summary(log_weights: Array, acceptance: Array, empty: NDArray[np.bool_]) -> ChainScores:
    """Log of the mean weight of each row's chains, shape (n, C), with the delta method's error."""
    log_w = np.asarray(log_weights, dtype=np.float64)
    largest = log_w.max(axis=1, keepdims=True)
    w = np.exp(log_w - largest)
    mean = w.mean(axis=1)
    chains = log_w.shape[1]
    effective = w.sum(axis=1) ** 2 / (w**2).sum(axis=1)
    error = np.full(len(w), np.nan)
    if chains > 1:
        error = np.sqrt(w.var(axis=1, ddof=1) / chains) / mean
    return ChainScores(
        np.where(empty, 0.0, np.log(mean) + largest[:, 0]),
        np.where(empty, 0.0, error),
        np.where(empty, float(chains), effective),
        np.asarray(acceptance, dtype=np.float64),
    )
