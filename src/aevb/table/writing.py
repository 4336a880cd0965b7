"""Tables and arrays to files: written aside, made durable, then renamed, so that no half a file is
ever there.
"""

import contextlib
import errno
import io
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np

from aevb.errors import ConfigError, DataError, OutputError

__all__ = ["write"]

FORMATS = (".csv", ".parquet", ".npy", ".npz")
#: What a spreadsheet would run as a formula.
FORMULA = re.compile(r"^[=+\-@]")
#: What a terminal would obey: every control character but the line feed, which quotes hold.
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def write(data: Any, path: str | os.PathLike[str], names: Sequence[str] | None = None) -> None:
    r"""Write a frame or an array as CSV or Parquet, or an array as npy or npz, by the name's
    extension.

    In CSV, text that starts with ``=``, ``+``, ``-`` or ``@`` gets a leading apostrophe (a
    spreadsheet would run it), control characters are written as ``\x1b``, a missing cell is empty
    and an empty text is ``""``. Parquet is written with page checksums. The file appears complete
    or not at all.

    Parameters
    ----------
    names
        Column names of an array; x0, x1, ... where there are none.

    Raises
    ------
    ConfigError
        An extension that is none of these.
    DataError
        Data that the format cannot hold.
    OutputError
        The file could not be written; the message says how many bytes it needs and how many are
        free.
    """
    path = Path(os.path.realpath(path))
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            f"expected a file name that ends in {', '.join(FORMATS)}, got {path.name!r}"
        )
    _replace(path, _serialise(data, path.suffix.lower(), names))


def _serialise(data: Any, suffix: str, names: Sequence[str] | None) -> memoryview:
    if suffix in (".npy", ".npz"):
        return _array_bytes(data, suffix)
    import pyarrow
    from pyarrow import csv, parquet

    table, sink = _arrow_table(data, names), pyarrow.BufferOutputStream()
    try:
        if suffix == ".csv":
            csv.write_csv(_neutral(table), sink)
        else:
            parquet.write_table(table, sink, write_page_checksum=True)
    except pyarrow.ArrowException as error:
        raise DataError(
            f"expected columns that {suffix} files can hold, got {error}: leave the column out"
        ) from error
    return memoryview(sink.getvalue())


def _array_bytes(data: Any, suffix: str) -> memoryview:
    array, sink = np.asarray(data), io.BytesIO()
    if array.dtype.hasobject or hasattr(data, "columns"):
        raise DataError(
            f"expected an array of numbers for {suffix}, got {type(data).__name__}: write .csv or .parquet"
        )
    if suffix == ".npy":
        np.save(sink, array, allow_pickle=False)
    else:
        np.savez(sink, x=array, allow_pickle=False)
    return sink.getbuffer()


# Tables for files


def _arrow_table(data: Any, names: Sequence[str] | None) -> Any:
    import pyarrow

    frame = nw.from_native(data, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        names = [str(name) for name in frame.columns]
        columns = [frame[name].to_native() for name in frame.columns]
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
    return pyarrow.Table.from_arrays(
        [_arrow_column(column) for column in columns], names=list(names)
    )


def _arrow_column(column: Any) -> Any:
    """An Arrow column; cells that Arrow has no common type for, as text."""
    import pyarrow

    try:
        if hasattr(column, "to_arrow"):
            return column.to_arrow()
        whole = isinstance(column, pyarrow.ChunkedArray | pyarrow.Array)
        return column if whole else pyarrow.array(column, from_pandas=True)
    except (pyarrow.ArrowException, UnicodeEncodeError):
        return pyarrow.array([None if cell is None else _encodable(str(cell)) for cell in column])


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _neutral(table: Any) -> Any:
    """The table with its text harmless to spreadsheets and terminals, its header too."""
    import pyarrow

    columns = [_neutral_column(column) for column in table.columns]
    names = [_neutral_text(name) for name in table.column_names]
    return pyarrow.Table.from_arrays(columns, names=names)


def _neutral_column(column: Any) -> Any:
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if (
        types.is_nested(column.type)
        or types.is_binary(column.type)
        or types.is_large_binary(column.type)
    ):
        column = pyarrow.array([None if cell is None else str(cell) for cell in column.to_pylist()])
    if not (
        types.is_string(column.type)
        or types.is_large_string(column.type)
        or types.is_string_view(column.type)
    ):
        return column
    cells = [None if cell is None else _neutral_text(cell) for cell in column.to_pylist()]
    return pyarrow.array(cells, type=pyarrow.large_string())


def _neutral_text(text: str) -> str:
    text = CONTROL.sub(lambda control: f"\\x{ord(control[0]):02x}", text)
    return f"'{text}" if FORMULA.match(text) else text


# Files


def _replace(path: Path, content: memoryview) -> None:
    """Write aside in the same folder, fsync, rename, fsync the folder."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise OutputError(
            f"expected a file to write, got {path}, which is something else: choose another name"
        )
    aside = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise OutputError(_explain(error, path, len(content))) from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # a folder cannot be opened there, and a rename is durable by itself
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explain(error: OSError, path: Path, needed: int) -> str:
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(path.parent).free
        return f"{path} could not be written: {reason}: {needed} bytes are needed, {free} are free: make room"
    return f"{path} could not be written: {reason}: choose another place"
