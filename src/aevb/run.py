"""A fit on disk and back. Data only: no pickle, no import path, no code from a file.

Parts of one's own are code, which no file holds: their weights are kept, and `load` takes the same
parts again.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, NonNegativeInt, Strict

from aevb import disk, predict
from aevb.assess import Baselines, ReportDict, Results
from aevb.automatic import epochs_of, weight_decay_of
from aevb.baselines import from_stored, to_stored
from aevb.build import posterior_of, skeleton
from aevb.diagnostics import codes
from aevb.disk.folder import Run as Stored
from aevb.disk.trees import from_arrays, to_arrays
from aevb.errors import ConfigError, ModelFileError
from aevb.fit import Fit, Parts
from aevb.posteriors import POSTERIORS
from aevb.preparation import restored
from aevb.priors import PRIORS
from aevb.registry import Registry, label_of
from aevb.report import Contents, render
from aevb.settings import Settings, Width
from aevb.start import Architecture
from aevb.table.schema import Schema

__all__ = ["Run", "contents_of", "load", "save"]

#: Settings that may be a part of one's own, and so be asked for again when a run is loaded.
OWN_PARTS = ("likelihood", "prior", "posterior", "network", "objective")
#: What stands for such a part in a file.
OWN = "own"


class StoredArchitecture(BaseModel, extra="forbid", strict=True):
    """What a file says of the architecture; the rest of it is in the settings and the schema.

    The sizes are compared with the weights by their shapes.
    """

    latent_dim: Annotated[int, Field(ge=1, le=10_000)]
    upper_dim: NonNegativeInt
    hidden: Annotated[tuple[Width, ...], Strict(False), Field(max_length=64)]
    activation: str
    posterior: object
    prior: object
    scale_given: bool
    missing: bool
    rows: NonNegativeInt


class Fitted(BaseModel):
    """What a file says of a fit besides its settings and its weights."""

    architecture: StoredArchitecture
    seed: int
    n_features_in: int
    feature_names_in: tuple[str, ...] | None
    best_epoch: int
    n_iter: int


@dataclass(frozen=True)
class Run:
    """What a run folder holds: the fit, its results and what its report is made of."""

    fit: Fit
    results: Results
    contents: Contents


def save(run: Run, path: Path | str, *, overwrite: bool = False) -> Path:
    """Write a run folder: weights, schema, configuration, numbers, history and report.

    Raises
    ------
    OutputError
        A run is there already, or the disk refuses.
    """
    fit = run.fit
    figures, documents = run.contents.to_stored()
    configuration = _configuration(fit)
    documents |= {"configuration": configuration}
    arrays: dict[str, Mapping[str, NDArray[Any]]] = {
        "weights": to_arrays(fit.model),
        "figures": figures,
    }
    baselines = run.results.baselines
    if baselines.fitted:
        arrays["baselines"], documents["baselines"] = to_stored(
            baselines.fitted, baselines.not_applicable
        )
    return disk.write_run(
        path,
        arrays,
        documents,
        {"metrics.jsonl": _lines(fit.history), "report.html": render(run.contents)},
        overwrite=overwrite,
        details={
            "seed": fit.seed,
            "data": fit.data,
            "configuration": configuration["parameters"],
            "resolved": _resolved(fit, run.results),
        },
    )


def load(path: Path | str, **parts: object) -> Run:
    """What a run folder holds, with these parts of one's own; see `aevb.load`."""
    stored = disk.read_run(path)
    try:
        fit = _fit_of(stored, parts)
        return Run(fit, _results_of(stored, fit), _contents_of(stored))
    except ModelFileError:
        raise
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        MemoryError,
        RecursionError,
    ) as error:
        raise ModelFileError(f"{path} does not hold a model of this version: {error!r}") from error


def contents_of(
    fit: Fit,
    results: ReportDict,
    *,
    name: str,
    commands: Sequence[str] = (),
    most_rows: int = 2_000,
) -> Contents:
    """What a report of this fit shows, on its held-out rows.

    Parameters
    ----------
    fit
        A fit that has its rows, not a loaded one.
    results
        Its results; see `aevb.assess.Results.to_dict`.
    name
        Name of the data, for the title.
    commands
        What to type to get this fit again.
    most_rows
        Rows shown in the latent space and reconstructed, and rows drawn, at most.
    """
    rows = fit.parts.held_out[1][:most_rows]
    colors = _colors(fit, rows)
    back = fit.preparation.values_of
    z = codes(fit.model, fit.units(rows))
    shown = predict.decoded(fit.model, z, means=fit.preparation.binarize is not None)
    return Contents(
        title=name,
        results=dict(results),
        history=fit.history,
        schema=fit.preparation.source,
        codes=z.astype(np.float64),
        originals=rows,
        reconstructions=back(shown),
        samples=back(predict.sampled(fit.model, len(rows), fit.seed)),
        commands=list(commands),
        environment=environment(),
        colors=colors.values,
        color_name=colors.name,
        color_levels=colors.levels,
    )


def environment() -> dict[str, str]:
    """Versions of what the numbers came from."""
    return {
        "aevb": version("aevb"),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {jax.devices()[0].platform}",
    }


class _Colors(NamedTuple):
    """What colors the rows of a report; see `Contents`."""

    values: NDArray[np.float64] | None = None
    name: str = ""
    levels: tuple[str, ...] = ()


def _colors(fit: Fit, rows: NDArray[np.float64], most_levels: int = 10) -> _Colors:
    """What colors the rows: the label, else a column of few levels."""
    if fit.labels is not None:
        name, labels = fit.labels
        kept = labels[fit.held_out_rows[: len(rows)]]
        levels, index = np.unique(kept.astype(str), return_inverse=True)
        return _Colors(index.astype(np.float64), name, tuple(levels.tolist()))
    columns = fit.preparation.source.columns
    for place in reversed(range(len(columns))):
        categories = columns[place].categories
        if 2 <= len(categories) <= most_levels:
            return _Colors(rows[:, place], columns[place].name, tuple(map(str, categories)))
    return _Colors()


def _configuration(fit: Fit) -> ReportDict:
    """The settings, the seed among them, and what is needed to rebuild the model."""
    parameters = {name: getattr(fit.settings, name) for name in Settings.model_fields}
    parameters |= {name: _name_of(parameters[name]) for name in OWN_PARTS}
    parameters["random_state"] = fit.seed
    if not isinstance(parameters["optimizer"], str):
        parameters["optimizer"] = "adam"  # an Optax transformation is code; only a name is kept
    architecture = fit.architecture
    return {
        "parameters": parameters,
        "fitted": {
            "architecture": {
                name: _name_of(getattr(architecture, name))
                for name in StoredArchitecture.model_fields
            },
            "seed": fit.seed,
            "n_features_in": fit.n_features_in,
            "feature_names_in": fit.feature_names_in,
            "best_epoch": fit.best_epoch,
            "n_iter": fit.epochs,
        },
    }


def _name_of(part: object) -> object:
    """A part by name; of one's own a mark and its class's name, which is for people to read."""
    if isinstance(part, str | int | tuple):
        return part
    if isinstance(part, Mapping):
        return {name: _name_of(one) for name, one in part.items()}
    return {OWN: label_of(part)}


def _resolved(fit: Fit, results: Results) -> ReportDict:
    """What stood where the settings say "auto"."""
    rows = results.document["parts"]["train"]
    prior = _name_of(fit.architecture.prior)
    return {
        "latent_dim": fit.architecture.latents,
        "epochs": epochs_of(fit.settings, rows),
        "weight_decay": weight_decay_of(fit.settings, rows),
        "prior": getattr(posterior_of(fit.architecture), "prior", None) or prior,
    }


def _lines(history: Sequence[Mapping[str, float]]) -> str:
    return "".join(f"{json.dumps(disk.plain(line))}\n" for line in history)


def _history(text: str) -> list[dict[str, float]]:
    lines = [disk.parse_json(line, "metrics.jsonl") for line in text.splitlines()]
    return [disk.nulls_as_nan(line) for line in lines]


def _fit_of(stored: Stored, parts: Mapping[str, object]) -> Fit:
    document = stored.documents["configuration"]
    fitted = disk.validated(Fitted, document["fitted"], "configuration.json")
    settings = _stored_settings(document["parameters"], parts)
    schema = Schema.from_json(stored.documents["schema"])
    preparation = restored(schema, settings, fitted.seed)
    architecture = replace(
        _architecture(fitted.architecture, settings),
        likelihoods=preparation.likelihoods,
        decoder=preparation.decoder,
    )
    shapes = skeleton(preparation.schema, architecture)
    return Fit(
        settings=settings,
        seed=fitted.seed,
        preparation=preparation,
        architecture=architecture,
        model=from_arrays(shapes, stored.arrays["weights"], "weights.safetensors"),
        history=_history(stored.texts["metrics.jsonl"]),
        best_epoch=fitted.best_epoch,
        stopped="end",
        parts=Parts.none(len(schema)),  # a run keeps no rows
        data=stored.manifest.get("data", {}),
        n_features_in=fitted.n_features_in,
        feature_names_in=fitted.feature_names_in,
    )


def _stored_settings(document: ReportDict, parts: Mapping[str, object]) -> Settings:
    """The settings of a run, parts of one's own in place of their marks."""
    parameters = {**document, **parts}
    for name in OWN_PARTS:
        if not _is_own(parameters[name]):
            continue
        if name == "objective":  # what a model was trained by is not needed to use it
            parameters[name] = "sgvb_b"
            continue
        raise ModelFileError(
            f"this run was fitted with a {name} of one's own, {parameters[name]}: "
            f"give the same to load({name}=...)"
        )
    try:
        return Settings.of(parameters)
    except ConfigError as error:  # a name is known once its module is imported
        raise ModelFileError(
            f"the settings of this run are not of this version: {error}; "
            "if that is the name of a part of your own, import the module that registers it"
        ) from error


def _is_own(value: object) -> bool:
    """Whether a setting, or one of a mapping of columns, is the mark of a part of one's own."""
    if not isinstance(value, Mapping):
        return False
    return OWN in value or any(_is_own(one) for one in value.values())


def _architecture(stored: StoredArchitecture, settings: Settings) -> Architecture:
    """The architecture a run names."""
    return Architecture(
        latent_dim=stored.latent_dim,
        upper_dim=stored.upper_dim,
        hidden=stored.hidden,
        activation=Settings.of({"activation": stored.activation}).activation,
        network=settings.network,
        posterior=_part(POSTERIORS, stored.posterior, settings.posterior),
        prior=_part(PRIORS, stored.prior, settings.prior),
        scale_given=stored.scale_given,
        missing=stored.missing,
        rows=stored.rows,
    )


def _part(registry: Registry[type], stored: object, given: object) -> object:
    """The registered part a file names, or the one of one's own that was given."""
    if _is_own(stored):
        return given
    if not isinstance(stored, str) or stored not in registry:
        raise ModelFileError(f"configuration.json: no {registry.role} is named {stored!r}")
    return stored


def _results_of(stored: Stored, fit: Fit) -> Results:
    baselines = Baselines.none("it is fitted with the VAE only, and this run did not keep it")
    if "baselines" in stored.documents:
        fitted, reasons = from_stored(
            stored.arrays["baselines"], stored.documents["baselines"], fit.preparation.schema
        )
        baselines = Baselines(fitted, reasons)
    return Results(dict(stored.documents["results"]), baselines)


def _contents_of(stored: Stored) -> Contents:
    return Contents.from_stored(stored.arrays.get("figures", {}), stored.documents)
