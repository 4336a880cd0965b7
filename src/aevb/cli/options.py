"""What the commands share: their arguments and options, and how a function becomes a command."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from aevb.cli.terminal import Terminal
from aevb.errors import ConfigError

__all__ = ["DATA", "GUARD", "HEADER", "OUT", "RUN", "SEED", "command", "register"]

Function = Callable[..., None]


def _check_ending(output: Path | None) -> Path | None:
    endings = ".csv", ".parquet", ".npy"
    if output is not None and output.suffix.lower() not in endings:
        raise ConfigError(f"--output must end in {', '.join(endings)}; got {str(output)!r}")
    return output


DATA = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A file (csv, jsonl, xlsx, parquet, npy, npz), a folder, - for standard input, or the "
        "name of a data set: see aevb data.",
    ),
]
RUN = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
OUT = Annotated[
    Path,
    typer.Option(
        "--output", "-o", callback=_check_ending, help="The file to write: .csv, .parquet or .npy."
    ),
]
HEADER = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header", help="Line 1 of DATA holds the names of its columns [guessed]."
    ),
]
GUARD = Annotated[
    bool,
    typer.Option(
        "--guard-formulas", help="In CSV, mark text that a spreadsheet would run as a formula."
    ),
]
SEED = Annotated[
    int | None, typer.Option(min=0, max=2**32 - 1, help="Random seed [the one of the fit].")
]
JSON = typer.Option("--json", help="Print the result as one JSON object.")
QUIET = typer.Option("--quiet", "-q", help="Print no progress, notes or warnings.")
DEBUG = typer.Option("--debug", help="Show where an error comes from.")


def command(function: Function) -> Function:
    """The command of a function of a terminal, which gets ``--json``, ``--quiet`` and ``--debug``.

    Warnings within are notes on the terminal.
    """

    @wraps(function)
    def run(*, json: bool, quiet: bool, debug: bool, **given: Any) -> None:
        terminal = Terminal(json, quiet, debug)
        with terminal.warned():
            function(terminal, **given)

    _, *parameters = signature(function, eval_str=True).parameters.values()
    for name, option in (("json", JSON), ("quiet", QUIET), ("debug", DEBUG)):
        annotation = Annotated[bool, option]
        parameters.append(
            Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        )
    parameters.sort(key=lambda parameter: parameter.kind)
    known = signature(function).replace(parameters=parameters)
    run.__signature__ = known  # type: ignore[attr-defined]
    return run


def register(app: typer.Typer, *commands: Function, cls: type | None = None) -> None:
    """Add commands to an application; each is listed with the first line of its docstring."""
    for one in commands:
        # Whole: Typer would cut off a long one.
        first_line = (one.__doc__ or "").splitlines()[0]
        name = one.__name__.replace("_", "-")
        app.command(name, cls=cls, short_help=first_line)(one)
