"""The codes of notes on data: what each note means, and what to do about it.

``docs/notes.md`` is made from this list.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CODES", "Code"]


@dataclass(frozen=True)
class Code:
    """What a code stands for.

    Parameters
    ----------
    title
        What was found, in a few words.
    meaning
        When the note is given, and why it matters.
    remedy
        What to do.
    warns
        Whether Python gives a warning too. A note without one is kept in `Schema.advice`, and shown
        by ``aevb inspect``, ``aevb fit`` and the report.
    """

    title: str
    meaning: str
    remedy: str
    warns: bool = True


#: Every code, in order. 101 to 199: the columns; 201 to 299: reading; 301 to 399: new data.
CODES: Mapping[str, Code] = {
    "AEV101": Code(
        "row numbers and identifiers",
        "Whole numbers that count the rows one by one (0, 1, 2, ... or 1001, 1002, ...; not if the "
        "name speaks of time, as `day` does), or that are all distinct in a column with the name "
        "of an index or an identifier (no name, `id`, `customer_id`, `Unnamed: 0`); text that is "
        "nearly all distinct, or has more than 1,000 levels. Such a column says which row it is "
        "and nothing about the row. It is left out of the model and copied to the outputs, so "
        "that rows can be joined. Columns of an array have no names and are never left out.",
        'To model the column, give its kind: `columns={"id": "continuous"}`.',
    ),
    "AEV102": Code(
        "free text",
        "Text of several words in which most cells differ, such as comments. A model of levels "
        "learns nothing from it. It is left out of the model and copied to the outputs.",
        "Turn the text into columns of numbers or levels first (its length, the words that "
        'matter). To model each text as a level: `columns={"comment": "categorical"}`.',
    ),
    "AEV103": Code(
        "all cells are missing",
        "No cell of the column has a value. It is left out of the model.",
        "Check how the column was read or joined.",
    ),
    "AEV104": Code(
        "constant columns",
        "All observed cells are equal. Nothing can be learned from the column, and each cell adds "
        "0 nats.",
        'Leave it out: `ignore=["country"]`.',
    ),
    "AEV105": Code(
        "almost constant columns",
        "One value fills more than 99.5 % of the observed cells. The few other cells weigh little "
        "in the average log-likelihood, and one of them makes its row look like an outlier.",
        "Leave the column out, unless these few cells are what you are looking for.",
        warns=False,
    ),
    "AEV106": Code(
        "duplicate columns",
        "Two columns have equal cells, or levels that match one to one, such as a name and its "
        "code. The model counts the same fact twice: log-likelihoods of rows are too high by what "
        "one column would have added, and scores give the fact double weight.",
        'Leave one of them out: `ignore=["education_num"]`.',
        warns=False,
    ),
    "AEV107": Code(
        "nearly duplicate columns",
        "The ranks of two columns have a correlation above .999 in absolute value: one is almost "
        "a rising or falling function of the other, such as the same length in cm and in inches.",
        "Leave one of them out, unless the small difference is what you are looking for.",
        warns=False,
    ),
    "AEV108": Code(
        "a column that almost follows from others",
        "A column is almost a function of another one whose levels determine it (a zip code and "
        "its city), or almost a linear function of the others (a total and its parts; R^2 above "
        ".9999). A density of such a column has no useful upper end: the better the fit, the "
        "higher it gets.",
        "Leave out the column that follows from the others.",
        warns=False,
    ),
    "AEV109": Code(
        "values that may mean missing",
        "A number that often stands for a missing cell (-999, -99, 9999, or -1 in a column that is "
        "otherwise at least 0) lies far from all other cells. As a number it moves means and "
        "scales.",
        "If it means missing, empty these cells. If it is a real value, keep it: a repeated value "
        "gets its own probability.",
        warns=False,
    ),
    "AEV110": Code(
        "codes that look like levels",
        "Whole numbers in a column whose name is that of a code (`zip`, `industry`, `*_code`, "
        "`*_type`, `class`). Their order and distances mean nothing, but the model takes them for "
        "numbers.",
        'Say that they are levels: `columns={"zip": "categorical"}`. If the numbers do have an '
        "order, ignore this note.",
        warns=False,
    ),
    "AEV111": Code(
        "few rows",
        "Fewer than 50 rows, or fewer rows than columns. Errors of all estimates are large, and "
        "held-out parts have few rows.",
        "Get more rows, or leave out columns. Prefer a small `latent_dim`.",
        warns=False,
    ),
    "AEV112": Code(
        "names that look alike",
        "Two names are the same text, written with different characters (a letter with an accent, "
        "or a letter and an accent).",
        "Rename one of them, or check that both columns are meant.",
    ),
    "AEV113": Code(
        "repeated values of a density",
        "A column was given a kind with a density (`positive`, `proportion`), but one value is "
        "repeated often. A density has no upper end on a repeated value.",
        "Choose the kind `continuous`, which gives repeated values their own probability.",
    ),
    "AEV114": Code(
        "columns that count on evenly",
        "Whole numbers that are all distinct and fill an even scale (a permutation of 1 to n; "
        "1000, 1010, 1020, ...), as row numbers, an index or a schedule do.",
        'If the column only numbers the rows, leave it out: `ignore=["position"]`.',
        warns=False,
    ),
    "AEV201": Code(
        "not UTF-8",
        "The file holds bytes that are not UTF-8. It was read in another encoding, and letters "
        "with accents may be wrong.",
        "Check the letters with `aevb inspect`, or save the file as UTF-8.",
    ),
    "AEV202": Code(
        "cells read as numbers",
        "Text such as `1,234.50`, `$5`, `45%` or `(3)` was read as numbers. Outputs are written in "
        "the same way.",
        'To keep the text as levels: `columns={"amount": "categorical"}`.',
    ),
    "AEV203": Code(
        "cells read as dates or times",
        "Dates and times are modeled as numbers, and written back as they were.",
        'To keep the text as levels: `columns={"date": "categorical"}`.',
    ),
    "AEV204": Code(
        "marks counted as missing",
        "A mark such as `?` or `-` stands in a column whose other cells are numbers, dates or "
        "words. It was counted as missing.",
        'To keep the mark as a level: `columns={"size": "categorical"}`.',
    ),
    "AEV205": Code(
        "leading zeros",
        "Digits with leading zeros are codes, such as zip codes. They were kept as text.",
        'To read them as numbers: `columns={"zip": "continuous"}`.',
    ),
    "AEV206": Code(
        "numbers that are too long",
        "float64 would round these numbers. They were kept as text.",
        "Usually these are identifiers: leave the column out.",
    ),
    "AEV207": Code(
        "numbers and words in one column",
        "Most cells are numbers, but not all. All were kept as text.",
        'To count the words as missing: `columns={"size": "continuous"}`.',
    ),
    "AEV208": Code(
        "day or month first",
        "In these dates, day and month cannot be told apart. They were kept as text.",
        'If the month comes first: `columns={"date": "continuous"}`. Else write the dates as '
        "2024-12-31.",
    ),
    "AEV209": Code(
        "names or data in the first line",
        "The first line could be names of columns or data.",
        "Say which: `header=True` or `header=False`.",
    ),
    "AEV210": Code(
        "several sheets",
        "The workbook has several sheets. The first one was read.",
        "Save the other sheets as files of their own.",
    ),
    "AEV211": Code(
        "several types in a column of a sheet",
        "A column of the workbook holds cells of several types. All were read as text.",
        "Give all cells of the column one type.",
    ),
    "AEV301": Code(
        "columns that the model does not know",
        "New data have columns that the fitted data did not have. They are left alone.",
        "Nothing, or check that the data are those you meant.",
    ),
    "AEV302": Code(
        "values that were not met",
        "New data have levels that the fitted data did not have, or numbers outside of their "
        "support. Such a cell has little probability: the log-likelihood of its row falls.",
        "Check the spelling of the levels and the units of the numbers, or fit the model to data "
        "that have them.",
    ),
}
