"""Frames, arrays and files of types as people hold them, and what is to be understood of each."""

import datetime
import enum
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from pyarrow import parquet

from golden_files import COUNTS, ISO_DAY, MONEY, ROWS, TOWN, TOWNS, WHOLE, Modeled, X, Z
from workbooks import workbook


@dataclass(frozen=True)
class Frame:
    """A table of types.

    Parameters
    ----------
    data
        The table, or the bytes of a file of it.
    modeled
        The kind of each column, and what its samples look like as text.
    suffix
        What the name of the file ends in, if it is one.
    """

    data: Any
    modeled: Modeled
    suffix: str = ""


def holed(cells: Sequence[Any], every: int = 9) -> list[Any]:
    """The cells, with None in some rows."""
    return [None if i % every == 4 else cell for i, cell in enumerate(cells)]


WHOLES = [int(n) for n in COUNTS]
CENTS = [Decimal(round(100 * m)).scaleb(-2) for m in MONEY]
FLAGS = [bool(n % 2) for n in WHOLES]
DATES = [datetime.date(2024, 1, 1) + datetime.timedelta(days=3 * n) for n in WHOLES]
MOMENTS = [datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=7 * i) for i in range(ROWS)]
SPANS = [datetime.timedelta(minutes=5 * n) for n in WHOLES]
CLOCKS = [datetime.time(6 + n % 12, 15 * (n % 4)) for n in WHOLES]
REAL = r"-?\d+\.\d+(e-?\d+)?"
INDEX = pd.Index(np.arange(ROWS)[::-1] * 3, name="row")


def nullable_pandas() -> Frame:
    columns = {
        "n": pd.array(holed(WHOLES), dtype="Int8"),
        "x": pd.array(holed(X.tolist()), dtype="Float32"),
        "flag": pd.array(holed(FLAGS), dtype="boolean"),
        "town": pd.array(holed(TOWNS), dtype="string"),
    }
    frame = pd.DataFrame(columns, index=INDEX)
    frame.attrs["source"] = "a survey"
    modeled = {
        "n": ("count", WHOLE),
        "x": ("continuous", REAL),
        "flag": ("binary", "True|False"),
        "town": ("categorical", TOWN),
    }
    return Frame(frame, modeled)


def arrow_pandas() -> Frame:
    columns = {
        "cents": pd.array(holed(CENTS), dtype=pd.ArrowDtype(pa.decimal128(12, 2))),
        "town": pd.array(holed(TOWNS), dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
        "at": pd.array(holed(MOMENTS), dtype=pd.ArrowDtype(pa.timestamp("ms", "Europe/Berlin"))),
        "n": pd.array(holed(WHOLES), dtype=pd.ArrowDtype(pa.int16())),
    }
    modeled = {
        "cents": ("continuous", r"\d+\.\d{1,2}"),
        "town": ("categorical", TOWN),
        "at": ("continuous", rf"{ISO_DAY} \d\d:00:00\+0[12]:00"),
        "n": ("count", WHOLE),
    }
    return Frame(pd.DataFrame(columns), modeled)


def categorical_pandas() -> Frame:
    sizes = ["S", "M", "L"]
    columns = {
        "size": pd.Categorical(
            holed([sizes[n % 3] for n in WHOLES]), ["S", "M", "L", "XL"], ordered=True
        ),
        "town": pd.Categorical(holed(TOWNS), ["Trier", "Bonn", "Essen", "Ulm"]),
        "year": pd.Categorical(holed([2020 + n % 3 for n in WHOLES])),
        "x": X,
    }
    modeled = {
        "size": ("ordinal", "S|M|L|XL"),
        "town": ("categorical", f"{TOWN}|Ulm"),
        "year": ("categorical", "202[0-2]"),
        "x": ("continuous", REAL),
    }
    return Frame(pd.DataFrame(columns, index=pd.date_range("2024", periods=ROWS)), modeled)


def pandas_times() -> Frame:
    columns = {
        "at": pd.Series(pd.DatetimeIndex(MOMENTS).tz_localize("America/New_York", ambiguous=False)),
        "day": pd.to_datetime(pd.Series(holed(DATES))),
        "span": pd.Series(pd.to_timedelta(holed(SPANS))),
        "date": pd.Series(holed(DATES), dtype=object),
    }
    modeled = {
        "at": ("continuous", rf"{ISO_DAY} \d\d:00:00-0[45]:00"),
        "day": ("continuous", rf"{ISO_DAY} 00:00:00"),
        "span": ("continuous", r"\d+ days? \d\d:\d[05]:00|\d+ days .*"),
        "date": ("continuous", ISO_DAY),
    }
    return Frame(pd.DataFrame(columns), modeled)


def mixed_pandas() -> Frame:
    """Big-endian, sparse and object columns, with one that the model is told to leave out."""
    columns = {
        "big": holed_floats(X).astype(">f8"),
        "sparse": pd.arrays.SparseArray(np.where(Z > 0, np.exp(Z).round(1), 0.0), fill_value=0.0),
        "object": np.array(holed(TOWNS), dtype=object),
        "half": pd.Series(X).astype("float16"),
        "span": pd.cut(X, [-9, 0, 9]),
    }
    modeled = {
        "big": ("continuous", REAL),
        "sparse": ("continuous", r"\d+\.\d"),
        "object": ("categorical", TOWN),
        "half": ("continuous", REAL),
    }
    return Frame(pd.DataFrame(columns, index=INDEX), modeled)


def labeled_pandas() -> Frame:
    labels = pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["u", None])
    values = np.column_stack([holed_floats(X), holed_floats(MONEY.round()), WHOLES])
    kinds = [("continuous", REAL), ("count", r"\d+\.0"), ("count", r"\d+\.0")]
    modeled = dict(zip(["('a', 1)", "('a', 2)", "('b', 1)"], kinds, strict=True))
    return Frame(pd.DataFrame(values, columns=labels, index=INDEX), modeled)


def polars_types() -> Frame:
    frame = pl.DataFrame(
        {
            "size": pl.Series(holed(TOWNS), dtype=pl.Enum(["Trier", "Bonn", "Essen"])),
            "word": pl.Series(holed(TOWNS[::-1]), dtype=pl.Categorical),
            "cents": pl.Series(holed(CENTS), dtype=pl.Decimal(12, 2)),
            "small": pl.Series(holed(WHOLES), dtype=pl.UInt8),
            "x": pl.Series(holed(X.tolist()), dtype=pl.Float32),
        }
    )
    modeled = {
        "size": ("categorical", TOWN),
        "word": ("categorical", TOWN),
        "cents": ("continuous", r"\d+\.\d{1,2}"),
        "small": ("count", WHOLE),
        "x": ("continuous", REAL),
    }
    return Frame(frame, modeled)


def polars_times() -> Frame:
    columns = {"at": holed(MOMENTS), "day": holed(DATES), "span": SPANS, "clock": holed(CLOCKS)}
    modeled = {
        "at": ("continuous", rf"{ISO_DAY} \d\d:00:00"),
        "day": ("continuous", ISO_DAY),
        "span": ("continuous", r"(\d+ days?, )?\d+:\d[05]:00"),
        "clock": ("continuous", r"\d\d:(00|15|30|45):00"),
    }
    return Frame(pl.DataFrame(columns), modeled)


def arrow_types() -> Frame:
    table = pa.table(
        {
            "cents": pa.array(holed(CENTS), pa.decimal128(12, 2)),
            "town": pa.array(holed(TOWNS)).dictionary_encode(),
            "day": pa.array(holed(DATES), pa.date32()),
            "at": pa.array(holed(MOMENTS), pa.timestamp("us", "UTC")),
            "flag": pa.array(holed(FLAGS)),
        }
    )
    modeled = {
        "cents": ("continuous", r"\d+\.\d{1,2}"),
        "town": ("categorical", TOWN),
        "day": ("continuous", ISO_DAY),
        "at": ("continuous", rf"{ISO_DAY} \d\d:00:00\+00:00"),
        "flag": ("binary", "True|False"),
    }
    return Frame(table, modeled)


class Color(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


def records() -> Frame:
    colors = [Color.RED if flag else Color.BLUE for flag in FLAGS]
    columns = {"x": X.tolist(), "n": holed(WHOLES), "town": holed(TOWNS), "color": colors}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    modeled = {
        "x": ("continuous", REAL),
        "n": ("count", WHOLE),
        "town": ("categorical", TOWN),
        "color": ("binary", "red|blue"),
    }
    return Frame(rows, modeled)


def holed_floats(values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(ROWS) % 9 == 4, np.nan, values)


def matrix() -> np.ndarray:
    return np.column_stack([holed_floats(X), WHOLES, holed_floats(MONEY.round(2))])


MODELED_MATRIX = {
    "x0": ("continuous", REAL),
    "x1": ("count", r"\d+\.0"),
    "x2": ("continuous", r"\d+\.\d{1,2}"),
}


def masked_array() -> Frame:
    full = np.column_stack([X, WHOLES, MONEY.round(2)]).astype(">f8")
    return Frame(np.ma.MaskedArray(full, mask=np.isnan(matrix())), MODELED_MATRIX)


def fortran_array() -> Frame:
    return Frame(np.asfortranarray(matrix()), MODELED_MATRIX)


def parquet_file() -> Frame:
    frame, sink = arrow_types(), io.BytesIO()
    parquet.write_table(frame.data, sink)
    return Frame(sink.getvalue(), frame.modeled, ".parquet")


def json_lines() -> Frame:
    frame = records()
    lines = [json.dumps(row) for row in frame.data]
    return Frame("\n".join(lines).encode(), frame.modeled, ".jsonl")


def xlsx_file() -> Frame:
    columns = {"n": holed(WHOLES), "x": X.tolist(), "town": holed(TOWNS), "day": holed(DATES)}
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    modeled = {
        "n": ("count", WHOLE),
        "x": ("continuous", REAL),
        "town": ("categorical", TOWN),
        "day": ("continuous", ISO_DAY),
    }
    return Frame(workbook(rows), modeled, ".xlsx")


def npy_file() -> Frame:
    sink = io.BytesIO()
    np.save(sink, matrix())
    return Frame(sink.getvalue(), MODELED_MATRIX, ".npy")


def npz_file() -> Frame:
    sink = io.BytesIO()
    np.savez_compressed(sink, matrix().astype(np.float32))
    modeled = {**MODELED_MATRIX, "x2": ("continuous", r"\d+\.\d+")}
    return Frame(sink.getvalue(), modeled, ".npz")


FRAMES: dict[str, Callable[[], Frame]] = {
    make.__name__: make
    for make in (
        nullable_pandas, arrow_pandas, categorical_pandas, pandas_times, mixed_pandas,
        labeled_pandas, polars_types, polars_times, arrow_types, records, masked_array,
        fortran_array, parquet_file, json_lines, xlsx_file, npy_file, npz_file,
    )
}  # fmt: skip
