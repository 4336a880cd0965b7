"""The lines of a figure, run one by one and kept as they come: stopped at any time, the same call
goes on.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aevb.disk import locked, parse_json, to_json, write_together
from aevb.disk.checkpoints import Checkpoint
from aevb.errors import ModelFileError

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
    """The points of these lines, in `folder`/`name`.json beside those of others; what is there is
    not run again.

    Parameters
    ----------
    folder
        Of the results, and of the last state of every line, from which it goes on to more samples.
    name
        Of the figure.
    lines
        What to run.
    samples
        Training samples of each: a line that has seen as many is done.
    run
        (line, checkpoint) -> points, each of them with ``samples``.
    said
        Told which line is next.

    Returns
    -------
    list of dict
        Every point has what its line has besides its own.

    Raises
    ------
    OutputError
        Another process is at work in the folder, or it cannot be written.
    ModelFileError
        The file that is there has no points.
    """
    path, lines = folder / f"{name}.json", list(lines)
    with locked(folder):
        points = _read(path)
        for number, line in enumerate(lines, start=1):
            of_line = [point for point in points if line.items() <= point.items()]
            if max((point["samples"] for point in of_line), default=0) >= samples:
                continue
            said(
                f"line {number} of {len(lines)}: {', '.join(f'{key} {value}' for key, value in line.items())}"
            )
            checkpoint = Checkpoint(
                folder / "checkpoints" / "-".join(map(str, line.values())), line
            )
            new = [{**line, **point} for point in run(line, checkpoint)]
            points = [point for point in points if point not in of_line] + new
            write_together(folder, {path.name: to_json(points).encode()})
    return [point for point in points if any(line.items() <= point.items() for line in lines)]


def _read(path: Path) -> list[Point]:
    if not path.exists():
        return []
    points = parse_json(path.read_bytes(), str(path))
    if not isinstance(points, list) or not all(
        isinstance(p, dict) and isinstance(p.get("samples"), int) for p in points
    ):
        raise ModelFileError(
            f"{path} does not hold the points of a figure: move it away, or name another folder"
        )
    return points
