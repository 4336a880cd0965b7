"""The lines of a figure, run one by one and written as they come, so that a run can be resumed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aevb.disk import locked, parse_json, to_json, write_together
from aevb.disk.checkpoints import Checkpoint
from aevb.errors import ModelFileError

__all__ = ["Line", "Note", "Point", "column", "group", "ignore", "run_lines"]

#: The settings of a line, and the numbers of one of its points; names and values, for JSON.
Line = dict[str, Any]
Point = dict[str, Any]
Note = Callable[[str], None]


def ignore(text: str) -> None:
    """A note that nobody reads."""


def run_lines(
    folder: Path,
    name: str,
    lines: Iterable[Line],
    samples: int,
    run: Callable[[Line, Checkpoint], list[Point]],
    note: Note = ignore,
) -> list[Point]:
    """Run the lines that `folder`/`name`.json does not have yet, and return the points of all.

    The file keeps the points of other lines as well. The folder also has the last state of every
    line, so that one that has seen fewer samples than asked for continues from there.

    `run` turns a line and its checkpoint into points, each of them with `samples`; `note` gets the
    settings of a line before it is run. Every point has the settings of its line and its own
    numbers.

    Raises
    ------
    OutputError
        If another process is at work in the folder, or it cannot be written.
    ModelFileError
        If the file that is there has no points.
    """
    path, lines = folder / f"{name}.json", list(lines)
    with locked(folder):
        points = _read(path)
        for number, line in enumerate(lines, start=1):
            old = [point for point in points if line.items() <= point.items()]
            if max((point["samples"] for point in old), default=0) >= samples:
                continue
            settings = ", ".join(f"{key} {value}" for key, value in line.items())
            note(f"line {number} of {len(lines)}: {settings}")
            place = folder / "checkpoints" / "-".join(map(str, line.values()))
            new = run(line, Checkpoint(place, line))
            points = [point for point in points if point not in old]
            points += [{**line, **point} for point in new]
            write_together(folder, {path.name: to_json(points).encode()})
    return [point for point in points if any(line.items() <= point.items() for line in lines)]


def _read(path: Path) -> list[Point]:
    if not path.exists():
        return []
    points = parse_json(path.read_text("utf-8"), str(path))
    if isinstance(points, list) and all(map(_is_point, points)):
        return points
    raise ModelFileError(
        f"{path} does not hold the points of a figure: move it away, or name another folder"
    )


def _is_point(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("samples"), int)


def column(points: Iterable[Point], name: str) -> list[Any]:
    """The values of one name."""
    return [point[name] for point in points]


def group(points: Iterable[Point], *names: str) -> list[list[Point]]:
    """The points that share the values of these names, in the order of their first points.

    >>> group([{"seed": 0, "x": 1}, {"seed": 1, "x": 2}, {"seed": 0, "x": 3}], "seed")
    [[{'seed': 0, 'x': 1}, {'seed': 0, 'x': 3}], [{'seed': 1, 'x': 2}]]
    """
    groups: dict[tuple[object, ...], list[Point]] = {}
    for point in points:
        groups.setdefault(tuple(point[name] for name in names), []).append(point)
    return list(groups.values())
