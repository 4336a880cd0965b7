"""Arrays as safetensors and documents as JSON, read strictly: what a file declares is held against
what it holds.

Nothing is allocated on a file's word. Whatever is wrong is a `ModelFileError`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aevb.errors import ModelFileError

__all__ = ["Arrays", "pack", "parse_json", "to_json", "unpack"]

Arrays = dict[str, NDArray[Any]]

#: The header of 40,000 arrays; the format itself would allow 100 MB.
MAX_HEADER = 4 * 2**20
#: Commas and brackets a document may hold: what bounds the memory that parsing takes.
MAX_ITEMS = 2_000_000
MAX_DEPTH = 64
DTYPES = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}


def pack(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """The safetensors file of these arrays. One key of metadata at most keeps the bytes the same
    from run to run.
    """
    from safetensors.numpy import save

    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return bytes(save(contiguous, dict(metadata) if metadata else None))


def unpack(content: bytes | bytearray, name: str) -> tuple[Arrays, dict[str, str]]:
    """The arrays of a safetensors file, views of `content`, and its metadata. `name` is for the
    message.
    """
    header, data = _header(content, name)
    metadata = header.pop("__metadata__", {})
    if not _is_text_map(metadata):
        raise ModelFileError(f"{name}: metadata must map text to text")
    position = 0
    arrays = {}
    for key, entry in sorted(
        header.items(), key=lambda item: _span(item[1], f"{name}: {item[0]!r}")
    ):
        start, end = _span(entry, f"{name}: {key!r}")
        if start != position:
            raise ModelFileError(
                f"{name}: {key!r} starts at byte {start} where byte {position} is next"
            )
        arrays[key] = _array(data[start:end], entry, f"{name}: {key!r}")
        position = end
    if position != len(data):
        raise ModelFileError(
            f"{name}: arrays end at byte {position} of {len(data)}; the file is cut off or padded"
        )
    return arrays, metadata


def parse_json(content: bytes | bytearray | str, name: str, limit: int = MAX_ITEMS) -> Any:
    """Strict JSON: UTF-8, no NaN or infinity, no key twice, at most `limit` items and `MAX_DEPTH`
    levels.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        if sum(text.count(mark) for mark in ",[{") > limit:
            raise ValueError(f"more than {limit:,} items")
        document = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_integer,
        )
        _check_depth(document)
        return document
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ModelFileError(
            f"{name} is not a JSON document this package wrote: {reason}"
        ) from error


def to_json(document: Any) -> str:
    """The same bytes for the same content: keys in order, NumPy's numbers plain, numbers that are
    none as null.
    """
    return json.dumps(_plain(document), indent=1, sort_keys=True, allow_nan=False) + "\n"


def _header(content: bytes | bytearray, name: str) -> tuple[dict[str, Any], memoryview]:
    if len(content) < 8:
        raise ModelFileError(
            f"{name} holds {len(content)} bytes; a safetensors file has at least 8"
        )
    length = int.from_bytes(content[:8], "little")
    if length > min(len(content) - 8, MAX_HEADER):
        raise ModelFileError(f"{name}: a header of {length:,} bytes in a file of {len(content):,}")
    header = parse_json(content[8 : 8 + length], f"the header of {name}")
    if not isinstance(header, dict):
        raise ModelFileError(f"{name}: the header must be a JSON object")
    return header, memoryview(content)[8 + length :]


def _span(entry: Any, where: str) -> tuple[int, int]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ModelFileError(f"{where}: expected dtype, shape and data_offsets")
    offsets = entry["data_offsets"]
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ModelFileError(f"{where}: data_offsets must be two whole numbers")
    return offsets[0], offsets[1]


def _array(span: memoryview, entry: dict[str, Any], where: str) -> NDArray[Any]:
    code, shape = entry["dtype"], entry["shape"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ModelFileError(f"{where}: unknown dtype {str(code)[:20]!r}")
    if not _are_sizes(shape) or len(shape) > 32:
        raise ModelFileError(f"{where}: shape must be a list of at most 32 whole numbers")
    dtype = np.dtype(DTYPES[code])
    start, end = entry["data_offsets"]
    if math.prod(shape) * dtype.itemsize != len(span) or end - start != len(span):
        raise ModelFileError(
            f"{where}: shape {str(shape)[:40]} of {code} does not fill {len(span):,} bytes"
        )
    if code == "BOOL" and len(span) and np.frombuffer(span, np.uint8).max() > 1:
        raise ModelFileError(f"{where}: a truth value is neither 0 nor 1")
    try:
        return np.frombuffer(span, dtype).reshape(shape)
    except (ValueError, OverflowError) as error:  # no elements, and sides too long to be said
        raise ModelFileError(f"{where}: {error}") from error


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is there twice")
    return document


def _refuse(literal: str) -> None:
    raise ValueError(f"{literal} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is beyond float64")
    return number


def _integer(digits: str) -> int:
    if len(digits) > 40:
        raise ValueError(f"{digits[:20]}... is too long a number")
    return int(digits)


def _check_depth(document: Any) -> None:
    """Level by level, so that depth costs no stack."""
    level: Sequence[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


def _plain(document: Any) -> Any:
    if isinstance(document, Mapping):
        return {str(key): _plain(value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [_plain(value) for value in document]
    if isinstance(document, (np.ndarray, np.generic)):
        return _plain(document.tolist())
    if isinstance(document, float):
        return document if math.isfinite(document) else None
    return document
