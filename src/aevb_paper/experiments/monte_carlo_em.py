"""Monte Carlo EM, the rival without an encoder: appendix E of the paper.

E: a step of HMC for z_i ~ p(z|x_i) of every row i. M: five updates of theta that climb
(1/N) sum_i log p(x_i, z_i), z_i as it is. By Fisher's identity
d/d theta log p(x) = E_p(z|x)[d/d theta log p(x, z)]: that is the gradient of the marginal
likelihood, but for the noise of one draw per row. The paper has "10 HMC leapfrog steps with an
automatically tuned stepsize such that the acceptance rate was 90%, followed by 5 weight updates
steps using the acquired sample". What it leaves open is read as follows:

- "Monte Carlo EM is not an on-line algorithm": every iteration moves the chains of all rows, and
  takes gradients over all rows.
- Figure 3 counts "training samples evaluated": here 15 N per iteration, 10 leapfrog steps and 5
  updates of N rows each. With N it would learn some ten times as fast as printed.
- A chain continues from where it was, has its own step size, and began at the prior, which is the
  posterior of a model that has learned nothing yet.
- Black and white rows are drawn from gray ones once per iteration, for the chains and the five
  updates alike. The chains so follow a posterior that shakes, and lag: of a model fitted to a
  thousand rows, log p(x, z) was 0.65 nats lower after the one move than after eight with the same
  rows.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from aevb.marginal.annealed import hmc_step
from aevb.model import Model
from aevb.networks import trainable
from aevb.train import log_weight_prior
from aevb_paper.experiments.algorithm import Algorithm, State, ascend, start_state
from aevb_paper.experiments.data import PaperData

__all__ = ["monte_carlo_em"]


def monte_carlo_em(
    model: Model,
    data: PaperData,
    key: PRNGKeyArray,
    *,
    leapfrog: int = 10,
    acceptance: float = 0.9,
    first_step: float = 0.2,
    gain: float = 0.1,
    updates: int = 5,
    block: int = 200,
) -> Algorithm:
    """Monte Carlo EM from a model; its encoder is left as it is.

    Every training row has a chain, which starts at a draw of p(z) with the step size `first_step`.
    Its logarithm follows the acceptance of the chain by `gain`. Chains move `block` rows at a time,
    which bounds the memory.

    Returns
    -------
    Algorithm
        It reports the mean of log p(x_i, z_i) before the first of the updates. Its state has the
        chains, shape (N, latents), and their step sizes, (N,).
    """
    generative = (model.likelihood, model.prior)
    learned, fixed = eqx.partition(generative, trainable(generative))
    rows = jnp.asarray(data.train)
    variance = model.p_z().variance

    def whole(parameters: PyTree) -> Model:
        return Model(model.posterior, *eqx.combine(parameters, fixed))

    def move(model: Model, chain: tuple[Array, Array, Array, PRNGKeyArray]) -> tuple[Array, Array]:
        x, z, size, key = chain
        log_joint = partial(model.log_joint, x)
        z, accepted = hmc_step(log_joint, z[None], size, variance, key, leapfrog=leapfrog)
        return z[0], size * jnp.exp(gain * (accepted - acceptance))

    def bound(parameters: PyTree, x: Array, z: Array) -> tuple[Array, Array]:
        log_joint = whole(parameters).log_joint
        # What a block needs on the way back is computed anew there, not kept for all rows.
        each = jax.lax.map(jax.checkpoint(lambda row: log_joint(*row)), (x, z), batch_size=block)
        return each.mean() + log_weight_prior(parameters) / len(rows), each.mean()

    def step(state: State, rate: Array, key: PRNGKeyArray) -> tuple[State, Array]:
        key_data, key_move = jax.random.split(key)
        x = rows
        if data.resample is not None:
            x = data.resample(rows, key_data)
        chains = (x, *state.chains, jax.random.split(key_move, len(rows)))
        moved = jax.lax.map(partial(move, whole(state.parameters)), chains, batch_size=block)

        def update(state: State, _: None) -> tuple[State, Array]:
            return ascend(bound, state, rate, x, moved[0])

        state, reported = jax.lax.scan(update, state._replace(chains=moved), length=updates)
        return state, reported[0]

    z = model.p_z().sample(key, (len(rows),))
    sizes = jnp.full(len(rows), first_step, jnp.float32)
    return Algorithm(
        start_state(learned, (z, sizes)), step, (leapfrog + updates) * len(rows), whole
    )
