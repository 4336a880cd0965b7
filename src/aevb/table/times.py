"""Dates and times as people write them, as numbers of days, minutes, seconds on their own grid."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field

from aevb.table.clocks import (
    DURATION,
    EPOCH,
    NAMES,
    PATTERNS,
    SHORT,
    UNITS,
    ZONE,
    Moments,
    Shapes,
    Unit,
    may_be_by,
    offset_of,
    since_epoch,
)
from aevb.table.containers import to_arrow
from aevb.table.texts import MOST_MARKS, Distinct, Texts, Values

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Times", "coarsest_unit", "learn_times"]


@dataclass(frozen=True)
class Times:
    """How the dates or times of one column are written, and the unit that counts them.

    A value is the number of units since the start of 1970, or since midnight if there is no date,
    by the clock of the column's zone.

    Parameters
    ----------
    pattern
        Fields as `datetime.strftime` names them; fractions follow the seconds. Durations have no
        pattern, and are not read from text.
    unit
        The coarsest unit of which all values are multiples.
    zone
        What is written after the time: ``Z``, ``+02:00``; nothing if the times have no zone.
    padded
        Whether days, months and hours below 10 have a leading zero.
    decimals
        Digits of the fraction of a second.
    marks
        Words that count as missing, besides the usual ones.

    >>> format = Times("%d/%m/%Y")
    >>> format.read(["03/01/1970", None])
    array([ 2., nan])
    >>> format.write([2.0, np.nan])
    ['03/01/1970', None]
    """

    pattern: Annotated[str, Field(max_length=40)] = "%Y-%m-%d"
    unit: Unit = "day"
    zone: Annotated[str, Field(max_length=7)] = ""
    padded: bool = True
    decimals: Annotated[int, Field(ge=0, le=9)] = 0
    marks: Annotated[tuple[str, ...], Field(max_length=MOST_MARKS)] = ()
    kind: Literal["time"] = "time"

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise ValueError(f"no pattern of dates or times: {self.pattern!r}")
        if self.zone and not re.fullmatch(ZONE, self.zone):
            raise ValueError(f"no zone: {self.zone!r}")
        if (self.unit == "month") != self._has_months:
            raise ValueError(f"no unit of {self.pattern!r}: {self.unit!r}")

    @property
    def has_date(self) -> bool:
        """Whether the values are dates; else times of a day."""
        return "%Y" in self.pattern or "%y" in self.pattern

    @property
    def has_clock(self) -> bool:
        """Whether the values have a time of day."""
        return "%M" in self.pattern

    @property
    def offset(self) -> int:
        """Microseconds that the column's clock is ahead of UTC."""
        return offset_of(self.zone)

    @property
    def arrow_type(self) -> str:
        """The Arrow type of such times."""
        if self.pattern == DURATION:
            return "duration[us]"
        if not self.has_date:
            return "time64[us]"
        if not self.has_clock:
            return "date32[day]"
        if not self.zone:
            return "timestamp[us]"
        zone = self.zone.strip()
        return f"timestamp[us, tz={zone if zone[0] in '+-' else 'UTC'}]"

    @property
    def end(self) -> float:
        """What all values are below: the units of a day for times of a day, else no end."""
        if self.has_date or self.pattern == DURATION:
            return float("inf")
        return UNITS["day"] / UNITS[self.unit]

    @property
    def _has_months(self) -> bool:
        return self.has_date and "%d" not in self.pattern

    def read(self, texts: Texts, name: str = "") -> Values:
        """The times as numbers, shape (rows,), NaN where a cell is empty or a mark.

        `DataError` with the row and the cell that is not written by the pattern.
        """
        found = Distinct.of(texts)
        what = "time"
        if self.has_date:
            what = "date"
        expected = f"a {what} such as {self.write([0.0])[0]}"
        moments = Shapes.of(found.texts).moments(self.pattern, zoned=bool(self.zone))
        times = np.where(moments.said, (moments.utc + self.offset).astype(np.float64), np.nan)
        times = found.filled(times, lambda _: None, self.marks, name, lambda _: expected)
        return self.of_microseconds(found.rows(times))

    def write(self, values: Sequence[float] | Values) -> list[str | None]:
        """The texts of numbers, None for NaN; beyond what a pattern can hold its first or last."""
        return [self._text(float(value)) for value in values]

    def converted(self, values: Values, other: "Times") -> Values:
        """Values by another format as values by this one, at the same moments."""
        if other == self:
            return values
        times = other.microseconds(values)
        if self.zone and other.zone:
            times = times + self.offset - other.offset
        return self.of_microseconds(times)

    def of_microseconds(self, times: Values) -> Values:
        """Values of microseconds since the start of 1970 by the column's clock."""
        if self.unit != "month":
            return times / UNITS[self.unit]
        months = times.astype("datetime64[us]").astype("datetime64[M]").astype(np.float64)
        return np.where(np.isnan(times), np.nan, months)

    def microseconds(self, values: Values) -> Values:
        """Microseconds since the start of 1970, in whole units; NaN stays NaN."""
        least, most = self._limits()
        whole = np.rint(values)
        if self.unit == "month":
            whole = np.clip(whole, -1969 * 12, 8030 * 12 - 1)
            months = np.where(np.isnan(whole), 0, whole).astype("datetime64[M]")
            times = months.astype("datetime64[us]").astype(np.float64)
            return np.where(np.isnan(whole), np.nan, times)
        return np.clip(whole * UNITS[self.unit], least, most)

    def _limits(self) -> tuple[float, float]:
        step = UNITS.get(self.unit, UNITS["day"])
        if self.pattern == DURATION:
            return -(2.0**63), 2.0**63
        if not self.has_date:
            return 0.0, float(UNITS["day"] - step)
        first, last = datetime(1, 1, 1), datetime(9999, 12, 31)
        if "%y" in self.pattern:
            first, last = datetime(1969, 1, 1), datetime(2068, 12, 31)
        return float(since_epoch(first)), float(since_epoch(last))

    def _text(self, value: float) -> str | None:
        if np.isnan(value):
            return None
        time = int(self.microseconds(np.array([value]))[0])
        if self.pattern == DURATION:
            return str(timedelta(microseconds=time))
        moment = EPOCH + timedelta(microseconds=time)

        def field(found: re.Match[str]) -> str:
            return _field(found[0], moment, self.padded, self.decimals)

        return re.sub("%[a-zA-Z]", field, self.pattern) + self.zone


def _field(field: str, moment: datetime, padded: bool, decimals: int) -> str:
    """One field of a time as text."""
    if field == "%S":
        fraction = f"{moment.microsecond:06d}000"[:decimals]
        return f"{moment.second:02d}" + (f".{fraction}" if decimals else "")
    narrow = {"%m": moment.month, "%d": moment.day, "%H": moment.hour}
    narrow["%I"] = (moment.hour - 1) % 12 + 1
    if field in narrow:
        return f"{narrow[field]:02d}" if padded else str(narrow[field])
    texts = {
        "%Y": f"{moment.year:04d}",
        "%y": f"{moment.year % 100:02d}",
        "%B": NAMES[moment.month - 1],
        "%b": SHORT[moment.month - 1],
        "%M": f"{moment.minute:02d}",
        "%p": "AM" if moment.hour < 12 else "PM",
    }
    return texts[field]


# Learning


class Learned(NamedTuple):
    """A format, the orders of day and month that would do, and how many zones there were."""

    format: Times
    orders: frozenset[str]
    zones: int


def learn_times(texts: "list[str] | pyarrow.Array", order: str = "") -> Learned | None:
    """The one format of all these distinct texts, if there is one.

    `order` is ``day`` or ``month``, whichever comes first in the file's other columns. Where
    both would do and it is not given, the month does, and `orders` has both.
    """
    cells = to_arrow(texts) if isinstance(texts, list) else texts
    if not len(cells):
        return None
    first = cells[0].as_py()
    if not re.search("[-/.: ]", first) or not re.search("[0-9]", first):
        return None
    few, shapes = Shapes.of(cells[:100]), Shapes.of(cells)
    read = dict[str, Moments]()
    for pattern in PATTERNS[1:]:
        if may_be_by(pattern, first) and few.moments(pattern).said.all():
            moments = shapes.moments(pattern)
            if moments.said.all():
                read[pattern] = moments
    if not read:
        return None
    orders = frozenset(map(_order, read)) - {""}
    wanted = order or "month"
    pattern = min(read, key=lambda pattern: _order(pattern) not in ("", wanted))
    return _learned(pattern, read[pattern], orders)


def _order(pattern: str) -> str:
    """Which comes first where the text does not tell: ``day`` or ``month``."""
    if re.match("%d[/-]%m", pattern):
        return "day"
    return "month" if re.match("%m[/-]%d", pattern) else ""


def _learned(pattern: str, moments: Moments, orders: frozenset[str]) -> Learned | None:
    if len(moments.zones) > 1 and "" in moments.zones:
        return None
    zone = max(moments.gaps) + max(moments.zones)
    if len(set(map(offset_of, moments.zones))) > 1:
        zone = "+00:00"
    form = Times(
        pattern,
        unit="month" if "%d" not in pattern and "%M" not in pattern else "microsecond",
        zone=zone,
        padded=not moments.unpadded,
        decimals=moments.digits,
    )
    if form.unit != "month":
        times = (moments.utc + form.offset).astype(np.float64)
        form = replace(form, unit=coarsest_unit(times))
    return Learned(form, orders, len(moments.zones))


def coarsest_unit(times: Sequence[float] | Values) -> Unit:
    """The coarsest unit of which all times in microseconds are multiples; NaN is of any.

    >>> coarsest_unit([0.0, 7_200e6])
    'hour'
    """
    array = np.array(times, dtype=np.float64)
    array = array[~np.isnan(array)]
    for unit, size in UNITS.items():
        if all((np.fmod(part, size) == 0).all() for part in (array[:100], array)):
            return unit
    return "microsecond"
