"""What was understood of a table, before any fit: its columns, and the notes on them."""

import html
import json
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from aevb.errors import AevbWarning, listed
from aevb.table.choices import choices_of
from aevb.table.inference import Understood, understand
from aevb.table.reading import read
from aevb.table.schema import KINDS, LEVELED, Column, Schema, Values, on_grid
from aevb.table.supports import spikes_of
from aevb.table.tables import Inf, Table, TableLike, is_missing, table_of
from aevb.table.times import Times

__all__ = ["InspectedColumn", "Inspection", "Note", "inspect", "of_schema"]

#: The words above the columns of `Inspection.rows`.
HEADER = ("column", "kind", "values", "missing", "spikes", "examples", "notes")


#: What a file of columns begins with.
HEAD = """\
# {title}
# Change what is wrong, then run: aevb fit DATA --columns THIS-FILE
#
# kind: one of {kinds}
# lower, upper: the least and the greatest value there can be; step: values are multiples of it
# ignore: columns left out of the model and copied to outputs; labels: left out, and used as colors
"""


@dataclass(frozen=True)
class Note:
    """A note on the data.

    Parameters
    ----------
    code, text
        Which note it is (see `aevb.table.codes`), and its line.
    columns
        Names of the columns it is about.
    hint
        Settings that would help, by name.
    """

    code: str
    text: str
    columns: tuple[str, ...] = ()
    hint: Mapping[str, object] = field(default_factory=dict)

    @property
    def warning(self) -> AevbWarning:
        """The same as a warning."""
        return AevbWarning(self.text, code=self.code, hint=self.hint, columns=self.columns)

    @classmethod
    def of(cls, warning: AevbWarning) -> "Note":
        """The note of a warning."""
        return cls(warning.code, warning.message, warning.columns, warning.hint)

    def __str__(self) -> str:
        return str(self.warning)


@dataclass(frozen=True)
class InspectedColumn:
    """What was understood of one column.

    Parameters
    ----------
    name, dtype
        As in the data.
    kind
        One of `aevb.table.schema.KINDS`, or "ignored" or "label" if the column is not modeled.
    lower, upper, step
        Ends and step of the support, None where it has none.
    least, greatest
        The ends of the numbers that were met, None for text.
    ends
        The same as they are written, for dates and times.
    decimals
        Decimals of the numbers that were met, None for text and for numbers of more than six.
    levels
        The levels of a column of levels.
    missing
        Fraction of missing cells, None if the column is not modeled.
    spikes
        Single values with a mass of their own.
    examples
        A few cells as they are.
    notes
        Codes of the notes on the column.
    """

    name: str
    dtype: str
    kind: str
    lower: float | None = None
    upper: float | None = None
    step: float | None = None
    least: float | None = None
    greatest: float | None = None
    ends: tuple[str, ...] = ()
    decimals: int | None = None
    levels: tuple[bool | str | int | float, ...] = ()
    missing: float | None = None
    spikes: tuple[float, ...] = ()
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def support(self) -> str:
        """The values of the column in words.

        >>> InspectedColumn("age", "int64", "count", least=17, greatest=90, decimals=0).support
        'whole, 17 to 90'
        """
        if self.levels:
            words = [_short(str(level)) for level in self.levels]
            many = f"{len(self.levels):,} levels: " if len(self.levels) > 2 else ""
            return many + listed(words, 3)
        if self.ends:
            return " to ".join(self.ends)
        if self.least is None or self.greatest is None:
            return ""
        text = f"{_plain(self.least)} to {_plain(self.greatest)}"
        if self.decimals == 0:
            text = f"whole, {text}"
        elif self.decimals is not None:
            text = f"{text}, {self.decimals} decimal{'s' if self.decimals > 1 else ''}"
        step = None if self.decimals == 0 and self.step == 1 else self.step
        ends = [("at least", self.lower), ("at most", self.upper), ("in steps of", step)]
        said = [f"{words} {_plain(end)}" for words, end in ends if end is not None]
        return ", ".join([text, *said])


@dataclass(frozen=True)
class Inspection:
    """What was understood of a table: `name`, the number of rows, the columns, the notes.

    In a notebook it shows itself as a table.
    """

    columns: tuple[InspectedColumn, ...]
    notes: tuple[Note, ...] = ()
    rows: int | None = None
    name: str = "table"

    @property
    def title(self) -> str:
        """What was inspected, in a line."""
        rows = "" if self.rows is None else f"{self.rows:,} rows, "
        modeled = sum(column.kind not in ("ignored", "label") for column in self.columns)
        left = len(self.columns) - modeled
        text = f"{self.name}: {rows}{len(self.columns):,} columns"
        return f"{text}, {left:,} of them not modeled" if left else text

    def cells(self) -> list[tuple[str, ...]]:
        """A row of text for each column, under the words of `HEADER`."""
        found: list[tuple[str, ...]] = []
        for column in self.columns:
            missing = "" if not column.missing else f"{column.missing:.1%}"
            spikes = listed(map(_plain, column.spikes), 3)
            examples = ", ".join(map(_short, column.examples))
            words = (column.kind, column.support, missing, spikes, examples)
            found.append((column.name or "''", *words, " ".join(column.notes)))
        return found

    def shown(self, most: int = 300) -> tuple[list[str], list[list[str]]]:
        """The header and the rows of a table for people, without columns that say nothing."""
        cells = self.cells()
        kept = [i for i in range(len(HEADER)) if i < 3 or any(row[i] for row in cells)]
        rows = [[row[i] for i in kept] for row in cells[:most]]
        if len(cells) > most:
            rows.append([f"and {len(cells) - most:,} more", *[""] * (len(kept) - 1)])
        return [HEADER[i] for i in kept], rows

    def to_dict(self) -> dict[str, object]:
        """Plain lists, numbers and strings: what ``aevb inspect --json`` prints."""
        return asdict(self)

    def to_toml(self) -> str:
        """A file to edit, which ``aevb fit DATA --columns FILE`` takes."""
        return _toml(self)

    def __str__(self) -> str:
        """The table as plain text, columns side by side."""
        header, rows = self.shown()
        table = [header, *rows]
        widths = [max(len(_line(row[i])) for row in table) for i in range(len(header))]
        lines = [_line(self.title), ""]
        for row in table:
            padded = [_line(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  ".join(padded).rstrip())
        if self.notes:
            lines.append("")
        return "\n".join([*lines, *(_line(str(note)) for note in self.notes)])

    def _repr_html_(self) -> str:
        style = (
            "text-align: left; vertical-align: top; white-space: normal; padding: 2px 16px 2px 0"
        )
        header, table = self.shown()
        rows = []
        for cells in table:
            shown = "".join(f'<td style="{style}">{_escaped(cell)}</td>' for cell in cells)
            rows.append(f"<tr>{shown}</tr>")
        head = "".join(f'<th style="{style}">{word}</th>' for word in header)
        notes = "".join(f"<li>{_escaped(str(note))}</li>" for note in self.notes)
        return (
            f"<div><p>{_escaped(self.title)}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
            f"<ul>{notes}</ul></div>"
        )


def inspect(
    data: TableLike | str | Path,
    *,
    columns: Mapping[str, object] | None = None,
    ignore: Collection[str] = (),
    labels: Collection[str] = (),
    inf: Inf = "error",
    header: bool | None = None,
) -> Inspection:
    """Say what is understood of data before any fit.

    `data` is a frame, an array, or what `read` takes: a path or the name of a data set. The other
    arguments are those of `infer` and `read`.

    >>> found = inspect([[0.5, "red"], [1.5, "blue"], [0.1, "red"], [2.5, "red"]])
    >>> for column in found.columns:
    ...     print(column.name, column.kind, column.support, sep=": ")
    x0: continuous: 0.1 to 2.5, 1 decimal, at least 0, in steps of 0.1
    x1: binary: blue, red
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = read(data, header=header)
        choices = choices_of(columns or {})
        if isinstance(source.labels, tuple):
            labels = (*labels, *(name for name in source.labels if name not in choices))
        table = table_of(source.data)
        found = understand(table, choices, {*ignore, *labels}, source.image_shape, inf)
    told = [one.message for one in caught if isinstance(one.message, AevbWarning)]
    told = [*told, *found.warnings, *found.advice]
    schema = replace(found.schema, labels=tuple(labels))
    notes = sorted(map(Note.of, told), key=lambda note: note.code)
    return _inspected(schema, notes, table, found, source.name)


def of_schema(schema: Schema, name: str = "run") -> Inspection:
    """The inspection of a stored schema, without its data."""
    notes = []
    for line in (*schema.notes, *schema.advice):
        code, colon, text = line.partition(": ")
        coded = colon and code.startswith("AEV")
        notes.append(Note(code, text) if coded else Note("", line))
    return _inspected(schema, notes, name=name)


def _inspected(
    schema: Schema,
    notes: Iterable[Note],
    table: Table | None = None,
    found: Understood | None = None,
    name: str = "table",
) -> Inspection:
    """The inspection of a schema, with what its data say if they are there."""
    notes = tuple(notes)
    cells = {} if found is None else {one.name: one.values for one in found.cells}
    modeled = {column.name: column for column in schema.columns}
    order = list(modeled) if table is None else table.names
    order = [*order, *(other for other in schema.ignored if other not in order)]
    columns = []
    for one in order:
        if one in modeled:
            column = _described(modeled[one], cells.get(one))
        else:
            kind = "label" if one in schema.labels else "ignored"
            column = InspectedColumn(one, "", kind)
        codes = tuple(dict.fromkeys(note.code for note in notes if one in note.columns))
        examples = () if table is None else _examples(table, one)
        columns.append(replace(column, notes=codes, examples=examples))
    rows = None if table is None else len(table)
    return Inspection(tuple(columns), notes, rows, name)


def _described(column: Column, values: Values | None) -> InspectedColumn:
    least = greatest = decimals = None
    ends: tuple[str, ...] = ()
    spikes = column.atoms
    if values is not None and column.kind not in LEVELED:
        least, greatest = float(np.nanmin(values)), float(np.nanmax(values))
        decimals = _decimals(values[: 10**4])
        if isinstance(column.format, Times):
            ends = tuple(map(str, column.format.write([least, greatest])))
        else:
            spikes = spikes or _spikes(values)
    return InspectedColumn(
        column.name,
        column.dtype,
        column.kind,
        lower=column.lower,
        upper=column.upper,
        step=column.step or column.resolution or None,
        least=least,
        greatest=greatest,
        ends=ends,
        decimals=decimals,
        levels=column.categories,
        missing=column.missing,
        spikes=spikes,
    )


def _spikes(values: Values, most_rows: int = 20_000) -> tuple[float, ...]:
    """The values that stand out among their neighbors, in at most so many rows drawn by chance."""
    rows = values
    if len(values) > most_rows:
        rows = np.random.default_rng(0).choice(values, most_rows, replace=False)
    levels, counts = np.unique(rows[~np.isnan(rows)], return_counts=True)
    return spikes_of(levels, counts) if len(levels) > 2 else ()


def _decimals(values: Values, most: int = 6) -> int | None:
    """The decimals of numbers, None for more than the most."""
    for decimals in range(most + 1):
        if on_grid(values, 10.0**-decimals).all():
            return decimals
    return None


def _examples(table: Table, name: str, most: int = 3, rows: int = 100) -> tuple[str, ...]:
    """The first distinct cells of a column that are not missing, as text."""
    items = replace(table, native=table.native[:rows]).items(name)
    shown = dict.fromkeys(str(item) for item in items if not is_missing(item))
    return tuple(list(shown)[:most])


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _plain(number: float) -> str:
    return f"{number:,.10g}" if abs(number) < 1e12 else f"{number:g}"


def _line(text: str) -> str:
    """Text on one line, control characters escaped."""
    if text.isprintable():
        return text
    shown = [one if one.isprintable() else repr(one)[1:-1] for one in text]
    return "".join(shown)


def _escaped(text: str) -> str:
    return html.escape(_line(text))


# The file of columns


def _toml(inspection: Inspection) -> str:
    """The text of the file."""
    lines = [HEAD.format(title=_line(inspection.title), kinds=", ".join(KINDS))]
    for key, kind in (("ignore", "ignored"), ("labels", "label")):
        names = [column.name for column in inspection.columns if column.kind == kind]
        lines.append(f"{key} = [{', '.join(map(_text, names))}]")
    lines += _notes(inspection)
    for column in inspection.columns:
        if column.kind not in ("ignored", "label"):
            lines += _section(column)
    return "\n".join(lines) + "\n"


def _notes(inspection: Inspection) -> list[str]:
    return ["", *(f"# {_line(f'{note.code} {note.text}')}" for note in inspection.notes)]


def _section(column: InspectedColumn) -> list[str]:
    lines = ["", f"[columns.{_key(column.name)}]"]
    for words, value in (
        ("values", column.support),
        ("missing", f"{column.missing:.1%}" if column.missing else ""),
        ("examples", listed(column.examples)),
        ("notes", " ".join(column.notes)),
    ):
        if value:
            lines.append(f"# {words}: {_line(value)}")
    lines.append(f"kind = {_text(column.kind)}")
    if column.kind == "continuous":
        lines += _ends(column)
    return lines


def _ends(column: InspectedColumn) -> Iterable[str]:
    """The ends that are known; a step of 1 follows from the cells."""
    for key, value in (("lower", column.lower), ("upper", column.upper)):
        if value is not None:
            yield f"{key} = {value!r}"


def _key(name: str) -> str:
    """A TOML key, bare where it may be."""
    bare = name and all(one.isascii() and (one.isalnum() or one in "_-") for one in name)
    return name if bare else _text(name)


def _text(text: str) -> str:
    """A TOML string: JSON's escapes are a part of TOML's, surrogates aside."""
    escaped = json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False)
    return escaped.replace("\x7f", "\\u007f")
