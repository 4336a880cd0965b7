"""The cells of a file of text: the distinct ones, and the marks that people write for nothing."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aevb.errors import DataError
from aevb.table.containers import from_arrow, to_arrow, translated

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "Distinct",
    "TextArray",
    "Texts",
    "is_blank",
    "is_mark",
]

TextArray: TypeAlias = "pyarrow.Array | pyarrow.ChunkedArray"
#: Texts as Arrow holds them, their distinct ones, or any others; None where a cell is empty.
Texts: TypeAlias = "TextArray | Distinct | Iterable[str | None]"
Values: TypeAlias = NDArray[np.float64]

#: What programs write for a missing number, whatever the case. Nobody means a value by them.
BLANKS = frozenset({"", "na", "n/a", "nan", "null", "<na>", "nat", "#n/a", "#na"})
#: What people and spreadsheets write for it. In a column of levels they may be levels.
MARKS = BLANKS | {
    *("?", "??", "???", "-", "--", "---", "\u2013", "\u2014", ".", "..", "..."),
    *("n.a.", "n.a", "na.", "none", "nil", "missing", "(null)", "\\n"),
    *("#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!"),
}
#: Digits above 0, as one.
ALIKE = bytes.maketrans(b"23456789", b"11111111")
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


@dataclass(frozen=True)
class Distinct:
    """The distinct texts of a column in the order in which they are met, and which each row holds.

    What is learned of a column or read from it is a matter of these: most columns have few.

    Parameters
    ----------
    texts
        The texts, as Arrow holds them.
    positions
        Shape (rows,): the position of the row's text, -1 where there is none.
    """

    texts: "pyarrow.Array"
    positions: NDArray[np.int32]

    @classmethod
    def of(cls, texts: Texts) -> "Distinct":
        """The distinct texts of these.

        >>> Distinct.of(["b", None, "a", "b"]).count
        {'a': 1, 'b': 2}
        """
        import pyarrow

        if isinstance(texts, Distinct):
            return texts
        if isinstance(texts, pyarrow.ChunkedArray):
            texts = texts.combine_chunks()
        if not isinstance(texts, pyarrow.Array):
            texts = pyarrow.array(list(texts), type=pyarrow.string())
        encoded = texts.dictionary_encode()
        return cls(encoded.dictionary, from_arrow(encoded.indices, -1))

    @cached_property
    def counts(self) -> NDArray[np.intp]:
        """In how many rows each text is, shape (texts,)."""
        return np.bincount(self.positions + 1, minlength=len(self.texts) + 1)[1:]

    @property
    def count(self) -> dict[str, int]:
        """In how many rows each text is, the texts in ascending order."""
        return dict(sorted(zip(self.texts.to_pylist(), self.counts.tolist(), strict=True)))

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """The places of the texts in ascending order."""
        from pyarrow import compute

        return from_arrow(compute.sort_indices(self.texts)).astype(np.intp)

    @property
    def levels(self) -> tuple[tuple[str, ...], Values]:
        """The texts in ascending order, and the position among them of each row's, else NaN."""
        rank = np.empty(len(self.order))
        rank[self.order] = np.arange(len(rank))
        return tuple(self.at(self.order)), self.rows(rank)

    def at(self, places: NDArray[np.intp]) -> list[str]:
        """The texts at these places."""
        return self.texts.take(to_arrow(places)).to_pylist()

    def rows(self, values: Values) -> Values:
        """The value of each row, shape (rows,), from those of the texts; NaN where it has none."""
        return np.append(values, np.nan)[self.positions]

    def one_of_each_shape(self) -> dict[str, int]:
        """One text for all that differ in digits above 0 only, and in how many rows those are.

        Such texts are numbers of the same format. Long whole numbers differ in what float64 holds
        of them: with these each text stands for itself.

        >>> Distinct.of(["$5.20", "$7.10", "07", None]).one_of_each_shape()
        {'$5.20': 2, '07': 1}
        """
        from pyarrow import compute

        if compute.any(compute.match_substring_regex(self.texts, "[0-9]{16}")).as_py():
            return self.count
        shapes = from_arrow(translated(self.texts, ALIKE).dictionary_encode().indices)
        rows = np.bincount(shapes, weights=self.counts).astype(np.intp)
        least = np.empty(len(rows), dtype=np.intp)
        least[shapes[self.order[::-1]]] = self.order[::-1]  # the last one stays
        return dict(sorted(zip(self.at(least), rows.tolist(), strict=True)))

    def filled(
        self,
        values: Values,
        read: Callable[[str], float | None],
        marks: Collection[str],
        name: str,
        expected: Callable[[str], str],
    ) -> Values:
        """The values of the texts, shape (texts,), those that are NaN by `read`; marks stay so.

        `DataError` with what was `expected` instead of a text where `read` gives None.
        """
        filled = values.copy()  # Arrow's are not to be written to
        places = np.flatnonzero(np.isnan(values))
        wrong = dict[int, str]()
        for text, place in zip(self.at(places), places.tolist(), strict=True):
            if is_mark(text, marks):
                continue
            number = read(text)
            if number is None:
                wrong[place] = text
            else:
                filled[place] = number
        if wrong:
            row = int(np.argmax(np.isin(self.positions, list(wrong))))
            text = wrong[int(self.positions[row])]
            raise DataError(
                f"column {name!r}, row {row} (counting from 0): expected {expected(text)}, "
                f"got {text[:60]!r}: correct the cell, leave it empty or leave the column out",
                hint={"ignore": [name]},
            )
        return filled

    @property
    def unread(self) -> Values:
        """A value for each text, none of which is read yet: NaN."""
        return np.full(len(self.texts), np.nan)
