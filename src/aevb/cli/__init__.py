"""The command line: ``aevb fit DATA`` and commands for a run; it imports nothing heavy at start."""

from importlib.metadata import entry_points
from typing import Annotated, Any

import typer

from aevb.cli import apply, fit, inspect, look
from aevb.cli.application import Application
from aevb.cli.options import register
from aevb.cli.settings import SettingsCommand

__all__ = ["app", "main"]


class _Commands(Application):
    """The commands of this package, and those that other packages bring by an entry point.

    The entry points of the group `aevb.commands` are looked up only for the list of commands and
    for a name that is not one of ours; each names a `typer.Typer`.
    """

    def list_commands(self, ctx: object) -> list[str]:
        """The names of all commands, ours first."""
        self.add_entry_points()
        return list(self.commands)

    def get_command(self, ctx: object, cmd_name: str) -> Any:
        """The command of this name, or None."""
        if cmd_name not in self.commands:
            self.add_entry_points()
        return self.commands.get(cmd_name)

    def add_entry_points(self) -> None:
        """Import the commands of other packages."""
        for point in entry_points(group="aevb.commands"):
            self.add_command(typer.main.get_command(point.load()), point.name)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
register(app, fit.fit, cls=SettingsCommand)
register(app, apply.evaluate, apply.score, apply.embed, apply.reconstruct)
register(app, apply.sample, apply.impute, look.report, inspect.inspect, look.data)


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
