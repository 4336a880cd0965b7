"""One way to look at every table: a name, a type and the cells of each column.

Supported columns are numbers (integers, floats, decimals, all exactly held by float64), booleans,
text, categoricals of any of these, and dates, times and durations, which count time. Binary, lists
and structs have no likelihood: they are left out by name, or turned into numbers first.
"""

import contextlib
import enum
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import narwhals as nw
import numpy as np
from narwhals.typing import IntoDataFrame
from numpy.typing import ArrayLike, NDArray

from aevb.errors import DataError
from aevb.table.containers import Array, is_frame, library_of, readable
from aevb.table.formats import Format
from aevb.table.moments import times_of
from aevb.table.schema import Level, Values
from aevb.table.texts import Distinct

__all__ = [
    "WRITTEN",
    "Cells",
    "Frame",
    "Table",
    "TableLike",
    "fingerprint",
    "is_frame",
    "table_of",
]

Inf = Literal["error", "missing"]
Family = Literal["number", "text", "boolean", "time", "empty", "unsupported"]
Frame: TypeAlias = nw.DataFrame[Any]
Series: TypeAlias = nw.Series[Any]
#: A frame, an array, or nested lists; see `aevb.table.containers.readable`.
TableLike: TypeAlias = IntoDataFrame | ArrayLike
#: The metadata of an Arrow table whose cells are text as written in a file, null where empty.
WRITTEN = {b"aevb": b"written"}


@dataclass(frozen=True)
class Cells:
    """The cells of one column.

    Parameters
    ----------
    name, dtype
        The column's name, and its type as its container calls it.
    family
        What the cells are: numbers, text, booleans, nothing at all, or unsupported.
    values
        Shape (rows,): numbers, 0 and 1 of booleans, positions of text in `levels`; NaN if missing.
    levels
        Levels of text, booleans and categoricals: sorted, unless a categorical declares an order.
    ordered
        Whether the column's type declares that the order of its levels means something.
    format
        How the cells are written, if they are text from a file, or count time.
    """

    name: str
    dtype: str
    family: Family
    values: Values
    levels: tuple[Level, ...] = ()
    ordered: bool = False
    format: Format | None = None

    def finite(self, inf: Inf = "error") -> "Cells":
        """The cells if they are finite; else with infinite ones missing, or a `DataError`."""
        infinite = np.isinf(self.values)
        if not infinite.any():
            return self
        row = int(np.argmax(infinite))
        if inf == "error":
            raise DataError(
                f"column {self.name!r}, row {row} (counting from 0): expected a finite number, got "
                f"{self.values[row]}: replace it, leave the cell empty, or count it as missing",
                hint={"inf": "missing"},
            )
        levels = tuple(level for level in self.levels if np.isfinite(level))
        return replace(self, values=np.where(infinite, np.nan, self.values), levels=levels)

    def distinct(self, rows: NDArray[np.bool_]) -> list[Level]:
        """The distinct numbers or texts of some rows, in ascending order."""
        found = np.unique(self.values[rows & ~np.isnan(self.values)])
        if self.family == "text":
            return [self.levels[int(i)] for i in found]
        return found.tolist()


@dataclass(frozen=True)
class Table:
    """A table of any kind: the names of its columns as text, its container, and its cells."""

    names: tuple[str, ...]
    container: str
    native: Frame | Array
    found: dict[str, Distinct] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.native)

    @property
    def written(self) -> bool:
        """Whether the cells are text as written in a file."""
        if isinstance(self.native, np.ndarray) or self.container != "pyarrow":
            return False
        metadata = self.native.to_native().schema.metadata or {}
        return WRITTEN.items() <= metadata.items()

    def texts(self, name: str) -> Distinct:
        """The texts of one column of a written table, which are kept: they take long to find."""
        if name not in self.found:
            series: Any = self.native[name]
            self.found[name] = Distinct.of(series.to_native())
        return self.found[name]

    def column(self, name: str) -> Cells:
        """The cells of one column."""
        if isinstance(self.native, np.ndarray):
            return _array_cells(name, self.native[:, self.position(name)])
        return _series_cells(self.native[name], self.container)

    def items(self, name: str) -> list[object]:
        """The cells of one column as Python objects."""
        if isinstance(self.native, np.ndarray):
            return self.native[:, self.position(name)].tolist()
        return self.native[name].to_list()

    def places(self, names: Iterable[str]) -> list[int]:
        """The places of some columns among all of them."""
        place = {name: i for i, name in enumerate(self.names)}
        return [place[name] for name in names]

    @staticmethod
    def position(name: str) -> int:
        """The position of an array's column."""
        return int(name.removeprefix("x"))


def table_of(data: TableLike) -> Table:
    """A table of an array, nested lists, or a frame of pandas, polars or pyarrow.

    Raises `DataError` if there are no rows or columns, if names repeat, or if it is no table.
    """
    data = readable(data)
    if is_frame(data):
        table = _frame_table(data)
    else:
        array = _array_of(data)
        names = tuple(f"x{i}" for i in range(array.shape[1]))
        table = Table(names, "numpy", array)
    if not table.names or not len(table):
        size = f"{len(table)} rows and {len(table.names)} columns"
        raise DataError(f"expected rows and columns of data, got {size}: an empty table")
    return table


def fingerprint(data: TableLike) -> dict[str, int | str]:
    """``rows``, ``columns`` and ``sha256`` of a table: of its names, its cells and their order.

    Numbers, text and booleans have the same fingerprint in a frame of pandas, polars or pyarrow;
    an array's depends on its type too.

    >>> fingerprint(np.zeros((2, 3), np.uint8))["sha256"][:8]
    'eeead995'
    """
    table = table_of(data)
    native, shape = table.native, (len(table), len(table.names))
    digest = hashlib.sha256(repr(shape).encode())
    if isinstance(native, np.ndarray) and native.dtype.kind in "biuf":
        digest.update(native.dtype.str.encode())
        digest.update(np.ascontiguousarray(native).data)
    else:
        for name in table.names:
            digest.update(ascii(name).encode())
            digest.update(_cell_bytes(table, name))
    return {"rows": shape[0], "columns": shape[1], "sha256": digest.hexdigest()}


def _cell_bytes(table: Table, name: str) -> bytes:
    """The levels and values of a column; the text of its Python objects if no model can hold it."""
    family = "unsupported"
    # A number that float64 would round may stand in a column to ignore.
    with contextlib.suppress(DataError):
        cells = table.column(name)
        family = cells.family
    if family == "unsupported":
        return ascii(table.items(name)).encode()
    values = cells.values
    if cells.levels and family != "text":
        values = positions_of(values, cells.levels)
    values = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, one zero
    return ascii((family, cells.levels)).encode() + values.tobytes()


# Arrays


def _array_of(data: object) -> Array:
    """A 2-D array: images flattened, masked cells missing."""
    kind = type(data).__name__
    try:
        array = np.asarray(data)
        if array.dtype.kind in "US" and not hasattr(data, "dtype"):
            array = np.array(data, dtype=object)  # numbers beside text stay numbers
    except Exception as error:  # a cell's own class may raise anything
        raise DataError(f"expected a table or an array, got {kind}: {error}") from error
    if array.ndim not in (2, 3, 4):
        raise DataError(
            f"expected 2 axes (rows, columns), or 3 or 4 for images, got {array.ndim}: "
            "reshape one row with .reshape(1, -1), one column with .reshape(-1, 1)"
        )
    if array.dtype.kind not in "biufOUT":
        raise DataError(
            f"expected numbers or text, got an array of {array.dtype}: convert it first"
        )
    if isinstance(data, np.ma.MaskedArray):
        array = array.astype(array.dtype if array.dtype.kind == "f" else object)
        array[np.ma.getmaskarray(data)] = None  # NaN among floats
    return array.reshape(len(array), math.prod(array.shape[1:]))


def _array_cells(name: str, cells: Array) -> Cells:
    dtype = cells.dtype.name
    if cells.dtype.kind in "iuf":
        return Cells(name, dtype, "number", _exact(cells, name))
    if cells.dtype.kind == "b":
        return Cells(name, dtype, "boolean", cells.astype(np.float64), (False, True))
    if cells.dtype.kind != "O":
        dtype = "str"
    return _object_cells(name, dtype, cells.tolist())


def _exact(numbers: Array, name: str) -> Values:
    """The same numbers in float64; `DataError` if that would round an integer."""
    values = numbers.astype(np.float64)
    if numbers.dtype.kind in "iu" and (np.abs(values) >= 2**53).any():
        return _numbers(name, numbers.tolist())
    return values


# Frames


def _frame_table(native: Any) -> Table:
    container, kind = library_of(native), type(native).__name__
    labels = getattr(native, "columns", ())
    if container == "pyarrow":
        labels = getattr(native, "column_names", ())
    names = tuple(map(str, labels))
    twice = [repr(name) for name, times in Counter(names).items() if times > 1]
    if twice:
        listed = ", ".join(sorted(twice))
        raise DataError(f"expected each column name once, got {listed} twice: rename the columns")
    if container == "pandas" and names:
        native = _plain_pandas(native.set_axis(list(names), axis=1))
    try:
        return Table(names, container, nw.from_native(native, eager_only=True))
    except (TypeError, ValueError) as error:
        raise DataError(f"expected a data frame, got {kind}: pass a frame of two axes") from error


def _plain_pandas(frame: Any) -> Any:
    """The frame without what only pandas has: sparse columns, numbers in a foreign byte order."""
    plain: dict[str, Any] = {}
    for name, dtype in frame.dtypes.items():
        if str(dtype).startswith("Sparse"):
            plain[name] = dtype.subtype
        elif isinstance(dtype, np.dtype) and not dtype.isnative:
            plain[name] = dtype.newbyteorder("=")
    return frame.astype(plain) if plain else frame


def _series_cells(series: Series, container: str) -> Cells:
    name, dtype, kind = series.name, _native_dtype(series, container), series.dtype
    missing = series.is_null().to_numpy().astype(bool)
    if missing.all():
        return Cells(name, dtype, "empty", np.full(len(missing), np.nan))
    if kind in (nw.Categorical, nw.Enum):
        return _categorical_cells(series, container, dtype)
    of_objects = kind in (nw.String, nw.Object, nw.Decimal, nw.Int128, nw.UInt128)
    if of_objects or dtype.startswith("decimal"):
        return _object_cells(name, dtype, series.to_list())
    if kind == nw.Boolean:
        flags = series.fill_null(False).to_numpy().astype(np.float64)
        return Cells(name, dtype, "boolean", np.where(missing, np.nan, flags), (False, True))
    if kind.is_numeric():
        numbers = _exact(series.fill_null(0).to_numpy(), name)
        return Cells(name, dtype, "number", np.where(missing, np.nan, numbers))
    # Narwhals does not know all zones that pandas has: America/New_York, say.
    of_time = kind in (nw.Datetime, nw.Date, nw.Duration, nw.Time)
    if of_time or dtype.startswith(("date64", "datetime64")):
        return _time_cells(name, dtype, series.to_arrow())
    return Cells(name, dtype, "unsupported", np.empty(0))


def _time_cells(name: str, dtype: str, array: Any) -> Cells:
    values, form = times_of(array)
    return Cells(name, dtype, "time", values, format=form)


def _native_dtype(series: Series, container: str) -> str:
    native = series.to_native()
    if container == "pyarrow":
        return str(native.type)
    if container == "pandas" and str(native.dtype) == "category" and native.cat.ordered:
        return "category, ordered"
    return str(native.dtype)


def _categorical_cells(series: Series, container: str, dtype: str) -> Cells:
    """Levels in the order that the type declares, else those that were observed."""
    items = _plain(series.to_list())
    cells = _object_cells(series.name, dtype, items)
    levels = cells.levels
    if container == "pandas" and dtype.startswith("category"):
        levels = tuple(_plain(series.to_native().cat.categories))
    elif isinstance(series.dtype, nw.Enum):
        levels = tuple(series.dtype.categories)
    elif cells.family == "number":
        # Polars and Arrow keep a dictionary, which does not declare which levels there are.
        levels = tuple(sorted(set(items) - {None}))
    if cells.family == "text":
        cells = replace(cells, values=positions_of(items, levels))
    return replace(cells, levels=levels, ordered=dtype == "category, ordered")


# Python objects


def is_missing(item: object) -> bool:
    """Whether a Python object marks a missing cell."""
    if item is None or item is np.ma.masked or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, float | np.floating | Decimal) and math.isnan(item)


def _plain(items: Iterable[Any]) -> list[Any]:
    """The items as Python's own objects, None for every mark of a missing cell."""
    items = list(items)
    if set(map(type, items)) <= {str, bool, int, type(None)}:
        return items
    plain: list[Any] = []
    for item in items:
        if is_missing(item):
            plain.append(None)
        elif isinstance(item, np.generic):
            plain.append(item.item())
        elif isinstance(item, enum.Enum):
            plain.append(item.value)
        else:
            plain.append(item)
    return plain


def positions_of(items: Iterable[object], levels: Sequence[object]) -> Values:
    """The position of each item among the levels, NaN if it is none of them."""
    position = {level: float(i) for i, level in enumerate(levels)}
    return np.array([position.get(item, np.nan) for item in items])


def _object_cells(name: str, dtype: str, items: Iterable[object]) -> Cells:
    """The cells of a column of Python objects, all of one family."""
    import pyarrow

    items = _plain(items)
    types = set(map(type, items)) - {type(None)}
    families = set(map(_family_of, types))
    if not families:
        return Cells(name, dtype, "empty", np.full(len(items), np.nan))
    if families == {"text"}:
        texts = sorted(map(str, set(items) - {None}))
        return Cells(name, dtype, "text", positions_of(items, texts), tuple(texts))
    if families == {"boolean"}:
        return Cells(name, dtype, "boolean", positions_of(items, (False, True)), (False, True))
    if families == {"number"}:
        return Cells(name, dtype, "number", _numbers(name, items))
    if families == {"time"}:
        with contextlib.suppress(pyarrow.ArrowException):  # dates beside times of a day
            return _time_cells(name, dtype, pyarrow.array(items))
    mixture = " and ".join(sorted(kind.__name__ for kind in types))
    return Cells(name, f"{dtype} of {mixture}", "unsupported", np.empty(0))


def _family_of(kind: type) -> Family:
    if issubclass(kind, str):
        return "text"
    if issubclass(kind, bool):
        return "boolean"
    if issubclass(kind, int | float | Decimal):
        return "number"
    if issubclass(kind, date | time | timedelta):
        return "time"
    return "unsupported"


def _numbers(name: str, items: list[int | float | Decimal | None]) -> Values:
    """Numbers in float64; `DataError` unless integers are exact, and decimals to all digits."""
    values = np.full(len(items), np.nan)
    for row, item in enumerate(items):
        if item is None:
            continue
        with contextlib.suppress(OverflowError):
            values[row] = float(item)
        held: float | Decimal = float(values[row])
        if isinstance(item, Decimal):
            held = Decimal(repr(held))
        if held != item:
            raise DataError(
                f"column {name!r}, row {row} (counting from 0): {item} is not held exactly by "
                "float64: turn the column into text or smaller numbers, or leave it out",
                hint={"ignore": [name]},
            )
    return values
