"""CSV of any encoding and delimiter to an Arrow table; what cannot be read right is an error with
its line.

Policy for cells: an empty cell is missing; a quoted empty cell is the text ``''``; ``NA``, ``NaN``
and ``null`` are missing in columns of numbers and text in columns of text. Columns are numbers
where all their cells are. An empty line is a missing cell where there is one column, and nothing
where there are more.
"""

import csv
import io
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from aevb.errors import AevbWarning, DataError

__all__ = ["read_csv"]

DELIMITERS = ",;\t|"
#: Characters of the file that delimiter and decimal point are guessed from.
SAMPLE = 1 << 16


def read_csv(path: Path) -> Any:
    """The Arrow table in a CSV file.

    UTF-8, UTF-16 and (with a warning) Latin-1; comma, semicolon, tab or bar; decimal comma where
    the delimiter is none. `DataError` for ragged rows, unclosed quotes, repeated names, and a first
    line that is no header.
    """
    text = _decoded(path.read_bytes(), path.name)
    delimiter = _delimiter(text[:SAMPLE])
    if '"' in text:  # Arrow reads past a quote that is never closed
        _check_records(text, delimiter, path.name)
    table = _parsed(text, delimiter, path.name)
    if not len(table):
        raise DataError(f"{path.name}: expected rows below the header, got none")
    return table


def _decoded(content: bytes, name: str) -> str:
    for encoding in _encodings(content):
        try:
            return content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
    warnings.warn(f"{name}, line {line}: not UTF-8, so read as Latin-1", AevbWarning, stacklevel=4)
    return content.decode("latin-1")


def _encodings(content: bytes) -> list[str]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ["utf-16"]
    head = content[:4096]
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if zeros and zeros.count(0) > 0.4 * len(zeros):
            return [encoding]
    return ["utf-8"]


def _delimiter(sample: str) -> str:
    """The delimiter that cuts the first lines into equally many fields, the most of them; else the
    header's.
    """
    lines = sample.splitlines()[:50]
    lines = lines[:-1] if len(lines) > 1 and len(sample) == SAMPLE else lines

    def fields(delimiter: str) -> tuple[bool, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row] or [0]
        return widths[0] > 1 and len(set(widths)) == 1, widths[0]

    return max(DELIMITERS, key=fields)


def _decimal_point(sample: str, delimiter: str) -> str:
    if delimiter == ",":
        return "."
    edge = re.escape(delimiter)
    number = rf'(?:^|{edge})"?-?\d+%s\d+"?(?=$|{edge})'
    commas, points = (len(re.findall(number % mark, sample, re.MULTILINE)) for mark in (",", r"\."))
    return "," if commas > points else "."


def _check_records(text: str, delimiter: str, name: str) -> None:
    """`DataError` with the line of the first record that is ragged, or whose quotes are not closed."""
    limit = csv.field_size_limit(max(len(text), 1))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    width, start = 0, 1
    try:
        for record in reader:
            width = width or len(record)
            if record and len(record) != width:
                raise DataError(
                    f"{name}, line {start}: expected {width} fields as in the header, got {len(record)}"
                )
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{name}, line {start}: a quote is not closed, or not where a field starts ({error})"
        ) from None
    finally:
        csv.field_size_limit(limit)


def _parsed(text: str, delimiter: str, name: str) -> Any:
    """Numbers first; then the columns that are text once more, in which only an empty cell is
    missing.
    """
    import pyarrow

    try:
        head = io.StringIO(text[: max(SAMPLE, text.find("\n"))], newline="")
        header = next(row for row in csv.reader(head, delimiter=delimiter) if row)
        _check_header(header, name)
        content, point = text.encode(), _decimal_point(text[:SAMPLE], delimiter)
        table = _arrow(content, delimiter, len(header), {"decimal_point": point})
        strings = [field.name for field in table.schema if _is_text(field.type)]
        options = {
            "include_columns": strings,
            "column_types": dict.fromkeys(strings, pyarrow.string()),
            "null_values": [""],
            "strings_can_be_null": True,
            "quoted_strings_can_be_null": False,
        }
        texts: Any = _arrow(content, delimiter, len(header), options) if strings else None
        for column in strings:
            table = table.set_column(table.column_names.index(column), column, texts[column])
        return _exact_integers(table, content, delimiter, name)
    except StopIteration:
        raise DataError(f"{name}: expected a header and rows, got an empty file") from None
    except pyarrow.ArrowException as error:
        _check_records(text, delimiter, name)
        raise DataError(f"{name}: expected CSV, got {str(error).splitlines()[0]}") from error


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_null(kind) or types.is_binary(kind))


def _check_header(header: list[str], name: str) -> None:
    twice = [repr(column) for column, times in Counter(header).items() if times > 1]
    if twice:
        raise DataError(
            f"{name}, line 1: expected each column name once, got {', '.join(twice)} twice"
        )
    if all(
        re.fullmatch(r"\s*[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?\s*", column)
        for column in header
    ):
        raise DataError(
            f"{name}, line 1: expected column names, got only numbers: add a header line"
        )


def _arrow(content: bytes, delimiter: str, width: int, options: dict[str, Any]) -> Any:
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        io.BytesIO(content),
        # One block: types are inferred from all cells, and no line is too long.
        read_options=arrow_csv.ReadOptions(
            use_threads=False, block_size=min(len(content) + 1, 2**31 - 1)
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=width > 1
        ),
        convert_options=arrow_csv.ConvertOptions(**options),
    )


def _exact_integers(table: Any, content: bytes, delimiter: str, name: str) -> Any:
    """The table, unless a whole number in it was too long for an integer and was rounded to a
    float.
    """
    import pyarrow
    from pyarrow import compute, types

    large = [
        field.name
        for field in table.schema
        if types.is_floating(field.type)
        and (compute.max(compute.abs(table[field.name])).as_py() or 0) > 2**53
    ]
    options = {"include_columns": large, "column_types": dict.fromkeys(large, pyarrow.string())}
    texts: Any = _arrow(content, delimiter, len(table.schema), options) if large else None
    for column in large:
        for row, cell in enumerate(texts[column].to_pylist()):
            if cell and re.fullmatch(r"\s*[-+]?\d{16,}\s*", cell) and int(float(cell)) != int(cell):
                raise DataError(
                    f"{name}, column {column!r}, row {row} (counting from 0): {cell.strip()} is not held exactly by "
                    "float64: shorten the number, or put a letter before it to make it text"
                )
    return table
