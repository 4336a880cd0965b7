"""Whatever holds the data: files, folders, named data sets, or the data themselves."""

import os
import stat
from pathlib import Path

import numpy as np

from aevb.errors import ConfigError, DataError, nearest
from aevb.table.delimited import Header
from aevb.table.files import Source, flattened, read_file, read_folder, read_stdin, shown
from aevb.table.named import DATA_SETS, named
from aevb.table.tables import TableLike

__all__ = ["read"]


def read(
    source: str | os.PathLike[str] | TableLike,
    *,
    image_size: tuple[int, int] | None = None,
    header: Header = None,
) -> Source:
    """Read data from a path, the name of a data set, an array or a frame.

    A text is a data set's name if it is one (`aevb.table.DATA_SETS`), else a path: a csv, tsv, txt,
    jsonl, xlsx, parquet, npy or npz file (those of text may be packed as gz or zst), a folder of
    parquet files of one schema, or a folder of images; ``-`` is standard input. A CSV file has no
    types: its table is one of text, as `aevb.table.delimited` describes, to which `infer` gives
    types. `header` says whether its first line holds the names of the columns; None guesses, with a
    note where that line could be data, and names, such as those of a fitted model, make it a header
    if one of them is in it. Images must be of one size, or are brought to
    `image_size` (height, width); they are gray if all are, else color; if they lie in several
    folders, the folders' names are labels.

    Raises
    ------
    DataError
        No such file, no regular file, or a file that is damaged, too large, or not what its
        extension says.
    ConfigError
        A file that is not on this machine.
    """
    if isinstance(source, np.ndarray | list):
        return flattened("array", source)
    if not isinstance(source, str | os.PathLike):
        return flattened("table", source)
    if str(source) in DATA_SETS:
        return named(str(source))
    if not str(source):  # Path("") would be the current folder
        raise DataError("expected the name of a file, folder or data set, got an empty one")
    path = Path(source)
    try:
        if str(source) == "-":
            return read_stdin(header)
        return read_folder(path, image_size) if _is_folder(path) else read_file(path, header)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{shown(path)} could not be read: {reason}") from error
    except MemoryError as error:
        problem = "it does not fit in memory: give fewer rows"
        raise DataError(f"{shown(path)} could not be read: {problem}") from error


def _is_folder(path: Path) -> bool:
    """Whether the path is a folder; `DataError` if it is neither a folder nor a regular file."""
    if "://" in str(path) or str(path).startswith(("s3:/", "gs:/", "http:/", "https:/")):
        raise ConfigError(f"expected a file on this machine, got {shown(path)}: copy it here first")
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, ValueError):
        near = nearest(str(path)[:100], DATA_SETS)
        raise DataError(f"no file, folder or data set is named {shown(path)}; {near}") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"expected a regular file or a folder, got {shown(path)}, which is neither")
    return stat.S_ISDIR(mode)
