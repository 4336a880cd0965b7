"""Cells put into a table where others were missing; all else stays as it is, to the last bit.

Each container has its own types, and so its own function. All do the same: of the types that hold
what a column has, take the first that also holds what is put in, the column's own type before all.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Context, Decimal
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aevb.table.containers import Array
from aevb.table.tables import is_missing

__all__ = ["New", "filled_frame", "filled_matrix"]

#: By the place of a column: the rows to fill, shape (rows,), and the cells for them, in order.
New: TypeAlias = Mapping[int, tuple[NDArray[np.bool_], Array]]

#: Digits enough for any float64.
MANY_DIGITS = Context(prec=400)
#: Types of numbers, narrow ones first; a column takes the first that holds its cells.
INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")


def filled_matrix(array: Array, new: New) -> Array:
    """A copy of an array, with 2 to 4 axes, that has these cells in its columns.

    >>> small = np.array([[1, 2], [3, 4]], dtype=np.int8)
    >>> filled_matrix(small, {1: (np.array([True, False]), np.array([300.0]))})
    array([[  1, 300],
           [  3,   4]], dtype=int16)
    """
    if isinstance(array, np.ma.MaskedArray):
        return _filled_masked(array, new)
    array = np.asarray(array)
    result = array.copy(order="K" if array.ndim == 2 else "C")
    rows = result.reshape(len(result), -1)
    for place, (where, cells) in new.items():
        column = filled_column(rows[:, place], where, cells)
        if column.dtype != rows.dtype:
            rows = rows.astype(column.dtype)
        rows[where, place] = column[where]
    return rows.reshape(array.shape)


def _filled_masked(array: Any, new: New) -> Any:
    """A copy of a masked array in which the filled cells are seen, be its mask hard or soft."""
    mask = np.ma.getmaskarray(array).copy().reshape(len(array), -1)
    for place, (where, _) in new.items():
        mask[where, place] = False
    data = filled_matrix(array.data, new)
    return np.ma.MaskedArray(data, mask=mask.reshape(data.shape), fill_value=array.fill_value)


def filled_column(column: Array, where: NDArray[np.bool_], cells: Array) -> Array:
    """A copy of a column of an array, of a wider type if its own does not hold the cells."""
    if column.dtype.kind == "O":
        cells = _like_the_others(cells, column[~where])
    elif column.dtype.kind in "iuf" and set(map(type, cells.tolist())) <= {bool, type(None)}:
        cells = _numbers(cells)
    dtype = next(dtype for dtype in _wider(column, cells) if _holds(dtype, cells))
    result = column.astype(dtype)
    result[where] = cells.astype(dtype)
    return result


def _wider(column: Array, cells: Array) -> Iterator[Any]:
    """The column's type, then those that hold its cells, the narrowest first."""
    yield column.dtype
    if column.dtype.kind in "US":
        yield np.result_type(column.dtype, cells.astype(str).dtype)
    if column.dtype.kind in "biuf":
        for name in (*INTEGERS, "float64"):
            if column.dtype.kind != "b" and np.can_cast(column.dtype, name):
                yield np.dtype(name)
    yield np.dtype(object)


def _holds(dtype: Any, cells: Array) -> bool:
    """Whether a type holds cells; a narrow float does if they stay finite."""
    if dtype.kind in "OT":
        return True
    if dtype.kind == "U":
        return all(isinstance(cell, str) and len(cell) * 4 <= dtype.itemsize for cell in cells)
    if cells.dtype == object:
        return dtype.kind == "b" and all(isinstance(cell, bool) for cell in cells)
    with np.errstate(all="ignore"):
        back = cells.astype(dtype).astype(np.float64)
    if dtype.kind == "f":
        return bool((np.isfinite(back) == np.isfinite(cells.astype(np.float64))).all())
    return bool((back == cells.astype(np.float64)).all())


def _like_the_others(cells: Array, others: Array) -> Array:
    """Cells as Python objects: whole numbers and decimals if all other numbers are such."""
    types = {type(cell) for cell in others if not is_missing(cell)}
    whole = bool(types) and all(issubclass(kind, int | np.integer) for kind in types)
    objects = np.empty(len(cells), dtype=object)
    objects[:] = cells.tolist()
    for i, cell in enumerate(objects):
        if not isinstance(cell, float):
            continue
        if whole and cell.is_integer():
            objects[i] = int(cell)
        elif types == {Decimal}:
            objects[i] = Decimal(repr(cell))
    return objects


# Frames


def filled_frame(frame: Any, container: str, new: New) -> Any:
    """A copy of a frame of pandas, polars or pyarrow that has these cells in its columns."""
    fill: Callable[[Any, New], Any] = {
        "pandas": _filled_pandas,
        "polars": _filled_polars,
        "pyarrow": _filled_arrow,
    }[container]
    return fill(frame, new)


def _filled_pandas(frame: Any, new: New) -> Any:
    result = frame.copy()
    for place, (where, cells) in new.items():
        result.isetitem(place, _pandas_column(frame.iloc[:, place], where, cells))
    return result


def _pandas_column(series: Any, where: NDArray[np.bool_], cells: Array) -> Any:
    import pandas

    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        column = filled_column(series.to_numpy(), where, cells)
        return pandas.Series(column, index=series.index, dtype=column.dtype)
    if isinstance(dtype, pandas.CategoricalDtype):
        return _pandas_levels(series.array, where, cells)
    if isinstance(dtype, pandas.ArrowDtype):
        import pyarrow

        array = pyarrow.chunked_array(series.array.__arrow_array__())
        return pandas.arrays.ArrowExtensionArray(_arrow_column(array, where, cells))
    if isinstance(dtype, pandas.SparseDtype):
        dense = filled_column(series.sparse.to_dense().to_numpy(), where, cells)
        return pandas.arrays.SparseArray(dense, fill_value=dtype.fill_value)
    if cells.dtype == object and not hasattr(dtype, "numpy_dtype"):  # text
        result = series.array.copy()
        result[where] = cells
        return result
    return _pandas_nullable(series.array, where, cells)


def _pandas_levels(levels: Any, where: NDArray[np.bool_], cells: Array) -> Any:
    """A categorical: its levels stay, and those it lacks come after them."""
    import pandas

    known = set(levels.categories)
    levels = levels.add_categories([cell for cell in _distinct(cells) if cell not in known])
    position = {level: i for i, level in enumerate(levels.categories)}
    codes = levels.codes.copy()
    codes[where] = [position.get(cell, -1) for cell in cells.tolist()]
    return pandas.Categorical.from_codes(codes, dtype=levels.dtype)


def _pandas_nullable(cells_before: Any, where: NDArray[np.bool_], cells: Array) -> Any:
    """Nullable numbers or booleans, of a wider nullable type if theirs does not hold the cells."""
    import pandas

    own = np.dtype(cells_before.dtype.numpy_dtype)
    if own.kind == "b":
        name, new = "boolean", pandas.array(cells, dtype="boolean")
    else:
        name = _number_type(own, cells).replace("uint", "UInt")
        name = name.replace("int", "Int").replace("float", "Float")
        new = pandas.array(_numbers(cells), dtype="Float64").astype(name)
    result = cells_before.astype(name, copy=True)
    result[where] = new
    return result


def _filled_polars(frame: Any, new: New) -> Any:
    columns = []
    for place, (where, cells) in new.items():
        columns.append(_polars_column(frame.to_series(place), where, cells))
    return frame.with_columns(*columns)


def _polars_column(series: Any, where: NDArray[np.bool_], cells: Array) -> Any:
    import polars

    kind = series.dtype
    if isinstance(kind, polars.Enum):
        lacking = [level for level in _distinct(cells) if level not in kind.categories.to_list()]
        kind = polars.Enum([*kind.categories, *lacking])
    elif kind.is_decimal():
        cells = _decimals(cells, kind.scale)
        most = 10 ** (kind.precision - kind.scale)
        if any(abs(cell) >= most for cell in _distinct(cells)):
            kind = polars.Decimal(38, kind.scale)
    elif kind.is_numeric() and "128" not in str(kind):
        name = _number_type(series.head(0).to_numpy().dtype, cells)
        kind = getattr(polars, name.capitalize().replace("Uint", "UInt"))
        cells = _numbers(cells)
    elif kind == polars.Null:
        kind = None
    whole = kind is not None and kind.is_integer()
    items = _spread(_whole(cells) if whole else cells, where)
    new = polars.Series(items, dtype=kind)
    return new.zip_with(polars.Series(where), series.cast(new.dtype)).alias(series.name)


def _filled_arrow(table: Any, new: New) -> Any:
    for place, (where, cells) in new.items():
        column = _arrow_column(table.column(place), where, cells)
        table = table.set_column(place, table.field(place).with_type(column.type), column)
    return table


def _arrow_column(column: Any, where: NDArray[np.bool_], cells: Array) -> Any:
    import pyarrow
    from pyarrow import compute, types

    kind = column.type
    if types.is_dictionary(kind):
        return _arrow_levels(column, where, cells)
    if types.is_integer(kind) or types.is_floating(kind):
        own = np.dtype(kind.to_pandas_dtype())
        kind = pyarrow.type_for_alias(_number_type(own, cells))
        numbers = _numbers(cells)
        every = np.zeros(len(where))
        every[where] = np.where(np.isnan(numbers), 0, numbers)
        holes = np.zeros(len(where), dtype=bool)
        holes[where] = np.isnan(numbers)
        new = pyarrow.array(every, mask=holes).cast(kind, safe=False)
        return compute.if_else(pyarrow.array(where), new, column.cast(kind))
    if types.is_decimal(kind):
        cells = _decimals(cells, kind.scale)
    items = column.to_pylist()
    for row, item in zip(np.flatnonzero(where), cells.tolist(), strict=True):
        items[row] = item
    if types.is_null(kind):
        return pyarrow.chunked_array([pyarrow.array(items, from_pandas=True)])
    try:
        return pyarrow.chunked_array([pyarrow.array(items, type=kind)])
    except pyarrow.ArrowInvalid:  # more digits than the type has
        return pyarrow.chunked_array([pyarrow.array(items)])


def _arrow_levels(column: Any, where: NDArray[np.bool_], cells: Array) -> Any:
    """A dictionary: its levels stay, and those it lacks come after them."""
    import pyarrow

    column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pyarrow.ChunkedArray):
        column = column.chunk(0)
    levels = column.dictionary.to_pylist()
    levels += [cell for cell in _distinct(cells) if cell not in levels]
    position = {level: i for i, level in enumerate(levels)}
    indices = column.indices.to_pylist()
    for row, cell in zip(np.flatnonzero(where), cells.tolist(), strict=True):
        indices[row] = position.get(cell)
    kind = column.type
    array = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array(indices, type=kind.index_type),
        pyarrow.array(levels, type=kind.value_type),
        ordered=kind.ordered,
    )
    return pyarrow.chunked_array([array])


# Cells of any container


def _number_type(own: Any, cells: Array) -> str:
    """The name of the narrowest type that holds a column's numbers and these cells."""
    numbers = _numbers(cells)
    observed = numbers[~np.isnan(numbers)]
    candidates = _wider(np.empty(0, own), observed)
    return next(dtype.name for dtype in candidates if _holds(dtype, observed))


def _numbers(cells: Array) -> Array:
    """Cells as float64: 1, 0 and NaN for booleans and missing ones."""
    if cells.dtype != object:
        return cells.astype(np.float64)
    return np.array([np.nan if cell is None else float(cell) for cell in cells.tolist()])


def _whole(cells: Array) -> Array:
    """Whole numbers as Python integers, None for NaN."""
    objects = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(cells.tolist()):
        objects[i] = None if np.isnan(cell) else int(cell)
    return objects


def _decimals(cells: Array, scale: int) -> Array:
    """Cells as decimals of so many places, None for NaN."""
    step = Decimal(1).scaleb(-scale)
    objects = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(_numbers(cells).tolist()):
        if not np.isnan(cell):
            objects[i] = Decimal(repr(cell)).quantize(step, context=MANY_DIGITS)
    return objects


def _distinct(cells: Array) -> list[Any]:
    """The distinct cells that are not missing, in the order they are met in."""
    return [cell for cell in dict.fromkeys(cells.tolist()) if not is_missing(cell)]


def _spread(cells: Array, where: NDArray[np.bool_]) -> list[Any]:
    """The cells in their rows, None in all others."""
    items: list[Any] = [None] * len(where)
    for row, cell in zip(np.flatnonzero(where), cells.tolist(), strict=True):
        items[row] = cell
    return items
