"""Run as ``killed_writes.py run|checkpoint FOLDER``: kill a writer after each of its system calls.

Prints, for each call, what is on the disk afterwards.
"""

import builtins
import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np

from aevb.disk import checkpoints, read_run, write_run
from aevb.errors import ModelFileError


def dies_after(calls: int) -> None:
    """From now on, this process dies right after so many system calls that write."""
    left = count(calls - 1, -1)

    def dying(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            result = function(*args, **kwargs)
            if next(left) == 0:
                os._exit(9)
            return result

        return call

    for name in ("open", "fsync", "replace", "unlink", "close", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))
    builtins.open = dying(open)  # type: ignore[assignment]


def write(folder: Path, number: int) -> None:
    if sys.argv[1] == "checkpoint":
        checkpoints.save(folder, {"w": np.full(5, number)}, {"epoch": number})
        return
    documents, texts = {"schema": {"seed": number}}, {"report.html": "x" * number}
    details = {"seed": number}
    write_run(folder, {"weights": {}}, documents, texts, overwrite=True, details=details)


def written(folder: Path) -> str:
    if sys.argv[1] == "checkpoint":
        loaded = checkpoints.load(folder)
        assert loaded is not None
        assert loaded[0]["w"][0] == loaded[1]["epoch"]
        return str(loaded[1]["epoch"])
    try:
        run = read_run(folder)
    except ModelFileError as error:
        assert "not finished" in str(error), error  # noqa: PT017
        return "none"
    seed = run.manifest["seed"]
    assert seed == run.documents["schema"]["seed"] == len(run.texts["report.html"])
    return str(seed)


if __name__ == "__main__":
    for calls in count(1):
        folder = Path(sys.argv[2]) / str(calls)
        write(folder, 1)
        write(folder, 2)
        child = os.fork()
        if child == 0:
            dies_after(calls)
            write(folder, 3)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        print(written(folder))
        write(folder, 4)
        assert written(folder) == "4"
        assert not [entry for entry in folder.iterdir() if entry.name.startswith(".")]
        if status == 0:
            break
