"""Tables of text: read by the schema's formats, written back as they came, told in one line."""

import json
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aevb.errors import AevbWarning, DataError, ModelFileError
from aevb.table import as_written, decode, encode, infer
from aevb.table.delimited import read_csv
from aevb.table.encoding import missing_cells
from aevb.table.formats import Booleans, Numbers, Plain, Times
from aevb.table.schema import Schema
from aevb.table.tables import WRITTEN

ROWS = 60
COLUMNS = {
    "price": [f"${1000 + 1.5 * i:,.2f}" for i in range(ROWS)],
    "share": [f"{i % 37}%" for i in range(ROWS)],
    "weight": [f"{i % 41 + 0.5} kg" for i in range(ROWS)],
    "power": ["?" if i % 9 == 0 else str(50 + i) for i in range(ROWS)],
    "loss": [f"({i}.5)" if i % 2 else f"{i}.5" for i in range(ROWS)],
    "zip": ["02138", "10001", "90210"] * 20,
    "level": ["1", "2", "NA", "3"] * 15,
    "word": ["", None, "NA", "x"] * 15,
    "flag": ["TRUE", "FALSE", None] * 20,
    "day": [f"2024-01-{i % 28 + 1:02d}" for i in range(ROWS)],
    "when": [f"2024-01-{i % 28 + 1:02d}T00:{i:02d}:00+02:00" for i in range(ROWS)],
    "clock": [f"{i % 24}:15" for i in range(ROWS)],
    "month": [f"{2000 + i // 12}-{i % 12 + 1:02d}" for i in range(ROWS)],
    "plain": [f"{i * 0.37:.2f}" for i in range(ROWS)],
}


def written(columns):
    arrays = {name: pa.array(cells, pa.string()) for name, cells in columns.items()}
    return pa.table(arrays).replace_schema_metadata(WRITTEN)


@pytest.fixture(scope="module")
def table():
    return written(COLUMNS)


@pytest.fixture(scope="module")
def schema(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return infer(table)


def test_columns_are_what_their_cells_say(schema):
    found = {column.name: (column.kind, type(column.format)) for column in schema.columns}
    assert found == {
        "price": ("continuous", Numbers),
        "share": ("count", Numbers),
        "weight": ("continuous", Numbers),
        "power": ("count", Numbers),
        "loss": ("continuous", Numbers),
        "zip": ("categorical", Plain),
        "level": ("count", Numbers),
        "word": ("categorical", Plain),
        "flag": ("binary", Booleans),
        "day": ("continuous", Times),
        "when": ("continuous", Times),
        "clock": ("continuous", Times),
        "month": ("continuous", Times),
        "plain": ("continuous", Numbers),
    }
    assert schema.columns[schema.names.index("word")].categories == ("", "NA", "x")


def test_each_kind_of_guess_is_one_note_with_the_setting_that_overrules_it(table):
    with pytest.warns(AevbWarning) as caught:
        infer(table)
    notes = [str(one.message).partition(": ")[2] for one in caught]
    assert len(notes) == 4
    assert notes[0].startswith("read as numbers: price ('$1,030.00'), share ('11%'), weight")
    assert notes[0].endswith("(columns={'price': 'categorical'})")
    assert notes[1].startswith("read as dates or times: day ('2024-01-01', in days), when")
    assert notes[2].startswith("counted as missing: power ('?' in 7 cells)")
    assert notes[3].startswith("kept as text, for its leading zeros: zip ('02138')")


@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_what_is_kept_as_text_is_said_with_the_setting_that_makes_it_a_number():
    columns = {
        "power": ["unknown" if i % 20 == 7 else str(50 + i) for i in range(ROWS)],
        "id": [str(20220902110443000000 + 7 * i) for i in range(ROWS)],
        "day": ["01/02/2024", "03/04/2024"] * 30,
    }
    with pytest.warns(AevbWarning) as caught:
        schema = infer(written(columns), columns={"power": "categorical"})
    notes = "\n".join(str(one.message) for one in caught)
    assert "as float64 would round such numbers: id ('20220902110443000000')" in notes
    assert "day and month cannot be told apart: day ('01/02/2024')" in notes
    assert schema.ignored == ("id",)
    with pytest.warns(AevbWarning, match=r"power \(3 of 60 cells, such as 'unknown'\)"):
        infer(written(columns))
    with pytest.warns(AevbWarning, match="counted as missing: power .'unknown' in 3 cells"):
        schema = infer(written(columns), columns={"power": "continuous", "day": "continuous"})
    assert schema.columns[0].missing == 3 / ROWS
    assert schema.columns[1].format.pattern == "%m/%d/%Y"
    with pytest.raises(DataError, match=r"'id', row 0 .*20220902110443000000"):
        infer(written(columns), columns={"id": "continuous"})
    assert infer(written({**columns, "x": COLUMNS["plain"]}), ignore=["id", "day", "power"])


def test_files_of_plain_cells_are_read_without_a_word():
    columns = {
        "a": [str(i * 7 % 60) for i in range(ROWS)],
        "b": ["NA" if i % 7 == 0 else f"{i / 8}" for i in range(ROWS)],
        "c": ["x", "y", "z"] * 20,
        "d": [None if i % 5 == 0 else str(i % 3) for i in range(ROWS)],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = infer(written(columns))
    kinds = [column.kind for column in schema.columns]
    assert kinds == ["count", "continuous", "categorical", "count"]


def test_a_column_that_could_be_read_in_two_ways_is_read_as_the_others():
    ambiguous = {"amount": ["1,234", "5,678"] * 30, "day": ["01/02/2024", "03/04/2024"] * 30}
    shown = {"amount": [1234, 5678], "day": None}
    commas = {"other": [f"{i},5" for i in range(ROWS)]}
    days = {"date": [f"{i % 28 + 1:02d}/01/2024" for i in range(ROWS)]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = infer(written({**ambiguous, "x": COLUMNS["plain"]}))
        beside = infer(written({**ambiguous, **commas, **days}))
    assert alone.columns[0].categories == tuple(shown["amount"])
    assert beside.columns[0].categories == (1.234, 5.678)
    assert alone.columns[1].format == Plain()
    assert beside.columns[1].format.pattern == "%d/%m/%Y"


@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_categorical_takes_cells_as_they_are_written():
    columns = {"amount": ["1,000", "2,000"] * 30, "code": ["1", "2", "3"] * 20, "day": ["x"] * 60}
    columns["day"] = ["2024-01-05", "2024-01-06"] * 30
    kinds = dict.fromkeys(columns, "categorical")
    schema = infer(written(columns), columns=kinds)
    categories = [column.categories for column in schema.columns]
    assert categories == [("1,000", "2,000"), (1, 2, 3), ("2024-01-05", "2024-01-06")]
    with pytest.raises(DataError, match=r"'day': .*dates or times"):
        infer(written(columns), columns={"day": "count"})


def test_the_formats_survive_json_and_nonsense_is_refused(schema, table):
    content = json.loads(json.dumps(schema.to_json()))
    again = Schema.from_json(content)
    assert again == schema
    np.testing.assert_array_equal(encode(table, again), encode(table, schema))
    for change in (
        {"kind": "number", "thousands": ".", "decimal": "."},
        {"kind": "number", "thousands": "x"},
        {"kind": "number", "prefix": "$" * 21},
        {"kind": "number", "prefix": "5"},
        {"kind": "number", "decimals": 99},
        {"kind": "number", "decimals": 1, "least": 2},
        {"kind": "number", "marks": ["x"] * 1001},
        {"kind": "number", "other": 1},
        {"kind": "time", "pattern": "%Q"},
        {"kind": "time", "pattern": "%Y-%m", "unit": "day"},
        {"kind": "time", "zone": "Mars"},
        {"kind": "time", "unit": "year"},
        {"kind": "boolean", "words": ["no", "yes"]},
        {"kind": "else"},
        {},
        "number",
    ):
        content["columns"][0]["format"] = change
        with pytest.raises(ModelFileError):
            Schema.from_json(content)


# Rows and back


def test_texts_round_trip(table, schema):
    values = encode(table, schema)
    back = decode(values, schema, like=table)
    assert back.schema.metadata == WRITTEN
    for name in table.column_names:
        cells = [None if cell in ("?", "NA") else cell for cell in COLUMNS[name]]
        assert back[name].to_pylist() == (COLUMNS[name] if name == "word" else cells)
    np.testing.assert_array_equal(encode(back, schema), values)


def test_only_filled_cells_are_replaced(table, schema):
    values = encode(table, schema)
    missing = missing_cells(table, schema)
    np.testing.assert_array_equal(missing, np.isnan(values))
    assert missing[:, schema.names.index("power")].sum() == 7
    filled = decode(np.where(missing, 1.0, values), schema, like=table, filled=missing)
    for i, name in enumerate(schema.names):
        before, after = table[name].to_pylist(), filled[name].to_pylist()
        for row in range(ROWS):
            assert missing[row, i] == (before[row] != after[row])
    assert filled.schema.metadata == WRITTEN
    assert filled["power"].to_pylist()[0] == "1"
    assert filled["flag"].to_pylist()[2] == "TRUE"


def test_typed_outputs_and_their_text(table, schema):
    values = encode(table, schema)
    typed = decode(values, schema)
    types = dict(zip(typed.schema.names, map(str, typed.schema.types), strict=True))
    assert types == {
        "price": "double",
        "share": "int64",
        "weight": "double",
        "power": "int64",
        "loss": "double",
        "zip": "string",
        "level": "int64",
        "word": "string",
        "flag": "bool",
        "day": "date32[day]",
        "when": "timestamp[us, tz=+02:00]",
        "clock": "time64[us]",
        "month": "date32[day]",
        "plain": "double",
    }
    assert as_written(typed, schema).equals(decode(values, schema, like=table))
    np.testing.assert_array_equal(encode(typed, schema), values)
    frame = typed.to_pandas()
    other = infer(frame[["plain"]])
    assert as_written(frame, other) is frame


def test_samples_look_as_the_column_does(schema):
    """They are multiples of what the column's values are, in its format."""
    values = np.full((1, len(schema)), 1.0)
    cells = {
        "price": 2345.678,
        "share": 12.0,
        "weight": 3.14159,
        "loss": -2.25,
        "day": 19000.4,
        "clock": 5000.0,
        "month": 3.0,
        "plain": 1 / 3,
    }
    for name, value in cells.items():
        values[0, schema.names.index(name)] = value
    row = as_written(decode(values, schema), schema).to_pylist()[0]
    assert {name: row[name] for name in cells} == {
        "price": "$2,345.50",
        "share": "12%",
        "weight": "3.0 kg",
        "loss": "(2.0)",
        "day": "2022-01-08",
        "clock": "23:45",  # the last quarter of an hour
        "month": "1970-04",
        "plain": "0.37",
    }


def test_any_row_of_the_file_is_read_whatever_its_cells_look_like(table, schema):
    values = encode(table, schema)
    for row in range(0, ROWS, 7):
        np.testing.assert_array_equal(encode(table.slice(row, 1), schema), values[row : row + 1])


LOOKS = st.sampled_from(
    [
        "10",
        "20",
        "A7",
        "true",
        "false",
        "unknown",
        "2024-01-05",
        "never",
        "1.5",
        "007",
        "NA",
        "",
        "?",
    ]
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(LOOKS | st.none(), min_size=2, max_size=30), st.data())
@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_parts_of_a_file_are_read_as_the_whole(cells, data):
    table = written({"c": cells, "x": [str(i + 0.5) for i in range(len(cells))]})
    schema = infer(table)
    values = encode(table, schema)
    rows = data.draw(st.lists(st.integers(0, len(cells) - 1), min_size=1))
    np.testing.assert_array_equal(encode(table.take(rows), schema), values[rows])
    back = decode(values, schema, like=table, filled=missing_cells(table, schema))
    np.testing.assert_array_equal(encode(back, schema), values)


@pytest.mark.parametrize("cell", ["abc", "1,2", "$5", "2024-01-05"])
def test_a_number_that_cannot_be_read_names_row_column_and_cell(cell, table, schema):
    cells = [*COLUMNS["plain"][:2], cell, *COLUMNS["plain"][3:]]
    strange = table.set_column(table.column_names.index("plain"), "plain", pa.array(cells))
    with pytest.raises(DataError, match=r"column 'plain', row 2 \(counting from 0\).*got "):
        encode(strange, schema)


def test_words_that_a_column_of_booleans_never_met_are_unseen_levels(table, schema):
    place = table.column_names.index("flag")
    strange = table.set_column(place, "flag", pa.array(["true", "maybe", "FALSE"] * 20))
    with pytest.warns(AevbWarning, match="flag: 'maybe'"):
        values = encode(strange, schema)
    np.testing.assert_array_equal(values[:3, place], [1, np.inf, 0])


@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_text_is_read_by_the_types_of_a_fitted_frame():
    frame = pd.DataFrame(
        {
            "x": np.arange(20) / 4,
            "code": ["10", "20", "A7", "10"] * 5,
            "flag": [True, False] * 10,
            "day": pd.to_datetime("2024-01-01") + pd.to_timedelta(np.arange(20), "D"),
        }
    )
    schema = infer(frame)
    texts = {"x": ["0.5", "NA"], "code": ["10", "20"], "flag": ["True", "false"]}
    texts["day"] = ["2024-01-01 00:00:00", "2024-01-03 00:00:00"]
    values = encode(written(texts), schema)
    np.testing.assert_array_equal(values, [[0.5, 0, 1, 19723], [np.nan, 1, 0, 19725]])


@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_typed_frames_are_matched_by_family():
    schema = infer(written({"code": ["10", "20", "A7"] * 5, "x": COLUMNS["plain"][:15]}))
    with pytest.raises(DataError, match=r"'code': expected text.*got numbers"):
        encode(pd.DataFrame({"code": [10, 20], "x": [1.5, 2.5]}), schema)


@pytest.mark.filterwarnings("ignore:AEV202")
def test_percentages_end_at_a_hundred_unless_one_is_more():
    rows = [f"{share % 91 + 3}%" for share in range(0, 400, 3)]
    for cells, upper in ((rows, 100.0), ([*rows, "140%"], None), ([*rows, "-3%"], None)):
        schema = infer(read_csv("\n".join(["share", *cells]).encode(), "t.csv"))
        assert schema.columns[0].upper == upper
