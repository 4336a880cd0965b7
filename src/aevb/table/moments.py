"""Columns whose type is one of dates, times or durations, as numbers and back."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aevb.table.clocks import DURATION
from aevb.table.containers import from_arrow
from aevb.table.texts import Values
from aevb.table.times import Times, coarsest_unit

if TYPE_CHECKING:
    import pyarrow

__all__ = ["filled_times", "times_of", "typed_times"]

#: Microseconds of the units of Arrow's types; nanoseconds are rounded down to whole ones.
SIZES = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}
DAY = 86_400_000_000
#: Named units of polars and pandas, which print a type in their own way.
TYPE = re.compile(
    r"(?P<name>timestamp|datetime64|datetime|timedelta64|duration|date32|date64|date"
    r"|time32|time64|time)"
    r"(?:[\[(](?:time_unit=)?'?(?P<unit>s|ms|us|ns|day)'?"
    r"(?:, (?:tz=|time_zone=)?'?(?P<zone>[^'\])]+)'?)?[\])])?(?:\[pyarrow\])?",
    re.IGNORECASE,
)


def times_of(array: "pyarrow.Array") -> tuple[Values, Times]:
    """Numbers of the unit that counts them all, and the format that says so.

    Times that have a zone are brought to UTC.
    """
    import pyarrow
    from pyarrow import types

    kind = array.type
    size: float = DAY
    if types.is_date64(kind):
        size = SIZES["ms"]
    elif not types.is_date32(kind):
        size = SIZES[kind.unit]
    wide = array
    if types.is_date32(kind) or types.is_time32(kind):
        wide = array.cast(pyarrow.int32())
    whole = wide.cast(pyarrow.int64())
    counts = from_arrow(whole)
    if getattr(kind, "unit", "") == "ns":
        counts = counts // 1_000
    missing = from_arrow(array.is_null()).astype(bool)
    times = np.where(missing, np.nan, counts.astype(np.float64) * size)
    form = Times(_pattern(kind), coarsest_unit(times), zone=_zone(kind))
    return form.of_microseconds(times), form


def _pattern(kind: "pyarrow.DataType") -> str:
    """How text of such cells is written by most programs."""
    from pyarrow import types

    if types.is_duration(kind):
        return DURATION
    if types.is_time(kind):
        return "%H:%M:%S"
    return "%Y-%m-%d" if types.is_date(kind) else "%Y-%m-%d %H:%M:%S"


def _zone(kind: "pyarrow.DataType") -> str:
    return "+00:00" if getattr(kind, "tz", None) else ""


def typed_times(values: Values, form: Times, dtype: str, container: str) -> Any:
    """A column of a container with times of this type; what the type cannot hold is clipped.

    Without a type they get that of the format.
    """
    kind = _arrow_type(dtype) or _arrow_type(form.arrow_type)
    array = _arrow_times(values, form, kind)
    if container == "numpy":
        return np.array([*array.to_pylist(), None], dtype=object)[:-1]
    if container == "pyarrow":
        import pyarrow

        return pyarrow.chunked_array([array])
    if container == "polars":
        import polars

        return polars.Series(polars.from_arrow(array))
    import pandas

    if dtype.endswith("[pyarrow]"):
        return pandas.Series(array, dtype=pandas.ArrowDtype(kind))
    if dtype == "object":
        return pandas.Series(array.to_pylist(), dtype=object)
    return array.to_pandas()


def _arrow_type(dtype: str) -> "pyarrow.DataType | None":
    """The Arrow type of a type that pandas, polars or Arrow prints."""
    import pyarrow

    found = TYPE.fullmatch(dtype)
    if found is None:
        return None
    name, unit, zone = found["name"].lower(), found["unit"] or "us", found["zone"]
    if name in ("timestamp", "datetime64", "datetime"):
        return pyarrow.timestamp(unit, None if zone in (None, "None") else zone)
    if name in ("duration", "timedelta64"):
        return pyarrow.duration(unit)
    if name.startswith("date"):
        return pyarrow.date64() if name == "date64" else pyarrow.date32()
    if name == "time32":
        return pyarrow.time32(unit)
    return pyarrow.time64("ns" if name == "time" else unit)


def _arrow_times(values: Values, form: Times, kind: "pyarrow.DataType") -> "pyarrow.Array":
    import pyarrow
    from pyarrow import types

    missing = np.isnan(values)
    times = np.where(missing, 0, form.microseconds(values))
    if types.is_date(kind):
        days = np.floor(times / DAY).astype(np.int32)
        return pyarrow.array(days, mask=missing).cast(pyarrow.date32()).cast(kind)
    if getattr(kind, "tz", None):
        times = times - form.offset
    scale = 1_000 if kind.unit == "ns" else 1
    most = (2**63 - 2**11) // scale  # the least integer of a type means none
    counts = np.clip(times, -most, most).astype(np.int64) * scale // SIZES[kind.unit]
    if types.is_time32(kind):
        counts = counts.astype(np.int32)
    return pyarrow.array(counts, mask=missing).cast(kind)


def filled_times(native: Any, where: NDArray[np.bool_], new: Any, container: str) -> Any:
    """A copy of a column of a container with the cells of another one of its type in some rows."""
    if container == "pandas":
        filled = native.copy()
        filled[where] = new.set_axis(native.index)[where]
        return filled
    if container == "polars":
        import polars

        return native.zip_with(polars.Series(~where), new)
    import pyarrow
    from pyarrow import compute

    return compute.if_else(pyarrow.array(where), new, native)
