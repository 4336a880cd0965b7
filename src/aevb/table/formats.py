"""How the cells of a column of text are written: as numbers, times, booleans, or as plain text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import ConfigDict, Field

from aevb.table.containers import to_arrow
from aevb.table.numerals import (
    LONGEST,
    Numbers,
    is_code,
    is_too_long,
    largest_group,
    learn_numbers,
    learn_plain_numbers,
)
from aevb.table.texts import (
    MOST_MARKS,
    Distinct,
    Texts,
    Values,
    is_blank,
    is_mark,
)
from aevb.table.times import Times, learn_times

__all__ = [
    "Booleans",
    "Format",
    "Habits",
    "Learned",
    "Numbers",
    "Plain",
    "Times",
    "learn",
    "study",
]


@dataclass(frozen=True)
class Booleans:
    """A column of two words, in the case in which they are written.

    >>> Booleans(("FALSE", "TRUE")).read(["true", None])
    array([ 1., nan])
    """

    words: tuple[str, str] = ("false", "true")
    kind: Literal["boolean"] = "boolean"

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if tuple(word.casefold() for word in self.words) != ("false", "true"):
            raise ValueError(f"no words for false and true: {self.words!r}")

    def read(self, texts: Texts, name: str = "") -> Values:
        """0 for false, 1 for true, NaN where a cell is empty; `DataError` for another word."""

        def read(text: str) -> float | None:
            return {"false": 0.0, "true": 1.0}.get(text.casefold())

        found = Distinct.of(texts)
        values = found.filled(found.unread, read, (), name, lambda _: "true or false")
        return found.rows(values)

    def holds(self, texts: Texts) -> bool:
        """Whether all these are words for false and true."""
        found = Distinct.of(texts).texts.to_pylist()
        return all(isinstance(self.level(text), bool) for text in found)

    def level(self, text: object) -> object:
        """What a text stands for: false, true, or just the text."""
        return {"false": False, "true": True}.get(str(text).casefold(), text)

    def write(self, values: Sequence[float] | Values) -> list[str | None]:
        """The words of 0 and 1, None for NaN."""
        return [None if np.isnan(value) else self.words[round(value)] for value in values]


@dataclass(frozen=True)
class Plain:
    """A column of text, whose cells are levels as they are written."""

    kind: Literal["text"] = "text"

    __pydantic_config__ = ConfigDict(extra="forbid")


#: How the cells of one column are written.
Format: TypeAlias = Annotated[Numbers | Times | Booleans | Plain, Field(discriminator="kind")]
#: Why numbers or dates were left as text.
Doubt = Literal["", "leading zeros", "too long", "words", "day or month"]


@dataclass(frozen=True)
class Habits:
    """What the columns of one file have in common, once some of them show it.

    Parameters
    ----------
    decimal
        The decimal mark, ``.`` or ``,``.
    order
        Which comes first in dates: ``day`` or ``month``.
    """

    decimal: str = ""
    order: str = ""


@dataclass(frozen=True)
class Learned:
    """A format, and what a reader should know of how it was found.

    Parameters
    ----------
    format
        The format of the column.
    decimals, orders
        The decimal marks, and the orders of day and month, that would do.
    doubt
        Why cells that look like numbers or dates are text.
    example
        A cell that shows the format or the doubt.
    missing
        Texts that count as missing, with their counts.
    strange
        How many cells are no numbers, where most are.
    zones
        How many zones the times had.
    """

    format: Format
    decimals: frozenset[str] = frozenset()
    orders: frozenset[str] = frozenset()
    doubt: Doubt = ""
    example: str = ""
    missing: dict[str, int] = field(default_factory=dict)
    strange: int = 0
    zones: int = 0

    @property
    def guessed_marks(self) -> dict[str, int]:
        """The texts that count as missing although they could mean something."""
        return {text: count for text, count in self.missing.items() if not is_blank(text)}


def learn(texts: Texts, habits: Habits = Habits(), *, numbers: bool = False) -> Format:
    """The format of the cells of one column, whatever their order.

    One format must read all cells that are not marks of missing ones; else the column is text.
    So are numbers with leading zeros, which are codes, and whole numbers that float64 would round.
    With `numbers` the column holds numbers, by what the user says: words count as missing.

    >>> learn(["1.234,50", "?", "7,25"])
    Numbers(kind='number', thousands='.', decimal=',', prefix='', suffix='', decimals=2, \
least=2, parentheses=False, plus=False, marks=())
    >>> learn(["02138", "94110"])
    Plain(kind='text')
    """
    return study(texts, habits, numbers=numbers).format


def study(texts: Texts, habits: Habits = Habits(), *, numbers: bool = False) -> Learned:
    """The same, with how it was found."""
    found = Distinct.of(texts)
    plain = learn_plain_numbers(found.texts)
    if plain and (habits.decimal != "," or "," not in plain.decimals):
        return Learned(plain.format, plain.decimals)
    # One number of each shape tells the format.
    count = found.one_of_each_shape()
    booleans = _learn_booleans(count)
    if booleans:
        return Learned(booleans)
    marks = {text: times for text, times in count.items() if is_mark(text)}
    rest = {text: times for text, times in count.items() if text not in marks}
    weak = sum(times for text, times in marks.items() if not is_blank(text))
    if not rest or (weak > sum(rest.values()) and not numbers):
        return Learned(Plain())
    may_be_times = learn_times(list(rest)[:10]) is not None
    learned = _study_times(found, marks, habits, numbers) if may_be_times else None
    if learned is None:
        # Where words count as missing, and where times could be meant, each text is looked at.
        if numbers or may_be_times:
            rest = {text: times for text, times in found.count.items() if text not in marks}
        learned = _study_numbers(rest, habits, numbers)
    if isinstance(learned.format, Plain):
        return learned
    return replace(learned, missing={**marks, **learned.missing})


def _learn_booleans(count: Mapping[str, int]) -> Booleans | None:
    """The words for false and true, if all cells are such words; the most frequent spelling."""
    words = dict[str, str]()
    for text in sorted(count, key=lambda text: (-count[text], text)):
        if text.casefold() not in ("false", "true"):
            return None
        words.setdefault(text.casefold(), text)
    if not words:
        return None
    met = min(words.values())
    for word in ("false", "true"):  # one of the two may not have been met
        cased = word
        if met.isupper():
            cased = word.upper()
        elif met.istitle():
            cased = word.capitalize()
        words.setdefault(word, cased)
    return Booleans((words["false"], words["true"]))


def _study_times(
    found: Distinct, marks: Mapping[str, int], habits: Habits, numbers: bool
) -> Learned | None:
    """The format of texts but for marks if they are times; doubt where day and month look alike."""
    from pyarrow import compute

    texts = found.texts
    if marks:
        texts = texts.filter(compute.invert(compute.is_in(texts, to_arrow(marks))))
    learned = learn_times(texts, habits.order)
    if learned is None:
        return None
    orders, example = learned.orders, compute.min(texts).as_py()
    if len(orders) > 1 and not habits.order and not numbers:
        return Learned(Plain(), orders=orders, doubt="day or month", example=example)
    return Learned(learned.format, orders=orders, example=example, zones=learned.zones)


def _study_numbers(rest: Mapping[str, int], habits: Habits, numbers: bool) -> Learned:
    """The format of these texts as numbers; text, with the doubt, where they are not all."""
    plain = learn_plain_numbers(to_arrow(rest))
    if plain and (habits.decimal != "," or "," not in plain.decimals):
        return Learned(plain.format, plain.decimals)
    group = largest_group(rest)
    words = {text: times for text, times in rest.items() if text not in group}
    too_many = len(words) > MOST_MARKS or any(len(word) > LONGEST for word in words)
    if not group or too_many or (words and not numbers):
        return _study_words(rest, words)
    found = learn_numbers(group, rest, habits.decimal)
    doubts: tuple[tuple[Doubt, list[str]], ...] = (
        ("too long", [text for text, cell in group.items() if is_too_long(cell)]),
        ("leading zeros", [text for text, cell in group.items() if is_code(cell)]),
    )
    for doubt, examples in doubts:
        if examples and not numbers:
            return Learned(Plain(), doubt=doubt, example=min(examples))
    if found is None and not numbers:
        return Learned(Plain())
    form, decimals = found or (Numbers(), frozenset("."))
    marks = tuple(sorted(words))
    example = max(group, key=lambda text: (len(text), text))
    return Learned(replace(form, marks=marks), decimals, example=example, missing=words)


def _study_words(rest: Mapping[str, int], words: Mapping[str, int]) -> Learned:
    """Text; with the doubt that it may be numbers, where most cells are."""
    strange = sum(words.values())
    if 2 * strange >= sum(rest.values()):
        return Learned(Plain())
    example = min(words, key=lambda text: (-words[text], text))
    return Learned(Plain(), doubt="words", example=example, strange=strange)
