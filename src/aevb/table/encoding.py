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
from aevb.table.headers import with_headers
from aevb.table.schema import LEVELED, Column, Level, Schema, Values
from aevb.table.tables import Cells, Inf, Series, Table, TableLike, positions_of, table_of

__all__ = ["decode", "encode", "missing_cells"]

Mask = NDArray[np.bool_]

# Encoding


def encode(data: TableLike, schema: Schema, *, reorder: bool = False, inf: Inf = "error") -> Values:
    """Encode a table as values, shape (rows, columns of the schema), float64.

    Numbers stay as they are, levels become their index, missing cells (NaN, None, pd.NA, NaT,
    masked) become NaN. In a data frame ``''``, null and ``'NA'`` are three different things: two
    texts and a missing cell. Arrays have no names: their columns are taken by position; those of
    frames must be in order, or are taken by name if `reorder`. With ``inf="missing"`` infinite
    cells are missing. Levels that the schema does not know are missing and columns that it does
    not know are left alone, each with an `AevbWarning`.

    `DataError` if columns are missing, in another order or of another type, or a cell is infinite,
    a number that float64 would round, or one that the column's kind cannot hold.

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
        _warn(f"columns the model does not know are left alone: {listed(extra)}")
    values = np.empty((len(table), len(schema)), order="F")  # columns are filled one by one
    unseen = []
    for i, (name, column) in enumerate(zip(names, schema.columns, strict=True)):
        cells = table.column(name).finite(inf)
        values[:, i] = _encoded(cells, column)
        if new := cells.distinct(np.isnan(values[:, i])):
            unseen.append(f"{column.name}: {listed(map(repr, new))}")
    if unseen:
        levels = "; ".join(unseen)
        _warn(f"levels not met when the model was fitted count as missing: {levels}")
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
    columns = [np.isnan(table.column(name).finite(inf).values) for name in names]
    return np.column_stack(columns)


def _warn(message: str) -> None:
    warnings.warn(message, AevbWarning, stacklevel=3)


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


def _encoded(cells: Cells, column: Column) -> Values:
    if cells.family == "empty":
        return cells.values
    _check_family(cells, column)
    if column.kind not in LEVELED:
        column.check_support(cells.values)
        return cells.values
    if cells.family != "text":
        return _codes(cells.values, column.categories)
    codes = np.append(positions_of(cells.levels, column.categories), np.nan)
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
    if str in types:
        fitted = "text"
    elif bool in types:
        fitted = "boolean"
    if cells.family == fitted or (cells.family, fitted) == ("number", "boolean"):
        return
    plural = {"text": "text", "boolean": "booleans", "number": "numbers"}
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
        if filled[:, i].any():
            new[places[i]] = (filled[:, i], _in_type(cells[i], column.dtype)[filled[:, i]])
    if table.container == "numpy":
        return filled_matrix(like, new)
    return filled_frame(like, table.container, new)


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
    if not column.resolution:
        return values
    steps = round(1 / column.resolution)  # a division is exact where a product is not
    on_grid = np.rint(values * steps) / steps
    return np.where(np.abs(values - on_grid) <= 1e-4 / steps, values, on_grid)


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


def _matrix(columns: list[Array], schema: Schema) -> Array:
    """Columns side by side: of the schema's type if its container is an array that holds them."""
    dtype = "float64"
    if schema.container == "numpy":
        dtype = schema.columns[0].dtype
    matrix = np.column_stack([_in_type(cells, dtype) for cells in columns])
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
        native = make(_in_type(cells, dtype), column, dtype)
        series.append(nw.from_native(native, series_only=True).alias(name))
    return series


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
