"""CSV of every dialect: its cells as written, or an error that names the line."""

import contextlib
from pathlib import Path

import pytest

from aevb.errors import AevbWarning, DataError
from aevb.table import write
from aevb.table.delimited import GUARD, read_csv
from aevb.table.tables import WRITTEN, table_of


@pytest.fixture
def load():
    def read(content, header=None):
        return read_csv(
            content if isinstance(content, bytes) else content.encode(), "t.csv", header
        )

    return read


ROWS = [{"a": "1", "b": "é"}, {"a": "2", "b": "x"}]


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,é\n2,x\n",
        "a,b\r\n1,é\r\n2,x\r\n",
        "a,b\r1,é\r2,x",
        "\ufeffa,b\n1,é\n2,x\n\n\n",
        "a;b\n1;é\n2;x\n",
        "a\tb\n1\té\n2\tx\n",
        "a|b\n1|é\n2|x\n",
        '"a","b"\n"1","é"\n"2","x"\n',
        "a,b\n1,é\n\n2,x\n",
        "a,b\n1,é\n2,x\n".encode("utf-16"),
        "a,b\n1,é\n2,x\n".encode("utf-16-le"),
        "a,b\n1,é\n2,x\n".encode("utf-16-be"),
    ],
)
def test_dialects_and_encodings(load, content):
    assert load(content).to_pylist() == ROWS


def test_what_only_looks_like_marks_of_an_encoding_or_a_delimiter_is_text(load):
    assert load("a,b\n\n\ufeff1,2\n").to_pylist() == [{"a": "\ufeff1", "b": "2"}]
    assert load("a\n" + "\0" * 20 + "\n").to_pylist() == [{"a": "\0" * 20}]
    assert load("sep=\0\n1\n", header=True).to_pylist() == [{"sep=\0": "1"}]


def test_windows_1252_is_read_with_a_warning_that_names_it_and_the_line(load):
    with pytest.warns(AevbWarning, match=r"t\.csv, line 2: not UTF-8, so read as Windows-1252"):
        assert load("a,b\n1,é\n2,x\n".encode("latin-1")).to_pylist() == ROWS
    with pytest.warns(AevbWarning, match="Windows-1252"):
        table = load("a,b\n€ 5,“x”\n".encode("cp1252"))
    assert table.to_pylist() == [{"a": "€ 5", "b": "“x”"}]
    with pytest.warns(AevbWarning, match="Latin-1"):
        assert load(b"a,b\n\x81,\xe9\n").to_pylist() == [{"a": "\x81", "b": "é"}]


def test_utf_16_that_breaks_off_is_refused(load):
    with pytest.raises(DataError, match="expected UTF-16"):
        load("a,b\n1,2\n".encode("utf-16")[:-1])


def test_cells_are_text_as_written(load):
    cells = ["00042", "1.50", "+5", " 7", "7 ", "1e3", "TRUE", "2024-01-05", "-0", "'x", "=1+2"]
    table = load("a,b\n" + "".join(f"{cell},x\n" for cell in cells))
    assert table["a"].to_pylist() == cells
    assert table_of(table).written
    assert table.schema.metadata == WRITTEN
    assert not table_of(table.replace_schema_metadata(None)).written


def test_the_delimiter_where_commas_are_decimal(load):
    assert load("a;b\n1,5;x\n-2,25;y\n3;z\n").to_pydict() == {
        "a": ["1,5", "-2,25", "3"],
        "b": ["x", "y", "z"],
    }
    assert load("a;b\n1.5;x\n2;y,z\n").to_pydict() == {"a": ["1.5", "2"], "b": ["x", "y,z"]}
    assert load("1,5;2,5\n3,1;4,2\n", header=False).to_pydict() == {
        "x0": ["1,5", "3,1"],
        "x1": ["2,5", "4,2"],
    }


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n', "\ufeffsep=;\n"])
def test_a_first_line_that_names_the_delimiter(load, first):
    assert load(first + "a;b\n1,2;x,y\n").to_pylist() == [{"a": "1,2", "b": "x,y"}]
    with pytest.raises(DataError, match="line 3: expected 2 fields"):
        load(first + "a;b\n1\n")


def test_missing_cells(load):
    table = load('a,b,c\n1,x,\n,"",NA\nNA,NA,2.5\nnull,,nan\n')
    assert table.to_pydict() == {
        "a": ["1", None, "NA", "null"],
        "b": ["x", "", "NA", None],
        "c": [None, "NA", "2.5", "nan"],
    }
    assert load("a\n1\n\n3\n\n").to_pydict() == {"a": ["1", None, "3", None]}
    assert load('a\r\nx\r\n\r\n""\r\n').to_pydict() == {"a": ["x", None, ""]}


def test_quotes(load):
    assert load('a,b\n"x ""y"", z",1\n"two\nlines",2\n5" pipe,3\n').to_pydict() == {
        "a": ['x "y", z', "two\nlines", '5" pipe'],
        "b": ["1", "2", "3"],
    }


def test_rows_in_many_blocks(load):
    rows = [f'{i},"x, {i}"\n' for i in range(200_000)]
    table = load("a,b\n" + "".join(rows))
    assert table["a"].to_pylist() == list(map(str, range(200_000)))
    assert table["b"].to_pylist() == [f"x, {i}" for i in range(200_000)]


def test_a_long_line(load):
    assert len(load("a,b\n1," + "x" * 10_000_000 + "\n2,y\n")["b"][0].as_py()) == 10_000_000
    assert len(load('a,b\n1,"' + "x" * 10_000_000 + '"\n2,y\n')["b"][0].as_py()) == 10_000_000


def test_a_nul_is_a_character(load):
    assert load(b"a,b\n1,x\0y\n2,zzzzz\n").to_pydict()["b"] == ["x\0y", "zzzzz"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,b\n1,2\n3\n", "line 3: expected 2 fields.*got 1"),
        ("a,b\n1,2\n3,4,5\n", "line 3: expected 2 fields.*got 3"),
        ('a,b\n1,"x\ny"\n3\n', "line 4: expected 2 fields"),
        ("a,b\n" + "1,2\n" * 1000 + "1\n", "line 1002: expected 2 fields"),
        ('a,b\n1,"2\n3,4\n', "line 2: a quote is not closed"),
        ('a,b\n1,"2\n3,4\n5,"6"\n7,8\n', "line 2: a quote is not closed"),
        ('a,b\n1,"2"x\n3,4\n', "line 2: a quote"),
        ("a,b,a\n1,2,3\n", "line 1: expected each column name once, got 'a' twice"),
        ("a,b\n", "expected rows below the header"),
        ("", "expected a header and rows, got an empty file"),
        ("\n\n", "expected a header and rows, got an empty file"),
    ],
)
def test_what_cannot_be_read_right_names_the_line(load, content, says):
    with pytest.raises(DataError, match=says) as caught:
        load(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["20220902110443000007", "9" * 400, "9223372036854775809"])
def test_numbers_of_any_length_are_text(load, number):
    assert load(f"id,x\n{number},0.5\n{number},1\n")["id"].to_pylist() == [number, number]


# Headers


def rows_of(table):
    return [list(row.values()) for row in table.to_pylist()]


HEADERLESS = {
    "iris": "5.1,3.5,1.4,Iris-setosa\n4.9,3.0,1.4,Iris-setosa\n6.3,3.3,6.0,Iris-virginica\n",
    "adult": "39, State-gov, 77516, <=50K\n50, Private, 83311, <=50K\n38, Private, 2156, >50K\n",
    "missing": "?,3.5,a\n4.9,?,b\n6.3,1,a\n5.5,2,\n",
    "dates": "2024-01-05,12:30\n2024-01-06,13:00\n",
    "money": "$5.00,12%\n$7.50,15%\n",
    "numbers": "1,2,3.5\n4,5,6\n",
    "letters": "p,x,s\ne,x,y\np,b,s\ne,x,s\n",
    "one row": "1,2.5,2024-01-05\n",
    "repeated": "5,5,5,a\n4,5,5,b\n",
    "one column": "M\nF\nM\n",
}


@pytest.mark.parametrize("content", HEADERLESS.values(), ids=HEADERLESS.keys())
def test_a_first_line_of_data_is_a_row_and_a_note_says_so(load, content):
    lines = content.splitlines()
    with pytest.warns(AevbWarning, match="line 1 looks like data: ") as caught:
        table = load(content)
    shown = ", ".join(lines[0].split(",")[:3])
    assert shown in str(caught[0].message)
    assert "columns are named x0, x1, ..." in str(caught[0].message)
    assert caught[0].message.hint == {"header": True}
    assert "\n" not in str(caught[0].message)
    assert table.column_names == [f"x{i}" for i in range(table.num_columns)]
    assert len(table) == len(lines)
    assert rows_of(load(content, header=False)) == rows_of(table)


HEADERS = {
    "names": "a,b\n1,2\n3,4\n",
    "index": ",x,y\n0,1.5,2\n1,2.5,3\n",
    "text": "name,town\nAnn,Bonn\nBob,Kiel\n",
    "one row": "x,code\n0.1,10\n",
    "missing below": "a,b\n?,1\n,2\n?,5\n",
    "quoted": '"2019","2020"\n1.5,2.5\n3.5,4.5\n',
    "twice": "name,kind\nAnn,a\nname,kind\nBob,b\n",
    "number and text": "M1,F\n1,0\n0,1\n",
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS.keys())
def test_a_header_is_no_row(load, content):
    lines = content.splitlines()
    table = load(content)  # without a note
    assert table.column_names == [cell.strip('"') for cell in lines[0].split(",")]
    assert len(table) == len(lines) - 1


@pytest.mark.parametrize(
    "content",
    ["2019,2020\nab,cd\nef,gh\n", "land,2019,2020\nPeru,1.5,2\nChad,2.5,3\n", "id,7\n1,2\n3,4\n"],
)
def test_names_that_are_numbers_lose_no_row_in_silence(load, content):
    lines = content.splitlines()
    with pytest.warns(AevbWarning, match="line 1 is read as the names of the columns") as caught:
        table = load(content)
    assert caught[0].message.hint == {"header": False}
    assert table.column_names == lines[0].split(",")
    assert len(table) == len(lines) - 1
    assert len(load(content, header=False)) == len(lines)


def test_known_names_decide(load):
    """The columns of a run: their names in line 1 make it a header; x0, x1, ... never are there."""
    headerless, named = HEADERLESS["iris"], "2019,2020\n1,2\n"
    assert len(load(headerless, header=["x0", "x1", "x2", "x3"])) == 3
    assert len(load("x1,x0\n1,2\n", header=["x0", "x1"])) == 1
    assert load(named, header=["2020", "2019"]).column_names == ["2019", "2020"]
    with pytest.warns(AevbWarning, match="looks like data"):
        assert len(load(headerless, header=["length", "width"])) == 3


@pytest.mark.parametrize("prefix", ["=", "+", "-", "@"])
def test_guards_against_formulas_are_taken_off(load, prefix):
    table = load(f"{GUARD}{prefix}a,b\n{GUARD}{prefix}x,'=y\n{prefix}z,\n")
    assert table.to_pylist() == [
        {f"{prefix}a": f"{prefix}x", "b": "'=y"},
        {f"{prefix}a": f"{prefix}z", "b": None},
    ]
    assert table_of(table).written


def test_the_field_limit_of_the_process_is_left_alone(load):
    import csv

    before = csv.field_size_limit()
    load('a,b\n"1",2\n')
    assert csv.field_size_limit() == before


@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_damaged_files_are_read_or_refused(load):
    import numpy as np

    generator = np.random.default_rng(0)
    original = '\ufeffa,b,c\n1,"x, y",0.5\n2,é,\n3,"",1e5\n'.encode()
    for _ in range(500):
        content = bytearray(original)
        for at in generator.integers(0, len(content), 3):
            content[at] = generator.choice(np.frombuffer(b'",;\n\r\0\xff\xfea1', dtype=np.uint8))
        with contextlib.suppress(DataError):
            assert len(load(bytes(content)))


@pytest.mark.parametrize(
    "content",
    [
        b"sep=\0\na\0b\n1\0002\n",  # no delimiter of text
        b"a,b\n\xef\xbb\xbf1,0\n2,3\n",  # a byte order mark in a cell
        b"se\n" + b"\0" * 12 + b"4\n",  # zeros that are no UTF-16
        b"a," + b"\0" * 5 + b"\n3,4\n",
    ],
)
def test_odd_bytes_are_read_and_come_back(content: bytes, tmp_path: Path) -> None:
    table = read_csv(content, "odd.csv", True)
    write(table, tmp_path / "again.csv")
    assert read_csv((tmp_path / "again.csv").read_bytes(), "again.csv", True) == table
