"""JSON lines, one object of names and cells a line, to an Arrow table of the types they have."""

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aevb.errors import DataError
from aevb.table.delimited import decoded
from aevb.table.tables import WRITTEN

if TYPE_CHECKING:
    import pyarrow

__all__ = ["read_json_lines", "typed_array"]


def read_json_lines(content: bytes, name: str) -> "pyarrow.Table":
    """The table in the bytes of a file of JSON lines.

    Columns are in the order in which their names are met; a name that a line lacks is a missing
    cell, as null is. Numbers, true and false, and text keep their type; a column of several is text
    as it is written. Where there is nothing but text, the table is one of text as written
    (`WRITTEN`). `DataError` names the line and, of a nested value, the key.
    """
    import pyarrow

    columns: dict[str, list[Any]] = {}
    rows = 0
    for number, line in enumerate(decoded(content, name).decode().split("\n"), start=1):
        if not line.strip():
            continue
        for key, cell in _record(line, f"{name}, line {number}").items():
            column = columns.setdefault(key, [])
            column += [None] * (rows - len(column))
            column.append(cell)
        rows += 1
    if not columns:
        raise DataError(f"{name}: expected JSON objects of names and cells, got none")
    for column in columns.values():
        column.extend([None] * (rows - len(column)))
    arrays = [typed_array(column) for column in columns.values()]
    texts = all(array.type == pyarrow.string() for array in arrays)
    return pyarrow.table(arrays, list(columns), metadata=WRITTEN if texts else None)


def _record(line: str, where: str) -> dict[str, Any]:
    """The cells of a line by name."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            raise ValueError("a name is there twice")
        return record

    try:
        record = json.loads(line, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{where}: expected an object of names and cells, got {reason}") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected an object of names and cells, got {line[:50]!r}")
    for key, cell in record.items():
        if isinstance(cell, dict | list):
            raise DataError(
                f"{where}, key {key!r}: expected a number, text, true, false or null, got "
                f"{json.dumps(cell)[:50]}: flatten it"
            )
    if not _is_unicode([*record, *record.values()]):
        raise DataError(f"{where}: expected text, got half a surrogate pair")
    return record


def _is_unicode(cells: list[Any]) -> bool:
    try:
        "".join(cell for cell in cells if isinstance(cell, str)).encode()
    except UnicodeEncodeError:
        return False
    return True


def typed_array(cells: list[Any]) -> "pyarrow.Array":
    """An Arrow array of cells, None where one is missing: of their type, else of text.

    Whole numbers that no integer type holds are decimals, which are exact.
    """
    import pyarrow

    kinds = {type(cell) for cell in cells} - {type(None)}
    if kinds == {int, float} and all(type(cell) is not int or abs(cell) <= 2**53 for cell in cells):
        kinds = {float}
    if len(kinds) > 1:
        texts = [cell if cell is None or isinstance(cell, str) else _text(cell) for cell in cells]
        return pyarrow.array(texts, pyarrow.string())
    if kinds == {float}:
        return pyarrow.array(cells, pyarrow.float64())
    try:
        return pyarrow.array(cells)
    except (OverflowError, pyarrow.ArrowException):
        if kinds == {int} and all(len(str(abs(cell or 0))) <= 76 for cell in cells):
            return pyarrow.array([None if cell is None else Decimal(cell) for cell in cells])
        texts = [None if cell is None else _text(cell) for cell in cells]
        return pyarrow.array(texts, pyarrow.string())


def _text(cell: object) -> str:
    """A cell as JSON has it."""
    if isinstance(cell, bool | int | float):
        return json.dumps(cell)
    return str(cell)
