"""``aevb fit``: from what was typed to a run folder."""

import shlex
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aevb.cli.application import Terminated, termination
from aevb.cli.options import DATA, DEBUG, JSON, QUIET
from aevb.cli.results import show_results
from aevb.cli.terminal import EpochProgress, Terminal
from aevb.errors import ConfigError, DataError, OutputError

if TYPE_CHECKING:
    from aevb.settings import FitConfiguration

__all__ = ["fit"]

CHECKPOINTS = "checkpoints"
#: Rows kept from everything but the final numbers, unless said; in Python, where one holds out
#: one's own, none are.
TEST_FRACTION = 0.2


def fit(
    context: typer.Context,
    data: DATA,
    *,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The run's folder [runs/DATA-n].")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings; options go over it.")
    ] = None,
    latent_dim: Annotated[
        str | None,
        typer.Option(metavar="N|N,N|auto", help="Dimensions of z, of two layers, or auto."),
    ] = None,
    epochs: Annotated[
        str | None, typer.Option(help="Passes over the data at most, or auto.")
    ] = None,
    random_state: Annotated[
        int | None, typer.Option("--seed", help="What all randomness comes from [0].")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME=KIND", help="Say a column's kind; repeatable."),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Leave a column out; repeatable.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME",
            help="Leave a column out, and colour the report by it; repeatable.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Keep rows of one group together; leaves the column out."
        ),
    ] = None,
    ordered: Annotated[
        bool | None,
        typer.Option("--ordered", help="Rows are in order of time: test on the last ones."),
    ] = None,
    binarize: Annotated[
        str | None, typer.Option(help="Grey images: dynamic, static or none.")
    ] = None,
    inf: Annotated[
        str | None, typer.Option(help="An infinite cell is an error, or missing.")
    ] = None,
    hidden: Annotated[
        str | None, typer.Option(metavar="N,N", help="Widths of the layers; '' for linear.")
    ] = None,
    activation: Annotated[str | None, typer.Option(help="tanh, relu, silu, gelu or elu.")] = None,
    likelihood: Annotated[str | None, typer.Option(help="One for all columns, or auto.")] = None,
    prior: Annotated[
        str | None, typer.Option(help="standard_normal, mixture, vamp, flow or auto.")
    ] = None,
    posterior: Annotated[
        str | None, typer.Option(help="diagonal, full, flow, bernoulli or categorical.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="sgvb_a, sgvb_b, stl, iwae, dreg (either also _resampled), score, vimco or renyi."
        ),
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Order of the objective renyi.")] = None,
    samples: Annotated[int | None, typer.Option(help="Draws of z a row.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Step size.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adagrad, sgd or rmsprop.")] = None,
    weight_prior: Annotated[
        bool | None, typer.Option(help="A N(0, I) prior on the weights.")
    ] = None,
    weight_decay: Annotated[
        str | None, typer.Option(help="Share of the weights a step of size 1 takes away, or auto.")
    ] = None,
    kl_warmup: Annotated[
        float | None, typer.Option(help="Fraction of the run over which the KL grows in.")
    ] = None,
    free_bits: Annotated[
        float | None, typer.Option(help="Nats a latent may cost for free.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without improvement before stopping.")
    ] = None,
    validation_fraction: Annotated[
        float | None, typer.Option(help="Share of the rows to stop by.")
    ] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Share of the rows to report on.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")
    ] = False,
    allow_changed_data: Annotated[
        bool,
        typer.Option(
            "--allow-changed-data", help="With --resume: go on though DATA are not what they were."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that lies there.")
    ] = False,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Fit a VAE to DATA, and say what it is worth beside plain models."""
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        settings = _settings(config, context.params)
        place = Path(settings.output) if settings.output is not None else None
        if allow_changed_data and not resume:
            raise ConfigError("--allow-changed-data is for --resume: say both, or neither")
        if _is_finished(place, resume, overwrite):
            assert place is not None
            _show_finished(terminal, place)
            return
        results = _fit(
            terminal,
            data,
            place,
            settings,
            overwrite=overwrite,
            changed_data=allow_changed_data,
            command=shlex.join(["aevb", *context.obj]),
        )
        if json or not quiet:
            terminal.result(results, lambda out: show_results(out, results, said=terminal.said))


def _settings(config: Path | None, typed: Mapping[str, Any]) -> "FitConfiguration":
    """File and command line, checked: options bear the names of the settings."""
    from aevb.settings import FitConfiguration, read_configuration

    given = {
        name: typed[name]
        for name in FitConfiguration.model_fields
        if typed.get(name) not in (None, [], ())
    }
    for name in given.keys() & {"latent_dim", "epochs"}:
        given[name] = _number(given[name])
    if "," in str(given.get("latent_dim")):
        given["latent_dim"] = tuple(_number(size) for size in given["latent_dim"].split(","))
    if "weight_decay" in given:
        given["weight_decay"] = _real(given["weight_decay"])
    if "hidden" in given:
        given["hidden"] = [_number(width) for width in given["hidden"].split(",") if width.strip()]
    if "columns" in given:
        given["columns"] = dict(_pair(text) for text in given["columns"])
    return read_configuration(config, given)


def _number(text: str) -> int | str:
    """A whole number where it is one; anything else is for the configuration to judge."""
    try:
        return int(text)
    except ValueError:
        return text.strip()


def _real(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text.strip()


def _pair(text: str) -> tuple[str, str]:
    name, equals, kind = text.rpartition("=")
    if not equals:
        raise ConfigError(f"--column must be NAME=KIND, such as age=continuous; got {text!r}")
    return name, kind


def _is_finished(place: Path | None, resume: bool, overwrite: bool) -> bool:
    """Whether there is nothing to do; `OutputError` where something lies there that was not meant
    to be replaced.
    """
    from aevb import disk as storage
    from aevb.disk import checkpoints

    if resume and (overwrite or place is None):
        raise ConfigError(
            "--resume goes on with the run of -o RUN: name it, and leave out --overwrite"
        )
    if place is None or overwrite:
        return False
    if storage.is_run(place):
        if not resume:
            raise OutputError(
                f"{place} already holds a run: choose another -o, or replace it with --overwrite"
            )
        return True
    if checkpoints.exists(place / CHECKPOINTS):
        if not resume:
            raise OutputError(
                f"{place} holds a run that was interrupted: go on with --resume, or use --overwrite"
            )
    elif place.exists() and (
        not place.is_dir() or any(not entry.name.startswith(".") for entry in place.iterdir())
    ):
        raise OutputError(f"{place} holds something else: choose another -o")
    return False


def _show_finished(terminal: Terminal, place: Path) -> None:
    from aevb import disk as storage

    results = storage.read_run(place).documents.get("results", {})
    terminal.note(f"{place} is finished: nothing to resume")
    terminal.result(
        {**results, "run": str(place)},
        lambda out: show_results(out, {**results, "run": str(place)}),
    )


def _fit(
    terminal: Terminal,
    data: str,
    place: Path | None,
    settings: "FitConfiguration",
    *,
    overwrite: bool,
    changed_data: bool,
    command: str,
) -> dict[str, Any]:
    """Read, fit and save; the results with what only the command line knows: seconds, epochs, run."""
    from aevb import disk as storage
    from aevb.disk import checkpoints

    begin = time.monotonic()
    parameters = {"random_state": 0, "test_fraction": TEST_FRACTION, **settings.parameters()}
    if settings.group is not None:
        parameters["ignore"] = list(
            dict.fromkeys([*(parameters.get("ignore") or []), settings.group])
        )
    with ExitStack() as held:
        if place is not None:  # a folder that cannot be written is found before the data are read
            held.enter_context(storage.locked(place))
        source = _read(data)
        if place is None:
            place = storage.next_run(Path("runs"), source.name)
            held.enter_context(storage.locked(place))
        if overwrite:
            checkpoints.clear(place / CHECKPOINTS)
        if isinstance(source.labels, tuple) and source.labels:  # names of columns
            said = parameters.get("columns") or {}
            labels = [
                *(parameters.get("labels") or []),
                *(name for name in source.labels if name not in said),
            ]
            parameters["labels"] = list(dict.fromkeys(labels))
        split = {"group": settings.group, "ordered": bool(settings.ordered)}
        checkpoint = _checkpoint(place, source, {**parameters, **split}, changed_data)
        vae = _train(terminal, source, parameters, settings, checkpoint)
        terminal.note("scoring held-out rows, and fitting the baselines to the same training rows")
        contents = vae.contents(name=source.name, commands=[command])
        vae.save(place, overwrite=overwrite, contents=contents)
    epochs = vae.report_.get("fit", {}).get("epochs", len(vae.history_))
    return {**vae.report_, "seconds": time.monotonic() - begin, "epochs": epochs, "run": str(place)}


def _read(data: str) -> Any:
    from aevb.table import read

    return read(data)


def _checkpoint(place: Path, source: Any, said: Mapping[str, Any], changed_data: bool) -> Any:
    """Where training goes on from; other settings or data than it was made with are found before
    any work is done.
    """
    from aevb.disk.checkpoints import Checkpoint
    from aevb.table import fingerprint

    class Interruptible(Checkpoint):
        """SIGTERM ends training once its last epoch is kept."""

        def save(self, state: Any, document: Mapping[str, Any]) -> None:
            super().save(state, document)
            termination.check()

    identity = {**said, "data": fingerprint(source.data)}
    checkpoint = Interruptible(place / CHECKPOINTS, identity, changed_data=changed_data)
    try:
        checkpoint.check()
    except DataError as error:
        raise DataError(f"{source.name}: {error.message}", hint=error.hint) from error
    return checkpoint


def _train(
    terminal: Terminal,
    source: Any,
    parameters: dict[str, Any],
    settings: "FitConfiguration",
    checkpoint: Any,
) -> Any:
    from aevb import VAE

    groups = None if settings.group is None else _column(source.data, settings.group)
    try:
        with EpochProgress(terminal) as progress:

            def after_epoch(epoch: Mapping[str, Any]) -> None:
                termination.patient = True
                progress(epoch)

            vae = VAE(**parameters)
            if parameters.get("latent_dim", "auto") == "auto":
                terminal.note("short runs first, to choose the number of latents")
            return vae.fit(
                _images(source),
                None if isinstance(source.labels, tuple) else source.labels,
                groups=groups,
                ordered=bool(settings.ordered),
                progress=after_epoch,
                checkpoint=checkpoint,
            )
    except (KeyboardInterrupt, Terminated):
        terminal.note(
            f"stopped; the same command with -o {shlex.quote(str(checkpoint.folder.parent))} --resume goes on"
        )
        raise
    finally:
        termination.patient = False
        checkpoint.flush()


def _images(source: Any) -> Any:
    """Rows that are images, with their axes."""
    flat = source.image_shape is None or not hasattr(source.data, "reshape")
    return source.data if flat else source.data.reshape(-1, *source.image_shape)


def _column(frame: Any, name: str) -> Any:
    """The values of one column of any data frame."""
    import narwhals as nw

    if not nw.dependencies.is_into_dataframe(frame):
        raise ConfigError(f"--group {name}: the data have no column names")
    table = nw.from_native(frame, eager_only=True)
    if name not in table.columns:
        raise ConfigError(
            f"--group: no column is named {name!r}; there are {', '.join(table.columns[:12])}"
        )
    return table[name].to_numpy()
