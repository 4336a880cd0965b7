"""How every command ends: one line on standard error, and an exit code."""

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from typer.core import TyperGroup

from aevb.cli.terminal import printable, unbroken, with_flags
from aevb.errors import AevbError

__all__ = ["Application", "Terminated", "Termination"]


class Terminated(BaseException):
    """SIGTERM: like `KeyboardInterrupt`, it passes every ``except Exception``."""


class Termination:
    """In this context SIGTERM raises `Terminated`.

    It does so at once, or, for the first signal while `patient`, at the next `check`.
    """

    def __init__(self) -> None:
        self.patient = self.requested = False

    def __enter__(self) -> "Termination":
        self.installed = threading.current_thread() is threading.main_thread()
        if self.installed:  # no other thread may
            self.former = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.installed:
            signal.signal(signal.SIGTERM, self.former)
        if kind is None:
            self.check()

    def check(self) -> None:
        """End here if the signal has come."""
        if self.requested:
            raise Terminated

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.patient or self.requested:
            raise Terminated
        self.requested = True


class Application(TyperGroup):
    """Typer's group of commands with our errors, exit codes and signals; `obj`: what was typed."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> None:
        """Run a command and leave with its exit code."""
        typed = list(sys.argv[1:] if args is None else args)
        options = {**extra, "standalone_mode": False, "obj": typed}
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # escape what the stream cannot encode
                stream.reconfigure(errors="backslashreplace")
        run = super().main
        with Termination():
            code = _exit_code(lambda: run(typed, prog_name, **options), typed)
        sys.exit(code)


def _exit_code(
    command: Callable[[], object], typed: Sequence[str], *, interrupted: int = 130
) -> int:
    try:
        code = command()
        with unbroken(sys.stdout):
            pass
    except KeyboardInterrupt:
        code = interrupted
    except Terminated:
        _print_error("terminated")
        return 143
    except Exception as error:
        if "--debug" in typed:
            with unbroken(sys.stderr):
                traceback.print_exc()
        if type(error).__name__ == "NoArgsIsHelpError":  # Typer's own: a group without a command
            print(error.format_message(), file=sys.stderr)  # type: ignore[attr-defined]
            return 2
        code, line = _code_and_line(error, fitting=typed[:1] in (["fit"], ["inspect"]))
        _print_error(line)
        return code
    if not isinstance(code, int):
        return 0
    if code == interrupted:
        _print_error("interrupted")
    return code


def _code_and_line(error: Exception, *, fitting: bool) -> tuple[int, str]:
    """The exit code and the line of an error, of a command that fits or of one that does not."""
    if isinstance(error, AevbError):
        return error.exit_code, f"error: {with_flags(error, fitting=fitting)}"
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # one of Typer's own
        return int(error.exit_code), f"error: {error.format_message()} (see --help)"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return 5, "error: out of memory: try a smaller --batch-size or fewer --hidden units"
    return 1, f"internal error: {type(error).__name__}: {error} (--debug shows where)"


def _print_error(line: str) -> None:
    with unbroken(sys.stderr):
        print(printable(line), file=sys.stderr)
