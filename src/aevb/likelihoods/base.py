"""What every likelihood p(x|z) has in common: raw numbers in, a distribution of its columns out."""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array
from numpy.typing import ArrayLike
from paramax import NonTrainable

from aevb.registry import Registry
from aevb.table.schema import Column

__all__ = [
    "LIKELIHOODS",
    "Columns",
    "Likelihood",
    "Located",
    "column_sums",
    "deviations",
    "grid_deviation",
    "inverse_softplus",
    "level_counts",
    "means",
    "raw_scale",
    "single",
]


@dataclass(frozen=True)
class Columns:
    """The columns that share a likelihood, and what the training rows say of them."""

    #: Where they stand in a row.
    places: tuple[int, ...]
    #: What they are, with their units.
    columns: tuple[Column, ...]
    #: Their training values in model units, shape (rows, d), NaN where missing.
    units: np.ndarray
    #: What a linear model leaves of each, in model units, shape (d,); 0 for a scale whose floor is
    #: only the grid of the data.
    deviation: np.ndarray
    #: The decoder gives the scale of each cell; else each column learns one scale.
    scale_given: bool = True

    @property
    def log_scale(self) -> NonTrainable[Array]:
        """log(scale) of each column: what turns a density of model units into one of the data."""
        return self.fixed(lambda column: float(np.log(column.scale)))

    @property
    def no_scale(self) -> NonTrainable[Array]:
        """Zeros: a mass does not depend on units."""
        return NonTrainable(jnp.zeros(len(self.places)))

    @property
    def levels(self) -> tuple[int, ...]:
        """Number of levels of each column."""
        return tuple(len(column.categories) for column in self.columns)

    def fixed(self, read: Callable[[Column], float]) -> NonTrainable[Array]:
        """One number for each column, which training leaves alone."""
        return NonTrainable(single([read(column) for column in self.columns]))

    def without(self, atoms: np.ndarray) -> "Columns":
        """The same columns, missing where a value is one of `atoms`, shape (d, K)."""
        at = (self.units[..., None] == atoms.astype(self.units.dtype)).any(-1)
        rest = np.where(at, np.nan, self.units)
        left = np.where(self.deviation > 0, deviations(rest), 0.0)
        return replace(self, units=rest, deviation=left)


class Likelihood(eqx.Module):
    """p(x|z) of d columns of one kind, independent given z.

    A subclass says how raw numbers become a distribution, in `parameters`, `__call__` and `start`,
    and is registered under the name people type by ``LIKELIHOODS.register(name)``.
    """

    #: Their places in a row.
    columns: tuple[int, ...] = eqx.field(static=True)
    #: log(scale) of each column for a density, 0 for a mass: subtracted from the log-density of u
    #: to give that of x in the units of the data, log p(x) = log p(u) - log(scale).
    log_units: NonTrainable[Array]

    #: The kind of column it is for.
    kind: ClassVar[str] = "continuous"
    #: Whether such a column has it where nothing is asked for.
    default: ClassVar[bool] = False
    #: Whether it is a density, whatever values the column has; else it is a mass.
    density: ClassVar[bool] = False
    #: Whether a linear model can start its first raw number.
    linear: ClassVar[bool] = False
    #: A value of the support.
    inside: ClassVar[float] = 0.0

    @classmethod
    def takes(cls, column: Column) -> bool:
        """Whether it is the default for such a column."""
        if column.marginal is not None:
            return False  # `Mapped` is for it
        return cls.default and column.kind == cls.kind and cls.suits(column)

    @classmethod
    def suits(cls, column: Column) -> bool:
        """Whether a column of its kind can have it; else the column keeps its default."""
        return True

    @classmethod
    def group(cls, column: Column) -> Hashable:
        """Columns with the same answer share one likelihood of this class."""
        return ()

    @classmethod
    def build(cls, columns: Columns) -> Self:
        """The likelihood of these columns, its own numbers taken from the training rows."""
        log_units = columns.log_scale if cls.density else columns.no_scale
        return cls(columns.places, log_units)

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many raw numbers a decoder must give for each column."""

    @abstractmethod
    def __call__(self, raw: Array) -> dist.Distribution:
        """The distribution of the columns in model units, batch shape (d,), by (d, parameters)."""

    @abstractmethod
    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Raw numbers that give each column its marginal, shape (..., d, parameters).

        Values are in model units, shape (rows, d), NaN where missing; weights are of the cells,
        shape (..., rows, d). None counts each cell once, with half an observation of every level.
        """

    @property
    def closed_form(self) -> bool:
        """Whether `start` with weights is the maximum-likelihood estimate."""
        return False

    def linear_start(
        self, raw: np.ndarray, mean: np.ndarray, loadings: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Raw numbers at z = 0 and their slope in z, (d, parameters, k), where it is `linear`.

        `raw` is `start`'s; `mean` (d,) and `loadings` (d, k) are the linear model's.
        """
        raise NotImplementedError

    def log_prob(self, distribution: dist.Distribution, x: Array) -> Array:
        """Nats of each cell in the units of the data, shape (d,)."""
        return distribution.log_prob(x) - self.log_units.tree

    def expectation(self, distribution: dist.Distribution) -> Array:
        """What is averaged over z to impute a cell, (d, m): its mean, or the odds of its levels."""
        return distribution.mean[..., None]

    def point(self, expectation: Array) -> Array:
        """The imputed value, shape (d,): the mean, or the most probable level."""
        return expectation[..., 0]


#: The likelihoods by name; where nothing is asked for, the first that `takes` a column is its own.
LIKELIHOODS: Registry[type[Likelihood]] = Registry("likelihood")


class ScaleBounds(NamedTuple):
    """Bounds of a fitted scale.

    `floor` is a share of what a linear model leaves of the column: a decoder free to shrink it
    would score single training rows, not the distribution. `ceiling` is in deviations.
    """

    floor: float = 0.2
    ceiling: float = 1e3


class Located(Likelihood):
    """A location-scale family: its location can start linear in z, and its scale has a floor.

    With ``scale_given`` the decoder changes the scale from row to row (eq. 12); without it, each
    column learns one.
    """

    floor: NonTrainable[Array]
    raw_scale: Array
    scale_given: bool = eqx.field(static=True)

    linear: ClassVar[bool] = True
    density: ClassVar[bool] = True
    bounds: ClassVar[ScaleBounds] = ScaleBounds()

    @classmethod
    def build(cls, columns: Columns, **own: Any) -> Self:
        """The likelihood of these columns; `own` are the fields a subclass adds."""
        grids = [grid_deviation(column) for column in columns.columns]
        floor = np.maximum(cls.bounds.floor * columns.deviation, grids)
        return cls(
            columns=columns.places,
            log_units=columns.log_scale if cls.density else columns.no_scale,
            floor=NonTrainable(single(floor)),
            raw_scale=single(raw_scale(columns.deviation, floor)),
            scale_given=columns.scale_given,
            **own,
        )

    @property
    def parameters(self) -> int:
        """A location, and a change of the scale where the decoder gives it."""
        return 2 if self.scale_given else 1

    def location_scale(self, raw: Array) -> tuple[Array, Array]:
        """The location and the bounded scale, both (d,): s = floor (1 + e^raw), up to a ceiling."""
        raw_scale = self.raw_scale
        if self.scale_given:
            raw_scale = raw_scale + raw[..., 1]
        scale = self.floor.tree * (1 + jnp.exp(jnp.minimum(raw_scale, 20.0)))
        return raw[..., 0], jnp.minimum(scale, self.bounds.ceiling)

    def standardized(self, units: np.ndarray) -> np.ndarray:
        """Values in the units of the location and the scale."""
        return units

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Zeros, the origin of the units and the scale of each column; with weights, by moments."""
        if weights is None:
            return np.zeros((len(self.columns), self.parameters))
        standard = self.standardized(np.asarray(units, dtype=np.float64))
        location = means(standard, 0.0, weights)
        if not self.scale_given:
            return location[..., None]
        variance = np.maximum(means(standard**2, 0.0, weights) - location**2, 0.0)
        raw = raw_scale(np.sqrt(variance), np.asarray(self.floor.tree))
        return np.stack([location, raw - np.asarray(self.raw_scale)], axis=-1)

    def linear_start(
        self, raw: np.ndarray, mean: np.ndarray, loadings: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The location is the linear model's."""
        raw = raw.copy()
        raw[:, 0] = mean
        slope = np.zeros((*raw.shape, loadings.shape[1]))
        slope[:, 0] = loadings
        return raw, slope


def grid_deviation(column: Column) -> float:
    """The deviation, in model units, of rounding to the grid the data were recorded on.

    At least a hundredth: below that float32 could not tell the columns of nearly singular data
    apart.
    """
    grid = max(column.grid, column.resolution) / column.scale
    if column.marginal is not None:
        grid *= float(np.median(column.marginal.slopes))
    return float(np.clip(grid / np.sqrt(12), 1e-2, 1.0))


def raw_scale(deviation: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """The raw number of a scale, log(s / floor - 1); just above the floor where s is below it."""
    return np.asarray(np.log(np.maximum(deviation / floor - 1, 1e-2)))


def inverse_softplus(y: np.ndarray) -> np.ndarray:
    """x with log(1 + e^x) = y > 0."""
    return np.asarray(y + np.log(-np.expm1(-y)))


def column_sums(cells: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The sum of each column of (rows, d), each cell weighted or counted once; shape (..., d)."""
    if weights is None:
        return np.asarray(cells.sum(0))
    return np.asarray(np.einsum("...nd,nd->...d", weights, cells))


def level_counts(levels: Iterable[np.ndarray], weights: np.ndarray | None = None) -> np.ndarray:
    """How often each level is met, shape (..., d, levels), never zero.

    `levels` holds one array of truth values (rows, d) per level. Where each cell counts once, each
    level has half an observation more.
    """
    counts = np.stack([column_sums(at, weights) for at in levels], axis=-1)
    if weights is None:
        return counts + 0.5
    return np.maximum(counts, 1e-6)


def means(units: np.ndarray, empty: float, weights: np.ndarray | None = None) -> np.ndarray:
    """The mean of each column's observed values, shape (..., d); `empty` where there are none."""
    observed = np.isfinite(units)
    count = column_sums(observed, weights)
    total = column_sums(np.where(observed, units, 0.0), weights)
    return np.where(count > 0, total / np.where(count > 0, count, 1), empty)


def deviations(units: np.ndarray) -> np.ndarray:
    """The deviation of each column's observed values, shape (d,); 1 where they do not vary."""
    observed = np.isfinite(units)
    squares = np.where(observed, units - means(units, 0.0), 0.0) ** 2
    variance = squares.sum(0) / np.maximum(observed.sum(0), 1)
    return np.where(variance > 0, np.sqrt(variance), 1.0)


def single(values: ArrayLike) -> Array:
    """Numbers in single precision, rounded once from double, or all of double where JAX has it."""
    return jnp.asarray(np.asarray(values, dtype=np.float64), float)
