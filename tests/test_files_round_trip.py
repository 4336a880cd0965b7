"""A survey as people keep it: fitted, scored, filled in, sampled, and read again."""

import csv
import io
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import aevb
from aevb.cli import app
from aevb.errors import AevbWarning

ROWS = 120
TINY = ["--latent-dim", "1", "--hidden", "8", "--epochs", "1", "-q"]


def survey() -> dict[str, list[str]]:
    generator = np.random.default_rng(0)
    z = generator.normal(size=ROWS)
    rows = range(ROWS)
    return {
        "id": [f"{i:05d}" for i in rows],
        "income": [f"${np.exp(7 + z[i]):,.2f}" if i % 17 else "" for i in rows],
        "share": [f"{np.clip(50 + 20 * z[i], 0, 100):.0f}%" for i in rows],
        "power": ["?" if i % 40 == 3 else f"{100 + 20 * z[i]:.0f}" for i in rows],
        "change": [f"({-z[i]:.2f})" if z[i] < 0 else f"{z[i]:.2f}" for i in rows],
        "born": [f"{1 + i % 28:02d}/{1 + i % 12:02d}/{1960 + i % 40}" for i in rows],
        "seen": [f"2024-01-{1 + i % 28:02d}T{i % 24:02d}:30:00+02:00" for i in rows],
        "opens": [f"{6 + i % 5}:{i % 4 * 15:02d}" for i in rows],
        "zip": [["02138", "10001", "94110"][i % 3] for i in rows],
        "code": [["10", "20", "A7"][i % 3] for i in rows],
        "ok": [["TRUE", "FALSE", ""][i % 3] for i in rows],
        "weight": [f"{60 + 5 * z[i]:.1f} kg" for i in rows],
        "level": [["true", "unknown", "false"][i % 3] for i in rows],
    }


def text_of(columns: dict[str, list[str]], rows: slice = slice(None)) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(list(zip(*columns.values(), strict=True))[rows])
    return sink.getvalue()


def run(*words: object) -> None:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output + str(result.stderr)


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_a_survey_comes_back_as_it_was_written(tmp_path: Path) -> None:
    columns = survey()
    data, fitted = tmp_path / "survey.csv", tmp_path / "run"
    data.write_text(text_of(columns))
    run("fit", data, "-o", fitted, *TINY)

    one = tmp_path / "one.csv"
    for row in (0, 1, 2):  # each looks like another type than the column
        one.write_text(text_of(columns, slice(row, row + 1)))
        run("score", fitted, one, "-o", tmp_path / "score.csv")

    run("impute", fitted, data, "-o", tmp_path / "filled.csv")
    before, after = cells(data), cells(tmp_path / "filled.csv")
    assert before[0] == after[0]
    for old_row, new_row in zip(before[1:], after[1:], strict=True):
        for old, new in zip(old_row, new_row, strict=True):
            assert (old == new) == (old not in ("", "?"))

    run("sample", fitted, "-n", 50, "-o", tmp_path / "sample.csv")
    run("score", fitted, tmp_path / "sample.csv", "-o", tmp_path / "score.csv")
    sampled = pd.read_csv(tmp_path / "sample.csv", dtype=str)
    patterns = {
        "income": r"-?\$\d{1,3}(,\d{3})*\.\d\d",
        "share": r"-?\d+%",
        "power": r"-?\d+",
        "change": r"\(\d+\.\d\d\)|\d+\.\d\d",
        "born": r"\d\d/\d\d/\d{4}",
        "seen": r"\d{4}-\d\d-\d\dT\d\d:\d\d:00\+02:00",
        "opens": r"\d{1,2}:\d\d",
        "zip": "02138|10001|94110",
        "code": "10|20|A7",
        "ok": "TRUE|FALSE",
        "weight": r"-?\d+\.\d kg",
        "level": "true|unknown|false",
    }
    assert list(sampled) == list(patterns)
    for name, pattern in patterns.items():
        assert sampled[name].str.fullmatch(pattern).all(), name


def test_a_frame_with_dates_is_modeled_and_comes_back_in_its_types() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": generator.normal(size=80),
            "day": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(generator.integers(0, 300, 80), "D"),
            "seen": pd.date_range("2024-01-01", periods=80, freq="7h", tz="Europe/Paris"),
            "span": pd.to_timedelta(generator.integers(1, 99, 80), "min"),
        },
        index=range(100, 180),
    )
    frame.loc[[103, 150], ["day", "seen", "span"]] = pd.NaT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AevbWarning)
        vae = aevb.VAE(latent_dim=1, hidden=(8,), epochs=1, random_state=0).fit(frame)
        filled = vae.impute(frame)
    assert filled.dtypes.equals(frame.dtypes)
    assert filled.notna().all().all()
    pd.testing.assert_frame_equal(filled.where(frame.notna()), frame)
    sampled = vae.sample(20)
    assert sampled.dtypes.equals(frame.dtypes)
    assert (sampled["day"] == sampled["day"].dt.normalize()).all()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    np.testing.assert_array_equal(vae.score_samples(table), vae.score_samples(frame))
