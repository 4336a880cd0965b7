"""The likelihood of ordered columns: normal in the units that their marginal gives."""

from collections.abc import Hashable, Sequence
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array
from paramax import NonTrainable

from aevb.distributions.cells import MappedNormal, UnitBins, unit_of
from aevb.likelihoods.base import LIKELIHOODS, Columns, Located, single
from aevb.table.marginals import Marginal
from aevb.table.schema import Column

__all__ = ["Mapped", "bins_of"]


@LIKELIHOODS.register("mapped")
class Mapped(Located):
    """Numbers whose map to standard normal units was learned: u = Phi^-1(F(x)) is N(m(z), s(z)^2).

    With m = 0 and s = 1 each column has its own marginal F. A cell of a grid, and a single value
    with a mass of its own, is an interval of u; see `aevb.table.marginals`.
    """

    bins: NonTrainable[UnitBins]

    @classmethod
    def takes(cls, column: Column) -> bool:
        """Whether training rows taught the column a map."""
        return column.marginal is not None

    @classmethod
    def suits(cls, column: Column) -> bool:
        """Without a map there are no units to be normal in."""
        return column.marginal is not None

    @classmethod
    def group(cls, column: Column) -> Hashable:
        """Columns with about as many bins, by doublings, so that padding stays small."""
        assert column.marginal is not None
        return int(np.ceil(np.log2(len(column.marginal.edges))))

    @classmethod
    def build(cls, columns: Columns, **own: Any) -> Self:
        """The bins of each column."""
        marginals = [column.marginal for column in columns.columns if column.marginal is not None]
        return super().build(columns, bins=NonTrainable(bins_of(marginals)), **own)

    def __call__(self, raw: Array) -> dist.Distribution:
        """The normal of each column, and its bins."""
        location, scale = self.location_scale(raw)
        return MappedNormal(location, scale, self.bins.tree)

    def expectation(self, distribution: MappedNormal) -> Array:
        """The mean of x, in standard units of the data."""
        return distribution.mean_value[..., None]

    def point(self, expectation: Array) -> Array:
        """The unit of the mean."""
        return unit_of(self.bins.tree, expectation[..., 0])


def bins_of(marginals: Sequence[Marginal]) -> UnitBins:
    """The bins of several columns side by side."""
    most = max(len(marginal.edges) for marginal in marginals)
    tables: dict[str, list[np.ndarray]] = {name: [] for name in UnitBins._fields}
    for marginal in marginals:
        heights, edges = np.array(marginal.heights), np.array(marginal.edges)
        center, spread = _standard_units(marginal)
        standard = np.clip((edges - center) / spread, -1e30, 1e30)
        tables["heights"].append(_padded(heights, most, np.inf))
        tables["edges"].append(_padded(standard, most, standard[-1]))
        tables["centers"].append(_padded(marginal.centers, most - 1, 0.0))
        tables["single"].append(_padded(marginal.single, most - 1, False))
        tables["cells"].append(_padded(marginal.slopes * marginal.step, most - 1, 0.0))
        log_slopes = np.zeros(most - 1) if marginal.step else np.log(marginal.slopes)
        tables["log_slopes"].append(_padded(log_slopes, most - 1, 0.0))
    is_single = jnp.asarray(np.stack(tables.pop("single")))
    numbers = {name: single(np.stack(rows)) for name, rows in tables.items()}
    return UnitBins(single=is_single, **numbers)


def _standard_units(marginal: Marginal) -> tuple[float, float]:
    """The value in the middle, and half of what parts the values a deviation to either side."""
    low, center, high = marginal.from_units(np.array([-1.0, 0.0, 1.0]))
    edges = marginal.edges
    spread = (high - low) / 2 if high > low else edges[-1] - edges[0]
    return float(center), float(spread)


def _padded(row: np.ndarray, size: int, filling: float) -> np.ndarray:
    """The row with a filling up to a size."""
    return np.concatenate([row, np.full(size - len(row), filling, dtype=row.dtype)])
