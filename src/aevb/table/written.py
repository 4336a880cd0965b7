"""Tables of text, as files hold them: what their cells are, and cells as the columns write them."""

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from aevb.errors import AevbWarning, listed
from aevb.table.containers import Array
from aevb.table.formats import Booleans, Format, Habits, Learned, Numbers, Plain, Times, study
from aevb.table.schema import Column, Schema
from aevb.table.tables import WRITTEN, Cells, Table, TableLike, table_of

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "arrow_column",
    "as_written",
    "cells_by",
    "format_of",
    "learn_formats",
    "notes_of",
    "texts_by",
]


def cells_by(form: Format, table: Table, name: str) -> Cells:
    """The cells of a column of text, read by a format."""
    texts = table.texts(name)
    if isinstance(form, Plain) or (isinstance(form, Booleans) and not form.holds(texts)):
        levels, values = texts.levels
        return Cells(name, "string", "text" if levels else "empty", values, levels, format=form)
    values = form.read(texts, name)
    if isinstance(form, Booleans):
        return Cells(name, "bool", "boolean", values, (False, True), format=form)
    if isinstance(form, Times):
        return Cells(name, form.arrow_type, "time", values, format=form)
    dtype = "int64" if form.decimals == 0 else "double"  # of outputs that have types
    return Cells(name, dtype, "number", values, format=form)


def texts_by(cells: Array, column: Column) -> list[str | None]:
    """Decoded cells, numbers with NaN or objects with None, as the column writes them."""
    form = format_of(column)
    if isinstance(form, Plain):
        return [cell if cell is None else str(cell) for cell in cells.tolist()]
    return form.write(cells.astype(np.float64))  # None becomes NaN, true 1


def arrow_column(texts: list[str | None]) -> "pyarrow.ChunkedArray":
    """A column of a written table."""
    import pyarrow

    return pyarrow.chunked_array([pyarrow.array(texts, type=pyarrow.string())])


def as_written(data: TableLike, schema: Schema) -> Any:
    """A table of types, such as a sample, as text in the formats of its columns.

    The table itself, if the schema was not learned from a file of text.
    """
    import pyarrow

    if any(column.format is None for column in schema.columns):
        return data
    table = table_of(data)
    columns = dict(zip(schema.names, schema.columns, strict=True))
    texts = {name: arrow_column(_as_texts(table, name, columns[name])) for name in table.names}
    return pyarrow.table(texts).replace_schema_metadata(WRITTEN)


def _as_texts(table: Table, name: str, column: Column) -> list[str | None]:
    """A column of types in the format of a schema's column."""
    cells = table.column(name)
    if cells.family == "text":
        return texts_by(np.array(table.items(name), dtype=object), column)
    values = cells.values
    if isinstance(cells.format, Times) and isinstance(column.format, Times):
        values = column.format.converted(values, cells.format)
    return texts_by(values, column)


def format_of(column: Column) -> Format:
    """The format by which a column reads text; the plain one if it comes from a typed table."""
    if column.format is not None:
        return column.format
    types = set(map(type, column.categories))
    if str in types:
        return Plain()
    if bool in types:
        return Booleans()
    return Numbers()


def learn_formats(
    table: Table, kinds: Mapping[str, str], left_out: Collection[str]
) -> dict[str, Learned]:
    """The formats of the columns to model, by name.

    What one column leaves open, the decimal mark or the order of day and month, is what the others
    show. A column that is said to be categorical is text unless its numbers are plain.
    """
    names = [name for name in table.names if name not in left_out]

    def study_alone(name: str) -> Learned:
        return _study(table, name, kinds.get(name), Habits())

    with ThreadPoolExecutor() as pool:  # Arrow and NumPy let others run beside them
        learned = dict(zip(names, pool.map(study_alone, names), strict=True))
    habits = _habits(learned.values())
    for name, one in learned.items():
        open_mark = len(one.decimals) > 1 and habits.decimal == ","
        open_order = len(one.orders) > 1 and habits.order
        if open_mark or open_order:
            learned[name] = _study(table, name, kinds.get(name), habits)
    return learned


def _study(table: Table, name: str, kind: str | None, habits: Habits) -> Learned:
    numbers = kind not in (None, "categorical", "ordinal", "binary")
    learned = study(table.texts(name), habits, numbers=numbers)
    form = learned.format
    guessed = isinstance(form, Numbers) and (not form.is_plain or learned.missing)
    if kind == "categorical" and guessed:
        return Learned(Plain())
    if kind is not None and not numbers and isinstance(form, Times):
        return Learned(Plain())
    return learned


def _habits(columns: Iterable[Learned]) -> Habits:
    """What columns show that could be read in one way only, where they agree."""
    decimals, orders = set[str](), set[str]()
    for one in columns:
        if len(one.decimals) == 1 and isinstance(one.format, Numbers):
            decimals |= one.decimals
        if len(one.orders) == 1:
            orders |= one.orders
    decimal = decimals.pop() if len(decimals) == 1 else ""
    order = orders.pop() if len(orders) == 1 else ""
    return Habits(decimal, order)


# What a reader should know

#: The code and the line for each kind of guess, and the kind of column that overrules it.
GUESSES = {
    "numbers": ("AEV202", "read as numbers: {}", "categorical"),
    "times": ("AEV203", "read as dates or times: {}", "categorical"),
    "missing": ("AEV204", "counted as missing: {}", "categorical"),
    "leading zeros": ("AEV205", "kept as text, for its leading zeros: {}", "continuous"),
    "too long": ("AEV206", "kept as text, as float64 would round such numbers: {}", ""),
    "words": (
        "AEV207",
        "kept as text, as not all cells are numbers: {}; kind continuous counts these as missing",
        "continuous",
    ),
    "day or month": (
        "AEV208",
        "kept as text, as day and month cannot be told apart: {}; kind continuous takes the month "
        "to come first",
        "continuous",
    ),
}


def notes_of(learned: Mapping[str, Learned], rows: int) -> list[AevbWarning]:
    """One note for each kind of guess: which columns, an example, and the setting that overrules.

    Numbers that any program would read alike, empty cells and ``NA`` are no guesses.
    """
    found: dict[str, dict[str, str]] = {guess: {} for guess in GUESSES}
    for name, one in learned.items():
        form, shown = one.format, repr(one.example)
        if isinstance(form, Numbers) and not form.is_plain:
            if len(one.decimals) > 1 and form.thousands:
                shown += f", with {form.thousands!r} between thousands"
            found["numbers"][name] = shown
        elif isinstance(form, Times):
            shown += f", in {form.unit}s"
            if one.zones > 1:
                shown += ", with all zones brought to UTC"
            found["times"][name] = shown
        elif one.doubt:
            if one.strange:
                shown = f"{one.strange} of {rows} cells, such as {shown}"
            found[one.doubt][name] = shown
        marks = [f"{text!r} in {count} cells" for text, count in one.guessed_marks.items()]
        if marks:
            found["missing"][name] = listed(marks, most=5)
    notes = []
    for guess, columns in found.items():
        code, line, kind = GUESSES[guess]
        if columns:
            shown = listed(f"{name} ({shown})" for name, shown in columns.items())
            hint = {"columns": {next(iter(columns)): kind}} if kind else None
            text = line.format(shown)
            notes.append(AevbWarning(text, hint=hint, code=code, columns=columns))
    return notes
