"""CSV of any encoding and delimiter to an Arrow table; what cannot be read right is an error with
its line.

Policy for cells: an empty cell is missing; a quoted empty cell is the text ``''``; ``NA``, ``NaN``
and ``null`` are missing in columns of numbers and text in columns of text. Columns are numbers if
all their cells are. An empty line is a missing cell if there is one column, and nothing if there
are more.
"""

import csv
import io
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from aevb.errors import AevbWarning, DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["read_csv"]


def read_csv(path: Path, sample: int = 1 << 16) -> "pyarrow.Table":
    """The Arrow table in a CSV file.

    UTF-8, UTF-16 and (with a warning) Latin-1; comma, semicolon, tab or bar, guessed from a sample
    of that many characters; decimal comma if the delimiter is none. `DataError` for ragged rows,
    unclosed quotes, repeated names, and a first line that is no header.
    """
    import pyarrow

    text = _decoded(path.read_bytes(), path.name)
    file = _File(path.name, text, text[:sample])
    try:
        if '"' in text:  # Arrow reads past a quote that is never closed
            file.check_records()
        file.check_header()
        table = file.read_texts(file.read(decimal_point=file.decimal_point))
    except (pyarrow.ArrowException, csv.Error) as error:
        file.check_records()
        reason = str(error).splitlines()[0]
        raise DataError(f"{path.name}: expected CSV, got {reason}") from error
    if not len(table):
        raise DataError(f"{path.name}: expected rows below the header, got none")
    return table


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode(_encoding(content)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    warning = f"{name}, line {line}: not UTF-8, so read as Latin-1"
    warnings.warn(AevbWarning(warning, code="AEV201"), stacklevel=4)
    return content.decode("latin-1")


def _encoding(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = content[:4096]
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if zeros and zeros.count(0) > 0.4 * len(zeros):
            return encoding
    return "utf-8"


@dataclass(frozen=True)
class _File:
    """The text of a CSV file, and the first part of it, from which its dialect is guessed."""

    name: str
    text: str
    sample: str

    @cached_property
    def delimiter(self) -> str:
        """What cuts the first lines into equally many fields, the most of them; else the header."""
        lines = self.sample.splitlines()[:50]
        if len(self.sample) < len(self.text) and len(lines) > 1:
            lines.pop()  # may be cut off

        def fields(delimiter: str) -> tuple[bool, int]:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row] or [0]
            return widths[0] > 1 and len(set(widths)) == 1, widths[0]

        return max(",;\t|", key=fields)

    @cached_property
    def header(self) -> list[str]:
        """The fields of the first line that is not empty."""
        head = self.text[: max(len(self.sample), self.text.find("\n"))]
        for row in csv.reader(io.StringIO(head, newline=""), delimiter=self.delimiter):
            if row:
                return row
        raise DataError(f"{self.name}: expected a header and rows, got an empty file")

    @property
    def decimal_point(self) -> str:
        """A comma if more numbers of the sample have one, and it is no delimiter."""
        if self.delimiter == ",":
            return "."
        edge = re.escape(self.delimiter)
        number = rf'(?:^|{edge})"?-?\d+%s\d+"?(?=$|{edge})'
        commas = re.findall(number % ",", self.sample, re.MULTILINE)
        points = re.findall(number % r"\.", self.sample, re.MULTILINE)
        return "," if len(commas) > len(points) else "."

    def check_records(self) -> None:
        """Raise `DataError` with the line of the first record that is ragged or not closed."""
        limit = csv.field_size_limit(max(len(self.text), 1))
        text = io.StringIO(self.text, newline="")
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        width, start = 0, 1
        try:
            for record in reader:
                width = width or len(record)
                if record and len(record) != width:
                    raise DataError(
                        f"{self.name}, line {start}: expected {width} fields as in the header, "
                        f"got {len(record)}"
                    )
                start = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"{self.name}, line {start}: a quote is not closed, or not where a field starts "
                f"({error})"
            ) from None
        finally:
            csv.field_size_limit(limit)

    def check_header(self) -> None:
        """Raise `DataError` if names repeat, or are numbers: a first row of data."""
        twice = [repr(column) for column, times in Counter(self.header).items() if times > 1]
        if twice:
            listed = ", ".join(twice)
            raise DataError(
                f"{self.name}, line 1: expected each column name once, got {listed} twice"
            )
        number = r"\s*[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?\s*"
        if all(re.fullmatch(number, column) for column in self.header):
            raise DataError(
                f"{self.name}, line 1: expected column names, got only numbers: add a header line"
            )

    def read(self, **options: object) -> "pyarrow.Table":
        """Read with Arrow, by these options for the conversion of cells."""
        from pyarrow import csv as arrow

        content = self.text.encode()
        # One block: types are inferred from all cells, and no line is too long.
        block = arrow.ReadOptions(use_threads=False, block_size=min(len(content) + 1, 2**31 - 1))
        parse = arrow.ParseOptions(
            delimiter=self.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=len(self.header) > 1,
        )
        convert = arrow.ConvertOptions(**options)
        return arrow.read_csv(io.BytesIO(content), block, parse, convert)

    def read_texts(self, table: "pyarrow.Table") -> "pyarrow.Table":
        """Read columns of text once more, so that only an empty cell is missing; and large floats,
        which were whole numbers too long for an integer if their text says so.
        """
        import pyarrow
        from pyarrow import compute, types

        texts, large = [], []
        for column in table.schema:
            if types.is_floating(column.type):
                largest = compute.max(compute.abs(table[column.name])).as_py() or 0
                if largest > 2**53:
                    large.append(column.name)
            elif types.is_string(column.type) or types.is_null(column.type):
                texts.append(column.name)
        if not texts and not large:
            return table
        cells = self.read(
            include_columns=[*texts, *large],
            column_types=dict.fromkeys([*texts, *large], pyarrow.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        for name in texts:
            table = table.set_column(table.column_names.index(name), name, cells[name])
        for name in large:
            self.check_exact(name, cells[name].to_pylist())
        return table

    def check_exact(self, column: str, cells: list[str | None]) -> None:
        """Raise `DataError` if a whole number was rounded to a float."""
        for row, cell in enumerate(cells):
            if not cell or not re.fullmatch(r"\s*[-+]?\d{16,}\s*", cell):
                continue
            if float(cell) != int(cell):
                raise DataError(
                    f"{self.name}, column {column!r}, row {row} (counting from 0): {cell.strip()} "
                    "is not held exactly by float64: shorten the number, or put a letter before it "
                    "to make it text"
                )
