"""Tables and arrays to files, which are there whole or not at all."""

import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import narwhals as nw
import numpy as np
from narwhals.typing import IntoDataFrame
from numpy.typing import ArrayLike

from aevb.disk.files import write_files
from aevb.errors import ConfigError, DataError, OutputError
from aevb.table.delimited import GUARD, MARK, encoding_of
from aevb.table.headers import what_is_first
from aevb.table.tables import WRITTEN

if TYPE_CHECKING:
    import pyarrow

    Texts: TypeAlias = pyarrow.Array | pyarrow.ChunkedArray

__all__ = ["write"]


def write(
    data: IntoDataFrame | ArrayLike,
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    *,
    guard: bool = False,
) -> None:
    """Write a frame or an array as CSV, Parquet, npy or npz, by the extension of the file name.

    In CSV a cell of text is written as it is, with quotes where it needs them; a missing cell is
    empty and an empty text is ``""``. Parquet is written with page checksums.

    Parameters
    ----------
    names
        Column names of an array; x0, x1, ... by default.
    guard
        Put `aevb.table.delimited.GUARD`, an apostrophe and an invisible word joiner, before cells
        of CSV that a spreadsheet would run as a formula: those that start with ``=``, ``+``, ``-``,
        ``@``, a tab or a carriage return and are no plain number. `read` takes it off again; other
        programs see it.

    Raises
    ------
    ConfigError
        The extension is none of these.
    DataError
        The format cannot hold the data.
    OutputError
        The file cannot be written.
    """
    path = Path(os.path.realpath(path))
    suffix = path.suffix.lower()
    content: bytes | memoryview
    if suffix in (".npy", ".npz"):
        content = _array_bytes(data, suffix)
    elif suffix in (".csv", ".parquet"):
        content = _table_bytes(data, suffix, names, guard)
    else:
        raise ConfigError(
            f"expected a file name that ends in .csv, .parquet, .npy or .npz, got {path.name!r}"
        )
    if os.path.exists(path) and not os.path.isfile(path):
        raise OutputError(
            f"expected a file to write, got {path}, which is something else: choose another name"
        )
    write_files(path.parent, {path.name: content})


def _array_bytes(data: IntoDataFrame | ArrayLike, suffix: str) -> memoryview:
    array = np.asarray(data)
    if array.dtype.hasobject or hasattr(data, "columns"):
        raise DataError(
            f"expected an array of numbers for {suffix}, got {type(data).__name__}: "
            "write .csv or .parquet"
        )
    sink = io.BytesIO()
    if suffix == ".npy":
        np.save(sink, array, allow_pickle=False)
    else:
        np.savez(sink, x=array, allow_pickle=False)
    return sink.getbuffer()


def _table_bytes(
    data: IntoDataFrame | ArrayLike, suffix: str, names: Sequence[str] | None, guard: bool
) -> bytes | memoryview:
    import pyarrow
    from pyarrow import parquet

    table = _arrow_table(data, names)
    try:
        if suffix == ".csv":
            return _csv(table, guard)
        sink = pyarrow.BufferOutputStream()
        parquet.write_table(table, sink, write_page_checksum=True)
    except pyarrow.ArrowException as error:
        raise DataError(
            f"expected columns that {suffix} files can hold, got {error}: leave the column out"
        ) from error
    return memoryview(sink.getvalue())


def _arrow_table(data: IntoDataFrame | ArrayLike, names: Sequence[str] | None) -> "pyarrow.Table":
    import pyarrow

    frame = nw.from_native(data, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        names = [str(name) for name in frame.columns]
        columns = [column.to_native() for column in frame.iter_columns()]
    else:
        array = np.asarray(data)
        if array.ndim not in (1, 2):
            raise DataError(
                f"expected rows and columns for a table, got {array.ndim} axes: write .npy"
            )
        columns = list(array.reshape(len(array), -1).T)
        names = names or [f"x{i}" for i in range(len(columns))]
    if len(names) != len(columns):
        raise DataError(f"expected a name for each of {len(columns)} columns, got {len(names)}")
    metadata = None
    if isinstance(data, pyarrow.Table) and data.schema.metadata == WRITTEN:
        metadata = WRITTEN
    arrays = [_arrow_column(column) for column in columns]
    return pyarrow.table(arrays, names=list(names), metadata=metadata)


def _arrow_column(column: Iterable[object]) -> "pyarrow.Array | pyarrow.ChunkedArray":
    """An Arrow column; text, where Arrow has no common type for its cells."""
    import pyarrow

    try:
        if hasattr(column, "to_arrow"):
            return column.to_arrow()
        if isinstance(column, pyarrow.ChunkedArray | pyarrow.Array):
            return column
        return pyarrow.array(column, from_pandas=True)
    except (pyarrow.ArrowException, UnicodeEncodeError):
        return pyarrow.array(_texts(column))


def _csv(table: "pyarrow.Table", guard: bool, sampled: int = 200) -> bytes:
    """The table as CSV: cells are quoted only where a reader would take them for something else."""
    import pyarrow

    columns = [_text_column(column) for column in table.columns]
    samples = [column.slice(0, sampled).fill_null("").to_pylist() for column in columns]
    first = [table.column_names, *map(list, zip(*samples, strict=True))]
    names = pyarrow.array(table.column_names, pyarrow.large_string())
    columns = [_guarded(column, formulas=guard) for column in columns]
    names = _guarded(names, formulas=guard)
    if table.column_names[0].startswith(("sep=", "\ufeff")):  # which mean something there
        names = pyarrow.array([GUARD + table.column_names[0], *names.to_pylist()[1:]], names.type)
    # A header that looks like data has quotes, by which it is told from data when it is read.
    like_data = what_is_first(first) != "names"
    header = ",".join(_quoted(names, everything=like_data).to_pylist())
    lines = _joined(*map(_quoted, columns), by=",")
    content = "\n".join([header, *lines.to_pylist(), ""]).encode()
    # A mark by which spreadsheets know UTF-8, and readers to whom its zeros look like UTF-16.
    needs_mark = guard or encoding_of(content) != "utf-8"
    return MARK + content if needs_mark else content


def _quoted(column: "Texts", everything: bool = False) -> "Texts":
    """The cells with quotes, where they need them; missing cells stay missing."""
    from pyarrow import compute

    needed = compute.match_substring_regex(column, '^$|[",;|\t\r\n]')
    if everything:
        needed = compute.is_valid(column)
    if not compute.any(needed).as_py():
        return column
    inside = compute.replace_substring(column, '"', '""')
    return compute.if_else(needed, _joined('"', inside, '"'), column)


def _guarded(column: "Texts", formulas: bool) -> "Texts":
    """The cells with `GUARD` before those that start with it, or that a spreadsheet would run."""
    from pyarrow import compute

    marked = compute.starts_with(column, GUARD)
    if formulas:
        runs = compute.match_substring_regex(column, "^[=+\\-@\t\r]")
        number = r"^[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?%?$"
        is_number = compute.match_substring_regex(column, number)
        marked = compute.or_(marked, compute.and_not(runs, is_number))
    if not compute.any(marked).as_py():
        return column
    return compute.if_else(marked, _joined(GUARD, column), column)


def _joined(*parts: "pyarrow.ChunkedArray | str", by: str = "") -> "pyarrow.ChunkedArray":
    """Text, cell by cell of the columns among these parts; a missing cell is empty."""
    import pyarrow
    from pyarrow import compute

    typed = []
    for part in (*parts, by):
        text = isinstance(part, str)
        typed.append(pyarrow.scalar(part, pyarrow.large_string()) if text else part)
    return compute.binary_join_element_wise(*typed, null_handling="replace", null_replacement="")


def _text_column(column: "pyarrow.ChunkedArray") -> "pyarrow.ChunkedArray":
    """The cells as they are written in CSV."""
    import pyarrow
    from pyarrow import types

    kind, text = column.type, pyarrow.large_string()
    if types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind)):
        with suppress(pyarrow.ArrowException):  # such as of a duration
            return column.cast(text)
    return pyarrow.chunked_array([pyarrow.array(_texts(column.to_pylist()), text)])


def _texts(cells: Iterable[object]) -> list[str | None]:
    texts: list[str | None] = []
    for cell in cells:
        if cell is None:
            texts.append(None)
        else:
            texts.append(str(cell).encode("utf-8", "backslashreplace").decode())
    return texts
