"""What values a column can hold: finite ones, and those on the support of its kind."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aevb.errors import DataError
from aevb.table.schema import Column
from aevb.table.tables import EXACT, Cells

__all__ = ["check_finite", "check_support", "on_grid"]

Array = NDArray[np.float64]
#: What each kind with a support of its own can hold.
SUPPORTS = {
    "positive": "numbers above 0",
    "proportion": "numbers from 0 to 1",
    "count": "whole numbers from 0 up",
    "pixel": "grey values",
}


def check_finite(cells: Cells, inf: Literal["error", "missing"] = "error") -> Cells:
    """The cells, where they are finite; infinite ones missing where asked, else `DataError` naming
    the first.
    """
    numbers = cells.numbers if cells.family == "number" else cells.values
    infinite = np.isinf(numbers)
    if not infinite.any():
        return cells
    if inf == "error":
        row = int(np.flatnonzero(infinite)[0])
        raise DataError(
            f"column {cells.name!r}, row {row} (counting from 0): expected a finite number, got {numbers[row]}: "
            "replace it, leave the cell empty, or count infinite cells as missing",
            hint={"inf": "missing"},
        )
    return cells.finite


def check_support(column: Column, values: Array) -> None:
    """`DataError` naming the first row whose value the column's kind cannot hold."""
    if column.kind not in SUPPORTS:
        return
    lower, upper = column.lower, column.upper
    bad = values <= 0 if column.kind == "positive" else np.zeros(len(values), dtype=bool)
    bad |= np.zeros(1, dtype=bool) if lower is None else values < lower
    bad |= np.zeros(1, dtype=bool) if upper is None else values > upper
    if column.resolution:
        bad |= ~on_grid(values, column.resolution)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        ends = f" from {lower:g} to {upper:g}" if column.kind == "pixel" else ""
        raise DataError(
            f"column {column.name!r}, row {row} (counting from 0): expected {SUPPORTS[column.kind]}{ends} for kind "
            f"{column.kind!r}, got {values[row]:g}: choose another kind",
            hint={"columns": {column.name: "continuous"}},
        )


def on_grid(values: Array, step: float) -> NDArray[np.bool_]:
    """Which values are whole multiples of the step, to the precision of float32 where the step is
    no integer.

    Missing cells lie on any grid. Beyond 2^53 every float64 is whole, which says nothing: those do
    not.
    """
    steps = values / step
    tolerance = 0.0 if step == 1 else 1e-4
    whole: NDArray[np.bool_] = (np.abs(steps - np.rint(steps)) <= tolerance) & (
        np.abs(steps) <= EXACT
    )
    return np.isnan(values) | whole
