"""Documents as JSON and arrays as safetensors; whatever is wrong with a file is a `ModelFileError`.

JSON has no NaN and no infinity: both are written as null.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import TypeAdapter, ValidationError

from aevb.errors import ModelFileError

__all__ = [
    "Arrays",
    "nulls_as_nan",
    "pack",
    "parse_json",
    "plain",
    "to_json",
    "unpack",
    "validated",
]

Arrays = dict[str, NDArray[Any]]
Kind = TypeVar("Kind")


def plain(document: object) -> Any:
    """The document as JSON can hold it.

    >>> plain({"bound": np.float32("nan"), 2: (1, np.arange(2))})
    {'bound': None, '2': [1, [0, 1]]}
    """
    if isinstance(document, Mapping):
        return {str(key): plain(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [plain(value) for value in document]
    if isinstance(document, np.ndarray | np.generic):
        return plain(document.tolist())
    if isinstance(document, float) and not math.isfinite(document):
        return None
    return document


def to_json(document: object) -> str:
    """The document as JSON text with sorted keys: the same bytes for the same content."""
    return json.dumps(plain(document), indent=1, sort_keys=True, allow_nan=False) + "\n"


def nulls_as_nan(document: Any) -> Any:
    """A document that was read, with NaN for null."""
    if isinstance(document, dict):
        return {key: nulls_as_nan(value) for key, value in document.items()}
    if isinstance(document, list):
        return [nulls_as_nan(value) for value in document]
    if document is None:
        return math.nan
    return document


def parse_json(
    content: bytes | str, name: str, *, max_items: int = 2_000_000, max_depth: int = 64
) -> Any:
    """The document of a JSON text in UTF-8, without NaN, infinity, or a key that is there twice.

    `name` is the file, for messages. `max_items` bounds the memory that reading takes, `max_depth`
    the levels of lists and objects.
    """
    try:
        if isinstance(content, bytes):
            content = content.decode("utf-8")
        if sum(content.count(mark) for mark in ",[{") > max_items:
            raise ValueError(f"more than {max_items:,} items")
        document = json.loads(content, object_pairs_hook=_unique)
        _check(document, max_depth)
        return document
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{name} is not a JSON document of this package: {error}") from error


def validated(kind: type[Kind], content: object, name: str) -> Kind:
    """The content of a document as an object of this type; `name` is the file, for messages."""
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:80]
        raise ModelFileError(
            f"{name} does not hold what it should: {where!a}: {first['msg']}"
        ) from error


def pack(arrays: Mapping[str, ArrayLike], text: str = "") -> bytes:
    """The safetensors file of these arrays and a text."""
    from safetensors.numpy import save

    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return bytes(save(contiguous, {"aevb": text} if text else None))


def unpack(content: bytes, name: str, *, max_header: int = 4 * 2**20) -> tuple[Arrays, str]:
    """The arrays and the text of a safetensors file; `name` is the file, for messages.

    Nothing is allocated for what the file only declares. The 4 MiB of `max_header` list 40,000
    arrays.
    """
    from safetensors.numpy import load

    size = int.from_bytes(content[:8], "little")
    if size > min(len(content) - 8, max_header):
        raise ModelFileError(f"{name}: a header of {size:,} bytes in a file of {len(content):,}")
    header = parse_json(content[8 : 8 + size], f"the header of {name}")
    try:
        arrays = load(content)
        text = header.get("__metadata__", {}).get("aevb", "")
    except Exception as error:  # of several classes, according to what is wrong
        raise ModelFileError(f"{name} is not a safetensors file: {error!r}") from error
    return dict(sorted(arrays.items())), text


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is there twice")
    return document


def _check(node: object, levels: int) -> None:
    """Raise `ValueError` where a number is not finite, or lists and objects nest too deeply."""
    if isinstance(node, float) and not math.isfinite(node):
        raise ValueError("a number is NaN or infinite")
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        if levels == 0:
            raise ValueError("nested too deeply")
        for child in node:
            _check(child, levels - 1)
