"""CSV of any encoding and delimiter to a table of text; what cannot be read right is an error with
its line.

A CSV file has no types, and none are guessed here: every cell is the text as it is written, without
its quotes. An empty cell is missing; a quoted empty cell is the text ``''``. An empty line is a
missing cell if there is one column, and nothing if there are more.
"""

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from aevb.errors import AevbWarning, DataError
from aevb.table.headers import what_is_first
from aevb.table.tables import WRITTEN

if TYPE_CHECKING:
    import pyarrow

__all__ = ["GUARD", "MARK", "Header", "decoded", "encoding_of", "has_header", "read_csv"]

#: Whether line 1 holds column names; None guesses. Names: it does where one of them is in it.
Header = bool | Collection[str] | None
#: What `aevb.table.write` puts before a cell that a spreadsheet would run: an apostrophe and a word
#: joiner, which no other program writes. It is taken off here.
GUARD = "'\u2060"
#: The byte order mark of UTF-8.
MARK = b"\xef\xbb\xbf"


def read_csv(content: bytes, name: str, header: Header = None) -> "pyarrow.Table":
    """The table of text in the bytes of a CSV file of this name; its metadata are `WRITTEN`.

    UTF-8, UTF-16 and (with a warning) Windows-1252; comma, semicolon, tab or bar, as a first line
    ``sep=;`` says or as guessed from the first lines. Whether line 1 is a header is guessed too,
    unless `header` says it; without one, columns are named x0, x1, ... `DataError` for ragged rows,
    unclosed quotes and repeated names.
    """
    import pyarrow

    text = decoded(content, name)
    declared = re.match(rb'"?sep=([^\r\n"\0\x80-\xff])"?(\r\n|\r|\n)', text)
    if declared is None:
        file = _File(name, text)
    else:
        file = _File(name, text[declared.end() :], 2, declared[1].decode(errors="replace"))
    try:
        names, body = file.names_and_body(header)
        file.check_quotes()
        table = file.read(names, body)
    except (pyarrow.ArrowException, csv.Error) as error:
        file.check_records()
        reason = str(error).splitlines()[0]
        raise DataError(f"{name}: expected CSV, got {reason}") from error
    return _unguarded(table, file.text).replace_schema_metadata(WRITTEN)


def _unguarded(table: "pyarrow.Table", text: bytes) -> "pyarrow.Table":
    """The table without guards against formulas, if there are any in the text it is from."""
    if GUARD.encode() not in text:
        return table
    import pyarrow
    from pyarrow import compute

    columns = []
    for column in table.columns:
        guarded = compute.starts_with(column, GUARD)
        bare = compute.utf8_slice_codeunits(column, len(GUARD))
        columns.append(compute.if_else(guarded, bare, column))
    return pyarrow.table(columns, [name.removeprefix(GUARD) for name in table.column_names])


def decoded(content: bytes, name: str) -> bytes:
    """The content of a text file in UTF-8, without a byte order mark."""
    encoding = encoding_of(content)
    try:
        text = content.decode(encoding)  # for the check, if it is UTF-8 already
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DataError(
                f"{name}: expected {encoding.upper()}, got other bytes at {error.start}: save it "
                "as UTF-8"
            ) from None
        return _western(content, name, content.count(b"\n", 0, error.start) + 1)
    if encoding == "utf-8":
        return content.removeprefix(MARK)
    return text.removeprefix("\ufeff").encode()


def _western(content: bytes, name: str, line: int) -> bytes:
    """Text that is no UTF-8, as Windows writes it; five bytes mean something in Latin-1 only."""
    for encoding, called in (("cp1252", "Windows-1252"), ("latin-1", "Latin-1")):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        note = f"{name}, line {line}: not UTF-8, so read as {called}; save it as UTF-8 if wrong"
        warnings.warn(AevbWarning(note, code="AEV201"), stacklevel=4)
        return text.encode()
    raise AssertionError  # every byte is Latin-1


def encoding_of(content: bytes) -> str:
    """The encoding that the first bytes of a text file speak for: UTF-8 or UTF-16."""
    if content.startswith(MARK):
        return "utf-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    even, odd = content[:4096:2], content[1:4096:2]
    for encoding, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        # Text has no zeros, so that only one half of its letters' bytes may have.
        if high.count(0) > 0.4 * len(high) and low.count(0) < 0.1 * len(low):
            return encoding
    return "utf-8"


def has_header(rows: list[list[str]], header: Header, name: str, where: str) -> bool:
    """Whether the first of these rows holds names; a note where it could be data."""
    if isinstance(header, Collection):
        if set(header) & set(rows[0]):
            return True
        header = False if all(re.fullmatch(r"x\d+", known) for known in header) else None
    if header is not None:
        return header
    guess = what_is_first(rows)
    shown = ", ".join(rows[0][:3]) + (", ..." if len(rows[0]) > 3 else "")
    note = f"{name}: {where} is read as the names of the columns: {shown}"
    if guess == "data":
        note = f"{name}: {where} looks like data: {shown}; columns are named x0, x1, ..."
    if guess != "names":
        hint = {"header": guess == "data"}
        warnings.warn(AevbWarning(note, hint=hint, code="AEV209"), stacklevel=5)
    return guess != "data"


@dataclass(frozen=True)
class _File:
    """The text of a CSV file in UTF-8, from whose first lines its dialect is guessed.

    Parameters
    ----------
    name, text
        What messages call it, and what it holds.
    start
        The number of the first line.
    declared
        The delimiter, if the file says it.
    """

    name: str
    text: bytes
    start: int = 1
    declared: str | None = None
    sampled: int = 1 << 16

    @cached_property
    def head(self) -> str:
        """The first lines: the first one whole, the last one perhaps cut off."""
        size = max(self.sampled, self.text.find(b"\n") + 1)
        return self.text[:size].decode(errors="ignore")

    @cached_property
    def delimiter(self) -> str:
        """What cuts the first lines into equally many fields, the most of them; else the header.

        It cuts no quotes in two, and leaves numbers with a decimal comma whole.
        """
        if self.declared is not None:
            return self.declared

        def fitness(delimiter: str) -> tuple[bool, bool, bool, int]:
            rows = self._records(delimiter)[:50] or [[""]]
            width, cells = len(rows[0]), list(chain(*rows))
            even = width > 1 and all(len(row) == width for row in rows)
            unbroken = not any(cell.count('"') % 2 for cell in cells)
            return even, unbroken, even and _has_decimal_commas(cells), width

        return max(",;\t|", key=fitness)

    @cached_property
    def first_records(self) -> list[list[str]]:
        """The first records that are not empty."""
        records = self._records(self.delimiter)
        if not records:
            raise DataError(f"{self.name}: expected a header and rows, got an empty file")
        return records[:200]

    def _records(self, delimiter: str) -> list[list[str]]:
        """The records in the first lines that are not empty; the last one may be cut off, and is
        left out.
        """
        records = list(csv.reader(self._lines([]), delimiter=delimiter))
        if len(self.text) > self.sampled and len(records) > 1:
            records.pop()
        return [record for record in records if record]

    def _lines(self, sizes: list[int]) -> Iterator[str]:
        """The first lines; the bytes of each are added to `sizes`."""
        for line in io.StringIO(self.head, newline=""):
            sizes.append(len(line.encode()))
            yield line

    def names_and_body(self, header: Header) -> tuple[list[str], memoryview]:
        """The names of the columns, and the text of the rows."""
        first = self.first_records[0]
        if header is None and self.has_quoted_names():
            header = True
        if not has_header(self.first_records, header, self.name, f"line {self.start}"):
            return [f"x{i}" for i in range(len(first))], memoryview(self.text)
        twice = [repr(name) for name, times in Counter(first).items() if times > 1]
        if twice:
            raise DataError(
                f"{self.name}, line {self.start}: expected each column name once, got "
                f"{', '.join(twice)} twice"
            )
        sizes: list[int] = []
        for record in csv.reader(self._lines(sizes), delimiter=self.delimiter):
            if record:
                break
        return first, memoryview(self.text)[sum(sizes) :]

    def has_quoted_names(self) -> bool:
        """Whether all cells of line 1 are quoted, and not all of line 2."""
        lines = [line.rstrip("\r\n") for line in islice(self._lines([]), 2)]
        edge = re.escape(self.delimiter)
        names = re.compile(rf'("[^"]*")+({edge}("[^"]*")+)*')
        cells = re.compile(rf'("[^"]*")*({edge}("[^"]*")*)*')
        if len(lines) < 2 or not names.fullmatch(lines[0]):
            return False
        return not cells.fullmatch(lines[1])

    def read(
        self, names: list[str], body: memoryview, block: int = 1 << 20, largest: int = 2**31 - 1
    ) -> "pyarrow.Table":
        """Read the rows with Arrow; lines that are longer than a block take one for all."""
        import pyarrow
        from pyarrow import csv as arrow

        if not len(body):
            raise DataError(f"{self.name}: expected rows below the header, got none")
        parse = arrow.ParseOptions(
            delimiter=self.delimiter,
            newlines_in_values=b'"' in self.text,
            ignore_empty_lines=len(names) > 1,
        )
        convert = arrow.ConvertOptions(
            column_types=dict.fromkeys(names, pyarrow.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        if body[:3] == MARK:  # Arrow takes one off, which is a part of the first cell here
            body = memoryview(MARK + body)
        rows = pyarrow.py_buffer(body)
        for size in (block, min(len(body) + 1, largest)):
            options = arrow.ReadOptions(column_names=names, block_size=size)
            try:
                table = arrow.read_csv(pyarrow.BufferReader(rows), options, parse, convert)
            except pyarrow.ArrowInvalid:
                if size != block or len(body) < block:
                    raise
                continue
            break
        if not len(table):
            raise DataError(f"{self.name}: expected rows below the header, got none")
        return table

    def check_quotes(self) -> None:
        """Raise `DataError` if a quote is not closed, which Arrow reads past.

        Quotes that open a cell and close it in turn are right. Where others are met, the file is
        read record by record.
        """
        if b'"' not in self.text:
            return
        text = np.frombuffer(self.text, dtype=np.uint8)
        quotes = np.flatnonzero(text == ord('"'))
        before, after = quotes[::2] - 1, quotes[1::2] + 1
        edges = np.frombuffer(f'"\r\n{self.delimiter}'.encode(), dtype=np.uint8)
        right = len(quotes) % 2 == 0
        right = right and bool(np.isin(text[before[before >= 0]], edges).all())
        if not right or not np.isin(text[after[after < len(text)]], edges).all():
            self.check_records()

    def check_records(self) -> None:
        """Raise `DataError` with the line of the first record that is ragged or not closed."""
        limit = csv.field_size_limit(max(len(self.text), 1))
        lines = io.TextIOWrapper(io.BytesIO(self.text), "utf-8", newline="")
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        width, start = 0, self.start
        try:
            for record in reader:
                width = width or len(record)
                if record and len(record) != width:
                    raise DataError(
                        f"{self.name}, line {start}: expected {width} fields as in the first line, "
                        f"got {len(record)}"
                    )
                start = self.start + reader.line_num
        except csv.Error as error:
            raise DataError(
                f"{self.name}, line {start}: a quote is not closed, or not where a field starts "
                f"({error})"
            ) from None
        finally:
            csv.field_size_limit(limit)


def _has_decimal_commas(cells: list[str]) -> bool:
    """Whether most cells with a comma are numbers with a decimal comma."""
    commas = [cell for cell in cells if "," in cell]
    decimals = [cell for cell in commas if re.fullmatch(r"\s*[-+]?[\d.]*,\d+\s?%?\s*", cell)]
    return len(decimals) > 0.5 * len(commas)
