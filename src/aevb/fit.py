"""One fit of one table: rows prepared and split, a size chosen, a model started and trained."""

import gc
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from aevb import marginal, train
from aevb.automatic import (
    architecture_of,
    climb,
    short_epochs,
    sizes_to_try,
    training_options,
)
from aevb.build import initial_model
from aevb.errors import AevbWarning, ConfigError
from aevb.forked import refuse_if_forked
from aevb.model import Model
from aevb.networks import trainable
from aevb.objectives import estimator_of
from aevb.preparation import (
    Preparation,
    Rows,
    Units,
    are_repetitions,
    canonical_order,
    identical_rows,
    labels_of,
    prepare,
    seed_of,
    weighted_rows,
)
from aevb.settings import Settings
from aevb.start import Architecture
from aevb.table import fingerprint, split
from aevb.table.schema import Values
from aevb.table.tables import TableLike
from aevb.units import with_units

__all__ = ["Fit", "Parts", "fit", "fit_model"]

EpochCallback = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Parts:
    """Values of the training, validation and test rows, NaN where missing; of a loaded fit none."""

    train: Values
    validation: Values
    test: Values

    @classmethod
    def none(cls, columns: int) -> "Parts":
        """No rows, of so many columns."""
        nothing = np.empty((0, columns))
        return cls(nothing, nothing, nothing)

    @property
    def held_out(self) -> tuple[str, Values]:
        """The rows a fit is judged on and their part: test, else validation, else training."""
        for name, values in (("test", self.test), ("validation", self.validation)):
            if len(values):
                return name, values
        return "training", self.train


@dataclass(frozen=True)
class Fit:
    """What one fit gives: a model, and all that is needed to use it, judge it and keep it.

    What each setting became is in `architecture`, the state that is best on validation rows in
    `model`.
    """

    #: What was asked for.
    settings: Settings
    #: What all randomness came from.
    seed: int
    #: How rows of the data become rows of the model, and back.
    preparation: Preparation
    architecture: Architecture
    model: Model
    #: One dictionary per epoch.
    history: list[dict[str, float]]
    #: The epoch `model` is from.
    best_epoch: int
    #: ``"end"``, ``"patience"`` or ``"interrupt"``.
    stopped: str
    parts: Parts
    #: The numbers of latents tried, with their validation bounds.
    tried: list[dict[str, float]] = field(default_factory=list)
    #: Places of the rows it is judged on, in the data.
    held_out_rows: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    #: Name and values of what colors the latent space.
    labels: tuple[str, NDArray[np.generic]] | None = None
    #: Whether rows had weights.
    weighted: bool = False
    #: Fingerprint of the data.
    data: Mapping[str, object] = field(default_factory=dict)
    #: How long it took.
    seconds: float = float("nan")
    #: Columns of the data, ignored ones among them, and their names where they have any.
    n_features_in: int = 0
    feature_names_in: tuple[str, ...] | None = None

    @property
    def epochs(self) -> int:
        """Passes over the training rows."""
        return int(self.history[-1]["epoch"])

    def units(self, values: Values) -> Units:
        """Rows of the data as rows of the model."""
        return self.preparation.units(values)


def fit(
    X: TableLike,
    settings: Settings,
    *,
    y: object = None,
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    ordered: bool = False,
    progress: EpochCallback | None = None,
    checkpoint: train.Checkpoint | None = None,
    start: Model | None = None,
) -> Fit:
    """Fit a model to an array or a data frame; see `aevb.VAE.fit` for the arguments.

    Raises
    ------
    ConfigError, DataError, NumericalError
        See `aevb.errors`.
    """
    began = time.perf_counter()
    seed = seed_of(settings.random_state)
    data = fingerprint(X)
    X, y, weights, groups = weighted_rows(X, y, sample_weight, groups)
    preparation, values = prepare(X, settings, seed)
    labels = labels_of(X, y, preparation.source.labels)

    order, weights = _order(values, weights, ordered)
    cut = _split(preparation, values, order, settings, seed, groups, ordered)
    parts = Parts(*(values[order[part]] for part in cut))
    preparation = with_units(preparation, parts.train, parts.validation, settings.marginals)
    rows = _training_rows(preparation, values, order, cut, weights)
    report = _reported(progress, settings.verbose)
    fitted = fit_model(
        preparation, rows, settings, seed, progress=report, checkpoint=checkpoint, start=start
    )
    judged = [part for part in cut if len(part)][-1]
    return replace(
        fitted,
        parts=parts,
        held_out_rows=order[judged],
        labels=labels,
        weighted=weights is not None,
        data=data,
        seconds=time.perf_counter() - began,
    )


def _order(
    values: Values, weights: NDArray[np.float64] | None, ordered: bool
) -> tuple[NDArray[np.intp], NDArray[np.float64] | None]:
    """The order of the rows (as given if ordered in time), and the weights that repeating rows does
    not already express.
    """
    if ordered:
        return np.arange(len(values)), weights
    order = canonical_order(values, weights)
    if weights is not None and are_repetitions(weights):
        return order, None
    return order, weights


def _split(
    preparation: Preparation,
    values: Values,
    order: NDArray[np.intp],
    settings: Settings,
    seed: int,
    groups: ArrayLike | None,
    ordered: bool,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Places in `order` of the three parts; identical rows of densities stay together."""
    kept = None if groups is None else np.asarray(groups)[order]
    if kept is None and not ordered and preparation.schema.measure != "mass":
        kept = identical_rows(values[order])
    return split(
        len(order),
        validation=settings.validation_fraction,
        test=settings.test_fraction,
        seed=seed,
        groups=kept,
        ordered=ordered,
    )


def _training_rows(
    preparation: Preparation,
    values: Values,
    order: NDArray[np.intp],
    cut: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]],
    weights: NDArray[np.float64] | None,
) -> Rows:
    """The rows to train on and those to choose by, which are the same where no others are held."""
    train_rows = order[cut[0]]
    chosen_by = order[cut[1]] if len(cut[1]) else train_rows
    return Rows(
        preparation.training_units(values[train_rows]),
        preparation.units(values[chosen_by]),
        None if weights is None else weights[train_rows],
        None if weights is None else weights[chosen_by],
    )


def fit_model(
    preparation: Preparation,
    rows: Rows,
    settings: Settings,
    seed: int,
    *,
    progress: EpochCallback | None = None,
    checkpoint: train.Checkpoint | None = None,
    start: Model | None = None,
) -> Fit:
    """Fit the model these settings describe, from `start` if given; errors as in `fit`."""
    refuse_if_forked()
    _warn_of_one_draw(settings)
    _make_room()
    tried: list[dict[str, float]] = []
    latent_dim: int | tuple[int, int]
    if settings.latent_dim != "auto":
        latent_dim = settings.latent_dim
    elif start is not None:
        latent_dim = _sizes_of(start)
    else:
        latent_dim, tried = _choose_size(preparation, rows, settings, seed)
    fitted = _fit_size(preparation, rows, settings, latent_dim, seed, progress, checkpoint, start)
    return replace(fitted, tried=tried)


def _sizes_of(model: Model) -> int | tuple[int, int]:
    """The ``latent_dim`` a model was made with."""
    both: tuple[int, int] | None = getattr(model.prior, "layer_sizes", None)
    return model.latent_dim if both is None else both


def _warn_of_one_draw(settings: Settings) -> None:
    one_draw = estimator_of(settings.objective).several_draws
    if settings.samples > 1 or not one_draw:
        return
    warnings.warn(
        f"objective {settings.objective!r} with samples=1 {one_draw}: set samples=5 or more",
        AevbWarning,
        stacklevel=5,  # whoever called `VAE.fit`
    )


def _reported(progress: EpochCallback | None, verbose: int) -> EpochCallback:
    """What is called with each epoch's line: `progress`, and every ten epochs a printed line."""

    def report(line: dict[str, float]) -> None:
        if progress is not None:
            progress(line)
        if verbose and line["epoch"] % (10 * int(verbose)) == 0:
            print(
                f"epoch {line['epoch']}: train {line['train_bound']:.3f}, "
                f"validation {line['validation_bound']:.3f} nats per row, "
                f"{line['seconds']:.0f} s"
            )

    return report


def _make_room(most_maps: int = 30_000) -> None:
    """Forget compiled programs before Linux refuses the process more memory maps.

    It has 65,530, and a fit takes some 600; beyond them the compiler crashes. Some hundred fits of
    different shapes in one process get there.
    """
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > most_maps:
        jax.clear_caches()  # type: ignore[no-untyped-call]
        gc.collect()


def _fit_size(
    preparation: Preparation,
    rows: Rows,
    settings: Settings,
    latent_dim: int | tuple[int, int],
    seed: int,
    progress: EpochCallback | None = None,
    checkpoint: train.Checkpoint | None = None,
    given: Model | None = None,
) -> Fit:
    """One model of one size, started and trained."""
    key_model, key_train = jax.random.split(jax.random.key(seed))
    architecture = architecture_of(preparation, rows, settings, latent_dim)
    schema, weights = preparation.schema, rows.weights
    model = initial_model(schema, rows.train, architecture, key_model, weights=weights)
    model = _with_numbers_of(given, model)
    objective = estimator_of(settings.objective).with_options(alpha=settings.alpha)
    result = train.fit(
        model,
        rows.train,
        objective,
        key_train,
        validate=partial(_validation_bound, rows=rows, seed=seed),
        weights=weights,
        resample=preparation.resample,
        progress=progress,
        checkpoint=checkpoint,
        **training_options(settings, len(rows.train)),
    )
    return Fit(
        settings=settings,
        seed=seed,
        preparation=preparation,
        architecture=architecture,
        model=result.model,
        history=result.history,
        best_epoch=result.best_epoch,
        stopped=result.stopped,
        parts=Parts.none(len(schema)),
    )


def _with_numbers_of(other: Model | None, model: Model) -> Model:
    """The model with the learned numbers of another, if any; units belong to the rows and stay."""
    if other is None:
        return model
    learned, fixed = eqx.partition(model, trainable(model))
    found = eqx.filter(other, trainable(other))
    if not eqx.tree_equal(jax.tree.map(np.shape, found), jax.tree.map(np.shape, learned)):
        raise ConfigError(
            "start is a model of other columns, networks or latents than these rows and settings "
            "make"
        )
    return eqx.combine(found, fixed)


def _validation_bound(
    model: Model,
    *,
    rows: Rows,
    seed: int,
    most_rows: int = 2_000,
    most_samples: int = 32,
    draws: int = 20_000,
) -> float:
    """The importance-weighted bound of validation rows, with the same draws at every call.

    At most `draws` draws in all, and `most_samples` per row.
    """
    units = rows.validation[:most_rows]
    weights = rows.validation_weights
    if weights is not None:
        weights = weights[: len(units)]
    samples = int(np.clip(draws // len(units), 8, most_samples))
    scores = marginal.importance(model, units, samples=samples, seed=seed)
    return float(np.average(scores.log_likelihood, weights=weights))


def _choose_size(
    preparation: Preparation, rows: Rows, settings: Settings, seed: int
) -> tuple[int, list[dict[str, float]]]:
    """The number of latents with the best validation bound after a short run, and those tried."""
    short = settings.model_copy(update={"epochs": short_epochs(settings, len(rows.train))})

    def bound(size: int) -> float:
        fitted = _fit_size(preparation, rows, short, size, seed)
        if fitted.stopped == "interrupt":
            raise KeyboardInterrupt
        return fitted.history[fitted.best_epoch]["validation_bound"]

    tried = climb(sizes_to_try(preparation.schema, len(rows.train), settings), bound)
    chosen = max(tried, key=lambda size: tried[size])
    lines = [{"latent_dim": size, "validation_bound": tried[size]} for size in sorted(tried)]
    return chosen, lines
