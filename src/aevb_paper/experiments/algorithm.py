"""Algorithm 1 as printed: a random minibatch, a slope, a step of Adagrad; and the rivals that share
its loop.

`aevb.train` is what fits use: whole passes, Adam, the best state kept. The paper's algorithms
update other things than a VAE (Monte Carlo EM its chains, full variational Bayes a distribution of
theta), so that here an algorithm is a state and a step, and the loop only counts training samples.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree

from aevb.disk.checkpoints import Checkpoint
from aevb.model import Model
from aevb.networks import trainable
from aevb.train import log_weight_prior, minibatch_bound
from aevb_paper.experiments.data import PaperData

__all__ = [
    "BATCH",
    "CHUNK",
    "RATES",
    "Algorithm",
    "State",
    "ascend",
    "chosen_rate",
    "minibatches",
    "run",
    "started",
]

#: M, rows of a minibatch.
BATCH = 100
#: Training samples between two looks at the clock, the checkpoint and the marks; of what is a mean
#: over training samples it is the mean over so many.
CHUNK = 50_000
#: Adagrad's step sizes, "chosen based on performance on the training set in the first few
#: iterations": so many samples, over the last tenth of which the bound is averaged. Small steps
#: lead at first: after 100,000 samples of MNIST the smallest has the best bound of training rows,
#: by 500,000 it has been passed.
RATES, FIRST = (0.01, 0.02, 0.1), 500_000
#: Slopes over the root of the sum of their squares so far, without the 1e-7 that Optax adds: slopes
#: are in nats a row here, not of all N rows, and their squares are often less than that.
ADAGRAD = optax.scale_by_rss(initial_accumulator_value=0.0, eps=1e-20)
#: Looks for each tenfold of samples.
MARKS = 10


class State(NamedTuple):
    """What a step changes."""

    parameters: PyTree
    optimizer: PyTree
    #: What an algorithm keeps besides: Monte Carlo EM the places of its chains.
    kept: PyTree = ()


class Algorithm(NamedTuple):
    """A rival in figures 2 and 3."""

    start: State
    #: (state, step size, key) -> the next state, and the bound of the rows it saw, in nats a row.
    step: Callable[[State, Array, PRNGKeyArray], tuple[State, Array]]
    #: Training samples a step counts for.
    samples: int
    #: Parameters -> what they are of: a VAE, or what has more to it.
    model: Callable[[PyTree], Any]


def minibatches(model: Model, objective: Callable[..., Array], data: PaperData) -> Algorithm:
    """Algorithm 1 with this estimator, M = 100 and p(theta) = N(0, I): AEVB, and wake-sleep by its
    own slopes.

    Parameters
    ----------
    model
        Where to start.
    objective
        Of `aevb.objectives`, or `wake_sleep`.
    data
        Whose training rows the minibatches are drawn from.
    """
    learned, rest = eqx.partition(model, trainable(model))
    rows = jnp.asarray(data.train)

    def bound(parameters: PyTree, x: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        keys = jax.random.split(key, BATCH)
        mean = minibatch_bound(
            eqx.combine(parameters, rest), objective, x, jnp.ones(BATCH), keys, jnp.ones(())
        )
        return mean + log_weight_prior(parameters) / len(rows), mean

    def step(state: State, rate: Array, key: PRNGKeyArray) -> tuple[State, Array]:
        key_rows, key_data, key_noise = jax.random.split(key, 3)
        x = rows[jax.random.randint(key_rows, (BATCH,), 0, len(rows))]
        x = x if data.resample is None else data.resample(x, key_data)
        return ascend(bound, state, rate, x, key_noise)

    return Algorithm(
        started(learned), step, BATCH, lambda parameters: eqx.combine(parameters, rest)
    )


def started(parameters: PyTree, kept: PyTree = ()) -> State:
    """The state before the first step."""
    return State(parameters, ADAGRAD.init(parameters), kept)


def ascend(
    bound: Callable[..., tuple[Array, Array]], state: State, rate: Array, *arguments: Any
) -> tuple[State, Array]:
    """A step of Adagrad up `bound`, of the parameters and these arguments: what is climbed, and
    what is reported.
    """
    (_, reported), slope = jax.value_and_grad(bound, has_aux=True)(state.parameters, *arguments)
    direction, optimizer = ADAGRAD.update(slope, state.optimizer)
    parameters = jax.tree.map(lambda p, d: p + rate * d, state.parameters, direction)
    return State(parameters, optimizer, state.kept), reported


def chosen_rate(
    algorithm: Algorithm,
    key: PRNGKeyArray,
    *,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> float:
    """The step size of `RATES` with the best bound of training rows in the first `FIRST` samples:
    three runs in one.

    All three see the same rows and noise; one that diverges is not chosen. `progress` is told what
    `run` tells it, with the best of the three bounds.
    """
    keys = jax.random.split(key, max(2, FIRST // algorithm.samples))
    steps = max(1, CHUNK // algorithm.samples)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, None))
    def advance(state: State, rate: Array, keys: PRNGKeyArray) -> tuple[State, Array]:
        return jax.lax.scan(lambda state, key: algorithm.step(state, rate, key), state, keys)

    states = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (len(RATES), *jnp.shape(leaf))), algorithm.start
    )
    bounds = np.empty((len(RATES), 0))
    while (done := bounds.shape[1]) < len(keys):
        states, seen = advance(states, jnp.array(RATES), keys[done : done + steps])
        bounds = np.append(bounds, np.asarray(seen), axis=1)
        if progress is not None:
            best = float(np.nan_to_num(np.mean(seen, axis=1), nan=-np.inf).max())
            samples, total = (count * algorithm.samples for count in (bounds.shape[1], len(keys)))
            progress({"samples": samples, "total": total, "bound": best})
    found = bounds[:, -max(1, len(keys) // 10) :].mean(axis=1)
    return RATES[int(np.argmax(np.nan_to_num(found, nan=-np.inf)))]


def run(
    algorithm: Algorithm,
    rate: Callable[[], float],
    key: PRNGKeyArray,
    samples: int,
    look: Callable[[Any], dict[str, float]],
    *,
    marks: int = MARKS,
    chunk: int | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Any, list[dict[str, float]]]:
    """Steps until so many training samples have been seen, with looks at the model evenly on a
    logarithmic axis.

    Parameters
    ----------
    algorithm
        What steps.
    rate
        Finds how far it steps: asked once, and a run that is taken up again keeps the answer.
    key
        Of rows and noise.
    samples
        When to stop, in whole chunks.
    look
        Model -> numbers by name, for a point of the curve.
    marks
        Looks for each tenfold of samples, powers of ten among them where chunks end there.
    chunk
        Samples between looks at the clock, the checkpoint and the marks, `CHUNK` unless said, and
        one step where that counts for more.
    progress
        Told after every chunk ``samples``, ``total`` and ``bound``.
    checkpoint
        Where the state is kept, and taken up again.

    Returns
    -------
    tuple
        The last model, and the points: `samples`, `rate`, `bound` (of training rows, the mean over
        the last chunk, as the weights moved) and what `look` says.
    """
    steps = max(1, (chunk or CHUNK) // algorithm.samples)
    size = steps * algorithm.samples
    total = -(-samples // size)
    advance = eqx.filter_jit(
        lambda state, rate, keys: jax.lax.scan(lambda s, k: algorithm.step(s, rate, k), state, keys)
    )
    state, done, points = algorithm.start, 0, list[dict[str, float]]()
    if checkpoint is not None and (resumed := checkpoint.load(state)) is not None:
        state, document = resumed
        done, points, step_size = document["done"], document["points"], document["rate"]
    else:
        step_size = rate()
    while done < total:
        keys = jax.random.split(jax.random.fold_in(key, done), steps)
        state, bounds = advance(state, jnp.asarray(step_size), keys)
        done += 1
        line = {"samples": done * size, "rate": step_size, "bound": float(bounds.mean())}
        if done == total or int(marks * np.log10((done - 1) * size or 1)) < int(
            marks * np.log10(done * size)
        ):
            points.append({**line, **look(algorithm.model(state.parameters))})
        if checkpoint is not None:
            checkpoint.save(state, {"done": done, "rate": step_size, "points": points})
        if progress is not None:
            progress({**line, "total": total * size})
    if checkpoint is not None:
        checkpoint.flush()
    return algorithm.model(state.parameters), points
