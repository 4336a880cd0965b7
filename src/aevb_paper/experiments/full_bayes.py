"""Appendix F: variational Bayes over theta too, q(theta) = N(mu, diag sigma^2)."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PRNGKeyArray, PyTree

from aevb.errors import ConfigError
from aevb.model import Model
from aevb.networks import trainable
from aevb.objectives import sgvb_a, sgvb_b
from aevb_paper.experiments.algorithm import Algorithm, State, ascend, start_state
from aevb_paper.experiments.data import PaperData

__all__ = ["Uncertain", "closed_form", "full_bayes", "generic", "kl_from_prior"]


class Uncertain(eqx.Module):
    """A VAE with a distribution over theta, every number of the decoder.

    The prior is N(0, I) over all of theta, biases too: a bound on log p(X) asks for a proper one.
    The encoder belongs to q(z|x) and has no prior. Section 5 differs in both: its prior is on the
    weights of both networks alone.

    Parameters
    ----------
    model
        Where to start: mu is its theta.
    scale
        Where sigma starts, for all of theta. The default is the spread that theta itself starts
        with, and less than most of sigma ends up with: the fit begins as one without noise, and
        widens where that costs nothing.
    """

    rest: Model
    mean: Array
    log_scale: Array
    unravel: Callable[[Array], PyTree] = eqx.field(static=True)

    def __init__(self, model: Model, scale: float = 0.01) -> None:
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


#: (model, minibatch of shape (M, D), key, N) -> an estimate of the bound on log p(X), over N: in
#: nats per row.
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
        Source of zeta and eps.
    count
        N, rows in all.

    Returns
    -------
    Array
        A scalar, whose mean over minibatches and noise is L(phi; X) / N.
    """
    key_theta, key_z = jax.random.split(key)
    theta = model.q().rsample(key_theta)
    gap = model.p().log_prob(theta) - model.q().log_prob(theta)
    return _mean(sgvb_a, model.at(theta), x, key_z) + gap / count


def closed_form(model: Uncertain, x: Array, key: PRNGKeyArray, count: int) -> Array:
    """Eq. 24 over N: mean [log p(x|z) - KL(q(z|x) || p(z))] - KL(q(theta) || p(theta)) / N.

    Both KLs are in closed form. Parameters and value are those of `generic`; the mean too, usually
    with less variance (not at the exact posterior, where `generic` has none).
    """
    key_theta, key_z = jax.random.split(key)
    theta = model.q().rsample(key_theta)
    kl = kl_from_prior(model.mean, model.log_scale)
    return _mean(sgvb_b, model.at(theta), x, key_z) - kl / count


def kl_from_prior(mean: Array, log_scale: Array) -> Array:
    """KL(N(mu, diag sigma^2) || N(0, I)) of appendix B, in nats.

    It is -1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2).
    """
    return -0.5 * jnp.sum(1 + 2 * log_scale - jnp.square(mean) - jnp.exp(2 * log_scale))


def _mean(objective: Callable[..., Array], model: Model, x: Array, key: PRNGKeyArray) -> Array:
    keys = jax.random.split(key, len(x))
    return jax.vmap(lambda row, key: objective(model, row, key))(x, keys).mean()


def full_bayes(
    model: Model,
    data: PaperData,
    *,
    estimator: Estimator = closed_form,
    draws: int = 1,
    batch: int = 100,
) -> Algorithm:
    """Algorithm 2 with M rows per step (`batch`); its `model` is an `Uncertain`.

    The training rows are X: they must not be drawn afresh for every minibatch, for then there is no
    one log p(X) to bound. A minibatch has so many `draws` of theta, each for its share of the rows,
    and a `ConfigError` says where they cannot be shared evenly. Algorithm 2 draws one for each row:
    100 times as many numbers, and a step that takes ten times as long or more. One draw for all
    gives mu's gradient twice the variance (N = 1,000, early in a fit), ten hardly more than a
    hundred do.
    """
    if batch % draws:
        raise ConfigError(f"draws must divide {batch}, the rows of a minibatch; {draws} does not")
    start = Uncertain(model)
    learned, fixed = eqx.partition(start, trainable(start))
    rows = jnp.asarray(data.train)

    def bound(parameters: PyTree, x: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        uncertain = eqx.combine(parameters, fixed)
        shares = x.reshape(draws, batch // draws, -1)
        keys = jax.random.split(key, draws)
        each = jax.vmap(lambda x, key: estimator(uncertain, x, key, len(rows)))(shares, keys)
        return each.mean(), each.mean()

    def step(state: State, rate: Array, key: PRNGKeyArray) -> tuple[State, Array]:
        key_rows, key_noise = jax.random.split(key)
        x = rows[jax.random.randint(key_rows, (batch,), 0, len(rows))]
        return ascend(bound, state, rate, x, key_noise)

    return Algorithm(start_state(learned), step, batch, lambda found: eqx.combine(found, fixed))
