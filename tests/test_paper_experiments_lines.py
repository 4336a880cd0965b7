"""Lines are run once, kept one by one, and run again only for more samples."""

import json
from pathlib import Path
from typing import Any

import pytest

from aevb.errors import ModelFileError
from aevb.paper.experiments.lines import kept

LINES = [{"latents": 2, "seed": 0}, {"latents": 5, "seed": 0}]


class Runner:
    """Runs a line to the samples it is told, and remembers which."""

    def __init__(self, samples: int, fails_at: int | None = None) -> None:
        self.samples, self.fails_at = samples, fails_at
        self.ran: list[int] = []

    def __call__(self, line: dict[str, Any], checkpoint: Any) -> list[dict[str, Any]]:
        if line["latents"] == self.fails_at:
            raise KeyboardInterrupt
        self.ran.append(line["latents"])
        return [{"samples": self.samples // 2, "test": -2.0}, {"samples": self.samples, "test": -1.0}]


def test_a_line_that_is_there_is_not_run_again(tmp_path: Path) -> None:
    first, said = Runner(100, fails_at=5), []
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path, "figure", LINES, 100, first, said.append)
    assert first.ran == [2]
    assert said == ["line 1 of 2: latents 2, seed 0", "line 2 of 2: latents 5, seed 0"]
    second = Runner(100)
    points = kept(tmp_path, "figure", LINES, 100, second)
    assert second.ran == [5]
    assert points == json.loads((tmp_path / "figure.json").read_text())
    assert [(point["latents"], point["samples"]) for point in points] == [(2, 50), (2, 100), (5, 50), (5, 100)]
    third = Runner(100)
    assert kept(tmp_path, "figure", LINES, 100, third) == points
    assert third.ran == []


def test_for_more_samples_a_line_is_run_anew_and_takes_the_place_of_the_old(tmp_path: Path) -> None:
    kept(tmp_path, "figure", LINES, 100, Runner(100))
    longer = Runner(1_000)
    points = kept(tmp_path, "figure", LINES[:1], 1_000, longer)
    assert longer.ran == [2]
    assert sorted((point["latents"], point["samples"]) for point in points) == [(2, 500), (2, 1000), (5, 50), (5, 100)]


def test_points_that_cannot_be_read_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "figure.json").write_text("[{")
    with pytest.raises(ModelFileError, match="figure"):
        kept(tmp_path, "figure", LINES, 100, Runner(100))
    assert (tmp_path / "figure.json").read_text() == "[{"
