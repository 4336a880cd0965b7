"""A baseline with one categorical latent and full covariances: a mixture of Gaussians."""

import warnings
from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

import numpy as np
from scipy.special import logsumexp

from aevb.baselines.base import BASELINES, Arrays, Setting, Task, best, check_positive
from aevb.baselines.gaussian import Gaussian, Standardized, StandardUnits, by_rows
from aevb.table.schema import Schema, Values

__all__ = ["Mixture"]


@BASELINES.register("Gaussian mixture")
class Mixture(Gaussian):
    """scikit-learn's Gaussian mixture of rows in standard units.

    Parameters
    ----------
    weights
        Shape (K,).
    means
        Shape (K, D).
    roots
        Roots of the precisions: L_k with L_k L_k' the inverse covariance, shape (K, D, D), or its
        diagonal, shape (K, D).
    """

    weights: Values
    means: Values
    roots: Values

    components: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32)
    ridges: ClassVar[tuple[float, ...]] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
    #: Above so many columns covariances are diagonal, of one ridge, and components at most 16.
    many_columns: ClassVar[int] = 200
    #: The most rows and cells it is fitted to.
    most_rows: ClassVar[int] = 20_000
    most_cells: ClassVar[int] = 2_000_000

    @classmethod
    def why_not(cls, task: Task) -> str:
        """It needs complete rows, two of them."""
        if reason := super().why_not(task):
            return reason
        if np.isnan(task.train).any() or np.isnan(task.validation).any():
            return "it needs complete rows, and cells are missing"
        if len(task.train) < 2:
            return "it needs two training rows"
        return ""

    @classmethod
    def fit(cls, task: Task) -> Self:
        """Full or diagonal covariances, ridge and components as validation rows prefer."""
        table = Standardized.of(task)
        rows = cls._rows(table, task)
        many = rows.shape[1] > cls.many_columns
        covariances = ("diag",) if many else ("full", "diag")
        ridges = (1e-2,) if many else cls.ridges
        found = []
        for covariance in covariances:
            of_ridges = (best(cls._sizes(table, rows, task, covariance, one)) for one in ridges)
            found.append(best(of_ridges))
        return best(found)[1]

    @classmethod
    def empty(cls, arrays: Arrays, chosen: Mapping[str, Setting], schema: Schema) -> Self:
        """As many components as there are weights."""
        components, width = len(arrays[".weights"]), len(schema)
        if not components:
            raise ValueError("a mixture has at least one component")
        means = np.zeros((components, width))
        roots = means
        if chosen["covariance"] == "full":
            roots = np.zeros((components, width, width))
        return cls(chosen, StandardUnits.empty(schema), np.zeros(components), means, roots)

    def check(self, empty: Self) -> None:
        """Scales, weights and the diagonals of roots are positive."""
        check_positive(scale=self.units.scale, weights=self.weights)
        for root in self.roots:
            check_positive(roots=_diagonal(root))

    def log_density(self, rows: Values) -> Values:
        """log p of each row in standard units, nats, shape (n,); rows must be complete."""
        terms = []
        for weight, mean, root in zip(self.weights, self.means, self.roots, strict=True):
            centered = rows - mean
            whitened = centered * root if root.ndim == 1 else centered @ root
            constant = np.log(weight) + np.log(_diagonal(root)).sum()
            constant -= 0.5 * rows.shape[1] * np.log(2.0 * np.pi)
            terms.append(constant - 0.5 * np.einsum("nf,nf->n", whitened, whitened))
        return np.asarray(logsumexp(terms, axis=0), dtype=np.float64)

    @classmethod
    def _rows(cls, table: Standardized, task: Task) -> Values:
        """Some of the rows, with the rounding of the recording undone.

        The grid of a density, unlike the step of a mass, is not in the rows yet: without it a
        component may sit on one value.
        """
        width = table.rows.shape[1]
        rng = np.random.default_rng(task.seed)
        most = max(min(cls.most_rows, cls.most_cells // width), 500)
        kept = rng.permutation(len(table.rows))[:most]
        grid = np.where(table.units.step > 0, 0.0, table.units.grid)
        noise = rng.random((len(kept), width)) - 0.5
        return table.rows[kept] + grid / table.units.scale * noise

    @classmethod
    def _sizes(
        cls, table: Standardized, rows: Values, task: Task, covariance: str, ridge: float
    ) -> Iterator[tuple[float, Self]]:
        """Mixtures of more and more components with their scores."""
        from sklearn.mixture import GaussianMixture

        width = rows.shape[1]
        parameters = width if covariance == "full" else 1
        most = 16 if width > cls.many_columns else cls.components[-1]
        for components in cls.components:
            too_many = components > 1 and components * parameters > len(rows)
            if components > most or too_many:
                return
            model = GaussianMixture(
                components,
                covariance_type=covariance,
                reg_covar=ridge,
                random_state=task.seed % 2**32,
                max_iter=100,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # EM may not have settled: validation rows judge it
                model.fit(rows)
                score = float(model.score(table.held_out))
            chosen: dict[str, Setting] = {
                "components": components,
                "covariance": covariance,
                "ridge": ridge,
                "rows": len(rows),
            }
            arrays = map(by_rows, (model.weights_, model.means_, model.precisions_cholesky_))
            yield score, cls(chosen, table.units, *arrays)


def _diagonal(root: Values) -> Values:
    return root if root.ndim == 1 else np.diag(root)
