"""Files and folders to frames and arrays.

Files are untrusted: nothing in them is executed, what they declare is checked before memory is
spent on it, and whatever is wrong with them is a `DataError` of one line.
"""

import sys
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aevb.errors import DataError
from aevb.table.delimited import Header, read_csv
from aevb.table.records import read_json_lines
from aevb.table.tables import WRITTEN, TableLike
from aevb.table.unpacking import unpacked

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Source", "flattened", "load_npz", "read_file", "read_folder", "read_stdin"]

#: The most that a file may unpack to: 8 GiB of float64 values.
MOST_BYTES = 2**33
#: Extensions of files of text, and of those that may hold one packed.
TEXTS = (".csv", ".tsv", ".txt", ".data", ".jsonl", ".ndjson")
PACKED = (".gz", ".zst")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")


@dataclass(frozen=True)
class Source:
    """Data as they were found.

    Parameters
    ----------
    name
        The file's name without its extension, or the data set's.
    data
        A frame, or an array of shape (rows, columns): images are flattened.
    image_shape
        (height, width) or (height, width, channels) if a row is an image.
    labels
        Names of the label columns of a frame, or one label per row of an array.
    """

    name: str
    data: Any
    image_shape: tuple[int, ...] | None = None
    labels: tuple[str, ...] | NDArray[np.generic] = ()


def flattened(
    name: str, data: TableLike, labels: tuple[str, ...] | NDArray[np.generic] = ()
) -> Source:
    """The source of data that may be images, which are flattened; their shape is kept."""
    shape = getattr(data, "shape", ())
    if len(shape) not in (3, 4):
        return Source(name, data, None, labels)
    images = np.asanyarray(data)
    return Source(name, images.reshape(len(images), -1), tuple(map(int, shape[1:])), labels)


def read_file(path: Path, header: Header = None) -> Source:
    """Read the rows of a file, by its extension: one of `READABLE`, or `TEXTS` that is packed."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return Source(path.stem, read_parquet([path]))
    if suffix == ".npz":
        return _read_npz(path)
    if suffix == ".npy":
        return flattened(path.stem, _read_npy(path.open("rb"), path.name))
    inner = Path(path.stem) if suffix in PACKED else path
    if inner.suffix.lower() in (*TEXTS, ".xlsx", ".parquet" if suffix in PACKED else ""):
        table = read_content(path.read_bytes(), path.name, inner.suffix.lower(), header)
        return Source(inner.stem, table)
    formats = ", ".join([*TEXTS, ".xlsx", ".parquet", ".npy", ".npz", *PACKED])
    raise DataError(f"expected a file that ends in {formats}, got {shown(path)}")


def read_stdin(header: Header = None) -> Source:
    """Read the rows that come from standard input: CSV unless its first bytes say otherwise."""
    content = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DataError(f"standard input: expected at most {MOST_BYTES} bytes, got more")
    return Source("stdin", read_content(content, "standard input", "", header))


def read_content(content: bytes, name: str, suffix: str, header: Header = None) -> "pyarrow.Table":
    """The table in the bytes of a file, by its first bytes, else by its extension."""
    content = unpacked(content, name, MOST_BYTES)
    if content.startswith(b"PAR1"):
        import pyarrow

        return _filled(_read_parquet_file(pyarrow.BufferReader(content), name), name)
    if content.startswith(b"PK\x03\x04") or suffix == ".xlsx":
        from aevb.table.spreadsheets import read_xlsx

        return read_xlsx(content, name, header, MOST_BYTES)
    if suffix in (".jsonl", ".ndjson") or (not suffix and content.startswith(b"{")):
        return read_json_lines(content, name)
    return read_csv(content, name, header)


def read_folder(path: Path, image_size: tuple[int, int] | None) -> Source:
    """Read the rows of parquet files of one schema, or images, whose folders are their labels."""
    tables, images = [], []
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
        if hidden or not file.is_file():
            continue
        if file.suffix.lower() == ".parquet":
            tables.append(file)
        if file.suffix.lower() in IMAGES:
            images.append(file)
    name = path.resolve().name
    if tables:
        return Source(name, read_parquet(tables))
    if not images:
        raise DataError(
            f"expected a folder of parquet files or of images, got {shown(path)} with none of them"
        )
    folders = np.array([file.parent.relative_to(path).as_posix() for file in images])
    labels = folders if len(set(folders)) > 1 else ()
    return flattened(name, read_images(images, image_size), labels)


def shown(path: Path, most: int = 200) -> str:
    """A path on one line of a message."""
    text = str(path)
    if not text.isprintable():
        text = ascii(text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def damaged(where: str, what: str, error: BaseException) -> DataError:
    """The error of a file that could not be read."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return DataError(f"{where}: damaged or no {what}: {reason}")


# Parquet


def read_parquet(files: list[Path]) -> "pyarrow.Table":
    """The rows of files that must have one schema; page checksums are verified if there are any."""
    import pyarrow

    tables: list[pyarrow.Table] = []
    for file in files:
        table = _read_parquet_file(file, file.name)
        if tables and not table.schema.equals(tables[0].schema):
            fields = set(table.schema) ^ set(tables[0].schema)
            other = ", ".join(sorted({field.name for field in fields})) or "the order of columns"
            raise DataError(
                f"{file.name}: expected the columns of {files[0].name}, got other {other}"
            )
        tables.append(table)
    return _filled(pyarrow.concat_tables(tables), files[0].name)


def _filled(table: "pyarrow.Table", name: str) -> "pyarrow.Table":
    """The table; `DataError` if it has no rows or columns."""
    if not len(table) or not table.num_columns:
        size = f"{len(table)} and {table.num_columns}"
        raise DataError(f"{name}: expected rows and columns, got {size}")
    return table


def _read_parquet_file(file: Any, name: str) -> "pyarrow.Table":
    """The rows of a parquet file, from its path or its bytes."""
    import pyarrow
    from pyarrow import parquet

    where = f"{name}, footer"
    groups = []
    try:
        with parquet.ParquetFile(file, page_checksum_verification=True) as opened:
            _check_size(opened.metadata, name)
            for i in range(opened.num_row_groups):
                where = f"{name}, row group {i}"
                groups.append(opened.read_row_group(i))
                if len(groups[-1]) != opened.metadata.row_group(i).num_rows:
                    raise DataError(f"{where}: expected as many rows as it declares")
            empty = opened.schema_arrow.empty_table()
    except DataError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise damaged(where, "parquet file", error) from error
    metadata = None
    if empty.schema.metadata == WRITTEN and set(empty.schema.types) == {pyarrow.string()}:
        metadata = WRITTEN  # as `aevb.table.write` leaves it
    return pyarrow.concat_tables([empty, *groups]).replace_schema_metadata(metadata)


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
            f"{name}: expected at most {MOST_BYTES // 8} values, got {metadata.num_rows} rows: "
            "give fewer"
        )


# Arrays


def _read_npy(file: IO[bytes], name: str) -> NDArray[Any]:
    """The array in an npy file; objects, which would have to be unpickled, are refused."""
    try:
        with file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):
                raise ValueError("more bytes than its shape declares")
        if array.dtype.kind not in "biufU" or not array.ndim or not array.nbytes:
            raise ValueError(f"an array of {array.dtype} and shape {array.shape}")
        if array.dtype.kind == "U":
            array.tolist()  # raises if 4 bytes are no character
    except Exception as error:
        raise damaged(name, "npy file of numbers or text", error) from error
    return array


def _read_npz(path: Path) -> Source:
    """The rows, under a usual name or as the only array, and their labels if there are any."""
    arrays = load_npz(path)
    usual = ("x", "X", "data", "x_train", "X_train", "images", "arr_0")
    names = [name for name in usual if name in arrays]
    if len(arrays) == 1:
        names = list(arrays)
    if not names:
        found = ", ".join(sorted(arrays)[:10]) or "none"
        raise DataError(f"{path.name}: expected an array named x, got {found}")
    rows = arrays[names[0]]
    for name in ("y", "labels", "target", "y_train", "Y_train"):
        if name in arrays and len(arrays[name]) == len(rows):
            return flattened(path.stem, rows, arrays[name])
    return flattened(path.stem, rows)


def load_npz(path: Path, most_arrays: int = 1_000) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file; `DataError` if it is damaged or unpacks to too much."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            if len(entries) > most_arrays or total > MOST_BYTES:
                raise DataError(
                    f"{path.name}: expected at most {most_arrays} arrays of {MOST_BYTES} bytes, "
                    f"got {len(entries)} of {total}"
                )
            arrays = {}
            for entry in entries:
                name = entry.filename.removesuffix(".npy")
                if name in arrays:
                    raise DataError(f"{path.name}: expected each array once, got a name twice")
                arrays[name] = _read_npy(archive.open(entry), path.name)
            return arrays
    except DataError:
        raise
    except Exception as error:
        raise damaged(path.name, "npz file of numbers", error) from error


# Images


def read_images(files: list[Path], image_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Images as an array of shape (images, height, width), or (images, height, width, 3) if one
    has color.
    """
    arrays = [_read_image(file, image_size) for file in files]
    height, width = arrays[0].shape[:2]
    for file, array in zip(files, arrays, strict=True):
        if array.shape[:2] != (height, width):
            raise DataError(
                f"{file.name}: expected {height} x {width} pixels, got {array.shape[0]} x "
                f"{array.shape[1]}: give an image size"
            )
    if any(array.ndim == 3 for array in arrays):
        arrays = [np.broadcast_to(np.atleast_3d(array), (height, width, 3)) for array in arrays]
    return np.stack(arrays)


def _read_image(file: Path, image_size: tuple[int, int] | None) -> NDArray[np.uint8]:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("reading images takes Pillow: pip install pillow") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                gray = image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16")
                picture = image.convert("L" if gray else "RGB")
        if image_size:
            picture = picture.resize(image_size[::-1])
        return np.asarray(picture, dtype=np.uint8)
    except Exception as error:
        raise damaged(file.name, "image", error) from error
