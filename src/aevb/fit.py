"""One fit of one table: sizes, start, training, and the choice of the number of latents on held-out
rows.
"""

import gc
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb import objectives, train
from aevb.errors import AevbWarning, ConfigError
from aevb.initialisation import Architecture, initial_model
from aevb.marginal import importance
from aevb.model import Model
from aevb.networks import trainable
from aevb.posteriors.discrete import LEVELS
from aevb.table.schema import Schema
from aevb.train import Checkpoint

__all__ = [
    "Fitted",
    "Rows",
    "architecture_of",
    "automatic_epochs",
    "fit_model",
    "objective_of",
    "reported",
    "sizes_of",
]

Units = NDArray[np.float32]
#: The numbers of latents that ``latent_dim="auto"`` may take; it starts in the middle and goes up
#: or down from there.
SIZES = (1, 2, 4, 8, 16, 32, 64)
FIRST_SIZE = 8
#: Gaussians of a mixture prior, and pseudo-rows of a VampPrior at most.
MIXTURE_COMPONENTS, VAMP_ROWS = 10, 200
#: Steps of the short run that a size is judged by, at most a quarter of a whole run.
SIZE_STEPS = 2_000
#: ``weight_decay="auto"`` takes from each weight what a prior as heavy as this many rows would, and
#: at most this share.
DECAY_ROWS, DECAY_MOST = 350, 0.5
#: Memory maps of the process above which compiled programs are forgotten.
MOST_MAPS = 30_000
#: Steps a run takes when ``epochs="auto"``: at least, at most; epochs at least (within the steps),
#: at most.
STEPS, EPOCHS = (6_000, 40_000), (60, 500)
#: The held-out bound is estimated on at most this many rows, with up to this many samples of each
#: and this many in all.
VALIDATION_ROWS, VALIDATION_SAMPLES, VALIDATION_DRAWS = 2_000, 32, 20_000


@dataclass(frozen=True)
class Rows:
    """Training and validation rows in model units, NaN where missing, and the weights of each, None
    where all are 1.
    """

    train: Units
    validation: Units
    weights: NDArray[np.float64] | None = None
    validation_weights: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Fitted:
    """What one fit gives."""

    model: Model
    architecture: Architecture
    history: list[dict[str, float]]
    best_epoch: int
    stopped: str
    tried: list[dict[str, float]]


def fit_model(
    schema: Schema,
    rows: Rows,
    parameters: Mapping[str, Any],
    seed: int,
    *,
    resample: Callable[[Array, PRNGKeyArray], Array] | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Checkpoint | None = None,
    start: Model | None = None,
) -> Fitted:
    """Fit the model these parameters (those of `aevb.VAE`) describe, from `start` where one is
    given.

    Raises
    ------
    NumericalError
        If training stays non-finite.
    ConfigError
        If `start` is of other columns or sizes.

    Warns
    -----
    AevbWarning
        Of one draw a row where the objective is made for several.
    """
    _warn_of_one_draw(parameters["objective"], parameters["samples"])
    _make_room()
    tried: list[dict[str, float]] = []
    latent_dim = parameters["latent_dim"]
    if latent_dim == "auto" and start is not None:
        latent_dim = sizes_of(start)
    elif latent_dim == "auto":
        latent_dim, tried = _choose_size(schema, rows, parameters, seed, resample)
    architecture = architecture_of(schema, rows, parameters, latent_dim)
    fitted = _fit(
        schema, rows, parameters, architecture, seed, resample, progress, checkpoint, start
    )
    return replace(fitted, tried=tried)


def _warn_of_one_draw(objective: str, samples: int) -> None:
    consequence = objectives.ESTIMATORS[objective].several_draws
    if samples > 1 or not consequence:
        return
    warnings.warn(
        f"objective {objective!r} with samples=1 {consequence}: set samples=5 or more",
        AevbWarning,
        stacklevel=4,  # whoever called `VAE.fit`
    )


@cache
def objective_of(name: str, alpha: float) -> Callable[..., Array]:
    """The estimator of that name; of one name always the same object, so that one compilation
    serves all fits.
    """
    objective = objectives.ESTIMATORS[name].function
    return partial(objective, alpha=alpha) if name == "renyi" else objective


def architecture_of(
    schema: Schema, rows: Rows, parameters: Mapping[str, Any], latent_dim: int | tuple[int, int]
) -> Architecture:
    """The shape of the model: linear networks and one scale a column where there is no hidden
    layer.
    """
    hidden = tuple(parameters["hidden"])
    prior = _prior(parameters["prior"], hidden)
    lower, upper = (latent_dim, 0) if isinstance(latent_dim, int | np.integer) else latent_dim
    return Architecture(
        latent_dim=lower,
        upper_dim=upper,
        hidden=hidden,
        activation=parameters["activation"],
        posterior=parameters["posterior"],
        prior=prior,
        prior_components=min(VAMP_ROWS, len(rows.train)) if prior == "vamp" else MIXTURE_COMPONENTS,
        scale_given=bool(hidden),
        missing=bool(np.isnan(rows.train).any() or np.isnan(rows.validation).any()),
        count=_count(parameters["likelihood"]),
    )


def _count(likelihood: str | Mapping[str, str]) -> Any:
    """Which of the two likelihoods of counts the model has."""
    names = {likelihood} if isinstance(likelihood, str) else set(likelihood.values())
    if {"poisson", "negative_binomial"} <= names:
        raise ConfigError(
            "likelihood: counts are all poisson or all negative_binomial; name one of them"
        )
    return "poisson" if "poisson" in names else "negative_binomial"


def _prior(choice: str, hidden: tuple[int, ...]) -> Any:
    """A learned mixture, but N(0, I) for a linear model, whose optimum is known with it."""
    if choice != "auto":
        return choice
    return "mixture" if hidden else "standard_normal"


def _weight_decay(choice: float | str, rows: int) -> float:
    return min(DECAY_ROWS / rows, DECAY_MOST) if isinstance(choice, str) else choice


def automatic_epochs(rows: int, batch_size: int) -> int:
    """How many passes ``epochs="auto"`` takes: many over few rows, few over many."""
    steps = -(-rows // min(batch_size, rows))
    passes = max(EPOCHS[0], -(-STEPS[0] // steps))
    return int(max(1, min(passes, EPOCHS[1], -(-STEPS[1] // steps))))


def reported(
    progress: Callable[[dict[str, Any]], None] | None, verbose: int
) -> Callable[[dict[str, Any]], None]:
    """What is called with each epoch's line of the history: `progress`, and now and then a printed
    line.
    """

    def report(line: dict[str, Any]) -> None:
        if progress is not None:
            progress(line)
        if verbose and line["epoch"] % (10 * int(verbose)) == 0:
            print(
                f"epoch {line['epoch']}: train {line['train_bound']:.3f}, "
                f"validation {line['validation_bound']:.3f} nats a row, {line['seconds']:.0f} s"
            )

    return report


def _make_room() -> None:
    """Forget compiled programs before Linux refuses them more memory maps, as after some hundred
    fits of other shapes.

    A process has 65,530 maps and a fit takes some 600; beyond them the compiler crashes.
    """
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > MOST_MAPS:
        jax.clear_caches()  # type: ignore[no-untyped-call]
        gc.collect()


def _fit(
    schema: Schema,
    rows: Rows,
    parameters: Mapping[str, Any],
    architecture: Architecture,
    seed: int,
    resample: Callable[..., Any] | None,
    progress: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Checkpoint | None = None,
    given: Model | None = None,
) -> Fitted:
    key_model, key_train = jax.random.split(jax.random.key(seed))
    epochs = parameters["epochs"]
    if epochs == "auto":
        epochs = automatic_epochs(len(rows.train), parameters["batch_size"])
    start = initial_model(schema, rows.train, architecture, key_model, weights=rows.weights)
    start = start if given is None else _with_numbers_of(given, start)
    result = train.fit(
        start,
        rows.train,
        objective_of(parameters["objective"], parameters["alpha"]),
        key_train,
        validate=partial(_held_out, rows=rows, seed=seed),
        weights=rows.weights,
        resample=resample,
        progress=progress,
        checkpoint=checkpoint,
        epochs=epochs,
        batch_size=parameters["batch_size"],
        learning_rate=parameters["learning_rate"],
        optimizer=parameters["optimizer"],
        kl_warmup=parameters["kl_warmup"],
        free_bits=parameters["free_bits"],
        samples=parameters["samples"],
        weight_prior=parameters["weight_prior"],
        weight_decay=_weight_decay(parameters["weight_decay"], len(rows.train)),
        patience=parameters["patience"],
    )
    return Fitted(result.model, architecture, result.history, result.best_epoch, result.stopped, [])


def sizes_of(model: Model) -> int | tuple[int, int]:
    """The ``latent_dim`` a model was made with."""
    sizes: tuple[int, int] | None = getattr(model.prior, "layer_sizes", None)
    return sizes or model.latent_dim


def _with_numbers_of(other: Model, model: Model) -> Model:
    """The model with the learned numbers of another; what is fixed, as the units, belongs to the
    rows and stays.
    """
    learned, fixed = eqx.partition(model, trainable(model))
    found = eqx.filter(other, trainable(other))
    if _shape(found) != _shape(learned):
        raise ConfigError(
            "start is a model of other columns, networks or latents than these rows and settings make"
        )
    return eqx.combine(found, fixed)


def _shape(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [leaf.shape for leaf in leaves]


def _held_out(model: Model, rows: Rows, seed: int) -> float:
    """The importance-weighted bound of validation rows, by their weights, with the same draws at
    every call.
    """
    units = rows.validation[:VALIDATION_ROWS]
    weights = None if rows.validation_weights is None else rows.validation_weights[: len(units)]
    samples = int(np.clip(VALIDATION_DRAWS // len(units), 8, VALIDATION_SAMPLES))
    scores = importance(model, units, samples=samples, seed=seed)
    return float(np.average(scores.log_likelihood, weights=weights))


def _choose_size(
    schema: Schema,
    rows: Rows,
    parameters: Mapping[str, Any],
    seed: int,
    resample: Callable[..., Any] | None,
) -> tuple[int, list[dict[str, float]]]:
    """From 8 latents up while the validation bound of a short run rises; else down from 8 while it
    rises.
    """
    short = {**parameters, "epochs": _short_epochs(len(rows.train), parameters)}
    most = max(1, min(schema_width(schema) - 1, len(rows.train) - 1))
    sizes = [size for size in SIZES if size <= most] or [1]
    if "flow" in (parameters["posterior"], parameters["prior"]):
        sizes = [
            max(size, 2) for size in sizes[1:] or [2]
        ]  # a flow turns one half of the latents by the other
    if parameters["posterior"] == "categorical":
        sizes = [LEVELS * size for size in sizes]
    tried: dict[int, float] = {}

    def bound(size: int) -> float:
        fitted = _fit(
            schema, rows, short, architecture_of(schema, rows, short, size), seed, resample
        )
        if fitted.stopped == "interrupt":
            raise KeyboardInterrupt
        tried[size] = fitted.history[fitted.best_epoch]["validation_bound"]
        return tried[size]

    first = max((i for i, size in enumerate(sizes) if size <= FIRST_SIZE), default=0)
    best = bound(sizes[first])
    for direction in (sizes[first + 1 :], sizes[:first][::-1]):
        for size in direction:
            if bound(size) <= best:
                break
            best = tried[size]
        if len(tried) > 1 and max(tried, key=lambda size: tried[size]) != sizes[first]:
            break
    chosen = max(tried, key=lambda size: tried[size])
    return chosen, [{"latent_dim": size, "validation_bound": tried[size]} for size in sorted(tried)]


def _short_epochs(rows: int, parameters: Mapping[str, Any]) -> int:
    epochs = parameters["epochs"]
    total = automatic_epochs(rows, parameters["batch_size"]) if epochs == "auto" else epochs
    steps = -(-rows // min(parameters["batch_size"], rows))
    return min(-(-total // 4), -(-SIZE_STEPS // steps))


def schema_width(schema: Schema) -> int:
    """Numbers and levels in a row: as many latents as that can do no more."""
    return sum(max(len(column.categories) - 1, 1) for column in schema.columns)
