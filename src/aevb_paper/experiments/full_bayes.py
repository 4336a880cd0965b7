"""Appendix F: variational Bayes over theta too, q(theta) = N(mu, diag sigma^2) and p(theta) = N(0,
I).
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PRNGKeyArray

from aevb.errors import ConfigError
from aevb.model import Model
from aevb.networks import trainable
from aevb.objectives import sgvb_a, sgvb_b
from aevb_paper.experiments.algorithm import BATCH, Algorithm, State, ascend, started
from aevb_paper.experiments.data import PaperData
from aevb_paper.experiments.networks import DEVIATION

__all__ = ["Uncertain", "closed_form", "full_bayes", "generic", "kl_from_prior"]


class Uncertain(eqx.Module):
    """A VAE of which theta, every number of the decoder, has a distribution; phi, the encoder, is
    what it is.

    The prior is N(0, I) over all of theta: biases as well, as a bound on log p(X) asks for a proper
    one. The encoder belongs to q(z|x) and has no prior. Section 5 has both otherwise: its prior is
    on weights alone, of both networks.

    Parameters
    ----------
    model
        Where to start: mu is its theta.
    scale
        Where sigma starts, for all of theta. `DEVIATION`, the spread theta itself starts with, is
        less than most end up with: the fit begins as one without noise, and widens where that costs
        nothing.
    """

    rest: Model
    mean: Array
    log_scale: Array
    unravel: Callable[[Array], Any] = eqx.field(static=True)

    def __init__(self, model: Model, scale: float = DEVIATION) -> None:
        theta, fixed = eqx.partition(model.likelihood, trainable(model.likelihood))
        self.mean, self.unravel = ravel_pytree(theta)
        self.log_scale = jnp.full_like(self.mean, jnp.log(scale))
        self.rest = eqx.tree_at(lambda m: m.likelihood, model, fixed)

    def q(self) -> dist.Distribution:
        """q(theta), event shape (P,)."""
        return dist.Normal(self.mean, jnp.exp(self.log_scale)).to_event(1)

    def p(self) -> dist.Distribution:
        """p(theta) = N(0, I), event shape (P,)."""
        return dist.Normal(jnp.zeros_like(self.mean), 1.0).to_event(1)

    def at(self, theta: Array) -> Model:
        """The VAE of this theta, shape (P,)."""
        decoder = eqx.combine(self.unravel(theta), self.rest.likelihood)
        return eqx.tree_at(lambda m: m.likelihood, self.rest, decoder)

    def draw(self, key: PRNGKeyArray) -> Model:
        """The VAE of one theta ~ q(theta)."""
        return self.at(self.q().sample(key))


#: (model, minibatch of shape (M, D), key, N) -> an estimate of the bound on log p(X), in nats a
#: row: over N.
Estimator = Callable[[Uncertain, Array, PRNGKeyArray, int], Array]


def generic(model: Uncertain, x: Array, key: PRNGKeyArray, count: int) -> Array:
    """Eq. 22 over N: mean [log p(x|z) + log p(z) - log q(z|x)] + [log p(theta) - log q(theta)] / N.

    z = mu_z + sigma_z * eps for each row, theta = mu + sigma * zeta once for all rows of the
    minibatch: rows share their decoder's noise, and a draw costs P numbers.

    Parameters
    ----------
    model
        q(z|x) and q(theta).
    x
        The minibatch, shape (M, D).
    key
        Of zeta and eps.
    count
        N, rows in all.

    Returns
    -------
    Array
        A scalar, whose mean over minibatches and noise is L(phi; X) / N.
    """
    key_theta, key_z = jax.random.split(key)
    theta = model.q().rsample(key_theta)
    return (
        _mean(sgvb_a, model.at(theta), x, key_z)
        + (model.p().log_prob(theta) - model.q().log_prob(theta)) / count
    )


def closed_form(model: Uncertain, x: Array, key: PRNGKeyArray, count: int) -> Array:
    """Eq. 24 over N: mean [log p(x|z) - KL(q(z|x) || p(z))] - KL(q(theta) || p(theta)) / N, both
    KLs in closed form.

    Parameters and value are those of `generic`; the mean too, usually with less variance (not at
    the exact posterior, where `generic` has none).
    """
    key_theta, key_z = jax.random.split(key)
    theta = model.q().rsample(key_theta)
    return (
        _mean(sgvb_b, model.at(theta), x, key_z)
        - kl_from_prior(model.mean, model.log_scale) / count
    )


def kl_from_prior(mean: Array, log_scale: Array) -> Array:
    """KL(N(mu, diag sigma^2) || N(0, I)) = -1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2),
    appendix B; nats.
    """
    return -0.5 * jnp.sum(1 + 2 * log_scale - jnp.square(mean) - jnp.exp(2 * log_scale))


def _mean(objective: Callable[..., Array], model: Model, x: Array, key: PRNGKeyArray) -> Array:
    return jax.vmap(lambda row, key: objective(model, row, key))(
        x, jax.random.split(key, len(x))
    ).mean()


def full_bayes(
    model: Model, data: PaperData, *, estimator: Estimator = closed_form, draws: int = 1
) -> Algorithm:
    """Algorithm 2 with M = 100 rows a step; its `model` is an `Uncertain`.

    Parameters
    ----------
    model
        Where phi and mu start.
    data
        Whose training rows are X. Of rows that are drawn afresh there is no one log p(X) to bound:
        see to it that they are not.
    estimator
        `generic` or `closed_form`.
    draws
        Of theta for a minibatch, each for its share of the rows. Algorithm 2 draws one for each
        row, 100 times as many numbers and a step that takes ten times as long or more. One draw for
        all gives mu's slope twice the variance (N = 1,000, early in a fit), ten hardly more than a
        hundred do.

    Raises
    ------
    ConfigError
        The rows of a minibatch cannot be shared evenly by so many draws.
    """
    if BATCH % draws:
        raise ConfigError(
            f"draws must divide {BATCH}, the rows of a minibatch, and {draws} does not"
        )
    learned, rest = eqx.partition(start := Uncertain(model), trainable(start))
    rows = jnp.asarray(data.train)

    def bound(parameters: Any, x: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        uncertain, shares = eqx.combine(parameters, rest), x.reshape(draws, BATCH // draws, -1)
        keys = jax.random.split(key, draws)
        mean = jax.vmap(lambda x, key: estimator(uncertain, x, key, len(rows)))(shares, keys).mean()
        return mean, mean

    def step(state: State, rate: Array, key: PRNGKeyArray) -> tuple[State, Array]:
        key_rows, key_noise = jax.random.split(key)
        x = rows[jax.random.randint(key_rows, (BATCH,), 0, len(rows))]
        return ascend(bound, state, rate, x, key_noise)

    return Algorithm(
        started(learned), step, BATCH, lambda parameters: eqx.combine(parameters, rest)
    )
