"""Algorithm 1 as printed, and the loop that its rivals share.

`aevb.train` fits by whole passes over the rows in random order. Algorithm 1 draws every minibatch
from all rows, and the rivals change more than a VAE (Monte Carlo EM its chains, full variational
Bayes a distribution of theta). So here an algorithm is a state and a step, and the loop counts
training samples.
"""

from collections.abc import Callable
from functools import partial
from math import log10
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
    "Algorithm",
    "Numbers",
    "Progress",
    "State",
    "ascend",
    "choose_rate",
    "minibatches",
    "run",
    "start_state",
]

Numbers = dict[str, float]
#: Called after every chunk: `samples` seen, their `total`, and the mean `bound` of the chunk.
Progress = Callable[[Numbers], None]

#: Optax adds 1e-7 to the sum of squares, which is much here: gradients are in nats per row, not of
#: all N rows, and their squares are often smaller than that.
adagrad = optax.scale_by_rss(initial_accumulator_value=0.0, eps=1e-20)


class State(NamedTuple):
    """What a step changes; `chains` are those of Monte Carlo EM."""

    parameters: PyTree
    optimizer: PyTree
    chains: PyTree = ()


class Algorithm(NamedTuple):
    """A line of figure 2 or 3.

    Attributes
    ----------
    start
        The state before the first step.
    step
        (state, step size, key) -> the next state, and the bound of its rows in nats per row.
    samples
        Training samples that a step counts for.
    model
        Parameters -> the model they belong to: a VAE, or one with a distribution of theta.
    """

    start: State
    step: Callable[[State, Array, PRNGKeyArray], tuple[State, Array]]
    samples: int
    model: Callable[[PyTree], Any]


def minibatches(
    model: Model, objective: Callable[..., Array], data: PaperData, *, batch: int = 100
) -> Algorithm:
    """Algorithm 1 with this objective, M rows per step and p(theta) = N(0, I).

    Parameters
    ----------
    model
        Where to start.
    objective
        One of `aevb.objectives`, or `wake_sleep`.
    data
        The training rows.
    batch
        M.
    """
    learned, fixed = eqx.partition(model, trainable(model))
    rows = jnp.asarray(data.train)

    def bound(parameters: PyTree, x: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        keys = jax.random.split(key, batch)
        whole = eqx.combine(parameters, fixed)
        mean = minibatch_bound(whole, objective, x, jnp.ones(batch), keys, jnp.ones(()))
        return mean + log_weight_prior(parameters) / len(rows), mean

    def step(state: State, rate: Array, key: PRNGKeyArray) -> tuple[State, Array]:
        key_rows, key_data, key_noise = jax.random.split(key, 3)
        x = rows[jax.random.randint(key_rows, (batch,), 0, len(rows))]
        if data.resample is not None:
            x = data.resample(x, key_data)
        return ascend(bound, state, rate, x, key_noise)

    return Algorithm(start_state(learned), step, batch, lambda found: eqx.combine(found, fixed))


def start_state(parameters: PyTree, chains: PyTree = ()) -> State:
    """The state before the first step."""
    return State(parameters, adagrad.init(parameters), chains)


def ascend(
    bound: Callable[..., tuple[Array, Array]], state: State, rate: Array, *arguments: Any
) -> tuple[State, Array]:
    """Take a step of Adagrad up a bound, a function of the parameters and `arguments`.

    The bound returns the number to climb and the number to report.
    """
    (_, reported), gradient = jax.value_and_grad(bound, has_aux=True)(state.parameters, *arguments)
    direction, optimizer = adagrad.update(gradient, state.optimizer)
    parameters = jax.tree.map(lambda p, d: p + rate * d, state.parameters, direction)
    return State(parameters, optimizer, state.chains), reported


def choose_rate(
    algorithm: Algorithm,
    key: PRNGKeyArray,
    *,
    rates: tuple[float, ...] = (0.01, 0.02, 0.1),
    samples: int = 500_000,
    chunk: int = 50_000,
    progress: Progress | None = None,
) -> float:
    """The step size with the best bound of training rows over the last tenth of a short run.

    The paper chose it "based on performance on the training set in the first few iterations".
    Small steps lead at first: after 100,000 samples of MNIST the smallest has the best bound, and
    by 500,000 it has been passed. All rates see the same rows and noise in one program; one that
    diverges is not chosen. `progress` gets the best of their bounds.
    """
    keys = jax.random.split(key, max(2, samples // algorithm.samples))
    steps = max(1, chunk // algorithm.samples)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, None))
    def advance(state: State, rate: Array, keys: PRNGKeyArray) -> tuple[State, Array]:
        return jax.lax.scan(lambda state, key: algorithm.step(state, rate, key), state, keys)

    def repeat(leaf: Array) -> Array:
        return jnp.broadcast_to(leaf, (len(rates), *jnp.shape(leaf)))

    states = jax.tree.map(repeat, algorithm.start)
    bounds = np.empty((len(rates), 0))
    while (done := bounds.shape[1]) < len(keys):
        states, seen = advance(states, jnp.array(rates), keys[done : done + steps])
        bounds = np.append(bounds, np.asarray(seen), axis=1)
        if progress is not None:
            best = float(np.nan_to_num(np.mean(seen, axis=1), nan=-np.inf).max())
            seen_samples = bounds.shape[1] * algorithm.samples
            total = len(keys) * algorithm.samples
            progress({"samples": seen_samples, "total": total, "bound": best})
    last = bounds[:, -max(1, len(keys) // 10) :].mean(axis=1)
    return rates[int(np.argmax(np.nan_to_num(last, nan=-np.inf)))]


def run(
    algorithm: Algorithm,
    rate: Callable[[], float],
    key: PRNGKeyArray,
    samples: int,
    look: Callable[[Any], Numbers],
    *,
    marks: int = 10,
    chunk: int = 50_000,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Any, list[Numbers]]:
    """Take steps until the training samples have been seen, in whole chunks.

    `rate` finds the step size; it is called once, and a run that is resumed keeps the answer.
    `look` turns the model into numbers, `marks` times per tenfold of samples, evenly on a
    logarithmic axis; powers of ten are among them where a chunk ends there. A chunk is one step
    where a step counts for more samples than that.

    Returns
    -------
    tuple
        The last model, and the points: `samples`, `rate`, `bound` (of training rows, the mean over
        the last chunk, while the parameters moved) and the numbers of `look`.
    """
    steps = max(1, chunk // algorithm.samples)
    size = steps * algorithm.samples
    total = -(-samples // size)

    @eqx.filter_jit
    def advance(state: State, rate: Array, keys: PRNGKeyArray) -> tuple[State, Array]:
        return jax.lax.scan(lambda state, key: algorithm.step(state, rate, key), state, keys)

    state, done, points = algorithm.start, 0, list[Numbers]()
    resumed = checkpoint.load(state) if checkpoint is not None else None
    if resumed is None:
        step_size = rate()
    else:
        state, document = resumed
        done, points, step_size = document["done"], document["points"], document["rate"]
    while done < total:
        keys = jax.random.split(jax.random.fold_in(key, done), steps)
        state, bounds = advance(state, jnp.asarray(step_size), keys)
        done += 1
        line = {"samples": done * size, "rate": step_size, "bound": float(bounds.mean())}
        if done == total or _is_mark(done, size, marks):
            points.append({**line, **look(algorithm.model(state.parameters))})
        if checkpoint is not None:
            checkpoint.save(state, {"done": done, "rate": step_size, "points": points})
        if progress is not None:
            progress({**line, "total": total * size})
    if checkpoint is not None:
        checkpoint.flush()
    return algorithm.model(state.parameters), points


def _is_mark(done: int, size: int, marks: int) -> bool:
    """Whether the last of `done` chunks of this size went past a mark."""
    before, now = (done - 1) * size or 1, done * size
    return int(marks * log10(before)) < int(marks * log10(now))
