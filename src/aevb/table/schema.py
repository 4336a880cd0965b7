"""What a column is: its kind, its levels, its support and its units.

A table is held as a float64 matrix of values, shape (rows, columns): numbers as they are, levels
as their index, NaN where a cell is missing. A model sees model units, u = (value - location) /
scale, computed in float64 and only then cast to float32, so that no column is too large or too
small for the model.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from aevb.disk import validated
from aevb.errors import DataError

__all__ = ["KINDS", "LEVELED", "Column", "Header", "Kind", "Level", "Schema", "Values", "on_grid"]

Kind = Literal[
    "continuous", "positive", "proportion", "count", "ordinal", "categorical", "binary", "pixel"
]
Measure = Literal["mass", "density", "mixed"]
Level = bool | str | int | float
Values = NDArray[np.float64]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]

KINDS: tuple[Kind, ...] = get_args(Kind)
#: Kinds whose values are indices into `Column.categories`.
LEVELED: tuple[Kind, ...] = ("ordinal", "categorical", "binary")
#: Kinds that are shifted and scaled to mean 0 and deviation 1.
LOCATED: tuple[Kind, ...] = ("continuous", "pixel")
#: What the kinds that cannot hold every number can hold.
SUPPORTS: Mapping[Kind, str] = {
    "positive": "numbers above 0",
    "proportion": "numbers from 0 to 1",
    "count": "whole numbers from 0 up",
    "pixel": "gray values",
}


@dataclass(frozen=True)
class Column:
    """What is known of one column of a table.

    Parameters
    ----------
    name
        As in the data; columns of an array are ``x0``, ``x1``, ...
    kind
        One of `KINDS`: which likelihood p(x|z) the column gets.
    dtype
        Type in the data (narwhals' or NumPy's name), which outputs get again.
    categories
        Levels of an ordinal, categorical or binary column, in the order of their codes.
    resolution
        Distance between neighboring values of a discrete column (1 for integers); the likelihood
        is then a mass. 0 for a density.
    grid
        Smallest distance between two distinct observed values, in data units: what the data were
        recorded to. A fitted scale never shrinks below it, so that rounding cannot be mistaken for
        information.
    lower, upper
        Ends of the support, if it has ends (pixel, count, proportion).
    atoms
        Single values with a mass of their own, such as the zeros of a column of gains.
    location, scale
        Mean and deviation of the training rows (0 and their geometric mean for kind positive):
        u = (value - location) / scale.
    missing
        Fraction of missing cells in the data the schema was inferred from.
    """

    name: str
    kind: Kind
    dtype: str = "Float64"
    categories: tuple[Level, ...] = ()
    resolution: float = 0.0
    grid: float = 0.0
    lower: float | None = None
    upper: float | None = None
    atoms: tuple[float, ...] = ()
    location: Finite = 0.0
    scale: Annotated[Finite, Field(gt=0)] = 1.0
    missing: float = 0.0

    __pydantic_config__ = ConfigDict(extra="forbid")

    def in_units(self, value: float | None, otherwise: float = 0.0) -> float:
        """A value in model units; `otherwise` where there is none."""
        if value is None:
            return otherwise
        return (value / 2 - self.location / 2) / (self.scale / 2)  # halves do not overflow

    @property
    def measure(self) -> Measure:
        """Whether a log-likelihood is that of a probability, of a density, or of a mixture."""
        if self.kind in (*LEVELED, "count", "pixel") or self.resolution > 0:
            return "mass"
        return "mixed" if self.atoms else "density"

    def check_support(self, values: Values) -> None:
        """Raise `DataError` that names the first row whose value the column cannot hold."""
        if self.kind not in SUPPORTS:
            return
        outside = np.zeros(len(values), dtype=bool)
        if self.kind == "positive":
            outside |= values <= 0
        if self.lower is not None:
            outside |= values < self.lower
        if self.upper is not None:
            outside |= values > self.upper
        if self.resolution > 0:
            outside |= ~on_grid(values, self.resolution)
        if not outside.any():
            return
        row = int(np.argmax(outside))
        support = SUPPORTS[self.kind]
        if self.kind == "pixel":
            support = f"{support} from {self.lower:g} to {self.upper:g}"
        raise DataError(
            f"column {self.name!r}, row {row} (counting from 0): expected {support} for kind "
            f"{self.kind!r}, got {values[row]:g}: choose another kind",
            hint={"columns": {self.name: "continuous"}},
        )

    def scaled(self, values: Values) -> "Column":
        """The column with `location` and `scale` of these values, shape (rows,)."""
        if self.kind not in ("positive", *LOCATED):
            return self
        rest = values[np.isfinite(values) & ~np.isin(values, self.atoms)]
        if self.kind == "positive":  # the origin stays the origin
            location, scale = 0.0, 1.0
            if len(rest):
                scale = float(np.exp(np.log(rest).mean()))
        elif len(rest) > 1 and rest.min() < rest.max():
            largest = np.abs(rest).max()  # squares of values near 1e308 would overflow
            location = float((rest / largest).mean() * largest)
            scale = float((rest / largest).std() * largest)
        else:
            location = float([*rest, *self.atoms, 0.0][0])
            scale = max(abs(location), 1.0)
        return replace(self, location=location, scale=max(scale, np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class Header:
    """One level of the labels that a pandas frame has for its columns.

    Parameters
    ----------
    labels
        One for each modeled column; dates and durations as text.
    dtype
        The type of the level, as pandas calls it.
    name
        The name of the level, if it has one.
    """

    labels: tuple[Level | None, ...]
    dtype: str
    name: Level | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Schema:
    """The columns a model is fitted to, and the table they come from.

    Parameters
    ----------
    columns
        The modeled columns, in the order of the value matrix.
    container
        Type of the data, which outputs get again: ``numpy``, ``pandas``, ``polars`` or ``pyarrow``.
    ignored
        Names of the columns left out of the model and carried through to outputs, labels included.
    labels
        Those of `ignored` that name groups worth coloring by.
    image_shape
        (height, width) or (height, width, channels) if a row is an image.
    notes
        Warnings that `infer` gave.
    headers
        Labels of the modeled columns, one for each level, where a pandas frame has others than
        plain names.
    """

    columns: tuple[Column, ...]
    container: str = "numpy"
    ignored: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)
    headers: tuple[Header, ...] = ()

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def names(self) -> list[str]:
        """Names of the modeled columns."""
        return [column.name for column in self.columns]

    @property
    def measure(self) -> Measure:
        """The common measure of all columns, ``mixed`` if they differ."""
        measures = {column.measure for column in self.columns}
        return measures.pop() if len(measures) == 1 else "mixed"

    def where(self, kind: Kind) -> NDArray[np.intp]:
        """Indices of the columns of a kind."""
        return np.flatnonzero([column.kind == kind for column in self.columns])

    def scaled(self, values: Values) -> "Schema":
        """The schema with `location` and `scale` of these (training) values, without their atoms.

        A column with fewer than two other values has scale max(abs(location), 1).
        """
        columns = zip(self.columns, values.T, strict=True)
        return replace(self, columns=tuple(column.scaled(cells) for column, cells in columns))

    def to_model_units(self, values: Values) -> NDArray[np.float32]:
        """u = (value - location) / scale, in float64, then float32; NaN stays NaN.

        Shape (rows, columns).
        """
        return self.in_units(values).astype(np.float32)

    def in_units(self, values: Values) -> Values:
        """The same in float64."""
        location, scale = self._units()
        # Halves are exact, and 1e308 - (-1e308) stays finite.
        units = (values / 2 - location / 2) / (scale / 2)
        # A value a million deviations away is as surprising as float32 can express.
        located = [column.kind in LOCATED for column in self.columns]
        return np.where(located, np.clip(units, -1e6, 1e6), units)

    def from_model_units(self, units: NDArray[np.floating]) -> Values:
        """The inverse of `to_model_units`, in float64; what float32 blurred is put back on grid
        points and atoms.
        """
        location, scale = self._units()
        values = np.asarray(units, dtype=np.float64) * scale + location
        for i, column in enumerate(self.columns):
            cells = values[..., i]
            if column.resolution > 0:
                start = column.lower or 0.0
                steps = np.round((cells - start) / column.resolution)
                cells = start + steps * column.resolution
            for atom in column.atoms:
                near = np.abs(cells - atom) < 1e-6 * (column.scale + abs(column.location))
                cells = np.where(near, atom, cells)
            values[..., i] = cells
        return values

    def _units(self) -> tuple[Values, Values]:
        location = np.array([column.location for column in self.columns])
        return location, np.array([column.scale for column in self.columns])

    def to_json(self) -> dict[str, object]:
        """Plain lists, numbers and strings: what ``schema.json`` holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: object) -> "Schema":
        """The schema that `to_json` wrote; `ModelFileError` on anything else."""
        return validated(cls, content, "schema.json")


def on_grid(values: Values, step: float) -> NDArray[np.bool_]:
    """Which values are whole multiples of the step, to float32's precision unless it is 1.

    Missing cells lie on any grid. Beyond 2^53 every float64 is whole, which means nothing: those
    lie on none.
    """
    steps = values / step
    tolerance = 0.0 if step == 1 else 1e-4
    whole = np.abs(steps - np.rint(steps)) <= tolerance
    return np.isnan(values) | (whole & (np.abs(steps) <= 2**53))
