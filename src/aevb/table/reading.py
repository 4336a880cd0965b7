"""Whatever holds the data, to a frame or an array: files, folders, named data sets, or the data
themselves.

Files are untrusted: nothing in them is executed, what they declare is checked before memory is
spent on it, and whatever is wrong with them is a `DataError` of one line.
"""

import lzma
import math
import os
import re
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aevb.errors import ConfigError, DataError
from aevb.table.delimited import read_csv

__all__ = ["Source", "read"]

#: The most a file may unpack to: 8 GiB of float64 values.
MOST_BYTES = 2**33
MOST_ARRAYS = 1_000
FORMATS = (".csv", ".tsv", ".txt", ".parquet", ".npy", ".npz")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
#: Names under which an npz keeps its rows, and its labels.
ROWS = ("x", "X", "data", "x_train", "X_train", "images", "arr_0")
NPY_HEADER = (
    r"'descr' *: *'([<>|=]?[?biufU]\d{0,5})'",
    r"'fortran_order' *: *(True|False)",
    r"'shape' *: *\((( *\d{1,18} *,?){0,8} *)\)",
)
LABELS = ("y", "labels", "target", "y_train", "Y_train")


@dataclass(frozen=True)
class Source:
    """Data as they were found.

    Parameters
    ----------
    name
        What to call them: the file's name without its extension, or the data set's.
    data
        A frame, or an array of shape (rows, columns): images are flattened.
    image_shape
        (height, width) or (height, width, channels) where a row is an image.
    labels
        Names of the label columns of a frame, or one label a row of an array.
    """

    name: str
    data: Any
    image_shape: tuple[int, ...] | None = None
    labels: tuple[str, ...] | NDArray[Any] = ()


def read(source: Any, *, image_size: tuple[int, int] | None = None) -> Source:
    """Data from a path, the name of a data set, an array or a frame.

    A text is a data set's name where it is one (`aevb.table.DATA_SETS`), a path otherwise: a csv,
    parquet, npy or npz file, a folder of parquet files of one schema, or a folder of images. How
    CSV cells are read is said in `aevb.table.delimited`. Images must be of one size, or are brought
    to `image_size` (height, width); they are grey where all are, else colour; where they lie in
    several folders, the folders' names are labels.

    Raises
    ------
    DataError
        No such file, no regular file, or a file that is damaged, too large, or not what its
        extension says.
    ConfigError
        A file that is not on this machine.
    """
    if not isinstance(source, str | os.PathLike):
        return _flat("array" if isinstance(source, np.ndarray | list) else "table", source)
    from aevb.table.named import DATA_SETS, named

    if str(source) in DATA_SETS:
        return named(str(source))
    if not str(source):  # Path("") would be the folder one stands in
        raise DataError("expected the name of a file, folder or data set, got an empty one")
    path = Path(source)
    try:
        return _read_folder(path, image_size) if _is_folder(path) else _read_file(path)
    except OSError as error:
        raise DataError(f"{_short(path)} could not be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise DataError(
            f"{_short(path)} could not be read: it does not fit in memory: give fewer rows"
        ) from error


def _flat(name: str, data: Any, labels: tuple[str, ...] | NDArray[Any] = ()) -> Source:
    """Images flattened, their shape kept."""
    shape = getattr(data, "shape", ())
    if len(shape) in (3, 4):
        flat = np.asarray(data) if not isinstance(data, np.ma.MaskedArray) else data
        return Source(
            name, flat.reshape(len(flat), -1), tuple(int(side) for side in shape[1:]), labels
        )
    return Source(name, data, None, labels)


def _short(path: Path) -> str:
    text = ascii(str(path)) if not str(path).isprintable() else str(path)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _is_folder(path: Path) -> bool:
    """Whether the path is a folder; `DataError` where it is neither a folder nor a regular file."""
    if "://" in str(path) or str(path).startswith(("s3:/", "gs:/", "http:/", "https:/")):
        raise ConfigError(
            f"expected a file on this machine, got {_short(path)}: copy it here first"
        )
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, ValueError):
        from aevb.table.inference import nearest
        from aevb.table.named import DATA_SETS

        hint = nearest(str(path)[:100], DATA_SETS)
        raise DataError(
            f"no file, folder or data set is named {_short(path)}; among data sets, {hint}"
        ) from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(
            f"expected a regular file or a folder, got {_short(path)}, which is neither"
        )
    return stat.S_ISDIR(mode)


def _read_file(path: Path) -> Source:
    readers: dict[str, Callable[[Path], Any]] = {
        **dict.fromkeys((".csv", ".tsv", ".txt"), read_csv),
        ".parquet": lambda path: read_parquet([path]),
        ".npy": _read_npy,
    }
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _read_npz(path)
    if suffix not in readers:
        raise DataError(f"expected a file that ends in {', '.join(FORMATS)}, got {_short(path)}")
    return _flat(path.stem, readers[suffix](path))


def _read_folder(path: Path, image_size: tuple[int, int] | None) -> Source:
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
    ]
    name = path.resolve().name
    tables = [file for file in files if file.suffix.lower() == ".parquet"]
    images = [file for file in files if file.suffix.lower() in IMAGES]
    if tables:
        return Source(name, read_parquet(tables))
    if not images:
        raise DataError(
            f"expected a folder of parquet files or of images, got {_short(path)} with none of them"
        )
    array = read_images(images, image_size)
    folders = np.array([file.parent.relative_to(path).as_posix() for file in images])
    return _flat(name, array, folders if len(set(folders)) > 1 else ())


# Parquet


def read_parquet(files: list[Path]) -> Any:
    """The rows of all files, which must have one schema; page checksums are verified where there
    are any.
    """
    import pyarrow

    parts: list[Any] = []
    for file in files:
        part = _read_parquet_file(file)
        if parts and not part.schema.equals(parts[0].schema):
            different = set(part.schema) ^ set(parts[0].schema) or "the order of columns"
            names = sorted(
                {field.name for field in different} if isinstance(different, set) else {different}
            )
            raise DataError(
                f"{file.name}: expected the columns of {files[0].name}, got other {', '.join(names)}"
            )
        parts.append(part)
    table = pyarrow.concat_tables(parts)
    if not len(table) or not table.num_columns:
        raise DataError(
            f"{files[0].name}: expected rows and columns, got {len(table)} and {table.num_columns}"
        )
    return table


def _read_parquet_file(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    where = "footer"
    groups = []
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            _check_size(file.metadata, path.name)
            for i in range(file.metadata.num_row_groups):
                where = f"row group {i}"
                groups.append(file.read_row_group(i))
                if len(groups[-1]) != file.metadata.row_group(i).num_rows:
                    raise DataError(
                        f"{path.name}, row group {i}: expected as many rows as it declares"
                    )
            schema = file.schema_arrow
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path.name}, {where}: damaged or no parquet file: {_first_line(error)}"
        ) from error
    table = pyarrow.concat_tables(groups) if groups else schema.empty_table()
    return table.replace_schema_metadata(None)


def _check_size(metadata: Any, name: str) -> None:
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        needed = max(group.total_byte_size, 8 * group.num_rows * metadata.num_columns)
        if needed > MOST_BYTES:
            raise DataError(
                f"{name}, row group {i}: expected at most {MOST_BYTES} bytes unpacked, got {needed}"
            )
    if 8 * metadata.num_rows * metadata.num_columns > MOST_BYTES:
        raise DataError(
            f"{name}: expected at most {MOST_BYTES // 8} values, got {metadata.num_rows} rows: give fewer"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# Arrays


def _read_npy(path: Path) -> NDArray[Any]:
    return parse_npy(path.read_bytes(), path.name)


def parse_npy(content: bytes, name: str) -> NDArray[Any]:
    """The array in the bytes of an npy file, read-only.

    The header is matched, not evaluated, and must declare as many bytes as there are: no memory is
    spent on what it says, and objects (which would have to be unpickled) are refused.
    """
    version, width = content[6:7], 2 if content[6:7] == b"\x01" else 4
    start = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
    header = content[8 + width : start].decode("latin-1")
    found = (
        [re.search(pattern, header) for pattern in NPY_HEADER] if len(header) < 10_000 else [None]
    )
    if content[:6] != b"\x93NUMPY" or version not in (b"\1", b"\2", b"\3") or None in found:
        raise DataError(f"{name}: damaged, or no npy file of numbers or text")
    descr, order, sides = (match[1] for match in found if match)
    try:
        dtype, shape = (
            np.dtype(descr),
            tuple(int(side) for side in sides.split(",") if side.strip()),
        )
        if (
            not shape
            or dtype.itemsize * math.prod(shape) != len(content) - start
            or len(content) == start
        ):
            raise ValueError(f"its {len(content) - start} bytes are not {descr} of shape {shape}")
        array = np.frombuffer(content, dtype, offset=start).reshape(
            shape, order="F" if order == "True" else "C"
        )
        if (
            dtype.kind == "U"
            and np.frombuffer(content, f"{dtype.str[0]}u4", offset=start).max() > sys.maxunicode
        ):
            raise ValueError("not every 4 bytes are a character")
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: damaged or empty: {error}") from error
    return array


def _read_npz(path: Path) -> Source:
    """The rows, under one of their usual names or as the only array, and their labels where there
    are any.
    """
    arrays = load_npz(path)
    rows = next((name for name in ROWS if name in arrays), None) or (
        next(iter(arrays)) if len(arrays) == 1 else None
    )
    if rows is None:
        raise DataError(
            f"{path.name}: expected an array named x, got {', '.join(sorted(arrays)[:10]) or 'none'}"
        )
    labels = next(
        (
            arrays[name]
            for name in LABELS
            if name in arrays and len(arrays[name]) == len(arrays[rows])
        ),
        None,
    )
    return _flat(path.stem, arrays[rows], () if labels is None else labels)


def load_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file; `DataError` where it is damaged, holds objects, or unpacks to too
    much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            if len(entries) > MOST_ARRAYS or total > MOST_BYTES:
                raise DataError(
                    f"{path.name}: expected at most {MOST_ARRAYS} arrays of {MOST_BYTES} bytes, "
                    f"got {len(entries)} of {total}"
                )
            if len({entry.filename for entry in entries}) < len(entries):
                raise DataError(f"{path.name}: expected each array once, got a name twice")
            return {
                entry.filename.removesuffix(".npy"): parse_npy(archive.read(entry), path.name)
                for entry in entries
            }
    except DataError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        ValueError,
        OSError,
        EOFError,
        RuntimeError,
        struct.error,
    ) as error:
        raise DataError(
            f"{path.name}: damaged or no npz file of numbers: {_first_line(error)}"
        ) from error


# Images


def read_images(files: list[Path], image_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Images as an array of shape (images, height, width), or (images, height, width, 3) where one
    has colour.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("reading images takes Pillow: pip install pillow") from error
    import warnings

    arrays: list[NDArray[np.uint8]] = []
    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(file) as image:
                    grey = image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16")
                    picture = image.convert("L" if grey else "RGB")
                    picture = picture.resize(image_size[::-1]) if image_size else picture
                    arrays.append(np.asarray(picture, dtype=np.uint8))
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
            Image.DecompressionBombWarning,
        ) as error:
            raise DataError(f"{file.name}: damaged or no image: {_first_line(error)}") from error
        if arrays[-1].shape[:2] != arrays[0].shape[:2]:
            (h, w), (height, width) = arrays[-1].shape[:2], arrays[0].shape[:2]
            raise DataError(
                f"{file.name}: expected {height} x {width} pixels, got {h} x {w}: give an image size"
            )
    if any(array.ndim == 3 for array in arrays):
        arrays = [
            array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2) for array in arrays
        ]
    return np.stack(arrays)
