"""A fitted `VAE` on disk and back, and what its report is made of. Data only: no pickle, no code
from a file.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from numpy.typing import NDArray

import aevb
from aevb import disk as storage
from aevb import fit as fitting
from aevb import predict as predictive
from aevb.assess import Parts, baselines_of, held_out_rows
from aevb.baselines.stored import from_stored, to_stored
from aevb.diagnostics import codes
from aevb.disk.trees import from_arrays, to_arrays
from aevb.errors import ConfigError, ModelFileError
from aevb.initialisation import Architecture, skeleton
from aevb.report import Contents, render
from aevb.settings import check_parameters
from aevb.table.preparation import restored
from aevb.table.schema import Schema

if TYPE_CHECKING:
    from aevb.sklearn.estimator import VAE

__all__ = ["contents_of", "load", "save"]

#: Rows shown in the latent space and reconstructed, and rows drawn, at most.
SHOWN_ROWS = 2_000


def save(
    vae: "VAE", path: Any, *, overwrite: bool = False, contents: Contents | None = None
) -> Path:
    """Write a run folder: weights, schema, configuration, numbers, history and report.

    Raises
    ------
    OutputError
        A run is there already, or the disk refuses.
    """
    contents = contents or contents_of(vae, name=Path(path).name)
    figures, documents = contents.to_stored()
    configuration = _configuration(vae)
    documents |= {"configuration": configuration}
    arrays = {"weights": to_arrays(vae.model_), "figures": figures}
    if (baselines := baselines_of(vae))[0]:
        arrays["baselines"], documents["baselines"] = to_stored(*baselines)
    return storage.write_run(
        path,
        arrays,
        documents,
        {"metrics.jsonl": _lines(vae.history_), "report.html": render(contents)},
        overwrite=overwrite,
        details={
            "seed": vae.seed_,
            "data": vae._data,
            "configuration": configuration["parameters"],
            "resolved": _resolved(vae),
        },
    )


def load(path: Any) -> "VAE":
    """The fitted `VAE` of a run folder; every file is checked against the manifest first.

    Raises
    ------
    ModelFileError
        Not a run, damaged, or of another version.
    """
    from aevb.sklearn.estimator import VAE

    run = storage.read_run(path)
    try:
        document = run.documents["configuration"]
        schema = Schema.from_json(run.documents["schema"])
        parameters = {**document["parameters"], "hidden": tuple(document["parameters"]["hidden"])}
        if isinstance(parameters["latent_dim"], list):
            parameters["latent_dim"] = tuple(parameters["latent_dim"])
        check_parameters(parameters)
        vae = VAE(**parameters)
        vae._report = dict(run.documents["results"])
        vae._data = run.manifest.get("data", {})
        vae.history_ = [
            storage.nulls_as_nan(storage.parse_json(line, "metrics.jsonl"))
            for line in run.texts["metrics.jsonl"].splitlines()
        ]
        fitted = document["fitted"]
        architecture = _architecture(fitted["architecture"])
        vae.seed_ = int(fitted["seed"])
        preparation = restored(schema, vae.binarize, vae.seed_)
        shapes = skeleton(preparation.schema, architecture)
        vae.model_ = from_arrays(shapes, run.arrays["weights"], "weights.safetensors")
        vae.n_features_in_ = int(fitted["n_features_in"])
        if fitted["feature_names_in"] is not None:
            vae.feature_names_in_ = np.array(fitted["feature_names_in"], dtype=object)
        vae._baselines = None
        if "baselines" in run.documents:
            vae._baselines = from_stored(
                run.arrays["baselines"], run.documents["baselines"], preparation.schema
            )
        vae.best_epoch_, vae.n_iter_ = int(fitted["best_epoch"]), int(fitted["n_iter"])
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        ConfigError,
        OverflowError,
        MemoryError,
    ) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path} does not hold a model of this version: {error!r}") from error
    vae.schema_, vae._preparation = schema, preparation
    vae.latent_dim_ = vae._n_features_out = architecture.latents
    vae._architecture = architecture
    vae._parts = Parts(*np.empty((3, 0, len(schema))))  # a run keeps no rows
    vae._stored = run.arrays.get("figures", {}), run.documents
    return vae


def contents_of(vae: "VAE", *, name: str, commands: Sequence[str] = ()) -> Contents:
    """What a report of this fit shows, on its held-out rows; of a saved run, what was saved.

    Parameters
    ----------
    vae
        Fitted, or loaded.
    name
        Of the data: the title.
    commands
        What to type to get this fit again.
    """
    if not len(vae._parts.train):
        return Contents.from_stored(*vae._stored)
    rows = held_out_rows(vae)[1]
    units = vae._preparation.units(rows[:SHOWN_ROWS])
    z = codes(vae.model_, units)
    shown = predictive.decoded(vae.model_, z, means=vae._preparation.binarize is not None)
    drawn = predictive.sampled(vae.model_, min(len(rows), SHOWN_ROWS), vae.seed_)
    colors, levels = _colors(vae, rows[:SHOWN_ROWS])
    return Contents(
        title=name,
        results=vae.report_,
        history=vae.history_,
        schema=vae.schema_,
        codes=z.astype(np.float64),
        originals=rows[:SHOWN_ROWS],
        reconstructions=vae._preparation.values_of(shown),
        samples=vae._preparation.values_of(drawn),
        colors=colors,
        color_name=levels[0] if levels else "",
        color_levels=tuple(levels[1:]) if levels else (),
        commands=list(commands),
        environment=environment(),
    )


def environment() -> dict[str, str]:
    """Versions of what the numbers came from."""
    return {
        "aevb": aevb.__version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {jax.devices()[0].platform}",
    }


def _colors(vae: "VAE", rows: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, list[str]]:
    """Codes of the label of each row and [name, level, level, ...]; else of the modelled column
    with fewest levels.
    """
    if vae._labels is not None:
        name, labels = vae._labels
        kept = labels[vae._held_out_rows[: len(rows)]]
        levels, index = np.unique(kept.astype(str), return_inverse=True)
        return index.astype(np.float64), [name, *levels.tolist()]
    leveled = [
        i for i, column in enumerate(vae.schema_.columns) if 2 <= len(column.categories) <= 10
    ]
    if not leveled:
        return None, []
    best = leveled[-1]
    column = vae.schema_.columns[best]
    return rows[:, best], [column.name, *map(str, column.categories)]


def _configuration(vae: "VAE") -> dict[str, Any]:
    parameters = storage.plain(vae.get_params(deep=False))
    if not isinstance(parameters["optimizer"], str):
        parameters["optimizer"] = "adam"  # an Optax transformation is code; only a name is kept
    names = getattr(vae, "feature_names_in_", None)
    return {
        "parameters": {**parameters, "random_state": vae.seed_},
        "fitted": {
            "architecture": asdict(vae._architecture),
            "seed": vae.seed_,
            "n_features_in": vae.n_features_in_,
            "feature_names_in": None if names is None else list(map(str, names)),
            "best_epoch": vae.best_epoch_,
            "n_iter": vae.n_iter_,
        },
    }


def _resolved(vae: "VAE") -> dict[str, Any]:
    """What stood where the settings say "auto"."""
    rows = vae.report_["parts"]["train"]
    return {
        "latent_dim": vae.latent_dim_,
        "epochs": fitting.automatic_epochs(rows, vae.batch_size)
        if vae.epochs == "auto"
        else vae.epochs,
        "weight_decay": fitting._weight_decay(vae.weight_decay, rows),
        "prior": vae._architecture.prior,
    }


def _lines(history: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(storage.plain(line)) + "\n" for line in history)


def _architecture(document: Mapping[str, Any]) -> Architecture:
    """The architecture a run names; its sizes are held against the weights by their shapes."""
    architecture = Architecture(**{**document, "hidden": tuple(document["hidden"])})
    names = ("latent_dim", "hidden", "activation", "posterior")
    check_parameters({name: getattr(architecture, name) for name in names})
    if architecture.upper_dim < 0 or architecture.prior_components < 1:
        raise ModelFileError("configuration.json: a part of the model has fewer than no weights")
    return architecture
