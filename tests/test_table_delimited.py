"""CSV of every dialect: read right, or an error that names the line."""

import contextlib

import pytest

from aevb.errors import AevbWarning, DataError
from aevb.table.delimited import read_csv


@pytest.fixture
def load(tmp_path):
    def read(content):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(path)

    return read


ROWS = [{"a": 1, "b": "é"}, {"a": 2, "b": "x"}]


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


def test_latin_1_is_read_with_a_warning_that_names_the_line(load):
    with pytest.warns(AevbWarning, match=r"t\.csv, line 2: not UTF-8"):
        assert load("a,b\n1,é\n2,x\n".encode("latin-1")).to_pylist() == ROWS


def test_decimal_commas(load):
    assert load("a;b\n1,5;x\n-2,25;y\n3;z\n").to_pydict() == {
        "a": [1.5, -2.25, 3.0],
        "b": ["x", "y", "z"],
    }
    assert load("a;b\n1.5;x\n2;y,z\n").to_pydict() == {"a": [1.5, 2.0], "b": ["x", "y,z"]}


def test_missing_cells(load):
    table = load('a,b,c\n1,x,\n,"",NA\nNA,NA,2.5\nnull,,nan\n')
    assert table.to_pydict() == {
        "a": [1, None, None, None],
        "b": ["x", "", "NA", None],
        "c": [None, None, 2.5, None],
    }
    assert load("a\n1\n\n3\n\n").to_pydict() == {"a": [1, None, 3, None]}
    assert load('a\r\nx\r\n\r\n""\r\n').to_pydict() == {"a": ["x", None, ""]}


def test_numbers_only_where_all_cells_are(load):
    table = load("a,b,c\n" + "1,1,0.5\n" * 100_000 + "1,?,1e3\n")
    assert [str(kind) for kind in table.schema.types] == ["int64", "string", "double"]


def test_quotes(load):
    assert load('a,b\n"x ""y"", z",1\n"two\nlines",2\n5" pipe,3\n').to_pydict() == {
        "a": ['x "y", z', "two\nlines", '5" pipe'],
        "b": [1, 2, 3],
    }


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
        ("1,2,3.5\n4,5,6\n", "line 1: expected column names, got only numbers"),
        ("a,b,a\n1,2,3\n", "line 1: expected each column name once, got 'a' twice"),
        ("a,b\n", "expected rows below the header"),
        ("", "expected a header and rows, got an empty file"),
        ("\n\n", "expected a header and rows, got an empty file"),
        (
            "a,b\n1,9223372036854775809\n2,3\n",
            "'b', row 0 .*9223372036854775809 is not held exactly",
        ),
        ("a,b\n1," + "9" * 400 + "\n2,3\n", "'b', row 0 .*9999 is not held exactly"),
        ("a,b\n1,x\n2,18446744073709551617\n3,0.5\n", None),
    ],
)
def test_what_cannot_be_read_right_names_the_line(load, content, says):
    if says is None:  # a column of text may hold any number
        assert load(content)["b"].to_pylist()[1] == "18446744073709551617"
    else:
        with pytest.raises(DataError, match=says) as caught:
            load(content)
        assert "\n" not in str(caught.value)


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
