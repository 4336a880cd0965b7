"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DATA", "DEBUG", "JSON", "OUT", "QUIET", "RUN"]

DATA = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A file (csv, parquet, npy, npz), a folder, or the name of a data set: see aevb data.",
    ),
]
RUN = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
OUT = Annotated[
    Path, typer.Option("--output", "-o", help="The file to write: .csv, .parquet or .npy.")
]
JSON = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress, notes or warnings.")]
DEBUG = Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")]
