"""What a column is: its kind, its levels, its support and its units.

A table is held as a float64 matrix of values, shape (rows, columns): numbers as they are, levels
as their index, NaN where a cell is missing. A model sees model units, u = (value - location) /
scale, computed in float64 and only then cast to float32, so that no column is too large or too
small for the model.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from aevb.disk import validated
from aevb.errors import DataError
from aevb.table.formats import Format
from aevb.table.marginals import Marginal, learn

__all__ = [
    "KINDS",
    "LEVELED",
    "Column",
    "Header",
    "Kind",
    "Level",
    "Schema",
    "Values",
    "nats_of_unseen",
    "on_grid",
]

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
#: Kinds whose columns can learn a map to standard normal units.
MAPPED: tuple[Kind, ...] = ("continuous", "count")
#: The farthest a value is from the mean, in deviations, as far as float32 is concerned.
FARTHEST_UNIT = 1e6
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
    step
        What values are multiples of (0.01 for two decimals): outputs are rounded to it. 0 where
        there is none.
    lower, upper
        Ends of the support, if it has ends.
    atoms
        Single values with a mass of their own, such as the zeros of a column of gains.
    location, scale
        Mean and deviation of the training rows (0 and their geometric mean for kind positive):
        u = (value - location) / scale.
    missing
        Fraction of missing cells in the data the schema was inferred from.
    unseen
        Probability that values never met share: of a level that training rows do not have, or of a
        number that the column cannot hold.
    marginal
        The map to standard normal units that training rows taught, where the column has one;
        `location` and `scale` are then 0 and 1.
    format
        How the cells are written, if the data are text from a file, or count time.
    """

    name: str
    kind: Kind
    dtype: str = "Float64"
    categories: tuple[Level, ...] = ()
    resolution: float = 0.0
    grid: float = 0.0
    step: float = 0.0
    lower: float | None = None
    upper: float | None = None
    atoms: tuple[float, ...] = ()
    location: Finite = 0.0
    scale: Annotated[Finite, Field(gt=0)] = 1.0
    missing: float = 0.0
    unseen: Annotated[Finite, Field(ge=0, lt=1)] = 0.0
    marginal: Marginal | None = None
    format: Format | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")

    def in_units(self, value: float | None, otherwise: float = 0.0) -> float:
        """A value in model units; `otherwise` where there is none."""
        if value is None:
            return otherwise
        return float(self.to_units(np.array(value)))

    def to_units(self, values: Values) -> Values:
        """Values in model units, float64 of any shape: NaN stays NaN and infinite stays so."""
        if self.marginal is not None:
            units = self.marginal.to_units(values)
        else:
            # Halves are exact, and 1e308 - (-1e308) stays finite.
            units = (values / 2 - self.location / 2) / (self.scale / 2)
        if self.kind in LOCATED or self.marginal is not None:
            # A value a million deviations away is as surprising as float32 can express.
            units = np.clip(units, -FARTHEST_UNIT, FARTHEST_UNIT)
        return np.where(np.isinf(values), np.inf, units)

    def from_units(self, units: Values) -> Values:
        """The inverse of `to_units`; what float32 blurred is put back on grid points and atoms."""
        if self.marginal is not None:
            values = self.marginal.from_units(units)
        else:
            values = units * self.scale + self.location
            if self.resolution > 0:
                start = self.lower or 0.0
                values = start + np.round((values - start) / self.resolution) * self.resolution
        for atom in self.atoms:
            near = np.abs(units - self.in_units(atom)) < 1e-6 * (1 + np.abs(units))
            values = np.where(near, atom, values)
        return values

    @property
    def measure(self) -> Measure:
        """Whether a log-likelihood is that of a probability, of a density, or of a mixture."""
        if self.kind in (*LEVELED, "count", "pixel") or self.resolution > 0:
            return "mass"
        return "mixed" if self.atoms else "density"

    @property
    def log_seen(self) -> float:
        """What every value of levels pays for those never met, log(1 - unseen), in nats."""
        return float(np.log1p(-self.unseen)) if self.kind in LEVELED else 0.0

    @property
    def log_unseen(self) -> float:
        """Nats of a value never met: of a number, spread over a deviation of the data."""
        if self.unseen == 0:
            return 0.0
        log_spread = 0.0
        if self.measure != "mass":
            log_spread = float(np.log(self.spread))
        elif self.resolution > 0:
            log_spread = float(np.log(max(self.spread / self.resolution, 1.0)))
        return float(np.log(self.unseen)) - log_spread

    @property
    def spread(self) -> float:
        """A deviation in the units of the data; half the middle two thirds where it has a map."""
        if self.marginal is None:
            return self.scale
        low, high = self.marginal.from_units(np.array([-1.0, 1.0]))
        return float((high - low) / 2) or self.scale

    def holds(self, values: Values) -> NDArray[np.bool_]:
        """Whether the support has each value, any shape; missing cells count as held."""
        outside = np.zeros(np.shape(values), dtype=np.bool_)
        if self.kind == "positive":
            outside |= values <= 0
        if self.lower is not None:
            outside |= values < self.lower
        if self.upper is not None:
            outside |= values > self.upper
        if self.resolution > 0:
            outside |= ~on_grid(values - (self.lower or 0.0), self.resolution)
        return np.isnan(values) | ~outside

    def check_support(self, values: Values) -> None:
        """Raise `DataError` that names the first row whose value the column cannot hold."""
        if self.kind not in SUPPORTS:
            return
        outside = ~self.holds(values)
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

    def scaled(self, values: Values, *, mapped: bool = False) -> "Column":
        """The column with the units of these training values, shape (rows,).

        They are standard normal units where `mapped` and there are enough values, else deviations
        from the mean.
        """
        units = replace(self, unseen=self._unseen(values))
        if mapped and self.kind in MAPPED:
            rest = np.where(np.isin(values, self.atoms), np.nan, values)
            marginal = learn(
                rest, lower=self.lower, upper=self.upper, step=self.resolution, grid=self.grid
            )
            units = replace(units, marginal=marginal)
        if units.marginal is not None or self.kind not in ("positive", *LOCATED):
            return units
        location, scale = self._location_scale(values)
        return replace(units, location=location, scale=max(scale, np.finfo(np.float64).tiny))

    def _location_scale(self, values: Values) -> tuple[float, float]:
        rest = values[np.isfinite(values) & ~np.isin(values, self.atoms)]
        if self.kind == "positive":  # the origin stays the origin
            return 0.0, float(np.exp(np.log(rest).mean())) if len(rest) else 1.0
        if len(rest) > 1 and rest.min() < rest.max():
            largest = np.abs(rest).max()  # squares of values near 1e308 would overflow
            location = float((rest / largest).mean() * largest)
            return location, float((rest / largest).std() * largest)
        location = float([*rest, *self.atoms, 0.0][0])
        return location, max(abs(location), 1.0)

    def _unseen(self, values: Values, impossible: float = 1e-6) -> float:
        """Of levels that of the next observation being a new one, 1 / (n + 1) (Laplace).

        A number that the column cannot hold has next to no probability.
        """
        if self.kind == "pixel":
            return 0.0
        share = 1 / (max(np.isfinite(values).sum(), 1) + 1)
        return float(share if self.kind in LEVELED else min(share, impossible))


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
    advice
        Notes without a warning: nothing was left out, but a statistician would mention it.
    """

    columns: tuple[Column, ...]
    container: str = "numpy"
    ignored: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)
    headers: tuple[Header, ...] = ()
    advice: tuple[str, ...] = field(default=(), compare=False)

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

    def scaled(self, values: Values, mapped: Collection[str] = ()) -> "Schema":
        """The schema with the units of these (training) values.

        The columns named in `mapped` learn a map to standard normal units; the others are shifted
        and scaled, without their atoms. A column with fewer than two other values has scale
        max(abs(location), 1).
        """
        columns = []
        for column, cells in zip(self.columns, values.T, strict=True):
            columns.append(column.scaled(cells, mapped=column.name in mapped))
        return replace(self, columns=tuple(columns))

    def to_model_units(self, values: Values) -> NDArray[np.float32]:
        """Values in the units of each column, in float64, then float32; NaN stays NaN.

        Shape (rows, columns).
        """
        return self.in_units(values).astype(np.float32)

    def in_units(self, values: Values) -> Values:
        """The same in float64."""
        units = np.empty(np.shape(values), order="F")
        for i, column in enumerate(self.columns):
            units[..., i] = column.to_units(values[..., i])
        return units

    def from_model_units(self, units: NDArray[np.floating]) -> Values:
        """The inverse of `to_model_units`, in float64."""
        values = np.array(units, dtype=np.float64)
        for i, column in enumerate(self.columns):
            values[..., i] = column.from_units(values[..., i])
        return values

    def to_json(self) -> dict[str, object]:
        """Plain lists, numbers and strings: what ``schema.json`` holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: object) -> "Schema":
        """The schema that `to_json` wrote; `ModelFileError` on anything else."""
        return validated(cls, content, "schema.json")


def nats_of_unseen(columns: Sequence[Column], values: Values) -> Values:
    """What a model of the values that can be met leaves out, nats of each row, shape (n,).

    That is the probability of each value never met, which is infinite, and what the others pay.
    """
    unseen = np.array([column.log_unseen for column in columns])
    seen = np.array([column.log_seen for column in columns])
    nats = np.where(np.isinf(values), unseen, seen)
    return np.asarray(np.where(np.isnan(values), 0.0, nats).sum(axis=1))


def on_grid(values: Values, step: float) -> NDArray[np.bool_]:
    """Which values are whole multiples of the step, to float32's precision unless it is 1.

    Missing cells lie on any grid. Beyond 2^53 every float64 is whole, which means nothing: those
    lie on none.
    """
    steps = values / step
    tolerance = 0.0 if step == 1 else 1e-4
    whole = np.abs(steps - np.rint(steps)) <= tolerance
    return np.isnan(values) | (whole & (np.abs(steps) <= 2**53))
