"""log p(x) by draws of the posterior and a density fitted to them: appendix D of the paper.

Draws are by Hamiltonian Monte Carlo; q(z) is a Gaussian with their mean and covariance, for the
paper names no family. The posterior of a linear model is a Gaussian; of others, whose tails are the
prior's, the variance is finite where the fitted covariance is less than twice the prior's, as it is
for a posterior that is narrower than its prior. An error of e nats of a row's mean makes its
logarithm too high by e^2 / 2, and that does not average out over rows. Chains stay on the hill they
start on, and a hill where none starts does not show in the error: an encoder that was never
trained, or fits its training rows alone, puts them on the wrong one.
"""

import warnings
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import ArrayLike, NDArray

from aevb.distributions.moments import variance_of
from aevb.errors import AevbWarning, ConfigError
from aevb.marginal.annealed import ChainScores, hmc_step, refuse_levels
from aevb.model import Model
from aevb.rows import Progress, are_empty, check_count, map_rows, row_keys

__all__ = ["harmonic"]


def harmonic(
    model: Model,
    rows: ArrayLike,
    *,
    samples: int = 500,
    chains: int = 10,
    burn_in: int = 100,
    leapfrog: int = 10,
    places: ArrayLike | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ChainScores:
    """-log (1/L) sum_l q(z_l) / p(x, z_l), z_l ~ p(z|x), q fitted to other draws of p(z|x).

    The paper recommends it for fewer than five latents.

    Parameters
    ----------
    model, rows, seed, progress
        As in `annealed`.
    samples
        L, the draws per row from all of its chains together: L to fit q, then L new ones.
    chains
        Chains per row, at least two: their spread gives the error of the estimate.
    burn_in
        Steps of each chain before the first draw that counts; they tune the step size.
    leapfrog
        Leapfrog steps per draw.
    places
        Where the chains start, shape (n, chains, latents), such as draws of p(z) chosen by their
        p(x|z). Its number of chains replaces `chains`. By default chains start at draws of q(z|x).

    Returns
    -------
    ChainScores
        The standard error is that of the mean over chains, by the delta method. For a row without
        an observed cell the log-likelihood is exactly 0, and all samples are effective.

    Raises
    ------
    ConfigError
        Latents are levels; there are fewer than two chains; `places` has another shape or is not
        finite; `samples`, `burn_in` or `leapfrog` is not a positive integer.

    Warns
    -----
    AevbWarning
        There are more than four latents.
    """
    _check(model, chains, samples=samples, burn_in=burn_in, leapfrog=leapfrog)
    starts: tuple[NDArray[np.float32], ...] = ()
    if places is not None:
        starts = (_checked(places, len(np.asarray(rows)), model.latent_dim),)
        chains = starts[0].shape[1]
    draws = -(-samples // chains)
    function = eqx.Partial(
        _log_ratios, chains=chains, draws=draws, burn_in=burn_in, leapfrog=leapfrog
    )
    keys = row_keys(rows, seed)
    log_r, acceptance = map_rows(function, model, rows, keys, *starts, progress=progress)
    return _summarized_ratios(log_r.astype(np.float64), acceptance, are_empty(rows))


def _check(model: Model, chains: int, *, good_latents: int = 4, **counts: int) -> None:
    refuse_levels(model)
    for name, number in counts.items():
        check_count(name, number)
    if chains < 2:
        raise ConfigError(f"chains must be at least 2, for their spread; got {chains}")
    latents = model.latent_dim
    if latents > good_latents:
        warnings.warn(
            f"appendix D is for fewer than five latents, and there are {latents}: take 'ais'",
            AevbWarning,
            stacklevel=3,
        )


def _checked(places: ArrayLike, rows: int, latents: int) -> NDArray[np.float32]:
    """Where chains start, shape (rows, chains, latents)."""
    starts = np.asarray(places, dtype=np.float32)
    if starts.ndim != 3 or starts.shape[::2] != (rows, latents) or starts.shape[1] < 2:
        raise ConfigError(
            f"places must be of {rows} rows, 2 chains or more and {latents} latents; "
            f"got {starts.shape}"
        )
    if not np.isfinite(starts).all():
        raise ConfigError(
            "places must be finite: a chain that starts at NaN or infinity stays there"
        )
    return starts


def _summarized_ratios(
    log_r: NDArray[np.float64], acceptance: Array, empty: NDArray[np.bool_]
) -> ChainScores:
    """The estimate and its error from log-ratios of each row, shape (n, draws, chains)."""
    _, draws, chains = log_r.shape
    largest = log_r.max(axis=(1, 2), keepdims=True)
    by_chain = np.exp(log_r - largest).mean(axis=1)
    mean = by_chain.mean(axis=1)
    error = by_chain.std(axis=1, ddof=1) / np.sqrt(chains) / mean
    error = np.where(empty, 0.0, error)
    return ChainScores(
        np.where(empty, 0.0, -(np.log(mean) + largest[:, 0, 0])),
        error,
        1 / np.maximum(error**2, 1 / (draws * chains)),
        np.asarray(acceptance, dtype=np.float64),
    )


def _log_ratios(
    model: Model,
    x: Array,
    key: PRNGKeyArray,
    places: Array | None = None,
    *,
    chains: int,
    draws: int,
    burn_in: int,
    leapfrog: int,
    acceptance: float = 0.9,
    first_size: float = 0.2,
) -> tuple[Array, Array]:
    """log q(z_l) - log p(x, z_l), shape (draws, chains), and the mean acceptance.

    `acceptance` is the share of proposals to accept, `first_size` in deviations of the start.
    """
    key_start, key_tune, key_fit, key_new = jax.random.split(key, 4)
    target = partial(model.log_joint, x)
    if places is None:
        q = model.q_z(x)
        places, variance = q.sample(key_start, (chains,)), variance_of(q)
    else:
        variance = variance_of(model.p_z())

    def tune(state: tuple[Array, Array], key: PRNGKeyArray) -> tuple[tuple[Array, Array], None]:
        z, size = state
        z, accepted = hmc_step(target, z, size, variance, key, leapfrog=leapfrog)
        return (z, size * jnp.exp(accepted - acceptance)), None

    def draw(z: Array, key: PRNGKeyArray) -> tuple[Array, tuple[Array, Array]]:
        z, accepted = hmc_step(target, z, size, variance, key, leapfrog=leapfrog)
        return z, (z, accepted)

    start = (places, jnp.array(first_size))
    (z, size), _ = jax.lax.scan(tune, start, jax.random.split(key_tune, burn_in))
    z, (first, _) = jax.lax.scan(draw, z, jax.random.split(key_fit, draws))
    _, (new, accepted) = jax.lax.scan(draw, z, jax.random.split(key_new, draws))
    q = _gaussian_of(first.reshape(-1, first.shape[-1]))
    return q.log_prob(new) - jax.vmap(jax.vmap(target))(new), accepted.mean()


def _gaussian_of(z: Array) -> dist.Distribution:
    """The Gaussian with the mean and the covariance of these draws, shape (n, k)."""
    latents = z.shape[1]
    covariance = jnp.cov(z.T).reshape(latents, latents)
    return dist.MultivariateNormal(
        z.mean(0), covariance + 1e-9 * jnp.eye(latents), validate_args=False
    )
