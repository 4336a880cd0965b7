"""Which kind each column is: the rules of the design, from what is observed and what is said.

1. Text, categoricals, booleans: binary with two levels, categorical otherwise (ordinal where a data
frame declares the
   order). Text that looks like an identifier is left out.
2. Numbers with two levels: binary. With one: continuous with one atom. 3. Numbers with 3 to 20
levels, each met 5 times on average, integer or at most 10 of them: ordinal. 4. Other integers: a
count when the least is 0 and there are no atoms; continuous on a grid otherwise. 5. A whole table
of grey values (0 to 15, 16, 255, or k/255): pixels. A whole table of 0 and 1: binary. 6. Anything
else: continuous.
"""

import difflib
import unicodedata
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from aevb.errors import AevbWarning, ConfigError, DataError
from aevb.table.schema import KINDS, LEVELED, MOST_ATOMS, Column, Kind, Schema
from aevb.table.support import check_finite, check_support, on_grid
from aevb.table.tables import Cells, Table, table_of

__all__ = ["infer"]

Array = NDArray[np.float64]
Grey = tuple[float, float]
#: Text with more levels than this looks like an identifier.
MOST_TEXT_LEVELS = 1_000
#: No categorical column may have more levels than this, said or not: each is an output of the
#: decoder.
MOST_LEVELS = 10_000
#: This many columns of grey values, or of 0 and 1, are an image.
FEWEST_PIXELS = 16
#: Scales of grey values: the upper end and the step; the lower end is 0. The last is what a said
#: pixel must hold.
GREY_SCALES: tuple[Grey, ...] = (
    (1.0, 1.0),
    (15.0, 1.0),
    (16.0, 1.0),
    (255.0, 1.0),
    (1.0, 1 / 255),
    (65_535.0, 1.0),
)
BLACK_AND_WHITE = GREY_SCALES[0]


def infer(
    data: Any,
    *,
    columns: Mapping[str, str] | None = None,
    ignore: Collection[str] = (),
    labels: Collection[str] = (),
    image_shape: tuple[int, ...] | None = None,
    inf: Literal["error", "missing"] = "error",
) -> Schema:
    """The schema of a table: the kind of each column and what its likelihood needs to know.

    Parameters
    ----------
    data
        An array (columns are named x0, x1, ...; 3 or 4 axes are images) or a frame of pandas,
        polars or pyarrow.
    columns
        Kinds that are said, by name; the others are inferred.
    ignore, labels
        Columns left out of the model and carried through to outputs; labels are worth colouring by.
    image_shape
        (height, width) or (height, width, channels) of a row of flat pixels.
    inf
        ``"missing"`` counts infinite cells as missing; by default they are an error.

    Raises
    ------
    ConfigError
        A name or kind that does not exist, with the nearest that does.
    DataError
        Fewer than two rows, no usable column, a type without a likelihood, or a said kind that
        cannot hold a value.

    Examples
    --------
    >>> schema = infer([[0.5, "red"], [1.5, "blue"], [0.1, "red"], [2.5, "red"]])
    >>> [(column.kind, column.categories) for column in schema.columns]
    [('continuous', ()), ('binary', ('blue', 'red'))]
    """
    table, said = table_of(data), dict(columns or {})
    image_shape = image_shape or _image_shape(data)
    _check_settings(table, said, ignore, labels)
    if table.rows < 2:
        raise DataError("expected at least 2 rows to learn from, got 1 row: give more data")
    left_out = {*ignore, *labels}
    cells = [check_finite(table.column(name), inf) for name in table.names if name not in left_out]
    _check_types(cells)
    notes = [AevbWarning(note) for note in _twin_names(table.names)]
    kept = _usable(cells, said, notes)
    shared, grey = _whole_table(kept, said, table.container, image_shape)
    modelled = tuple(_column(cell, said.get(cell.name, shared), grey) for cell in kept)
    _note_constants(modelled, kept, notes)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    names = {column.name for column in modelled}
    return Schema(
        columns=modelled,
        container=table.container,
        ignored=tuple(name for name in table.names if name not in names),
        labels=tuple(labels),
        image_shape=image_shape,
        notes=tuple(str(note) for note in notes),
    )


def _image_shape(data: Any) -> tuple[int, ...] | None:
    shape = getattr(data, "shape", ())
    return tuple(int(side) for side in shape[1:]) if len(shape) in (3, 4) else None


# What is asked and what is there


def nearest(word: str, words: Iterable[str]) -> str:
    """A suggestion: the nearest word, or all of a few."""
    words = list(words)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(words[:12])}"


def _check_settings(
    table: Table, said: Mapping[str, str], ignore: Collection[str], labels: Collection[str]
) -> None:
    for name in [*said, *ignore, *labels]:
        if name not in table.names:
            raise ConfigError(f"no column is named {name!r}; {nearest(str(name), table.names)}")
    for name, kind in said.items():
        if kind not in KINDS:
            raise ConfigError(
                f"column {name!r}: {kind!r} is no kind of column; {nearest(str(kind), KINDS)}"
            )


def _check_types(cells: Sequence[Cells]) -> None:
    strange = [cell for cell in cells if cell.family == "unsupported"]
    if strange:
        listed = ", ".join(f"{cell.name!r} ({cell.dtype})" for cell in strange)
        raise DataError(
            f"expected numbers, text or booleans, got {listed}: turn into numbers or leave out",
            hint={"ignore": [cell.name for cell in strange]},
        )


def _twin_names(names: Sequence[str]) -> Iterable[str]:
    """Names that look the same: equal only once composed characters are normalised."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if twin != name:
            yield f"two columns look alike, {twin!a} and {name!a}: kept apart, but one may be meant"


def _usable(
    cells: Sequence[Cells], said: Mapping[str, str], notes: list[AevbWarning]
) -> list[Cells]:
    """Without the columns that are all missing or look like identifiers."""
    empty = [cell.name for cell in cells if cell.family == "empty" or np.isnan(cell.values).all()]
    identifiers = [cell.name for cell in cells if cell.name not in said and _is_identifier(cell)]
    if empty:
        notes.append(AevbWarning(f"all cells are missing, so left out: {', '.join(empty)}"))
    if identifiers:
        note = (
            f"looks like an identifier, so left out: {', '.join(identifiers)}; to keep it, choose"
        )
        keep = {"columns": dict.fromkeys(identifiers, "categorical")}
        notes.append(AevbWarning(f"{note} its kind", hint=keep))
    kept = [cell for cell in cells if cell.name not in {*empty, *identifiers}]
    if not kept:
        raise DataError(
            f"expected at least one column to model, got none of {len(cells)} usable: {'; '.join(map(str, notes))}"
        )
    return kept


def _is_identifier(cells: Cells) -> bool:
    if cells.family != "text":
        return False
    observed = cells.values[~np.isnan(cells.values)]
    all_distinct = len(observed) >= 20 and len(np.unique(observed)) == len(observed)
    return all_distinct or len(cells.levels) > MOST_TEXT_LEVELS


def _note_constants(
    columns: Sequence[Column], cells: Sequence[Cells], notes: list[AevbWarning]
) -> None:
    constant = [
        column.name
        for column, cell in zip(columns, cells, strict=True)
        if column.kind != "pixel" and np.nanmin(cell.values) == np.nanmax(cell.values)
    ]
    if constant:
        more = f" and {len(constant) - 10} more" if len(constant) > 10 else ""
        listed = ", ".join(constant[:10]) + more
        notes.append(AevbWarning(f"constant, so nothing can be learned from: {listed}"))


# Kinds of the whole table


def _whole_table(
    cells: Sequence[Cells],
    said: Mapping[str, str],
    container: str,
    image_shape: tuple[int, ...] | None,
) -> tuple[Kind | None, Grey]:
    """Rule 5: the kind shared by all columns of which none is said, and the scale of the pixels."""
    pixels = [cell for cell in cells if said.get(cell.name) == "pixel"]
    rest = [cell for cell in cells if cell.name not in said]
    said_scale = _grey_scale(pixels, sure=True) or GREY_SCALES[-1]
    if not rest or any(cell.family != "number" or cell.levels for cell in rest):
        return None, said_scale
    wide = image_shape is not None or len(rest) >= FEWEST_PIXELS
    in_bytes = container == "numpy" and all(cell.dtype == "uint8" for cell in rest)
    scale = _grey_scale([*pixels, *rest], sure=image_shape is not None or (in_bytes and wide))
    if wide and scale == BLACK_AND_WHITE:
        return "binary", said_scale
    if scale is not None and (wide or (in_bytes and scale == (255, 1))):
        return "pixel", scale
    return None, said_scale


def _grey_scale(cells: Sequence[Cells], *, sure: bool) -> Grey | None:
    """The scale all cells lie on, 0 to its end; unless it is sure that they are grey values, they
    must reach both.
    """
    if not cells:
        return None
    least = min(np.nanmin(cell.values) for cell in cells)
    greatest = max(np.nanmax(cell.values) for cell in cells)
    for scale in GREY_SCALES:
        fits = least >= 0 and greatest <= scale[0] if sure else least == 0 and greatest == scale[0]
        if fits and all(on_grid(cell.values, scale[1]).all() for cell in cells):
            return scale
    return None


# Kinds of one column


def _column(cells: Cells, kind: str | None, grey: Grey) -> Column:
    if cells.family == "text" or (kind is None and cells.levels):
        column = _leveled_column(cells, kind)
    else:
        column = _number_column(cells, kind, grey)
    check_support(column, cells.numbers if column.kind not in LEVELED else cells.values)
    return replace(column, dtype=cells.dtype, missing=float(np.isnan(cells.values).mean()))


def _leveled_column(cells: Cells, kind: str | None) -> Column:
    """Rule 1."""
    if kind is None:
        ordinal = cells.ordered and len(cells.levels) > 2
        kind = "binary" if len(cells.levels) == 2 else "ordinal" if ordinal else "categorical"
    if kind not in LEVELED:
        first = cells.levels[0]
        raise DataError(
            f"column {cells.name!r}: expected numbers for kind {kind!r}, got text such as {first!r}"
        )
    return _with_levels(cells, kind, cells.levels, cells.values)


def _number_column(cells: Cells, kind: str | None, grey: Grey) -> Column:
    """Rules 2, 3, 4 and 6."""
    numbers = cells.numbers
    if kind == "pixel":
        upper, step = grey
        return Column(cells.name, "pixel", resolution=step, grid=step, lower=0.0, upper=upper)
    levels, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    integer = bool(on_grid(levels, 1.0).all())
    atoms = find_atoms(levels, counts)
    kind = kind or _number_kind(levels, counts, integer, atoms)
    if kind in LEVELED:
        if kind == "binary" and np.isin(levels, (0, 1)).all():
            levels = np.array([0.0, 1.0])  # one of the two may not have been met
        whole = integer and "float" not in cells.dtype.lower() and "double" not in cells.dtype
        plain = cells.levels or tuple((int if whole else float)(level) for level in levels)
        return _with_levels(cells, kind, plain, cells.values)
    if kind in ("positive", "proportion") and atoms:
        share = f"{counts[levels == atoms[0]].sum() / counts.sum():.0%}"
        warning = AevbWarning(
            f"column {cells.name!r}: {share} of its cells are {atoms[0]:g}, on which a density of "
            f"kind {kind!r} has no bound; kind 'continuous' gives single values their own mass",
            hint={"columns": {cells.name: "continuous"}},
        )
        warnings.warn(warning, stacklevel=2)
    column = Column(cells.name, cast(Kind, kind), grid=_smallest_gap(levels))
    if kind == "continuous":
        return replace(column, resolution=float(integer), atoms=atoms)
    if kind == "count":
        return replace(column, resolution=1.0, lower=0.0)
    return replace(column, lower=0.0, upper=1.0) if kind == "proportion" else column


def _smallest_gap(levels: Array) -> float:
    if len(levels) < 2:
        return 0.0
    with np.errstate(over="ignore"):  # from -1e308 to 1e308
        return float(min(np.diff(levels).min(), np.finfo(np.float64).max))


def _number_kind(
    levels: Array, counts: NDArray[np.intp], integer: bool, atoms: tuple[float, ...]
) -> Kind:
    distinct = len(levels)
    if distinct == 2:
        return "binary"
    if 3 <= distinct <= 20 and counts.mean() >= 5 and (integer or distinct <= 10):
        return "ordinal"
    return "count" if integer and levels[0] == 0 and not atoms else "continuous"


def _with_levels(cells: Cells, kind: str, levels: tuple[Any, ...], codes: Array) -> Column:
    if len(levels) > MOST_LEVELS:
        raise DataError(
            f"column {cells.name!r}: expected at most {MOST_LEVELS} levels for kind {kind!r}, got {len(levels)}: "
            "merge levels or leave the column out",
            hint={"ignore": [cells.name]},
        )
    if kind == "binary" and len(levels) > 2:
        codes = (
            codes
            if cells.levels
            else np.searchsorted(np.array(levels, dtype=np.float64), codes).astype(np.float64)
        )
        row = int(np.flatnonzero(codes == 2)[0])
        raise DataError(
            f"column {cells.name!r}, row {row} (counting from 0): expected two levels for kind 'binary', got a third, "
            f"{levels[2]!r}: say categorical or ordinal"
        )
    return Column(cells.name, cast(Kind, kind), categories=levels)


def find_atoms(levels: Array, counts: NDArray[np.intp]) -> tuple[float, ...]:
    """Values that hold a mass of their own among their neighbours, in ascending order.

    An atom holds at least 5 % of the cells, at least 10 cells, and at least 5 times the median
    count of the four nearest distinct values (two on each side where there are). A column's only
    value is one.

    >>> find_atoms(np.array([0.0, 0.1, 0.2, 0.3]), np.array([50, 1, 2, 1]))
    (0.0,)
    """
    if len(levels) == 1:
        return (float(levels[0]),)
    often = np.flatnonzero(counts >= max(10.0, 0.05 * counts.sum()))
    atoms = [
        i
        for i in often
        if counts[i] >= 5 * np.median([*counts[max(i - 2, 0) : i], *counts[i + 1 : i + 3]])
    ]
    largest = sorted(atoms, key=lambda i: -counts[i])[:MOST_ATOMS]
    return tuple(float(levels[i]) for i in sorted(largest))
