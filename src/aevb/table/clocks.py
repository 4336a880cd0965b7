"""What texts say of moments: dates and times by a pattern."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from aevb.table.containers import from_arrow, translated

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
    "Moments",
    "Shapes",
    "Unit",
    "may_be_by",
    "offset_of",
    "since_epoch",
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
#: Digits, as one.
DIGITS = bytes.maketrans(b"123456789", b"000000000")
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


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    """What a text by this pattern looks like; a time after a date may have a zone."""
    expression = re.sub("%[a-zA-Z]", lambda field: FIELDS[field[0]], re.escape(pattern))
    if "%d" in pattern and "%M" in pattern:
        expression += f"(?:{ZONE})?"
    return re.compile(expression, re.IGNORECASE)


def may_be_by(pattern: str, text: str) -> bool:
    """Whether a text has all that stands between the fields of a pattern: most have not.

    >>> may_be_by("%d/%m/%Y", "2024-01-05")
    False
    """
    return set(re.sub("%[a-zA-Z]", "", pattern)) <= set(text.upper())


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


@dataclass(frozen=True)
class Moments:
    """What texts say of moments by a pattern, and how these are written.

    Parameters
    ----------
    said
        Shape (texts,): whether a text says a moment.
    utc
        Shape (texts,): microseconds from the start of 1970 in UTC, or by a clock without a zone.
    zones, gaps
        The zones, and the blanks before them; empty text where there is none.
    digits
        The most digits of a fraction of a second.
    unpadded
        Whether a day, month or hour has one digit.
    """

    said: Flags
    utc: Whole
    zones: frozenset[str] = frozenset()
    gaps: frozenset[str] = frozenset()
    digits: int = 0
    unpadded: bool = False


@dataclass(frozen=True)
class Shapes:
    """Texts in groups that are the same but for digits, whose parts stand at the same places.

    Parameters
    ----------
    content
        The bytes of all texts.
    starts
        Shape (texts,): where in it each begins.
    groups
        The positions of the texts of each group, and the first of the texts.
    """

    content: NDArray[np.uint8]
    starts: Whole
    groups: list[tuple[NDArray[np.intp], str]]

    @classmethod
    def of(cls, texts: "pyarrow.Array") -> "Shapes":
        """The shapes of texts, of which none is null.

        >>> from aevb.table.containers import to_arrow
        >>> texts = to_arrow(["1 May", "2 May", "10 May"])
        >>> [first for _, first in Shapes.of(texts).groups]
        ['1 May', '10 May']
        """
        codes = from_arrow(translated(texts, DIGITS).dictionary_encode().indices)
        order = np.argsort(codes, kind="stable")
        ends = np.flatnonzero(np.diff(codes[order])) + 1
        groups = []
        for places in np.split(order, ends) if len(order) else []:
            groups.append((places, texts[int(places[0])].as_py()))
        _, offsets, content = texts.buffers()
        starts = np.frombuffer(offsets, np.int32)[texts.offset :][: len(texts)]
        return cls(np.frombuffer(content or b"", np.uint8), starts.astype(np.int64), groups)

    def moments(self, pattern: str, zoned: bool | None = None) -> Moments:
        """What the texts say by a pattern, with a zone or without one where that is given."""
        said, utc = np.zeros(len(self.starts), dtype=np.bool_), np.zeros_like(self.starts)
        zones, gaps, digits, unpadded = set[str](), set[str](), 0, False
        for places, first in self.groups:
            parts = _parts(pattern, first)
            if parts is None or zoned not in (None, "zone" in parts):
                continue
            group = _Group(self.content, self.starts[places], parts)
            midnight, is_day = group.midnight()
            clock, is_time = group.clock()
            offset, found = group.zones()
            said[places] = is_day & is_time
            utc[places] = midnight + clock - offset
            zones |= found
            gaps.add(group.part("gap"))
            digits = max(digits, len(group.part("fraction")))
            unpadded |= any(len(group.part(name)) == 1 for name in ("month", "day", "hour"))
        return Moments(said, utc, frozenset(zones), frozenset(gaps), digits, unpadded)


def _parts(pattern: str, text: str) -> dict[str, tuple[str, int]] | None:
    """The parts of a text that is written by the pattern, and at which byte each begins."""
    found = _regex(pattern).fullmatch(text.strip())
    if found is None or pattern == DURATION:
        return None
    blanks = len(text) - len(text.lstrip())
    parts = {}
    for name, part in found.groupdict().items():
        if part is not None:
            before = text[: blanks + found.start(name)]
            parts[name] = (part, len(before.encode()))
    return parts


@dataclass(frozen=True)
class _Group:
    """Texts of one shape: the bytes that they are in, where each begins, the parts of the first."""

    content: NDArray[np.uint8]
    starts: Whole
    parts: dict[str, tuple[str, int]]

    def part(self, name: str) -> str:
        """A part of the first text; empty where there is none."""
        return self.parts.get(name, ("", 0))[0]

    def number(self, name: str, otherwise: int = 0) -> Whole:
        """A part of digits as numbers."""
        if name not in self.parts:
            return np.full(len(self.starts), otherwise, dtype=np.int64)
        digits, at = self.parts[name]
        return self.number_at(at, len(digits))

    def number_at(self, at: int, digits: int) -> Whole:
        """So many digits from this byte on as numbers."""
        number = np.zeros(len(self.starts), dtype=np.int64)
        for place in range(at, at + digits):
            number = 10 * number + self.content[self.starts + place] - ord("0")
        return number

    def midnight(self) -> tuple[Whole, Flags]:
        """Microseconds from the start of 1970 to that of each day, and which days there are."""
        years = self.number("year", EPOCH.year)
        if "short_year" in self.parts:
            years = self.number("short_year")
            years = years + np.where(years >= 69, 1900, 2000)
        months = self.number("month", 1)
        if "name" in self.parts:
            months[:] = SHORT.index(self.part("name")[:3].capitalize()) + 1
        days = self.number("day", 1)
        counted = 12 * (years - EPOCH.year) + months - 1
        first, next_first = _first_day(counted), _first_day(counted + 1)
        is_day = (years >= 1) & (months >= 1) & (months <= 12)
        is_day &= (days >= 1) & (days <= next_first - first)
        return (first + days - 1) * UNITS["day"], is_day

    def clock(self) -> tuple[Whole, Flags]:
        """Microseconds since midnight, and which times of a day there are."""
        hours, minutes, seconds = map(self.number, ("hour", "minute", "second"))
        is_time = (hours <= 23) & (minutes <= 59) & (seconds <= 59)
        if half := self.part("half"):
            is_time &= (hours >= 1) & (hours <= 12)
            hours = hours % 12 + 12 * (half.lower() == "pm")
        clock = UNITS["hour"] * hours + UNITS["minute"] * minutes + UNITS["second"] * seconds
        if fraction := self.part("fraction")[:6]:
            number = self.number_at(self.parts["fraction"][1], len(fraction))
            clock = clock + number * 10 ** (6 - len(fraction))
        return clock, is_time

    def zones(self) -> tuple[Whole, set[str]]:
        """Microseconds that each one's clock is ahead of UTC, and the distinct zones."""
        zone, at = self.parts.get("zone", ("", 0))
        numbers = np.zeros(len(self.starts), dtype=np.int64)
        for place, character in enumerate(zone):
            if character.isdecimal():
                numbers = 10 * numbers + self.number_at(at + place, 1)
        _, firsts, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        zones = []
        for start in self.starts[firsts]:
            zones.append(self.content[start + at : start + at + len(zone)].tobytes().decode())
        return np.array([offset_of(zone) for zone in zones])[inverse], set(zones)


def _first_day(months: Whole) -> Whole:
    """Days from the start of 1970 to the first of a month that is counted from there."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
