"""What texts say of moments: dates and times by a pattern, one by one or many at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aevb.table.containers import from_arrow, to_arrow

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "DURATION",
    "EPOCH",
    "NAMES",
    "PATTERNS",
    "SHORT",
    "UNITS",
    "ZONE",
    "Moment",
    "Moments",
    "Unit",
    "moment_of",
    "offset_of",
    "since_epoch",
    "usual_moments",
]

Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]
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


class Moment(NamedTuple):
    """What a text says: microseconds since the start of 1970, and how it is written."""

    microseconds: int
    zone: str
    gap: str
    digits: int
    unpadded: bool


def moment_of(pattern: str, text: str) -> Moment | None:
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
        return since_epoch(datetime(years, int(number), int(day or 1)))
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
    return re.compile(_expression(pattern), re.IGNORECASE)


def _expression(pattern: str) -> str:
    expression = re.sub("%[a-zA-Z]", lambda field: FIELDS[field[0]], re.escape(pattern))
    if "%d" in pattern and "%M" in pattern:
        expression += f"(?:{ZONE})?"
    return expression


def since_epoch(moment: datetime) -> int:
    """Microseconds from the start of 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=1_000)
def offset_of(zone: str) -> int:
    """Microseconds that a zone's clock is ahead of UTC.

    >>> offset_of("+01:30") / UNITS["minute"]
    90.0
    """
    digits = zone.strip().strip("+-").replace(":", "")
    if not digits.isdecimal():
        return 0
    minutes = 60 * int(digits[:2]) + int(digits[2:] or 0)
    sign = -1 if "-" in zone else 1
    return sign * minutes * UNITS["minute"]


# Many at once


@dataclass(frozen=True)
class Moments:
    """What texts say of moments, and how these are written.

    Parameters
    ----------
    said
        Shape (texts,): whether a text says a moment.
    utc
        Shape (texts,): microseconds from the start of 1970 in UTC, or by a clock without a zone.
    zoned
        Shape (texts,): whether a zone follows.
    zones, gaps
        The zones, and the blanks before them; empty text where there is none.
    digits
        The most digits of a fraction of a second.
    unpadded
        Whether a day, month or hour has one digit.
    """

    said: Flags
    utc: Whole
    zoned: Flags
    zones: frozenset[str]
    gaps: frozenset[str]
    digits: int
    unpadded: bool

    @classmethod
    def of(cls, moments: "Sequence[Moment | None]") -> "Moments":
        """Those of texts that were looked at one by one."""
        found = [one for one in moments if one is not None]
        said = np.array([one is not None for one in moments], dtype=bool)
        utc, zoned = np.zeros(len(said), dtype=np.int64), np.zeros(len(said), dtype=bool)
        utc[said] = [one.microseconds - offset_of(one.zone) for one in found]
        zoned[said] = [bool(one.zone) for one in found]
        return cls(
            said,
            utc,
            zoned,
            frozenset(one.zone for one in found),
            frozenset(one.gap for one in found),
            max((one.digits for one in found), default=0),
            any(one.unpadded for one in found),
        )


def usual_moments(pattern: str, texts: "pyarrow.Array") -> Moments:
    """What `moment_of` says of texts without odd blanks or letters; it says nothing of others."""
    from pyarrow import compute

    if pattern == DURATION:
        return Moments.of([None] * len(texts))
    expression = _expression(pattern).replace("\\ ", " ")  # which Arrow does not know
    found = compute.extract_regex(texts, f"(?i)^{expression}$")
    fields = _Fields(zip([field.name for field in found.type], found.flatten(), strict=True))
    matched = from_arrow(compute.is_valid(found)).astype(bool)
    midnight, is_day = fields.midnight()
    clock, is_time = fields.clock()
    offsets, zones = fields.offsets()
    return Moments(
        said=matched & is_day & is_time,
        utc=midnight + clock + fields.fraction() - offsets,
        zoned=fields.lengths("zone") > 0,
        zones=zones,
        gaps=fields.met("gap"),
        digits=int(fields.lengths("fraction").max(initial=0)),
        unpadded=any((fields.lengths(name) == 1).any() for name in ("month", "day", "hour")),
    )


class _Fields(dict[str, "pyarrow.Array"]):
    """The parts of texts by their names; each is null where a text is not by the pattern."""

    def lengths(self, name: str) -> Whole:
        """How many characters a part has, 0 where there is none."""
        from pyarrow import compute

        if name not in self:
            return np.zeros(1, dtype=np.int64)
        return from_arrow(compute.binary_length(self[name])).astype(np.int64)

    def met(self, name: str) -> frozenset[str]:
        """The distinct texts of a part."""
        if name not in self:
            return frozenset({""})
        return frozenset(self[name].unique().drop_null().to_pylist())

    def number(self, name: str, otherwise: int) -> Whole:
        """A part that is digits as numbers."""
        import pyarrow

        if name not in self:
            return np.full(1, otherwise, dtype=np.int64)
        return from_arrow(self[name].cast(pyarrow.int64()), otherwise)

    def midnight(self) -> tuple[Whole, Flags]:
        """Microseconds from the start of 1970 to that of each day, and which days there are."""
        years = self.number("year", EPOCH.year)
        if "short_year" in self:
            years = self.number("short_year", 0)
            years = years + np.where(years >= 69, 1900, 2000)
        months = self.number("month", 1)
        if "name" in self:
            months = self.named_month()
        days = self.number("day", 1)
        places = 12 * (years - EPOCH.year) + months - 1
        first, next_first = _first_day(places), _first_day(places + 1)
        is_day = (years >= 1) & (months >= 1) & (months <= 12) & (days >= 1)
        is_day = is_day & (days <= next_first - first)
        return (first + days - 1) * UNITS["day"], is_day

    def named_month(self) -> Whole:
        """The number of a month by the first three letters of its name, 0 for odd letters."""
        from pyarrow import compute

        letters = compute.utf8_lower(compute.utf8_slice_codeunits(self["name"], 0, 3))
        known = to_arrow(name.lower() for name in SHORT)
        return from_arrow(compute.index_in(letters, value_set=known), -1).astype(np.int64) + 1

    def clock(self) -> tuple[Whole, Flags]:
        """Microseconds since midnight, and which times of a day there are."""
        from pyarrow import compute

        hours = self.number("hour", 0)
        minutes, seconds = self.number("minute", 0), self.number("second", 0)
        is_time = (hours <= 23) & (minutes <= 59) & (seconds <= 59)
        if "half" in self:
            afternoon = compute.match_substring_regex(self["half"], "^[Pp]")
            is_time = is_time & (hours >= 1) & (hours <= 12)
            hours = hours % 12 + 12 * from_arrow(afternoon).astype(np.int64)
        clock = UNITS["hour"] * hours + UNITS["minute"] * minutes + UNITS["second"] * seconds
        return clock, is_time

    def fraction(self) -> Whole:
        """Whole microseconds of the fractions of a second."""
        import pyarrow
        from pyarrow import compute

        if not self.lengths("fraction").any():
            return np.zeros(1, dtype=np.int64)
        padded = compute.utf8_rpad(self["fraction"], 6, padding="0")
        digits = compute.utf8_slice_codeunits(padded, 0, 6)
        return from_arrow(digits.cast(pyarrow.int64()))

    def offsets(self) -> tuple[Whole, frozenset[str]]:
        """Microseconds that each one's clock is ahead of UTC, and the zones."""
        if "zone" not in self:
            return np.zeros(1, dtype=np.int64), frozenset({""})
        encoded = self["zone"].dictionary_encode()
        zones = encoded.dictionary.to_pylist()
        ahead = np.array([*map(offset_of, zones), 0], dtype=np.int64)
        return ahead[from_arrow(encoded.indices, -1)], frozenset(zones)


def _first_day(months: Whole) -> Whole:
    """Days from the start of 1970 to the first of a month that is counted from there."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
