"""The labels of a pandas frame's columns, which may be numbers, dates or tuples; kept as JSON."""

import math
import warnings
from collections.abc import Sequence
from datetime import date
from typing import Any

from aevb.errors import AevbWarning, ModelFileError
from aevb.table.containers import library_of
from aevb.table.schema import Header

__all__ = ["headers_of", "with_headers"]

#: Types of an index whose labels are written as text and read again by the type.
BY_TEXT = ("datetime64", "timedelta64", "period")


def headers_of(data: Any, places: Sequence[int]) -> tuple[Header, ...]:
    """The header of some columns of a frame, one for each level; none where they have plain names.

    Labels that JSON cannot hold are kept as their text, with an `AevbWarning`.
    """
    if library_of(data) != "pandas":
        return ()
    index = data.columns[list(places)]
    plain = index.nlevels == 1 and index.name is None
    if plain and all(isinstance(label, str) for label in index):
        return ()
    return tuple(_header(index.get_level_values(level)) for level in range(index.nlevels))


def with_headers(frame: Any, headers: tuple[Header, ...]) -> Any:
    """The pandas frame with these labels of its columns; `ModelFileError` if it has other ones."""
    import pandas

    if not headers:
        return frame
    try:
        levels = [_index(one) for one in headers]
        index = levels[0] if len(levels) == 1 else pandas.MultiIndex.from_arrays(levels)
        index.names = [one.name for one in headers]
        return frame.set_axis(index, axis=1)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"schema.json: no labels of these columns: {error}") from error


def _index(header: Header) -> Any:
    import pandas

    if header.dtype != "date":
        return pandas.Index(header.labels, dtype=header.dtype)
    return pandas.Index([date.fromisoformat(str(label)) for label in header.labels], dtype=object)


def _header(index: Any) -> Header:
    name = index.name if _is_storable(index.name) else str(index.name)
    dtype = str(index.dtype)
    labels = index.tolist()
    if dtype.startswith(BY_TEXT) and not index.hasnans:
        return Header(tuple(map(str, labels)), dtype, name)
    if set(map(type, labels)) == {date}:
        return Header(tuple(map(str, labels)), "date", name)
    if all(map(_is_storable, labels)):
        return Header(tuple(labels), dtype, name)
    kinds = sorted({type(label).__name__ for label in labels if not _is_storable(label)})
    warnings.warn(
        f"columns whose labels are of type {' and '.join(kinds)} have their text in samples",
        AevbWarning,
        stacklevel=4,
    )
    return Header(tuple(map(str, labels)), "object", name)


def _is_storable(label: object) -> bool:
    if isinstance(label, float):
        return math.isfinite(label)
    return label is None or type(label) in (str, int, bool)
