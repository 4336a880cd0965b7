"""Files of text as people keep them: how each is written, and what is to be understood of it."""

import csv
import gzip
import io
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

ROWS = 80
#: The cells of a file by column, as they are written.
Cells = dict[str, list[str]]
#: By the name of a column to model: its kind, and what its samples look like.
Modeled = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class File:
    """A file of text.

    Parameters
    ----------
    cells
        Its cells by column; those of columns that are not in `modeled` are left out of the model.
    modeled
        What is expected of the columns, in their order.
    written
        The bytes of a file of these cells.
    suffix
        What its name ends in.
    marks
        By column, the cells that count as missing; in the others only an empty cell does.
    columns
        What is said of columns when the model is fitted.
    notes
        Codes of notes that are made, among others.
    """

    cells: Cells
    modeled: Modeled
    written: Callable[[Cells], bytes]
    suffix: str = ".csv"
    marks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def is_missing(self, name: str, cell: str) -> bool:
        return name in self.modeled and cell in ("", *self.marks.get(name, ()))


def delimited(
    cells: Cells,
    delimiter: str = ",",
    end: str = "\n",
    encoding: str = "utf-8",
    first: str = "",
    names: bool = True,
    everything: bool = False,
) -> bytes:
    """A file of these cells in one of the dialects of CSV."""
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if everything else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    if names:
        writer.writerow(cells)
    writer.writerows(zip(*cells.values(), strict=True))
    return (first + text.getvalue()).encode(encoding)


def packed_gz(cells: Cells) -> bytes:
    return gzip.compress(delimited(cells))


def packed_zst(cells: Cells) -> bytes:
    return bytes(pa.compress(delimited(cells), codec="zstd", asbytes=True))


def holed(cells: Sequence[str], mark: str = "", every: int = 9) -> list[str]:
    """The cells with this mark in some rows."""
    return [mark if i % every == 4 else cell for i, cell in enumerate(cells)]


def formatted(values: Sequence[float] | np.ndarray, form: str) -> list[str]:
    return [form.format(value) for value in values]


def cycle(*levels: str) -> list[str]:
    return [levels[i * i % 7 % len(levels)] for i in range(ROWS)]


def number_of(text: str) -> str:
    """A number written in English as it is written in German."""
    return text.translate(str.maketrans(",.", ".,"))


CHANCE = np.random.default_rng(0)
Z = CHANCE.normal(size=ROWS)
X = Z + 0.5 * CHANCE.normal(size=ROWS)
MONEY = np.exp(7 + Z)
PLAIN = formatted(X, "{:.2f}")
DAYS = np.datetime64("2023-01-10") + CHANCE.integers(0, 400, ROWS)
ISO = [str(day) for day in DAYS]
GERMAN = [f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in ISO]
AMERICAN = [f"{int(day[5:7])}/{int(day[8:])}/{day[:4]}" for day in ISO]
COUNTS = [str(n) for n in CHANCE.poisson(np.exp(1 + 0.5 * Z))]
TOWNS = cycle("Bonn", "Essen", "Trier")

#: Patterns of samples.
AMOUNT = r"-?\d+\.\d\d"
WHOLE = r"\d+"
TOWN = "Bonn|Essen|Trier"
ISO_DAY = r"\d{4}-\d\d-\d\d"

CONTEXT: Cells = {"x": PLAIN, "town": TOWNS}
MODELED_CONTEXT = {"x": ("continuous", AMOUNT), "town": ("categorical", TOWN)}


def money() -> File:
    cells = {
        "income": holed(formatted(MONEY, "${:,.2f}")),
        "change": [f"({-z:.2f})" if z < 0 else f"{z:.2f}" for z in X],
        "share": holed(formatted(np.clip(50 + 25 * X, 0, 100), "{:.0f}%"), "?"),
        "debt": formatted(1000 * X, "USD {:,.0f}"),
    }
    modeled = {
        "income": ("continuous", r"\$\d{1,3}(,\d{3})*\.\d\d"),
        "change": ("continuous", r"\(\d+\.\d\d\)|\d+\.\d\d"),
        "share": ("count", r"(100|\d{1,2})%"),
        "debt": ("continuous", r"-?USD \d{1,3}(,\d{3})*"),
    }
    return File(cells, modeled, delimited, marks={"share": ["?"]}, notes=["AEV202", "AEV204"])


def german() -> File:
    cells = {
        "Umsatz": [number_of(cell) for cell in formatted(MONEY, "{:,.2f} €")],
        "Größe": [number_of(cell) for cell in holed(PLAIN)],
        "Tag": holed(GERMAN),
        "Straße": cycle("Öl", "Süd", "Ost"),
    }
    modeled = {
        "Umsatz": ("continuous", r"\d{1,3}(\.\d{3})*,\d\d €"),
        "Größe": ("continuous", r"-?\d+,\d\d"),
        "Tag": ("continuous", r"\d\d\.\d\d\.\d{4}"),
        "Straße": ("categorical", "Öl|Süd|Ost"),
    }
    return File(cells, modeled, partial(delimited, delimiter=";", end="\r\n", encoding="cp1252"))


def french() -> File:
    spaced = [cell.replace(",", "\u202f").replace(".", ",") for cell in formatted(MONEY, "{:,.2f}")]
    cells = {"montant": holed(spaced), "nom": cycle("été", "hiver", "à côté"), "n": COUNTS}
    modeled = {
        "montant": ("continuous", "\\d{1,3}(\u202f\\d{3})*,\\d\\d"),
        "nom": ("categorical", "été|hiver|à côté"),
        "n": ("count", WHOLE),
    }
    return File(cells, modeled, partial(delimited, delimiter=";", encoding="utf-16"))


def swiss() -> File:
    apostrophes = [cell.replace(",", "'") for cell in formatted(MONEY, "CHF {:,.2f}")]
    cells = {"Preis": holed(apostrophes), **CONTEXT}
    modeled = {"Preis": ("continuous", r"CHF \d{1,3}('\d{3})*\.\d\d"), **MODELED_CONTEXT}
    return File(cells, modeled, partial(delimited, encoding="utf-8-sig"))


def marks() -> File:
    words = ["?", "-", ".", "NA", "n.a.", "#DIV/0!"]
    cells = {f"v{i}": holed(formatted(X + i, "{:.1f}"), mark) for i, mark in enumerate(words)}
    cells["day"] = holed(ISO, "-")
    modeled = {f"v{i}": ("continuous", r"-?\d+\.\d") for i in range(len(words))}
    modeled["day"] = ("continuous", ISO_DAY)
    known = {f"v{i}": [mark] for i, mark in enumerate(words)} | {"day": ["-"]}
    return File(cells, modeled, delimited, marks=known)


def words_are_levels() -> File:
    cells = {"x": PLAIN, "word": cycle("?", "NA", "-", "none"), "flag": cycle("0", "1")}
    modeled = {
        "x": ("continuous", AMOUNT),
        "word": ("categorical", r"\?|NA|-|none"),
        "flag": ("binary", "0|1"),
    }
    return File(cells, modeled, delimited)


def iso_times() -> File:
    hours = CHANCE.integers(0, 24, ROWS)
    cells = {
        "day": holed(ISO),
        "seen": [f"{day}T{hour:02d}:30Z" for day, hour in zip(ISO, hours, strict=True)],
        "at": [f"{day} {hour:02d}:15:00" for day, hour in zip(ISO, hours, strict=True)],
        "month": [day[:7] for day in ISO],
        "opens": holed([f"{6 + i % 5}:{i % 4 * 15:02d}" for i in range(ROWS)]),
    }
    modeled = {
        "day": ("continuous", ISO_DAY),
        "seen": ("continuous", rf"{ISO_DAY}T\d\d:[03]0Z"),
        "at": ("continuous", rf"{ISO_DAY} \d\d:(00|15|30|45):00"),
        "month": ("continuous", r"\d{4}-\d\d"),
        "opens": ("continuous", r"([0-9]|1[0-9]|2[0-3]):(00|15|30|45)"),
    }
    return File(cells, modeled, delimited, notes=["AEV203"])


def american_times() -> File:
    hours = CHANCE.integers(0, 12, ROWS)
    cells = {
        "day": holed(AMERICAN, "n/a"),
        "call": [f"{1 + h}:{h * 5:02d} {'AP'[i % 2]}M" for i, h in enumerate(hours)],
        **CONTEXT,
    }
    modeled = {
        "day": ("continuous", r"\d{1,2}/\d{1,2}/\d{4}"),
        "call": ("continuous", r"(1[0-2]|[1-9]):[0-5][05] [AP]M"),
        **MODELED_CONTEXT,
    }
    return File(cells, modeled, delimited, marks={"day": ["n/a"]})


def zones() -> File:
    one = [f"{day}T08:{i % 60:02d}:00+02:00" for i, day in enumerate(ISO)]
    many = [f"{day}T08:00:00+0{i % 3}:00" for i, day in enumerate(ISO)]
    modeled = {
        "one": ("continuous", rf"{ISO_DAY}T\d\d:\d\d:00\+02:00"),
        "many": ("continuous", rf"{ISO_DAY}T\d\d:00:00(\+00:00|Z)"),
        **MODELED_CONTEXT,
    }
    return File({"one": holed(one), "many": holed(many), **CONTEXT}, modeled, delimited)


def headerless() -> File:
    cells = {"x0": PLAIN, "x1": COUNTS, "x2": holed(formatted(50 + X, "{:.1f}"))}
    modeled = {
        "x0": ("continuous", AMOUNT),
        "x1": ("count", WHOLE),
        "x2": ("continuous", r"\d+\.\d"),
    }
    return File(cells, modeled, partial(delimited, names=False))


def declared_delimiter() -> File:
    cells = {"x": holed(PLAIN), "a,b": cycle("1,5", "2,5", "x,y")}
    modeled = {"x": ("continuous", AMOUNT), "a,b": ("categorical", "1,5|2,5|x,y")}
    return File(cells, modeled, partial(delimited, delimiter="|", first="sep=|\n"))


def tabs() -> File:
    modeled = {"n": ("count", WHOLE), **MODELED_CONTEXT}
    written = partial(delimited, delimiter="\t", end="\r\n")
    return File({"n": holed(COUNTS), **CONTEXT}, modeled, written, ".tsv")


def quoted() -> File:
    said = ['he said "no"', "two\nlines", "a, b", " blank "]
    cells = {"x": PLAIN, "said": cycle(*said), "n": holed(COUNTS, "NA")}
    modeled = {
        "x": ("continuous", AMOUNT),
        "said": ("categorical", "|".join(said)),
        "n": ("count", WHOLE),
    }
    written = partial(delimited, everything=True, end="\r\n")
    return File(cells, modeled, written, marks={"n": ["NA"]})


def gz() -> File:
    return File({"n": holed(COUNTS), **CONTEXT}, {"n": ("count", WHOLE), **MODELED_CONTEXT},
                packed_gz, ".csv.gz")  # fmt: skip


def zst() -> File:
    cells = {"price": [f"{int(np.exp(3 + z))}.99" for z in Z], "day": holed(ISO), "town": TOWNS}
    modeled = {
        "price": ("continuous", r"\d+\.\d\d"),
        "day": ("continuous", ISO_DAY),
        "town": ("categorical", TOWN),
    }
    return File(cells, modeled, packed_zst, ".csv.zst")


def as_written() -> File:
    """Cells that a program of numbers would write otherwise."""
    cells = {
        "zip": cycle("02138", "10001", "94110"),
        "signed": formatted(X, "{:+.1f}"),
        "padded": [f"{x:.2f}" if i % 3 else f"{x:.1f}" for i, x in enumerate(X)],
        "kg": holed(formatted(70 + 5 * X, "{:.1f} kg")),
        "tiny": formatted(1e-9 * np.exp(Z), "{:.2e}"),
    }
    modeled = {
        "zip": ("categorical", "02138|10001|94110"),
        "signed": ("continuous", r"[+-]?\d+\.\d"),
        "padded": ("continuous", r"-?\d+\.\d{1,2}"),
        "kg": ("continuous", r"\d+\.\d kg"),
        "tiny": ("continuous", r"\d.*"),
    }
    return File(cells, modeled, delimited)


def left_out() -> File:
    chance = np.random.default_rng(1)
    cells = {
        "row": [str(i) for i in range(ROWS)],
        "customer_id": [f"{7 * i + 3:08d}" for i in range(ROWS)],
        "token": [str(uuid.UUID(bytes=chance.bytes(16))) for _ in range(ROWS)],
        "comment": [f"customer {i} said {x} and left" for i, x in enumerate(PLAIN)],
        "empty": [""] * ROWS,
        "country": ["DE"] * ROWS,
        "x": holed(PLAIN),
    }
    modeled = {"country": ("categorical", "DE"), "x": ("continuous", AMOUNT)}
    notes = ["AEV101", "AEV102", "AEV103", "AEV104"]
    return File(cells, modeled, delimited, notes=notes)


def twins() -> File:
    whole = [int(n) for n in COUNTS]
    cells = {
        "cm": formatted(170 + 8 * X, "{:.1f}"),
        "inches": formatted((170 + 8 * X) / 2.54, "{:.1f}"),
        "town": TOWNS,
        "code": [{"Bonn": "10", "Essen": "20", "Trier": "30"}[town] for town in TOWNS],
        "a": COUNTS,
        "b": [str(i % 5) for i in range(ROWS)],
        "both": holed([str(n + i % 5) for i, n in enumerate(whole)]),
    }
    modeled = {
        "cm": ("continuous", r"\d+\.\d"),
        "inches": ("continuous", r"\d+\.\d"),
        "town": ("categorical", TOWN),
        "code": ("count", r"[12]\d|30"),
        "a": ("count", WHOLE),
        "b": ("count", "[0-4]"),
        "both": ("count", WHOLE),
    }
    return File(cells, modeled, delimited, notes=["AEV106", "AEV107", "AEV108"])


def heaps() -> File:
    chance = np.random.default_rng(2)
    hours = chance.choice([20, 35, 40, 45, 50, 60], ROWS, p=[0.1, 0.1, 0.5, 0.1, 0.15, 0.05])
    gain = np.where(chance.random(ROWS) < 0.7, 0, chance.gamma(2, 500, ROWS))
    cells = {
        "hours": holed([str(hour) for hour in hours]),
        "gain": holed(formatted(gain, "{:.2f}")),
        "visits": [str(n if n > 1 else 0) for n in chance.poisson(1, ROWS)],
        "fives": [str(5 * n) for n in chance.poisson(20, ROWS)],
        "day": [str(day) for day in np.minimum(chance.integers(1, 40, ROWS), 31)],
    }
    modeled = {
        "hours": ("count", r"\d*[05]"),
        "gain": ("continuous", r"\d+\.\d\d"),
        "visits": ("count", WHOLE),
        "fives": ("count", r"\d*[05]"),
        "day": ("count", "[0-9]|[12][0-9]|3[01]"),
    }
    return File(cells, modeled, delimited)


def sentinels() -> File:
    cells = {
        "age": holed([str(int(40 + 8 * x)) for x in X], "-999"),
        "score": holed(formatted(50 + 10 * X, "{:.1f}"), "9999", 11),
        "temperature": holed([str(round(10 * x)) for x in X]),
    }
    modeled = {
        "age": ("continuous", r"-?\d+"),
        "score": ("continuous", r"-?\d+(\.\d)?"),
        "temperature": ("continuous", r"-?\d+"),
    }
    return File(cells, modeled, delimited, notes=["AEV109"])


def empty_rows() -> File:
    cells = {"n": COUNTS, **CONTEXT}
    empty = {name: ["" if i % 20 == 7 else c for i, c in enumerate(cells[name])] for name in cells}
    return File(empty, {"n": ("count", WHOLE), **MODELED_CONTEXT}, delimited)


def formulas() -> File:
    levels = ["=A1+1", "@home", "+49 30", "-x"]
    cells = {"said": cycle(*levels), "x": holed(PLAIN)}
    modeled = {"said": ("categorical", r"=A1\+1|@home|\+49 30|-x"), "x": ("continuous", AMOUNT)}
    return File(cells, modeled, delimited)


def booleans() -> File:
    cells = {
        "x": PLAIN,
        "member": holed(cycle("TRUE", "FALSE")),
        "paid": holed(cycle("true", "false")),
        "answer": holed(cycle("yes", "no")),
        "three": cycle("true", "false", "unknown"),
    }
    modeled = {
        "x": ("continuous", AMOUNT),
        "member": ("binary", "TRUE|FALSE"),
        "paid": ("binary", "true|false"),
        "answer": ("binary", "yes|no"),
        "three": ("categorical", "true|false|unknown"),
    }
    return File(cells, modeled, delimited)


def told() -> File:
    """Columns of which people know better."""
    cells = {
        "grade": [str(1 + i * i % 5) for i in range(ROWS)],
        "share": formatted(np.clip(20 + 10 * X, 0, 40), "{:.1f}"),
        "power": [("low" if i % 6 == 2 else f"{100 + 9 * x:.0f}") for i, x in enumerate(X)],
        "price": holed(formatted(MONEY, "{:.2f}")),
    }
    modeled = {
        "grade": ("ordinal", "[1-5]"),
        "share": ("continuous", r"[0-3]?\d\.\d|40\.0"),
        "power": ("continuous", r"-?\d+"),
        "price": ("positive", r"\d+\.\d+"),
    }
    columns = {
        "grade": "ordinal",
        "share": {"kind": "continuous", "lower": 0, "upper": 40, "step": 0.1},
        "power": "continuous",
        "price": "positive",
    }
    return File(cells, modeled, delimited, marks={"power": ["low"]}, columns=columns)


def names_of_all_sorts() -> File:
    cells = {"": holed(PLAIN), "sum(x)": COUNTS, "名前": cycle("日本", "中国"), "a b": PLAIN[::-1]}
    modeled = {
        "": ("continuous", AMOUNT),
        "sum(x)": ("count", WHOLE),
        "名前": ("binary", "日本|中国"),
        "a b": ("continuous", AMOUNT),
    }
    return File(cells, modeled, delimited)


FILES: dict[str, Callable[[], File]] = {
    make.__name__: make
    for make in (
        money, german, french, swiss, marks, words_are_levels, iso_times, american_times, zones,
        headerless, declared_delimiter, tabs, quoted, gz, zst, as_written, left_out, twins, heaps,
        sentinels, empty_rows, formulas, booleans, told, names_of_all_sorts,
    )
}  # fmt: skip
