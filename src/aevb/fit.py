"""One fit of one table: rows prepared and split, a size chosen, a model started and trained."""

import gc
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree
from numpy.typing import ArrayLike, NDArray

from aevb import marginal, train
from aevb.build import initial_model
from aevb.errors import AevbWarning, ConfigError
from aevb.model import Model
from aevb.networks import trainable
from aevb.objectives import estimator_of
from aevb.posteriors import POSTERIORS
from aevb.preparation import (
    Preparation,
    Units,
    are_repetitions,
    canonical_order,
    identical_rows,
    labels_of,
    prepare,
    seed_of,
    weighted_rows,
)
from aevb.priors import PRIORS
from aevb.settings import Settings
from aevb.start import Architecture
from aevb.table import fingerprint, split
from aevb.table.schema import Schema, Values
from aevb.table.tables import TableLike

__all__ = ["Fit", "Parts", "automatic_epochs", "fit"]

EpochCallback = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Parts:
    """Values of the training, validation and test rows, NaN where missing; of a loaded fit none."""

    train: Values
    validation: Values
    test: Values

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

    Parameters
    ----------
    settings
        What was asked for.
    seed
        What all randomness came from.
    preparation
        How rows of the data become rows of the model, and back.
    architecture
        The shape of the model, with what "auto" became.
    model
        q(z|x), p(x|z) and p(z), the state that is best on validation rows.
    history
        One dictionary per epoch.
    best_epoch
        The epoch `model` is from.
    stopped
        ``"end"``, ``"patience"`` or ``"interrupt"``.
    tried
        The numbers of latents tried, with their validation bounds.
    parts
        The rows; of a loaded fit none.
    held_out_rows
        Places of the rows it is judged on, in the data.
    labels
        Name and values of what colors the latent space.
    weighted
        Whether rows had weights.
    data
        Fingerprint of the data.
    seconds
        How long it took.
    n_features_in, feature_names_in
        Columns of the data, ignored ones among them, and their names where they have any.
    """

    settings: Settings
    seed: int
    preparation: Preparation
    architecture: Architecture
    model: Model
    history: list[dict[str, float]]
    best_epoch: int
    stopped: str
    parts: Parts
    tried: list[dict[str, float]] = field(default_factory=list)
    held_out_rows: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    labels: tuple[str, NDArray[np.generic]] | None = None
    weighted: bool = False
    data: Mapping[str, object] = field(default_factory=dict)
    seconds: float = float("nan")
    n_features_in: int = 0
    feature_names_in: tuple[str, ...] | None = None

    @property
    def epochs(self) -> int:
        """Passes over the training rows."""
        return int(self.history[-1]["epoch"])

    def units(self, values: Values) -> Units:
        """Rows of the data as rows of the model."""
        return self.preparation.units(values)


@dataclass(frozen=True)
class Rows:
    """Training and validation rows in model units, and their weights, None where all are 1."""

    train: Units
    validation: Units
    weights: NDArray[np.float64] | None = None
    validation_weights: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class SizeSearch:
    """How ``latent_dim="auto"`` looks for the number of latents: short runs from the middle."""

    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    first: int = 8
    #: Steps of a short run, at most a quarter of a whole run.
    steps: int = 2_000


@dataclass(frozen=True)
class HeldOut:
    """How much is spent on the held-out bound: rows, draws per row, and draws in all."""

    rows: int = 2_000
    samples: int = 32
    draws: int = 20_000


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

    repeated = weights is not None and not ordered and are_repetitions(weights)
    order = _order(values, weights if repeated else None, ordered)
    cut = _split(preparation, values, order, settings, seed, groups, ordered)
    parts = Parts(*(values[order[part]] for part in cut))
    preparation = preparation.scaled_by(parts.train)
    rows = _training_rows(preparation, values, order, cut, None if repeated else weights)
    fitted = fit_model(
        preparation,
        rows,
        settings,
        seed,
        progress=_reported(progress, settings.verbose),
        checkpoint=checkpoint,
        start=start,
    )
    judged = [part for part in cut if len(part)][-1]
    return replace(
        fitted,
        parts=parts,
        held_out_rows=order[judged],
        labels=labels,
        weighted=weights is not None and not repeated,
        data=data,
        seconds=time.perf_counter() - began,
    )


def _order(values: Values, weights: NDArray[np.float64] | None, ordered: bool) -> NDArray[np.intp]:
    """An order of the rows that does not depend on the one they came in, unless that is time."""
    if ordered:
        return np.arange(len(values))
    return canonical_order(values, weights)


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
    """Fit the model these settings describe, from `start` where one is given.

    Raises
    ------
    NumericalError
        Training stays non-finite.
    ConfigError
        `start` is of other columns or sizes.

    Warns
    -----
    AevbWarning
        One draw per row where the objective is made for several.
    """
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


def architecture_of(
    preparation: Preparation,
    rows: Rows,
    settings: Settings,
    latent_dim: int | tuple[int, int],
) -> Architecture:
    """The shape of the model: linear networks learn one scale per column."""
    lower, upper = latent_dim if isinstance(latent_dim, tuple) else (latent_dim, 0)
    prior = settings.prior
    if prior == "auto":  # with N(0, I) a linear model is exact
        prior = "mixture" if settings.hidden else "standard_normal"
    return Architecture(
        latent_dim=lower,
        upper_dim=upper,
        hidden=settings.hidden,
        activation=settings.activation,
        network=settings.network,
        posterior=settings.posterior,
        prior=prior,
        likelihoods=preparation.likelihoods,
        decoder=preparation.decoder,
        scale_given=bool(settings.hidden),
        missing=bool(np.isnan(rows.train).any() or np.isnan(rows.validation).any()),
        rows=len(rows.train),
    )


def weight_decay_of(
    settings: Settings, rows: int, *, prior_rows: int = 350, most: float = 0.5
) -> float:
    """The decay; "auto" takes what a prior as heavy as `prior_rows` rows would, at most `most`."""
    if settings.weight_decay == "auto":
        return min(prior_rows / rows, most)
    return settings.weight_decay


def epochs_of(settings: Settings, rows: int) -> int:
    """Passes over the training rows, as asked for or automatic."""
    if settings.epochs == "auto":
        return automatic_epochs(rows, settings.batch_size)
    return settings.epochs


def automatic_epochs(
    rows: int,
    batch_size: int,
    *,
    steps: tuple[int, int] = (6_000, 40_000),
    epochs: tuple[int, int] = (60, 500),
) -> int:
    """How many passes ``epochs="auto"`` takes: many over few rows, few over many.

    Parameters
    ----------
    rows, batch_size
        Training rows, and rows in a minibatch.
    steps
        At least and at most so many steps.
    epochs
        At least (within the steps) and at most so many passes.
    """
    per_epoch = -(-rows // min(batch_size, rows))
    passes = max(epochs[0], -(-steps[0] // per_epoch))
    return int(max(1, min(passes, epochs[1], -(-steps[1] // per_epoch))))


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
    model = initial_model(
        preparation.schema, rows.train, architecture, key_model, weights=rows.weights
    )
    if given is not None:
        model = _with_numbers_of(given, model)
    objective = estimator_of(settings.objective).with_options(alpha=settings.alpha)
    result = train.fit(
        model,
        rows.train,
        objective,
        key_train,
        validate=partial(_validation_bound, rows=rows, seed=seed),
        weights=rows.weights,
        resample=preparation.resample,
        progress=progress,
        checkpoint=checkpoint,
        **_training_options(settings, len(rows.train)),
    )
    nothing = np.empty((0, len(preparation.schema)))
    return Fit(
        settings=settings,
        seed=seed,
        preparation=preparation,
        architecture=architecture,
        model=result.model,
        history=result.history,
        best_epoch=result.best_epoch,
        stopped=result.stopped,
        parts=Parts(nothing, nothing, nothing),
    )


def _training_options(settings: Settings, rows: int) -> dict[str, Any]:
    """What `train.fit` is asked for, for so many training rows."""
    same = (
        "batch_size",
        "learning_rate",
        "optimizer",
        "kl_warmup",
        "free_bits",
        "samples",
        "weight_prior",
        "patience",
    )
    options = {name: getattr(settings, name) for name in same}
    options["epochs"] = epochs_of(settings, rows)
    options["weight_decay"] = weight_decay_of(settings, rows)
    return options


def _with_numbers_of(other: Model, model: Model) -> Model:
    """The model with the learned numbers of another; units belong to the rows and stay."""
    learned, fixed = eqx.partition(model, trainable(model))
    found = eqx.filter(other, trainable(other))
    if _shape(found) != _shape(learned):
        raise ConfigError(
            "start is a model of other columns, networks or latents than these rows and settings "
            "make"
        )
    return eqx.combine(found, fixed)


def _shape(tree: PyTree) -> tuple[object, list[tuple[int, ...]]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [leaf.shape for leaf in leaves]


def _validation_bound(model: Model, rows: Rows, seed: int, limits: HeldOut = HeldOut()) -> float:
    """The importance-weighted bound of validation rows, with the same draws at every call."""
    units = rows.validation[: limits.rows]
    weights = rows.validation_weights
    if weights is not None:
        weights = weights[: len(units)]
    samples = int(np.clip(limits.draws // len(units), 8, limits.samples))
    scores = marginal.importance(model, units, samples=samples, seed=seed)
    return float(np.average(scores.log_likelihood, weights=weights))


def _choose_size(
    preparation: Preparation,
    rows: Rows,
    settings: Settings,
    seed: int,
    search: SizeSearch = SizeSearch(),
) -> tuple[int, list[dict[str, float]]]:
    """From `search.first` latents up while the validation bound of a short run rises, else down."""
    short = settings.model_copy(
        update={"epochs": _short_epochs(settings, len(rows.train), search.steps)}
    )
    sizes = _sizes(preparation.schema, rows, settings, search)
    tried: dict[int, float] = {}

    def bound(size: int) -> float:
        fitted = _fit_size(preparation, rows, short, size, seed)
        if fitted.stopped == "interrupt":
            raise KeyboardInterrupt
        tried[size] = fitted.history[fitted.best_epoch]["validation_bound"]
        return tried[size]

    first = max((i for i, size in enumerate(sizes) if size <= search.first), default=0)
    best = bound(sizes[first])
    for direction in (sizes[first + 1 :], sizes[:first][::-1]):
        for size in direction:
            if bound(size) <= best:
                break
            best = tried[size]
        if len(tried) > 1 and max(tried, key=lambda size: tried[size]) != sizes[first]:
            break
    chosen = max(tried, key=lambda size: tried[size])
    lines = [{"latent_dim": size, "validation_bound": tried[size]} for size in sorted(tried)]
    return chosen, lines


def _sizes(schema: Schema, rows: Rows, settings: Settings, search: SizeSearch) -> list[int]:
    """The numbers of latents to try: no more than the row has numbers, nor than there are rows."""
    most = max(1, min(schema_width(schema) - 1, len(rows.train) - 1))
    sizes = [size for size in search.sizes if size <= most] or [1]
    parts = (POSTERIORS.find(settings.posterior), _prior_class(settings))
    least = max(getattr(part, "least", 1) for part in parts)
    if least > 1:
        sizes = [max(size, least) for size in sizes[1:] or [least]]
    multiple = getattr(parts[0], "multiple", 1)
    return [multiple * size for size in sizes]


def _prior_class(settings: Settings) -> object:
    return None if settings.prior == "auto" else PRIORS.find(settings.prior)


def _short_epochs(settings: Settings, rows: int, most_steps: int) -> int:
    steps = -(-rows // min(settings.batch_size, rows))
    return min(-(-epochs_of(settings, rows) // 4), -(-most_steps // steps))


def schema_width(schema: Schema) -> int:
    """Numbers and levels in a row: as many latents as that can do no more."""
    return sum(max(len(column.categories) - 1, 1) for column in schema.columns)
