"""Algorithm 1: minibatch Auto-Encoding Variational Bayes, one compiled loop for any objective."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from jaxtyping import PRNGKeyArray, PyTree
from numpy.typing import ArrayLike

from aevb.epochs import (
    Epochs,
    Resample,
    State,
    Training,
    log_weight_prior,
    minibatch_bound,
    where_not_finite,
)
from aevb.errors import ConfigError, NumericalError
from aevb.model import Model
from aevb.objectives.registry import Objective

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

#: One epoch of the history.
Line = dict[str, float]


class Checkpoint(Protocol):
    """Where the state of a run is kept between epochs."""

    def load(self, like: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
        """The last saved (state, document), in the shape of `like`, or None."""

    def save(self, state: PyTree, document: dict[str, Any]) -> None:
        """Keep this state; called after every epoch, and may choose to write less often."""


@dataclass
class TrainingResult:
    """The model, and how it was found."""

    #: The state with the highest validation bound, step 0 included; without validation the last.
    model: Model
    #: One dictionary per epoch, epoch 0 being the start.
    history: list[Line] = field(default_factory=list)
    #: The epoch that `model` is from.
    best_epoch: int = 0
    #: "end", "patience" or "interrupt".
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
        The model to start from.
    data
        Training rows in model units, shape (N, D), NaN where missing.
    objective
        (model, x, key) -> nats of one row. It is given the keyword arguments `samples`, `kl_weight`
        and `free_bits` if it takes them.
    key
        Random key of the order of rows and of the draws of eps.
    validate
        model -> validation bound in nats per row; one that is not finite is never the best.
    weights
        Weight of each row in the mean bound, shape (N,); all 1 if not given.
    resample
        (rows of a minibatch, key) -> rows, applied to each minibatch anew, as for dynamic
        binarization.
    progress
        Called with each epoch's line of the history, and `epochs`, their total.
    checkpoint
        Where the state is kept between epochs; if it holds a state, training continues from it.
    options
        Fields of `Training`: epochs, batch_size, learning_rate and so on.

    Raises
    ------
    ConfigError
        The objective or the model cannot do what the options or the rows ask for, an option names
        an unknown optimizer or schedule, or `patience` is set without `validate`.
    NumericalError
        The bound or its gradient stays non-finite after one restart at half the step size.
    """
    epochs = Epochs(model, data, objective, key, Training(**options), weights, resample)
    run = _Run(epochs, validate, checkpoint)
    report = progress or (lambda line: None)
    if not run.history:
        report(run.begin())
    try:
        while run.goes_on():
            report(run.advance())
    except KeyboardInterrupt:  # the caller gets what is finished, and passes the interrupt on
        run.stopped = "interrupt"
    return TrainingResult(epochs.model_of(run.best), run.history, run.best_epoch, run.stopped)


class _Run:
    """Where a run of training is."""

    def __init__(
        self,
        epochs: Epochs,
        validate: Callable[[Model], float] | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.epochs, self.training = epochs, epochs.training
        self.validate, self.checkpoint = validate, checkpoint
        if self.training.patience and validate is None:
            raise ConfigError("patience needs `validate`, a function model -> validation bound")
        self.every = max(-(-self.training.epochs // self.training.validations), 1)
        self.state = epochs.start(epochs.parameters)
        self.best = epochs.parameters
        self.history: list[Line] = []
        self.epoch, self.best_epoch, self.halved, self.stopped = 0, 0, False, "end"
        self.started = perf_counter()
        saved = None
        if checkpoint is not None:
            saved = checkpoint.load((self.state, self.best))
        if saved is not None:
            (self.state, self.best), document = saved
            self.history, self.best_epoch = document["history"], document["best_epoch"]
            self.epoch, self.halved = document["epoch"], document["halved"]
            self.started -= self.history[-1]["seconds"]

    def begin(self) -> Line:
        """The line of epoch 0."""
        return self._recorded(float("nan"), self._held_out(), 0.0)

    def goes_on(self) -> bool:
        """Whether there is another epoch.

        Asked before an epoch, so that a resumed run stops where it would have; patience counts at
        validations only.
        """
        if self.epoch >= self.training.epochs:
            return False
        patience = self.training.patience
        at_validation = self.epoch % self.every == 0
        if patience and at_validation and self.epoch - self.best_epoch >= patience:
            self.stopped = "patience"
            return False
        return True

    def advance(self) -> Line:
        """One epoch, the best state so far, a checkpoint, and the line of the history."""
        scale = 0.5 if self.halved else 1.0
        state, bound = self.epochs.run(self.state, self.epoch, scale)
        self.epoch += 1
        if int(state.run) >= self.training.bad_steps or not np.isfinite(bound):
            state, bound = self._restarted(state), float("nan")
        self.state = state
        held_out = self.history[-1]["validation_bound"]
        if self.epoch % self.every == 0 or self.epoch == self.training.epochs:
            held_out = self._held_out()
        line = self._recorded(bound, held_out, self.epochs.rate(self.epoch) * scale)
        best = self.history[self.best_epoch]["validation_bound"]
        better = np.isfinite(held_out) and not held_out <= best
        if better or self.validate is None:
            self.best, self.best_epoch = state.parameters, self.epoch
        self._save()
        return line

    def _restarted(self, state: State) -> State:
        """The best state, to go on from at half the step size; an error the second time."""
        if self.halved:
            model = self.epochs.model_of(state.parameters)
            where = where_not_finite(model, self.epochs.rows, self.epochs.batch)
            raise NumericalError(
                f"training stayed non-finite in epoch {self.epoch} after a restart at half the "
                f"step size, {where}; try a smaller learning_rate, or look at that column's values"
            )
        self.halved = True
        return self.epochs.start(self.best)._replace(skipped=state.skipped)

    def _held_out(self) -> float:
        if self.validate is None:
            return float("nan")
        return self.validate(self.epochs.model_of(self.state.parameters))

    def _recorded(self, bound: float, held_out: float, rate: float) -> Line:
        line: Line = {
            "epoch": self.epoch,
            "samples_seen": self.epoch * len(self.epochs.rows),
            "train_bound": bound,
            "validation_bound": held_out,
            "learning_rate": rate,
            "skipped_steps": int(self.state.skipped),
            "seconds": perf_counter() - self.started,
        }
        self.history.append(line)
        return {**line, "epochs": self.training.epochs}

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        document = {
            "history": self.history,
            "best_epoch": self.best_epoch,
            "epoch": self.epoch,
            "halved": self.halved,
        }
        self.checkpoint.save((self.state, self.best), document)
