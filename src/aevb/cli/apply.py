"""What a fitted model does with rows: evaluate, score, embed, reconstruct, sample, impute."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import aevb
from aevb.cli.options import DATA, GUARD, HEADER, OUT, RUN, SEED, command
from aevb.cli.results import show_results
from aevb.cli.terminal import Terminal
from aevb.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from narwhals.typing import IntoDataFrame
    from numpy.typing import NDArray

    from aevb import VAE
    from aevb.table.tables import TableLike

    Columns = Mapping[str, NDArray[np.generic]]

__all__ = ["embed", "evaluate", "impute", "reconstruct", "sample", "score"]


@command
def evaluate(
    terminal: Terminal,
    run: RUN,
    data: DATA,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Draws per row [iwae: 1000, ais: 16 chains, harmonic: 500]."),
    ] = None,
    method: Annotated[
        str,
        typer.Option(help="iwae (importance weights), ais (annealed) or harmonic (appendix D)."),
    ] = "iwae",
    header: HEADER = None,
) -> None:
    """Compare RUN with its baselines on rows it has not seen."""
    vae = _load(run)
    rows = _rows(vae, data, header)

    def show_progress(done: int) -> None:
        terminal.note(f"{done:,} rows scored")

    progress = show_progress if method != "iwae" else None
    results = vae.evaluate(rows, samples=samples, method=method, progress=progress)
    terminal.result(results, lambda out: show_results(out, results))


@command
def score(
    terminal: Terminal,
    run: RUN,
    data: DATA,
    out: OUT,
    header: HEADER = None,
    guard_formulas: GUARD = False,
) -> None:
    """Write log p(x) of each row of DATA in nats, with its error.

    The columns are the log-likelihood, its Monte Carlo error, the effective sample size and the
    number of observed cells.
    """
    vae = _load(run)
    rows = _rows(vae, data, header)
    scores = vae.score_details(rows)._asdict()
    columns = {**scores, "observed": _observed(vae, rows)}
    _write_columns(rows, vae, columns, out, guard_formulas)
    nats = scores["log_likelihood"]
    summary = {"rows": len(nats), "log_likelihood": float(nats.mean())}
    _print_summary(terminal, out, summary, f"mean log-likelihood {nats.mean():.3f} nats per row")


@command
def embed(
    terminal: Terminal,
    run: RUN,
    data: DATA,
    out: OUT,
    header: HEADER = None,
    guard_formulas: GUARD = False,
) -> None:
    """Write the posterior mean of z for each row of DATA.

    The columns are latent0, latent1, and so on.
    """
    vae = _load(run)
    rows = _rows(vae, data, header)
    codes = vae.transform(rows)
    latents = {f"latent{k}": column for k, column in enumerate(codes.T)}
    _write_columns(rows, vae, latents, out, guard_formulas)
    summary = {"rows": len(codes), "latent_dim": len(latents)}
    _print_summary(terminal, out, summary, f"{len(latents)} latents")


@command
def reconstruct(
    terminal: Terminal,
    run: RUN,
    data: DATA,
    out: OUT,
    header: HEADER = None,
    guard_formulas: GUARD = False,
) -> None:
    """Write the reconstruction of each row of DATA.

    It is E[x|z] at the posterior mean of z.
    """
    vae = _load(run)
    rebuilt = vae.reconstruct(_rows(vae, data, header))
    aevb.table.write(rebuilt, out, guard=guard_formulas)
    _print_summary(terminal, out, {"rows": len(rebuilt)})


@command
def sample(
    terminal: Terminal,
    run: RUN,
    out: OUT,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many rows.")],
    seed: SEED = None,
    guard_formulas: GUARD = False,
) -> None:
    """Draw rows from the model.

    They have the columns and levels of the data that it was fitted to.
    """
    vae = _load(run)
    rows = vae.sample(number, random_state=seed)
    if out.suffix.lower() == ".csv":  # written as the file was that the model was fitted to
        rows = aevb.table.as_written(rows, vae.schema_)
    aevb.table.write(rows, out, guard=guard_formulas)
    _print_summary(terminal, out, {"rows": len(rows)})


@command
def impute(
    terminal: Terminal,
    run: RUN,
    data: DATA,
    out: OUT,
    draws: Annotated[
        int | None,
        typer.Option(min=1, help="Complete DATA this many times; a column draw numbers them."),
    ] = None,
    seed: SEED = None,
    header: HEADER = None,
    guard_formulas: GUARD = False,
) -> None:
    """Write DATA with missing cells filled in.

    Observed cells stay as they are.
    """
    vae = _load(run)
    filled = vae.impute(_rows(vae, data, header), draws=draws, random_state=seed)
    summary, note = {"rows": len(filled)}, ""
    if draws is not None:
        summary = {"rows": len(filled[0]), "draws": draws}
        note = f"{draws} draws of each"
        filled = _stacked(filled, out)
    aevb.table.write(filled, out, guard=guard_formulas)
    _print_summary(terminal, out, summary, note)


def _load(run: Path) -> "VAE":
    """The fitted model; columns of data are put in its order by name."""
    vae = aevb.load(run)
    vae.reorder = True
    return vae


def _rows(vae: "VAE", data: str, header: bool | None) -> Any:
    """The rows of DATA; names of the run's columns in line 1 make that a header."""
    named = vae.schema_.container != "numpy"
    known = [*vae.schema_.names, *vae.schema_.ignored] if named else None
    source = aevb.table.read(data, header=known if header is None else header)
    try:
        with warnings.catch_warnings():  # they are given when the rows are used
            warnings.simplefilter("ignore")
            aevb.table.encode(source.data, vae.schema_, reorder=True, inf=vae.inf)
    except DataError as error:
        raise DataError(f"{source.name}: {error.message}", hint=error.hint) from error
    return source.data


def _observed(vae: "VAE", rows: "TableLike") -> "NDArray[np.intp]":
    """The number of observed cells of each row that the model sees."""
    import numpy as np

    values = aevb.table.encode(rows, vae.schema_, reorder=True, inf=vae.inf)
    return np.count_nonzero(~np.isnan(values), axis=1)


def _write_columns(
    rows: "TableLike", vae: "VAE", columns: "Columns", output: Path, guard: bool
) -> None:
    """Write new columns next to those the model ignored, so that rows can be joined back.

    An .npy file holds the new columns only.
    """
    import narwhals as nw
    import numpy as np
    import pyarrow as pa

    if output.suffix.lower() == ".npy":
        aevb.table.write(np.column_stack(list(columns.values())), output)
        return
    carried: dict[str, pa.ChunkedArray] = {}
    if nw.dependencies.is_into_dataframe(rows):
        frame = nw.from_native(rows, eager_only=True)
        for name in vae.schema_.ignored:
            if name in frame.columns:
                carried[name] = frame[name].to_arrow()
    if both := carried.keys() & columns.keys():
        raise ConfigError(f"the data already have a column named {min(both)!r}: rename it")
    aevb.table.write(pa.table({**carried, **columns}), output, guard=guard)


def _stacked(draws: "NDArray[np.generic] | Sequence[IntoDataFrame]", output: Path) -> "TableLike":
    """Completed tables one below the other; a column numbers the draws."""
    import narwhals as nw
    import numpy as np
    import pyarrow as pa

    if not isinstance(draws, np.ndarray):
        frames = []
        for number, frame in enumerate(draws):
            column = nw.lit(number).alias("draw")
            frames.append(nw.from_native(frame, eager_only=True).with_columns(column))
        return nw.concat(frames).to_native()
    if output.suffix.lower() == ".npy":
        return draws
    flat = draws.reshape(draws.shape[0] * draws.shape[1], -1)
    columns = {f"x{j}": column for j, column in enumerate(flat.T)}
    numbers = np.repeat(np.arange(draws.shape[0]), draws.shape[1])
    return pa.table({**columns, "draw": numbers})


def _print_summary(
    terminal: Terminal, output: Path, summary: Mapping[str, float], note: str = ""
) -> None:
    """Files are the result: people get a note, programs the numbers."""
    if terminal.json:
        terminal.result({**summary, "output": str(output)}, lambda _: None)
    words = "row" if summary["rows"] == 1 else "rows"
    line = f"{output}: {summary['rows']:,} {words}"
    if note:
        line += f", {note}"
    terminal.note(line)
