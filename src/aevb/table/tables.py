"""One way to look at every table: a name, a type and the cells of each column.

Supported columns are numbers (integers, floats, decimals, all exactly held by float64), booleans,
text, and categoricals of any of these. Dates, durations, binary, lists and structs have no
likelihood: they are left out by name, or turned into numbers first.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import compress
from typing import Any, Literal

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from aevb.errors import DataError

__all__ = ["Cells", "Table", "is_frame", "table_of"]

Array = NDArray[np.float64]
Family = Literal["number", "text", "boolean", "empty", "unsupported"]
Number = int | float | np.integer | np.floating | Decimal
#: Integers up to here are all held by float64.
EXACT = 2**53


@dataclass(frozen=True)
class Cells:
    """The cells of one column: float64 values, or codes into `levels`; NaN where missing.

    Parameters
    ----------
    name, dtype
        The column's name, and its type as its container calls it.
    family
        What the cells (the levels of a categorical) are: numbers, text, booleans, nothing at all,
        or unsupported.
    values
        Shape (rows,): numbers, or codes where there are levels.
    levels
        Plain Python levels: sorted where they were observed, in the declared order of a
        categorical.
    declared, ordered
        Whether the levels (and their order) are part of the column's type.
    """

    name: str
    dtype: str
    family: Family
    values: Array
    levels: tuple[Any, ...] = ()
    declared: bool = False
    ordered: bool = False

    @property
    def numbers(self) -> Array:
        """The cells as numbers, also where they are held as codes of numeric levels."""
        return (
            _lookup(self.values, np.array(self.levels, dtype=np.float64))
            if self.levels
            else self.values
        )

    @property
    def finite(self) -> "Cells":
        """The same cells of numbers, the infinite ones missing, and no level infinite."""
        if not self.levels:
            return replace(self, values=np.where(np.isinf(self.values), np.nan, self.values))
        kept = np.isfinite(np.array(self.levels, dtype=np.float64))
        codes = np.where(kept, np.cumsum(kept) - 1.0, np.nan)
        return replace(
            self, values=_lookup(self.values, codes), levels=tuple(compress(self.levels, kept))
        )


@dataclass(frozen=True)
class Table:
    """A table of any kind: the names of its columns, its container, and its cells by name."""

    names: tuple[str, ...]
    container: str
    rows: int
    native: Any
    column: Callable[[str], Cells]


def table_of(data: Any) -> Table:
    """A table of an array, nested lists, or a frame of pandas, polars or pyarrow.

    Raises `DataError` where there are no rows or columns, where names repeat, or where it is no
    table at all.
    """
    table = _frame_table(data) if is_frame(data) else _array_table(_array_of(data))
    if not table.names or not table.rows:
        raise DataError(
            f"expected rows and columns of data, got {table.rows} rows and {len(table.names)} columns: an empty table"
        )
    return table


def _lookup(codes: Array, table: Array) -> Array:
    """table[codes], NaN for the codes that are NaN."""
    return np.append(table, np.nan)[np.where(np.isnan(codes), len(table), codes).astype(np.intp)]


# Arrays


def _array_of(data: Any) -> NDArray[Any]:
    """A 2-D array: images flattened, masked cells missing."""
    if hasattr(data, "tocsr"):
        raise DataError(
            f"expected a dense array, got a sparse {type(data).__name__}: pass .toarray()"
        )
    try:
        array = np.ma.asarray(data) if isinstance(data, np.ma.MaskedArray) else np.asarray(data)
        if array.dtype.kind in "US" and not hasattr(
            data, "dtype"
        ):  # lists of numbers and text would all become text
            array = np.array(data, dtype=object)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"expected a table or an array, got {type(data).__name__}: {error}"
        ) from error
    if array.ndim not in (2, 3, 4):
        raise DataError(
            f"expected 2 axes (rows, columns), or 3 or 4 for images, got {array.ndim}: "
            "reshape one row with .reshape(1, -1), one column with .reshape(-1, 1)"
        )
    if array.dtype.kind not in "biufOUT":
        raise DataError(
            f"expected numbers or text, got an array of {array.dtype}: convert it first"
        )
    array = array.reshape(len(array), math.prod(array.shape[1:]))
    return _filled(array) if isinstance(array, np.ma.MaskedArray) else array


def _filled(array: Any) -> NDArray[Any]:
    """The masked cells missing: NaN among floats, None among others."""
    filled: NDArray[Any] = array.data.astype(array.dtype if array.dtype.kind == "f" else object)
    filled[np.ma.getmaskarray(array)] = np.nan if array.dtype.kind == "f" else None
    return filled


def _array_table(array: NDArray[Any]) -> Table:
    names = tuple(f"x{i}" for i in range(array.shape[1]))
    position = {name: i for i, name in enumerate(names)}

    def column(name: str) -> Cells:
        part, dtype = array[:, position[name]], array.dtype.name
        if array.dtype.kind in "iuf":
            return Cells(name, dtype, "number", _exact(part, name))
        if array.dtype.kind == "b":
            return Cells(name, dtype, "boolean", part.astype(np.float64), (False, True))
        return _from_objects(name, "object" if dtype == "object" else "str", part.tolist())

    return Table(names, "numpy", len(array), array, column)


def _exact(raw: NDArray[Any], name: str) -> Array:
    """The same numbers in float64; `DataError` where that would round an integer."""
    values = raw.astype(np.float64)
    if raw.dtype.kind in "iu" and raw.dtype.itemsize >= 8:
        for row in np.flatnonzero((raw > EXACT) | (raw < -EXACT)):
            if int(values[row]) != int(raw[row]):
                raise _rounded(name, int(row), int(raw[row]))
    return values


def _rounded(name: str, row: int, cell: object) -> DataError:
    return DataError(
        f"column {name!r}, row {row} (counting from 0): {cell} is not held exactly by float64: "
        "turn the column into text or smaller numbers, or leave it out",
        hint={"ignore": [name]},
    )


# Frames


def is_frame(data: Any) -> bool:
    """Whether these are named columns of pandas, polars or pyarrow."""
    root = type(data).__module__.partition(".")[0]
    return root in ("pandas", "polars", "pyarrow", "narwhals") and not isinstance(data, np.ndarray)


def _frame_table(data: Any) -> Table:
    native = nw.to_native(data, pass_through=True)
    container = type(native).__module__.partition(".")[0]
    if hasattr(native, "collect"):
        raise DataError(
            f"expected a data frame, got a {type(native).__name__}: call .collect() first"
        )
    labels: Sequence[Any] = (
        native.column_names if container == "pyarrow" else list(getattr(native, "columns", ()))
    )
    names = tuple(str(label) for label in labels)
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise DataError(
            f"expected each column name once, got {', '.join(map(repr, twice))} twice: rename the columns"
        )
    if container == "pandas" and hasattr(native, "set_axis") and names:
        native = native.set_axis(list(names), axis=1)
    try:
        frame = nw.from_native(native, eager_only=True)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"expected a data frame, got {type(data).__name__}: pass a frame of two axes"
        ) from error
    return Table(
        names, container, len(frame), frame, lambda name: _series_cells(frame[name], container)
    )


def _native_dtype(series: "nw.Series[Any]", container: str) -> str:
    native = series.to_native()
    if container == "pandas" and str(native.dtype) == "category":
        return "category, ordered" if native.cat.ordered else "category"
    return str(native.type if container == "pyarrow" else native.dtype)


def _series_cells(series: "nw.Series[Any]", container: str) -> Cells:
    name, dtype, kind = series.name, _native_dtype(series, container), series.dtype
    missing = series.is_null().to_numpy().astype(bool)
    if missing.all():
        return Cells(name, dtype, "empty", np.full(len(missing), np.nan))
    if kind in (nw.Categorical, nw.Enum):
        return _categorical_cells(series, container, dtype)
    if kind == nw.Boolean:
        values = series.fill_null(False).to_numpy().astype(np.float64)
        return Cells(name, dtype, "boolean", np.where(missing, np.nan, values), (False, True))
    if (kind.is_integer() and kind not in (nw.Int128, nw.UInt128)) or kind.is_float():
        numbers = _exact(series.fill_null(0).to_numpy(), name)
        return Cells(name, dtype, "number", np.where(missing, np.nan, numbers))
    if kind in (nw.String, nw.Object, nw.Decimal, nw.Int128, nw.UInt128):
        return _from_objects(name, dtype, series.to_list())
    return Cells(name, dtype, "unsupported", np.empty(0))


def _categorical_cells(series: "nw.Series[Any]", container: str, dtype: str) -> Cells:
    """Levels in the declared order where the type declares them; their codes."""
    items = _marked(series.to_list())
    observed = _from_objects(series.name, dtype, items)
    if container == "pandas":
        declared = [_plain(level) for level in series.to_native().cat.categories.tolist()]
    elif isinstance(series.dtype, nw.Enum):
        declared = list(series.dtype.categories)
    else:
        declared = []  # Polars and Arrow keep a dictionary, which says nothing about which levels there are
    if observed.family == "number" and not observed.levels:
        levels = sorted({_plain(item) for item in items if item is not None})
        observed = Cells(series.name, dtype, "number", _codes(items, levels), tuple(levels))
    if not declared or observed.family == "unsupported":
        return observed
    ordered = container == "pandas" and "ordered" in dtype
    codes = _codes(items, declared)
    return Cells(
        series.name, dtype, observed.family, codes, tuple(declared), declared=True, ordered=ordered
    )


# Python objects


def _is_missing(item: object) -> bool:
    if item is None or item is np.ma.masked or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, float | np.floating | Decimal) and math.isnan(item)


def _plain(item: Any) -> Any:
    return item.item() if isinstance(item, np.generic) else item


def _marked(items: list[Any]) -> list[Any]:
    """The items, None for every way of being missing."""
    if set(map(type, items)) <= {str, type(None)}:
        return items
    return [None if _is_missing(item) else item for item in items]


def _codes(items: Iterable[Any], levels: Sequence[Any]) -> Array:
    code = {None: np.nan} | {level: float(i) for i, level in enumerate(levels)}
    return np.array([code[item] for item in items])


def _from_objects(name: str, dtype: str, items: list[Any]) -> Cells:
    """The cells of a column of Python objects, all of one family."""
    items = _marked(items)
    kinds = set(map(type, items)) - {type(None)}
    if not kinds:
        return Cells(name, dtype, "empty", np.full(len(items), np.nan))
    if all(issubclass(kind, str) for kind in kinds):
        levels = sorted(str(item) for item in set(items) - {None})
        return Cells(name, dtype, "text", _codes(items, levels), tuple(levels))
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return Cells(name, dtype, "boolean", _codes(items, (False, True)), (False, True))
    if bool not in kinds and all(issubclass(kind, Number) for kind in kinds):
        numbers = [
            np.nan if item is None else _number(name, i, item) for i, item in enumerate(items)
        ]
        return Cells(name, dtype, "number", np.array(numbers, dtype=np.float64))
    mixture = " and ".join(sorted(kind.__name__ for kind in kinds))
    return Cells(name, f"{dtype} of {mixture}", "unsupported", np.empty(0))


def _number(name: str, row: int, item: Any) -> float:
    """The float64 that holds an integer exactly, or a decimal to all its digits."""
    try:
        value = float(item)
    except OverflowError:
        raise _rounded(name, row, item) from None
    held = Decimal(repr(value)) == item if isinstance(item, Decimal) else value == item
    if not held:
        raise _rounded(name, row, item)
    return value
