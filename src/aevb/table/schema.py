"""What a column is: its kind, its levels, its units, and how its values become the numbers a model
sees.

A table is held as a float64 matrix of *values*, shape (rows, columns): numbers as they are, levels
as their index, NaN where a cell is missing. A model sees *model units*, u = (value - location) /
scale, computed in float64 and only then cast to float32, so that no column is too large or too
small for the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aevb.errors import ModelFileError

__all__ = ["KINDS", "MOST_ATOMS", "Column", "Schema"]

Kind = Literal[
    "continuous", "positive", "proportion", "count", "ordinal", "categorical", "binary", "pixel"
]
KINDS: tuple[Kind, ...] = (
    "continuous",
    "positive",
    "proportion",
    "count",
    "ordinal",
    "categorical",
    "binary",
    "pixel",
)
#: Kinds whose values are indices into `Column.categories`.
LEVELED = ("ordinal", "categorical", "binary")
#: Kinds a location and a scale describe: those that start at the linear optimum.
LOCATED = ("continuous", "pixel")

#: Of one column: a likelihood pads its columns to as many as any of them has.
MOST_ATOMS = 16

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name
        As in the data; columns of an array are ``x0``, ``x1``, ...
    kind
        One of `KINDS`: which likelihood p(x|z) the column gets.
    dtype
        The type it came in (narwhals' or NumPy's name), to be given back in outputs.
    categories
        Levels of an ordinal, categorical or binary column, in the order of their codes.
    resolution
        Distance between neighbouring values of a discrete column (1 for integers); the likelihood
        is then a mass. 0 for a density.
    grid
        Smallest distance between two distinct observed values, in data units: what the data were
        recorded to. A fitted scale never shrinks below it, so that rounding cannot be mistaken for
        information.
    lower, upper
        Ends of the support where it has ends (pixel, count, proportion).
    atoms
        Single values that hold a mass of their own, such as the zeros of a column of gains.
    location, scale
        Units of the model: u = (value - location) / scale.
    missing
        Fraction of cells missing in the data the schema was inferred from.
    """

    name: str
    kind: Kind
    dtype: str = "Float64"
    categories: tuple[Any, ...] = ()
    resolution: float = 0.0
    grid: float = 0.0
    lower: float | None = None
    upper: float | None = None
    atoms: tuple[float, ...] = ()
    location: float = 0.0
    scale: float = 1.0
    missing: float = 0.0

    def in_units(self, value: float | None, otherwise: float = 0.0) -> float:
        """A value in model units; `otherwise` where there is none."""
        if value is None:
            return otherwise
        return (value / 2 - self.location / 2) / (self.scale / 2)  # halves do not overflow

    @property
    def measure(self) -> Literal["mass", "density", "mixed"]:
        """What a value's log-likelihood is the logarithm of: a probability, a density, or atoms and
        a density.
        """
        if self.kind in (*LEVELED, "count", "pixel") or self.resolution > 0:
            return "mass"
        return "mixed" if self.atoms else "density"


@dataclass(frozen=True)
class Schema:
    """The columns a model is fitted to, and what surrounds them.

    Parameters
    ----------
    columns
        The modelled columns, in the order of the value matrix.
    container
        What the data came in: ``numpy``, ``pandas``, ``polars`` or ``pyarrow``; outputs come back
        in it.
    ignored
        Names of the columns left out of the model and carried through to outputs (labels among
        them).
    labels
        Those of `ignored` that name groups worth colouring by.
    image_shape
        (height, width) or (height, width, channels) where a row is an image.
    """

    columns: tuple[Column, ...]
    container: str = "numpy"
    ignored: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def names(self) -> list[str]:
        """Names of the modelled columns."""
        return [column.name for column in self.columns]

    @property
    def measure(self) -> Literal["mass", "density", "mixed"]:
        """The common measure of all columns, ``mixed`` where they differ."""
        measures = {column.measure for column in self.columns}
        return measures.pop() if len(measures) == 1 else "mixed"

    def where(self, kinds: str | Sequence[str]) -> NDArray[np.intp]:
        """Indices of the columns of these kinds."""
        kinds = (kinds,) if isinstance(kinds, str) else kinds
        return np.array(
            [i for i, column in enumerate(self.columns) if column.kind in kinds], dtype=np.intp
        )

    def scaled(self, values: Array) -> "Schema":
        """The same schema with `location` and `scale` of numeric columns taken from these
        (training) values.

        Atoms are left out of both. A column with fewer than two other values keeps scale
        max(|location|, 1).
        """
        return replace(
            self,
            columns=tuple(_scaled(column, values[:, i]) for i, column in enumerate(self.columns)),
        )

    def to_model_units(self, values: Array) -> NDArray[np.float32]:
        """u = (value - location) / scale, in float64, then float32; shape (rows, columns), NaN
        kept.
        """
        location = np.array([column.location for column in self.columns])
        scale = np.array([column.scale for column in self.columns])
        units = (values / 2 - location / 2) / (
            scale / 2
        )  # halves are exact, and 1e308 - (-1e308) stays finite
        # A value a million deviations away is as surprising as float32 can say.
        located = [column.kind in LOCATED for column in self.columns]
        return np.where(located, np.clip(units, -1e6, 1e6), units).astype(np.float32)

    def from_model_units(self, units: NDArray[Any]) -> Array:
        """The inverse of `to_model_units`, in float64; what float32 blurred is put back on grid
        points and atoms.
        """
        location = np.array([column.location for column in self.columns])
        scale = np.array([column.scale for column in self.columns])
        values = np.asarray(units, dtype=np.float64) * scale + location
        for i, column in enumerate(self.columns):
            if column.resolution > 0:
                start = column.lower or 0.0
                values[..., i] = (
                    start
                    + np.round((values[..., i] - start) / column.resolution) * column.resolution
                )
            for atom in column.atoms:
                near = np.abs(values[..., i] - atom) < 1e-6 * (column.scale + abs(column.location))
                values[..., i] = np.where(near, atom, values[..., i])
        return values

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings: what ``schema.json`` holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Schema":
        """The schema that `to_json` wrote; `ModelFileError` on anything else."""
        try:
            columns = tuple(_column_from_json(column) for column in content["columns"])
            shape = content["image_shape"]
            return cls(
                columns=columns,
                container=str(content["container"]),
                ignored=tuple(content["ignored"]),
                labels=tuple(content["labels"]),
                image_shape=None if shape is None else tuple(int(side) for side in shape),
                notes=tuple(content.get("notes", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFileError(f"schema.json does not describe a table: {error!r}") from error


def _scaled(column: Column, values: Array) -> Column:
    if column.kind not in ("continuous", "positive", "pixel"):
        return column
    rest = values[np.isfinite(values) & ~np.isin(values, column.atoms)]
    if column.kind == "positive":  # u = value / geometric mean: the origin stays the origin
        location, scale = 0.0, float(np.exp(np.log(rest).mean())) if len(rest) else 1.0
    elif len(rest) > 1 and rest.min() < rest.max():
        half = (
            np.max(np.abs(rest)) or 1.0
        )  # deviations of values near 1e308 would overflow when squared
        location, scale = float((rest / half).mean() * half), float((rest / half).std() * half)
    else:
        location = float(rest[0]) if len(rest) else float(column.atoms[0]) if column.atoms else 0.0
        scale = max(abs(location), 1.0)
    return replace(column, location=location, scale=max(scale, np.finfo(np.float64).tiny))


def _column_from_json(content: Mapping[str, Any]) -> Column:
    if content["kind"] not in KINDS:
        raise ValueError(f"unknown kind {content['kind']!r}")
    lists = {
        "categories": tuple(content["categories"]),
        "atoms": tuple(float(a) for a in content["atoms"]),
    }
    column = Column(**{**content, **lists})
    if not (np.isfinite(column.scale) and column.scale > 0 and np.isfinite(column.location)):
        raise ValueError(f"column {column.name!r} has no usable scale")
    if len(column.atoms) > MOST_ATOMS:
        raise ValueError(
            f"column {column.name!r} has {len(column.atoms)} atoms, more than {MOST_ATOMS}"
        )
    return column
