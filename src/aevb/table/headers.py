"""Whether the first line of a file holds the names of its columns, or is the first row.

A guess from the first lines. Each column whose cells below are numbers or dates has a vote: a first
cell that is one too speaks for data, text for names. Where no column has a vote, text that comes
again below speaks for data. No guess loses a row: where line 1 could be either, a note says how it
is read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

__all__ = ["First", "is_number", "what_is_first"]

#: What line 1 holds: names or data; "unsure" are names that could be data.
First = Literal["names", "data", "unsure"]

MISSING = {"", "?", "-", "--", ".", "na", "n/a", "n.a.", "nan", "null", "none", "missing"}
SIGN, MONEY = "[-+]?", "[$€£¥]?"
DIGITS = r"(\d[\d.,'\u00a0\u202f ]*|[.,]\d+)([eE][-+]?\d+)?"
NUMBER = re.compile(rf"\(?{SIGN}{MONEY}\s?{SIGN}{DIGITS}\s?(%|[$€£¥])?\)?|{SIGN}inf(inity)?", re.I)
TIME = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s?([ap]m)?\s?(Z|[-+]\d{2}:?\d{2})?"
DATE = re.compile(rf"\d{{1,4}}([-/.])\d{{1,2}}\1\d{{1,4}}([T ]\s?{TIME})?|{TIME}", re.I)


def is_number(cell: str, longest: int = 64) -> bool:
    """Whether a cell is written like a number, a date or a time.

    >>> [is_number(cell) for cell in ("-1,234.50", "12%", "2024-01-05", "A7", "")]
    [True, True, True, False, False]
    """
    cell = cell.strip()
    if len(cell) > longest:
        return False
    return bool(NUMBER.fullmatch(cell) or DATE.fullmatch(cell))


def what_is_first(rows: Sequence[Sequence[str]]) -> First:
    """What the first of these rows holds, judged by the others.

    >>> what_is_first([["5.1", "setosa"], ["4.9", "setosa"]])
    'data'
    >>> what_is_first([["length", "species"], ["4.9", "setosa"]])
    'names'
    """
    first = rows[0]
    others = [row for row in rows[1:] if len(row) == len(first)]
    columns = [_Column(cell, list(cells)) for cell, *cells in zip(first, *others, strict=True)]
    numbers = [column.first for column in columns if is_number(column.first)]
    for_data = [column for column in columns if column.numeric and is_number(column.first)]
    for_names = [column for column in columns if column.numeric and column.has_name]
    if for_names:
        return "unsure" if for_data else "names"
    texts = [column for column in columns if column.has_name]
    if for_data:
        recurring = any(column.recurs for column in texts)
        return "unsure" if texts and not recurring and _are_years(numbers) else "data"
    if numbers and not texts:
        return "unsure" if others else "data"
    again = [column for column in columns if column.recurs]
    repeated = len(first) > 1 and list(first) in [list(row) for row in others]
    return "data" if 2 * len(again) > len(columns) and not repeated else "names"


@dataclass(frozen=True)
class _Column:
    """The first cell of a column, and those below."""

    first: str
    others: list[str]

    @property
    def numeric(self) -> bool:
        """Whether the cells below are numbers, but for a few."""
        observed = [cell for cell in self.others if not _is_missing(cell)]
        return bool(observed) and sum(map(is_number, observed)) >= 0.9 * len(observed)

    @property
    def has_name(self) -> bool:
        """Whether the first cell is text."""
        return not is_number(self.first) and not _is_missing(self.first)

    @property
    def recurs(self) -> bool:
        """Whether the first cell is text that comes again below."""
        return self.has_name and self.first in self.others


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _are_years(cells: Sequence[str]) -> bool:
    """Whether these are two or more years, evenly spaced."""
    if len(cells) < 2 or not all(re.fullmatch(r"\s*(1[89]|2[01])\d\d\s*", cell) for cell in cells):
        return False
    years = list(map(int, cells))
    steps = {later - former for former, later in pairwise(years)}
    return len(steps) == 1 and 0 not in steps
