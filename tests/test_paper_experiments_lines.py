"""Lines run once, their points are written one by one, and more samples continue them."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aevb.disk.checkpoints import Checkpoint
from aevb.errors import ModelFileError, OutputError
from aevb_paper.experiments.lines import run_lines

LINES = [{"latents": 2, "seed": 0}, {"latents": 5, "seed": 0}]


class Runner:
    """Runs a line to these samples, and remembers which, and the state it found."""

    def __init__(
        self, samples: int, fails_at: int | None = None, stops_at: int | None = None
    ) -> None:
        self.samples, self.fails_at, self.stops_at = samples, fails_at, stops_at
        self.ran: list[int] = []
        self.found: list[dict[str, Any] | None] = []

    def __call__(self, line: dict[str, Any], checkpoint: Checkpoint) -> list[dict[str, Any]]:
        if line["latents"] == self.fails_at:
            raise KeyboardInterrupt
        self.ran.append(line["latents"])
        resumed = checkpoint.load(np.zeros(1, np.float32))
        self.found.append(resumed and resumed[1])
        checkpoint.save(np.zeros(1, np.float32), {"samples": self.samples})
        checkpoint.flush()
        if line["latents"] == self.stops_at:
            raise KeyboardInterrupt
        return [
            {"samples": self.samples // 2, "test": -2.0},
            {"samples": self.samples, "test": -1.0},
        ]


def test_a_line_that_is_there_is_not_run_again(tmp_path: Path) -> None:
    first, notes = Runner(100, fails_at=5), []
    with pytest.raises(KeyboardInterrupt):
        run_lines(tmp_path, "figure", LINES, 100, first, notes.append)
    assert first.ran == [2]
    assert notes == ["line 1 of 2: latents 2, seed 0", "line 2 of 2: latents 5, seed 0"]
    second = Runner(100)
    points = run_lines(tmp_path, "figure", LINES, 100, second)
    assert second.ran == [5]
    assert points == json.loads((tmp_path / "figure.json").read_text())
    assert [(point["latents"], point["samples"]) for point in points] == [
        (2, 50),
        (2, 100),
        (5, 50),
        (5, 100),
    ]
    third = Runner(100)
    assert run_lines(tmp_path, "figure", LINES, 100, third) == points
    assert third.ran == []


def test_for_more_samples_a_line_goes_on_and_takes_the_place_of_the_old(tmp_path: Path) -> None:
    run_lines(tmp_path, "figure", LINES, 100, Runner(100))
    longer = Runner(1_000)
    points = run_lines(tmp_path, "figure", LINES[:1], 1_000, longer)
    assert longer.ran == [2]
    assert longer.found == [{"samples": 100}]  # the state that its line left, and no other's
    assert [(point["latents"], point["samples"]) for point in points] == [(2, 500), (2, 1000)]
    every = json.loads((tmp_path / "figure.json").read_text())
    assert sorted((p["latents"], p["samples"]) for p in every) == [
        (2, 500),
        (2, 1000),
        (5, 50),
        (5, 100),
    ]


def test_a_line_stopped_is_in_no_other_s_way(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_lines(tmp_path, "figure", LINES, 100, Runner(100, stops_at=2))
    other = Runner(100)
    run_lines(tmp_path, "figure", LINES[1:], 100, other)
    assert other.found == [None]
    same = Runner(100)
    run_lines(tmp_path, "figure", LINES[:1], 100, same)
    assert same.found == [{"samples": 100}]


def test_another_process_in_the_folder_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    def meanwhile(line: dict[str, Any], checkpoint: Checkpoint) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(1) as pool, pytest.raises(OutputError):
            pool.submit(run_lines, tmp_path, "figure", LINES, 100, Runner(100)).result()
        return [{"samples": 100}]

    assert len(run_lines(tmp_path, "figure", LINES, 100, meanwhile)) == 2


@pytest.mark.parametrize("content", ["[{", "{}", "[1]", '[{"test": 1.0}]'])
def test_points_that_cannot_be_read_are_refused_and_left_alone(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "figure.json").write_text(content)
    with pytest.raises(ModelFileError, match="figure"):
        run_lines(tmp_path, "figure", LINES, 100, Runner(100))
    assert (tmp_path / "figure.json").read_text() == content
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        run_lines(tmp_path / "file", "figure", LINES, 100, Runner(100))
