"""Which kind each column is: by these rules, from what is observed and what is asked for.

1. Text, categoricals, booleans: binary with two levels, categorical otherwise (ordinal if a data
   frame declares the order). Identifiers, row numbers and free text are left out, by the rules of
   `aevb.table.notes`.
2. Numbers with two levels: binary. With one: continuous with one atom.
3. Numbers with 3 to 10 levels that are not all whole, each met 5 times on average: ordinal.
4. Whole numbers: a count if none is below 0; else continuous on a grid.
5. A whole table of gray values (0 to 15, 16, 255, or k/255): pixels. Of 0 and 1: binary.
6. Anything else: continuous.
7. Dates and times: continuous, on a grid of the coarsest unit that counts them all.

The cells of a file are text; what they are numbers of is learned first (`aevb.table.formats`).
"""

import unicodedata
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aevb.errors import AevbWarning, ConfigError, DataError, nearest
from aevb.table.choices import Choice, choices_of
from aevb.table.codes import CODES
from aevb.table.containers import readable
from aevb.table.formats import Format, Learned, Numbers, Times
from aevb.table.indexes import headers_of
from aevb.table.notes import Notes, Role, coded
from aevb.table.schema import LEVELED, Column, Kind, Level, Schema, Values, on_grid
from aevb.table.supports import Support, support_of
from aevb.table.tables import Cells, Inf, Table, TableLike, table_of
from aevb.table.written import cells_by, learn_formats, notes_of

__all__ = ["Understood", "infer", "understand"]


def infer(
    data: TableLike,
    *,
    columns: Mapping[str, object] | None = None,
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
        Kinds by name, or mappings with ``kind``, ``lower``, ``upper`` and ``step``; those of other
        columns are inferred.
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
    asked = choices_of(columns or {})
    found = understand(table, asked, {*ignore, *labels}, image_shape, inf)
    for note in found.warnings:
        warnings.warn(note, stacklevel=2)
    headers = headers_of(data, table.places(found.schema.names))
    return replace(found.schema, labels=tuple(labels), headers=headers)


@dataclass(frozen=True)
class Understood:
    """What was inferred of a table: its schema, the cells of the modeled columns, and the notes.

    Some of the notes are worth a warning; `advice` are the others.
    """

    schema: Schema
    cells: tuple[Cells, ...]
    warnings: tuple[AevbWarning, ...]
    advice: tuple[AevbWarning, ...]


def understand(
    table: Table,
    choices: Mapping[str, Choice],
    left_out: Collection[str],
    image_shape: tuple[int, ...] | None,
    inf: Inf,
) -> Understood:
    """What `infer` infers, with the cells and the notes."""
    kinds = {name: choice.kind for name, choice in choices.items() if choice.kind is not None}
    _check_names(table, [*choices, *left_out])
    if len(table) < 2:
        raise DataError("expected at least 2 rows to learn from, got 1 row: give more data")
    notes = _note_twins(table.names)
    learned = {}
    if table.written:
        learned = learn_formats(table, kinds, left_out)
        notes += notes_of(learned, len(table))
    cells = _usable(table, choices, left_out, inf, notes, learned)
    shared, gray = _whole_table(cells, kinds, table.container, image_shape)
    modeled = []
    for one in cells:
        column = _column(one, kinds.get(one.name, shared), gray)
        modeled.append(choices.get(one.name, Choice()).applied(column, one.values))
    notes += Notes().on(modeled, cells)
    warned = tuple(note for note in notes if CODES[note.code].warns)
    advice = tuple(note for note in notes if not CODES[note.code].warns)
    names = {column.name for column in modeled}
    schema = Schema(
        columns=tuple(modeled),
        container=table.container,
        ignored=tuple(name for name in table.names if name not in names),
        image_shape=image_shape,
        notes=tuple(map(str, warned)),
        advice=tuple(map(str, advice)),
    )
    return Understood(schema, tuple(cells), warned, advice)


# What is asked for and what is there


def _check_names(table: Table, names: Iterable[str]) -> None:
    for name in names:
        if name not in table.names:
            raise ConfigError(f"no column is named {name!r}; {nearest(name, table.names)}")


def _usable(
    table: Table,
    choices: Collection[str],
    left_out: Collection[str],
    inf: Inf,
    notes: list[AevbWarning],
    learned: Mapping[str, Learned],
) -> list[Cells]:
    """The columns to model; those all missing, free text or identifiers are noted and left out."""
    usable, empty = list[Cells](), list[Cells]()
    roles: dict[Role, list[Cells]] = {"identifier": [], "free text": [], "suspect": []}
    rules = Notes()
    unsupported = {}
    for name in table.names:
        if name in left_out:
            continue
        if name in learned:
            cells = cells_by(learned[name].format, table, name).finite(inf)
        else:
            cells = table.column(name).finite(inf)
        if cells.family == "unsupported":
            unsupported[name] = cells.dtype
        elif np.isnan(cells.values).all():
            empty.append(cells)
        else:
            role = "model" if name in choices else rules.role(cells, table.container != "numpy")
            if role != "model":
                roles[role].append(cells)
            if role in ("model", "suspect"):
                usable.append(cells)
    if unsupported:
        types = ", ".join(f"{name!r} ({dtype})" for name, dtype in unsupported.items())
        raise DataError(
            f"expected numbers, text or booleans, got {types}: turn into numbers or leave out",
            hint={"ignore": list(unsupported)},
        )
    if empty:
        notes.append(rules.note("AEV103", "all cells are missing, so left out: {}", empty))
    notes += _note_roles(roles, rules)
    if not usable:
        why = "; ".join(map(str, notes))
        raise DataError(f"expected at least one column to model, got none: {why}")
    return usable


def _note_roles(roles: Mapping[Role, list[Cells]], rules: Notes) -> list[AevbWarning]:
    notes = []
    if found := roles["identifier"]:
        text = "row numbers (an index) or identifiers, left out: {}; to keep one, choose its kind"
        kinds = {}
        for cells in found[: rules.names]:
            kinds[cells.name] = "categorical" if cells.family == "text" else "continuous"
        notes.append(rules.note("AEV101", text, found, {"columns": kinds}))
    if found := roles["suspect"]:
        text = "counts on evenly, as row numbers or an index do: {}; if it is one, leave it out"
        names = [cells.name for cells in found[: rules.names]]
        notes.append(rules.note("AEV114", text, found, {"ignore": names}))
    if found := roles["free text"]:
        text = "free text, left out: {}; to keep it, choose its kind"
        kinds = {cells.name: "categorical" for cells in found[: rules.names]}
        notes.append(rules.note("AEV102", text, found, {"columns": kinds}))
    return notes


def _note_twins(names: Iterable[str]) -> list[AevbWarning]:
    """Note the names that look the same: equal once composed characters are normalized."""
    notes, seen = [], dict[str, str]()
    for name in names:
        twin = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if twin != name:
            note = f"two columns look alike, {twin!a} and {name!a}: both are kept"
            notes.append(coded("AEV112", note, [twin, name]))
    return notes


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
    if cells.family == "time":
        column = _time_column(cells, kind, gray)
    elif cells.family == "text" or (kind is None and cells.levels):
        column = _leveled_column(cells, kind)
    else:
        column = _number_column(cells, kind, gray)
    if column.kind not in LEVELED:
        column.check_support(cells.values)
    missing = float(np.isnan(cells.values).mean())
    return replace(column, dtype=cells.dtype, missing=missing, format=cells.format)


def _time_column(cells: Cells, kind: Kind | None, gray: Gray) -> Column:
    """Rule 7."""
    if kind not in (None, "continuous"):
        raise DataError(
            f"column {cells.name!r}: expected numbers for kind {kind!r}, got dates or times, which "
            "are continuous",
            hint={"columns": {cells.name: "continuous"}},
        )
    column = _number_column(cells, "continuous", gray)
    form = cells.format
    assert isinstance(form, Times)
    if form.has_date:  # time goes on
        return replace(column, lower=None, upper=None)
    if column.upper is None and np.isfinite(form.end):
        last = np.ceil(form.end / column.resolution) - 1  # the last step before midnight
        column = replace(column, upper=float(last * column.resolution))
    return column


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
    support = support_of(levels, counts)
    if support.step == 0 and "float32" in cells.dtype.lower():
        shortest = levels.astype(np.float32).astype(str).astype(np.float64)
        support = replace(support, step=support_of(shortest, counts).step)
    near = levels[0] >= 0 and 80 <= levels[-1] <= 100
    if support.upper is None and near and _is_percent(cells.format):
        support = replace(support, upper=100.0)
    kind = kind or _number_kind(levels, counts, support)
    if kind in LEVELED:
        return _with_levels(cells, kind, cells.levels or _plain_levels(levels, kind, cells.dtype))
    column = Column(
        name,
        kind,
        grid=_smallest_gap(levels),
        step=support.step,
        lower=support.lower,
        upper=support.upper,
    )
    if kind in ("continuous", "count"):
        resolution = support.resolution
        if kind == "count":
            resolution = resolution if support.whole else 1.0
            column = replace(column, lower=max(support.lower or 0.0, 0.0))
        if resolution > 0 and len(levels) > 1:  # single values are cells of the grid
            return replace(column, resolution=resolution)
        column = replace(column, resolution=resolution)
        return replace(column, atoms=support.atoms)
    if support.atoms:
        atom = support.atoms[0]
        _warn_of_atoms(column, atom, float(counts[levels == atom].sum() / counts.sum()))
    if kind == "proportion":
        return replace(column, lower=0.0, upper=1.0)
    return replace(column, lower=None, upper=None)


def _is_percent(format: Format | None) -> bool:
    """Whether cells are written with a percent sign."""
    return isinstance(format, Numbers) and "%" in (format.prefix.strip(), format.suffix.strip())


def _number_kind(levels: Values, counts: NDArray[np.intp], support: Support) -> Kind:
    distinct = len(levels)
    if distinct == 2:
        return "binary"
    if support.whole:
        return "count" if support.lower is not None and support.lower >= 0 else "continuous"
    if 3 <= distinct <= 10 and counts.mean() >= 5:
        return "ordinal"
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
        code="AEV113",
        columns=[column.name],
    )
    warnings.warn(warning, stacklevel=2)
