"""Fitted baselines as arrays and one document, and back: data only, so that a run can keep them.

What a baseline is comes from its name, and what its arrays look like from the schema: a document
can name neither code nor sizes of its own.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from aevb.baselines.base import BASELINES, Baseline, Setting
from aevb.disk.formats import Arrays
from aevb.disk.trees import from_arrays, to_arrays
from aevb.table.schema import Schema

__all__ = ["from_stored", "to_stored"]

Document = Mapping[str, Any]


def to_stored(
    baselines: Mapping[str, Baseline], not_applicable: Mapping[str, str]
) -> tuple[Arrays, dict[str, Any]]:
    """Arrays by name, and what goes into a JSON document."""
    arrays = {}
    listed = []
    for place, (name, baseline) in enumerate(baselines.items()):
        for path, array in to_arrays(baseline).items():
            arrays[f"{place}{path}"] = array
        listed.append({"name": name, "settings": dict(baseline.chosen)})
    return arrays, {"baselines": listed, "not_applicable": dict(not_applicable)}


def from_stored(
    arrays: Arrays, document: Document, schema: Schema
) -> tuple[dict[str, Baseline], dict[str, str]]:
    """The baselines and the reasons why others do not apply, as `fit_baselines` gave them.

    Parameters
    ----------
    arrays, document
        As `to_stored` gave them.
    schema
        The columns the baselines were fitted to.

    Raises
    ------
    ModelFileError, ValueError, KeyError, TypeError
        They are not baselines of these columns.
    """
    baselines: dict[str, Baseline] = {}
    unread = dict(arrays)
    for place, about in enumerate(document["baselines"]):
        prefix = str(place)
        own = {}
        for path in arrays:
            if path.startswith(f"{prefix}."):
                own[path.removeprefix(prefix)] = unread.pop(path)
        baselines[about["name"]] = _restored(own, prefix, about, schema)
    if unread:
        raise ValueError(f"{min(unread)} belongs to no baseline")
    reasons = dict(document["not_applicable"])
    for name, reason in reasons.items():
        if name not in BASELINES or not isinstance(reason, str):
            raise ValueError(f"{name!r} and its reason are no baseline's")
    ordered = {name: reasons[name] for name in BASELINES if name in reasons}  # JSON sorts keys
    return baselines, ordered


def _restored(arrays: Arrays, prefix: str, about: Document, schema: Schema) -> Baseline:
    chosen = _settings(about["settings"])
    empty = BASELINES[about["name"]].empty(arrays, chosen, schema)
    baseline = from_arrays(empty, arrays, "baselines.safetensors", as_array=np.array)
    own = to_arrays(empty)
    for path, array in arrays.items():
        strange = ~np.isfinite(array)
        if not np.array_equal(array[strange], own[path][strange], equal_nan=True):
            raise ValueError(
                f"{prefix}{path} must be finite"
            )  # or what the schema says, such as no end
    baseline.check(empty)
    return baseline


def _settings(given: Document) -> dict[str, Setting]:
    settings = dict(given)
    for value in settings.values():
        if not isinstance(value, str | int | float):
            raise TypeError("a setting must be a number or text")
    return settings
