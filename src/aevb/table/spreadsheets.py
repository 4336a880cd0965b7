"""The first sheet of an Excel workbook (.xlsx) to an Arrow table of the types its cells have."""

import datetime
import io
import re
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

from aevb.errors import AevbWarning, DataError
from aevb.table.delimited import Header, has_header
from aevb.table.records import typed_array
from aevb.table.unpacking import check_unpacked

if TYPE_CHECKING:
    import pyarrow

__all__ = ["read_xlsx"]


def read_xlsx(content: bytes, name: str, header: Header, most: int) -> "pyarrow.Table":
    """The table in the first sheet of a workbook, of at most that many bytes unpacked.

    Numbers, dates and booleans stay what they are; a column of several is text, with a note. Names
    are in the first row, as in a CSV file.
    """
    import pyarrow

    rows = _rows(content, name, most)
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows[:200]]
    names = [f"x{i}" for i in range(len(texts[0]))]
    if has_header(texts, header, name, "row 1"):
        names, rows = texts[0], rows[1:]
    if not rows:
        raise DataError(f"{name}: expected rows below the names, got none")
    cells = zip(*rows, strict=True)
    columns = [_column(list(own), called, name) for own, called in zip(cells, names, strict=True)]
    return pyarrow.table(columns, names)


def _rows(content: bytes, name: str, most: int) -> list[list[Any]]:
    """The rows of the first sheet that are not empty, None where a cell is."""
    try:
        from python_calamine import CalamineWorkbook
    except ImportError as error:
        raise DataError("reading .xlsx takes python-calamine: pip install 'aevb[xlsx]'") from error
    _check_archive(content, name, most)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = workbook.sheet_names
        cells = workbook.get_sheet_by_index(0).to_python()
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"{name}: damaged or no workbook: {reason}") from error
    if len(names) > 1:
        note = f"{name}: read the first of {len(names)} sheets, {names[0]!r}; save others apart"
        warnings.warn(AevbWarning(note, code="AEV210"), stacklevel=5)
    rows = [[None if cell == "" else cell for cell in row] for row in cells]
    rows = [row for row in rows if any(cell is not None for cell in row)]
    if not rows:
        raise DataError(f"{name}: expected names and rows in the first sheet, got an empty one")
    return rows


def _check_archive(content: bytes, name: str, most: int, most_cells: int = 5 * 10**7) -> None:
    """Raise `DataError` if the workbook is damaged, or unpacks to too many bytes or cells."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            packed = sum(entry.compress_size for entry in entries)
            total = sum(entry.file_size for entry in entries)
            if len(entries) > 10_000 or packed > len(content):
                raise ValueError("overlapping or too many parts")
            check_unpacked(total, len(content), name, most)
            for entry in entries:
                part = archive.read(entry)  # fails if the part is not of the size it declares
                if entry.filename.startswith("xl/worksheets/"):
                    _check_cells(part, name, most_cells)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{name}: damaged or no workbook: {error}") from error


def _check_cells(sheet: bytes, name: str, most: int) -> None:
    """Raise `DataError` if a sheet reaches over too many cells: two far apart are enough."""
    places = set(re.findall(rb"""\br=["']([A-Z]{1,7})\d""", sheet))
    lines = set(re.findall(rb"""\br=["'][A-Z]{0,7}(\d+)["']""", sheet))
    width = max((_position(place) for place in places), default=1)
    if width * max(map(int, lines), default=1) > most:
        raise DataError(f"{name}: expected a sheet of at most {most} cells, got one that is larger")


def _position(letters: bytes) -> int:
    """The number of a column from its letters, from 1."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number


def _column(cells: list[Any], column: str, name: str) -> "pyarrow.Array":
    """An Arrow array of the cells of one column."""
    kinds = {type(cell) for cell in cells} - {type(None)}
    if kinds <= {int, float} and all(cell is None or float(cell).is_integer() for cell in cells):
        return typed_array([None if cell is None else int(cell) for cell in cells])
    if kinds == {datetime.date, datetime.datetime}:
        moments = [None if cell is None else _moment(cell) for cell in cells]
        return typed_array(moments)
    if len(kinds) > 1 and not kinds <= {int, float}:
        found = " and ".join(sorted(kind.__name__ for kind in kinds))
        note = f"{name}: column {column!r} holds cells of types {found}, so all are read as text"
        warnings.warn(AevbWarning(note, code="AEV211", columns=[column]), stacklevel=4)
        cells = [int(cell) if _is_whole(cell) else cell for cell in cells]
    return typed_array(cells)


def _is_whole(cell: object) -> bool:
    return isinstance(cell, float) and cell.is_integer()


def _moment(cell: datetime.date) -> datetime.datetime:
    if isinstance(cell, datetime.datetime):
        return cell
    return datetime.datetime(cell.year, cell.month, cell.day)
