"""Monte Carlo EM, the rival without an encoder: appendix E of the paper."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from aevb.marginal.annealed import hmc_step
from aevb.model import Model
from aevb.networks import trainable
from aevb.train import log_weight_prior
from aevb_paper.experiments.algorithm import Algorithm, State, ascend, started
from aevb_paper.experiments.data import PaperData

__all__ = ["monte_carlo_em"]

#: "10 HMC leapfrog steps with an automatically tuned stepsize such that the acceptance rate was
#: 90%, followed by 5 weight updates steps using the acquired sample".
LEAPFROG, ACCEPTANCE, UPDATES = 10, 0.9, 5
#: The first step size of a chain, in deviations of the prior.
FIRST_STEP = 0.2
#: How far the logarithm of a chain's step size follows its acceptance: in the mean it stays where
#: that is 90%.
GAIN = 0.1
#: Rows whose chains move at a time: they bound the memory.
BLOCK = 200


def monte_carlo_em(model: Model, data: PaperData, key: PRNGKeyArray) -> Algorithm:
    """E: a step of HMC for z_i ~ p(z|x_i) of every row i; M: five steps up (1/N) sum_i log p(x_i,
    z_i), z_i as it is.

    By Fisher's identity, d/d theta log p(x) = E_p(z|x)[d/d theta log p(x, z)], that is the slope of
    the marginal likelihood, but for the noise of one draw a row. What the paper leaves open is read
    so:

    - "Monte Carlo EM is not an on-line algorithm": every iteration moves the chains of all rows and takes slopes over
      all rows.
    - Figure 3 counts "training samples evaluated": here 15 N an iteration, 10 leapfrog steps and 5 updates of N rows
      each. With N an iteration it would learn some ten times as fast as printed.
    - A chain goes on from where it was, has a step size of its own, and began at the prior, which is the posterior of a
      model that has learned nothing yet.
    - Black and white rows are drawn from grey ones once an iteration, for the chains and the five updates alike. The
      chains so follow a posterior that shakes, and lag: of a model fitted to a thousand rows, log
      p(x, z) was 0.65 nats lower after the one move than after eight by the same rows.

    Parameters
    ----------
    model
        Where to start. Its encoder is left as it is.
    data
        Whose training rows have a chain each.
    key
        Of where the chains begin.

    Returns
    -------
    Algorithm
        What it reports is the mean of log p(x_i, z_i) before the first of the five updates. In
        `kept` it has the chains, shape (N, latents), and their step sizes, (N,).
    """
    learned, rest = eqx.partition(
        (model.likelihood, model.prior), trainable((model.likelihood, model.prior))
    )
    rows = jnp.asarray(data.train)
    variance = model.p_z().variance

    def whole(parameters: PyTree) -> Model:
        return Model(model.posterior, *eqx.combine(parameters, rest))

    def move(model: Model, chain: tuple[Array, Array, Array, PRNGKeyArray]) -> tuple[Array, Array]:
        x, z, size, key = chain
        z, accepted = hmc_step(
            partial(model.log_joint, x), z[None], size, variance, key, leapfrog=LEAPFROG
        )
        return z[0], size * jnp.exp(GAIN * (accepted - ACCEPTANCE))

    def bound(parameters: PyTree, x: Array, z: Array) -> tuple[Array, Array]:
        log_joint = whole(parameters).log_joint
        # What a block needs on the way back is computed anew there, not kept for all rows.
        each = jax.lax.map(jax.checkpoint(lambda row: log_joint(*row)), (x, z), batch_size=BLOCK)
        return each.mean() + log_weight_prior(parameters) / len(rows), each.mean()

    def step(state: State, rate: Array, key: PRNGKeyArray) -> tuple[State, Array]:
        key_data, key_move = jax.random.split(key)
        x = rows if data.resample is None else data.resample(rows, key_data)
        chains = (x, *state.kept, jax.random.split(key_move, len(rows)))
        z, size = jax.lax.map(partial(move, whole(state.parameters)), chains, batch_size=BLOCK)

        def update(state: State, _: None) -> tuple[State, Array]:
            return ascend(bound, state, rate, x, z)

        state, reported = jax.lax.scan(update, state._replace(kept=(z, size)), length=UPDATES)
        return state, reported[0]

    z = model.p_z().sample(key, (len(rows),))
    start = started(learned, (z, jnp.full(len(rows), FIRST_STEP, jnp.float32)))
    return Algorithm(start, step, (LEAPFROG + UPDATES) * len(rows), whole)
