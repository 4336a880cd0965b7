"""``aevb inspect``: what was understood of data before any fit, or what a run holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import aevb
from aevb.cli.look import run_document, show_run
from aevb.cli.options import HEADER, command
from aevb.cli.settings import typed_settings
from aevb.cli.terminal import Terminal, printable, table, with_flags
from aevb.errors import ConfigError
from aevb.settings import read_settings

if TYPE_CHECKING:
    from rich.console import Console

    from aevb.table import Inspection

__all__ = ["inspect"]

WHAT = Annotated[
    str,
    typer.Argument(
        metavar="DATA|RUN",
        help="A file, a folder or the name of a data set (see aevb data), or the folder of a run.",
    ),
]
TEXTS = Annotated[list[str] | None, typer.Option(metavar="NAME")]


@command
def inspect(
    terminal: Terminal,
    what: WHAT,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write the columns to a TOML file, to edit."),
    ] = None,
    columns_file: Annotated[
        Path | None, typer.Option("--columns", help="A TOML file of columns, as -o writes.")
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--column", metavar="NAME=KIND[,KEY=X]")
    ] = None,
    ignore: TEXTS = None,
    labels: Annotated[list[str] | None, typer.Option("--label", metavar="NAME")] = None,
    inf: Annotated[str | None, typer.Option(help="error or missing: infinite cells.")] = None,
    header: HEADER = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="Draw the architecture of RUN: architecture.svg in it.")
    ] = False,
) -> None:
    """Print what is understood of the columns of DATA before a fit, or what RUN holds."""
    if output is not None and output.suffix.lower() != ".toml":
        raise ConfigError(f"--output must end in .toml; got {str(output)!r}")
    if _is_run(what):
        document = run_document(Path(what), draw)
        schema = document["schema"]
        if output is not None:
            found = aevb.table.inspection.of_schema(aevb.table.schema.Schema.from_json(schema))
            _write(terminal, output, found)
        terminal.result(document, lambda out: show_run(out, document))
        return
    if draw:
        raise ConfigError("--draw is for the folder of a run")
    typed = {"columns": columns, "ignore": ignore, "labels": labels, "inf": inf}
    chosen = read_settings(None, typed_settings(typed), columns=columns_file)
    found = aevb.table.inspect(
        what,
        columns=chosen.columns,
        ignore=chosen.ignore or (),
        labels=chosen.labels or (),
        inf=chosen.inf,
        header=header,
    )
    if output is not None:
        _write(terminal, output, found)
    terminal.result(found.to_dict(), lambda out: _show(out, found))


def _is_run(what: str) -> bool:
    """Whether this is the folder of a run, or nothing and has no ending, as folders of runs."""
    path = Path(what)
    if path.is_dir():
        return any((path / name).exists() for name in ("manifest.json", "schema.json"))
    nothing = not path.exists() and not path.suffix and what not in ("", "-")
    return nothing and "://" not in what and what not in aevb.table.DATA_SETS


def _write(terminal: Terminal, place: Path, found: "Inspection") -> None:
    content = found.to_toml().encode("utf-8")
    aevb.disk.write_together(place.parent, {place.name: content})
    terminal.note(f"wrote {place}: edit it, then aevb fit DATA --columns {place}")


def _show(out: "Console", found: "Inspection") -> None:
    out.print(printable(found.title), soft_wrap=not out.is_terminal)
    out.print()
    header, rows = found.shown()
    table(out, header, rows)
    if found.notes:
        out.print()
    for note in found.notes:
        out.print(printable(with_flags(note.warning)), soft_wrap=not out.is_terminal)
