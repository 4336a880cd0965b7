"""The command line: what it says, where, and how it ends. A small stand-in for the estimator keeps
this fast.
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
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import aevb
import aevb.table
from aevb import disk as storage
from aevb.cli import app
from aevb.cli.fit import fit
from aevb.cli.terminal import EpochProgress, Terminal
from aevb.disk import checkpoints
from aevb.errors import AevbWarning, DataError, ModelFileError, NumericalError, ResourceError
from aevb.settings import FitConfiguration

pa = pytest.importorskip("pyarrow")

RESULTS: dict[str, Any] = {
    "held_out": {"log_likelihood": -1.25, "standard_error": 0.1, "part": "test", "rows": 4},
    "baselines": {
        "marginals": {"log_likelihood": -3.0, "standard_error": 0.2, "difference": 1.75,
                      "difference_standard_error": 0.05, "settings": {}},
        "ppca": {"log_likelihood": -2.0, "standard_error": 0.2, "difference": 0.75,
                 "difference_standard_error": 0.05, "settings": {}},
    },
    "not_applicable": {"mixture": "too few rows", "trees": "too few rows"},
    "verdict": {"best": "VAE", "text": "The VAE is worth it: \x1b[31m0.75 nats."},
    "measure": "density",
    "fit": {"epochs": 3},
    "diagnostics": {"warnings": ["column 'a' is\x1b[1m odd", "said nowhere else"]},
}  # fmt: skip
TABLE = pa.table({"id": ["p", "q", "=r()"], "a": [1.0, 2.0, None], "b": [0.5, 0.25, 0.125]})


class Scores(NamedTuple):
    log_likelihood: Any
    monte_carlo_error: Any
    effective_sample_size: Any


class Source:
    name, data = "small", TABLE
    image_shape, labels = None, ()


class FakeVAE:
    """Three epochs of nothing; what it was told is kept on the class."""

    told: dict[str, Any] = {}  # noqa: RUF012
    fails: BaseException | None = None

    def __init__(self, **parameters: Any) -> None:
        FakeVAE.told = {"parameters": parameters}
        self.report_, self.history_ = RESULTS, [{"epoch": epoch} for epoch in (1, 2, 3)]
        self.schema_ = type("Schema", (), {"ignored": ("id",)})

    def fit(
        self, X: Any, y: Any = None, *, progress: Any, checkpoint: Any, **options: Any
    ) -> "FakeVAE":
        FakeVAE.told |= {"resumed": checkpoint.load({}) is not None, "X": X, "y": y, **options}
        for epoch in self.history_:
            progress({**epoch, "epochs": 3, "train_bound": -2.0, "validation_bound": float("nan")})
            self.work()
            checkpoint.save({}, epoch)
            if self.fails is not None:
                raise self.fails
        warnings.warn("column 'a' is\x1b[1m odd", AevbWarning, stacklevel=1)
        warnings.warn("of no interest", DeprecationWarning, stacklevel=1)
        return self

    def work(self) -> None:
        """What takes time in an epoch."""

    def contents(self, *, name: str, commands: list[str]) -> Any:
        return {"name": name, "commands": commands}

    def save(self, path: Path, *, overwrite: bool, contents: Any) -> None:
        schema = {
            "columns": [{"name": "a\x07", "kind": "continuous", "categories": [], "missing": 0.25}],
            "ignored": ["id", "who"],
            "labels": ["who"],
        }
        documents = {
            "results": RESULTS,
            "schema": schema,
            "configuration": {"parameters": {"latent_dim": 2, "epochs": "auto"}},
            "told": contents,
        }
        details = {
            "seed": 0,
            "data": {"rows": 3, "columns": 2, "sha256": "0123456789abcdef" * 4},
            "resolved": {"latent_dim": 2, "epochs": 60},
        }
        storage.write_run(
            path, {"weights": {}}, documents, {}, overwrite=overwrite, details=details
        )

    def evaluate(
        self, X: Any, *, samples: int | None = None, method: str = "iwae", **how: Any
    ) -> dict[str, Any]:
        return {**RESULTS, "samples": samples, "method": method}

    def score_details(self, X: Any) -> Scores:
        return Scores(np.arange(3.0), np.ones(3), np.full(3, 50.0))

    def transform(self, X: Any) -> Any:
        return np.arange(6.0).reshape(3, 2)

    def reconstruct(self, X: Any) -> Any:
        return X

    def sample(self, n: int, random_state: int | None) -> Any:
        return TABLE.slice(random_state or 0, n)

    def impute(self, X: Any, draws: int | None = None) -> Any:
        return X if draws is None else [X] * draws


def fake_read(data: str) -> Any:
    if data == "missing.csv":
        raise DataError(f"no file is named {data!r}")
    return Source


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
    monkeypatch.setattr(FakeVAE, "fails", None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def fails(code: int, *arguments: str) -> str:
    """The one line a command that must fail says."""
    result = run(*arguments)
    assert result.exit_code == code, (result.exit_code, result.output)
    assert result.stdout == ""
    line = result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    return line


# ------------------------------------------------------------------------------------------------------------------
# fit


def test_a_fit_leaves_a_run_and_a_table() -> None:
    result = run("fit", "small.csv")
    assert result.exit_code == 0, result.output
    assert storage.is_run("runs/small-1")
    lines = result.stdout.splitlines()
    order = [
        next(i for i, line in enumerate(lines) if line.strip().startswith(name))
        for name in ("VAE", "ppca", "marg")
    ]
    assert order == sorted(order)  # best baseline first
    for text in ("-1.250 ± 0.100", "+0.750 ± 0.050", "mixture, trees: not applicable, too few rows",
                 "The VAE is worth it", "report: runs/small-1/report.html"):  # fmt: skip
        assert text in result.stdout
    assert "epoch 3/3  train -2.000 nats" in result.stderr
    assert "warning: column 'a' is\\x1b[1m odd" in result.stderr
    assert "odd" not in result.stdout  # said once
    assert "warning: said nowhere else" in result.stdout
    assert "of no interest" not in result.stderr
    assert "\x1b" not in result.output
    run("fit", "small.csv")
    assert storage.is_run("runs/small-2")


def test_json_is_one_object_and_quiet_is_quiet() -> None:
    result = run("fit", "small.csv", "--json", "--quiet", "-o", "r")
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert document["seconds"] >= 0
    assert {key: document[key] for key in ("epochs", "run", *RESULTS)} == {
        "epochs": 3,
        "run": "r",
        **RESULTS,
    }
    assert run("fit", "small.csv", "-q").output == ""


def test_options_bear_the_names_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "fit.toml").write_text('prior = "mixture"\nepochs = 50\n')
    options = (
        "--config fit.toml --latent-dim 3 --epochs auto --seed 5 --column a=count --column x=y=ordinal --ignore id "
        "--label b --hidden 8,4 --ordered --samples 2 --batch-size 10 --learning-rate 0.1 --optimizer sgd "
        "--kl-warmup 0.5 --free-bits 0.1 --validation-fraction 0.2 --test-fraction 0 --no-weight-prior --patience 3 "
        "--binarize static --inf missing --likelihood auto --posterior full --objective sgvb_a --alpha 0.25"
    )
    assert run("fit", "small.csv", *options.split()).exit_code == 0
    assert FakeVAE.told["ordered"] is True
    assert FakeVAE.told["parameters"] == {
        "prior": "mixture", "latent_dim": 3, "epochs": "auto", "random_state": 5,
        "columns": {"a": "count", "x=y": "ordinal"}, "ignore": ["id"], "labels": ["b"], "hidden": (8, 4), "samples": 2,
        "batch_size": 10, "learning_rate": 0.1, "optimizer": "sgd", "kl_warmup": 0.5, "free_bits": 0.1,
        "validation_fraction": 0.2, "test_fraction": 0.0, "weight_prior": False, "patience": 3, "binarize": "static",
        "inf": "missing", "likelihood": "auto", "posterior": "full", "objective": "sgvb_a",
        "alpha": 0.25,
    }  # fmt: skip
    run("fit", "small.csv", "--hidden", "", "--group", "id")
    assert FakeVAE.told["parameters"] == {
        "random_state": 0,
        "test_fraction": 0.2,
        "hidden": (),
        "ignore": ["id"],
    }
    assert list(FakeVAE.told["groups"]) == ["p", "q", "=r()"]


class Screen(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("screen", [Screen, io.StringIO])
def test_progress_on_a_terminal_and_elsewhere(
    monkeypatch: pytest.MonkeyPatch, screen: type[io.StringIO]
) -> None:
    monkeypatch.setattr(sys, "stderr", screen())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("aevb.cli.terminal.INTERVAL", 0.0)
    with EpochProgress(Terminal(json=False, quiet=False, debug=False)) as progress:
        for epoch in (4, 5, 6):
            progress(
                {"epoch": epoch, "epochs": 8, "train_bound": float("nan"), "validation_bound": -1.5}
            )
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "epoch 6/8  validation -1.500 nats" in shown
    assert "nan" not in shown
    if screen is io.StringIO:
        assert "\x1b" not in shown
        first, *others = shown.splitlines()
        assert "left" not in first  # no pace is known yet
        assert all(line.endswith("at most 0:00:00 left") for line in others)


def test_progress_of_one_line_after_another_has_a_pace_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two runs of ten; the second goes ten times as fast, and what is left of it is said at its own
    pace.
    """
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr("aevb.cli.terminal.INTERVAL", 0.0)
    clock = iter([0.0, 100.0, 200.0, 1_000.0, 1_010.0, 1_020.0])
    monkeypatch.setattr("aevb.cli.terminal.time.monotonic", lambda: next(clock))
    with EpochProgress(Terminal(json=False, quiet=False, debug=False), "sample") as progress:
        for _ in range(2):
            for done in (1, 2, 3):
                progress({"epoch": done, "epochs": 10, "train_bound": -1.5})
    lines = sys.stderr.getvalue().splitlines()  # type: ignore[attr-defined]
    left = [line.partition("at most ")[2] for line in lines]
    assert left == ["", "0:13:20 left", "0:11:40 left", "", "0:01:20 left", "0:01:10 left"]
    assert all(line.startswith("sample ") for line in lines)


def test_every_setting_is_an_option() -> None:
    options = inspect.signature(fit).parameters
    assert FitConfiguration.model_fields.keys() - options.keys() == {
        "verbose"
    }  # progress is the terminal's business


def test_the_command_is_kept_for_the_report() -> None:
    run("fit", "my data.csv", "-o", "r", "--epochs", "3")
    told = storage.read_run("r").documents["told"]
    assert told == {"name": "small", "commands": ["aevb fit 'my data.csv' -o r --epochs 3"]}


@pytest.mark.parametrize(
    ("option", "says"),
    [("--latent-dim 0", "latent_dim must be"), ("--latent-dim two", "latent_dim must be"), ("--samples -1", "samples"),
     ("--learning-rate nan", "learning_rate"), ("--optimizer adan", "did you mean 'adam'"), ("--column a", "NAME=KIND"),
     ("--column a=contnuous", "did you mean 'continuous'"), ("--hidden 8,x", "hidden must be"),
     ("--epochs 1e3", "epochs"), ("--epoch 3", "--epochs"), ("--samples x", "--samples"),
     ("--config no.toml", "no.toml"), ("--resume", "-o RUN"),
     ("--group nope", "'nope'"), ("--seed -1", "random_state")],
)  # fmt: skip
def test_wrong_settings_are_found_before_the_data_are_read(option: str, says: str) -> None:
    data = "small.csv" if "group" in option else "missing.csv"
    assert says in fails(2, "fit", data, *option.split())
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
    assert FakeVAE.told["resumed"] is False


def test_an_interrupted_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeVAE, "fails", KeyboardInterrupt())
    result = run("fit", "small.csv", "-o", "r")
    assert result.exit_code == 130
    assert "-o r --resume goes on" in result.stderr
    assert not storage.is_run("r")
    monkeypatch.setattr(FakeVAE, "fails", None)
    assert "interrupted" in fails(5, "fit", "small.csv", "-o", "r")
    assert run("fit", "small.csv", "-o", "r", "--resume").exit_code == 0
    assert FakeVAE.told["resumed"] is True
    assert run("fit", "small.csv", "-o", "empty", "--resume").exit_code == 0


def test_other_data_do_not_go_on_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeVAE, "fails", KeyboardInterrupt())
    run("fit", "small.csv", "-o", "r")
    monkeypatch.setattr(FakeVAE, "fails", None)
    monkeypatch.setattr(Source, "data", TABLE.slice(0, 2))
    FakeVAE.told.clear()
    line = fails(3, "fit", "small.csv", "-o", "r", "--resume")
    for text in (
        "small: the checkpoint in r/checkpoints",
        "(3 rows, 3 columns",
        "now 2 rows",
        "--allow-changed-data",
    ):
        assert text in line
    assert not FakeVAE.told  # found before any work was done
    assert "is for --resume" in fails(2, "fit", "small.csv", "-o", "r", "--allow-changed-data")
    told = run("fit", "small.csv", "-o", "r", "--resume", "--allow-changed-data")
    assert told.exit_code == 0
    assert told.stderr.count("continuing all the same") == 1
    assert FakeVAE.told["resumed"] is True


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("")
    assert "something else" in fails(5, "fit", "small.csv", "-o", "home")
    assert "something else" in fails(5, "fit", "small.csv", "-o", "home/thesis.tex")


def test_one_fit_a_folder() -> None:
    script = (
        "import pathlib, time; from aevb.disk import locked\n"
        "with locked(pathlib.Path('r')):\n print(1, flush=True)\n time.sleep(60)"
    )
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
    ("error", "code", "says"),
    [(NumericalError("NaN at step 3"), 4, "NaN at step 3"), (ResourceError("too big"), 5, "too big"),
     (MemoryError(), 5, "--batch-size"), (RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), 5, "--batch-size"),
     (KeyError("x\ny"), 1, "internal error: KeyError"),
     (DataError("line 1\nline 2\x1b[2J"), 3, "line 1\\nline 2\\x1b[2J")],
)  # fmt: skip
def test_every_error_has_its_code_and_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, says: str
) -> None:
    monkeypatch.setattr(FakeVAE, "fails", error)
    assert says in fails(code, "fit", "small.csv", "-q")
    assert "Traceback" in run("fit", "small.csv", "-q", "--debug").stderr


def test_a_fit_that_fails_leaves_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
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
    """What was given to `aevb.table.write`, by file."""
    files: dict[str, Any] = {}
    monkeypatch.setattr(
        aevb.table, "write", lambda rows, path: files.update({str(path): rows}), raising=False
    )
    return files


def test_scores_and_codes_stand_beside_what_was_ignored(
    fitted: str, written: dict[str, Any]
) -> None:
    result = run("score", fitted, "small.csv", "-o", "s.csv", "--json")
    assert json.loads(result.stdout) == {"rows": 3, "log_likelihood": 1.0, "output": "s.csv"}
    assert written["s.csv"].column_names == [
        "id",
        "log_likelihood",
        "monte_carlo_error",
        "effective_sample_size",
    ]
    assert "z.parquet: 3 rows" in run("embed", fitted, "small.csv", "-o", "z.parquet").stderr
    assert written["z.parquet"].column_names == ["id", "latent0", "latent1"]
    run("embed", fitted, "small.csv", "-o", "z.npy")
    np.testing.assert_array_equal(written["z.npy"], np.arange(6.0).reshape(3, 2))


def test_rows_are_written_as_they_come(fitted: str, written: dict[str, Any]) -> None:
    assert json.loads(run("sample", fitted, "-n", "2", "-o", "x.csv", "--json").stdout)["rows"] == 2
    run("sample", fitted, "-n", "2", "-o", "other.csv", "--seed", "1")
    assert written["other.csv"].equals(TABLE.slice(1, 2))
    run("reconstruct", fitted, "small.csv", "-o", "y.csv")
    run("impute", fitted, "small.csv", "-o", "one.csv")
    run("impute", fitted, "small.csv", "-o", "many.csv", "--draws", "2")
    assert written["x.csv"].num_rows == 2
    assert written["y.csv"].equals(TABLE)
    assert written["one.csv"].equals(TABLE)
    assert written["many.csv"]["draw"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert written["many.csv"].column_names == ["id", "a", "b", "draw"]


def test_evaluate_and_inspect(fitted: str) -> None:
    assert "-1.250 ± 0.100" in run("evaluate", fitted, "small.csv").stdout
    assert (
        json.loads(run("evaluate", fitted, "small.csv", "--samples", "7", "--json").stdout)[
            "samples"
        ]
        == 7
    )
    assert (
        json.loads(run("evaluate", fitted, "small.csv", "--method", "ais", "--json").stdout)[
            "method"
        ]
        == "ais"
    )
    shown = run("inspect", fitted).stdout
    for text in ("a\\x07", "continuous", "25.0%", "latent_dim", "versions.jax", "report: r/report.html",
                 "auto: 60", "data.rows", "0123456789ab"):  # fmt: skip
        assert text in shown
    assert "0123456789abc" not in shown  # the first figures are enough to tell
    settings = dict(
        line.split(maxsplit=1) for line in shown.splitlines() if len(line.split(maxsplit=1)) == 2
    )
    assert settings["seed"].strip() == "0"
    assert (settings["id"].strip(), settings["who"].strip()) == ("ignored", "label, not modelled")
    assert "warning: column 'a' is\\x1b[1m odd" in shown  # here nothing was said before
    document = json.loads(run("inspect", fitted, "--json").stdout)
    assert "drawing" not in document
    assert document["results"] == RESULTS
    assert document["manifest"]["seed"] == 0


def test_inspect_draws_the_architecture(fitted: str) -> None:
    said = run("inspect", fitted, "--draw").stdout
    assert "drawing: r/architecture.svg" in said
    drawing = Path(fitted, "architecture.svg").read_text("utf-8")
    assert drawing.startswith("<?xml")
    assert "with shapes and numbers of parameters</" in drawing
    assert (
        json.loads(run("inspect", fitted, "--draw", "--json").stdout)["drawing"]
        == "r/architecture.svg"
    )
    assert run("inspect", fitted).exit_code == 0  # a drawing beside a run is no stranger to it


@pytest.mark.parametrize(
    "command",
    ["evaluate", "score", "embed", "reconstruct", "impute", "inspect", "report", "sample"],
)
def test_what_is_no_run_is_refused(command: str, tmp_path: Path) -> None:
    rest = {
        "evaluate": ["d.csv"],
        "inspect": [],
        "report": [],
        "sample": ["-n", "1", "-o", "x.csv"],
    }
    arguments = rest.get(command, ["d.csv", "-o", "x.csv"])
    assert "not an aevb model" in fails(6, command, "nowhere", *arguments)


def test_endings_and_numbers_are_checked_first() -> None:
    assert "must end in .csv" in fails(2, "score", "nowhere", "d.csv", "-o", "x.xlsx")
    assert "--number" in fails(2, "sample", "nowhere", "-n", "0", "-o", "x.csv")
    assert "--output" in fails(2, "score", "nowhere", "d.csv")


# -----------------------------------------------------------------------------------------------------------
# processes


def aevb_process(*arguments: str, code: str = "", **options: Any) -> "subprocess.Popen[str]":
    program = f"{code}\nfrom aevb.cli import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import atexit, sys\n"
        "heavy = set('jax numpy pydantic sklearn pyarrow pandas matplotlib rich equinox narwhals'.split())\n"
        "atexit.register(lambda: print('heavy:', sorted(heavy & set(sys.modules))))"
    )
    out, _ = aevb_process("--help", code=code).communicate()
    assert "impute" in out
    assert out.endswith("heavy: []\n")


SLOW = """
import sys, time, types
sys.path.insert(0, {here!r})
import aevb, aevb.table
import test_cli as stand
class Slow(stand.FakeVAE):
    def work(self):
        print('fitting', flush=True)
        begin = time.monotonic()
        while time.monotonic() - begin < 0.5:
            pass
aevb.VAE, aevb.table.read = Slow, stand.fake_read
"""


def slow_fit(tmp_path: Path) -> "subprocess.Popen[str]":
    process = aevb_process(
        "fit",
        "small.csv",
        "-o",
        "r",
        code=SLOW.format(here=str(Path(__file__).parent)),
        cwd=tmp_path,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


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
    """SIGTERM ends after the epoch that runs and its checkpoint; a second one, or Ctrl-C, at once."""
    process = slow_fit(tmp_path)
    for number in sent:
        process.send_signal(number)
        time.sleep(0.1)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert "--resume goes on" in err
    assert "Traceback" not in err
    assert checkpoints.exists(tmp_path / "r" / "checkpoints") is kept
    assert not storage.is_run(tmp_path / "r")


def test_a_reader_who_leaves_is_no_error(fitted: str, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    program = [sys.executable, "-c", "from aevb.cli import main; main()", "inspect", fitted]
    done = subprocess.run(program, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


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
    program = [sys.executable, "-c", "from aevb.cli import main; main()", "inspect", fitted]
    done = subprocess.run(
        program, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "worth it" in done.stdout


# -----------------------------------------------------------------------------------------------------
# the real thing


def rows_of(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: str, rows: list[dict[str, Any]], columns: list[str]) -> str:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_real_infinite_cells_are_missing_where_asked() -> None:
    chance = np.random.default_rng(0)
    rows = [
        {"a": "inf" if i == 3 else f"{chance.normal():.3f}", "b": f"{chance.normal():.3f}"}
        for i in range(30)
    ]
    write_rows("d.csv", rows, ["a", "b"])
    fast = ["-o", "r", "--latent-dim", "1", "--hidden", "", "--epochs", "0"]
    assert "column 'a', row 3" in fails(3, "fit", "d.csv", *fast)
    assert run("fit", "d.csv", *fast, "--inf", "missing").exit_code == 0
    assert run("impute", "r", "d.csv", "-o", "filled.csv").exit_code == 0
    filled = rows_of("filled.csv")
    assert all(np.isfinite(float(row["a"])) for row in filled)
    assert filled[4] == {name: str(float(cell)) for name, cell in rows[4].items()}


def test_real_fit_and_all_that_follows() -> None:
    chance = np.random.default_rng(0)
    size = chance.normal(size=60)
    rows = [
        {"id": f"p{i}", "a": f"{s:.3f}", "b": "" if i % 7 == 0 else f"{2 * s + chance.normal():.3f}",
         "c": chance.choice(["x", "y", "z"]), "who": "uv"[i % 2]}
        for i, s in enumerate(size)
    ]  # fmt: skip
    write_rows("d.csv", rows, ["id", "a", "b", "c", "who"])
    write_rows("reordered.csv", rows, ["c", "who", "b", "id", "a"])
    options = [
        "--latent-dim",
        "1",
        "--hidden",
        "",
        "--epochs",
        "2",
        "--label",
        "who",
        "--ignore",
        "id",
    ]
    fitted = run("fit", "d.csv", "-o", "r", *options, "--test-fraction", "0.2", "--json")
    assert fitted.exit_code == 0, fitted.stderr
    results = json.loads(fitted.stdout)
    assert results["held_out"]["part"] == "test"
    assert results["baselines"]
    manifest = json.loads(Path("r/manifest.json").read_text())
    assert manifest["data"] == aevb.table.fingerprint(aevb.table.read("d.csv").data)
    assert (manifest["data"]["rows"], manifest["data"]["columns"], manifest["seed"]) == (60, 5, 0)
    assert (
        manifest["configuration"]
        == json.loads(Path("r/configuration.json").read_text())["parameters"]
    )
    assert manifest["resolved"] == {
        "latent_dim": 1,
        "epochs": 2,
        "weight_decay": 0.5,
        "prior": "standard_normal",
    }
    aevb.load("r").save("again")
    again = json.loads(Path("again/manifest.json").read_text())
    assert all(
        again[name] == manifest[name] for name in ("data", "seed", "configuration", "resolved")
    )
    assert (results["epochs"], results["run"]) == (2, "r")
    Path("r/report.html").unlink()
    for arguments in (
        ["inspect", "r"],
        ["report", "r"],
        ["sample", "r", "-n", "4", "-o", "sample.csv"],
        ["data"],
    ):
        assert run(*arguments).exit_code == 0, arguments
    assert Path("r/report.html").stat().st_size > 10_000
    assert [list(row) for row in rows_of("sample.csv")] == [["a", "b", "c"]] * 4

    for command in ("score", "embed", "reconstruct", "impute"):
        done = run(command, "r", "d.csv", "-o", f"{command}.csv")
        assert done.exit_code == 0, done.stderr
        assert [(row["id"], row["who"]) for row in rows_of(f"{command}.csv")] == [
            (row["id"], row["who"]) for row in rows
        ]
    run("score", "r", "reordered.csv", "-o", "reordered-score.csv")
    assert rows_of("reordered-score.csv") == rows_of("score.csv")  # columns are matched by name
    assert list(rows_of("score.csv")[0]) == [
        "id", "who", "log_likelihood", "monte_carlo_error", "effective_sample_size"
    ]  # fmt: skip
    filled = rows_of("impute.csv")
    assert all(row["b"] for row in filled)
    assert all(float(new["a"]) == float(old["a"]) for new, old in zip(filled, rows, strict=True))
    assert "'b'" in fails(
        3, "score", "r", write_rows("short.csv", rows, ["id", "a", "c", "who"]), "-o", "x.csv"
    )
