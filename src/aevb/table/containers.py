"""What users hold, as an array or a frame: the two things that the rest of the package reads.

Frames are those of pandas, polars and pyarrow. Tensors and other arrays become NumPy's. Records and
whatever else streams Arrow data (DuckDB's relations, say) become a `pyarrow.Table`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from aevb.errors import DataError

__all__ = ["Array", "from_arrow", "is_frame", "library_of", "readable", "to_arrow", "translated"]

Array: TypeAlias = NDArray[Any]

FRAMES = ("pandas", "polars", "pyarrow", "narwhals")
#: What to call on tables that are not in memory, by a method that only they have.
REMEDIES = {
    "read_all": ".read_all()",
    "collect": ".collect()",
    "toPandas": ".toPandas()",
    "to_pyarrow": ".to_pyarrow()",
    "compute": ".compute()",
}


def is_frame(data: object) -> bool:
    """Whether these are named columns of pandas, polars or pyarrow."""
    return library_of(data) in FRAMES


def library_of(data: object) -> str:
    """The package that the type of an object is from."""
    return type(data).__module__.partition(".")[0]


def readable(data: Any) -> Any:
    """A frame of pandas, polars or pyarrow, a NumPy array, or nested lists of the same cells.

    A masked array keeps its mask. Tensors are detached and copied from their device; cells of
    bfloat16 and other types that NumPy lacks become float32, which holds them exactly.

    Raises `DataError` that says what to call first.

    >>> readable([{"a": 1, "b": "x"}, {"a": 2}]).to_pydict()
    {'a': [1, 2], 'b': ['x', None]}
    """
    if is_frame(data):
        return _frame(data)
    if hasattr(data, "tocsr"):  # some of these are a dict
        kind = type(data).__name__
        raise DataError(f"expected a dense array, got a sparse {kind}: pass .toarray()")
    if isinstance(data, Mapping):
        return _table_of_columns(data)
    if _are_records(data):
        names = dict.fromkeys(name for record in data for name in record)
        return _table({name: [record.get(name) for record in data] for name in names})
    if hasattr(data, "__arrow_c_stream__"):
        return _streamed(data)
    if isinstance(data, str | bytes | list | tuple):
        return data
    if hasattr(data, "columns"):
        _refuse_table_elsewhere(data)
    array = _array(data)
    if array.dtype.names is not None:
        return _table_of_structures(array)
    return array


# Frames


def _frame(data: Any) -> Any:
    native = nw.to_native(data, pass_through=True)
    _refuse_table_elsewhere(native)
    if type(native).__name__ == "RecordBatch":
        import pyarrow

        return pyarrow.Table.from_batches([native])
    return native


def _refuse_table_elsewhere(data: object) -> None:
    """Raise if a table is a plan or lies outside this process."""
    for method, call in REMEDIES.items():
        if hasattr(data, method):
            kind = type(data).__name__
            raise DataError(f"expected a data frame in memory, got a {kind}: call {call} first")


def _streamed(data: Any) -> Any:
    import pyarrow

    try:
        return pyarrow.table(data)
    except Exception as error:  # whatever its producer raises
        kind = type(data).__name__
        raise DataError(
            f"expected a data frame, got a {kind} whose Arrow stream holds no table: {error}"
        ) from error


# Records


def _are_records(data: object) -> bool:
    if not isinstance(data, list | tuple) or not data:
        return False
    return all(isinstance(record, Mapping) for record in data)


def _table_of_columns(data: Mapping[Any, Any]) -> Any:
    """A table of a dict of lists or arrays; anything else is none."""
    lengths = {name: _length(cells) for name, cells in data.items()}
    if not data or None in lengths.values():
        raise DataError(
            f"expected 2 axes (rows, columns), got a {type(data).__name__} whose values are not "
            "all columns: give each name a list of cells"
        )
    if len(set(lengths.values())) > 1:
        sizes = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        raise DataError(f"expected columns of one length, but {sizes}: give each row every cell")
    return _table(data)


def _length(cells: object) -> int | None:
    if isinstance(cells, str | bytes | Mapping) or not hasattr(cells, "__len__"):
        return None
    try:
        return len(cells)
    except TypeError:  # an array without axes
        return None


def _table_of_structures(array: Array) -> Any:
    if array.ndim != 1:
        raise DataError(f"expected structures along 1 axis, got {array.ndim} axes: call .ravel()")
    names = array.dtype.names or ()
    return _table({name: array[name] for name in names})


def _table(columns: Mapping[Any, Any]) -> Any:
    import pyarrow

    names = list(map(str, columns))
    cells = [_arrow(name, column) for name, column in columns.items()]
    return pyarrow.table(cells, names=names)


def _arrow(name: object, cells: Any) -> Any:
    import pyarrow

    if not isinstance(cells, Sequence) and not is_frame(cells):
        cells = _native_order(_array(cells))
    try:
        return pyarrow.array(cells, from_pandas=True)
    except Exception as error:  # a cell's own class may raise anything
        types = " and ".join(sorted({type(cell).__name__ for cell in _observed(cells)}))
        raise DataError(
            f"column {str(name)!r}: expected cells of one type, got {types}: convert them first"
        ) from error


def _observed(cells: Iterable[object]) -> list[object]:
    return [cell for cell in cells if cell is not None]


# Arrays


def from_arrow(cells: Any, missing: float = 0) -> Array:
    """The numbers of an Arrow array, `missing` where it has none; those of booleans are 0 and 1.

    Arrow's `to_numpy`, `array` and `scalar` import pandas where that is installed, which takes
    longer than to read most files.

    >>> import pyarrow
    >>> from_arrow(pyarrow.array([True, False, None]), -1)
    array([ 1,  0, -1], dtype=int8)
    """
    import pyarrow

    if isinstance(cells, pyarrow.ChunkedArray):
        cells = cells.combine_chunks()
    if cells.type == pyarrow.bool_():
        cells = cells.cast(pyarrow.int8())
    if not cells.null_count:
        return np.from_dlpack(cells)
    buffers = [None, cells.buffers()[1]]
    bare = pyarrow.Array.from_buffers(cells.type, len(cells), buffers, offset=cells.offset)
    seen = np.from_dlpack(cells.is_valid().cast(pyarrow.int8())).astype(np.bool_)
    return np.where(seen, np.from_dlpack(bare), missing)


def to_arrow(cells: Array | Iterable[str]) -> Any:
    """An Arrow array of numbers, or of texts.

    >>> to_arrow(["a", "bc"]).to_pylist(), to_arrow(np.array([1, 2])).to_pylist()
    (['a', 'bc'], [1, 2])
    """
    import pyarrow

    if isinstance(cells, np.ndarray):
        kind, ends = pyarrow.from_numpy_dtype(cells.dtype), []
        content = cells.tobytes()
        size = len(cells)
    else:
        texts = [cell.encode() for cell in cells]
        kind, content, size = pyarrow.string(), b"".join(texts), len(texts)
        ends = [pyarrow.py_buffer(np.cumsum([0, *map(len, texts)], dtype=np.int32).tobytes())]
    return pyarrow.Array.from_buffers(kind, size, [None, *ends, pyarrow.py_buffer(content)])


def translated(texts: Any, characters: bytes) -> Any:
    """The texts of an Arrow array, ASCII characters replaced by a table of `bytes.maketrans`."""
    import pyarrow

    valid, offsets, content = texts.buffers()
    if content is None:  # all of them are empty
        return texts
    replaced = pyarrow.py_buffer(content.to_pybytes().translate(characters))
    buffers = [valid, offsets, replaced]
    return pyarrow.Array.from_buffers(texts.type, len(texts), buffers, offset=texts.offset)


def _array(data: Any) -> Array:
    """An array of anything that says how to become one."""
    if isinstance(data, np.ndarray):
        return _known_type(data)
    try:
        return _known_type(_converted(data))
    except Exception as error:  # each library has its own
        kind = type(data).__name__
        raise DataError(
            f"expected a table or an array, got {kind}, which is not read as an array: {error}"
        ) from error


def _converted(data: Any) -> Array:
    if hasattr(data, "detach"):  # a tensor of a graph
        data = data.detach()
    if hasattr(data, "cpu"):
        data = data.cpu()
    if "bfloat16" in str(getattr(data, "dtype", "")) and hasattr(data, "float"):
        data = data.float()
    if hasattr(data, "__array__"):
        return np.asarray(data)
    if hasattr(data, "numpy"):
        return np.asarray(data.numpy())
    if hasattr(data, "__dlpack__"):
        return np.from_dlpack(data)
    return np.asarray(data)


def _known_type(array: Array) -> Array:
    """The array, in float32 if its numbers are of a small type that NumPy itself does not know."""
    if array.dtype.kind != "V" or array.dtype.names is not None:
        return array
    try:
        return array.astype(np.float32)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"expected numbers or text, got an array of {array.dtype}: convert it first"
        ) from error


def _native_order(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("="), copy=False)
