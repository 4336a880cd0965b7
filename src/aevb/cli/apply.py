"""What can be done with a fitted model and rows: evaluate, score, embed, reconstruct, sample,
impute.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from aevb.cli.options import DATA, DEBUG, JSON, OUT, QUIET, RUN
from aevb.cli.results import show_results
from aevb.cli.terminal import Terminal
from aevb.errors import ConfigError

__all__ = ["embed", "evaluate", "impute", "reconstruct", "sample", "score"]

ENDINGS = (".csv", ".parquet", ".npy")


def evaluate(
    run: RUN,
    data: DATA,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Samples a row [1000; of ais, chains: 16; of harmonic: 500]."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="iwae (importance weights), ais (annealed), harmonic (appendix D).")
    ] = "iwae",
    *,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Say what RUN is worth on rows of DATA it has not seen."""
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        vae, source = _load(run), _read(data)
        rows = len(source.data)
        told = (
            {"progress": lambda done: terminal.note(f"{done:,} of {rows:,} rows")}
            if method != "iwae"
            else {}
        )
        results = vae.evaluate(source.data, samples=samples, method=method, **told)
        terminal.result(results, lambda out: show_results(out, results))


def score(
    run: RUN,
    data: DATA,
    output: OUT,
    *,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Write log p(x) of each row of DATA, in nats, its Monte Carlo error and effective sample size."""
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(output)
        vae, source = _load(run), _read(data)
        scores = vae.score_details(source.data)._asdict()
        _write(_beside(source.data, vae, scores), output, list(scores))
        nats = scores["log_likelihood"]
        summary = {"rows": len(nats), "log_likelihood": float(nats.mean())}
        _done(terminal, output, summary, f"mean log-likelihood {nats.mean():.3f} nats a row")


def embed(
    run: RUN,
    data: DATA,
    output: OUT,
    *,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Write the posterior mean of z for each row of DATA: columns latent0, latent1, ..."""
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(output)
        vae, source = _load(run), _read(data)
        codes = vae.transform(source.data)
        latents = {f"latent{k}": codes[:, k] for k in range(codes.shape[1])}
        _write(_beside(source.data, vae, latents), output, list(latents))
        _done(
            terminal,
            output,
            {"rows": len(codes), "latent_dim": codes.shape[1]},
            f"{codes.shape[1]} latents",
        )


def reconstruct(
    run: RUN,
    data: DATA,
    output: OUT,
    *,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Write E[x|z] at the posterior mean of z, for each row of DATA."""
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(output)
        vae, source = _load(run), _read(data)
        rows = vae.reconstruct(source.data)
        _write(rows, output)
        _done(terminal, output, {"rows": len(rows)})


def sample(
    run: RUN,
    output: OUT,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many rows.")],
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Of these rows; that of the fit unless given."),
    ] = None,
    *,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Draw rows from the model, with the columns and levels of the data it was fitted to."""
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(output)
        rows = _load(run).sample(number, random_state=seed)
        _write(rows, output)
        _done(terminal, output, {"rows": len(rows)})


def impute(
    run: RUN,
    data: DATA,
    output: OUT,
    draws: Annotated[
        int | None,
        typer.Option(
            min=1, help="Complete the data this many times, told apart by a column named draw."
        ),
    ] = None,
    *,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Write DATA with its missing cells filled in; observed cells stay as they are."""
    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        _check_ending(output)
        vae, source = _load(run), _read(data)
        filled = vae.impute(source.data, draws=draws)
        _write(filled if draws is None else _stacked(filled, output), output)
        summary = {"rows": len(source.data)} | ({} if draws is None else {"draws": draws})
        _done(terminal, output, summary)


def _load(run: Path) -> Any:
    """The fitted model; columns of data are put in its order by name."""
    from aevb import load

    vae = load(run)
    vae.reorder = True
    return vae


def _read(data: str) -> Any:
    from aevb.table import read

    return read(data)


def _check_ending(output: Path) -> None:
    """Before any work is done for it."""
    if output.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--output must end in {', '.join(ENDINGS)}; got {str(output)!r}")


def _write(rows: Any, output: Path, numbers: list[str] | None = None) -> None:
    """Write a frame or array; an .npy file holds the matrix of these columns alone."""
    from aevb.table import write

    if numbers is not None and output.suffix.lower() == ".npy":
        import narwhals as nw

        rows = nw.from_native(rows, eager_only=True).select(numbers).to_numpy()
    write(rows, output)


def _beside(frame: Any, vae: Any, columns: Mapping[str, Any]) -> Any:
    """New columns beside those the model ignored, so that rows can be joined back."""
    import narwhals as nw
    import pyarrow as pa

    carried = {}
    if nw.dependencies.is_into_dataframe(frame):
        table = nw.from_native(frame, eager_only=True)
        carried = {
            name: table[name].to_arrow() for name in vae.schema_.ignored if name in table.columns
        }
    if both := carried.keys() & columns.keys():
        raise ConfigError(f"the data already have a column named {min(both)!r}: rename it")
    return pa.table(carried | {name: pa.array(values) for name, values in columns.items()})


def _stacked(draws: Any, output: Path) -> Any:
    """Completed tables one below the other, each row with the number of its draw."""
    import narwhals as nw
    import numpy as np

    if isinstance(draws, np.ndarray):
        return draws if output.suffix.lower() == ".npy" else _numbered_rows(draws)
    tables = [nw.from_native(table, eager_only=True) for table in draws]
    return nw.concat(
        [table.with_columns(nw.lit(number).alias("draw")) for number, table in enumerate(tables)]
    ).to_native()


def _numbered_rows(draws: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    number, rows = draws.shape[:2]
    flat = draws.reshape(number * rows, -1)
    columns = {f"x{j}": flat[:, j] for j in range(flat.shape[1])}
    return pa.table(columns | {"draw": np.repeat(np.arange(number), rows)})


def _done(terminal: Terminal, output: Path, summary: Mapping[str, Any], also: str = "") -> None:
    """Files are the result: people get a note, programs the numbers."""
    if terminal.json:
        terminal.result({**summary, "output": str(output)}, lambda _: None)
    terminal.note(f"{output}: {summary['rows']:,} rows" + (f", {also}" if also else ""))
