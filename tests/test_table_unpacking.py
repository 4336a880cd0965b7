"""Packed files, JSON lines, workbooks and standard input are tables like others, or are refused."""

import datetime
import gzip
import io
import json
import resource
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from aevb.errors import AevbWarning, DataError
from aevb.table import files as module
from aevb.table import read, write
from aevb.table.tables import WRITTEN
from aevb.table.unpacking import unpacked
from workbooks import sheet, workbook

CSV = b"id,b\n007,1.50\n008,\n"
ROWS = [{"id": "007", "b": "1.50"}, {"id": "008", "b": None}]


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True)


def refused(path, says):
    with pytest.raises(DataError, match=says) as caught:
        read(path)
    assert "\n" not in str(caught.value)


# gz and zst


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zst", "t.csv", "t.gz", "t.tsv.GZ"])
def test_packed_files_are_known_by_their_content(tmp_path, pack, name):
    (tmp_path / name).write_bytes(pack(CSV))
    if name == "t.gz":
        refused(tmp_path / name, "expected a file that ends in")
        return
    source = read(tmp_path / name)
    assert source.data.to_pylist() == ROWS
    assert source.name == "t"


def test_packed_parquet_and_json_lines(tmp_path):
    table = pa.table({"a": [1, None]})
    write(table, tmp_path / "t.parquet")
    (tmp_path / "t.parquet.gz").write_bytes(gzip.compress((tmp_path / "t.parquet").read_bytes()))
    assert read(tmp_path / "t.parquet.gz").data.equals(table)
    (tmp_path / "t.jsonl.zst").write_bytes(zstd(b'{"a": 1}\n{}\n'))
    assert read(tmp_path / "t.jsonl.zst").data.equals(table)


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_damaged_packed_files(tmp_path, pack):
    path, content = tmp_path / "t.csv.gz", pack(CSV)
    flipped = bytearray(content)
    flipped[-6] ^= 1
    for damaged in (content[:-5], content[:8], content + b"x", bytes(flipped)):
        path.write_bytes(damaged)
        refused(path, r"t\.csv\.gz")
    path.write_bytes(pack(pack(CSV)))
    refused(path, "packed twice")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_damaged_packed_files_leave_nothing_in_memory(pack):
    content = pack(CSV * 100)
    damaged = content[:12] + bytes(255 - byte for byte in content[12:])

    def pages():
        for _ in range(100):
            with pytest.raises(DataError):
                unpacked(damaged, "t.csv.gz", most=2**30)
        return int(Path("/proc/self/statm").read_text().split()[0])

    before = pages()
    assert (pages() - before) * resource.getpagesize() < 50 * 2**20  # each is read into 1 MiB


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_bombs_are_refused_before_they_fill_the_memory(tmp_path, pack, monkeypatch):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(pack(b"a\n" + b"0\n" * 4_000_000))
    assert path.stat().st_size < 20_000
    monkeypatch.setattr("aevb.table.unpacking.FREE", 2**20)
    refused(path, "expected at most 1048576|expected at most [0-9]+ bytes unpacked, got more")
    monkeypatch.undo()
    monkeypatch.setattr(module, "MOST_BYTES", 10**6)
    refused(path, "expected at most 1000000 bytes unpacked")


# JSON lines


def test_json_lines_keep_their_types(tmp_path):
    lines = [
        {"n": 1, "x": 0.5, "s": "007", "ok": True, "mixed": 1, "big": 2**64},
        {"x": 2, "s": "", "ok": None, "mixed": "?", "big": 2**64 + 1, "late": None},
        {"n": None, "x": None, "s": "é", "ok": False, "mixed": 1.5, "late": "z"},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\n\n"
    for suffix in ("jsonl", "ndjson"):
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            (tmp_path / f"t.{suffix}").write_bytes(text.encode(encoding))
            table = read(tmp_path / f"t.{suffix}").data
            assert table["n"].to_pylist() == [1, None, None]
            assert table["x"].to_pylist() == [0.5, 2.0, None]
            assert table["s"].to_pylist() == ["007", "", "é"]
            assert table["ok"].to_pylist() == [True, None, False]
            assert table["mixed"].to_pylist() == ["1", "?", "1.5"]
            assert [None if n is None else int(n) for n in table["big"].to_pylist()] == [
                2**64,
                2**64 + 1,
                None,
            ]
            assert table["late"].to_pylist() == [None, None, "z"]
            assert table.schema.metadata is None


def test_json_lines_of_text_are_text_as_written(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": "1.50", "b": "x"}\n{"a": null}\n')
    assert read(tmp_path / "t.jsonl").data.schema.metadata == WRITTEN


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"a": [1, 2]}', r"line 2, key 'a': .* got \[1, 2\]: flatten it"),
        ('{"a": {"b": 1}}', r"line 2, key 'a'"),
        ("[1, 2]", "line 2: expected an object"),
        ('{"a": 1', "line 2: expected an object"),
        ('{"a": 1, "a": 2}', "line 2: .*twice"),
        ('{"a": "\\ud800"}', "line 2: .*surrogate"),
        ("[" * 100_000, "line 2"),
        ('{"a": ' + "9" * 5000 + "}", "line 2"),
    ],
)
def test_what_is_no_json_line_names_it(tmp_path, line, says):
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n' + line + "\n")
    refused(tmp_path / "t.jsonl", rf"t\.jsonl, {says}")
    (tmp_path / "t.jsonl").write_text("\n")
    refused(tmp_path / "t.jsonl", "got none")


# Standard input


@pytest.fixture
def given(monkeypatch):
    def pipe(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return pipe


def test_standard_input(given, tmp_path, monkeypatch):
    for content in (CSV, gzip.compress(CSV), CSV.decode().encode("utf-16")):
        given(content)
        source = read("-")
        assert (source.name, source.data.to_pylist()) == ("stdin", ROWS)
    write(pa.table({"a": [1]}), tmp_path / "t.parquet")
    given((tmp_path / "t.parquet").read_bytes())
    assert read("-").data.to_pylist() == [{"a": 1}]
    given(b'{"a": 1}\n')
    assert read("-").data.to_pylist() == [{"a": 1}]
    given(b"1,2\n3,4\n")
    assert read("-", header=True).data.to_pylist() == [{"1": "3", "2": "4"}]
    for content, says in (
        (b"", "standard input: .*empty"),
        (b"a,b\n1\n", "standard input, line 2"),
    ):
        given(content)
        refused("-", says)
    monkeypatch.setattr(module, "MOST_BYTES", 4)
    given(CSV)
    refused("-", "at most 4 bytes")


# Workbooks


SHEET = [
    ["n", "x", "s", "ok", "day"],
    [1, 0.5, "007", True, datetime.date(2024, 1, 5)],
    [2, None, "b", False, None],
    [None, 2, None, True, datetime.date(2024, 2, 29)],
]


def test_a_workbook_keeps_its_types(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(workbook(SHEET))
    table = read(tmp_path / "t.xlsx").data
    names, *rows = SHEET
    assert table.column_names == names
    assert [list(row.values()) for row in table.to_pylist()] == rows
    assert list(map(str, table.schema.types)) == [
        "int64",
        "double",
        "string",
        "bool",
        "date32[day]",
    ]


def test_a_workbook_of_several_sheets_and_types_has_notes(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(workbook([["a", "b"], [1, 2], ["?", 3]], SHEET))
    with pytest.warns(AevbWarning) as caught:
        table = read(tmp_path / "t.xlsx").data
    assert "the first of 2 sheets, 'S1'" in str(caught[0].message)
    assert "column 'a' holds cells of types float and str" in str(caught[1].message)
    assert table.to_pylist() == [{"a": "1", "b": 2}, {"a": "?", "b": 3}]


def test_a_workbook_without_names(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(workbook([[5.1, "a"], [4.9, "a"], [6, "b"]]))
    with pytest.warns(AevbWarning, match="row 1 looks like data: 5.1, a; columns are named x0"):
        assert len(read(tmp_path / "t.xlsx").data) == 3


def test_damaged_workbooks_and_bombs(tmp_path, monkeypatch):
    path, content = tmp_path / "t.xlsx", workbook(SHEET)
    far = sheet([[1]]).replace("</row>", '<c r="XFD1048576"><v>1</v></c></row>')
    for damaged, says in (
        (content[:-30], "damaged"),
        (content[:200] + b"\0" * 20 + content[220:], r"t\.xlsx"),
        (b"", "damaged"),
        (workbook(), "damaged|empty"),
        (workbook([]), "empty"),
        (workbook([["a"]]), "expected rows"),
        (workbook(SHEET, extra=[("xl/worksheets/far.xml", far)]), "cells"),
    ):
        path.write_bytes(damaged)
        refused(path, says)
    monkeypatch.setattr("aevb.table.unpacking.FREE", 2**20)
    path.write_bytes(workbook(SHEET, extra=[("xl/zeros.xml", np.zeros(10**6).tobytes())]))
    refused(path, "bytes unpacked, got more")


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    (tmp_path / "t.xlsx").write_bytes(workbook(SHEET))
    refused(tmp_path / "t.xlsx", r"pip install 'aevb\[xlsx\]'")


def test_the_names_of_index_columns_survive(tmp_path):
    (tmp_path / "t.csv").write_text(",x\n0,1.5\n1,2.5\n")
    assert read(tmp_path / "t.csv").data.column_names == ["", "x"]
    table = pa.table({"x": [1.5], "__index_level_0__": [3]})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").data.column_names == ["x", "__index_level_0__"]
