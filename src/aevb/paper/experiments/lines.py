"""The lines of a figure, run one by one and kept as they come: stopped at any time, the same call goes on."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aevb.checkpoints import Checkpoint, clear
from aevb.storage import parse_json, to_json, write_together

__all__ = ["Line", "Point", "kept"]

#: What a line is of, and a point of one: names and values.
Line = dict[str, Any]
Point = dict[str, Any]


def kept(
    folder: Path,
    name: str,
    lines: Iterable[Line],
    samples: int,
    run: Callable[[Line, Checkpoint], list[Point]],
    said: Callable[[str], None] = lambda line: None,
) -> list[Point]:
    """The points of all lines, in `folder`/`name`.json; those that are there are not run again.

    Parameters
    ----------
    folder
        Of the results, and of the checkpoint of the line at work.
    name
        Of the figure.
    lines
        What to run.
    samples
        Training samples of each: a line whose last point has seen nearly as many is done.
    run
        (line, checkpoint) -> points, each of them with ``samples``.
    said
        Told which line is next.

    Returns
    -------
    list of dict
        Every point has what its line has besides its own; lines of earlier calls are among them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, lines = folder / f"{name}.json", list(lines)
    points: list[Point] = parse_json(path.read_text("utf-8"), str(path)) if path.exists() else []
    for number, line in enumerate(lines, start=1):
        of_line = [point for point in points if line.items() <= point.items()]
        if max((point["samples"] for point in of_line), default=0) > 0.9 * samples:
            continue
        said(f"line {number} of {len(lines)}: {', '.join(f'{key} {value}' for key, value in line.items())}")
        checkpoint = Checkpoint(folder / "checkpoints", {**line, "samples": samples})
        new = [{**line, **point} for point in run(line, checkpoint)]
        points = [point for point in points if point not in of_line] + new
        write_together(folder, {path.name: to_json(points).encode()})
        clear(folder / "checkpoints")
    return points
