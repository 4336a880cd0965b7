"""Dates and times as people write them, as numbers of days, minutes, seconds on their own grid."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field

from aevb.table.texts import MOST_MARKS, Distinct, Texts, Values

__all__ = ["UNITS", "Times", "coarsest_unit", "learn_times"]

Unit = Literal["month", "day", "hour", "minute", "second", "millisecond", "microsecond"]
#: Microseconds in each unit, the coarsest first. Months are counted by the calendar.
UNITS: dict[Unit, int] = {
    "day": 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}
EPOCH = datetime(1970, 1, 1)
MONTHS = "January February March April May June July August September October November December"
NAMES = tuple(MONTHS.split())
SHORT = tuple(name[:3] for name in NAMES)
FIELDS = {
    "%Y": "(?P<year>[0-9]{4})",
    "%y": "(?P<short_year>[0-9]{2})",
    "%m": "(?P<month>[0-9]{1,2})",
    "%d": "(?P<day>[0-9]{1,2})",
    "%B": f"(?P<name>{'|'.join(NAMES)})",
    "%b": f"(?P<name>{'|'.join(SHORT)})",
    "%H": "(?P<hour>[0-9]{1,2})",
    "%I": "(?P<hour>[0-9]{1,2})",
    "%M": "(?P<minute>[0-9]{2})",
    "%S": "(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?",
    "%p": "(?P<half>[AaPp][Mm])",
}
ZONE = r"(?P<gap>\s?)(?P<zone>Z|UTC|GMT|[-+][0-9]{2}(?::?[0-9]{2})?)"
DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%B %Y"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y"),
    *("%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%d.%m.%y"),
    *("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%y"),
)
CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
DURATION = ""
PATTERNS = (
    DURATION,
    *DATES,
    *CLOCKS,
    *(f"{date}{gap}{clock}" for date in DATES if "%d" in date for gap in " T" for clock in CLOCKS),
)


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
        return _offset(self.zone)

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
        distinct = Distinct.of(texts)
        what = "time"
        if self.has_date:
            what = "date"
        expected = f"a {what} such as {self.write([0.0])[0]}"
        times = distinct.values(self._microseconds_of, self.marks, name, lambda _: expected)
        return self.of_microseconds(times)

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
        return float(_since_epoch(first)), float(_since_epoch(last))

    def _microseconds_of(self, text: str) -> float | None:
        found = _parsed(self.pattern, text)
        if found is None or bool(found.zone) != bool(self.zone):
            return None
        if self.zone:
            return float(found.microseconds + self.offset - _offset(found.zone))
        return float(found.microseconds)

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


class Moment(NamedTuple):
    """What a text says: microseconds since the start of 1970, and how it is written."""

    microseconds: int
    zone: str
    gap: str
    digits: int
    unpadded: bool


def _parsed(pattern: str, text: str) -> Moment | None:
    """The moment of a text that is written by the pattern, else None."""
    found = _regex(pattern).fullmatch(text.strip())
    if found is None:
        return None
    part = found.groupdict("").get
    year, month, day = part("year") or part("short_year", ""), part("month", ""), part("day", "")
    hour, fraction = part("hour", ""), part("fraction", "")
    midnight = _midnight(year, month or part("name", ""), day)
    clock = _clock(hour, part("minute", ""), part("second", ""), part("half", ""))
    if midnight is None or clock is None:
        return None
    return Moment(
        microseconds=midnight + clock + int(fraction.ljust(6, "0")[:6] or 0),
        zone=part("zone", ""),
        gap=part("gap", ""),
        digits=len(fraction),
        unpadded=1 in (len(month), len(day), len(hour)),
    )


@lru_cache(maxsize=100_000)
def _midnight(year: str, month: str, day: str) -> int | None:
    """Microseconds from the start of 1970 to that of a day; None if there is no such day."""
    years = int(year or EPOCH.year)
    if len(year) == 2:
        years += 1900 if years >= 69 else 2000
    number = month or "1"
    if month.isalpha():
        number = str(SHORT.index(month[:3].capitalize()) + 1)
    try:
        return _since_epoch(datetime(years, int(number), int(day or 1)))
    except ValueError:
        return None


@lru_cache(maxsize=100_000)
def _clock(hour: str, minute: str, second: str, half: str) -> int | None:
    """Microseconds since midnight; None if there is no such time."""
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + 12 * (half.lower() == "pm")
    minutes, seconds = int(minute or 0), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    return UNITS["hour"] * hours + UNITS["minute"] * minutes + UNITS["second"] * seconds


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    """What a text by this pattern looks like; a time after a date may have a zone."""
    expression = re.sub("%[a-zA-Z]", lambda field: FIELDS[field[0]], re.escape(pattern))
    if "%d" in pattern and "%M" in pattern:
        expression += f"(?:{ZONE})?"
    return re.compile(expression, re.IGNORECASE)


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


def _since_epoch(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=1_000)
def _offset(zone: str) -> int:
    """Microseconds that a zone's clock is ahead of UTC.

    >>> _offset("+01:30") / UNITS["minute"]
    90.0
    """
    digits = zone.strip().strip("+-").replace(":", "")
    if not digits.isdecimal():
        return 0
    minutes = 60 * int(digits[:2]) + int(digits[2:] or 0)
    sign = -1 if "-" in zone else 1
    return sign * minutes * UNITS["minute"]


# Learning


class Learned(NamedTuple):
    """A format, the orders of day and month that would do, and how many zones there were."""

    format: Times
    orders: frozenset[str]
    zones: int


def learn_times(texts: Sequence[str], order: str = "") -> Learned | None:
    """The one format of all these distinct texts, if there is one.

    `order` is ``day`` or ``month``, whichever comes first in the file's other columns. Where
    both would do and it is not given, the month does, and `orders` has both.
    """
    patterns = PATTERNS[1:]
    if not texts or not re.search("[-/.: ]", texts[0]) or not re.search("[0-9]", texts[0]):
        return None
    for text in texts[:100]:
        patterns = tuple(pattern for pattern in patterns if _parsed(pattern, text))
    read = dict[str, list[Moment]]()
    for pattern in patterns:
        if moments := _moments(pattern, texts):
            read[pattern] = moments
    if not read:
        return None
    orders = frozenset(map(_order, read)) - {""}
    wanted = order or "month"
    pattern = min(read, key=lambda pattern: _order(pattern) not in ("", wanted))
    return _learned(pattern, read[pattern], orders)


def _moments(pattern: str, texts: Sequence[str]) -> list[Moment] | None:
    """The moments of all texts, None if one is not written by the pattern."""
    moments = []
    for text in texts:
        moment = _parsed(pattern, text)
        if moment is None:
            return None
        moments.append(moment)
    return moments


def _order(pattern: str) -> str:
    """Which comes first where the text does not tell: ``day`` or ``month``."""
    if re.match("%d[/-]%m", pattern):
        return "day"
    return "month" if re.match("%m[/-]%d", pattern) else ""


def _learned(pattern: str, moments: Sequence[Moment], orders: frozenset[str]) -> Learned | None:
    zones = {moment.zone for moment in moments}
    if len(zones) > 1 and "" in zones:
        return None
    zone = max(moment.gap for moment in moments) + max(zones)
    if len({_offset(zone) for zone in zones}) > 1:
        zone = "+00:00"
    form = Times(
        pattern,
        unit="month" if "%d" not in pattern and "%M" not in pattern else "microsecond",
        zone=zone,
        padded=not any(moment.unpadded for moment in moments),
        decimals=max(moment.digits for moment in moments),
    )
    if form.unit != "month":
        times = [float(one.microseconds + form.offset - _offset(one.zone)) for one in moments]
        form = replace(form, unit=coarsest_unit(times))
    return Learned(form, orders, len(zones))


def coarsest_unit(times: Iterable[float]) -> Unit:
    """The coarsest unit of which all times in microseconds are multiples; NaN is of any.

    >>> coarsest_unit([0.0, 7_200e6])
    'hour'
    """
    array = np.array([time for time in times if not np.isnan(time)], dtype=np.float64)
    for unit, size in UNITS.items():
        if (np.fmod(array, size) == 0).all():
            return unit
    return "microsecond"
