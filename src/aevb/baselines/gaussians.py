"""Fitted Gaussian baselines, as data: densities of standard units, scored in the units of the data.

Arrays lie row by row, as a file gives them back: the last bits of a product follow the layout of
its factors.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from aevb.baselines.families import standard_units
from aevb.linear import LinearModel
from aevb.table.schema import Column, Schema

__all__ = ["Density", "Dequantised", "Linear", "Mixture", "StandardUnits"]

Array = NDArray[np.float64]

#: Draws of u that score a row, and rows scored at a time.
DEQUANTISATIONS = 8
BLOCK_ROWS = 2_000


class Density(Protocol):
    """A fitted density of rows in standard units."""

    def score_samples(self, rows: Array) -> Array:
        """log p of the observed cells of each row, nats, shape (n,)."""


@dataclass(frozen=True)
class Linear:
    """PPCA or factor analysis of rows times `ratio`, shape (F,)."""

    model: LinearModel
    ratio: Array

    @classmethod
    def of(cls, model: LinearModel, ratio: Array) -> "Linear":
        """From a fit."""
        return cls(
            LinearModel(*map(_by_rows, (model.mean, model.loadings, model.noise))), _by_rows(ratio)
        )

    def score_samples(self, rows: Array) -> Array:
        """log p of the observed cells of each row, nats, shape (n,)."""
        return self.model.log_likelihood(rows * self.ratio) + ~np.isnan(rows) @ np.log(self.ratio)


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians.

    Parameters
    ----------
    weights
        Shape (K,).
    means
        Shape (K, F).
    roots
        Of the precisions: L_k with L_k L_k' the inverse covariance, shape (K, F, F), or its
        diagonal, shape (K, F).
    """

    weights: Array
    means: Array
    roots: Array

    @classmethod
    def of(cls, fitted: Any) -> "Mixture":
        """From scikit-learn's, of full or diagonal covariances."""
        return cls(*map(_by_rows, (fitted.weights_, fitted.means_, fitted.precisions_cholesky_)))

    def score_samples(self, rows: Array) -> Array:
        """log p of each row, nats, shape (n,); rows must be complete."""
        terms = [self._log_joint(rows, k) for k in range(len(self.weights))]
        return np.asarray(logsumexp(terms, axis=0), dtype=np.float64)

    def _log_joint(self, rows: Array, k: int) -> Array:
        root, centred = self.roots[k], rows - self.means[k]
        diagonal, whitened = (
            (root, centred * root) if root.ndim == 1 else (np.diag(root), centred @ root)
        )
        constant = (
            np.log(self.weights[k])
            + np.log(diagonal).sum()
            - 0.5 * rows.shape[1] * np.log(2.0 * np.pi)
        )
        return np.asarray(constant - 0.5 * np.einsum("nf,nf->n", whitened, whitened))


@dataclass(frozen=True)
class StandardUnits:
    """Standard units for Gaussians: (t - location) / scale, t the value, or its log in a positive
    column.
    """

    columns: tuple[Column, ...]
    location: Array
    scale: Array

    @classmethod
    def of(cls, schema: Schema, values: Array) -> "StandardUnits":
        """From training values, (n, D); a step adds the variance of its noise."""
        units = cls(schema.columns, np.zeros(len(schema)), np.ones(len(schema)))
        location, scale = standard_units(units.transformed(values))
        return cls(schema.columns, location, np.hypot(scale, units.step / np.sqrt(12.0)))

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Columns whose logarithm is looked at, shape (D,)."""
        return np.array([column.kind == "positive" for column in self.columns], dtype=np.bool_)

    @property
    def step(self) -> Array:
        """Distance between the values of a column of masses, 0 for a density."""
        return np.array(
            [(c.resolution or 1.0) if c.measure == "mass" else 0.0 for c in self.columns]
        )

    @property
    def floor(self) -> Array:
        """Least noise variance: what a column was recorded to cannot tell more."""
        grid = np.array(
            [0.0 if column.kind == "positive" else column.grid for column in self.columns]
        )
        return np.asarray(np.maximum((np.maximum(grid, self.step) / self.scale) ** 2 / 12.0, 1e-6))

    def transformed(self, values: Array) -> Array:
        """t: values, or their logs."""
        tiny = np.finfo(np.float64).tiny
        return np.where(
            self.positive, np.log(np.maximum(np.where(self.positive, values, 1.0), tiny)), values
        )

    def standardised(self, values: Array, rng: np.random.Generator) -> Array:
        """A draw of (t + u - location) / scale, u ~ U(-step/2, step/2)."""
        dequantised = self.transformed(values)
        if self.step.any():
            dequantised = dequantised + self.step * (rng.random(values.shape) - 0.5)
        return (dequantised / 2 - self.location / 2) / (self.scale / 2)

    def log_jacobian(self, values: Array) -> Array:
        """What turns log p of standard units into data units: the step of a mass, the scale, a
        positive value.
        """
        step = self.step
        each = np.where(step > 0, np.log(np.where(step > 0, step, 1.0)), 0.0) - np.log(self.scale)
        each = each - np.where(self.positive, self.transformed(values), 0.0)
        return np.asarray(np.where(np.isnan(values), 0.0, each).sum(axis=1))


@dataclass(frozen=True)
class Dequantised:
    """A density of standard units, scored in data units."""

    density: Density
    chosen: dict[str, Any]
    units: StandardUnits

    @property
    def settings(self) -> dict[str, Any]:
        """What was chosen, and how a score is to be read."""
        notes: dict[str, Any] = {**self.chosen, "chosen_on": "validation"}
        if self.units.step.any():
            notes["dequantised"] = (
                "x + u, u ~ U(-h/2, h/2): E_u log p(x + u) + log h, a lower bound of the mass"
            )
            notes["draws"] = DEQUANTISATIONS
        if self.units.positive.any():
            notes["logarithm_of"] = [
                column.name for column in self.units.columns if column.kind == "positive"
            ]
        return notes

    def score_samples(self, values: Array, seed: int = 0) -> Array:
        """log p of the observed cells of each row, nats in data units, shape (n,); a lower bound of
        a mass.
        """
        rng = np.random.default_rng(seed)
        starts = range(0, max(len(values), 1), BLOCK_ROWS)
        return np.concatenate(
            [self._block(values[start : start + BLOCK_ROWS], rng) for start in starts]
        )

    def _block(self, values: Array, rng: np.random.Generator) -> Array:
        draws = DEQUANTISATIONS if self.units.step.any() else 1
        scores = [
            self.density.score_samples(self.units.standardised(values, rng)) for _ in range(draws)
        ]
        return np.asarray(np.mean(scores, axis=0)) + self.units.log_jacobian(values)


def _by_rows(array: Array) -> Array:
    return np.array(array, dtype=np.float64, order="C")
