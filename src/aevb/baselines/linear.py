"""Baselines with linear Gaussian latents: probabilistic PCA and factor analysis."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

import numpy as np

from aevb import linear
from aevb.baselines.base import BASELINES, Arrays, Setting, Task, best, check_positive
from aevb.baselines.gaussian import Gaussian, Standardized, StandardUnits, by_rows
from aevb.table.schema import Schema, Values

__all__ = ["PPCA", "FactorAnalysis"]


class Linear(Gaussian):
    """A linear Gaussian model of rows in standard units times `ratio`; see `aevb.linear`.

    Parameters
    ----------
    mean, noise, ratio
        Shape (D,).
    loadings
        Shape (D, factors).
    """

    mean: Values
    loadings: Values
    noise: Values
    ratio: Values

    #: Numbers of factors tried.
    factors: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32, 64)
    #: Above so many columns a fit takes few steps.
    many_columns: ClassVar[int] = 200

    @classmethod
    def empty(cls, arrays: Arrays, chosen: Mapping[str, Setting], schema: Schema) -> Self:
        """As many factors as the loadings have columns."""
        width = len(schema)
        _, factors = arrays[".loadings"].shape
        if not 1 <= factors <= max(width - 1, 1):  # a row costs factors^2 numbers per column
            raise ValueError(f"{factors} factors of {width} columns")
        each = np.zeros(width)
        loadings = np.zeros((width, factors))
        return cls(chosen, StandardUnits.empty(schema), each, loadings, each, each)

    def check(self, empty: Self) -> None:
        """Scales and variances are positive."""
        check_positive(scale=self.units.scale, noise=self.noise, ratio=self.ratio)

    def log_density(self, rows: Values) -> Values:
        """log p of the observed cells of each row in standard units, nats, shape (n,)."""
        model = linear.LinearModel(self.mean, self.loadings, self.noise)
        log_ratio = ~np.isnan(rows) @ np.log(self.ratio)
        return model.log_likelihood(rows * self.ratio) + log_ratio

    @classmethod
    def sizes(
        cls,
        table: Standardized,
        task: Task,
        ratio: Values,
        *,
        isotropic: bool,
        **chosen: Setting,
    ) -> Iterator[tuple[float, Self]]:
        """Models of more and more factors with their scores."""
        width = len(task.schema)
        most = max(width - 1, 1)
        wanted = {*cls.factors, task.latent_dim or 1}
        steps = 50 if width > cls.many_columns else 500
        for size in sorted(size for size in wanted if size <= most) or [1]:
            model = linear.fit(
                table.rows * ratio,
                size,
                isotropic=isotropic,
                noise_floor=table.units.floor * ratio**2,
                max_iterations=steps,
            )
            fitted = cls(
                {"factors": size, **chosen},
                table.units,
                by_rows(model.mean),
                by_rows(model.loadings),
                by_rows(model.noise),
                by_rows(ratio),
            )
            yield float(fitted.log_density(table.held_out).mean()), fitted


@BASELINES.register("PPCA")
class PPCA(Linear):
    """Probabilistic PCA: one noise variance for all columns (Tipping and Bishop 1999)."""

    @classmethod
    def fit(cls, task: Task) -> Self:
        """Noise of one variance in standard units or in the data's, as validation rows prefer."""
        table = Standardized.of(task)
        own = table.units.scale / np.exp(np.log(table.units.scale).mean())
        ratios = {"standard": np.ones_like(own)}
        if own.max() < 1e3 * own.min():
            ratios["data"] = own
        found = []
        for units, ratio in ratios.items():
            found.append(best(cls.sizes(table, task, ratio, isotropic=True, units=units)))
        return best(found)[1]


@BASELINES.register("factor analysis")
class FactorAnalysis(Linear):
    """Factor analysis: a noise variance for each column."""

    @classmethod
    def fit(cls, task: Task) -> Self:
        """As many factors as validation rows prefer."""
        table = Standardized.of(task)
        ratio = np.ones(len(task.schema))
        return best(cls.sizes(table, task, ratio, isotropic=False))[1]
