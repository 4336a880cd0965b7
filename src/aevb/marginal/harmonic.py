"""log p(x) by draws of the posterior and a density fitted to them: appendix D of the paper."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.errors import AevbWarning, ConfigError
from aevb.marginal.annealed import FIRST_STEP, LEAPFROG, Annealed, hmc_step, refuse_levels
from aevb.marginal.importance import Progress, at_least_one, each_row, row_keys
from aevb.model import Model

__all__ = ["CHAINS", "harmonic"]

#: The most latents that the paper recommends it for.
MOST_LATENTS = 4
#: Steps before the first draw that counts, in which the step size is tuned to this share of
#: proposals accepted.
BURN_IN, ACCEPTANCE = 100, 0.9
#: Chains of a row, whose spread is the estimate's error: a hill that none of them starts near it
#: does not show.
CHAINS = 10


def harmonic(
    model: Model,
    units: NDArray[np.float32],
    *,
    samples: int = 500,
    burn_in: int = BURN_IN,
    leapfrog: int = LEAPFROG,
    places: NDArray[np.float32] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Annealed:
    """-log (1/L) sum_l q(z_l) / p(x, z_l), z_l ~ p(z|x), q a density fitted to other draws of
    p(z|x): appendix D.

    Draws are by Hamiltonian Monte Carlo, q(z) is a Gaussian with their mean and covariance. The
    paper names no family. The posterior of a linear model is a Gaussian; of others, whose tails are
    the prior's, the variance is finite where the fitted covariance is less than twice the prior's,
    as that of a posterior is which is narrower than its prior. An error of e nats of a row's mean
    makes its logarithm too high by e^2 / 2, and that does not average out over rows. Good for fewer
    than five latents, says the paper.

    Parameters
    ----------
    model
        The VAE, with latents that are numbers.
    units
        Rows in model units, shape (n, D), NaN where missing.
    samples
        L, for the fit of q and then as many new ones, of all chains of a row together.
    burn_in
        Steps of each chain before the first draw that counts.
    leapfrog
        Leapfrog steps to a draw.
    places
        Where chains start, shape (n, chains, latents): at `CHAINS` draws of q(z|x) unless said.
        Chains stay on the hill they start on. An encoder that was never trained, or fits its
        training rows alone, puts them on the wrong one: then give draws of p(z) taken by their
        p(x|z).
    seed
        Of the draws; a row's are its own.
    progress
        Told how many rows are done, block by block.

    Returns
    -------
    Annealed
        Arrays of shape (n,), in nats; the standard error is that of the mean over chains, by the
        delta method. A row without an observed cell has log-likelihood 0 exactly, and all samples
        are effective.

    Raises
    ------
    ConfigError
        Latents are levels; places are of other rows or latents, of one chain, or not finite; fewer
        samples or steps than one.

    Warns
    -----
    AevbWarning
        Of more than four latents.
    """
    refuse_levels(model)
    for name, number in (("samples", samples), ("burn_in", burn_in), ("leapfrog", leapfrog)):
        at_least_one(name, number)
    if model.posterior.latent_dim > MOST_LATENTS:
        warnings.warn(
            f"appendix D is for fewer than five latents, and there are {model.posterior.latent_dim}: take 'ais'",
            AevbWarning,
            stacklevel=2,
        )
    expected = (len(units), model.posterior.latent_dim)
    if places is not None and (
        places.ndim != 3 or places.shape[::2] != expected or places.shape[1] < 2
    ):
        rows, latents = expected
        raise ConfigError(
            f"places must be of {rows} rows, 2 chains or more and {latents} latents; got {places.shape}"
        )
    if places is not None and not np.isfinite(places).all():
        raise ConfigError(
            "places must be finite: a chain that starts at NaN or infinity stays there"
        )
    chains = CHAINS if places is None else places.shape[1]
    draws = -(-samples // chains)
    # A row and, where they are given, its chains' places, side by side.
    both = (
        units if places is None else np.concatenate([units, places.reshape(len(units), -1)], axis=1)
    )
    row = partial(
        _log_ratios, width=units.shape[1], draws=draws, burn_in=burn_in, leapfrog=leapfrog
    )
    log_ratios, acceptance = each_row(row, model, both, row_keys(units, seed), progress=progress)
    log_r = np.asarray(log_ratios, dtype=np.float64)  # (n, draws, chains)
    most = log_r.max(axis=(1, 2), keepdims=True)
    by_chain = np.exp(log_r - most).mean(axis=1)
    mean = by_chain.mean(axis=1)
    empty = np.isnan(units).all(axis=1)
    error = np.where(empty, 0.0, by_chain.std(axis=1, ddof=1) / np.sqrt(chains) / mean)
    return Annealed(
        np.where(empty, 0.0, -(np.log(mean) + most[:, 0, 0])),
        error,
        1 / np.maximum(error**2, 1 / (draws * chains)),
        np.asarray(acceptance, dtype=np.float64),
    )


def _log_ratios(
    model: Model,
    both: Array,
    key: PRNGKeyArray,
    *,
    width: int,
    draws: int,
    burn_in: int,
    leapfrog: int,
) -> tuple[Array, Array]:
    """log q(z_l) - log p(x, z_l), shape (draws, chains), and the mean acceptance."""
    key_start, key_tune, key_fit, key_new = jax.random.split(key, 4)
    x, places = both[:width], both[width:]
    target = partial(model.log_joint, x)
    if places.size:
        start, variance = places.reshape(-1, model.posterior.latent_dim), model.p_z().variance
    else:
        start, variance = (
            model.posterior(x).sample(key_start, (CHAINS,)),
            model.posterior(x).variance,
        )

    def tune(state: tuple[Array, Array], key: PRNGKeyArray) -> tuple[tuple[Array, Array], None]:
        z, size = state
        z, accepted = hmc_step(target, z, size, variance, key, leapfrog=leapfrog)
        return (z, size * jnp.exp(accepted - ACCEPTANCE)), None

    def draw(z: Array, key: PRNGKeyArray) -> tuple[Array, tuple[Array, Array]]:
        z, accepted = hmc_step(target, z, size, variance, key, leapfrog=leapfrog)
        return z, (z, accepted)

    (z, size), _ = jax.lax.scan(
        tune, (start, jnp.array(FIRST_STEP)), jax.random.split(key_tune, burn_in)
    )
    z, (first, _) = jax.lax.scan(draw, z, jax.random.split(key_fit, draws))
    _, (new, accepted) = jax.lax.scan(draw, z, jax.random.split(key_new, draws))
    rows = first.reshape(-1, first.shape[-1])
    covariance = jnp.cov(rows.T).reshape(2 * rows.shape[1:])
    q = dist.MultivariateNormal(
        rows.mean(0), covariance + 1e-9 * jnp.eye(len(covariance)), validate_args=False
    )
    return q.log_prob(new) - jax.vmap(jax.vmap(target))(new), accepted.mean()
