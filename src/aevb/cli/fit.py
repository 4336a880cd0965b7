"""``aevb fit``: from what was typed to a run folder."""

import shlex
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aevb.cli.application import Terminated, Termination
from aevb.cli.options import DATA, HEADER, command
from aevb.cli.results import show_results
from aevb.cli.settings import typed_settings, with_settings
from aevb.cli.terminal import EpochProgress, Terminal
from aevb.errors import ConfigError, DataError, OutputError, nearest
from aevb.settings import RunSettings, read_settings

if TYPE_CHECKING:
    from jaxtyping import PyTree

    from aevb.assess import ReportDict
    from aevb.disk.checkpoints import Checkpoint
    from aevb.sklearn.estimator import VAE
    from aevb.table import Source

__all__ = ["fit"]


@with_settings
@command
def fit(
    terminal: Terminal,
    context: typer.Context,
    data: DATA,
    *,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The run's folder [runs/DATA-n].")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings; options override it.")
    ] = None,
    columns_file: Annotated[
        Path | None,
        typer.Option("--columns", help="A TOML file of columns, as aevb inspect -o writes."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the run's last checkpoint.")
    ] = False,
    allow_changed_data: Annotated[
        bool,
        typer.Option("--allow-changed-data", help="With --resume: go on although DATA changed."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing run.")
    ] = False,
    header: HEADER = None,
    **settings: object,
) -> None:
    """Fit a VAE to DATA, and report what it is worth compared with plain models."""
    chosen = read_settings(config, typed_settings(context.params), columns=columns_file)
    place = None if chosen.output is None else Path(chosen.output)
    if allow_changed_data and not resume:
        raise ConfigError("--allow-changed-data is for --resume: give both, or neither")
    if resume and (overwrite or place is None):
        raise ConfigError(
            "--resume continues the run of -o RUN: name it, and leave out --overwrite"
        )
    if place is not None and not overwrite and _is_finished(place, resume):
        _show_finished(terminal, place)
        return
    job = _Job(terminal, data, place, chosen, overwrite, allow_changed_data, header)
    results = job.run(shlex.join(["aevb", *context.obj]))
    if terminal.json or not terminal.quiet:
        shown = terminal.warnings
        terminal.result(results, lambda out: show_results(out, results, shown))


def _is_finished(place: Path, resume: bool) -> bool:
    """Whether there is nothing to do; `OutputError` where something there would be replaced."""
    from aevb import disk
    from aevb.disk import checkpoints

    if disk.is_run(place):
        if not resume:
            raise OutputError(
                f"{place} already holds a run: choose another -o, or replace it with --overwrite"
            )
        return True
    if checkpoints.exists(place / "checkpoints"):
        if not resume:
            raise OutputError(
                f"{place} holds a run that was interrupted: continue with --resume, or use "
                "--overwrite"
            )
    elif _holds_something(place):
        raise OutputError(f"{place} holds something else: choose another -o")
    return False


def _holds_something(place: Path) -> bool:
    """Whether a file or a folder with anything but hidden files is there."""
    if not place.exists():
        return False
    if not place.is_dir():
        return True
    return any(not entry.name.startswith(".") for entry in place.iterdir())


def _show_finished(terminal: Terminal, place: Path) -> None:
    from aevb import disk

    results = {**disk.read_run(place).documents.get("results", {}), "run": str(place)}
    terminal.note(f"{place} is finished: nothing to resume")
    terminal.result(results, lambda out: show_results(out, results))


@dataclass(frozen=True)
class _Interruptible:
    """A checkpoint after which SIGTERM ends training: its last epoch is kept then."""

    checkpoint: "Checkpoint"
    termination: Termination

    def load(self, like: "PyTree") -> "tuple[PyTree, ReportDict] | None":
        return self.checkpoint.load(like)

    def save(self, state: "PyTree", document: "ReportDict") -> None:
        self.checkpoint.save(state, document)
        self.termination.check()


@dataclass(frozen=True)
class _Job:
    """What ``aevb fit`` was asked for."""

    terminal: Terminal
    data: str
    place: Path | None
    settings: RunSettings
    overwrite: bool
    changed_data: bool
    header: bool | None

    def run(self, command: str) -> "ReportDict":
        """Read, fit, assess and save; the results, and what only the command line knows."""
        from aevb import disk
        from aevb.disk import checkpoints
        from aevb.table import read

        begin = time.monotonic()
        place = self.place
        with ExitStack() as held:
            if place is not None:  # a folder that cannot be written is found before data are read
                held.enter_context(disk.locked(place))
            source = read(self.data, header=self.header)
            if place is None:
                place = disk.next_run(Path("runs"), source.name)
                held.enter_context(disk.locked(place))
            if self.overwrite:
                checkpoints.clear(place / "checkpoints")
            vae = self.train(source, place)
            self.terminal.note(
                "scoring held-out rows, and fitting the baselines to the training rows"
            )
            results = vae.assess().to_dict()
            contents = vae.contents(name=source.name, commands=[command])
            vae.save(place, overwrite=self.overwrite, contents=contents)
        return {
            **results,
            "seconds": time.monotonic() - begin,
            "epochs": results["fit"]["epochs"],
            "run": str(place),
        }

    def parameters(self, source: "Source", test_fraction: float = 0.2) -> "ReportDict":
        """The parameters of `VAE`: what was given, and the command line's own defaults."""
        parameters: ReportDict = {"random_state": 0, "test_fraction": test_fraction}
        parameters |= self.settings.given()
        if self.settings.group is not None:
            parameters["ignore"] = _together(parameters.get("ignore"), [self.settings.group])
        if isinstance(source.labels, tuple) and source.labels:  # names of columns
            kinds = parameters.get("columns") or {}
            others = [name for name in source.labels if name not in kinds]
            parameters["labels"] = _together(parameters.get("labels"), others)
        return parameters

    def checkpoint(self, source: "Source", place: Path, parameters: "ReportDict") -> "Checkpoint":
        """Where training continues from; other settings or data are found before any work."""
        from aevb.disk.checkpoints import Checkpoint
        from aevb.table import fingerprint

        identity = {
            **parameters,
            "group": self.settings.group,
            "ordered": self.settings.ordered,
            "data": fingerprint(source.data),
        }
        checkpoint = Checkpoint(place / "checkpoints", identity, changed_data=self.changed_data)
        try:
            checkpoint.check()
        except DataError as error:
            raise DataError(f"{source.name}: {error.message}", hint=error.hint) from error
        return checkpoint

    def train(self, source: "Source", place: Path) -> "VAE":
        """Fit, saving the state after each epoch; SIGTERM waits for the end of one."""
        from aevb import VAE

        parameters = self.parameters(source)
        checkpoint = self.checkpoint(source, place, parameters)
        group = self.settings.group
        try:
            with Termination() as termination, EpochProgress(self.terminal) as progress:

                def after_epoch(epoch: "ReportDict") -> None:
                    termination.patient = True
                    progress(epoch)

                vae = VAE(**parameters)
                if vae.latent_dim == "auto":
                    self.terminal.note("choosing the number of latents by short runs")
                return vae.fit(
                    _images(source),
                    None if isinstance(source.labels, tuple) else source.labels,
                    groups=None if group is None else _group_column(source.data, group),
                    ordered=self.settings.ordered,
                    progress=after_epoch,
                    checkpoint=_Interruptible(checkpoint, termination),
                )
        except (KeyboardInterrupt, Terminated):
            run = shlex.quote(str(place))
            self.terminal.note(f"stopped; the same command with -o {run} --resume continues")
            raise
        finally:
            checkpoint.flush()


def _together(given: Sequence[str] | None, more: Sequence[str]) -> list[str]:
    """Both lists in their order, each name once."""
    return list(dict.fromkeys([*(given or []), *more]))


def _images(source: "Source") -> Any:
    """Rows that are images, with their axes."""
    if source.image_shape is None or not hasattr(source.data, "reshape"):
        return source.data
    return source.data.reshape(-1, *source.image_shape)


def _group_column(data: Any, name: str) -> list[Any]:
    """The cells of one column."""
    from aevb.table.tables import table_of

    table = table_of(data)
    if name not in table.names:
        raise ConfigError(f"--group: no column is named {name!r}; {nearest(name, table.names)}")
    return table.items(name)
