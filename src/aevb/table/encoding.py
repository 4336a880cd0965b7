"""From a table to the float64 values a model sees, and back to the table it came from."""

import re
import warnings
from collections.abc import Iterable
from typing import Any, Literal

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from aevb.errors import AevbWarning, DataError
from aevb.table.schema import LEVELED, Column, Schema
from aevb.table.support import check_finite, check_support
from aevb.table.tables import Cells, Table, table_of

__all__ = ["decode", "encode"]

Array = NDArray[np.float64]


# Encoding


def encode(
    data: Any, schema: Schema, *, reorder: bool = False, inf: Literal["error", "missing"] = "error"
) -> NDArray[np.float64]:
    """The values of a table, shape (rows, columns of the schema), float64.

    Numbers stay as they are, levels become their index, missing cells (NaN, None, pd.NA, NaT,
    masked) become NaN. In a data frame ``''``, null and ``'NA'`` are three different things: two
    texts and a missing cell. Arrays have no names: their columns are taken by position.

    Parameters
    ----------
    data
        An array or a frame with the columns of the schema.
    reorder
        Take the columns by name whatever their order; otherwise another order is an error.
    inf
        ``"missing"`` counts infinite cells as missing; by default they are an error.

    Raises
    ------
    DataError
        Columns are missing, in another order or of another type; an infinite cell; a number float64
        would round; a value the column's kind cannot hold.

    Warns
    -----
    AevbWarning
        Levels the schema does not know (they become missing) and columns it does not know (left
        alone).

    Examples
    --------
    >>> from aevb.table import infer
    >>> rows = [[0.5, "red"], [1.5, "blue"], [0.1, None], [2.5, "red"]]
    >>> encode(rows, infer(rows))
    array([[0.5, 1. ],
           [1.5, 0. ],
           [0.1, nan],
           [2.5, 1. ]])
    """
    table = table_of(data)
    names = _aligned(table, schema, reorder)
    values = np.empty((table.rows, len(schema)), order="F")  # columns are filled one by one
    unseen: dict[str, list[Any]] = {}
    for i, (name, column) in enumerate(zip(names, schema.columns, strict=True)):
        values[:, i] = _encoded(check_finite(table.column(name), inf), column, unseen)
    if unseen:
        listed = "; ".join(f"{name}: {_some(map(repr, levels))}" for name, levels in unseen.items())
        warnings.warn(
            f"levels not met when the model was fitted count as missing: {listed}",
            AevbWarning,
            stacklevel=2,
        )
    return values


def _some(words: Iterable[str], most: int = 10) -> str:
    words = list(words)
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def _aligned(table: Table, schema: Schema, reorder: bool, *, warn: bool = True) -> list[str]:
    """The table's name for each column of the schema."""
    expected, present = schema.names, table.names
    if "numpy" in (table.container, schema.container) and len(present) == len(expected):
        return list(present)  # arrays have no names: positions count
    if table.container == "numpy" and set(expected) - set(present):
        raise DataError(
            f"expected {len(expected)} columns, got {len(present)}: give the columns of the fitted data"
        )
    missing = [name for name in expected if name not in present]
    if missing:
        raise DataError(
            f"expected all columns of the fitted data, got none named {_some(map(repr, missing))}"
        )
    order = [name for name in present if name in set(expected)]
    if order != expected and not reorder:
        first = next(
            i for i, (is_, ought) in enumerate(zip(order, expected, strict=True)) if is_ != ought
        )
        raise DataError(
            f"expected the columns in the order of the fitted data, got {order[first]!r} where {expected[first]!r} "
            "should be: reorder them"
        )
    extra = [name for name in present if name not in {*expected, *schema.ignored}]
    if extra and warn:
        warnings.warn(
            f"columns the model does not know are left alone: {_some(extra)}",
            AevbWarning,
            stacklevel=3,
        )
    return expected


def _encoded(cells: Cells, column: Column, unseen: dict[str, list[Any]]) -> Array:
    if cells.family == "empty":
        return cells.values
    _check_family(cells, column)
    if column.kind not in LEVELED:
        check_support(column, cells.numbers)
        return cells.numbers
    codes, levels = (
        _level_codes(cells, column) if cells.levels else _number_codes(cells.values, column)
    )
    if levels:
        unseen[column.name] = levels
    return codes


def _check_family(cells: Cells, column: Column) -> None:
    """The cells are of the type the column was fitted to; numbers may stand for booleans."""
    types = {type(level) for level in column.categories}
    fitted = "text" if str in types else "boolean" if bool in types else "number"
    if cells.family != fitted and (cells.family, fitted) != ("number", "boolean"):
        was, now = (
            family if family == "text" else f"{family}s" for family in (fitted, cells.family)
        )
        found = (
            f"values of type {cells.dtype}"
            if cells.family == "unsupported"
            else f"{now} ({cells.dtype})"
        )
        raise DataError(
            f"column {column.name!r}: expected {was}, as in the fitted data, got {found}: convert it"
        )


def _level_codes(cells: Cells, column: Column) -> tuple[Array, list[Any]]:
    """Codes of the cells' own levels, said in the column's."""
    code = {level: float(i) for i, level in enumerate(column.categories)}
    translated = np.array([*(code.get(level, np.nan) for level in cells.levels), np.nan])
    missing = np.isnan(cells.values)
    used = np.unique(cells.values[~missing]).astype(np.intp)
    unseen = [cells.levels[i] for i in used if np.isnan(translated[i])]
    return translated[np.where(missing, len(cells.levels), cells.values).astype(np.intp)], unseen


def _number_codes(numbers: Array, column: Column) -> tuple[Array, list[Any]]:
    """The level each number is: exactly for whole levels, to the precision of float32 for others."""
    levels = np.array(column.categories, dtype=np.float64)
    order = np.argsort(levels)
    middles = (levels[order][1:] + levels[order][:-1]) / 2
    codes = order[np.searchsorted(middles, numbers)]
    tolerance = 0.0 if (levels == np.rint(levels)).all() else 2.0**-22
    known = np.abs(levels[codes] - numbers) <= tolerance * np.abs(levels[codes])
    unseen = np.unique(numbers[~known & ~np.isnan(numbers)])
    return np.where(known, codes, np.nan), [float(level) for level in unseen]


# Decoding


def decode(values: NDArray[np.float64], schema: Schema, like: Any = None) -> Any:
    """The table that has these values: the container, columns, types and categories the schema was
    inferred from.

    Levels are looked up, whole-number columns rounded to whole numbers (also where their type is a
    float), values clipped to their column's support. Missing cells are as missing as the type
    allows: null, or NaN; integers with missing cells become nullable integers in pandas and floats
    in arrays. Decimals come back as floats.

    Parameters
    ----------
    values
        Shape (rows, columns of the schema).
    like
        The table the rows came from: the result is its copy (its container, index, order and shape)
        with the modelled columns replaced, so that ignored columns are carried through.

    Examples
    --------
    >>> from aevb.table import infer
    >>> rows = np.array([[1, 10], [2, 20], [3, 20]])
    >>> decode(np.array([[2.2, 1.0]]), infer(rows))
    array([[ 2, 20]])
    """
    table = None if like is None else table_of(like)
    container = schema.container if table is None else table.container
    names = schema.names if table is None else _aligned(table, schema, reorder=True, warn=False)
    same = container == schema.container
    decoded = [_decoded(values[:, i], column) for i, column in enumerate(schema.columns)]
    if container == "numpy":
        return _array(decoded, schema, table, names, like)
    series = [
        _series(container, name, cells, column, column.dtype if same else "")
        for name, cells, column in zip(names, decoded, schema.columns, strict=True)
    ]
    if table is None:
        return nw.concat([one.to_frame() for one in series], how="horizontal").to_native()
    result = table.native.with_columns(*series).to_native()
    return result.set_axis(like.columns, axis=1) if container == "pandas" else result


def _decoded(values: Array, column: Column) -> NDArray[Any]:
    """Cells in their natural type: float64 with NaN, or objects with None."""
    missing = np.isnan(values)
    if column.kind in LEVELED:
        codes = np.clip(
            np.rint(np.where(missing, 0, values)), 0, len(column.categories) - 1
        ).astype(np.intp)
        if isinstance(column.categories[0], str | bool):
            objects = np.array([*column.categories, None], dtype=object)
            return objects[np.where(missing, len(column.categories), codes)]
        return np.where(missing, np.nan, np.array(column.categories, dtype=np.float64)[codes])
    clipped = (
        np.clip(values, column.lower, column.upper)
        if (column.lower, column.upper) != (None, None)
        else values
    )
    if not column.resolution:
        return clipped
    steps = round(
        1 / column.resolution
    )  # a division is exact to the last bit where a product is not
    on_grid = np.rint(clipped * steps) / steps
    return np.where(np.abs(clipped - on_grid) <= 1e-4 / steps, clipped, on_grid)


def _integer_limits(dtype: str) -> tuple[float, float] | None:
    """The ends of an integer type by any container's name for it."""
    found = re.fullmatch(r"(u?)int(\d+)(\[pyarrow\])?", dtype.lower())
    if found is None:
        return None
    unsigned, bits = bool(found[1]), int(found[2])
    end = 2.0**bits if unsigned else 2.0 ** (bits - 1)
    return 0.0 if unsigned else -end, float(
        np.floor(np.nextafter(end, 0))
    )  # the greatest float64 below the end


def _integers(cells: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The cells, whole and within the integer type where the type is one."""
    limits = _integer_limits(dtype)
    return cells if limits is None or cells.dtype == object else np.clip(np.rint(cells), *limits)


def _array(
    decoded: list[NDArray[Any]], schema: Schema, table: Table | None, names: list[str], like: Any
) -> NDArray[Any]:
    dtype = schema.columns[0].dtype if schema.container == "numpy" else "float64"
    if any(cells.dtype == object for cells in decoded):
        whole = np.array([cells.astype(object) for cells in decoded]).T
        if dtype in ("bool", "str") and not any(None in cells for cells in decoded):
            whole = whole.astype(dtype)
    else:
        whole = np.array([_integers(cells, dtype) for cells in decoded]).T
        if dtype != "object" and not (_integer_limits(dtype) and np.isnan(whole).any()):
            whole = whole.astype(dtype)
    if table is None:
        return whole
    if len(names) < len(table.names):  # columns that were left out, kept where they are
        full = table.native.astype(np.result_type(table.native.dtype, whole.dtype))
        full[:, [table.names.index(name) for name in names]] = whole
        whole = full
    return whole.reshape(np.asarray(like).shape)


def _series(
    container: str, name: str, cells: NDArray[Any], column: Column, dtype: str
) -> "nw.Series[Any]":
    """A column of a frame, in the type its container knows by this name ('': whatever suits the
    cells).
    """
    cells = _integers(cells, dtype)
    native = {"pandas": _pandas_series, "polars": _polars_series, "pyarrow": _arrow_series}[
        container
    ]
    series: nw.Series[Any] = nw.from_native(native(cells, column, dtype), series_only=True)
    return series.alias(name)


def _pandas_series(cells: NDArray[Any], column: Column, dtype: str) -> Any:
    import pandas

    if dtype.startswith("category"):
        return pandas.Series(
            pandas.Categorical(cells, column.categories, ordered="ordered" in dtype)
        )
    missing = pandas.isna(cells)
    if missing.any() and (dtype == "bool" or (_integer_limits(dtype) and dtype.islower())):
        dtype = "boolean" if dtype == "bool" else dtype.replace("int", "Int").replace("uI", "UI")
    if dtype in ("", "object"):
        return pandas.Series(cells, dtype=dtype or None)
    return pandas.Series(cells, dtype=None if cells.dtype == object else "float64").astype(dtype)


def _arrow_series(cells: NDArray[Any], column: Column, dtype: str) -> Any:
    import pyarrow

    array = pyarrow.array(cells, from_pandas=True)  # None and NaN are null
    encoded = re.match(r"dictionary<values=(\w+)", dtype)
    name = encoded[1] if encoded else dtype
    if name and not name.startswith("decimal"):
        array = array.cast(pyarrow.type_for_alias(name))
    return pyarrow.chunked_array([array.dictionary_encode() if encoded else array])


def _polars_series(cells: NDArray[Any], column: Column, dtype: str) -> Any:
    import polars

    series = polars.Series(
        cells.tolist() if cells.dtype == object else cells, nan_to_null=True, strict=False
    )
    kind = getattr(polars, dtype.partition("(")[0], None)
    if kind is None or dtype.startswith(("Decimal", "Object")):
        return series
    return series.cast(polars.Enum(column.categories) if dtype.startswith("Enum") else kind)
