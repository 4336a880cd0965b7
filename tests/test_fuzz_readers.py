"""Mutated files are read or refused, in time and memory: some of `benchmarks/fuzz_readers.py`."""

import runpy
import sys
from pathlib import Path

import pytest

FUZZ = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "fuzz_readers.py"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to limit the memory")
@pytest.mark.parametrize("kind", FUZZ["KINDS"])
@pytest.mark.parametrize("inputs", [250, pytest.param(2_500, marks=pytest.mark.long)])
def test_mutated_files_are_read_or_refused(kind: str, inputs: int) -> None:
    counts = FUZZ["fuzz"](kind, inputs)
    assert counts.others == {}
    assert counts.read + counts.refused + counts.out_of_memory == inputs
    assert min(counts.read, counts.refused) > 0.01 * inputs
    assert counts.memory < FUZZ["MEMORY"]
    assert counts.slowest < FUZZ["SECONDS"]
