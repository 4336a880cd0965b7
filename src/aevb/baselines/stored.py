"""Fitted baselines as arrays and one document, and back: data only, so that a run can keep them.

What a family is called comes from the schema, and what its arrays look like from the family: a
document can name neither code nor sizes of its own.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aevb.baselines.fitting import NAMES, Baseline, Classes
from aevb.baselines.gaussians import Density, Dequantised, Linear, Mixture, StandardUnits
from aevb.baselines.latent_class import FAMILIES, LatentClasses, Part, layout
from aevb.linear import LinearModel
from aevb.table.schema import Schema

__all__ = ["from_stored", "to_stored"]

Array = NDArray[np.float64]


def to_stored(
    baselines: Mapping[str, Baseline], not_applicable: Mapping[str, str]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays by name, and what goes into a JSON document."""
    arrays: dict[str, Array] = {}
    listed = []
    for place, (name, baseline) in enumerate(baselines.items()):
        own, about = _packed(baseline)
        arrays |= {
            f"{place}.{key}": np.ascontiguousarray(array, dtype=np.float64)
            for key, array in own.items()
        }
        listed.append({"name": name, **about})
    return arrays, {"baselines": listed, "not_applicable": dict(not_applicable)}


def from_stored(
    arrays: Mapping[str, Any], document: Mapping[str, Any], schema: Schema
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
    ValueError, KeyError, TypeError
        They are not baselines of these columns.
    """
    baselines: dict[str, Baseline] = {}
    unread = dict(arrays)
    for place, about in enumerate(document["baselines"]):
        own = _Arrays(unread, f"{place}.")
        baselines[about["name"]] = _KINDS[about["kind"]](own, about, schema)
    if unread:
        raise ValueError(f"{min(unread)} belongs to no baseline")
    reasons = dict(document["not_applicable"])
    if strange := (baselines.keys() | reasons.keys()) - set(NAMES):
        raise ValueError(f"no baseline is named {min(strange)!r}")
    if not all(isinstance(reason, str) for reason in reasons.values()):
        raise TypeError("a reason must be text")
    return baselines, {
        name: reasons[name] for name in NAMES if name in reasons
    }  # a document sorts its keys


def _packed(baseline: Baseline) -> tuple[dict[str, Array], dict[str, Any]]:
    """A baseline's own arrays, and what else there is to say of it."""
    if isinstance(baseline, Classes):
        model = baseline.model
        own = {"log_weights": model.log_weights}
        for i, (part, parameters) in enumerate(zip(model.parts, model.parameters, strict=True)):
            own |= {f"{i}.{unit}": getattr(part.family, unit) for unit in part.family.units}
            own |= {f"{i}.{j}": parameter for j, parameter in enumerate(parameters)}
        return own, {"kind": "classes", "rows": model.rows, "settings": baseline.settings}
    assert isinstance(baseline, Dequantised)
    units, density = (
        {"location": baseline.units.location, "scale": baseline.units.scale},
        baseline.density,
    )
    if isinstance(density, Mixture):
        own = {"weights": density.weights, "means": density.means, "roots": density.roots}
        return units | own, {"kind": "mixture", "settings": baseline.chosen}
    assert isinstance(density, Linear)
    model_arrays = {
        "mean": density.model.mean,
        "loadings": density.model.loadings,
        "noise": density.model.noise,
    }
    return units | model_arrays | {"ratio": density.ratio}, {
        "kind": "linear",
        "settings": baseline.chosen,
    }


class _Arrays:
    """The arrays of one baseline, handed out once each, where they have the shape asked for."""

    def __init__(self, unread: dict[str, Any], prefix: str) -> None:
        self.unread, self.prefix = unread, prefix

    def get(self, name: str, *shape: int | None) -> Array:
        """A copy, of finite numbers; None in a shape stands for any size but zero."""
        array = np.asarray(self.unread.pop(self.prefix + name))
        fits = array.ndim == len(shape) and all(
            size > 0 if wanted is None else size == wanted
            for size, wanted in zip(array.shape, shape, strict=True)
        )
        if array.dtype != np.float64 or not fits:
            raise ValueError(
                f"{self.prefix}{name} is {array.dtype} of shape {array.shape}, "
                f"not float64 of {shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{self.prefix}{name} must be finite")
        return np.array(array)

    def positive(self, name: str, *shape: int | None) -> Array:
        """The same, of scales and variances: none is zero or less."""
        array = self.get(name, *shape)
        if (array <= 0).any():
            raise ValueError(f"{self.prefix}{name} must be positive")
        return array

    def roots(self, count: int, width: int, *, full: bool) -> Array:
        """Cholesky roots, matrices or diagonals: a density takes the logarithm of every diagonal
        number.
        """
        if not full:
            return self.positive("roots", count, width)
        roots = self.get("roots", count, width, width)
        if (np.diagonal(roots, axis1=1, axis2=2) <= 0).any():
            raise ValueError(f"{self.prefix}roots must have positive diagonals")
        return roots


def _classes(own: _Arrays, about: Mapping[str, Any], schema: Schema) -> Baseline:
    log_weights = own.get("log_weights", None)
    parts, parameters = [], []
    for i, (role, columns) in enumerate(layout(schema)):
        kind = FAMILIES[role]
        units = [
            (own.get if unit == "location" else own.positive)(f"{i}.{unit}", len(columns))
            for unit in kind.units
        ]
        family = kind.in_units([schema.columns[column] for column in columns], units)
        parts.append(Part(role, columns, family))
        widths = family.widths
        parameters.append(
            tuple(own.get(f"{i}.{j}", len(log_weights), width) for j, width in enumerate(widths))
        )
    model = LatentClasses(schema, tuple(parts), tuple(parameters), log_weights, int(about["rows"]))
    return Classes(model, _settings(about))


def _linear(own: _Arrays, about: Mapping[str, Any], schema: Schema) -> Baseline:
    width = len(schema)
    model = LinearModel(
        own.get("mean", width), own.get("loadings", width, None), own.positive("noise", width)
    )
    if (factors := model.loadings.shape[1]) > max(
        width - 1, 1
    ):  # scoring a row takes factors^2 numbers a column
        raise ValueError(f"{factors} factors of {width} columns")
    return _dequantised(Linear(model, own.positive("ratio", width)), own, about, schema)


def _mixture(own: _Arrays, about: Mapping[str, Any], schema: Schema) -> Baseline:
    width, weights = len(schema), own.positive("weights", None)
    roots = own.roots(len(weights), width, full=about["settings"]["covariance"] == "full")
    return _dequantised(
        Mixture(weights, own.get("means", len(weights), width), roots), own, about, schema
    )


def _dequantised(
    density: Density, own: _Arrays, about: Mapping[str, Any], schema: Schema
) -> Baseline:
    units = StandardUnits(
        schema.columns, own.get("location", len(schema)), own.positive("scale", len(schema))
    )
    return Dequantised(density, _settings(about), units)


def _settings(about: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(about["settings"])
    if not all(isinstance(value, str | int | float) for value in settings.values()):
        raise TypeError("a setting must be a number or text")
    return settings


_KINDS = {"classes": _classes, "linear": _linear, "mixture": _mixture}
