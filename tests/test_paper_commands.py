"""The commands of the experiments, on a few small rows: tables, files, JSON, and resuming."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

import aevb
from aevb.cli import app
from aevb_paper.experiments import figure2, figure3, full_vb
from aevb_paper.experiments.data import PaperData

pytestmark = pytest.mark.long


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["paper", *arguments])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rows of the right width, few and with few hidden units, in an empty folder."""

    def data(name: str) -> PaperData:
        pixels = {"mnist": 28 * 28, "frey-face": 28 * 20}[name]
        rows = (np.random.default_rng(0).random((200, pixels)) < 0.3).astype(np.float32)
        return PaperData(rows[:150], rows[150:], None, "bernoulli", 4)

    monkeypatch.setattr(figure2, "paper_data", data)
    monkeypatch.setattr(figure2, "choose_rate", lambda *arguments, **options: 0.02)
    monkeypatch.chdir(tmp_path)


def test_figure2_prints_a_table_and_writes_points_and_drawing() -> None:
    result = run("figure2", "--panel", "mnist-3", "--samples", "50000", "--seeds", "2")
    assert result.exit_code == 0, result.output
    assert "line 4 of 4: dataset mnist, latents 3, algorithm wake-sleep, seed 1" in result.stderr
    header, _, *rows = (line.split() for line in result.stdout.splitlines())
    assert header[:3] == ["dataset", "latents", "algorithm"]
    assert [row[:4] for row in rows[:-2]] == [
        ["mnist", "3", name, "2"] for name in ("aevb", "wake-sleep")
    ]
    assert result.stdout.splitlines()[-2:] == ["figure2/figure2.json", "figure2/figure2.svg"]
    points = json.loads(Path("figure2/figure2.json").read_text())
    assert len(points) == 4
    assert Path("figure2/figure2.svg").read_text().startswith("<?xml")
    again = run("figure2", "--panel", "mnist-3", "--samples", "50000", "--seeds", "2", "--json")
    assert "line" not in again.stderr
    document = json.loads(again.stdout)
    assert document["points"] == points
    assert document["table"][0]["printed"] is None
    assert document["files"] == ["figure2/figure2.json", "figure2/figure2.svg"]


@pytest.mark.parametrize("name", ["figure3", "full-vb"])
def test_long_experiments_get_their_options_and_their_points_are_shown(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The experiments themselves are tested with their modules."""
    module = {"figure3": figure3, "full-vb": full_vb}[name]
    calls: list[dict[str, Any]] = []

    def experiment(folder: Path, samples: int, **how: Any) -> list[dict[str, Any]]:
        calls.append({"samples": samples, **how})
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text("[]")
        nats = {"train": -120.0, "validation": -140.0, "test": -142.0, "test_at_mean": -143.0}
        errors = {"test_error": 1.0, "test_at_mean_error": 1.0}
        points = []
        for algorithm in module.ALGORITHMS:
            line = {"n_train": 1_000, "algorithm": algorithm, "seed": 0, "rate": 0.02}
            points.append({**line, "samples": 10**6, **nats, **errors})
            points.append({**line, "samples": 10**7, **nats, **errors})
        return points

    monkeypatch.setattr(module, name.replace("-", "_"), experiment)
    result = run(name, "--quick", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["files"] == [f"{name}/{name}.json", f"{name}/{name}.svg"]
    assert Path(f"{name}/{name}.svg").read_text().startswith("<?xml")
    # Ends of lines alone, and before MAP's where it is stopped.
    expected = {"figure3": [10**7] * 3, "full-vb": [10**6, 10**7, 10**7]}[name]
    assert [point["samples"] for point in document["table"]] == expected
    table = run(name, "--samples", "200000", "--seeds", "2").stdout
    assert all(algorithm in table for algorithm in module.ALGORITHMS)
    quick, long = calls
    assert quick["samples"] == 1_000_000
    assert (long["samples"], long["seeds"], long["rows"]) == (200_000, range(2), 1_000)
    assert quick["rows"] < long["rows"]
    assert len(quick["sizes"]) < len(long["sizes"])


@pytest.mark.parametrize(
    "panel", ["mnist-\u00b2", "mnist", "mnist-0", "mnist-x", "cifar-3", "-3", "mnist-99999"]
)
def test_a_panel_that_is_none_is_refused_by_name(panel: str) -> None:
    result = run("figure2", f"--panel={panel}")
    assert result.exit_code != 0
    assert "a panel is a data set and its latents" in str(result.exception) + result.output


@pytest.mark.parametrize(("name", "parts"), [("figure4", 2), ("figure5", 4)])
def test_pictures_are_drawn_from_models_that_are_kept(name: str, parts: int) -> None:
    result = run(name, "--samples", "50000", "--json", "-o", "out")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    assert len(document["points"]) == parts
    assert document["files"] == [f"out/{name}.json", f"out/{name}.svg"]
    assert len(list(Path("out/models").iterdir())) == parts


def test_aevb_does_not_import_the_paper() -> None:
    sources = Path(aevb.__file__).parent.rglob("*.py")
    assert not [path for path in sources if "aevb_paper" in path.read_text("utf-8")]


def test_the_commands_are_listed_without_heavy_imports() -> None:
    code = (
        "import sys, aevb_paper.commands; print(*{'jax', 'numpy', 'matplotlib'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_entry_point_is_found_by_name_and_listed_last() -> None:
    group = typer.main.get_command(app)
    assert "paper" not in group.commands
    assert group.list_commands(None)[-1] == "paper"
    assert "figure2" in group.get_command(None, "paper").commands
