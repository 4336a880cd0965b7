"""Numbers as people write them: separators, currency signs, percent, parentheses, units."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field

from aevb.table.containers import from_arrow, to_arrow
from aevb.table.texts import MOST_MARKS, Distinct, Texts, Values

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "Numbers",
    "is_code",
    "is_too_long",
    "largest_group",
    "learn_numbers",
    "learn_plain_numbers",
]

Mark = Literal[".", ","]
Thousands = Literal["", ",", ".", " ", "\u00a0", "\u202f", "\u2009", "'", "\u2019"]
Word = Annotated[str, Field(max_length=20)]

#: More decimals than these are written as they come: float64 holds about 16 digits.
MOST_DECIMALS = 15
Decimals = Annotated[int, Field(ge=0, le=MOST_DECIMALS)]
SPACES = " \u00a0\u202f\u2009"
APOSTROPHES = "'\u2019"
CURRENCY = "$\u00a2\u00a3\u00a4\u00a5\u20a0-\u20cf"
CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|TRY|Rs\\.?"
#: A currency sign, alone or after letters (US$, R$), or the code of a currency.
PREFIX = rf"(?:[A-Z]{{0,3}}[{CURRENCY}]|(?:{CODES})(?![a-z]))"
LETTERS = r"[^\W\d_]{1,9}"
#: Percent, a currency, or a unit: m, kg, km/h, m², °C.
SUFFIX = rf"(?:[%\u2030]|[{CURRENCY}]|[°µ]?{LETTERS}\.?(?:[/·]{LETTERS})?[23²³]?|°)"
ZEROS = f"0.,{APOSTROPHES}{SPACES}"
SIGN = "[-+\u2212]"
CELL = re.compile(
    rf"(?P<open>\(?)\s?(?P<sign>{SIGN}?)\s?(?P<prefix>{PREFIX}?)(?P<gap>\s?)(?P<inner>{SIGN}?)"
    rf"(?P<body>[0-9](?:[0-9.,{APOSTROPHES}\s]*[0-9.,])?|[.,][0-9]+)"
    rf"(?P<exponent>(?:[eE][-+]?[0-9]+)?)(?P<space>\s?)(?P<suffix>{SUFFIX}?)\s?(?P<close>\)?)"
)
INFINITE = re.compile("[-+]?inf(?:inity)?", re.IGNORECASE)
#: Longer cells are text.
LONGEST = 600


@dataclass(frozen=True)
class Numbers:
    """How the numbers of one column are written.

    Parameters
    ----------
    thousands
        What stands between groups of three digits.
    decimal
        What stands before the decimals.
    prefix, suffix
        What stands before and after each number: a currency, ``%``, a unit, with its blank. The
        number keeps its value: ``45%`` is 45.
    decimals
        How many decimals are written at most; None: as many as it takes.
    least
        How many are written at least, if need be zeros: ``1.50``.
    parentheses
        Whether negative numbers are in parentheses instead of having a sign.
    plus
        Whether positive numbers have a sign.
    marks
        Words that count as missing, besides the usual ones.

    >>> format = Numbers(thousands=",", prefix="$", decimals=2, least=2, parentheses=True)
    >>> format.read(["$1,234.50", "($5.00)", "n/a"])
    array([1234.5,   -5. ,     nan])
    >>> format.write([1234.5, -5, np.nan])
    ['$1,234.50', '($5.00)', None]
    """

    kind: Literal["number"] = "number"
    thousands: Thousands = ""
    decimal: Mark = "."
    prefix: Word = ""
    suffix: Word = ""
    decimals: Decimals | None = None
    least: Decimals = 0
    parentheses: bool = False
    plus: bool = False
    marks: Annotated[tuple[str, ...], Field(max_length=MOST_MARKS)] = ()

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if self.thousands == self.decimal:
            raise ValueError("thousands and decimals have the same mark")
        if self.decimals is not None and self.least > self.decimals:
            raise ValueError("more decimals at least than at most")
        if any(character in "0123456789-+()" for character in self.prefix + self.suffix[:1]):
            raise ValueError("a prefix or suffix looks like a part of a number")

    @property
    def is_plain(self) -> bool:
        """Whether any program would read the numbers as they are written."""
        signs = self.thousands or self.prefix or self.suffix or self.parentheses
        return not signs and (self.decimal == "." or self.decimals == 0)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """What a number of this format looks like."""
        integer = _integer(self.thousands)
        decimal, prefix = re.escape(self.decimal), re.escape(self.prefix.strip())
        suffix = re.escape(self.suffix.strip())
        return re.compile(
            rf"(?P<open>\(?)\s?(?P<sign>{SIGN}?)\s?{prefix}\s?(?P<inner>{SIGN}?)"
            rf"(?=[0-9{decimal}])(?P<integer>(?:{integer})?)(?:{decimal}(?P<fraction>[0-9]*))?"
            rf"(?P<exponent>(?:[eE][-+]?[0-9]{{1,6}})?)\s?{suffix}\s?(?P<close>\)?)"
        )

    def read(self, texts: Texts, name: str = "") -> Values:
        """The numbers, shape (rows,), NaN where a cell is empty or a mark.

        `DataError` with the row and the cell that is no number of this format, or a whole number
        that float64 would round.
        """
        found = Distinct.of(texts)
        if self.is_plain and self.decimal == ".":
            values = _cast(found.texts)
            if values is not None and _all_exact(values):
                return found.rows(values)
        values = self._usual_values(found.texts)
        return found.rows(found.filled(values, self.number, self.marks, name, self._expected))

    def _usual_values(self, cells: "pyarrow.Array") -> Values:
        """The numbers in cells that are written as this format writes those of up to 15 digits.

        Other cells are NaN.
        """
        from pyarrow import compute

        numbers = np.full(len(cells), np.nan)
        if any(character in "0123456789.," for character in self.prefix + self.suffix):
            return numbers
        usual = np.flatnonzero(from_arrow(compute.match_substring_regex(cells, self._usual)))
        cells = cells.take(to_arrow(usual))
        negative = from_arrow(compute.match_substring_regex(cells, "^[-(]"))
        bare = compute.utf8_trim(cells, characters=f"()+-{self.prefix}{self.suffix}")
        if self.thousands:
            bare = compute.replace_substring(bare, self.thousands, "")
        if self.decimal != ".":
            bare = compute.replace_substring(bare, self.decimal, ".")
        values = _cast(bare)
        assert values is not None
        numbers[usual] = np.where(negative, -values, values)
        return numbers

    @property
    def _usual(self) -> str:
        """What such cells look like, for Arrow."""
        decimal, thousands = re.escape(self.decimal), re.escape(self.thousands)
        body = "[0-9]{1,15}"
        if self.thousands:
            body = f"(?:[1-9][0-9]{{0,2}}(?:{thousands}[0-9]{{3}}){{1,4}}|{body})"
        word = f"{re.escape(self.prefix)}{body}(?:{decimal}[0-9]+)?{re.escape(self.suffix)}"
        return rf"^(?:\({word}\)|[-+]?{word})$".replace("\\ ", " ")

    def _expected(self, text: str) -> str:
        """What a text is not."""
        found = _cell(text)
        if found and is_too_long(found):
            return "a whole number that float64 holds exactly"
        return f"a number such as {self.write([1234.5])[0]!r}"

    def write(self, values: Sequence[float] | Values) -> list[str | None]:
        """The texts of numbers, None for NaN."""
        return [self._text(float(value)) for value in values]

    def number(self, text: str) -> float | None:
        """The number in a text; None if it is none of this format, or float64 would round it."""
        text = text.strip()
        if INFINITE.fullmatch(text):
            return float(text)
        found = self._pattern.fullmatch(text[: LONGEST + 1])
        if found is None or bool(found["open"]) != bool(found["close"]):
            return None
        body = "".join(found["integer"].split())
        for mark in (self.thousands, *APOSTROPHES):
            body = body.replace(mark, "") if mark else body
        digits = f"{body or 0}.{found['fraction'] or 0}{found['exponent']}"
        number = float(digits)
        if not found["fraction"] and not found["exponent"] and not _is_exact(body):
            return None
        signs = found["sign"] + found["inner"]
        if len(signs) > 1 or (signs and found["open"]):
            return None
        negative = bool(found["open"]) or signs.strip("+") != ""
        return -number if negative else number

    def _text(self, value: float) -> str | None:
        if np.isnan(value):
            return None
        if np.isinf(value):
            return str(value)
        digits = self._digits(abs(value))
        negative = value < 0 and digits.strip("0.") != ""
        integer, point, fraction = digits.partition(".")
        if self.thousands:
            integer = f"{int(integer):,}".replace(",", self.thousands)
        point = self.decimal if point else ""
        text = f"{self.prefix}{integer}{point}{fraction}{self.suffix}"
        if negative:
            return f"({text})" if self.parentheses else f"-{text}"
        if self.plus and digits.strip("0.") != "":
            return f"+{text}"
        return text

    def _digits(self, size: float) -> str:
        shortest = repr(size)
        if self.decimals is None and self.is_plain and "e" in shortest:
            return shortest
        digits = np.format_float_positional(size, precision=self.decimals, min_digits=self.least)
        return digits.rstrip(".")


def _integer(thousands: str) -> str:
    if not thousands:
        return "[0-9]+"
    mark = re.escape(thousands)
    for family in (SPACES, APOSTROPHES):
        if thousands in family:
            mark = f"[{family}]"
    return f"[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+|[0-9]+"


def _is_exact(digits: str) -> bool:
    """Whether float64 holds a whole number."""
    if len(digits) < 16:
        return True
    number = float(digits)
    return np.isfinite(number) and int(number) == int(digits)


def _cast(cells: "pyarrow.Array", few: int = 100) -> Values | None:
    """The numbers, NaN for nulls, if every cell is one that Arrow reads."""
    import pyarrow

    try:
        cells[:few].cast(
            pyarrow.float64()
        )  # it does not stop at the first cell that it cannot read
        numbers = cells.cast(pyarrow.float64())
    except pyarrow.ArrowInvalid:
        return None
    return from_arrow(numbers, np.nan)


def _all_exact(values: Values) -> bool:
    """Whether no whole number can have been rounded."""
    return not (np.abs(values[np.isfinite(values)]) >= 2**53).any()


# Learning


class Learned(NamedTuple):
    """A format, and which decimal marks would do as well."""

    format: Numbers
    decimals: frozenset[str]


def learn_plain_numbers(texts: "pyarrow.Array") -> Learned | None:
    """The format if all texts are numbers that any program reads, and none is a code (``007``)."""
    from pyarrow import compute

    values = _cast(texts)
    if values is None or not _all_exact(values):
        return None
    if np.isnan(values).any() or not np.isfinite(values).any():
        return None
    if compute.any(compute.match_substring_regex(texts, "^[-+]?0[0-9]")).as_py():
        return None
    if compute.any(compute.match_substring_regex(texts, "[eE]")).as_py():
        return Learned(Numbers(), frozenset("."))
    points = from_arrow(compute.find_substring(texts, "."))
    lengths = from_arrow(compute.binary_length(texts))
    decimals = np.where(points < 0, 0, lengths - points - 1)
    least, most = int(decimals.min()), int(decimals.max())
    may_be_thousands = most == 3 and set(np.unique(decimals)) <= {0, 3}
    marks = ".," if may_be_thousands or not most else "."
    if most > MOST_DECIMALS:
        return Learned(Numbers(least=min(least, MOST_DECIMALS)), frozenset(marks))
    signed = from_arrow(compute.starts_with(texts, "+")).astype(bool)
    positive = values > 0
    plus = bool(positive.any() and signed[positive].all())
    return Learned(Numbers(decimals=most, least=least, plus=plus), frozenset(marks))


def learn_numbers(
    cells: Mapping[str, re.Match[str]], counts: Mapping[str, int], decimal: str = ""
) -> Learned | None:
    """The one format of a group of distinct texts, if there is one.

    Groups of three digits are taken for thousands, unless a cell shows that their mark is the
    decimal one, or `decimal` says what the marks of the file's other columns are.
    """
    bodies = {cell["body"] for cell in cells.values()}
    marks = [pair for pair in _pairs(decimal) if all(map(_body(*pair).fullmatch, bodies))]
    prefix = _common(cells, counts, "prefix", "gap")
    suffix = _common(cells, counts, "suffix", "space")
    if not marks or prefix is None or suffix is None:
        return None
    thousands, decimal = marks[0]
    form = Numbers(thousands=_space(thousands, bodies), decimal=decimal)  # type: ignore[arg-type]
    form = _with_decimals(form, list(cells.values()), prefix, suffix)
    if any(form.number(text) is None for text in cells):
        return None
    return Learned(form, frozenset(pair[1] for pair in marks))


def largest_group(count: Mapping[str, int]) -> dict[str, re.Match[str]]:
    """The texts, of these with counts, that look like numbers of the most frequent signs.

    >>> list(largest_group({"5": 3, "unknown": 4, "$5": 1, "1,000": 1}))
    ['5', '1,000']
    """
    groups: dict[tuple[str, str], dict[str, re.Match[str]]] = {}
    for text in count:
        found = _cell(text)
        if found and bool(found["open"]) == bool(found["close"]):
            groups.setdefault((found["prefix"], found["suffix"]), {})[text] = found
    return max(groups.values(), key=lambda group: sum(map(count.__getitem__, group)), default={})


def _cell(text: str) -> re.Match[str] | None:
    """The parts of a text that looks like a number."""
    return CELL.fullmatch(text.strip()[: LONGEST + 1])


def is_code(cell: re.Match[str]) -> bool:
    """Whether a number has leading zeros."""
    return cell["body"][:1] == "0" and cell["body"][1:2].isdecimal()


def is_too_long(cell: re.Match[str]) -> bool:
    """Whether it is a whole number that float64 would round."""
    return cell["body"].isdecimal() and not _is_exact(cell["body"])


def _pairs(decimal: str) -> list[tuple[str, str]]:
    """Marks of thousands and of decimals, the likelier first."""
    pairs = [("", "."), (",", "."), ("", ","), (".", ",")]
    if decimal == ",":
        pairs = [("", ","), (".", ","), ("", "."), (",", ".")]
    for thousands in (" ", "'"):
        for mark in ".,":
            pairs.append((thousands, mark))
    return sorted(pairs, key=lambda pair: decimal not in ("", pair[1]))


@cache
def _body(thousands: str, decimal: str) -> re.Pattern[str]:
    """Digits with these marks."""
    mark = re.escape(decimal)
    return re.compile(rf"(?:{_integer(thousands)})(?:{mark}[0-9]*)?|{mark}[0-9]+")


def _common(
    cells: Mapping[str, re.Match[str]], counts: Mapping[str, int], word: str, blank: str
) -> str | None:
    """The word that all cells have, with its most frequent blank; None if they differ."""
    words = {cell[word] for cell in cells.values()}
    if len(words) > 1:
        return None
    if not max(words):
        return ""
    blanks: Counter[str] = Counter()
    for text, cell in cells.items():
        blanks[cell[blank]] += counts[text]
    gap = min(blanks, key=lambda blank: (-blanks[blank], blank))
    return words.pop() + gap if word == "prefix" else gap + words.pop()


def _space(thousands: str, bodies: set[str]) -> str:
    """The blank or apostrophe that is used, of those that look alike."""
    for family in (SPACES, APOSTROPHES):
        if thousands and thousands in family:
            used = Counter(
                character for body in bodies for character in body if character in family
            )
            return min(used, key=lambda mark: (-used[mark], mark))
    return thousands


def _with_decimals(
    form: Numbers, cells: Sequence[re.Match[str]], prefix: str, suffix: str
) -> Numbers:
    """The format with what the cells show of decimals, signs and parentheses."""
    lengths = {len(cell["body"].partition(form.decimal)[2]) for cell in cells}
    decimals, least = None, min(*lengths, MOST_DECIMALS)
    if any(cell["exponent"] for cell in cells):
        least = 0
    elif max(lengths) <= MOST_DECIMALS:
        decimals = max(lengths)
    positive = []
    for cell in cells:
        negative = cell["open"] or (cell["sign"] + cell["inner"]).strip("+")
        if not negative and cell["body"].strip(ZEROS):
            positive.append(cell["sign"] + cell["inner"] == "+")
    return Numbers(
        thousands=form.thousands,
        decimal=form.decimal,
        prefix=prefix,
        suffix=suffix,
        decimals=decimals,
        least=least,
        parentheses=any(cell["open"] for cell in cells),
        plus=bool(positive) and all(positive),
    )
