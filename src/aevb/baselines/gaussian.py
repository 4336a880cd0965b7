"""Gaussian baselines: densities of standard units, scored in the units of the data.

A Gaussian is a density: on a column of masses with step h it is fitted and scored on x + u,
u ~ U(-h/2, h/2), and E_u log p(x + u) + log h never exceeds log P(x) (Jensen's inequality).
"""

from abc import abstractmethod
from typing import ClassVar, Self

import equinox as eqx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from aevb.baselines.base import Baseline, Setting, Task
from aevb.table.schema import LEVELED, Column, Schema, Values, nats_of_unseen

__all__ = ["Gaussian", "StandardUnits", "Standardized", "by_rows"]


class StandardUnits(eqx.Module):
    """Standard units: (t - location) / scale, t the value, or its log in a positive column."""

    columns: tuple[Column, ...] = eqx.field(static=True)
    location: Values
    scale: Values

    @classmethod
    def of(cls, schema: Schema, values: Values) -> Self:
        """The units of training values, (n, D); a step adds the variance of its noise."""
        width = len(schema)
        units = cls(schema.columns, np.zeros(width), np.ones(width))
        location, scale = _moments(units.transformed(values))
        return cls(schema.columns, location, np.hypot(scale, units.step / np.sqrt(12.0)))

    @classmethod
    def empty(cls, schema: Schema) -> Self:
        """Zeros in place of the numbers."""
        return cls(schema.columns, np.zeros(len(schema)), np.zeros(len(schema)))

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Columns that enter by their logarithm, shape (D,)."""
        return np.array([column.kind == "positive" for column in self.columns], dtype=np.bool_)

    @property
    def step(self) -> Values:
        """Distance between the values of a column of masses, 0 for a density."""
        steps = np.zeros(len(self.columns))
        for place, column in enumerate(self.columns):
            if column.measure == "mass":
                steps[place] = column.resolution or 1.0
        return steps

    @property
    def grid(self) -> Values:
        """The grid a column was recorded on; none in the logarithm of a positive one."""
        grids = np.array([column.grid for column in self.columns])
        return np.where(self.positive, 0.0, grids)

    @property
    def floor(self) -> Values:
        """Least noise variance: what a column was recorded to cannot tell more."""
        coarsest = np.maximum(self.grid, self.step)
        return np.asarray(np.maximum((coarsest / self.scale) ** 2 / 12.0, 1e-6))

    def transformed(self, values: Values) -> Values:
        """t: values, or their logs."""
        tiny = np.finfo(np.float64).tiny
        positive = np.where(self.positive, values, 1.0)
        return np.where(self.positive, np.log(np.maximum(positive, tiny)), values)

    def standardized(self, values: Values, rng: np.random.Generator) -> Values:
        """A draw of (t + u - location) / scale, u ~ U(-step/2, step/2)."""
        dequantized = self.transformed(values)
        if self.step.any():
            dequantized = dequantized + self.step * (rng.random(values.shape) - 0.5)
        return (dequantized / 2 - self.location / 2) / (self.scale / 2)

    def log_jacobian(self, values: Values) -> Values:
        """What turns log p of standard units into that of the data, or of a mass, shape (n,)."""
        step = self.step
        log_step = np.where(step > 0, np.log(np.where(step > 0, step, 1.0)), 0.0)
        each = log_step - np.log(self.scale)
        each = each - np.where(self.positive, self.transformed(values), 0.0)
        return np.asarray(np.where(np.isnan(values), 0.0, each).sum(axis=1))


class Standardized(eqx.Module):
    """A table in standard units: training rows, and the rows that choose sizes."""

    units: StandardUnits
    rows: Values
    held_out: Values

    @classmethod
    def of(cls, task: Task) -> Self:
        """One draw of the rows of a task; the training rows choose where there are no others."""
        units = StandardUnits.of(task.schema, task.train)
        rng = np.random.default_rng(task.seed)
        rows = units.standardized(task.train, rng)
        held_out = rows
        if task.held_out is not None:
            held_out = units.standardized(task.held_out, rng)
        return cls(units, rows, held_out)


class Gaussian(Baseline):
    """A density of rows in standard units, scored in data units."""

    units: StandardUnits

    #: Draws of u that score a row, and rows scored at a time.
    draws: ClassVar[int] = 8
    block_rows: ClassVar[int] = 2_000

    @classmethod
    def why_not(cls, task: Task) -> str:
        """A Gaussian has no probability for levels and atoms."""
        columns = task.schema.columns
        named = [f"{one.name} ({one.kind})" for one in columns if one.kind in LEVELED]
        named += [f"{one.name} (atoms)" for one in columns if one.measure == "mixed"]
        if not named:
            return ""
        listed = ", ".join(named[:4])
        if len(named) > 4:
            listed += f" and {len(named) - 4} more"
        return f"a Gaussian has no probability for the levels or atoms of {listed}"

    @abstractmethod
    def log_density(self, rows: Values) -> Values:
        """log p of the observed cells of each row in standard units, nats, shape (n,)."""

    @property
    def settings(self) -> dict[str, Setting]:
        """What was chosen, and how a score is to be read."""
        notes: dict[str, Setting] = {**self.chosen, "chosen_on": "validation"}
        if self.units.step.any():
            notes["dequantized"] = (
                "x + u, u ~ U(-h/2, h/2): E_u log p(x + u) + log h, a lower bound of the mass"
            )
            notes["draws"] = self.draws
        logarithms = [column.name for column in self.units.columns if column.kind == "positive"]
        if logarithms:
            notes["logarithm_of"] = logarithms
        return notes

    def score_samples(self, values: Values, seed: int = 0) -> Values:
        """log p of the observed cells of each row, nats in data units; a lower bound of a mass."""
        rng = np.random.default_rng(seed)
        starts = range(0, max(len(values), 1), self.block_rows)
        met = np.where(np.isinf(values), np.nan, values)
        blocks = [met[start : start + self.block_rows] for start in starts]
        nats = np.concatenate([self._block(block, rng) for block in blocks])
        return nats + nats_of_unseen(self.units.columns, values)

    def _block(self, values: Values, rng: np.random.Generator) -> Values:
        draws = self.draws if self.units.step.any() else 1
        scores = []
        for _ in range(draws):
            scores.append(self.log_density(self.units.standardized(values, rng)))
        return np.asarray(np.mean(scores, axis=0)) + self.units.log_jacobian(values)


def by_rows(array: ArrayLike) -> Values:
    """A copy in the layout of a file: the last bits of a product depend on that of its factors."""
    return np.array(array, dtype=np.float64, order="C")


def _moments(values: Values) -> tuple[Values, Values]:
    """Means and standard deviations of the observed cells; a scale is never zero."""
    seen = ~np.isnan(values)
    count = np.maximum(seen.sum(axis=0), 1)
    tiny = np.finfo(np.float64).tiny
    size = np.max(np.where(seen, np.abs(values), 0.0), axis=0, initial=tiny)
    shrunk = np.where(seen, values / size, 0.0)  # squares of 1e308 would overflow
    mean = shrunk.sum(axis=0) / count
    deviation = np.sqrt(np.sum(np.where(seen, shrunk - mean, 0.0) ** 2, axis=0) / count)
    constant = deviation <= 1e-12
    return mean * size, np.where(constant, np.maximum(size, 1.0), deviation * size)
