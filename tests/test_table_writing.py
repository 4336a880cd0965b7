"""Files come back as they went, cell by cell, complete or not at all."""

import errno
import os
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from aevb.errors import ConfigError, DataError, OutputError
from aevb.table import read, write
from aevb.table.delimited import GUARD
from aevb.table.tables import WRITTEN

TABLE = pa.table(
    {
        "a": [0.1, None, 1e300],
        "b": [1, None, -3],
        "c": ["x", "", None],
        "d": ["NA", 'q"uote', "two\nlines, ö"],
        "e": [True, None, False],
    }
)

#: The same as CSV has it.
TEXTS = pa.table(
    {
        "a": ["0.1", None, "1e+300"],
        "b": ["1", None, "-3"],
        "c": TABLE["c"],
        "d": TABLE["d"],
        "e": ["true", None, "false"],
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    "convert", [lambda t: t, pl.from_arrow, lambda t: t.to_pandas(types_mapper=pd.ArrowDtype)]
)
def test_tables_come_back(tmp_path, suffix, convert):
    write(convert(TABLE), tmp_path / f"table{suffix}")
    again = read(tmp_path / f"table{suffix}").data
    assert again.to_pylist() == (TABLE if suffix == ".parquet" else TEXTS).to_pylist()
    assert os.listdir(tmp_path) == [f"table{suffix}"]


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("shape", [(3, 4), (5, 3, 4)])
def test_arrays_come_back(tmp_path, suffix, shape):
    array = np.random.default_rng(0).standard_normal(shape)
    write(array, tmp_path / f"array{suffix}")
    np.testing.assert_array_equal(
        read(tmp_path / f"array{suffix}").data, array.reshape(shape[0], -1)
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_arrays_get_names(tmp_path, suffix):
    array = np.array([[0.5, np.nan], [1.5, 2.0]])
    write(array, tmp_path / f"a{suffix}", names=["age", "height"])
    again = read(tmp_path / f"a{suffix}").data
    assert again.column_names == ["age", "height"]
    columns = [again[name].cast(pa.float64()).to_pylist() for name in ("age", "height")]
    assert columns == [[0.5, 1.5], [None, 2.0]]
    write(array, tmp_path / f"b{suffix}")
    assert read(tmp_path / f"b{suffix}").data.column_names == ["x0", "x1"]
    with pytest.raises(DataError, match="a name for each of 2 columns, got 1"):
        write(array, tmp_path / f"c{suffix}", names=["age"])


CELLS = st.one_of(
    st.none(),
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.text(" \t\r\n,;\"'=+-@0.x\u2060\ufeff", max_size=6),
    st.sampled_from(["00042", "1.50", "+5", "", " ", "NA", "sep=;", "\x1b[31m", "\0", "=cmd()"]),
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(data=st.data(), guard=st.booleans())
@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_any_text_comes_back(tmp_path_factory, data, guard):
    """Every cell and name of a table of text, quoted or guarded where need be."""
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    names = data.draw(st.lists(CELLS.filter(bool), min_size=1, max_size=3, unique=True))
    rows = data.draw(st.lists(st.tuples(*[CELLS] * len(names)), min_size=1, max_size=5))
    table = pa.table([pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)], names)
    write(table.replace_schema_metadata(WRITTEN), path, guard=guard)
    again = read(path, header=True).data
    assert again.column_names == names
    assert [tuple(row.values()) for row in again.to_pylist()] == rows


@pytest.mark.parametrize("odd", [GUARD, f"{GUARD}x", "\ufeffx", "\0" * 9, "sep=\0"])
def test_what_means_something_to_readers_comes_back(tmp_path, odd):
    """As the first name, as the first cell, and elsewhere."""
    table = pa.table({odd: [odd, "1"], "b": ["x", odd], f"{odd}c": [odd, odd]})
    write(table.replace_schema_metadata(WRITTEN), tmp_path / "t.csv")
    assert read(tmp_path / "t.csv", header=True).data.equals(table)


def test_text_that_looks_like_utf_16_comes_back(tmp_path):
    table = pa.table({"\0a\0": ["\x001\0", "\x002\0"], "\0b\0": ["\x003\0", "\0é\0"]})
    write(table.replace_schema_metadata(WRITTEN), tmp_path / "t.csv")
    assert read(tmp_path / "t.csv", header=True).data.equals(table)


def test_a_file_of_plain_cells_is_written_byte_for_byte(tmp_path):
    content = 'id,a,when,b\n00042,1.50,2024-01-01 00:30,"x, y"\n@u,+5,,""\n7," ""q""",-,TRUE\n'
    (tmp_path / "in.csv").write_text(content)
    write(read(tmp_path / "in.csv").data, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == content


def test_cells_are_written_as_they_are_unless_guarded(tmp_path):
    cells = ["=cmd()", "+1", "-x", "@sum", "\x1b[31mred", "nul\0", "'=", "-2.5", "\rx"]
    table = pa.table({"=name": cells, "number": np.arange(9) - 4.5})
    write(table, tmp_path / "plain.csv")
    lines = (tmp_path / "plain.csv").read_bytes().decode().split("\n")
    assert lines[0] == "=name,number"
    quoted = [*cells[:-1], f'"{cells[-1]}"']
    assert lines[1:-1] == [f"{cell},{i - 4.5:g}" for i, cell in enumerate(quoted)]
    write(table, tmp_path / "guarded.csv", guard=True)
    lines = (tmp_path / "guarded.csv").read_bytes().decode("utf-8-sig").split("\n")
    starts = [line.lstrip('"')[:2] == GUARD for line in lines[:-1]]
    assert starts == [True, True, False, True, True, False, False, False, False, True]
    assert not any(line.partition(",")[2].startswith("'") for line in lines)  # numbers are harmless
    for name in ("plain.csv", "guarded.csv"):
        again = read(tmp_path / name).data
        assert again["=name"].to_pylist() == cells


def test_headers_that_look_like_data_come_back(tmp_path):
    numbers = pa.table({"2019": [1.5, 2.5], "2020": [0.5, None]})
    words = pa.table({"yes": ["yes", "no"], "x": ["x", "1"]})
    for table in (numbers, words):
        write(table, tmp_path / "t.csv")
        again = read(tmp_path / "t.csv").data  # without a note
        assert again.column_names == table.column_names
        assert len(again) == 2


def test_text_as_written_stays_so_in_parquet(tmp_path):
    table = pa.table({"a": ["007", None, ""]})
    for metadata in (WRITTEN, None):
        write(table.replace_schema_metadata(metadata), tmp_path / "t.parquet")
        again = read(tmp_path / "t.parquet").data
        assert again.schema.metadata == metadata
        assert again.equals(table)


def test_columns_that_are_carried_through_are_written_whatever_their_type(tmp_path):
    frame = pd.DataFrame(
        {
            "object": [1, "x", None],
            "surrogate": pd.Series(["\ud800", "y", "z"], dtype=object),
            "list": [[1], [2, 3], None],
            "when": pd.to_datetime(["2020-01-01", None, "2021-01-01"], utc=True),
            "level": pd.Categorical(["=a", "b", None]),
            "price": [Decimal("1.10"), None, Decimal("2.20")],
            "bytes": [b"ab", b"c", None],
        }
    )
    for suffix in (".csv", ".parquet"):
        write(frame, tmp_path / f"t{suffix}")
        again = read(tmp_path / f"t{suffix}").data
        assert again["object"].to_pylist() == ["1", "x", None]
        assert again["surrogate"].to_pylist() == [r"\ud800", "y", "z"]


def test_parquet_has_page_checksums(tmp_path):
    path = tmp_path / "t.parquet"
    write(np.random.default_rng(0).standard_normal((2000, 4)), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet, row group 0"):
        read(path)
    with pytest.raises(OSError, match="CRC"):
        parquet.read_table(path, page_checksum_verification=True)


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.pkl"])
def test_other_formats(tmp_path, name):
    with pytest.raises(ConfigError, match="ends in"):
        write(TABLE, tmp_path / name)


def test_what_a_format_cannot_hold(tmp_path):
    with pytest.raises(DataError, match="3 axes"):
        write(np.zeros((2, 2, 2)), tmp_path / "t.csv")
    for data in (TABLE, np.array([["a", None]], dtype=object)):
        with pytest.raises(DataError, match="array of numbers"):
            write(data, tmp_path / "t.npy")


# Faults of the file system


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, call, code):
    path = tmp_path / "t.csv"
    write(TABLE, path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    says = os.strerror(code).lower()
    if code in (errno.ENOSPC, errno.EDQUOT):
        says = r"[\d,]+ bytes needed, [\d,]+ bytes free"
    with pytest.raises(OutputError, match=says):
        write(TABLE.slice(1), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["t.csv"]


def test_places_that_hold_no_file(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        write(TABLE, tmp_path / "no" / "folder" / "t.csv")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "fifo.csv")
    for name in ("folder.csv", "fifo.csv"):
        with pytest.raises(OutputError, match="something else"):
            write(TABLE, tmp_path / name)
    with pytest.raises(OutputError, match="cannot write"):
        write(TABLE, tmp_path / ("x" * 5000 + ".csv"))


def test_the_mode_follows_the_umask_and_links_are_followed(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    before = os.umask(0o027)
    try:
        write(TABLE, tmp_path / "link.csv")
    finally:
        os.umask(before)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").stat().st_mode & 0o777 == 0o640
