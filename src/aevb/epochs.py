"""One pass over the rows: for each minibatch a gradient of eq. 8 and an update, in one program."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree
from numpy.typing import ArrayLike

from aevb.distributions import observed
from aevb.errors import ConfigError
from aevb.model import Model
from aevb.networks import trainable
from aevb.objectives.registry import Objective, check_takes, keywords_of, with_options
from aevb.optimizers import learning_rates, optimizer_of

__all__ = [
    "Epochs",
    "Resample",
    "State",
    "Training",
    "log_weight_prior",
    "minibatch_bound",
    "where_not_finite",
]

#: (rows of a minibatch, key) -> rows.
Resample = Callable[[Array, PRNGKeyArray], Array]


@dataclass(frozen=True)
class Training:
    """How to train."""

    #: Passes over the rows.
    epochs: int
    #: Rows of a minibatch, M.
    batch_size: int = 100
    #: The first step size, for an optimizer that is a name.
    learning_rate: float = 1e-3
    #: A name in `optimizers.OPTIMIZERS`, or an Optax transformation, which has its own step size.
    optimizer: str | optax.GradientTransformation = "adam"
    #: "cosine" or "constant".
    schedule: str = "cosine"
    #: Share of the run over which the weight on the KL rises to 1.
    kl_warmup: float = 0.0
    #: Nats of KL without cost per latent.
    free_bits: float = 0.0
    #: Draws per row; None for the objective's own default.
    samples: int | None = None
    #: Whether the weights have a N(0, I) prior (MAP, section 5).
    weight_prior: bool = False
    #: The share of themselves, times the step size, that weights lose at each step.
    weight_decay: float = 0.0
    #: Epochs without a better validation bound after which to stop.
    patience: int | None = None
    #: Consecutive non-finite steps after which to restart at half the step size, once.
    bad_steps: int = 10
    #: How often the validation bound is taken at most; lines in between repeat the last.
    validations: int = 100
    #: Whether to look at every step, and not only in an epoch that ended in NaN or infinity.
    careful: bool = False


class State(NamedTuple):
    """What a step changes, and what is needed to go on from it."""

    parameters: PyTree
    optimizer: PyTree
    skipped: Array  # non-finite steps so far
    run: Array  # consecutive ones


def minibatch_bound(
    model: Model,
    objective: Objective,
    x: Array,
    weights: Array,
    keys: PRNGKeyArray,
    kl_weight: Array,
) -> Array:
    """Eq. 8 divided by N: (1/M) sum_i w_i L(x_i), in nats per row.

    The weights of all N rows have mean 1. Rows of weight 0 fill a short minibatch up and do not
    count in M. Dividing by the weights' own sum instead would make the minibatch a biased estimate
    of the whole.
    """
    of_row = partial(objective, model)
    if "kl_weight" in keywords_of(objective):
        of_row = partial(objective, model, kl_weight=kl_weight)
    bounds = jax.vmap(of_row)(x, keys)
    if bounds.ndim != 1:
        raise ConfigError(
            f"expected an objective to give one number for a row, got shape {bounds.shape[1:]}"
        )
    return jnp.sum(weights * bounds) / jnp.maximum(jnp.sum(weights > 0), 1)


def log_weight_prior(parameters: PyTree) -> Array:
    """log N(w; 0, I) of the networks' weight matrices, up to a constant."""
    total = jnp.zeros(())
    for node in jax.tree.leaves(parameters, is_leaf=_is_layer):
        if _is_layer(node):
            total = total + jnp.sum(jnp.square(node.weight))
    return -0.5 * total


class _How(NamedTuple):
    """What the compiled epoch is specialized to; equal settings share one compilation."""

    objective: Objective
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


class Epochs:
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
        settings = {"samples": training.samples, "free_bits": training.free_bits or None}
        check_takes(objective, **settings, kl_weight=training.kl_warmup or None)
        self.how = _How(
            with_options(objective, **settings),
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

    def start(self, parameters: PyTree) -> State:
        """The state before the first step from these parameters."""
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
    bound = minibatch_bound(model, how.objective, x, weights, keys, kl_weight)
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
