"""Algorithm 1: minibatch Auto-Encoding Variational Bayes, one compiled loop for any objective."""

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
from numpy.typing import ArrayLike

from aevb.distributions import observed
from aevb.errors import ConfigError, NumericalError
from aevb.model import Model
from aevb.networks import trainable
from aevb.objectives.registry import Objective, keywords_of, settings_for
from aevb.optimizers import learning_rates, optimizer_of

__all__ = [
    "Checkpoint",
    "Resample",
    "State",
    "Training",
    "TrainingResult",
    "fit",
    "log_weight_prior",
    "minibatch_bound",
]

#: (rows of a minibatch, key) -> rows.
Resample = Callable[[Array, PRNGKeyArray], Array]
#: One epoch of the history.
Line = dict[str, float]


@dataclass(frozen=True)
class Training:
    """How to train.

    Parameters
    ----------
    epochs
        Passes over the rows.
    batch_size
        Rows of a minibatch, M.
    learning_rate, optimizer, schedule
        The first step size; a name in `optimizers.OPTIMIZERS`, or an Optax transformation, which
        has its own step size; "cosine" or "constant".
    kl_warmup
        Share of the run over which the weight on the KL rises to 1.
    free_bits, samples
        For the objective: nats of KL without cost per latent, and draws per row; its own default
        where `samples` is None.
    weight_prior
        Whether the weights have a N(0, I) prior (MAP, section 5).
    weight_decay
        The share of themselves, times the step size, that weights lose at each step.
    patience
        Epochs without a better validation bound after which to stop; None for never.
    bad_steps
        Consecutive non-finite steps after which the best state is restored and the step size
        halved, once.
    validations
        How often the validation bound is taken in a run, at most; lines of the history in between
        repeat the last.
    careful
        Look at every step whether it is finite, and not only in an epoch that ended otherwise.
    """

    epochs: int
    batch_size: int = 100
    learning_rate: float = 1e-3
    optimizer: str | optax.GradientTransformation = "adam"
    schedule: str = "cosine"
    kl_warmup: float = 0.0
    free_bits: float = 0.0
    samples: int | None = None
    weight_prior: bool = False
    weight_decay: float = 0.0
    patience: int | None = None
    bad_steps: int = 10
    validations: int = 100
    careful: bool = False


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
    """The best model on held-out rows, and how it was found.

    Parameters
    ----------
    model
        The state with the highest validation bound, step 0 included; the last one without
        validation.
    history
        One dictionary per epoch, epoch 0 being the start.
    best_epoch
        The epoch `model` is from.
    stopped
        "end", "patience" or "interrupt".
    """

    model: Model
    history: list[Line] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = "end"


def fit(
    model: Model,
    data: ArrayLike,
    objective: Objective,
    key: PRNGKeyArray,
    *,
    validate: Callable[[Model], float] | None = None,
    weights: ArrayLike | None = None,
    resample: Resample | None = None,
    progress: Callable[[Line], None] | None = None,
    checkpoint: Checkpoint | None = None,
    **options: Any,
) -> TrainingResult:
    """Maximize the bound by minibatches, and keep the state that is best on held-out rows.

    Parameters
    ----------
    model
        Where to start.
    data
        Training rows in model units, shape (N, D), NaN where missing.
    objective
        (model, x, key) -> nats of one row. It is given those of the keyword arguments `samples`,
        `kl_weight` and `free_bits` that it takes.
    key
        Source of the order of rows and of eps.
    validate
        model -> validation bound in nats per row; one that is not finite never counts as best.
    weights
        Weight of each row, shape (N,), in the mean bound.
    resample
        Applied afresh to each minibatch, as for dynamic binarization.
    progress
        Called with each epoch's line of the history.
    checkpoint
        Where the state is kept between epochs, and taken from if there is one.
    options
        Fields of `Training`: epochs, batch_size, learning_rate and so on.

    Raises
    ------
    ConfigError
        The objective or the model cannot do what the options or the rows ask for.
    NumericalError
        The bound or its gradient stays non-finite after one restart at half the step size.
    """
    epochs = _Epochs(model, data, objective, key, Training(**options), weights, resample)
    run = _Run(epochs, validate, checkpoint)
    report = progress or (lambda line: None)
    if not run.history:
        run.begin()
        report(run.last_line())
    try:
        while run.goes_on():
            run.advance()
            run.save()
            report(run.last_line())
    except KeyboardInterrupt:  # the caller gets what is finished, and passes the interrupt on
        run.stopped = "interrupt"
    best = epochs.model_of(run.best)
    return TrainingResult(best, run.history, run.best_epoch, run.stopped)


def minibatch_bound(
    model: Model,
    objective: Objective,
    x: Array,
    weights: Array,
    keys: PRNGKeyArray,
    kl_weight: Array,
) -> Array:
    """Eq. 8 divided by N: (1/M) sum_i w_i L(x_i), in nats per row.

    Weights are 1 in the mean over all N rows. Rows of weight 0 fill a short minibatch up and do not
    count in M. Dividing by the weights' own sum instead would make the minibatch a biased estimate
    of the whole.
    """
    settings = {}
    if "kl_weight" in keywords_of(objective):
        settings["kl_weight"] = kl_weight
    bounds = jax.vmap(lambda row, key: objective(model, row, key, **settings))(x, keys)
    return jnp.sum(weights * bounds) / jnp.maximum(jnp.sum(weights > 0), 1)


def log_weight_prior(parameters: PyTree) -> Array:
    """log N(w; 0, I) of the networks' weight matrices, up to a constant."""
    total = jnp.zeros(())
    for node in jax.tree.leaves(parameters, is_leaf=_is_layer):
        if _is_layer(node):
            total = total + jnp.sum(jnp.square(node.weight))
    return -0.5 * total


class _Run:
    """Where a run of training is."""

    def __init__(
        self,
        epochs: "_Epochs",
        validate: Callable[[Model], float] | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.epochs = epochs
        self.training = epochs.training
        self.validate = validate
        self.checkpoint = checkpoint
        self.state = epochs.start()
        self.best = self.state.parameters
        self.history: list[Line] = []
        self.epoch = self.best_epoch = 0
        self.halved = False
        self.stopped = "end"
        self.every = max(-(-self.training.epochs // self.training.validations), 1)
        if self.training.patience and validate is None:
            raise ConfigError("patience needs `validate`, a function model -> validation bound")
        self._resume()
        seconds = self.history[-1]["seconds"] if self.history else 0.0
        self.started = perf_counter() - seconds

    def _resume(self) -> None:
        if self.checkpoint is None:
            return
        saved = self.checkpoint.load((self.state, self.best))
        if saved is None:
            return
        (self.state, self.best), document = saved
        self.history = document["history"]
        self.best_epoch = document["best_epoch"]
        self.epoch = document["epoch"]
        self.halved = document["halved"]

    def save(self) -> None:
        """Keep the state, where there is a checkpoint."""
        if self.checkpoint is None:
            return
        document = {
            "history": self.history,
            "best_epoch": self.best_epoch,
            "epoch": self.epoch,
            "halved": self.halved,
        }
        self.checkpoint.save((self.state, self.best), document)

    def begin(self) -> None:
        """The line of epoch 0."""
        self._record(float("nan"), self._held_out(), 0.0)

    def last_line(self) -> Line:
        """The last line of the history, and how many epochs there are to be."""
        return {**self.history[-1], "epochs": self.training.epochs}

    def goes_on(self) -> bool:
        """Whether there is another epoch.

        Asked before an epoch, so that a resumed run stops where it would have; patience counts at
        validations only.
        """
        if self.epoch >= self.training.epochs:
            return False
        since = self.epoch - self.best_epoch
        patience = self.training.patience
        if patience and self.epoch % self.every == 0 and since >= patience:
            self.stopped = "patience"
            return False
        return True

    def advance(self) -> None:
        """One epoch, its line of the history, and the best state so far."""
        scale = 0.5 if self.halved else 1.0
        state, bound = self.epochs.run(self.state, self.epoch, scale)
        self.epoch += 1
        if int(state.run) >= self.training.bad_steps or not np.isfinite(bound):
            state, bound = self._restarted(state), float("nan")
        self.state = state
        held_out = self.history[-1]["validation_bound"]
        if self.epoch % self.every == 0 or self.epoch == self.training.epochs:
            held_out = self._held_out()
        self._record(bound, held_out, self.epochs.rate(self.epoch) * scale)
        best = self.history[self.best_epoch]["validation_bound"]
        better = np.isfinite(held_out) and not held_out <= best
        if better or self.validate is None:
            self.best = state.parameters
            self.best_epoch = self.epoch

    def _restarted(self, state: State) -> State:
        """The best state, from which to go on at half the step size; an error the second time."""
        if self.halved:
            model = self.epochs.model_of(state.parameters)
            where = where_not_finite(model, self.epochs.rows, self.epochs.batch)
            raise NumericalError(
                f"training stayed non-finite in epoch {self.epoch} after a restart at half the "
                f"step size, {where}; try a smaller learning_rate, or look at that column's values"
            )
        self.halved = True
        restarted = self.epochs.start(self.best)
        return restarted._replace(skipped=state.skipped)

    def _held_out(self) -> float:
        if self.validate is None:
            return float("nan")
        return self.validate(self.epochs.model_of(self.state.parameters))

    def _record(self, bound: float, held_out: float, rate: float) -> None:
        self.history.append(
            {
                "epoch": self.epoch,
                "samples_seen": self.epoch * len(self.epochs.rows),
                "train_bound": bound,
                "validation_bound": held_out,
                "learning_rate": rate,
                "skipped_steps": int(self.state.skipped),
                "seconds": perf_counter() - self.started,
            }
        )


class _How(NamedTuple):
    """What the compiled epoch is specialized to; equal settings share one compilation."""

    objective: Objective
    settings: dict[str, float]
    weight_prior: bool
    weight_decay: float
    optimizer: optax.GradientTransformation
    resample: Resample | None
    #: Whether steps that are not finite are left out; else one of them spoils the epoch, whose
    #: bound is then NaN.
    careful: bool


class _Steps(NamedTuple):
    """What each step of an epoch is given, with a leading axis of steps."""

    batch: Array
    weights: Array
    keys: PRNGKeyArray
    data_key: PRNGKeyArray
    rate: Array
    kl_weight: Array


class _Epochs:
    """The constants of a run, and its epochs."""

    def __init__(
        self,
        model: Model,
        data: ArrayLike,
        objective: Objective,
        key: PRNGKeyArray,
        training: Training,
        weights: ArrayLike | None,
        resample: Resample | None,
    ) -> None:
        values = np.asarray(data, dtype=np.float32)
        if isinstance(model, Model) and np.isnan(values).any():
            model.for_missing()  # raises where p(x|z) cannot leave cells out
        self.rows = jnp.asarray(values)
        self.weights = jnp.ones(len(values))
        if weights is not None:
            given = np.asarray(weights, dtype=np.float64)
            self.weights = jnp.asarray(given / given.mean(), jnp.float32)
        self.key = key
        self.training = training
        self.parameters, self.static = eqx.partition(model, trainable(model))
        self.batch = min(training.batch_size, len(values))
        self.steps = -(-len(values) // self.batch)
        self.optimizer, own_rate = optimizer_of(training.optimizer)
        self.how = _How(
            objective,
            _settings(objective, training),
            training.weight_prior,
            training.weight_decay,
            self.optimizer,
            resample,
            training.careful,
        )
        total = max(training.epochs * self.steps, 1)
        self.rates = learning_rates(training.schedule, training.learning_rate, total)
        if own_rate:
            self.rates = np.ones(total, np.float32)
        ramp = max(training.kl_warmup * total, 1e-9)
        self.kl_weights = np.minimum(1.0, (np.arange(total) + 1) / ramp).astype(np.float32)

    def start(self, parameters: PyTree | None = None) -> State:
        """The state before the first step, from these parameters or the model's own."""
        if parameters is None:
            parameters = self.parameters
        none = jnp.zeros((), int)
        return State(parameters, self.optimizer.init(parameters), none, none)

    def model_of(self, parameters: PyTree) -> Model:
        """The model with these parameters."""
        model: Model = eqx.combine(parameters, self.static)
        return model

    def rate(self, epoch: int) -> float:
        """The step size of the last step of the epoch before this one."""
        return float(self.rates[epoch * self.steps - 1])

    def run(self, state: State, epoch: int, scale: float) -> tuple[State, float]:
        """The state after an epoch at `scale` times the step size, and the mean bound."""
        steps = self._steps(epoch, scale)
        following, bound = _epoch(self.how, state, self.static, self.rows, steps)
        if not np.isfinite(bound):  # rare: once more, with a look at every step
            careful = self.how._replace(careful=True)
            following, bound = _epoch(careful, state, self.static, self.rows, steps)
        return following, float(bound)

    def _steps(self, epoch: int, scale: float) -> _Steps:
        key_order, key_rows, key_data = jax.random.split(jax.random.fold_in(self.key, epoch), 3)
        batches, weights = self._order(key_order)
        now = slice(epoch * self.steps, (epoch + 1) * self.steps)
        # The keys of all rows at once: a step that made its own would spend more time on them than
        # on the noise.
        return _Steps(
            batches,
            weights,
            jax.random.split(key_rows, batches.shape),
            jax.random.split(key_data, self.steps),
            jnp.asarray(np.float32(scale) * self.rates[now]),
            jnp.asarray(self.kl_weights[now]),
        )

    def _order(self, key: PRNGKeyArray) -> tuple[Array, Array]:
        """Every row once, in random order, in batches; the last is filled up with weights of 0."""
        order = jax.random.permutation(key, len(self.rows))
        shape = self.steps, self.batch
        short = self.steps * self.batch - len(order)
        batches = jnp.concatenate([order, order[:short]]).reshape(shape)
        real = (jnp.arange(self.steps * self.batch) < len(order)).reshape(shape)
        return batches, self.weights[batches] * real


def _settings(objective: Objective, training: Training) -> dict[str, float]:
    """The keyword arguments that stay the same; `ConfigError` where it does not take one."""
    settings_for(objective, kl_weight=training.kl_warmup or None)
    return settings_for(objective, samples=training.samples, free_bits=training.free_bits or None)


@eqx.filter_jit
def _epoch(
    how: _How, state: State, static: PyTree, rows: Array, steps: _Steps
) -> tuple[State, Array]:
    """One pass over the data: for each minibatch a gradient of eq. 8 and an update."""
    state, bounds = jax.lax.scan(partial(_step, how, static, rows), state, steps)
    if how.careful:
        return state, jnp.nanmean(bounds)
    # What is not finite once stays so, in the weights or in what the optimizer keeps of the slopes.
    finite = _all_finite((state.parameters, state.optimizer))
    return state, jnp.where(finite, jnp.mean(bounds), jnp.nan)


def _step(
    how: _How, static: PyTree, rows: Array, state: State, step: _Steps
) -> tuple[State, Array]:
    """A gradient of eq. 8 for one minibatch, and an update of the parameters."""
    x = rows[step.batch]
    if how.resample is not None:
        x = how.resample(x, step.data_key)
    negative = partial(_negative, how, static, len(rows))
    slope_of = jax.value_and_grad(negative, has_aux=True)
    (_, bound), gradient = slope_of(state.parameters, x, step.weights, step.keys, step.kl_weight)
    direction, optimizer = how.optimizer.update(gradient, state.optimizer, state.parameters)
    shrunk = state.parameters
    if how.weight_decay:
        shrunk = _decayed(state.parameters, step.rate * how.weight_decay)
    parameters = jax.tree.map(lambda s, d: s + step.rate * d, shrunk, direction)
    updated = State(parameters, optimizer, state.skipped, jnp.zeros((), int))
    if not how.careful:
        return updated, bound
    # The result of a finite slope is looked at too: one of 1e20 has a square, in Adam's moments,
    # that overflows.
    finite = jnp.isfinite(bound) & _all_finite((gradient, updated))
    left_out = state._replace(skipped=state.skipped + 1, run=state.run + 1)
    following = jax.lax.cond(finite, lambda: updated, lambda: left_out)
    return following, jnp.where(finite, bound, jnp.nan)


def _negative(
    how: _How,
    static: PyTree,
    total: int,
    parameters: PyTree,
    x: Array,
    weights: Array,
    keys: PRNGKeyArray,
    kl_weight: Array,
) -> tuple[Array, Array]:
    """What a step goes down, and the bound: the only place where the sign is turned."""
    model = eqx.combine(parameters, static)
    objective = partial(how.objective, **how.settings)
    bound = minibatch_bound(model, objective, x, weights, keys, kl_weight)
    if not how.weight_prior:
        return -bound, bound
    # MAP, section 5: log N(theta; 0, I) of the weights joins the bound of all N rows, so 1/N of it
    # joins the mean.
    return -(bound + log_weight_prior(parameters) / total), bound


def where_not_finite(model: Model, rows: Array, batch: int) -> str:
    """Which cell of which row has no finite log p(x|z), for an error message."""
    try:
        bad = np.argwhere(~np.isfinite(np.asarray(_nats_of_cells(model, rows, batch))))
    except ConfigError:  # the cells of this p(x|z) cannot be told apart
        return "in the bound, its gradient or the step along it"
    if len(bad):
        return f"first at row {bad[0][0]}, column {bad[0][1]}"
    return "in the gradient or the step along it"


@eqx.filter_jit  # NumPyro refuses NaN parameters, but not within a compiled function
def _nats_of_cells(model: Model, rows: Array, batch: int) -> Array:
    """log p(x_d|z) at the codes z of the rows, a minibatch at a time to bound the memory."""

    def of_row(x: Array) -> Array:
        return observed.cells(model.likelihood(model.encode(x)), x)

    return jax.lax.map(of_row, rows, batch_size=batch)


def _all_finite(tree: PyTree) -> Array:
    """Whether the sum of every leaf is: one number per leaf, and NaN and infinity survive it."""
    sums = [jnp.sum(leaf) for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))]
    return jnp.all(jnp.array([jnp.isfinite(total) for total in sums]))


def _decayed(parameters: PyTree, share: Array) -> PyTree:
    """Weight matrices smaller by a share of themselves (Loshchilov and Hutter 2019)."""

    def shrink(node: PyTree) -> PyTree:
        if not _is_layer(node):
            return node
        return eqx.tree_at(lambda layer: layer.weight, node, node.weight * (1 - share))

    return jax.tree.map(shrink, parameters, is_leaf=_is_layer)


def _is_layer(node: object) -> bool:
    return isinstance(node, eqx.nn.Linear)
