"""What a command prints: its result on standard output, everything else on standard error.

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
from typing import TYPE_CHECKING, TextIO

from aevb.errors import AevbError, AevbWarning

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from aevb.report.contents import Document

__all__ = ["EpochProgress", "Terminal", "printable", "table", "unbroken", "with_flags"]


def printable(text: object) -> str:
    """Text on one line, control characters escaped."""
    shown = ""
    for character in str(text):
        if character.isprintable():
            shown += character
        else:
            shown += character.encode("unicode_escape").decode()
    return shown


def with_flags(error: AevbError | AevbWarning, *, fitting: bool = True) -> str:
    """The message of an error or warning, its hint as flags of ``aevb fit``.

    Another command than those that take these flags says so.
    """
    line = error.message
    if error.hint:
        flags = " or ".join(_flags(setting, value) for setting, value in error.hint.items())
        line = f"{line} ({flags})" if fitting else f"{line} (fit with {flags})"
    return error.coded(line) if isinstance(error, AevbWarning) else line


def _flags(setting: str, value: object) -> str:
    """A setting and its value as they are typed: ``columns={'a': 'count'}`` is --column a=count."""
    from aevb.settings import RunSettings, about

    flags = {name: described.option for name, _, described in about(RunSettings)}
    flags["changed_data"] = "allow-changed-data"
    flag = f"--{flags.get(setting) or setting.replace('_', '-')}"
    if value is True:
        return flag
    if value is False:
        return f"--no-{flag[2:]}"
    values = [value]
    if isinstance(value, Mapping):
        values = [f"{name}={choice}" for name, choice in value.items()]
    elif isinstance(value, list):
        values = value
    return " ".join(f"{flag} {shlex.quote(str(one))}" for one in values)


@contextmanager
def unbroken(stream: TextIO) -> Iterator[None]:
    """Write within and flush at the end; when the reader has left (``| head``), write no more."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Terminal:
    """Where the output of one command goes.

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
        self.warnings: set[str] = set()

    def note(self, text: str) -> None:
        """Print a line on standard error."""
        if not self.quiet:
            with unbroken(sys.stderr):
                print(printable(text), file=sys.stderr)

    def result(self, document: "Document", show: "Callable[[Console], None]") -> None:
        """Print what the command is for: `document` as JSON, or what `show` prints for people."""
        with unbroken(sys.stdout):
            if self.json:
                from aevb.disk import to_json

                sys.stdout.write(to_json(document))
            else:
                show(console(sys.stdout))

    @contextmanager
    def warned(self) -> Iterator[None]:
        """Within, note each warning of this package once; those of others only with ``--debug``."""

        def show(message: Warning | str, category: type[Warning], *_: object) -> None:
            if str(message) in self.warnings:
                return
            if isinstance(message, AevbWarning):
                self.note(f"warning: {with_flags(message)}")
            elif self.debug:
                self.note(f"warning: {message}")
            self.warnings.add(str(message))

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = show  # type: ignore[assignment]
            yield


def console(stream: TextIO) -> "Console":
    """Rich's console that prints text as it is and leaves a broken pipe to `unbroken`."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    width = None  # that of the terminal
    if not stream.isatty():
        width = 160
    return Plain(file=stream, markup=False, highlight=False, emoji=False, width=width)


def table(
    target: "Console", header: Sequence[str], rows: Sequence[Sequence[object]], right: int = 0
) -> None:
    """Print a table whose last `right` columns are numbers, set flush right."""
    from rich import box
    from rich.table import Table

    sheet = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in header[: len(header) - right]:
        sheet.add_column(name, overflow="fold")
    for name in header[len(header) - right :]:
        sheet.add_column(name, justify="right", overflow="fold")
    for row in rows:
        sheet.add_row(*map(printable, row))
    target.print(sheet)


class EpochProgress:
    """A bar on a terminal, a line now and then elsewhere; called with the history of each epoch.

    Parameters
    ----------
    terminal
        Where to print.
    unit
        What is counted.
    interval
        Least number of seconds between two lines.
    """

    def __init__(self, terminal: Terminal, unit: str = "epoch", interval: float = 5.0) -> None:
        self.quiet, self.unit, self.interval = terminal.quiet, unit, interval
        self.bar: Progress | None = None
        self.start: tuple[float, int] | None = None
        self.printed, self.waiting = 0.0, ""

    def __enter__(self) -> "EpochProgress":
        if self.quiet or not sys.stderr.isatty():
            return self
        screen = console(sys.stderr)
        if not screen.is_dumb_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
            self.bar = Progress(*columns, console=screen)
            self.bar.add_task("starting", total=None)
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
        elif self.waiting:
            self._print(self.waiting)

    def __call__(self, epoch: Mapping[str, float]) -> None:
        """Show how far the fit is: `epoch` is a line of the history with ``epochs``, the most."""
        if self.quiet:
            return
        now, done, line = time.monotonic(), int(epoch["epoch"]), f"{self.unit} {_epoch_line(epoch)}"
        if self.start is None or done <= self.start[1]:  # the first, or the first of another run
            self.start = now, done
            if self.bar is not None:
                self.bar.reset(self.bar.task_ids[0])
        if self.bar is not None:
            task, total = self.bar.task_ids[0], epoch.get("epochs")
            self.bar.update(task, description=line, total=total, completed=done)
        elif now - self.printed >= self.interval:
            self.printed, self.waiting = now, ""
            self._print(line + _remaining(self.start, now, epoch))
        else:
            self.waiting = line

    def _print(self, line: str) -> None:
        with unbroken(sys.stderr):
            print(line, file=sys.stderr)


def _remaining(start: tuple[float, int], now: float, epoch: Mapping[str, float]) -> str:
    """Time left at the pace since the first epoch seen, which need not be the first of the fit."""
    begin, first = start
    total, done = epoch.get("epochs"), epoch["epoch"] - first
    if total is None or done <= 0:
        return ""
    minutes, seconds = divmod(round((now - begin) / done * (total - epoch["epoch"])), 60)
    return f"  at most {minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"


def _epoch_line(epoch: Mapping[str, float]) -> str:
    line = f"{epoch['epoch']}"
    if epoch.get("epochs"):
        line += f"/{epoch['epochs']}"
    unit = ""
    for name in ("train", "validation"):
        bound = epoch.get(f"{name}_bound")
        if isinstance(bound, float) and math.isfinite(bound):
            line += f"  {name} {bound:.3f}"
            unit = " nats per row"
    return line + unit
