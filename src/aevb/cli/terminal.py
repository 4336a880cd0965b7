"""What a command says: its result on standard output, everything else on standard error.

Names and values come from files nobody vouches for: control characters are shown as escapes, never
sent to a terminal.
"""

import math
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from aevb.errors import AevbError, AevbWarning

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["EpochProgress", "Terminal", "plain", "unbroken", "with_flags"]

#: Without a terminal a line of progress is written at most this often, in seconds.
INTERVAL = 5.0


def plain(text: object) -> str:
    """Text on one line, control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def with_flags(error: AevbError | AevbWarning) -> str:
    """The message of an error or warning, its hint as flags of the command line."""
    hints = [_flags(setting, value) for setting, value in error.hint.items()]
    return f"{error.message} ({' or '.join(hints)})" if hints else error.message


def _flags(setting: str, value: object) -> str:
    """A setting and its value as they are typed: ``columns={'a': 'count'}`` is --column a=count."""
    names = {"columns": "column", "labels": "label", "changed_data": "allow-changed-data"}
    flag = f"--{names.get(setting, setting)}"
    if value is True:
        return flag
    values = [value]
    if isinstance(value, Mapping):
        values = [f"{name}={choice}" for name, choice in value.items()]
    elif isinstance(value, list):
        values = value
    return " ".join(f"{flag} {shlex.quote(str(one))}" for one in values)


@contextmanager
def unbroken(stream: TextIO) -> Iterator[None]:
    """Write within and flush at the end; a reader who has left (``| head``) is no error, and hears
    no more.
    """
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Terminal:
    """Where the words of one command go.

    Parameters
    ----------
    json
        The result is one JSON object instead of text.
    quiet
        No progress, notes or warnings.
    debug
        Warnings of other packages are shown too.
    """

    def __init__(self, json: bool, quiet: bool, debug: bool) -> None:
        self.json, self.quiet, self.debug = json, quiet, debug
        self.said: set[str] = set()

    def note(self, text: str) -> None:
        """A line on standard error."""
        if not self.quiet:
            with unbroken(sys.stderr):
                print(plain(text), file=sys.stderr)

    def result(self, document: Mapping[str, Any], show: "Callable[[Console], None]") -> None:
        """What the command is for: `document` as JSON, or what `show` prints for people."""
        with unbroken(sys.stdout):
            if self.json:
                from aevb.disk import to_json

                sys.stdout.write(to_json(document))
            else:
                show(console(sys.stdout))

    @contextmanager
    def warned(self) -> Iterator[None]:
        """Within, warnings of this package are noted once each, and kept in `said`; others' are for
        ``--debug``.
        """

        def show(message: Warning | str, category: type[Warning], *_: Any) -> None:
            if (issubclass(category, AevbWarning) or self.debug) and str(message) not in self.said:
                self.said.add(str(message))
                shown = with_flags(message) if isinstance(message, AevbWarning) else message
                self.note(f"warning: {shown}")

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = show  # type: ignore[assignment]
            yield


def console(stream: TextIO) -> "Console":
    """Rich's console with nothing read into the text, and a broken pipe left to `unbroken`."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    wide = None if stream.isatty() else 160
    return Plain(file=stream, markup=False, highlight=False, emoji=False, width=wide)


def table(
    target: "Console", header: Sequence[str], rows: Sequence[Sequence[object]], right: int = 0
) -> None:
    """A table whose last `right` columns, numbers, are set flush right."""
    from rich import box
    from rich.table import Table

    sheet = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for place, name in enumerate(header):
        sheet.add_column(
            name, justify="right" if place >= len(header) - right else "left", overflow="fold"
        )
    for row in rows:
        sheet.add_row(*(plain(cell) for cell in row))
    target.print(sheet)


class EpochProgress:
    """A bar on a terminal, a line now and then elsewhere; called with the history of each epoch."""

    def __init__(self, terminal: Terminal, unit: str = "epoch") -> None:
        self.quiet, self.unit = terminal.quiet, unit
        self.bar: Progress | None = None
        self.start: tuple[float, int] | None = None
        self.said, self.unsaid = 0.0, ""

    def __enter__(self) -> "EpochProgress":
        if (
            not self.quiet
            and sys.stderr.isatty()
            and not (out := console(sys.stderr)).is_dumb_terminal
        ):
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=out
            )
            self.bar.add_task("starting", total=None)
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
        elif self.unsaid:
            self._say(self.unsaid)

    def __call__(self, epoch: Mapping[str, Any]) -> None:
        """Say how far the fit is; `epoch` is a line of the history and ``epochs``, how many there
        may be.
        """
        if self.quiet:
            return
        now, line = time.monotonic(), f"{self.unit} {_epoch_line(epoch)}"
        if (
            self.start is None or epoch["epoch"] <= self.start[1]
        ):  # the first, or the first of another run
            self.start = now, epoch["epoch"]
            if self.bar is not None:
                self.bar.reset(self.bar.task_ids[0])
        if self.bar is not None:
            total = epoch.get("epochs")
            self.bar.update(
                self.bar.task_ids[0], description=line, total=total, completed=epoch["epoch"]
            )
        elif now - self.said >= INTERVAL:
            self.said, self.unsaid = now, ""
            self._say(line + _remaining(self.start, now, epoch))
        else:
            self.unsaid = line

    def _say(self, line: str) -> None:
        with unbroken(sys.stderr):
            print(line, file=sys.stderr)


def _remaining(start: tuple[float, int], now: float, epoch: Mapping[str, Any]) -> str:
    """At the pace since the first epoch seen, which need not be the first of the fit."""
    begin, first = start
    total, done = epoch.get("epochs"), epoch["epoch"] - first
    if total is None or done <= 0:
        return ""
    return f"  at most {_duration((now - begin) / done * (total - epoch['epoch']))} left"


def _epoch_line(epoch: Mapping[str, Any]) -> str:
    total = f"/{epoch['epochs']}" if epoch.get("epochs") else ""
    names = {"train_bound": "train", "validation_bound": "validation"}
    known = [
        key for key in names if isinstance(epoch.get(key), float) and math.isfinite(epoch[key])
    ]
    bounds = [f"  {names[key]} {epoch[key]:.3f}" for key in known]
    return f"{epoch['epoch']}{total}{''.join(bounds)}{' nats' if bounds else ''}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
