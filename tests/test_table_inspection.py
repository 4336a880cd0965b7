"""What was understood of a table, before any fit, as text, HTML, JSON and a file to edit."""

import json
import tomllib
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aevb.errors import ConfigError, DataError
from aevb.settings import read_settings
from aevb.table import infer, inspect, read

RNG = np.random.default_rng(0)
N = 200
TABLE = pd.DataFrame(
    {
        "id": np.arange(N),
        "size": np.round(RNG.gamma(2.0, 20, N), 2),
        "visits": RNG.poisson(30, N) * (np.arange(N) > 0),
        "gain": np.where(np.arange(N) % 2, 0.0, RNG.normal(size=N)),
        "color": RNG.choice(["red", "blue", "green"], N),
        "grade": RNG.integers(1, 5, N),
        "yes": RNG.random(N) < 0.5,
        "member": RNG.choice(["a", "b"], N),
    }
)
TABLE.loc[3, "size"] = np.nan


def read_back(tmp_path, text):
    place = tmp_path / "columns.toml"
    place.write_text(text, "utf-8")
    return read_settings(None, {}, columns=place)


@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_the_file_gives_the_same_schema(tmp_path):
    said = read_back(tmp_path, inspect(TABLE, labels=["member"]).to_toml())
    assert (said.ignore, said.labels) == (("id",), ("member",))
    again = infer(TABLE, columns=said.columns, ignore=said.ignore, labels=said.labels)
    assert again == infer(TABLE, labels=["member"])


@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_the_file_gives_the_same_schema_of_text(tmp_path):
    table = TABLE.assign(
        day=pd.date_range("2024-01-02", periods=N).strftime("%Y-%m-%d"),
        income=[f"{income:,.2f}" for income in RNG.gamma(2.0, 2000, N)],
        share=[f"{share}%" for share in RNG.integers(0, 100, N)],
        age=["?" if i % 30 == 0 else str(i % 57 + 20) for i in range(N)],
        zip=[f"0{code}" for code in RNG.integers(1000, 1009, N)],
    )
    place = tmp_path / "survey.csv"
    table.to_csv(place, index=False)
    found = inspect(place)
    said = read_back(tmp_path, found.to_toml())
    data = read(place).data
    assert infer(data, columns=said.columns, ignore=said.ignore) == infer(data)
    shown = {column.name: column for column in found.columns}
    assert shown["day"].ends == ("2024-01-02", "2024-07-19")
    assert "AEV204" in shown["age"].notes
    assert shown["income"].examples == tuple(table["income"][:3])


def test_what_is_said_of_each_column():
    found = {column.name: column for column in inspect(TABLE, labels=["member"]).columns}
    assert list(found) == list(TABLE.columns)
    assert [column.kind for column in found.values()] == [
        *("ignored", "continuous", "count", "continuous", "categorical", "count", "binary"),
        "label",
    ]
    assert found["size"].decimals == 2
    assert found["size"].missing == 1 / N
    assert found["gain"].spikes == (0.0,)
    assert found["color"].levels == ("blue", "green", "red")
    assert found["id"].notes == ("AEV101",)
    assert found["grade"].examples == tuple(dict.fromkeys(map(str, TABLE["grade"])))[:3]


def test_it_is_json():
    document = json.loads(json.dumps(inspect(TABLE).to_dict()))
    assert set(document) == {"columns", "notes", "rows", "name"}
    assert document["rows"] == N
    assert set(document["columns"][0]) >= {"name", "kind", "lower", "upper", "step", "missing"}
    (note,) = document["notes"]
    assert note["code"] == "AEV101"
    assert note["columns"] == ["id"]
    assert note["hint"] == {"columns": {"id": "continuous"}}


HOSTILE = ["<script>alert(1)</script>", "a\x1b[1m\nb", "", 'q"\\', "\u202eabc", "\x7f"]


def test_names_are_shown_as_they_are_never_run(tmp_path):
    table = pd.DataFrame({name: RNG.normal(size=N) for name in HOSTILE})
    table[HOSTILE[0]] = RNG.choice(["<img onerror=x>", "b", "c"], N)
    found = inspect(table)
    assert "\x1b" not in str(found)
    assert len(str(found).splitlines()) == 3 + len(HOSTILE)
    tags = set()

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.add(tag)

    Parser().feed(found._repr_html_())
    assert tags == {"div", "p", "table", "thead", "tbody", "tr", "th", "td", "ul"}
    said = read_back(tmp_path, found.to_toml())
    assert set(said.columns) == set(HOSTILE)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, unique=True))
def test_any_name_comes_back_from_the_file(names):
    table = pd.DataFrame(RNG.normal(size=(60, len(names))), columns=names)
    assert set(tomllib.loads(inspect(table).to_toml())["columns"]) == set(names)


def test_ends_and_steps_are_kept_and_checked():
    said = {"kind": "continuous", "lower": 0, "upper": 1000, "step": 0.01}
    (column,) = infer(TABLE[["size"]], columns={"size": said}).columns
    assert (column.lower, column.upper, column.step) == (0, 1000, 0.01)
    for key, value in (("lower", 50), ("upper", 50), ("step", 7)):
        with pytest.raises(DataError, match=rf"'size', row \d+ .*{key} {value}, got"):
            infer(TABLE[["size"]], columns={"size": {"kind": "continuous", key: value}})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"kind": "continuous", "lowr": 0}, "did you mean 'lower'"),
        ({"kind": "contnuous"}, "did you mean 'continuous'"),
        ({"lower": "a"}, "lower must be a number"),
        ({"lower": 2, "upper": 1}, "lower must be below upper"),
        ({"step": 0}, "step must be above 0"),
        ({"kind": "binary", "lower": 0}, "for kinds of numbers"),
    ],
)
def test_a_wrong_choice_says_what_is_wrong(said, why):
    with pytest.raises(ConfigError, match=f"'size'.*{why}"):
        infer(TABLE, columns={"size": said})
    with pytest.raises(ConfigError, match=f"'size'.*{why}"):
        read_settings(None, {"columns": {"size": said}})


def test_ends_need_numbers():
    with pytest.raises(ConfigError, match=r"'color'.*for kinds of numbers"):
        infer(TABLE[["color"]], columns={"color": {"lower": 0}})


def test_a_file_of_columns_holds_nothing_else(tmp_path):
    with pytest.raises(ConfigError, match="unknown key 'colums'; did you mean 'columns'"):
        read_back(tmp_path, "colums = {}")
    with pytest.raises(ConfigError, match="unknown key 'epochs'"):
        read_back(tmp_path, "epochs = 3")


def test_what_is_typed_is_put_over_the_file(tmp_path):
    place = tmp_path / "columns.toml"
    place.write_text('label = ["m"]\n[columns.a]\nkind = "count"\n[columns.b]\nkind = "count"')
    typed = {"columns": {"b": "ordinal"}}
    found = read_settings(None, typed, columns=place)
    assert found.columns == {"a": {"kind": "count"}, "b": "ordinal"}
    assert found.labels == ("m",)


def test_heaps_of_whole_numbers_are_shown():
    hours = np.where(RNG.random(2_000) < 0.5, 40, RNG.integers(1, 80, 2_000))
    (column,) = inspect(pd.DataFrame({"hours": hours})).columns
    assert column.spikes == (40.0,)
