"""Forty tables as people hold them go through every verb: read, fit, score, impute, sample, write
and read again. Nothing that was observed changes, and what is drawn looks like the column it is of.
"""

import csv
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import aevb
from aevb.cli import app
from aevb.errors import AevbWarning
from aevb.table.schema import Schema
from golden_files import FILES, ROWS, File
from golden_frames import FRAMES
from linear_start import TINY

FAST = {
    "money",
    "german",
    "heaps",
    "iso_times",
    "left_out",
    "quoted",
    "nullable_pandas",
    "polars_types",
    "labeled_pandas",
    "json_lines",
}


def named(tables: Any) -> list[Any]:
    """The names of the tables; those that are not in the fast run are marked."""
    marked = []
    for name in tables:
        marks = [] if name in FAST else [pytest.mark.long]
        marked.append(pytest.param(name, marks=marks))
    return marked


def fitted(data: Any, **options: Any) -> aevb.VAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AevbWarning)
        vae = aevb.VAE(**TINY, **options).fit(data)
    assert Schema.from_json(json.loads(json.dumps(vae.schema_.to_json()))) == vae.schema_
    return vae


def kinds(vae: aevb.VAE) -> dict[str, str]:
    return {column.name: column.kind for column in vae.schema_.columns}


# Files of text, by the command line


def run(*words: object) -> None:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output + str(result.stderr)


def cells_of(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        names, *rows = list(csv.reader(file))
    columns = [list(cells) for cells in zip(*rows, strict=True)]
    return dict(zip(names, columns, strict=True))


def scores_of(path: Path) -> np.ndarray:
    return pd.read_csv(path)[["log_likelihood", "observed"]].to_numpy()


@pytest.mark.parametrize("name", named(FILES))
@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_a_file_goes_through_all_verbs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = FILES[name]()
    data, out = tmp_path / f"data{file.suffix}", tmp_path / "out.csv"
    data.write_bytes(file.written(file.cells))
    vae = fitted(aevb.table.read(data).data, columns=file.columns)
    vae.reorder = True
    monkeypatch.setattr("aevb.cli.apply.aevb.load", lambda path: vae)
    assert kinds(vae) == {name: kind for name, (kind, _) in file.modeled.items()}
    notes = " ".join([*vae.schema_.notes, *vae.schema_.advice])
    assert [code for code in file.notes if code not in notes] == []

    run("score", "run", data, "-o", out)
    scores = scores_of(out)
    assert np.isfinite(scores).all()
    observed = [count_observed(file, row) for row in range(ROWS)]
    assert scores[:, 1].tolist() == observed
    assert (scores[scores[:, 1] == 0, 0] == 0).all()
    for row in (0, 4, 7):
        one = {name: [cells[row]] for name, cells in file.cells.items()}
        data.write_bytes(file.written(one))
        run("score", "run", data, "-o", out)
        np.testing.assert_array_equal(scores_of(out), scores[[row]])

    data.write_bytes(file.written(file.cells))
    run("impute", "run", data, "-o", out)
    filled = cells_of(out)
    assert list(filled) == list(file.cells)
    check_filled(file, filled)
    run("score", "run", out, "-o", tmp_path / "scores.csv")
    again = scores_of(tmp_path / "scores.csv")
    assert np.isfinite(again).all()
    complete = scores[:, 1] == len(file.modeled)
    np.testing.assert_array_equal(again[complete], scores[complete])

    run("sample", "run", "-n", ROWS, "-o", out)
    sampled = cells_of(out)
    assert list(sampled) == list(file.modeled)
    for column, (_, pattern) in file.modeled.items():
        check_pattern(column, pattern, sampled[column])
    run("score", "run", out, "-o", tmp_path / "scores.csv")
    scores = scores_of(tmp_path / "scores.csv")
    assert np.isfinite(scores).all()
    assert (scores[:, 1] == len(file.modeled)).all()


def count_observed(file: File, row: int) -> int:
    return sum(not file.is_missing(name, file.cells[name][row]) for name in file.modeled)


def check_filled(file: File, filled: dict[str, list[str]]) -> None:
    """Cells that were observed are as they were, and the others look like their column."""
    for name, before in file.cells.items():
        for old, new in zip(before, filled[name], strict=True):
            if not file.is_missing(name, old):
                assert new == old, name
            else:
                check_pattern(name, file.modeled[name][1], [new])


def check_pattern(name: str, pattern: str, cells: list[str]) -> None:
    strange = [cell for cell in cells if not re.fullmatch(pattern, cell)]
    assert not strange, (name, strange)


# Frames and arrays, by the estimator


def columns_of(data: Any) -> dict[str, list[Any]]:
    """The cells of a table of any container, None where they are missing."""
    if isinstance(data, list):
        return {name: [row[name] for row in data] for name in data[0]}
    if isinstance(data, pl.DataFrame):
        return data.to_dict(as_series=False)
    if isinstance(data, pa.Table):
        return data.to_pydict()
    if isinstance(data, np.ndarray):
        return {f"x{i}": with_none(data[:, i]) for i in range(data.shape[1])}
    columns = {}
    for i, label in enumerate(data.columns):
        columns[str(label)] = with_none(data.iloc[:, i])
    return columns


def with_none(cells: Any) -> list[Any]:
    return [None if pd.isna(cell) or cell is np.ma.masked else cell for cell in cells]


def types_of(data: Any) -> list[str]:
    if isinstance(data, np.ndarray):
        return [str(data.dtype)]
    if isinstance(data, pa.Table):
        return list(map(str, data.schema.types))
    return list(map(str, data.dtypes))


def first_rows(data: Any, n: int) -> Any:
    return data.iloc[:n] if isinstance(data, pd.DataFrame) else data[:n]


@pytest.mark.parametrize("name", named(FRAMES))
@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_a_frame_goes_through_all_verbs(name: str, tmp_path: Path) -> None:
    frame = FRAMES[name]()
    data = frame.data
    if frame.suffix:
        path = tmp_path / f"data{frame.suffix}"
        path.write_bytes(data)
        data = aevb.table.read(path).data
    before = columns_of(data)
    left_out = [name for name in before if name not in frame.modeled]
    vae = fitted(data, ignore=left_out)
    assert kinds(vae) == {name: kind for name, (kind, _) in frame.modeled.items()}
    scores = vae.score_samples(data)
    assert np.isfinite(scores).all()
    assert vae.score_samples(first_rows(data, 1))[0] == scores[0]

    filled = vae.impute(data)
    check_same(data, before, columns_of(data))  # its own cells are as they were
    check_same(data, before, columns_of(filled))
    check_container(data, filled)
    complete = [
        None not in row for row in zip(*(before[name] for name in frame.modeled), strict=True)
    ]
    np.testing.assert_array_equal(vae.score_samples(filled)[complete], scores[complete])
    for column, (_, pattern) in frame.modeled.items():
        cells = columns_of(filled)[column]
        new = [str(cell) for cell, old in zip(cells, before[column], strict=True) if old is None]
        check_pattern(column, pattern, new)

    sampled = vae.sample(ROWS)
    drawn = columns_of(sampled)
    assert list(drawn) == list(frame.modeled)
    for column, (_, pattern) in frame.modeled.items():
        check_pattern(column, pattern, list(map(str, drawn[column])))
    scores = vae.score_samples(sampled)
    assert np.isfinite(scores).all()
    out = tmp_path / ("out.npy" if isinstance(data, np.ndarray) else "out.parquet")
    aevb.table.write(sampled, out)
    again = vae.score_samples(aevb.table.read(out).data)
    np.testing.assert_array_equal(again, scores)


def check_same(data: Any, before: dict[str, list[Any]], after: dict[str, list[Any]]) -> None:
    """Observed cells are the same, of the same type."""
    assert list(after) == list(before)
    for name, cells in before.items():
        for old, new in zip(cells, after[name], strict=True):
            if old is not None:
                assert old == new, name
                # Records come back as an Arrow table, which has no enumerations.
                assert isinstance(data, list) or isinstance(new, type(old)), name


def check_container(data: Any, filled: Any) -> None:
    """The container, its types, its labels and what is known of it."""
    if isinstance(data, list):
        assert isinstance(filled, pa.Table)
        return
    assert type(filled) is type(data)
    assert types_of(filled) == types_of(data)
    if isinstance(data, pd.DataFrame):
        pd.testing.assert_index_equal(filled.index, data.index)
        pd.testing.assert_index_equal(filled.columns, data.columns)
        assert filled.attrs == data.attrs
