"""Notes that a statistician would make on the columns of a table, before any fit.

Each is one line for all columns it is about, with a code of `aevb.table.codes`. Facts of a single
column are those of all rows. Pairs of columns are compared on some rows, evenly spaced, and equal
columns are then checked on all.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aevb.errors import AevbWarning, listed
from aevb.table.schema import Column, Values
from aevb.table.tables import Cells

__all__ = ["Notes", "Role", "coded"]

Codes = NDArray[np.intp]
#: What a column is good for: a model, or a name of the row, or text for people. "suspect" is a
#: column to model that may name the rows.
Role = Literal["model", "identifier", "free text", "suspect"]

#: Names of row numbers and identifiers: no name, id, customer_id, PassengerId, Unnamed: 0.
IDENTIFIER = re.compile(
    r"|(?i:unnamed: ?\d+|__index_level_\d+__|level_0|index|idx|row(_?(names?|numbers?|id|nr|no))?)"
    r"|(?i:(.*[_ .-])?(id|uuid|guid)|id[_ .-].*)|.*[a-z](Id|ID)"
)
#: Names of time, which counts on evenly without being a row number.
TIME = re.compile(
    r"(?i)(.*[_ .-])?(years?|months?|weeks?|days?|hours?|minutes?|seconds?|dates?|times?|t|ages?)"
    r"|(?i:time|year|month|week|day|hour|date).*"
)
#: Names of codes, whose numbers are not amounts.
NOMINAL = re.compile(
    r"(?i)(.*[_ .-])?(zip|zip_?codes?|post_?codes?|plz|codes?|cd|industry|sector|type|class"
    r"|category|cluster|region|district|county|department|dept|branch|occupation|sic|naics"
    r"|icd\d*|id)"
    r"|.*[a-z](Id|ID|Code|Type|Class)"
)
#: Numbers that often stand for a missing cell; -1 only among numbers of at least 0.
SENTINELS = (-1.0, *(sign * (10.0**k - 1) for k in range(2, 7) for sign in (-1, 1)))


@dataclass(frozen=True)
class Notes:
    """What the notes look for.

    Parameters
    ----------
    rows
        Most rows on which pairs of columns are compared.
    columns
        Most columns that are compared in pairs.
    names
        Most names in a note.
    distinct
        Fewest distinct values of an identifier.
    most_levels
        Most levels of a text to be modeled.
    unlike
        Share of distinct cells from which text is an identifier.
    words
        Average number of blanks in a cell of free text.
    shared
        Share of cells with one value from which a column is almost constant.
    apart
        Fewest rows away from its most common value that a column needs to be compared in pairs.
    rank_correlation
        Absolute rank correlation from which two columns are nearly duplicates.
    explained
        R^2 from which a column follows from the others.
    unexplained
        Share of the rows away from a column's most common value that another column's levels may
        leave unexplained.
    few
        Fewer rows than these are few.
    """

    rows: int = 2_000
    columns: int = 200
    names: int = 6
    distinct: int = 20
    most_levels: int = 1_000
    unlike: float = 0.95
    words: float = 2.0
    shared: float = 0.995
    apart: int = 10
    rank_correlation: float = 0.999
    explained: float = 0.9999
    unexplained: float = 0.01
    few: int = 50

    def role(self, cells: Cells, named: bool = True) -> Role:
        """Whether a column is one to model, by its name (if it has one) and its cells."""
        observed = cells.values[~np.isnan(cells.values)]
        if cells.family == "text":
            return self._text_role(cells, observed)
        if cells.family != "number" or cells.levels or not self._all_distinct(observed):
            return "model"
        if (observed != np.rint(observed)).any() or "float" in cells.dtype.lower():
            return "model"
        if named and IDENTIFIER.fullmatch(cells.name):
            return "identifier"
        if named and TIME.fullmatch(cells.name):
            return "model"
        ordered = np.sort(observed)
        even = len(observed) == len(cells.values) and (np.diff(ordered, 2) == 0).all()
        by_one = ordered[1] == ordered[0] + 1 and np.array_equal(observed, ordered)
        if even and named and by_one and ordered[0] >= 0:
            return "identifier"
        return "suspect" if even else "model"

    def _text_role(self, cells: Cells, observed: Values) -> Role:
        levels = len(cells.levels)
        if len(observed) < self.distinct:
            return "model"
        met = np.count_nonzero(np.bincount(observed.astype(np.intp)))
        unlike = met >= self.unlike * len(observed)
        if levels > len(observed) / 2:
            shown = [str(level) for level in cells.levels[: self.rows]]
            if np.mean([text.strip().count(" ") for text in shown]) >= self.words:
                return "free text"
        return "identifier" if unlike or levels > self.most_levels else "model"

    def _all_distinct(self, observed: Values) -> bool:
        few = observed[: self.rows]
        if len(few) < self.distinct or len(np.unique(few)) < len(few):
            return False
        return len(np.unique(observed)) == len(observed)

    def on(self, columns: Sequence[Column], cells: Sequence[Cells]) -> list[AevbWarning]:
        """The notes on columns to model, and their cells."""
        found = []
        if len(cells[0].values) < max(self.few, len(columns)):
            rows = f"{len(cells[0].values)} rows for {len(columns)} columns"
            found.append(coded("AEV111", f"{rows}: errors of all estimates will be large"))
        kept = []
        for column, one in zip(columns, cells, strict=True):
            if column.kind != "pixel":
                kept.append((column, one))
        found += self._on_single_columns(kept)
        found += self._on_pairs([one for _, one in kept])
        return found

    # One column at a time

    def _on_single_columns(self, kept: list[tuple[Column, Cells]]) -> list[AevbWarning]:
        constant, nearly, nominal = list[Cells](), list[Cells](), list[Cells]()
        marked = dict[str, list[str]]()
        for column, one in kept:
            observed = one.values[~np.isnan(one.values)]
            if observed.min() == observed.max():
                constant.append(one)
                continue
            if self._is_almost_constant(observed):
                nearly.append(one)
            if not _is_number(one):
                continue
            if sentinels := _sentinels(observed):
                marked[one.name] = sentinels
            named = column.kind not in ("binary", "categorical") and NOMINAL.fullmatch(one.name)
            if named and (observed == np.rint(observed)).all():
                nominal.append(one)
        found = []
        if constant:
            found.append(
                self.note("AEV104", "constant, so nothing can be learned from: {}", constant)
            )
        if nearly:
            text = f"one value fills more than {self.shared:.1%} of the cells: {{}}"
            hint = {"ignore": [one.name for one in nearly[: self.names]]}
            found.append(self.note("AEV105", text, nearly, hint))
        if marked:
            found.append(self._sentinel_note(marked))
        if nominal:
            text = "codes that look like levels, but are modeled as numbers: {}"
            kinds = {one.name: "categorical" for one in nominal[: self.names]}
            found.append(self.note("AEV110", text, nominal, {"columns": kinds}))
        return found

    def _sentinel_note(self, marked: dict[str, list[str]]) -> AevbWarning:
        shown = [f"{name or repr('')} ({listed(values)})" for name, values in marked.items()]
        text = f"values far from the rest that may mean missing: {listed(shown, self.names)}"
        return coded("AEV109", f"{text}; if so, empty these cells", marked)

    def _is_almost_constant(self, observed: Values) -> bool:
        """Whether one value fills more than the share: the middle one in order, if any does."""
        if len(observed) < 1 / (1 - self.shared):
            return False
        some = _some(observed, self.rows)
        middle = np.sort(some)[len(some) // 2]
        if (some == middle).mean() < 0.9:
            return False
        return bool((observed == middle).mean() > self.shared)

    # Pairs of columns

    def _on_pairs(self, cells: list[Cells]) -> list[AevbWarning]:
        compared: list[Cells] = []
        for one in cells:
            if len(compared) < self.columns and _away_from_mode(self._some(one)) >= self.apart:
                compared.append(one)
        same, rest = self._duplicates(compared)
        near = self._near_duplicates([one for one in rest if _is_number(one)])
        follows = self._determined(rest, near) | self._linear(rest, near)
        found = []
        if same:
            found.append(self._pair_note("AEV106", "duplicate columns", same))
        if near:
            text = f"nearly duplicate columns, rank correlation above {self.rank_correlation:g}"
            found.append(self._pair_note("AEV107", text, near))
        if follows:
            text = f"almost follows from other columns: {listed(follows.values(), self.names)}"
            found.append(coded("AEV108", text, follows, {"ignore": [*follows][: self.names]}))
        return found

    def _some(self, one: Cells) -> Values:
        return _some(one.values, self.rows)

    def _duplicates(self, cells: list[Cells]) -> "tuple[dict[str, str], list[Cells]]":
        """Each column that repeats an earlier one, and the columns without those."""
        first: dict[bytes, Cells] = {}
        same: dict[str, str] = {}
        rest = []
        for one in cells:
            some = self._some(one)
            few = 5 * len(np.unique(some)) <= len(some)
            key = (_codes(some) if few else some).tobytes()
            twin = first.setdefault(key, one)
            if twin is not one and _match(twin.values, one.values, few):
                same[one.name] = twin.name
            else:
                rest.append(one)
        return same, rest

    def _near_duplicates(self, cells: list[Cells]) -> dict[str, str]:
        if len(cells) < 2:
            return {}
        ranks = np.column_stack([_ranks(self._some(one)) for one in cells])
        pairs = _correlation(ranks, fewest=self.distinct)
        near: dict[str, str] = {}
        for i, j in np.argwhere(np.triu(np.abs(pairs) > self.rank_correlation, k=1)):
            near.setdefault(cells[j].name, cells[i].name)
        return near

    def _determined(self, cells: list[Cells], known: Iterable[str]) -> dict[str, str]:
        """Columns whose value the levels of another one determine, each with how."""
        codes = {}
        for one in cells:
            some = _codes(self._some(one))
            if one.name not in known and (some.max() + 1) * 5 <= len(some):
                codes[one.name] = some
        follows: dict[str, str] = {}
        for name, of in codes.items():
            for other, by in codes.items():
                # An order stops two columns that determine each other from both being named.
                if other in follows or by.max() <= of.max() or name in follows:
                    continue
                if self._explains(by, of):
                    follows[name] = f"{name or repr('')} from {other or repr('')}"
        return follows

    def _explains(self, by: Codes, of: Codes) -> bool:
        counts = np.zeros((by.max() + 1, of.max() + 1), dtype=np.intp)
        np.add.at(counts, (by, of), 1)
        missed = len(of) - counts.max(axis=1).sum()
        return bool(missed <= self.unexplained * (len(of) - counts.sum(axis=0).max()))

    def _linear(self, cells: list[Cells], known: Iterable[str]) -> dict[str, str]:
        """Columns that are almost linear functions of the others: 1 - R^2 = 1 / (C^-1)_jj."""
        numbers = [one for one in cells if _is_number(one) and one.name not in known]
        if len(numbers) < 3:
            return {}
        matrix = np.column_stack([self._some(one) for one in numbers])
        matrix = matrix[~np.isnan(matrix).any(axis=1)]
        if len(matrix) < 2 * len(numbers) + self.distinct or (np.ptp(matrix, axis=0) == 0).any():
            return {}
        matrix = matrix / np.abs(matrix).max(axis=0)
        values, vectors = np.linalg.eigh(np.corrcoef(matrix, rowvar=False))
        left = 1 / (vectors**2 / np.maximum(values, 1e-12)).sum(axis=1)
        names = [one.name or repr("") for one in numbers]
        found = np.flatnonzero(left < 1 - self.explained)
        if not len(found):
            return {}
        last = names[found[-1]]
        return {numbers[found[-1]].name: f"{last} from {listed((names[i] for i in found[:-1]), 4)}"}

    # Words

    def note(
        self,
        code: str,
        text: str,
        found: Sequence[Cells],
        hint: Mapping[str, object] | None = None,
    ) -> AevbWarning:
        """A note on these columns, named at ``{}``, and settings that would help."""
        names = [one.name for one in found]
        shown = listed((name or repr(name) for name in names), self.names)
        return coded(code, text.replace("{}", shown), names, hint)

    def _pair_note(self, code: str, text: str, pairs: dict[str, str]) -> AevbWarning:
        shown = [f"{twin or repr('')} and {name or repr('')}" for name, twin in pairs.items()]
        hint = {"ignore": [*pairs][: self.names]}
        return coded(code, f"{text}: {listed(shown, self.names)}", [*pairs], hint)


def coded(
    code: str, text: str, columns: Iterable[str] = (), hint: Mapping[str, object] | None = None
) -> AevbWarning:
    """A note with its code, the columns it is about, and settings that would help."""
    return AevbWarning(text, code=code, columns=columns, hint=hint)


def _is_number(one: Cells) -> bool:
    return one.family == "number" and not one.levels


def _some(values: Values, most: int) -> Values:
    """At most so many of the values, evenly spaced."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).astype(np.intp)]


def _away_from_mode(values: Values) -> int:
    observed = values[~np.isnan(values)]
    _, counts = np.unique(observed, return_counts=True)
    return int(len(observed) - counts.max(initial=0))


def _codes(values: Values) -> Codes:
    """Numbers from 0 in the order in which values are first met; missing cells are one of them."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    position = np.empty(len(first), dtype=np.intp)
    position[np.argsort(first)] = np.arange(len(first))
    return position[inverse]


def _match(one: Values, other: Values, leveled: bool) -> bool:
    """Whether two columns are equal in all rows, or match level by level."""
    if leveled:
        return np.array_equal(_codes(one), _codes(other))
    return np.array_equal(one, other, equal_nan=True)


def _ranks(values: Values) -> Values:
    """Ranks of the observed values, ties at their middle."""
    observed = ~np.isnan(values)
    _, inverse, counts = np.unique(values[observed], return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts - 1) / 2
    ranks = np.full(len(values), np.nan)
    ranks[observed] = middles[inverse]
    return ranks


def _correlation(columns: Values, fewest: int) -> Values:
    """Correlations of all pairs over the rows where both are observed; 0 for fewer rows."""
    observed = ~np.isnan(columns)
    seen = observed.astype(np.float64)
    centered = np.where(observed, columns - np.nanmean(columns, axis=0), 0.0)
    rows = seen.T @ seen
    sums = centered.T @ seen
    squares = (centered**2).T @ seen - sums**2 / np.maximum(rows, 1)
    products = centered.T @ centered - sums * sums.T / np.maximum(rows, 1)
    scale = np.sqrt(np.maximum(squares * squares.T, 0))
    usable = (rows >= fewest) & (scale > 1e-9)
    return np.where(usable, products / np.where(usable, scale, 1.0), 0.0)


def _sentinels(observed: Values, most_shared: float = 0.5) -> list[str]:
    """Values at the ends of a column that may mean missing, each with how often it is met."""
    counts: list[tuple[float, int]] = []
    rest = observed
    for end in (np.min, np.max, np.min, np.max):
        value = float(end(rest))
        if value not in SENTINELS:
            continue
        others = rest[rest != value]
        count = len(rest) - len(others)
        if len(others) and count <= most_shared * len(rest) and _is_apart(value, count, others):
            counts.append((value, count))
            rest = others
    return [f"{value:g}, {count} cells" if count > 1 else f"{value:g}" for value, count in counts]


def _is_apart(value: float, count: int, others: Values, fewest_levels: int = 5) -> bool:
    """Whether a value lies farther from the others than they do from each other."""
    least, greatest = float(others.min()), float(others.max())
    if len(np.unique(others[:1_000])) < fewest_levels:
        return False
    if value == -1:
        return count > 1 and least >= 0
    gap = least - value if value < least else value - greatest
    return gap > greatest - least
