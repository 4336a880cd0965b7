"""The cells of a file of text: the distinct ones, and the marks that people write for nothing."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aevb.errors import DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "Distinct",
    "TextArray",
    "Texts",
    "arrow_texts",
    "is_blank",
    "is_mark",
    "one_of_each_shape",
]

TextArray: TypeAlias = "pyarrow.Array | pyarrow.ChunkedArray"
#: Texts as Arrow holds them, or any others; None where a cell is empty.
Texts: TypeAlias = "TextArray | Iterable[str | None]"
Values: TypeAlias = NDArray[np.float64]

#: What programs write for a missing number, whatever the case. Nobody means a value by them.
BLANKS = frozenset({"", "na", "n/a", "nan", "null", "<na>", "nat", "#n/a", "#na"})
#: What people and spreadsheets write for it. In a column of levels they may be levels.
MARKS = BLANKS | {
    *("?", "??", "???", "-", "--", "---", "\u2013", "\u2014", ".", "..", "..."),
    *("n.a.", "n.a", "na.", "none", "nil", "missing", "(null)", "\\n"),
    *("#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!"),
}
#: More marks of one column are text, of which a schema keeps no list.
MOST_MARKS = 1_000


def is_mark(text: str, others: Collection[str] = ()) -> bool:
    """Whether a text stands for a missing number or time; `others` are marks of one column.

    >>> is_mark(" N/A "), is_mark("unknown"), is_mark("unknown", others=["unknown"])
    (True, False, True)
    """
    return text in others or text.strip().casefold() in MARKS


def is_blank(text: str) -> bool:
    """Whether it is a mark that cannot be a level of a column of numbers."""
    return text.strip().casefold() in BLANKS


def arrow_texts(texts: Texts) -> "pyarrow.Array":
    """The texts as one Arrow array."""
    import pyarrow

    if isinstance(texts, pyarrow.ChunkedArray):
        return texts.combine_chunks()
    if isinstance(texts, pyarrow.Array):
        return texts
    return pyarrow.array(list(texts), type=pyarrow.string())


def one_of_each_shape(texts: Texts) -> dict[str, int]:
    """One text for all that differ in digits above 0 only, and how many those are.

    Such texts are numbers of the same format. Long whole numbers differ in what float64 holds of
    them: with these each text stands for itself.

    >>> one_of_each_shape(["$5.20", "$7.10", "07", None])
    {'$5.20': 2, '07': 1}
    """
    import pyarrow
    from pyarrow import compute

    cells = arrow_texts(texts).drop_null()
    shapes = cells
    if not compute.any(compute.match_substring_regex(cells, "[0-9]{16}")).as_py():
        shapes = compute.replace_substring_regex(cells, "[1-9]", "1")
    table = pyarrow.table({"shape": shapes, "text": cells})
    groups = table.group_by("shape").aggregate([("text", "min"), ("text", "count")])
    columns = (groups["text_min"].to_pylist(), groups["text_count"].to_pylist())
    return dict(sorted(zip(*columns, strict=True)))


@dataclass(frozen=True)
class Distinct:
    """The distinct texts of a column in ascending order, their counts, and which each row holds.

    Parameters
    ----------
    texts, counts
        The texts and in how many rows each is.
    positions
        Shape (rows,): the position of the row's text, -1 where there is none.
    """

    texts: list[str]
    counts: NDArray[np.intp]
    positions: NDArray[np.intp]

    @classmethod
    def of(cls, texts: Texts) -> "Distinct":
        """The distinct texts of these.

        >>> Distinct.of(["b", None, "a", "b"]).counts
        array([1, 2])
        """
        from pyarrow import compute

        encoded = arrow_texts(texts).dictionary_encode()
        found = encoded.dictionary.to_pylist()
        codes = compute.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        order = sorted(range(len(found)), key=found.__getitem__)
        rank = np.full(len(found) + 1, -1, dtype=np.intp)  # the last one is that of no text
        rank[order] = np.arange(len(found))
        positions = rank[codes]
        counts = np.bincount(positions[positions >= 0], minlength=len(found))
        return cls([found[i] for i in order], counts, positions)

    @property
    def count(self) -> dict[str, int]:
        """In how many rows each text is."""
        return dict(zip(self.texts, self.counts.tolist(), strict=True))

    def values(
        self,
        read: Callable[[str], float | None],
        marks: Collection[str],
        name: str,
        expected: Callable[[str], str],
    ) -> Values:
        """The number of each row by `read`, NaN for marks.

        `DataError` with what was `expected` instead of a text where `read` gives None.
        """
        numbers = np.full(len(self.texts) + 1, np.nan)
        for i, text in enumerate(self.texts):
            if is_mark(text, marks):
                continue
            number = read(text)
            if number is None:
                row = int(np.argmax(self.positions == i))
                raise DataError(
                    f"column {name!r}, row {row} (counting from 0): expected {expected(text)}, "
                    f"got {text[:60]!r}: correct the cell, leave it empty or leave the column out",
                    hint={"ignore": [name]},
                )
            numbers[i] = number
        return numbers[self.positions]
