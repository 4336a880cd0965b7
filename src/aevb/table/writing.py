"""Tables and arrays to files, which are there whole or not at all."""

import io
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
from narwhals.typing import IntoDataFrame
from numpy.typing import ArrayLike

from aevb.disk.files import write_files
from aevb.errors import ConfigError, DataError, OutputError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["write"]


def write(
    data: IntoDataFrame | ArrayLike,
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
) -> None:
    r"""Write a frame or an array as CSV, Parquet, npy or npz, by the extension of the file name.

    In CSV, text that starts with ``=``, ``+``, ``-`` or ``@`` gets a leading apostrophe (a
    spreadsheet would run it), control characters are written as ``\x1b``, a missing cell is empty
    and an empty text is ``""``. Parquet is written with page checksums.

    Parameters
    ----------
    names
        Column names of an array; x0, x1, ... by default.

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
    if suffix in (".npy", ".npz"):
        content = _array_bytes(data, suffix)
    elif suffix in (".csv", ".parquet"):
        content = _table_bytes(data, suffix, names)
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
    data: IntoDataFrame | ArrayLike, suffix: str, names: Sequence[str] | None
) -> memoryview:
    import pyarrow
    from pyarrow import csv, parquet

    table = _arrow_table(data, names)
    sink = pyarrow.BufferOutputStream()
    try:
        if suffix == ".csv":
            csv.write_csv(_harmless_table(table), sink)
        else:
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
    return pyarrow.table([_arrow_column(column) for column in columns], names=list(names))


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


def _harmless_table(table: "pyarrow.Table") -> "pyarrow.Table":
    """The table with text that neither a spreadsheet nor a terminal obeys, in its header too."""
    import pyarrow

    columns = [_harmless_column(column) for column in table.columns]
    return pyarrow.table(columns, names=[_harmless(name) for name in table.column_names])


def _harmless_column(column: "pyarrow.ChunkedArray") -> "pyarrow.Array | pyarrow.ChunkedArray":
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if types.is_primitive(kind) or types.is_decimal(kind) or types.is_null(kind):
        return column
    texts = _texts(column.to_pylist())
    harmless = [text if text is None else _harmless(text) for text in texts]
    return pyarrow.array(harmless, type=pyarrow.large_string())


def _texts(cells: Iterable[object]) -> list[str | None]:
    texts: list[str | None] = []
    for cell in cells:
        if cell is None:
            texts.append(None)
        else:
            texts.append(str(cell).encode("utf-8", "backslashreplace").decode())
    return texts


def _harmless(text: str) -> str:
    """Text without what a terminal obeys (all control characters but line feeds) or a formula."""
    text = re.sub(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", lambda control: f"\\x{ord(control[0]):02x}", text
    )
    if text.startswith(("=", "+", "-", "@")):
        return f"'{text}"
    return text
