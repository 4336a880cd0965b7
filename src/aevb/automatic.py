"""What settings become for so many rows: "auto", and what the training loop is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np

from aevb.epochs import Training
from aevb.objectives import estimator_of
from aevb.objectives.registry import keywords_of
from aevb.posteriors import POSTERIORS
from aevb.preparation import Preparation, Rows
from aevb.priors import PRIORS
from aevb.settings import Settings
from aevb.start import Architecture
from aevb.table.schema import Schema

__all__ = [
    "architecture_of",
    "automatic_epochs",
    "climb",
    "epochs_of",
    "samples_of",
    "schema_width",
    "short_epochs",
    "sizes_to_try",
    "training_options",
    "weight_decay_of",
]


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

    The least and the most `steps` come first, then the least and the most `epochs`.
    """
    per_epoch = -(-rows // min(batch_size, rows))
    passes = max(epochs[0], -(-steps[0] // per_epoch))
    return int(max(1, min(passes, epochs[1], -(-steps[1] // per_epoch))))


def samples_of(settings: Settings) -> int | None:
    """Draws per row; None for an objective of one's own that takes no `samples`, unless asked."""
    takes = "samples" in keywords_of(estimator_of(settings.objective).function)
    default = Settings.model_fields["samples"].default
    return settings.samples if takes or settings.samples != default else None


def training_options(settings: Settings, rows: int) -> dict[str, object]:
    """The fields of `Training` that are settings, for so many training rows."""
    names = [field.name for field in fields(Training)]
    options = {name: getattr(settings, name) for name in names if hasattr(settings, name)}
    return options | {
        "epochs": epochs_of(settings, rows),
        "samples": samples_of(settings),
        "weight_decay": weight_decay_of(settings, rows),
    }


def short_epochs(settings: Settings, rows: int, *, most_steps: int = 2_000) -> int:
    """Passes of a short run, which tries a number of latents: at most a quarter of a whole run."""
    steps = -(-rows // min(settings.batch_size, rows))
    return min(-(-epochs_of(settings, rows) // 4), -(-most_steps // steps))


def sizes_to_try(
    schema: Schema,
    rows: int,
    settings: Settings,
    *,
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
) -> list[int]:
    """The numbers of latents to try: no more than the row has numbers, nor than there are rows."""
    most = max(1, min(schema_width(schema) - 1, rows - 1))
    possible = [size for size in sizes if size <= most] or [1]
    posterior = POSTERIORS.find(settings.posterior)
    least = getattr(posterior, "least", 1)
    if settings.prior != "auto":
        least = max(least, getattr(PRIORS.find(settings.prior), "least", 1))
    if least > 1:
        possible = [max(size, least) for size in possible[1:] or [least]]
    multiple = getattr(posterior, "multiple", 1)
    return [multiple * size for size in possible]


def climb(
    sizes: Sequence[int], bound: Callable[[int], float], *, first: int = 8
) -> dict[int, float]:
    """The bound of each size tried: from `first` up while it rises, else down while it rises."""
    start = max((place for place, size in enumerate(sizes) if size <= first), default=0)
    tried = {sizes[start]: bound(sizes[start])}
    best = tried[sizes[start]]
    for direction in (sizes[start + 1 :], sizes[:start][::-1]):
        for size in direction:
            tried[size] = bound(size)
            if tried[size] <= best:
                break
            best = tried[size]
        if max(tried, key=lambda size: tried[size]) != sizes[start]:
            break
    return tried


def schema_width(schema: Schema) -> int:
    """Numbers and levels in a row: as many latents as that can do no more."""
    return sum(max(len(column.categories) - 1, 1) for column in schema.columns)
