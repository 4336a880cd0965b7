"""From a table to the float64 values a model sees, and back to the table it came from."""

import re
import warnings
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from aevb.errors import AevbWarning, DataError, listed
from aevb.table.containers import Array, readable
from aevb.table.filling import filled_frame, filled_matrix
from aevb.table.formats import Booleans, Times
from aevb.table.indexes import with_headers
from aevb.table.moments import filled_times, typed_times
from aevb.table.schema import LEVELED, Column, Level, Schema, Values
from aevb.table.tables import Cells, Inf, Series, Table, TableLike, positions_of, table_of
from aevb.table.written import arrow_column, cells_by, format_of, texts_by

__all__ = ["decode", "encode", "missing_cells"]

Mask = NDArray[np.bool_]

# Encoding


def encode(data: TableLike, schema: Schema, *, reorder: bool = False, inf: Inf = "error") -> Values:
    """Encode a table as values, shape (rows, columns of the schema), float64.

    Numbers stay as they are, levels become their index, missing cells (NaN, None, pd.NA, NaT,
    masked) become NaN. In a data frame ``''``, null and ``'NA'`` are three different things: two
    texts and a missing cell. Arrays have no names: their columns are taken by position; those of
    frames must be in order, or are taken by name if `reorder`. With ``inf="missing"`` infinite
    cells are missing. A value that the schema does not know, be it a level that it never met or a
    number outside of the column's support, becomes infinite, which the model gives little
    probability; columns that it does not know are left alone. An `AevbWarning` tells of each.

    `DataError` if columns are missing, in another order or of another type, or a cell is infinite,
    a number that float64 would round, or no gray value in a column of pixels.

    >>> from aevb.table import infer
    >>> rows = [[0.5, "red"], [1.5, "blue"], [0.1, None], [2.5, "red"]]
    >>> encode(rows, infer(rows))[2:]
    array([[0.1, nan],
           [2.5, 1. ]])
    """
    table = table_of(data)
    names = _aligned(table, schema, reorder)
    known = {*names, *schema.ignored}
    extra = [name for name in table.names if name not in known]
    if extra:
        note = f"columns the model does not know are left alone: {listed(extra)}"
        warnings.warn(AevbWarning(note, code="AEV301", columns=extra), stacklevel=2)
    values = np.empty((len(table), len(schema)), order="F")  # columns are filled one by one
    unseen: list[str] = []
    cells_unseen = 0
    for i, (name, column) in enumerate(zip(names, schema.columns, strict=True)):
        cells = _cells(table, name, column).finite(inf)
        values[:, i] = _encoded(cells, column)
        new = np.isinf(values[:, i])
        if new.any():
            cells_unseen += int(new.sum())
            unseen.append(f"{column.name}: {listed(map(repr, cells.distinct(new)))}")
    if unseen:
        note = (
            f"{cells_unseen:,} cells hold values that the fitted data cannot have, which have "
            f"little probability: {listed(unseen)}"
        )
        warnings.warn(AevbWarning(note, code="AEV302"), stacklevel=2)
    return values


def missing_cells(
    data: TableLike, schema: Schema, *, reorder: bool = False, inf: Inf = "error"
) -> Mask:
    """Which cells of the modeled columns are missing, shape (rows, columns of the schema).

    Unlike NaN in what `encode` returns, this does not depend on the levels that were fitted.

    >>> from aevb.table import infer
    >>> rows = [[0.5, "red"], [1.5, "blue"], [0.1, "red"], [2.5, "red"]]
    >>> missing_cells([[None, "green"]], infer(rows))
    array([[ True, False]])
    """
    table = table_of(data)
    names = _aligned(table, schema, reorder)
    missing = []
    for name, column in zip(names, schema.columns, strict=True):
        missing.append(np.isnan(_cells(table, name, column).finite(inf).values))
    return np.column_stack(missing)


def _aligned(table: Table, schema: Schema, reorder: bool) -> list[str]:
    """The table's name for each column of the schema."""
    expected = schema.names
    if "numpy" in (table.container, schema.container) and len(table.names) == len(expected):
        return list(table.names)  # arrays have no names: positions count
    present = set(table.names)
    missing = [name for name in expected if name not in present]
    if missing and table.container == "numpy":
        raise DataError(
            f"expected {len(expected)} columns, got {len(present)}: "
            "give the columns of the fitted data"
        )
    if missing:
        names = listed(map(repr, missing))
        raise DataError(f"expected all columns of the fitted data; these are missing: {names}")
    if reorder:
        return expected
    wanted = set(expected)
    order = [name for name in table.names if name in wanted]
    for found, name in zip(order, expected, strict=True):
        if found != name:
            raise DataError(
                f"expected the columns in the order of the fitted data, got {found!r} where "
                f"{name!r} should be: reorder them"
            )
    return expected


def _cells(table: Table, name: str, column: Column) -> Cells:
    """The cells of a column; those of a text file by the fitted format, whatever they look like."""
    if table.written:
        return cells_by(format_of(column), table, name)
    return table.column(name)


def _encoded(cells: Cells, column: Column) -> Values:
    if cells.family == "empty":
        return cells.values
    _check_family(cells, column)
    if isinstance(cells.format, Times) and isinstance(column.format, Times):
        return column.format.converted(cells.values, cells.format)
    if column.kind == "pixel":
        column.check_support(cells.values)
        return cells.values
    if column.kind not in LEVELED:
        return np.where(column.holds(cells.values), cells.values, np.inf)
    if cells.family != "text":
        codes = _codes(cells.values, column.categories)
        return np.where(np.isnan(codes) & ~np.isnan(cells.values), np.inf, codes)
    levels: Sequence[object] = cells.levels
    if isinstance(cells.format, Booleans):
        levels = list(map(cells.format.level, cells.levels))
    codes = positions_of(levels, column.categories)
    codes = np.append(np.where(np.isnan(codes), np.inf, codes), np.nan)
    return codes[np.where(np.isnan(cells.values), -1, cells.values).astype(np.intp)]


def _codes(numbers: Values, levels: Sequence[Level]) -> Values:
    """The position of each number among the levels, NaN if it is none of them.

    A whole level must be met exactly, others to the precision of float32.

    >>> _codes(np.array([0.1, 2.0, 0.3]), [2.0, 0.1])
    array([ 1.,  0., nan])
    """
    table = np.array(levels, dtype=np.float64)
    order = np.argsort(table)
    middles = (table[order][1:] + table[order][:-1]) / 2
    codes = order[np.searchsorted(middles, numbers)]
    tolerance = 2.0**-22
    if (table == np.rint(table)).all():
        tolerance = 0.0
    known = np.abs(table[codes] - numbers) <= tolerance * np.abs(table[codes])
    return np.where(known, codes, np.nan)


def _check_family(cells: Cells, column: Column) -> None:
    """Raise unless the cells are of the fitted type; numbers may stand for booleans."""
    types = set(map(type, column.categories))
    fitted = "number"
    if isinstance(column.format, Times):
        fitted = "time"
    elif str in types:
        fitted = "text"
    elif bool in types:
        fitted = "boolean"
    if cells.family == fitted or (cells.family, fitted) == ("number", "boolean"):
        return
    if isinstance(cells.format, Booleans):  # words that are neither true nor false
        return
    plural = {"text": "text", "boolean": "booleans", "number": "numbers", "time": "dates or times"}
    found = f"{plural.get(cells.family, 'values')} of type {cells.dtype}"
    raise DataError(
        f"column {column.name!r}: expected {plural[fitted]}, as in the fitted data, got {found}: "
        "convert it"
    )


# Decoding


def decode(
    values: Values,
    schema: Schema,
    like: TableLike | None = None,
    filled: Mask | None = None,
) -> Any:
    """Decode values, shape (rows, columns of the schema), to the table that has them.

    Levels are looked up, whole-number columns rounded to whole numbers (also if their type is a
    float), values clipped to their column's support. Missing cells are as missing as the type
    allows: null, or NaN; integers with missing cells become nullable integers in pandas and floats
    in arrays. Decimals come back as floats. The result is of the schema's container and types, or
    a copy of `like`, the table the rows came from (its container, index, order and shape), with
    the modeled columns replaced, so that ignored columns are carried through.

    With `filled`, shape (rows, columns of the schema), only the cells where it is True are
    replaced: all others of `like` stay to the last bit, and so does each column's type, which
    widens as little as is needed where it does not hold what is filled in.

    >>> from aevb.table import infer
    >>> rows = np.array([[1, 10], [2, 20], [3, 20]])
    >>> decode(np.array([[2.2, 1.0]]), infer(rows))
    array([[ 2, 20]])
    >>> like = np.array([[72.5, np.nan]])
    >>> decode(np.array([[2.0, 1.0]]), infer(rows), like=like, filled=np.isnan(like))
    array([[72.5, 20. ]])
    """
    columns = zip(values.T, schema.columns, strict=True)
    cells = [_decoded(numbers, column) for numbers, column in columns]
    if like is None:
        return _table_like_the_fitted(cells, schema)
    if filled is not None:
        return _filled(readable(like), cells, schema, filled)
    return _replaced(readable(like), cells, schema)


def _table_like_the_fitted(cells: list[Array], schema: Schema) -> Any:
    """These cells alone, in the schema's container and types."""
    if schema.container == "numpy":
        return _matrix(cells, schema)
    series = _series_of(cells, schema, schema.names, schema.container)
    frame = nw.concat([one.to_frame() for one in series], how="horizontal").to_native()
    return with_headers(frame, schema.headers)


def _filled(like: Any, cells: list[Array], schema: Schema, filled: Mask) -> Any:
    """A copy of the table with the filled ones of these cells."""
    table = table_of(like)
    places = table.places(_aligned(table, schema, reorder=True))
    new = {}
    for i, column in enumerate(schema.columns):
        where = filled[:, i]
        if not where.any():
            continue
        if table.written:
            new[places[i]] = (where, np.array(texts_by(cells[i][where], column), dtype=object))
        elif isinstance(column.format, Times) and table.container != "numpy":
            like = _filled_times(like, places[i], where, cells[i], column.format)
        else:
            new[places[i]] = (where, _in_array(cells[i], column, column.dtype)[where])
    if table.container == "numpy":
        return filled_matrix(like, new)
    return filled_frame(like, table.container, new)


def _filled_times(like: Any, place: int, where: Array, cells: Array, form: Times) -> Any:
    """A copy of the frame with these times in some rows of a column, which keeps its type."""
    table = table_of(like)
    frame = nw.from_native(like, eager_only=True)
    name = frame.columns[place]
    dtype = table.column(table.names[place]).dtype
    new = typed_times(cells, form, dtype, table.container)
    column = filled_times(frame[name].to_native(), where, new, table.container)
    if table.container == "pandas":
        result = like.copy()
        result.isetitem(place, column)
        return result
    return frame.with_columns(_named(column, name)).to_native()


def _replaced(like: Any, cells: list[Array], schema: Schema) -> Any:
    """A copy of the table with these cells in its modeled columns."""
    table = table_of(like)
    names = _aligned(table, schema, reorder=True)
    if isinstance(table.native, np.ndarray):
        matrix = _matrix(cells, schema)
        if len(names) < len(table.names):  # columns that were left out stay where they are
            part, matrix = matrix, table.native.astype(np.result_type(table.native, matrix))
            matrix[:, [table.position(name) for name in names]] = part
        return matrix.reshape(np.shape(like))
    if table.written:
        series = []
        for new, column, name in zip(cells, schema.columns, names, strict=True):
            series.append(_named(arrow_column(texts_by(new, column)), name))
    else:
        series = _series_of(cells, schema, names, table.container)
    result = table.native.with_columns(*series).to_native()
    if table.container == "pandas":  # names that are no text
        result.columns = like.columns
    return result


def _decoded(values: Values, column: Column) -> Array:
    """Cells in their natural type: float64 with NaN, or objects with None."""
    missing = np.isnan(values)
    if column.kind in LEVELED:
        last = len(column.categories) - 1
        codes = np.clip(np.rint(np.where(missing, 0, values)), 0, last).astype(np.intp)
        if isinstance(column.categories[0], str | bool):
            objects = np.array([*column.categories, None], dtype=object)
            return objects[np.where(missing, -1, codes)]
        return np.where(missing, np.nan, np.array(column.categories, dtype=np.float64)[codes])
    if column.lower is not None or column.upper is not None:
        values = np.clip(values, column.lower, column.upper)
    step = column.resolution or column.step
    if not step:
        return values
    on_grid = _on_steps(values, column.lower or 0.0, step)
    if column.kind != "pixel":
        return on_grid
    return np.where(np.abs(values - on_grid) <= 1e-4 * step, values, on_grid)


def _on_steps(values: Array, start: float, step: float, most_decimals: int = 12) -> Array:
    """The nearest whole steps from the start, as the decimal numbers they are."""
    steps = np.rint((values - start) / step)
    for decimals in range(most_decimals + 1):
        if round(step, decimals) == step and round(start, decimals) == start:
            return np.round(start + steps * step, decimals)
    per_unit = round(1 / step)  # a step of 1 / 255, say: a division is exact, a product is not
    return start + steps / per_unit


def _integer_limits(dtype: str) -> tuple[float, float] | None:
    """The ends of an integer type, by any container's name for it, as float64 within them."""
    found = re.fullmatch(r"(u?)int(\d+)(\[pyarrow\])?", dtype.lower())
    if found is None:
        return None
    bits = int(found[2])
    if found[1]:
        return 0.0, float(np.floor(np.nextafter(2.0**bits, 0)))
    return -(2.0 ** (bits - 1)), float(np.floor(np.nextafter(2.0 ** (bits - 1), 0)))


def _in_type(cells: Array, dtype: str) -> Array:
    """The cells, whole and within the type if it is one of integers."""
    limits = _integer_limits(dtype)
    if limits is None or cells.dtype == object:
        return cells
    return np.clip(np.rint(cells), *limits)


def _in_array(cells: Array, column: Column, dtype: str) -> Array:
    """The cells as an array of this type has them; times are objects."""
    if isinstance(column.format, Times):
        return typed_times(cells, column.format, column.dtype, "numpy")
    return _in_type(cells, dtype)


def _matrix(columns: list[Array], schema: Schema) -> Array:
    """Columns side by side: of the schema's type if its container is an array that holds them."""
    dtype = "float64"
    if schema.container == "numpy":
        dtype = schema.columns[0].dtype
    arrays = [_in_array(*one, dtype) for one in zip(columns, schema.columns, strict=True)]
    matrix = np.column_stack(arrays)
    if matrix.dtype == object:
        fits = dtype in ("bool", "str") and None not in matrix
    else:
        integer = _integer_limits(dtype) is not None
        fits = dtype != "object" and not (integer and np.isnan(matrix).any())
    return matrix.astype(dtype) if fits else matrix


def _series_of(
    columns: list[Array], schema: Schema, names: list[str], container: str
) -> list[Series]:
    """Columns of a frame: of their own type in the schema's container, else whatever suits."""
    make = {"pandas": _pandas_series, "polars": _polars_series, "pyarrow": _arrow_series}[container]
    series = []
    for cells, column, name in zip(columns, schema.columns, names, strict=True):
        dtype = column.dtype if container == schema.container else ""
        if isinstance(column.format, Times):
            native = typed_times(cells, column.format, dtype, container)
        else:
            native = make(_in_type(cells, dtype), column, dtype)
        series.append(_named(native, name))
    return series


def _named(native: Any, name: str) -> Series:
    return nw.from_native(native, series_only=True).alias(name)


#: Types of Arrow that pandas does not know by their names.
ARROW_ONLY = ("dictionary", "decimal", "string_view")


def _pandas_series(cells: Array, column: Column, dtype: str) -> Any:
    import pandas

    if dtype.startswith("category"):
        ordered = dtype == "category, ordered"
        return pandas.Series(pandas.Categorical(cells, column.categories, ordered=ordered))
    if dtype in ("", "object"):
        return pandas.Series(cells, dtype=dtype or None)
    if dtype.startswith(ARROW_ONLY):  # pandas cannot make these types of their names
        array = _arrow_series(cells, column, dtype.removesuffix("[pyarrow]"))
        return pandas.Series(pandas.arrays.ArrowExtensionArray(array))
    if pandas.isna(cells).any():
        if dtype == "bool":
            dtype = "boolean"
        elif re.fullmatch(r"u?int\d+", dtype):
            dtype = dtype.replace("uint", "UInt").replace("int", "Int")
    return pandas.Series(cells).astype(dtype)


def _arrow_series(cells: Array, column: Column, dtype: str) -> Any:
    import pyarrow

    array = pyarrow.array(cells, from_pandas=True)  # None and NaN are null
    encoded = re.match(r"dictionary<values=(\w+)", dtype)
    name = encoded[1] if encoded else dtype
    if name and not name.startswith("decimal"):
        array = array.cast(pyarrow.type_for_alias(name))
    if encoded:
        array = array.dictionary_encode()
    return pyarrow.chunked_array([array])


def _polars_series(cells: Array, column: Column, dtype: str) -> Any:
    import polars

    content = cells.tolist() if cells.dtype == object else cells
    series = polars.Series(content, nan_to_null=True, strict=False)
    if dtype.startswith("Enum"):
        return series.cast(polars.Enum(map(str, column.categories)))
    kind = getattr(polars, dtype.partition("(")[0], None)
    if kind is None or dtype.startswith(("Decimal", "Object")):
        return series
    return series.cast(kind)
