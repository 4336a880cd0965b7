"""Which kind each column is: by these rules, from what is observed and what is asked for.

1. Text, categoricals, booleans: binary with two levels, categorical otherwise (ordinal if a data
   frame declares the order). Text that looks like an identifier is left out.
2. Numbers with two levels: binary. With one: continuous with one atom.
3. Numbers with 3 to 20 levels, each met 5 times on average, integer or at most 10 of them: ordinal.
4. Other integers: a count if the least is 0 and there are no atoms; else continuous on a grid.
5. A whole table of gray values (0 to 15, 16, 255, or k/255): pixels. Of 0 and 1: binary.
6. Anything else: continuous.
"""

import unicodedata
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from aevb.errors import AevbWarning, ConfigError, DataError, listed, nearest
from aevb.table.containers import readable
from aevb.table.headers import headers_of
from aevb.table.schema import KINDS, LEVELED, Column, Kind, Level, Schema, Values, on_grid
from aevb.table.tables import Cells, Inf, Table, TableLike, table_of

__all__ = ["find_atoms", "infer"]


def infer(
    data: TableLike,
    *,
    columns: Mapping[str, str] | None = None,
    ignore: Collection[str] = (),
    labels: Collection[str] = (),
    image_shape: tuple[int, ...] | None = None,
    inf: Inf = "error",
) -> Schema:
    """Infer the schema of a table: the kind of each column and what its likelihood needs to know.

    Parameters
    ----------
    data
        An array (columns are named x0, x1, ...; 3 or 4 axes are images) or a frame of pandas,
        polars or pyarrow.
    columns
        Kinds by name; those of other columns are inferred.
    ignore, labels
        Columns left out of the model and carried through to outputs; labels are worth coloring by.
    image_shape
        (height, width) or (height, width, channels) of a row of flat pixels.
    inf
        ``"missing"`` counts infinite cells as missing; by default they are an error.

    `ConfigError` if a name or kind does not exist; `DataError` for fewer than two rows, no usable
    column, a type without a likelihood, or a value that the chosen kind cannot hold.

    >>> schema = infer([[0.5, "red"], [1.5, "blue"], [0.1, "red"], [2.5, "red"]])
    >>> [(column.kind, column.categories) for column in schema.columns]
    [('continuous', ()), ('binary', ('blue', 'red'))]
    """
    shape = getattr(data, "shape", ())
    if image_shape is None and len(shape) in (3, 4):
        image_shape = tuple(map(int, shape[1:]))
    data = readable(data)
    table = table_of(data)
    schema = _inferred(table, columns or {}, {*ignore, *labels}, image_shape, inf)
    headers = headers_of(data, table.places(schema.names))
    return replace(schema, labels=tuple(labels), headers=headers)


def _inferred(
    table: Table,
    columns: Mapping[str, str],
    left_out: Collection[str],
    image_shape: tuple[int, ...] | None,
    inf: Inf,
) -> Schema:
    kinds = cast(Mapping[str, Kind], columns)
    _check_names(table, kinds, left_out)
    if len(table) < 2:
        raise DataError("expected at least 2 rows to learn from, got 1 row: give more data")
    notes = _note_twins(table.names)
    cells = _usable(table, kinds, left_out, inf, notes)
    shared, gray = _whole_table(cells, kinds, table.container, image_shape)
    modeled = [_column(one, kinds.get(one.name, shared), gray) for one in cells]
    notes += _note_constants(modeled, cells)
    for note in notes:
        warnings.warn(note, stacklevel=3)
    names = {column.name for column in modeled}
    return Schema(
        columns=tuple(modeled),
        container=table.container,
        ignored=tuple(name for name in table.names if name not in names),
        image_shape=image_shape,
        notes=tuple(map(str, notes)),
    )


# What is asked for and what is there


def _check_names(table: Table, kinds: Mapping[str, Kind], left_out: Iterable[str]) -> None:
    for name in [*kinds, *left_out]:
        if name not in table.names:
            raise ConfigError(f"no column is named {name!r}; {nearest(name, table.names)}")
    for name, kind in kinds.items():
        if kind not in KINDS:
            near = nearest(kind, KINDS)
            raise ConfigError(f"column {name!r}: {kind!r} is no kind of column; {near}")


def _usable(
    table: Table,
    kinds: Mapping[str, Kind],
    left_out: Collection[str],
    inf: Inf,
    notes: list[AevbWarning],
) -> list[Cells]:
    """The columns to model; those all missing or like identifiers are noted and left out."""
    usable, empty, identifiers = list[Cells](), list[str](), list[str]()
    unsupported = {}
    for name in table.names:
        if name in left_out:
            continue
        cells = table.column(name).finite(inf)
        if cells.family == "unsupported":
            unsupported[name] = cells.dtype
        elif np.isnan(cells.values).all():
            empty.append(name)
        elif name not in kinds and _is_identifier(cells):
            identifiers.append(name)
        else:
            usable.append(cells)
    if unsupported:
        types = ", ".join(f"{name!r} ({dtype})" for name, dtype in unsupported.items())
        raise DataError(
            f"expected numbers, text or booleans, got {types}: turn into numbers or leave out",
            hint={"ignore": list(unsupported)},
        )
    if empty:
        notes.append(AevbWarning(f"all cells are missing, so left out: {', '.join(empty)}"))
    if identifiers:
        note = f"looks like an identifier, so left out: {', '.join(identifiers)}"
        hint = {"columns": dict.fromkeys(identifiers, "categorical")}
        notes.append(AevbWarning(f"{note}; to keep it, choose its kind", hint=hint))
    if not usable:
        why = "; ".join(map(str, notes))
        raise DataError(f"expected at least one column to model, got none: {why}")
    return usable


def _is_identifier(cells: Cells, most_levels: int = 1_000) -> bool:
    if cells.family != "text":
        return False
    observed = cells.values[~np.isnan(cells.values)]
    all_distinct = len(observed) >= 20 and len(np.unique(observed)) == len(observed)
    return all_distinct or len(cells.levels) > most_levels


def _note_twins(names: Iterable[str]) -> list[AevbWarning]:
    """Note the names that look the same: equal once composed characters are normalized."""
    notes, seen = [], dict[str, str]()
    for name in names:
        twin = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if twin != name:
            note = f"two columns look alike, {twin!a} and {name!a}: both are kept"
            notes.append(AevbWarning(note))
    return notes


def _note_constants(columns: Iterable[Column], cells: Iterable[Cells]) -> list[AevbWarning]:
    constant = []
    for column, one in zip(columns, cells, strict=True):
        if column.kind != "pixel" and np.nanmin(one.values) == np.nanmax(one.values):
            constant.append(column.name)
    if not constant:
        return []
    return [AevbWarning(f"constant, so nothing can be learned from: {listed(constant)}")]


# Kinds of the whole table


@dataclass(frozen=True)
class Gray:
    """A scale of gray values, from 0 to an upper end in equal steps."""

    upper: float
    step: float = 1.0


#: Wider scales come later, and pixels that are asked for must lie on one of them.
SCALES = (Gray(1.0), Gray(15.0), Gray(16.0), Gray(255.0), Gray(1.0, step=1 / 255), Gray(65_535.0))


def _whole_table(
    cells: Sequence[Cells],
    kinds: Mapping[str, Kind],
    container: str,
    image_shape: tuple[int, ...] | None,
    fewest_pixels: int = 16,
) -> tuple[Kind | None, Gray]:
    """Rule 5: the kind of all columns without a chosen one, if shared, and the scale of pixels."""
    pixels = [one for one in cells if kinds.get(one.name) == "pixel"]
    rest = [one for one in cells if one.name not in kinds]
    chosen = SCALES[-1]
    if pixels:
        chosen = _gray_scale(pixels, certain=True) or chosen
    if not rest or any(one.family != "number" or one.levels for one in rest):
        return None, chosen
    in_bytes = container == "numpy" and all(one.dtype == "uint8" for one in rest)
    wide = image_shape is not None or len(rest) >= fewest_pixels
    certain = image_shape is not None or (wide and in_bytes)
    scale = _gray_scale([*pixels, *rest], certain)
    if wide and scale == Gray(1.0):
        return "binary", chosen
    if scale and (wide or (in_bytes and scale == Gray(255.0))):
        return "pixel", scale
    return None, chosen


def _gray_scale(cells: Sequence[Cells], certain: bool) -> Gray | None:
    """The scale all cells lie on; they must reach both its ends unless they are certainly gray."""
    least = min(np.nanmin(one.values) for one in cells)
    greatest = max(np.nanmax(one.values) for one in cells)
    for scale in SCALES:
        fits = least == 0 and greatest == scale.upper
        if certain:
            fits = least >= 0 and greatest <= scale.upper
        if fits and all(on_grid(one.values, scale.step).all() for one in cells):
            return scale
    return None


# Kinds of one column


def _column(cells: Cells, kind: Kind | None, gray: Gray) -> Column:
    if cells.family == "text" or (kind is None and cells.levels):
        column = _leveled_column(cells, kind)
    else:
        column = _number_column(cells, kind, gray)
    if column.kind not in LEVELED:
        column.check_support(cells.values)
    return replace(column, dtype=cells.dtype, missing=float(np.isnan(cells.values).mean()))


def _leveled_column(cells: Cells, kind: Kind | None) -> Column:
    """Rule 1."""
    if kind is None:
        kind = "categorical"
        if len(cells.levels) == 2:
            kind = "binary"
        elif cells.ordered and len(cells.levels) > 2:
            kind = "ordinal"
    if kind not in LEVELED:
        first = cells.levels[0]
        raise DataError(
            f"column {cells.name!r}: expected numbers for kind {kind!r}, got text such as {first!r}"
        )
    return _with_levels(cells, kind, cells.levels)


def _number_column(cells: Cells, kind: Kind | None, gray: Gray) -> Column:
    """Rules 2, 3, 4 and 6."""
    name = cells.name
    if kind == "pixel":
        step = gray.step
        return Column(name, kind, resolution=step, grid=step, lower=0.0, upper=gray.upper)
    levels, counts = np.unique(cells.values[~np.isnan(cells.values)], return_counts=True)
    integer = bool(on_grid(levels, 1.0).all())
    atoms = find_atoms(levels, counts)
    kind = kind or _number_kind(levels, counts, integer, atoms)
    if kind in LEVELED:
        return _with_levels(cells, kind, cells.levels or _plain_levels(levels, kind, cells.dtype))
    column = Column(name, kind, grid=_smallest_gap(levels))
    if kind == "continuous":
        return replace(column, resolution=float(integer), atoms=atoms)
    if kind == "count":
        return replace(column, resolution=1.0, lower=0.0)
    if atoms:
        _warn_of_atoms(column, atoms[0], float(counts[levels == atoms[0]].sum() / counts.sum()))
    if kind == "proportion":
        return replace(column, lower=0.0, upper=1.0)
    return column


def _number_kind(
    levels: Values, counts: NDArray[np.intp], integer: bool, atoms: tuple[float, ...]
) -> Kind:
    distinct = len(levels)
    if distinct == 2:
        return "binary"
    if 3 <= distinct <= 20 and counts.mean() >= 5 and (integer or distinct <= 10):
        return "ordinal"
    if integer and levels[0] == 0 and not atoms:
        return "count"
    return "continuous"


def _plain_levels(levels: Values, kind: Kind, dtype: str) -> tuple[Level, ...]:
    if kind == "binary" and np.isin(levels, (0, 1)).all():
        levels = np.array([0.0, 1.0])  # one of the two may not have been met
    is_float = "float" in dtype.lower() or "double" in dtype
    if on_grid(levels, 1.0).all() and not is_float:
        return tuple(map(int, levels))
    return tuple(map(float, levels))


def _with_levels(
    cells: Cells, kind: Kind, levels: tuple[Level, ...], most_levels: int = 10_000
) -> Column:
    if len(levels) > most_levels:  # each is an output of the decoder
        raise DataError(
            f"column {cells.name!r}: expected at most {most_levels} levels for kind {kind!r}, got "
            f"{len(levels)}: merge levels or leave the column out",
            hint={"ignore": [cells.name]},
        )
    if kind == "binary" and len(levels) > 2:
        third = 2 if cells.family == "text" else levels[2]
        row = int(np.argmax(cells.values == third))
        raise DataError(
            f"column {cells.name!r}, row {row} (counting from 0): expected two levels for kind "
            f"'binary', got a third, {levels[2]!r}: choose categorical or ordinal"
        )
    return Column(cells.name, kind, categories=levels)


def _smallest_gap(levels: Values) -> float:
    if len(levels) < 2:
        return 0.0
    with np.errstate(over="ignore"):  # from -1e308 to 1e308
        return float(min(np.diff(levels).min(), np.finfo(np.float64).max))


def _warn_of_atoms(column: Column, atom: float, share: float) -> None:
    warning = AevbWarning(
        f"column {column.name!r}: {share:.0%} of its cells are {atom:g}, on which a density of "
        f"kind {column.kind!r} has no bound; kind 'continuous' gives single values their own mass",
        hint={"columns": {column.name: "continuous"}},
    )
    warnings.warn(warning, stacklevel=2)


def find_atoms(levels: Values, counts: NDArray[np.intp], most: int = 16) -> tuple[float, ...]:
    """Values that hold a mass of their own among their neighbors, in ascending order.

    An atom holds at least 5% of the cells, at least 10 cells, and at least 5 times the median
    count of the four nearest distinct values (two on each side if there are). A column's only
    value is one.

    >>> find_atoms(np.array([0.0, 0.1, 0.2, 0.3]), np.array([50, 1, 2, 1]))
    (0.0,)
    """
    if len(levels) == 1:
        return (float(levels[0]),)
    atoms = []
    for i in np.flatnonzero(counts >= max(10.0, 0.05 * counts.sum())):
        neighbors = [*counts[max(i - 2, 0) : i], *counts[i + 1 : i + 3]]
        if counts[i] >= 5 * np.median(neighbors):
            atoms.append(i)
    largest = sorted(atoms, key=lambda i: -counts[i])[:most]
    return tuple(float(levels[i]) for i in sorted(largest))
