"""The command line: what it prints, where, and how it ends.

A small stand-in for the estimator keeps most tests fast; those named ``real`` fit a model.
"""

import csv
import inspect
import io
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

import aevb
import aevb.table
from aevb import disk
from aevb.cli import app
from aevb.cli.fit import fit
from aevb.cli.terminal import EpochProgress, Terminal
from aevb.disk import checkpoints
from aevb.errors import AevbWarning, DataError, ModelFileError, NumericalError, ResourceError
from aevb.report import Contents
from aevb.settings import RunSettings
from aevb.table.schema import Column, Schema


def scored(log_likelihood: float, difference: float) -> dict[str, Any]:
    return {
        "log_likelihood": log_likelihood,
        "standard_error": 0.2,
        "difference": difference,
        "difference_standard_error": 0.05,
        "settings": {},
    }


RESULTS: dict[str, Any] = {
    "held_out": {"log_likelihood": -1.25, "standard_error": 0.1, "part": "test", "rows": 4},
    "baselines": {"marginals": scored(-3.0, 1.75), "PPCA": scored(-2.0, 0.75)},
    "not_applicable": {"mixture": "too few rows", "trees": "too few rows"},
    "verdict": {"best": "VAE", "text": "The VAE is worth it: \x1b[31m0.75 nats."},
    "measure": "density",
    "fit": {"epochs": 3},
    "diagnostics": {"warnings": ["column 'a' is\x1b[1m odd", "only in the results"]},
}
TABLE = pa.table({"id": ["p", "q", "=r()"], "a": [1.0, 2.0, None], "b": [0.5, 0.25, 0.125]})
SCHEMA = Schema(
    (Column("a\x07", "continuous", "double", missing=0.25),),
    ignored=("id", "who"),
    labels=("who",),
)


class Scores(NamedTuple):
    log_likelihood: Any
    monte_carlo_error: Any
    effective_sample_size: Any


class Source:
    name, data = "small", TABLE
    image_shape, labels = None, ()


class Assessment(NamedTuple):
    results: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.results


class FakeVAE:
    """Three epochs of nothing; what it received is kept on the class."""

    received: dict[str, Any] = {}  # noqa: RUF012
    inf = "error"
    fails: BaseException | None = None
    header: Any = None

    def __init__(self, **parameters: Any) -> None:
        FakeVAE.received = {"parameters": parameters}
        self.latent_dim = parameters.get("latent_dim", "auto")
        self.schema_ = SCHEMA

    def fit(
        self, X: Any, y: Any = None, *, progress: Any, checkpoint: Any, **options: Any
    ) -> "FakeVAE":
        resumed = checkpoint.load({}) is not None
        FakeVAE.received |= {"resumed": resumed, "X": X, "y": y, **options}
        for epoch in (1, 2, 3):
            line = {"epoch": epoch, "train_bound": -2.0, "validation_bound": float("nan")}
            progress({**line, "epochs": 3})
            self.work()
            checkpoint.save({}, {"epoch": epoch})
            if self.fails is not None:
                raise self.fails
        warnings.warn(AevbWarning("column 'a' is\x1b[1m odd"), stacklevel=1)
        warnings.warn("of no interest", DeprecationWarning, stacklevel=1)
        return self

    def work(self) -> None:
        """What takes time in an epoch."""

    def assess(self) -> Assessment:
        return Assessment(RESULTS)

    def contents(self, *, name: str, commands: list[str]) -> Contents:
        values = np.array([[0.5], [0.25], [0.125]])
        codes = np.zeros((3, 2))
        return Contents(name, RESULTS, [], SCHEMA, codes, values, values, values, commands=commands)

    def save(self, path: Path, *, overwrite: bool, contents: Contents) -> None:
        arrays, documents = contents.to_stored()
        documents["configuration"] = {"parameters": {"latent_dim": 2, "epochs": "auto"}}
        details = {
            "seed": 0,
            "data": {"rows": 3, "columns": 2, "sha256": "0123456789abcdef" * 4},
            "resolved": {"latent_dim": 2, "epochs": 60},
        }
        disk.write_run(
            path, {"figures": arrays}, documents, {}, overwrite=overwrite, details=details
        )

    def evaluate(self, X: Any, *, progress: Any, **options: Any) -> dict[str, Any]:
        if progress is not None:
            progress(2)
        return {**RESULTS, **options}

    def score_details(self, X: Any) -> Scores:
        return Scores(np.arange(3.0), np.ones(3), np.full(3, 50.0))

    def transform(self, X: Any) -> Any:
        return np.arange(6.0).reshape(3, 2)

    def reconstruct(self, X: Any) -> Any:
        return X

    def sample(self, n: int, random_state: int | None) -> Any:
        return TABLE.slice(random_state or 0, n)

    def impute(self, X: Any, draws: int | None, random_state: int | None) -> Any:
        FakeVAE.received = {"seed": random_state}
        return X if draws is None else [X] * draws


def fake_read(data: str, header: Any = None) -> Any:
    FakeVAE.header = header
    if data == "missing.csv":
        raise DataError(f"no file is named {data!r}")
    return Source


def fake_encode(rows: Any, schema: Schema, **options: Any) -> Any:
    return np.array([[1.0], [np.nan], [np.inf]])


def fake_load(path: Path) -> FakeVAE:
    if not Path(path).exists():
        raise ModelFileError(f"{path} is not an aevb model")
    return FakeVAE()


@pytest.fixture(autouse=True)
def stand_ins(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    if "real" in request.node.name:
        return
    monkeypatch.setitem(vars(aevb), "VAE", FakeVAE)  # unlike setattr, does not import the real one
    monkeypatch.setitem(vars(aevb), "load", fake_load)
    monkeypatch.setattr(aevb.table, "read", fake_read)
    monkeypatch.setattr(aevb.table, "encode", fake_encode)
    monkeypatch.setattr(FakeVAE, "fails", None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def run_json(*arguments: str) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json").stdout)


def fails(code: int, *arguments: str) -> str:
    """The one line that a command which must fail prints."""
    result = run(*arguments)
    assert result.exit_code == code, (result.exit_code, result.output)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


# -------------------------------------------------------------------------------------------------
# fit


def test_a_fit_leaves_a_run_and_a_table() -> None:
    result = run("fit", "small.csv")
    assert result.exit_code == 0, result.output
    assert disk.is_run("runs/small-1")
    assert "log-likelihood of 4 test rows, measure: density" in result.stdout
    starts = [line.split(maxsplit=1)[0] for line in result.stdout.splitlines() if line]
    places = [starts.index(name) for name in ("VAE", "PPCA", "marginals")]
    assert places == sorted(places)  # best baseline first
    for text in (
        "-1.250 ± 0.100",
        "+0.750 ± 0.050",
        "not applicable: mixture, trees (too few rows)",
        "The VAE is worth it",
        "report: runs/small-1/report.html",
    ):
        assert text in result.stdout
    assert "epoch 3/3  train -2.000 nats per row" in result.stderr
    assert "warning: column 'a' is\\x1b[1m odd" in result.stderr
    assert "odd" not in result.stdout  # printed once
    assert "warning: only in the results" in result.stdout
    assert "of no interest" not in result.stderr
    assert "\x1b" not in result.output
    run("fit", "small.csv")
    assert disk.is_run("runs/small-2")


def test_json_is_one_object_and_quiet_is_quiet() -> None:
    result = run("fit", "small.csv", "--json", "--quiet", "-o", "r")
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert document.pop("seconds") >= 0
    assert document == {"epochs": 3, "run": "r", **RESULTS}
    assert run("fit", "small.csv", "-q").output == ""


def test_options_have_the_names_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "fit.toml").write_text('prior = "mixture"\nepochs = 50\n')
    options = """
        --config fit.toml --latent-dim 3 --epochs auto --seed 5 --column a=count
        --column x=y=ordinal --ignore id --label b --hidden 8,4 --ordered --samples 2
        --batch-size 10 --learning-rate 0.1 --optimizer sgd --kl-warmup 0.5 --free-bits 0.1
        --validation-fraction 0.2 --test-fraction 0 --no-weight-prior --patience 3
        --binarize static --inf missing --likelihood auto --posterior full --objective sgvb_a
        --alpha 0.25
    """
    result = run("fit", "small.csv", *options.split())
    assert result.exit_code == 0, result.stderr
    assert FakeVAE.received["ordered"] is True
    assert FakeVAE.received["parameters"] == {
        "prior": "mixture",
        "latent_dim": 3,
        "epochs": "auto",
        "random_state": 5,
        "columns": {"a": "count", "x=y": "ordinal"},
        "ignore": ("id",),
        "labels": ("b",),
        "hidden": (8, 4),
        "samples": 2,
        "batch_size": 10,
        "learning_rate": 0.1,
        "optimizer": "sgd",
        "kl_warmup": 0.5,
        "free_bits": 0.1,
        "validation_fraction": 0.2,
        "test_fraction": 0.0,
        "weight_prior": False,
        "patience": 3,
        "binarize": "static",
        "inf": "missing",
        "likelihood": "auto",
        "posterior": "full",
        "objective": "sgvb_a",
        "alpha": 0.25,
    }
    run("fit", "small.csv", "--hidden", "", "--group", "id")
    defaults = {"random_state": 0, "test_fraction": 0.2}
    assert FakeVAE.received["parameters"] == {**defaults, "hidden": (), "ignore": ["id"]}
    assert list(FakeVAE.received["groups"]) == ["p", "q", "=r()"]


class Screen(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("screen", [Screen, io.StringIO])
def test_progress_on_a_terminal_and_elsewhere(
    monkeypatch: pytest.MonkeyPatch, screen: type[io.StringIO]
) -> None:
    shown = screen()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(json=False, quiet=False, debug=False)
    with EpochProgress(terminal, interval=0.0) as progress:
        for epoch in (4, 5, 6):
            bounds = {"train_bound": float("nan"), "validation_bound": -1.5}
            progress({"epoch": epoch, "epochs": 8, **bounds})
    assert "epoch 6/8  validation -1.500 nats" in shown.getvalue()
    assert "nan" not in shown.getvalue()
    if screen is io.StringIO:
        assert "\x1b" not in shown.getvalue()
        first, *others = shown.getvalue().splitlines()
        assert "left" not in first  # no pace is known yet
        assert all(line.endswith("at most 0:00:00 left") for line in others)


def test_each_run_has_a_pace_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of ten, of which the second goes ten times as fast."""
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    clock = iter([0.0, 100.0, 200.0, 1_000.0, 1_010.0, 1_020.0])
    monkeypatch.setattr("aevb.cli.terminal.time.monotonic", lambda: next(clock))
    terminal = Terminal(json=False, quiet=False, debug=False)
    with EpochProgress(terminal, "sample", interval=0.0) as progress:
        for _ in range(2):
            for done in (1, 2, 3):
                progress({"epoch": done, "epochs": 10, "train_bound": -1.5})
    lines = shown.getvalue().splitlines()
    left = [line.partition("at most ")[2] for line in lines]
    assert left == ["", "0:13:20 left", "0:11:40 left", "", "0:01:20 left", "0:01:10 left"]
    assert all(line.startswith("sample ") for line in lines)


def test_every_setting_is_an_option() -> None:
    options = inspect.signature(fit).parameters
    # The terminal shows the progress.
    assert RunSettings.model_fields.keys() - options.keys() == {"verbose"}


@pytest.mark.parametrize("typed", [[], ["paper"]])
def test_without_a_command_the_help_is_shown_as_it_is(typed: list[str]) -> None:
    result = CliRunner().invoke(app, typed)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
    assert len(result.stderr.splitlines()) > 5


def test_the_report_has_the_command() -> None:
    run("fit", "my data.csv", "-o", "r", "--epochs", "3")
    report = disk.read_run("r").documents["report"]
    assert report["title"] == "small"
    assert report["commands"] == ["aevb fit 'my data.csv' -o r --epochs 3"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--latent-dim 0", "latent_dim must be"),
        ("--latent-dim two", "latent_dim must be"),
        ("--samples -1", "samples"),
        ("--learning-rate nan", "learning_rate"),
        ("--optimizer adan", "did you mean 'adam'"),
        ("--column a", "NAME=KIND"),
        ("--column a=contnuous", "did you mean 'continuous'"),
        ("--hidden 8,x", "hidden must be"),
        ("--epochs 1e3", "epochs"),
        ("--epoch 3", "--epochs"),
        ("--samples x", "--samples"),
        ("--config no.toml", "no.toml"),
        ("--resume", "-o RUN"),
        ("--group nope", "'nope'"),
        ("--seed -1", "random_state"),
    ],
)
def test_wrong_settings_are_found_before_the_data_are_read(option: str, words: str) -> None:
    data = "small.csv" if "group" in option else "missing.csv"
    assert words in fails(2, "fit", data, *option.split())
    assert not Path("runs/small-1").exists()


def test_an_existing_run_is_refused_resumed_or_replaced() -> None:
    run("fit", "small.csv", "-o", "r")
    before = Path("r/manifest.json").read_bytes()
    assert "already holds a run" in fails(5, "fit", "small.csv", "-o", "r")
    finished = run("fit", "small.csv", "-o", "r", "--resume", "--json")
    assert finished.exit_code == 0
    assert "nothing to resume" in finished.stderr
    assert json.loads(finished.stdout)["run"] == "r"
    assert Path("r/manifest.json").read_bytes() == before
    assert run("fit", "small.csv", "-o", "r", "--overwrite").exit_code == 0
    assert FakeVAE.received["resumed"] is False


def test_an_interrupted_run_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeVAE, "fails", KeyboardInterrupt())
    result = run("fit", "small.csv", "-o", "r")
    assert result.exit_code == 130
    assert "-o r --resume" in result.stderr
    assert not disk.is_run("r")
    monkeypatch.setattr(FakeVAE, "fails", None)
    assert "interrupted" in fails(5, "fit", "small.csv", "-o", "r")
    assert run("fit", "small.csv", "-o", "r", "--resume").exit_code == 0
    assert FakeVAE.received["resumed"] is True
    assert run("fit", "small.csv", "-o", "empty", "--resume").exit_code == 0


@pytest.mark.parametrize(("signals", "kept"), [(1, True), (2, False)])
def test_terminate_ends_after_the_epoch_or_at_once(
    monkeypatch: pytest.MonkeyPatch, signals: int, kept: bool
) -> None:
    def work(_: FakeVAE) -> None:
        for _ in range(signals):
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(FakeVAE, "work", work)
    result = run("fit", "small.csv", "-o", "r")
    assert result.exit_code == 143
    assert result.stderr.endswith("terminated\n")
    assert checkpoints.exists(Path("r/checkpoints")) is kept
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_data_do_not_continue_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeVAE, "fails", KeyboardInterrupt())
    run("fit", "small.csv", "-o", "r")
    monkeypatch.setattr(FakeVAE, "fails", None)
    monkeypatch.setattr(Source, "data", TABLE.slice(0, 2))
    FakeVAE.received.clear()
    resume = ("fit", "small.csv", "-o", "r", "--resume")
    line = fails(3, *resume)
    for text in ("small: ", "r/checkpoints", "3 rows", "2 rows", "--allow-changed-data"):
        assert text in line
    assert not FakeVAE.received  # found before any work is done
    assert "is for --resume" in fails(2, "fit", "small.csv", "-o", "r", "--allow-changed-data")
    result = run(*resume, "--allow-changed-data")
    assert result.exit_code == 0
    assert result.stderr.count("warning: small") + result.stderr.count("r/checkpoints") == 1
    assert FakeVAE.received["resumed"] is True


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("")
    assert "something else" in fails(5, "fit", "small.csv", "-o", "home")
    assert "something else" in fails(5, "fit", "small.csv", "-o", "home/thesis.tex")


def test_two_fits_do_not_share_a_folder() -> None:
    script = """
import time
from pathlib import Path
from aevb.disk import locked
with locked(Path("r")):
    print("locked", flush=True)
    time.sleep(60)
"""
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    try:
        assert "another process" in fails(5, "fit", "small.csv", "-o", "r")
    finally:
        other.kill()
        other.communicate()
    assert run("fit", "small.csv", "-o", "r").exit_code == 0


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (NumericalError("NaN at step 3"), 4, "NaN at step 3"),
        (ResourceError("too big"), 5, "too big"),
        (MemoryError(), 5, "--batch-size"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), 5, "--batch-size"),
        (KeyError("x\ny"), 1, "internal error: KeyError"),
        (DataError("line 1\nline 2\x1b[2J"), 3, "line 1\\nline 2\\x1b[2J"),
    ],
)
def test_every_error_has_its_code_and_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, words: str
) -> None:
    monkeypatch.setattr(FakeVAE, "fails", error)
    assert words in fails(code, "fit", "small.csv", "-q")
    assert "Traceback" in run("fit", "small.csv", "-q", "--debug").stderr


def test_a_fit_that_fails_leaves_no_folder() -> None:
    assert "no file is named" in fails(3, "fit", "missing.csv", "-o", "r")
    assert not Path("r").exists()


# -------------------------------------------------------------------------------------------------
# what a run can do


@pytest.fixture
def fitted() -> str:
    run("fit", "small.csv", "-o", "r", "-q")
    return "r"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `aevb.table.write` received, by file."""
    files: dict[str, Any] = {}

    def fake_write(rows: Any, path: Path, guard: bool = False) -> None:
        files[str(path)] = rows
        files["guard"] = guard

    monkeypatch.setattr(aevb.table, "write", fake_write)
    return files


def test_scores_and_codes_stand_next_to_ignored_columns(
    fitted: str, written: dict[str, Any]
) -> None:
    summary = run_json("score", fitted, "small.csv", "-o", "s.csv")
    assert summary == {"rows": 3, "log_likelihood": 1.0, "output": "s.csv"}
    assert written["s.csv"].column_names == ["id", *Scores._fields, "observed"]
    assert written["s.csv"]["observed"].to_pylist() == [1, 0, 1]  # missing, and not seen before
    assert "z.parquet: 3 rows" in run("embed", fitted, "small.csv", "-o", "z.parquet").stderr
    assert written["z.parquet"].column_names == ["id", "latent0", "latent1"]
    run("embed", fitted, "small.csv", "-o", "z.npy")
    np.testing.assert_array_equal(written["z.npy"], np.arange(6.0).reshape(3, 2))


def test_a_new_column_does_not_replace_an_old_one(
    fitted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"id": "latent0"}
    monkeypatch.setattr(Source, "data", TABLE.rename_columns(["latent0", "a", "b"]))
    monkeypatch.setattr("test_cli.SCHEMA", Schema(SCHEMA.columns, ignored=tuple(names.values())))
    assert "'latent0': rename it" in fails(2, "embed", fitted, "small.csv", "-o", "z.csv")


def test_rows_are_written_as_they_come(fitted: str, written: dict[str, Any]) -> None:
    assert run_json("sample", fitted, "-n", "2", "-o", "x.csv")["rows"] == 2
    run("sample", fitted, "-n", "2", "-o", "other.csv", "--seed", "1")
    run("reconstruct", fitted, "small.csv", "-o", "y.csv")
    run("impute", fitted, "small.csv", "-o", "one.csv")
    run("impute", fitted, "small.csv", "-o", "many.csv", "--draws", "2")
    assert written["x.csv"].num_rows == 2
    assert written["other.csv"].equals(TABLE.slice(1, 2))
    assert written["y.csv"].equals(TABLE)
    assert written["one.csv"].equals(TABLE)
    assert written["many.csv"]["draw"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert written["many.csv"].column_names == ["id", "a", "b", "draw"]


def test_draws_of_an_array_are_numbered(
    fitted: str, written: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = np.arange(12.0).reshape(2, 3, 2)
    monkeypatch.setattr(FakeVAE, "impute", lambda *_, **__: globals()["DRAWS"])
    monkeypatch.setitem(globals(), "DRAWS", draws)
    run("impute", fitted, "small.csv", "-o", "many.npy", "--draws", "2")
    run("impute", fitted, "small.csv", "-o", "many.csv", "--draws", "2")
    np.testing.assert_array_equal(written["many.npy"], draws)
    table = written["many.csv"]
    assert table.column_names == ["x0", "x1", "draw"]
    np.testing.assert_array_equal(table["x1"], draws[..., 1].ravel())
    assert table["draw"].to_pylist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("command", ["score", "embed", "reconstruct", "impute", "sample -n 2"])
def test_formulas_are_guarded_on_request(
    fitted: str, written: dict[str, Any], command: str
) -> None:
    name, *options = command.split()
    data = ["small.csv"] if name != "sample" else []
    for guard in (False, True):
        flags = ["--guard-formulas"] if guard else []
        result = run(name, fitted, *data, *options, "-o", "x.csv", *flags)
        assert result.exit_code == 0, result.output
        assert written["guard"] is guard


def test_a_seed_of_imputations(fitted: str, written: dict[str, Any]) -> None:
    run("impute", fitted, "small.csv", "-o", "x.csv", "--seed", "7")
    assert FakeVAE.received == {"seed": 7}
    run("impute", fitted, "small.csv", "-o", "x.csv")
    assert FakeVAE.received == {"seed": None}


@pytest.mark.parametrize("command", ["evaluate", "score", "embed", "reconstruct", "impute"])
def test_the_columns_of_the_run_say_what_a_header_is(
    fitted: str, written: dict[str, Any], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = [] if command == "evaluate" else ["-o", "x.csv"]
    monkeypatch.setattr("test_cli.SCHEMA", replace(SCHEMA, container="pyarrow"))
    names = ["a\x07", "id", "who"]
    for flag, header in (("", names), ("--header", True), ("--no-header", False)):
        assert run(command, fitted, "small.csv", *out, *flag.split()).exit_code == 0
        assert FakeVAE.header == header
    monkeypatch.setattr("test_cli.SCHEMA", replace(SCHEMA, container="numpy"))  # has no names
    assert run(command, fitted, "small.csv", *out).exit_code == 0
    assert FakeVAE.header is None
    run("fit", "small.csv", "-o", "other", "--no-header")
    assert FakeVAE.header is False


def test_evaluate(fitted: str) -> None:
    result = run("evaluate", fitted, "small.csv")
    assert "-1.250 ± 0.100" in result.stdout
    assert result.stderr == ""
    assert run_json("evaluate", fitted, "small.csv", "--samples", "7")["samples"] == 7
    assert run_json("evaluate", fitted, "small.csv", "--method", "ais")["method"] == "ais"
    result = run("evaluate", fitted, "small.csv", "--method", "harmonic")
    assert result.stderr == "2 rows scored\n"


def test_inspect(fitted: str) -> None:
    shown = run("inspect", fitted).stdout
    for text in (
        "a\\x07",
        "continuous",
        "25.0%",
        "latent_dim",
        "versions.jax",
        "report: r/report.html",
        "auto: 60",
        "data.rows",
        "0123456789ab",
    ):
        assert text in shown
    assert "0123456789abc" not in shown  # the first digits are enough
    cells = [line.split(maxsplit=1) for line in shown.splitlines()]
    settings = {line[0]: line[1].strip() for line in cells if len(line) == 2}
    assert settings["seed"] == "0"
    assert (settings["id"], settings["who"]) == ("ignored", "label, not in the model")
    assert "warning: column 'a' is\\x1b[1m odd" in shown
    document = run_json("inspect", fitted)
    assert "drawing" not in document
    assert document["results"] == RESULTS
    assert document["manifest"]["seed"] == 0


DATA = "a,b,id\n" + "\n".join(
    f"{i * i % 97 / 4},{'red' if i % 3 else 'blue'},{i}" for i in range(60)
)


def test_data_are_inspected_before_a_fit(tmp_path: Path) -> None:
    place, columns = tmp_path / "people.csv", tmp_path / "columns.toml"
    place.write_text(DATA)
    result = run("inspect", str(place), "-o", str(columns))
    assert "people: 60 rows, 3 columns, 1 of them not modeled" in result.stdout
    assert "AEV101" in result.stdout
    assert "--column id=continuous" in result.stdout
    assert f"wrote {columns}" in result.stderr
    columns.write_text(columns.read_text().replace('ignore = ["id"]', "ignore = []"))
    kinds = ("--column", "b=categorical", "--column", "id=continuous,lower=0,step=0.5")
    document = run_json("inspect", str(place), "--columns", str(columns), *kinds)
    found = {column["name"]: column for column in document["columns"]}
    assert found["b"]["kind"] == "categorical"
    assert (found["id"]["kind"], found["id"]["lower"], found["id"]["step"]) == (
        "continuous",
        0,
        0.5,
    )
    assert fails(2, "inspect", str(place), "-o", "columns.csv").count("must end in .toml") == 1
    assert "for the folder of a run" in fails(2, "inspect", str(place), "--draw")
    assert "did you mean 'lower'" in fails(2, "inspect", str(place), "--column", "a=count,lowr=0")


def test_the_columns_of_a_run_are_written_too(fitted: str, tmp_path: Path) -> None:
    run("inspect", fitted, "-o", str(tmp_path / "columns.toml"))
    assert "[columns." in (tmp_path / "columns.toml").read_text("utf-8")


def test_inspect_draws_the_architecture(fitted: str) -> None:
    assert "drawing: r/architecture.svg" in run("inspect", fitted, "--draw").stdout
    drawing = Path(fitted, "architecture.svg").read_text("utf-8")
    assert drawing.startswith("<?xml")
    assert "The layers of the model" in drawing
    assert run_json("inspect", fitted, "--draw")["drawing"] == "r/architecture.svg"
    assert run("inspect", fitted).exit_code == 0  # a drawing in the folder does no harm


def test_report_is_written_again(fitted: str) -> None:
    assert run("report", fitted).stdout == "r/report.html\n"
    assert "worth it" in Path("r/report.html").read_text("utf-8")


def test_data_sets_are_listed() -> None:
    assert "digits" in run("data").stdout
    assert "digits" in run_json("data")["datasets"]


@pytest.mark.parametrize(
    "command",
    [
        "evaluate nowhere d.csv",
        "score nowhere d.csv -o x.csv",
        "embed nowhere d.csv -o x.csv",
        "reconstruct nowhere d.csv -o x.csv",
        "impute nowhere d.csv -o x.csv",
        "sample nowhere -n 1 -o x.csv",
        "inspect nowhere",
        "report nowhere",
    ],
)
def test_a_folder_that_is_no_run_is_refused(command: str) -> None:
    assert "not an aevb model" in fails(6, *command.split())


def test_endings_and_numbers_are_checked_first() -> None:
    assert "must end in .csv" in fails(2, "score", "nowhere", "d.csv", "-o", "x.xlsx")
    assert "--number" in fails(2, "sample", "nowhere", "-n", "0", "-o", "x.csv")
    assert "--output" in fails(2, "score", "nowhere", "d.csv")


# -------------------------------------------------------------------------------------------------
# processes


def aevb_process(*arguments: str, code: str = "", **options: Any) -> "subprocess.Popen[str]":
    program = [sys.executable, "-c", f"{code}\nfrom aevb.cli import main\nmain()", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(program, text=True, **{**pipes, **options})


def test_help_imports_nothing_heavy() -> None:
    code = """
import atexit, sys
heavy = {"jax", "numpy", "sklearn", "pyarrow", "pandas", "matplotlib", "rich", "equinox"}
atexit.register(lambda: print("heavy:", sorted(heavy & set(sys.modules))))
"""
    out, _ = aevb_process("--help", code=code).communicate()
    assert "impute" in out
    assert "..." not in out.replace("[ARGS]...", "")  # no line is cut off
    assert out.endswith("heavy: []\n")


SLOW = """
import sys, time
sys.path.insert(0, {here!r})
import aevb, aevb.table
import test_cli

class Slow(test_cli.FakeVAE):
    def work(self):
        print("fitting", flush=True)
        begin = time.monotonic()
        while time.monotonic() - begin < 0.5:
            pass

aevb.VAE, aevb.table.read = Slow, test_cli.fake_read
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("sent", "code", "kept"),
    [
        ([signal.SIGTERM], 143, True),
        ([signal.SIGTERM] * 2, 143, False),
        ([signal.SIGINT], 130, False),
    ],
    ids=["terminate", "terminate twice", "interrupt"],
)
def test_signals(tmp_path: Path, sent: list[signal.Signals], code: int, kept: bool) -> None:
    """SIGTERM ends after the current epoch and its checkpoint; a second one, or Ctrl-C, at once."""
    slow = SLOW.format(here=str(Path(__file__).parent))
    process = aevb_process("fit", "small.csv", "-o", "r", code=slow, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    for number in sent:
        process.send_signal(number)
        time.sleep(0.1)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert "--resume" in err
    assert "Traceback" not in err
    assert checkpoints.exists(tmp_path / "r" / "checkpoints") is kept
    assert not disk.is_run(tmp_path / "r")


def test_a_reader_who_leaves_is_no_error(fitted: str) -> None:
    read, write = os.pipe()
    os.close(read)
    process = aevb_process("inspect", fitted, stdout=write)
    _, err = process.communicate()
    os.close(write)
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"NO_COLOR": "1", "COLUMNS": "20"},
        {"TERM": "dumb"},
        {"LC_ALL": "C"},
    ],
)
def test_plain_output_everywhere(fitted: str, environment: dict[str, str]) -> None:
    process = aevb_process("inspect", fitted, env={**os.environ, **environment})
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "\x1b" not in out
    assert "worth it" in out


# -------------------------------------------------------------------------------------------------
# the real thing


#: A CSV file has no types; `aevb.table.formats` gives its columns theirs.
needs_types = pytest.mark.skipif(
    find_spec("aevb.table.formats") is None, reason="columns of text have no types yet"
)


def rows_of(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: str, rows: list[dict[str, Any]], columns: list[str]) -> str:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.long
def test_real_infinite_cells_are_missing_if_the_user_says_so() -> None:
    cells = np.random.default_rng(0).normal(size=(30, 2))
    rows = [{"a": f"{a:.3f}", "b": f"{b:.3f}"} for a, b in cells]
    rows[3]["a"] = "inf"
    write_rows("d.csv", rows, ["a", "b"])
    fast = ["-o", "r", "--latent-dim", "1", "--hidden", "", "--epochs", "0"]
    assert "column 'a', row 3" in fails(3, "fit", "d.csv", *fast)
    assert run("fit", "d.csv", *fast, "--inf", "missing").exit_code == 0
    assert run("impute", "r", "d.csv", "-o", "filled.csv").exit_code == 0
    filled = rows_of("filled.csv")
    assert all(np.isfinite(float(row["a"])) for row in filled)
    assert filled[4] == rows[4]


@pytest.mark.long
def test_real_cells_come_back_as_they_were_read() -> None:
    """Ids, zeros, signs, stamps and names; what is filled is scored again."""
    chance = np.random.default_rng(0)
    header = ["id", "when", "strand", "-log_p", "price", "zip"]
    rows = []
    for i in range(60):
        row: list[str] = [
            f"{20220902110443000000 + 7 * i}",
            f"2024-01-{1 + i % 28:02d}T00:30:00+02:00",
        ]
        row += ["+-"[i % 2], "" if i % 9 == 0 else f"{chance.normal():.3f}"]
        rows.append([*row, f"{i % 9}.50", ["02138", "10001", "94110"][i % 3]])
    with open("d.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    fast = ["--latent-dim", "1", "--hidden", "", "--epochs", "0"]
    fitted = run("fit", "d.csv", "-o", "r", "--ignore", "id", "--ignore", "when", *fast)
    assert fitted.exit_code == 0, fitted.stderr
    for flags in ([], ["--guard-formulas"]):
        filled = run("impute", "r", "d.csv", "-o", "filled.csv", *flags)
        assert filled.exit_code == 0, filled.stderr
        again = aevb.table.read("filled.csv").data
        assert again.column_names == header
        for row, cells in zip(rows, zip(*again.to_pydict().values(), strict=True), strict=True):
            assert all(new == old or not old for old, new in zip(row, cells, strict=True))
        scored = run("score", "r", "filled.csv", "-o", "s.csv")
        assert scored.exit_code == 0, scored.stderr
        assert [row["id"] for row in rows_of("s.csv")] == [row[0] for row in rows]
        assert {row["observed"] for row in rows_of("s.csv")} == {"4"}


@pytest.mark.long
def test_real_files_without_a_header_lose_no_row() -> None:
    chance = np.random.default_rng(0)
    lines = [f"{chance.normal():.2f},{chance.choice(['ab', 'cd'])}\n" for _ in range(60)]
    Path("d.csv").write_text("".join(lines))
    fast = ["--latent-dim", "1", "--hidden", "", "--epochs", "0"]
    fitted = run("fit", "d.csv", "-o", "r", *fast)
    assert "line 1 looks like data" in fitted.stderr
    assert "(--header)" in fitted.stderr
    for rows in (60, 1):
        Path("new.csv").write_text("".join(lines[:rows]))
        assert run_json("score", "r", "new.csv", "-o", "s.csv")["rows"] == rows
        assert run("impute", "r", "new.csv", "-o", "filled.csv").exit_code == 0
        assert len(rows_of("filled.csv")) == rows  # with a header: x0, x1
        assert run_json("score", "r", "filled.csv", "-o", "s.csv")["rows"] == rows


def people() -> list[dict[str, Any]]:
    chance = np.random.default_rng(0)
    rows = []
    for i, size in enumerate(chance.normal(size=60)):
        b = f"{2 * size + chance.normal():.3f}"
        row = {"id": f"p{i}", "a": f"{size:.3f}", "b": b, "c": chance.choice(["x", "y", "z"])}
        rows.append({**row, "who": "uv"[i % 2]})
    for row in rows[::7]:
        row["b"] = ""
    return rows


@pytest.mark.long
def test_real_fit_and_all_that_follows() -> None:
    rows = people()
    write_rows("d.csv", rows, ["id", "a", "b", "c", "who"])
    options = "--latent-dim 1 --epochs 2 --label who --ignore id --test-fraction 0.2 --json"
    fitted = run("fit", "d.csv", "-o", "r", "--hidden", "", *options.split())
    assert fitted.exit_code == 0, fitted.stderr
    results = json.loads(fitted.stdout)
    assert results["held_out"]["part"] == "test"
    assert results["baselines"]
    assert (results["epochs"], results["run"]) == (2, "r")
    check_manifest()
    check_outputs(rows)
    Path("r/report.html").unlink()
    for command in ("inspect r", "report r", "sample r -n 4 -o sample.csv"):
        assert run(*command.split()).exit_code == 0, command
    assert Path("r/report.html").stat().st_size > 10_000
    assert [list(row) for row in rows_of("sample.csv")] == [["a", "b", "c"]] * 4


def check_manifest() -> None:
    manifest = json.loads(Path("r/manifest.json").read_text())
    assert manifest["data"] == aevb.table.fingerprint(aevb.table.read("d.csv").data)
    assert (manifest["data"]["rows"], manifest["data"]["columns"], manifest["seed"]) == (60, 5, 0)
    configuration = json.loads(Path("r/configuration.json").read_text())
    assert manifest["configuration"] == configuration["parameters"]
    assert manifest["resolved"] == {
        "latent_dim": 1,
        "epochs": 2,
        "weight_decay": 0.5,
        "prior": "standard_normal",
    }
    aevb.load("r").save("again")
    again = json.loads(Path("again/manifest.json").read_text())
    for name in ("data", "seed", "configuration", "resolved"):
        assert again[name] == manifest[name]


def check_outputs(rows: list[dict[str, Any]]) -> None:
    for command in ("score", "embed", "reconstruct", "impute"):
        done = run(command, "r", "d.csv", "-o", f"{command}.csv")
        assert done.exit_code == 0, done.stderr
        carried = [(row["id"], row["who"]) for row in rows_of(f"{command}.csv")]
        assert carried == [(row["id"], row["who"]) for row in rows]
    write_rows("reordered.csv", rows, ["c", "who", "b", "id", "a"])
    run("score", "r", "reordered.csv", "-o", "reordered-score.csv")
    assert rows_of("reordered-score.csv") == rows_of("score.csv")  # columns are matched by name
    assert list(rows_of("score.csv")[0]) == ["id", "who", *Scores._fields, "observed"]
    filled = rows_of("impute.csv")
    assert all(row["b"] for row in filled)
    assert [row["a"] for row in filled] == [row["a"] for row in rows]
    short = write_rows("short.csv", rows, ["id", "a", "c", "who"])
    assert "'b'" in fails(3, "score", "r", short, "-o", "x.csv")
