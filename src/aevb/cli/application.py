"""How every command ends: one line on standard error, and an exit code."""

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from typer.core import TyperGroup

from aevb.cli.terminal import plain, unbroken, with_flags
from aevb.errors import AevbError

__all__ = ["Application", "Terminated", "termination"]

INTERRUPTED, TERMINATED, INTERNAL = 130, 143, 1


class Terminated(BaseException):
    """SIGTERM: as `KeyboardInterrupt`, past every ``except Exception``."""


class _Termination:
    """What SIGTERM does: it ends at once, but for the first one while `patient`, which waits for
    `check`.
    """

    def __init__(self) -> None:
        self.patient = self.requested = False

    def check(self) -> None:
        """End here if it was asked for: called between epochs."""
        if self.requested:
            raise Terminated

    def handle(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.patient or self.requested:
            raise Terminated
        self.requested = True

    @contextmanager
    def handled(self) -> Iterator[None]:
        """SIGTERM is ours within (in the main thread, the only one that can say), and as it was
        afterwards.
        """
        self.patient = self.requested = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = signal.signal(signal.SIGTERM, self.handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, former)


termination = _Termination()


class Application(TyperGroup):
    """Typer's group of commands, with our errors, exit codes and signals; its `obj` is what was
    typed.
    """

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> Any:
        """Run a command and leave with its exit code."""
        typed = list(sys.argv[1:] if args is None else args)
        options = {**extra, "standalone_mode": False, "obj": typed}
        for stream in (
            sys.stdout,
            sys.stderr,
        ):  # what a stream cannot encode is escaped, never an error
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        with termination.handled():
            code = _exit_code(
                lambda: super(Application, self).main(typed, prog_name, **options),
                "--debug" in typed,
            )
        sys.exit(code)


def _exit_code(command: Callable[[], Any], debug: bool) -> int:
    try:
        code = command()
        with unbroken(sys.stdout):
            pass
        return _interrupted() if code == INTERRUPTED else code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return _interrupted()
    except Terminated:
        _say("terminated")
        return TERMINATED
    except Exception as error:
        if debug:
            with unbroken(sys.stderr):
                traceback.print_exc()
        code, line = _explain(error)
        _say(line)
        return code


def _explain(error: Exception) -> tuple[int, str]:
    """The exit code and the line of an error."""
    if isinstance(error, AevbError):
        return error.exit_code, f"error: {with_flags(error)}"
    if hasattr(error, "format_message") and hasattr(
        error, "exit_code"
    ):  # what was typed makes no sense to Typer
        return int(error.exit_code), f"error: {error.format_message()} (--help lists what there is)"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return 5, "error: out of memory: try a smaller --batch-size or fewer --hidden units"
    return INTERNAL, f"internal error: {type(error).__name__}: {error} (--debug shows where)"


def _interrupted() -> int:
    _say("interrupted")
    return INTERRUPTED


def _say(line: str) -> None:
    with unbroken(sys.stderr):
        print(plain(line), file=sys.stderr)
