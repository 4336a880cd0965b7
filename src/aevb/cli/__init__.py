"""The command line: ``aevb fit DATA`` and commands for a run; it imports nothing heavy at start."""

from typing import Annotated

import typer

from aevb.cli import apply, fit, look, paper
from aevb.cli.application import Application
from aevb.cli.settings import SettingsCommand

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Application,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    fit.fit,
    apply.evaluate,
    apply.score,
    apply.embed,
    apply.reconstruct,
    apply.sample,
    apply.impute,
    look.report,
    look.inspect,
    look.data,
):
    # The first line of a docstring, whole: Typer would cut off a long one.
    first_line = (command.__doc__ or "").splitlines()[0]
    kind = SettingsCommand if command is fit.fit else None
    app.command(cls=kind, short_help=first_line)(command)
app.add_typer(paper.app, name="paper")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"aevb {version('aevb')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Fit a variational auto-encoder to your own data, and know how far to trust it."""


def main() -> None:
    """The entry point of ``aevb``; leaves with the exit codes of `aevb.errors`."""
    app()
