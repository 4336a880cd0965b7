"""What a fitted model does with rows: evaluate, score, embed, reconstruct, sample, impute."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import aevb
from aevb.cli.options import DATA, DEBUG, JSON, OUT, QUIET, RUN
from aevb.cli.results import show_results
from aevb.cli.terminal import Terminal
from aevb.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from narwhals.typing import IntoDataFrame
    from numpy.typing import NDArray

    from aevb import VAE
    from aevb.table.tables import TableLike

    Columns = Mapping[str, NDArray[np.generic]]

__all__ = ["embed", "evaluate", "impute", "reconstruct", "sample", "score"]


def evaluate(
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
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Compare RUN with its baselines on rows it has not seen."""
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        vae, rows = _load(run), aevb.table.read(data).data

        def show_progress(done: int) -> None:
            terminal.note(f"{done:,} rows scored")

        progress = show_progress if method != "iwae" else None
        results = vae.evaluate(rows, samples=samples, method=method, progress=progress)
        terminal.result(results, lambda out: show_results(out, results))


def score(
    run: RUN, data: DATA, out: OUT, json: JSON = False, quiet: QUIET = False, debug: DEBUG = False
) -> None:
    """Write log p(x) of each row of DATA in nats, with its error.

    The columns are the log-likelihood, its Monte Carlo error and the effective sample size.
    """
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(out)
        vae, rows = _load(run), aevb.table.read(data).data
        scores = vae.score_details(rows)._asdict()
        _write_columns(rows, vae, scores, out)
        nats = scores["log_likelihood"]
        summary = {"rows": len(nats), "log_likelihood": float(nats.mean())}
        note = f"mean log-likelihood {nats.mean():.3f} nats per row"
        _print_summary(terminal, out, summary, note)


def embed(
    run: RUN, data: DATA, out: OUT, json: JSON = False, quiet: QUIET = False, debug: DEBUG = False
) -> None:
    """Write the posterior mean of z for each row of DATA.

    The columns are latent0, latent1, and so on.
    """
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(out)
        vae, rows = _load(run), aevb.table.read(data).data
        codes = vae.transform(rows)
        latents = {f"latent{k}": column for k, column in enumerate(codes.T)}
        _write_columns(rows, vae, latents, out)
        summary = {"rows": len(codes), "latent_dim": len(latents)}
        _print_summary(terminal, out, summary, f"{len(latents)} latents")


def reconstruct(
    run: RUN, data: DATA, out: OUT, json: JSON = False, quiet: QUIET = False, debug: DEBUG = False
) -> None:
    """Write the reconstruction of each row of DATA.

    It is E[x|z] at the posterior mean of z.
    """
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(out)
        vae, rows = _load(run), aevb.table.read(data).data
        rebuilt = vae.reconstruct(rows)
        aevb.table.write(rebuilt, out)
        _print_summary(terminal, out, {"rows": len(rebuilt)})


def sample(
    run: RUN,
    out: OUT,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many rows.")],
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Random seed [the one of the fit]."),
    ] = None,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Draw rows from the model.

    They have the columns and levels of the data that it was fitted to.
    """
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(out)
        rows = _load(run).sample(number, random_state=seed)
        aevb.table.write(rows, out)
        _print_summary(terminal, out, {"rows": len(rows)})


def impute(
    run: RUN,
    data: DATA,
    out: OUT,
    draws: Annotated[
        int | None,
        typer.Option(min=1, help="Complete DATA this many times; a column draw numbers them."),
    ] = None,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Write DATA with missing cells filled in.

    Observed cells stay as they are.
    """
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(out)
        vae, rows = _load(run), aevb.table.read(data).data
        filled = vae.impute(rows, draws=draws)
        summary, note = {"rows": len(filled)}, ""
        if draws is not None:
            summary = {"rows": len(filled[0]), "draws": draws}
            note = f"{draws} draws of each"
            filled = _stacked(filled, out)
        aevb.table.write(filled, out)
        _print_summary(terminal, out, summary, note)


def _load(run: Path) -> "VAE":
    """The fitted model; columns of data are put in its order by name."""
    vae = aevb.load(run)
    vae.reorder = True
    return vae


def _check_ending(output: Path) -> None:
    """Before any work is done."""
    endings = ".csv", ".parquet", ".npy"
    if output.suffix.lower() not in endings:
        raise ConfigError(f"--output must end in {', '.join(endings)}; got {str(output)!r}")


def _write_columns(rows: "TableLike", vae: "VAE", columns: "Columns", output: Path) -> None:
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
    aevb.table.write(pa.table({**carried, **columns}), output)


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
    line = f"{output}: {summary['rows']:,} rows"
    if note:
        line += f", {note}"
    terminal.note(line)
