"""Algorithm 1: minibatch Auto-Encoding Variational Bayes, one compiled loop for any objective and
any optimiser.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree

from aevb.errors import NumericalError
from aevb.model import Model
from aevb.networks import trainable
from aevb.optimizers import learning_rates, optimizer_of

__all__ = ["Settings", "TrainingResult", "log_weight_prior", "minibatch_bound", "train"]

Objective = Callable[..., Array]
Resample = Callable[[Array, PRNGKeyArray], Array]

#: Consecutive non-finite steps after which the last good state is restored and the step size
#: halved, once.
BAD_STEPS = 10
#: The held-out bound is taken at most so often in a run, evenly; a line of the history in between
#: repeats the last.
VALIDATIONS = 100


@dataclass(frozen=True)
class Settings:
    """How to train; see `VAE` of `aevb.sklearn.estimator` for what each means and its default."""

    epochs: int
    batch_size: int = 100
    learning_rate: float = 1e-3
    optimizer: str | optax.GradientTransformation = "adam"
    schedule: str = "cosine"
    kl_warmup: float = 0.0
    free_bits: float = 0.0
    samples: int = 1
    weight_prior: bool = False
    weight_decay: float = 0.0
    patience: int | None = None


class State(NamedTuple):
    """What a step changes, and what is needed to go on from it."""

    parameters: PyTree
    optimizer: PyTree
    skipped: Array  # non-finite steps so far
    run: Array  # consecutive ones


class Checkpoint(Protocol):
    """Where the state of a run is kept between epochs."""

    def load(self, like: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
        """The last saved (state, document), in the shape of `like`, or None."""

    def save(self, state: PyTree, document: dict[str, Any]) -> None:
        """Keep this state; called after every epoch, and may choose to write less often."""


@dataclass
class TrainingResult:
    """The best held-out model, and how it was found.

    Parameters
    ----------
    model
        The state with the highest validation bound, step 0 included.
    history
        One dictionary an epoch, epoch 0 being the start.
    best_epoch
        The epoch `model` is from.
    stopped
        ``"end"``, ``"patience"`` or ``"interrupt"``.
    """

    model: Model
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = "end"


def minibatch_bound(
    model: Model,
    objective: Objective,
    x: Array,
    weights: Array,
    keys: PRNGKeyArray,
    kl_weight: Array,
) -> Array:
    """Eq. 8 divided by N: (1/M) sum_i w_i L(x_i), in nats a row; weights are 1 in the mean over all
    N rows.

    Rows of weight 0 fill a short minibatch up and do not count in M. Dividing by the weights' own
    sum instead would make the minibatch a biased estimate of the whole.
    """
    rows = jax.vmap(lambda row, key: objective(model, row, key, kl_weight=kl_weight))(x, keys)
    return jnp.sum(weights * rows) / jnp.maximum(jnp.sum(weights > 0), 1)


def train(
    model: Model,
    objective: Objective,
    data: np.ndarray,
    key: PRNGKeyArray,
    settings: Settings,
    *,
    validate: Callable[[Model], float],
    weights: np.ndarray | None = None,
    resample: Resample | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Maximise the bound by minibatches, and keep the state that is best on held-out rows.

    Parameters
    ----------
    model
        Where to start.
    objective
        (model, x, key, samples=, kl_weight=[, free_bits=]) -> nats of one row.
    data
        Training rows in model units, shape (N, D), float32.
    key
        Source of the order of rows and of eps.
    settings
        Epochs, batch size and the rest.
    validate
        model -> held-out bound in nats a row; `-inf` or NaN never count as best.
    weights
        Of each row, shape (N,); the mean bound is weighted by them.
    resample
        (x, key) -> x, applied afresh to each minibatch: dynamic binarisation.
    progress
        Called with each epoch's line of the history.
    checkpoint
        Where the state is kept between epochs, and taken from if there is one.

    Raises
    ------
    NumericalError
        If the bound or its gradient stays non-finite after one restart at half the step size.
    """
    data = np.asarray(data, dtype=np.float32)
    rows = jnp.asarray(data)
    row_weights = (
        jnp.ones(len(data))
        if weights is None
        else jnp.asarray(weights / np.mean(weights), jnp.float32)
    )
    run = _Run(model, objective, settings, rows, row_weights, key, resample)
    progress = progress or (lambda line: None)
    result = TrainingResult(model)
    parameters, static = eqx.partition(model, trainable(model))
    state = State(
        parameters, run.optimizer.init(parameters), jnp.zeros((), int), jnp.zeros((), int)
    )
    best, halved, start = parameters, False, perf_counter()
    epoch, every = 0, -(-settings.epochs // VALIDATIONS) or 1
    if checkpoint is not None and (resumed := checkpoint.load((state, best))) is not None:
        (state, best), document = resumed
        result.history, result.best_epoch = document["history"], document["best_epoch"]
        epoch, halved = document["epoch"], document["halved"]
    if not result.history:
        result.history.append(_line(0, 0, float("nan"), validate(model), 0.0, 0, start))
        progress({**result.history[-1], "epochs": settings.epochs})
    elapsed = result.history[-1]["seconds"]
    try:
        while epoch < settings.epochs:
            # Asked before an epoch, so that a run taken up again stops where it would have; only
            # after a validation.
            if (
                settings.patience
                and epoch % every == 0
                and epoch - result.best_epoch >= settings.patience
            ):
                result.stopped = "patience"
                break
            scale = 0.5 if halved else 1.0
            state, bound = run.epoch(state, epoch, scale)
            epoch += 1
            if int(state.run) >= BAD_STEPS or not np.isfinite(bound):
                if halved:
                    raise NumericalError(run.diagnose(eqx.combine(state.parameters, static), epoch))
                halved, bound = True, float("nan")
                state = State(best, run.optimizer.init(best), state.skipped, jnp.zeros((), int))
            held_out = result.history[-1]["validation_bound"]
            if epoch % every == 0 or epoch == settings.epochs:
                held_out = validate(eqx.combine(state.parameters, static))
            line = _line(
                epoch,
                epoch * len(data),
                bound,
                held_out,
                run.rate(epoch) * scale,
                int(state.skipped),
                start,
            )
            result.history.append({**line, "seconds": line["seconds"] + elapsed})
            if (
                np.isfinite(held_out)
                and not held_out <= result.history[result.best_epoch]["validation_bound"]
            ):
                best, result.best_epoch = state.parameters, epoch
            if checkpoint is not None:
                document = {
                    "history": result.history,
                    "best_epoch": result.best_epoch,
                    "epoch": epoch,
                    "halved": halved,
                }
                checkpoint.save((state, best), document)
            progress({**result.history[-1], "epochs": settings.epochs})
    except KeyboardInterrupt:  # the caller gets what is finished, and passes the interrupt on
        result.stopped = "interrupt"
    result.model = eqx.combine(best, static)
    return result


def _line(
    epoch: int, seen: int, train: float, held_out: float, rate: float, skipped: int, start: float
) -> dict[str, float]:
    return {
        "epoch": epoch,
        "samples_seen": seen,
        "train_bound": train,
        "validation_bound": held_out,
        "learning_rate": rate,
        "skipped_steps": skipped,
        "seconds": perf_counter() - start,
    }


class _Run:
    """The constants of one training run, and its compiled epoch."""

    def __init__(
        self,
        model: Model,
        objective: Objective,
        settings: Settings,
        rows: Array,
        weights: Array,
        key: PRNGKeyArray,
        resample: Resample | None,
    ) -> None:
        self.rows, self.weights, self.key = rows, weights, key
        self.static = eqx.partition(model, trainable(model))[1]
        self.batch = min(settings.batch_size, len(rows))
        self.steps = -(-len(rows) // self.batch)
        self.optimizer, own_rate = optimizer_of(settings.optimizer)
        self.how = _How(
            objective,
            settings.samples,
            settings.free_bits,
            settings.weight_prior,
            settings.weight_decay,
            self.optimizer,
            resample,
        )
        total = max(settings.epochs * self.steps, 1)
        rates = learning_rates(settings.schedule, settings.learning_rate, total)
        self.rates = np.ones(total, np.float32) if own_rate else rates
        ramp = max(settings.kl_warmup * total, 1e-9)
        self.kl_weights = np.minimum(1.0, (np.arange(total) + 1) / ramp).astype(np.float32)

    def rate(self, epoch: int) -> float:
        return float(self.rates[epoch * self.steps - 1])

    def order(self, key: PRNGKeyArray) -> tuple[Array, Array]:
        """Every row once, in random order, cut into batches; the last is filled with rows of weight
        0.
        """
        order = jax.random.permutation(key, len(self.rows))
        short = self.steps * self.batch - len(order)
        batches = jnp.concatenate([order, order[:short]]).reshape(self.steps, self.batch)
        real = (jnp.arange(self.steps * self.batch) < len(order)).reshape(self.steps, self.batch)
        return batches, self.weights[batches] * real

    def epoch(self, state: State, epoch: int, scale: float) -> tuple[State, float]:
        key_order, key_rows, key_data = jax.random.split(jax.random.fold_in(self.key, epoch), 3)
        batches, weights = self.order(key_order)
        now = slice(epoch * self.steps, (epoch + 1) * self.steps)
        rates = self.rates[now] * np.float32(scale)
        # One key for each row, all at once: a step that made its own would spend more time on them
        # than on the noise.
        keys = jax.random.split(key_rows, batches.shape), jax.random.split(key_data, self.steps)
        per_step = (batches, weights, keys, rates, self.kl_weights[now])
        following, bound = _epoch(self.how, state, self.static, self.rows, per_step)
        if not np.isfinite(
            bound
        ):  # rare: then once more from the start of the epoch, with a look at every step
            following, bound = _epoch(
                self.how._replace(careful=True), state, self.static, self.rows, per_step
            )
        return following, float(bound)

    def diagnose(self, model: Model, epoch: int) -> str:
        """Which part of which row is not finite, for the error message."""
        bad = np.argwhere(~np.isfinite(np.asarray(_cells(model, self.rows, self.batch))))
        where = (
            f"first at row {bad[0][0]}, column {bad[0][1]}"
            if len(bad)
            else "in the gradient or the step along it"
        )
        return (
            f"training stayed non-finite in epoch {epoch} after a restart at half the step size, {where}; "
            "try a smaller learning_rate, or look at that column's values"
        )


class _How(NamedTuple):
    """What the compiled epoch is specialised to; equal settings share one compilation."""

    objective: Objective
    samples: int
    free_bits: float
    weight_prior: bool
    weight_decay: float
    optimizer: optax.GradientTransformation
    resample: Resample | None
    #: Whether steps that are not finite are left out; else one of them spoils the epoch, which says
    #: so.
    careful: bool = False


@eqx.filter_jit
def _epoch(
    how: _How, state: State, static: PyTree, rows: Array, per_step: tuple[Any, ...]
) -> tuple[State, Array]:
    """One pass over the data: for each minibatch, a gradient of eq. 8 and an update."""

    def negative(
        parameters: PyTree, x: Array, weights: Array, keys: PRNGKeyArray, kl_weight: Array
    ) -> tuple[Array, Array]:
        model = eqx.combine(parameters, static)
        free = (
            {"free_bits": how.free_bits} if how.free_bits else {}
        )  # not every estimator knows them
        objective = partial(how.objective, samples=how.samples, **free)
        bound = minibatch_bound(model, objective, x, weights, keys, kl_weight)
        # MAP, section 5: log N(theta; 0, I) of the weights joins the bound of all N rows, so 1/N of
        # it joins the mean.
        log_prior = log_weight_prior(parameters) / len(rows) if how.weight_prior else 0.0
        return -(bound + log_prior), bound

    def step(state: State, inputs: tuple[Any, ...]) -> tuple[State, Array]:
        batch, weights, (keys, key_data), rate, kl_weight = inputs
        x = rows[batch]
        if how.resample is not None:
            x = how.resample(x, key_data)
        (_, bound), gradient = jax.value_and_grad(negative, has_aux=True)(
            state.parameters, x, weights, keys, kl_weight
        )

        direction, optimizer = how.optimizer.update(gradient, state.optimizer, state.parameters)
        shrunk = (
            _decayed(state.parameters, rate * how.weight_decay)
            if how.weight_decay
            else state.parameters
        )
        updated = State(
            jax.tree.map(lambda s, d: s + rate * d, shrunk, direction),
            optimizer,
            state.skipped,
            jnp.zeros((), int),
        )
        if not how.careful:
            return updated, bound
        # What comes of finite slopes is looked at too: one of 1e20 has a square, in Adam's moments,
        # that overflows.
        finite = jnp.isfinite(bound) & _all_finite((gradient, updated))
        left_out = state._replace(skipped=state.skipped + 1, run=state.run + 1)
        return jax.lax.cond(finite, lambda: updated, lambda: left_out), jnp.where(
            finite, bound, jnp.nan
        )

    state, bounds = jax.lax.scan(step, state, per_step)
    if how.careful:
        return state, jnp.nanmean(bounds)
    # What is not finite once stays so, in the weights or in what the optimiser keeps of the slopes.
    return state, jnp.where(
        _all_finite((state.parameters, state.optimizer)), jnp.mean(bounds), jnp.nan
    )


@eqx.filter_jit  # NumPyro refuses a NaN among a distribution's parameters, but not within a compiled function
def _cells(model: Model, rows: Array, batch: int) -> Array:
    """log p(x_d|z) at the codes z of the rows, a minibatch at a time, so that a large table fits
    into memory.
    """
    return jax.lax.map(lambda x: model.likelihood(model.encode(x)).cells(x), rows, batch_size=batch)


def _all_finite(tree: PyTree) -> Array:
    """Whether the sum of every leaf is: one number a leaf, and NaN and infinity survive it."""
    return jnp.all(
        jnp.array(
            [
                jnp.isfinite(jnp.sum(leaf))
                for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
            ]
        )
    )


def log_weight_prior(parameters: PyTree) -> Array:
    """log N(w; 0, I) of the networks' weight matrices, up to a constant."""
    weights = (
        node.weight for node in jax.tree.leaves(parameters, is_leaf=_is_layer) if _is_layer(node)
    )
    return -0.5 * sum((jnp.sum(jnp.square(w)) for w in weights), jnp.zeros(()))


def _decayed(parameters: PyTree, share: Array) -> PyTree:
    """The networks' weight matrices made smaller by a share of themselves (Loshchilov and Hutter
    2019).
    """

    def shrink(node: Any) -> Any:
        return (
            eqx.tree_at(lambda layer: layer.weight, node, node.weight * (1 - share))
            if _is_layer(node)
            else node
        )

    return jax.tree.map(shrink, parameters, is_leaf=_is_layer)


def _is_layer(node: Any) -> bool:
    return isinstance(node, eqx.nn.Linear)


def fit(
    model: Any,
    data: np.ndarray,
    objective: Objective,
    key: PRNGKeyArray,
    *,
    validate: Callable[[Any], float],
    weights: np.ndarray | None = None,
    resample: Resample | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Checkpoint | None = None,
    **options: Any,
) -> TrainingResult:
    """Shim."""
    return train(
        model,
        objective,
        data,
        key,
        Settings(**options),
        validate=validate,
        weights=weights,
        resample=resample,
        progress=progress,
        checkpoint=checkpoint,
    )
