"""Which likelihood each column of a schema gets: one for all the columns that share a class."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from aevb.errors import ConfigError
from aevb.likelihoods.base import LIKELIHOODS, Columns, Likelihood
from aevb.likelihoods.continuous import AtomsAndRest
from aevb.registry import label_of
from aevb.table.schema import Column, Schema

__all__ = ["asked_for", "chosen", "is_decoder", "likelihoods_of"]


def asked_for(likelihood: object, names: Sequence[str]) -> dict[str, type[Likelihood]]:
    """The class asked for, for each column where one is.

    A likelihood is "auto", one for all columns, which are those of these names, or one for some by
    the name of the column. Raises `ConfigError` for anything else.
    """
    if likelihood == "auto":
        return {}
    if not isinstance(likelihood, Mapping):
        likelihood = dict.fromkeys(names, likelihood)
    return {name: _class_of(asked) for name, asked in likelihood.items()}


def chosen(schema: Schema, asked: Mapping[str, type[Likelihood]]) -> tuple[type[Likelihood], ...]:
    """The class of each column: the one asked for where it suits, else the column's default."""
    classes = []
    for column in schema.columns:
        part = asked.get(column.name)
        if part is None or not part.suits(column):
            part = _default(column)
        classes.append(part)
    return tuple(classes)


def is_decoder(likelihood: object) -> bool:
    """Whether it is p(x|z) of whole rows, not a likelihood of columns."""
    if isinstance(likelihood, str | Mapping):
        return False
    return not (isinstance(likelihood, type) and issubclass(likelihood, Likelihood))


def likelihoods_of(
    schema: Schema,
    classes: Sequence[type[Likelihood]],
    units: np.ndarray,
    deviation: np.ndarray,
    *,
    scale_given: bool = True,
) -> tuple[Likelihood, ...]:
    """The parts of p(x|z), which share out the columns between them; `classes` has that of each.

    For the other arguments see `Columns`, here of all columns.
    """
    groups: dict[tuple[type[Likelihood], Hashable, bool], list[int]] = {}
    for place, (column, part) in enumerate(zip(schema.columns, classes, strict=True)):
        key = (part, part.group(column), bool(column.atoms))
        groups.setdefault(key, []).append(place)
    parts = []
    for (part, _, has_atoms), places in groups.items():
        columns = Columns(
            places=tuple(places),
            columns=tuple(schema.columns[place] for place in places),
            units=units[:, places],
            deviation=deviation[places],
            scale_given=scale_given,
        )
        parts.append(AtomsAndRest.around(part, columns) if has_atoms else part.build(columns))
    return tuple(parts)


def _class_of(asked: object) -> type[Likelihood]:
    part = LIKELIHOODS.find(asked)
    if isinstance(part, type) and issubclass(part, Likelihood):
        return part
    raise ConfigError(
        f"likelihood: expected the name of a likelihood or a subclass of "
        f"aevb.likelihoods.Likelihood for a column, got {label_of(asked)}"
    )


def _default(column: Column) -> type[Likelihood]:
    for name in LIKELIHOODS:
        if LIKELIHOODS[name].takes(column):
            return LIKELIHOODS[name]
    raise ConfigError(f"no likelihood takes a column of kind {column.kind!r} ({column.name!r})")
