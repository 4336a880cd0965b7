"""Which data these are: a fingerprint that tells a changed file, and does not tell one container
from another.
"""

import hashlib
from typing import Any

import numpy as np

from aevb.errors import DataError
from aevb.table.tables import Cells, Table, table_of

__all__ = ["fingerprint"]


def fingerprint(data: Any) -> dict[str, Any]:
    """``rows``, ``columns`` and ``sha256`` of a table: of its names, the order of its rows, and
    every cell.

    Numbers, text and booleans have the same one in a frame of pandas, polars or pyarrow; an array's
    is of its type and bytes.

    >>> fingerprint(np.zeros((2, 3), np.uint8))["sha256"][:8]
    'eeead995'
    """
    table = table_of(data)
    digest = hashlib.sha256(repr((table.rows, len(table.names))).encode())
    if isinstance(table.native, np.ndarray) and table.native.dtype.kind in "biuf":
        digest.update(table.native.dtype.str.encode())
        digest.update(np.ascontiguousarray(table.native).data)
    else:
        for name in table.names:
            digest.update(ascii(name).encode())
            for part in _parts(table, name):
                digest.update(part)
    return {"rows": table.rows, "columns": len(table.names), "sha256": digest.hexdigest()}


def _parts(table: Table, name: str) -> tuple[Any, Any]:
    """The bytes of a column: its levels, and its values or codes; of what no model can hold, how
    Python writes it.
    """
    try:
        cells: Cells | None = table.column(name)
    except DataError:  # a number that float64 would round, in a column to ignore
        cells = None
    if cells is None or cells.family == "unsupported":
        return b"", ascii(_items(table, name)).encode()
    values = np.where(np.isnan(cells.values), np.nan, cells.values + 0.0)  # one NaN, one zero
    return ascii((cells.family, cells.levels)).encode(), np.ascontiguousarray(values)


def _items(table: Table, name: str) -> list[Any]:
    native = table.native
    array = isinstance(native, np.ndarray)
    items: list[Any] = (
        native[:, table.names.index(name)].tolist() if array else native[name].to_list()
    )
    return items
