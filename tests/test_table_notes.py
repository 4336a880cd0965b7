"""Notes on data: each on a table that must have it, none on tables that must not."""

import ast
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aevb
from aevb.errors import AevbWarning
from aevb.table import infer
from aevb.table.codes import CODES
from aevb.table.schema import Schema

RNG = np.random.default_rng(0)
N = 300
X, Y, Z = RNG.normal(size=(3, N))
LEVEL = RNG.integers(0, 6, N)
TEXTS = np.array(["red", "blue", "green", "gray", "pink", "black"])


def schema_of(data: object, **said: object) -> Schema:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AevbWarning)
        return infer(data, **said)


def notes_of(data: object, **said: object) -> dict[str, str]:
    schema = schema_of(data, **said)
    return dict(note.split(": ", 1) for note in (*schema.notes, *schema.advice))


SENTENCES = np.array([f"the {length} was seen on day {i}" for i, length in enumerate(X)])
SPOILED = np.where(RNG.random(N) < 0.05, -999, RNG.integers(18, 90, N))
AGES = RNG.integers(18, 90, N)

MUST = {
    "the index of a CSV": ("AEV101", {"": np.arange(N)}),
    "counts from 1": ("AEV101", {"number": np.arange(1, N + 1)}),
    "respondents": ("AEV101", {"respondent": np.arange(N) + 1001}),
    "an id that is shuffled": ("AEV101", {"customer_id": RNG.permutation(N) * 7 + 10**6}),
    "the name of a key": ("AEV101", {"PassengerId": RNG.permutation(N) + 5}),
    "keys of text": ("AEV101", {"key": [f"k{i:04}" for i in range(N)]}),
    "free text": ("AEV102", {"comment": SENTENCES}),
    "nothing there": ("AEV103", {"void": [None] * N}),
    "a constant": ("AEV104", {"year": np.full(N, 2024)}),
    "almost a constant": ("AEV105", {"flag": (np.arange(N) == 7).astype(int)}),
    "a copy": ("AEV106", {"copy": X}),
    "codes of levels": ("AEV106", {"code_of": LEVEL * 3 + 1}),
    "another unit": ("AEV107", {"inches": X / 2.54 + 1e-3 * Y}),
    "the other way": ("AEV107", {"less": -np.exp(X)}),
    "a coarser level": ("AEV108", {"family": np.array(list("aabbcc"))[LEVEL]}),
    "a total": ("AEV108", {"total": X + 2 * Y}),
    "a mark": ("AEV109", {"age": SPOILED}),
    "a mark of one": ("AEV109", {"age": np.where(np.arange(N) < 9, -1, AGES)}),
    "a large mark": ("AEV109", {"price": np.where(np.arange(N) == 5, 9999.0, 20 + X)}),
    "zip codes": ("AEV110", {"zip": RNG.integers(10_000, 99_999, N)}),
    "codes": ("AEV110", {"job_code": RNG.integers(1, 9, N)}),
    "a shuffled scale": ("AEV114", {"position": RNG.permutation(N) * 10}),
}

MUST_NOT = {
    "measurements": {"length": Z},
    "whole measurements": {"weight": RNG.integers(100_000, 10**6, N)},
    "days in order": {"day": np.arange(N) + 1},
    "years in order": {"year": np.arange(N) + 1700},
    "floats in order": {"position": np.linspace(0, 1, N)},
    "an order of levels": {"rooms": RNG.integers(1, 9, N)},
    "minus one among others": {"sign": RNG.integers(-1, 2, N)},
    "a value near the others": {"amount": np.append(RNG.integers(0, 9990, N - 1), 9999)},
    "names": {"who": np.array(["Ann", "Bo", "Cy"])[RNG.integers(0, 3, N)]},
}


def frame(**more: object) -> pd.DataFrame:
    return pd.DataFrame({"x": X, "y": Y, "color": TEXTS[LEVEL], **more})


@pytest.mark.parametrize("case", MUST)
def test_what_must_be_noted(case: str) -> None:
    code, column = MUST[case]
    (name,) = column
    notes = notes_of(frame(**column))
    assert set(notes) == {code}
    assert (name or "''") in notes[code]
    assert "\n" not in notes[code]


@pytest.mark.parametrize("case", MUST_NOT)
def test_what_must_not_be_noted(case: str) -> None:
    assert notes_of(frame(**MUST_NOT[case])) == {}


@given(seed=st.integers(0, 10**6), rows=st.integers(60, 400), columns=st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_clean_tables_have_no_notes(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    loads = rng.normal(size=(2, columns))
    numbers = rng.normal(size=(rows, 2)) @ loads + rng.normal(size=(rows, columns))
    table = pd.DataFrame(numbers, columns=[f"c{i}" for i in range(columns)])
    table["gains"] = np.maximum(rng.normal(size=rows), 0)
    table["visits"] = rng.poisson(4, rows)
    table["color"] = rng.choice(TEXTS, rows)
    table["yes"] = rng.random(rows) < 0.4
    table = table.mask(rng.random(table.shape) < 0.05)
    assert notes_of(table) == {}


def test_few_rows_are_noted() -> None:
    assert list(notes_of(frame().iloc[:30])) == ["AEV111"]
    assert list(notes_of(RNG.normal(size=(60, 61)))) == ["AEV111"]


def test_an_array_keeps_all_its_columns() -> None:
    array = np.column_stack([np.arange(N), RNG.integers(0, 9, N)])
    assert len(schema_of(array)) == 2
    assert list(notes_of(array)) == ["AEV114"]


def test_what_was_left_out_can_be_kept() -> None:
    table = frame(id=np.arange(N), comment=SENTENCES)
    assert schema_of(table).ignored == ("id", "comment")
    kinds = {"id": "continuous", "comment": "categorical"}
    assert schema_of(table, columns=kinds).ignored == ()


def test_what_is_left_out_is_warned_of_with_a_remedy() -> None:
    with pytest.warns(AevbWarning, match="AEV101: .*index") as caught:
        infer(frame(id=np.arange(N)))
    note = caught[0].message
    assert isinstance(note, AevbWarning)
    assert (note.code, note.columns) == ("AEV101", ("id",))
    assert note.hint == {"columns": {"id": "continuous"}}


def test_a_note_names_few_columns() -> None:
    copies = {f"copy{i}": X for i in range(20)}
    assert "and 14 more" in notes_of(frame(**copies))["AEV106"]


def test_codes_are_those_in_the_list() -> None:
    package = Path(aevb.__file__).parent
    used = set()
    for file in package.rglob("*.py"):
        if file.name == "codes.py":
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"AEV\d{3}", str(node.value)):
                used.add(node.value)
    assert used == set(CODES)
