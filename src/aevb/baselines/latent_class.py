"""Latent classes of any likelihoods, by EM (Dempster, Laird and Rubin 1977).

    p(x) = sum_k pi_k prod_j p(x_j | raw_k)

over the observed columns j of a row: the VAE's own likelihoods, with one categorical latent in
place of z. One class is the model of independent marginals. Each class is smoothed by
pseudo-observations like the whole table, so that EM climbs log p + log prior. All of it is in
double precision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import equinox as eqx
import jax
import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.special import logsumexp

from aevb.baselines.ascent import Ascent, log_p
from aevb.baselines.cells import Cells, merged
from aevb.encoders import Features
from aevb.likelihoods import Categorical, Likelihood, chosen, likelihoods_of
from aevb.table.schema import LEVELED, Schema, Values

__all__ = ["Climb", "LatentClasses", "Training", "class_likelihoods"]


class LatentClasses(eqx.Module):
    """p(x) = sum_k pi_k p(x | k), with p(x | k) the product of likelihoods at raw numbers.

    Parameters
    ----------
    parts
        Likelihoods that share out the columns between them.
    raw
        For each of them the raw numbers of all classes, shape (K, d, parameters).
    log_weights
        log pi, shape (K,).
    """

    parts: tuple[Likelihood, ...]
    raw: tuple[Values, ...]
    log_weights: Values

    def nats(self, cells: Cells) -> list[Values]:
        """For each likelihood log p(value | k) in data units, shape (K, U, d)."""
        pieces = zip(self.parts, cells.values, self.raw, strict=True)
        return [log_p(part, values, raw) for part, values, raw in pieces]

    def log_joint(self, units: Values, *, block_numbers: int = 16_000_000) -> Values:
        """log pi_k p(x_o | k) of rows in model units, nats in data units, shape (n, K).

        At most `block_numbers` log-probabilities of cells are held at once.
        """
        joint = []
        cost = len(self.log_weights) * units.shape[1]
        block_rows = min(max(block_numbers // cost, 1), 2_048)
        for start in range(0, max(len(units), 1), block_rows):
            cells = Cells.of(self.parts, units[start : start + block_rows])
            joint.append(cells.blocks[0] @ cells.entries(self.nats(cells)))
        return np.concatenate(joint) + self.log_weights

    def log_likelihood(self, units: Values) -> Values:
        """log p(x_o) of rows in model units, nats in data units, shape (n,)."""
        return np.asarray(logsumexp(self.log_joint(units), axis=1))


class Climb(NamedTuple):
    """The classes EM found, and log p + log prior of a training row at each of its steps."""

    model: LatentClasses
    trace: list[float]


@dataclass(frozen=True)
class Training:
    """Training rows, arranged for EM with any number of classes.

    Parameters
    ----------
    parts
        The likelihoods.
    points
        Every `every`-th row as a point, shape (n / every, F): classes start around some of them.
    cells
        The rows by distinct values.
    prior
        The pseudo-observations of each entry of the cells, shape (V,).
    every
        See `points`.
    class_rows
        Pseudo-observations of each class itself.
    """

    parts: tuple[Likelihood, ...]
    points: NDArray[np.float32]
    cells: Cells
    prior: Values
    every: int = 1
    class_rows: float = 0.1

    @classmethod
    def of(
        cls,
        parts: tuple[Likelihood, ...],
        schema: Schema,
        values: Values,
        *,
        pseudo_rows: float = 0.3,
        most_numbers: int = 10_000_000,
        longest: float = 1e6,
    ) -> Self:
        """Arrange rows, shape (n, D), NaN where missing.

        Parameters
        ----------
        parts
            The likelihoods; see `class_likelihoods`.
        schema, values
            The columns and the rows.
        pseudo_rows
            Pseudo-observations of each class like the whole table.
        most_numbers, longest
            How many numbers the points have at most, and how large each may be.
        """
        units = schema.in_units(values)
        features = Features.of(schema, units)
        every = -(-units.shape[0] * features.size // most_numbers)
        points = np.nan_to_num(features.matrix(units[::every])).clip(-longest, longest)
        possible = _possible_values(schema)
        cells = Cells.of(parts, merged(schema, units), possible=possible)
        prior = _pseudo_observations(parts, cells, possible, pseudo_rows)
        return cls(parts, points.astype(np.float32), cells, prior, every)

    def fit(
        self, classes: int, *, seed: int = 0, max_iterations: int = 100, tolerance: float = 5e-4
    ) -> Climb:
        """EM with this many classes, or as many as there are rows, around well-spread rows.

        Stops when log p + log prior of a row rises by less than `tolerance` nats per column in
        three steps: a step that is not taken is followed by a shorter one.

        Examples
        --------
        >>> from aevb.table.schema import Column
        >>> schema = Schema(tuple(Column(name, "binary", categories=(0, 1)) for name in "ab"))
        >>> rows = np.repeat([[0.0, 1.0], [1.0, 0.0]], 50, axis=0)
        >>> training = Training.of(class_likelihoods(schema, rows), schema, rows)
        >>> marginals, two = training.fit(1).model, training.fit(2).model
        >>> [round(float(each.log_likelihood(rows).mean()), 1) for each in (marginals, two)]
        [-1.4, -0.7]
        """
        model = self._started(min(classes, len(self.points)), seed)
        return self.climb(model, max_iterations=max_iterations, tolerance=tolerance)

    def climb(
        self, model: LatentClasses, *, max_iterations: int = 100, tolerance: float = 5e-4
    ) -> Climb:
        """EM that goes on from these classes."""
        least = tolerance * sum(len(part.columns) for part in self.parts)
        trace: list[float] = []
        pieces = zip(self.parts, self.cells.values, model.raw, strict=True)
        ascents = [Ascent.at(*piece) for piece in pieces]
        log_weights = model.log_weights
        while True:
            expected = self._expected(log_weights, ascents)
            trace.append(expected.height)
            settled = len(trace) > 3 and not trace[-1] - trace[-4] >= least
            if settled or len(trace) == max_iterations:
                raw = tuple(ascent.raw for ascent in ascents)
                return Climb(LatentClasses(self.parts, raw, log_weights), trace)
            ascents = self._maximized(ascents, expected.weights)
            log_weights = self._log_weights(expected.counts)

    def _started(self, classes: int, seed: int, *, steps: int = 3) -> LatentClasses:
        """Each row in the class of the nearest of K rows that are far from each other."""
        shares = np.eye(classes)[_spread(self.points, classes, np.random.default_rng(seed))]
        places = scipy.sparse.vstack(self.cells.blocks)[:: self.every]
        weights = places.T @ shares + self.prior[:, None]
        pieces = zip(self.parts, self.cells.values, self.cells.by_part(weights), strict=True)
        ascents = []
        for part, values, own in pieces:
            ascents.append(Ascent.at(part, values, part.start(values, own)))
        for _ in range(steps):  # classes that start alike would stay alike
            ascents = self._maximized(ascents, weights)
        raw = tuple(ascent.raw for ascent in ascents)
        return LatentClasses(self.parts, raw, self._log_weights(shares.sum(axis=0)))

    def _expected(self, log_weights: Values, ascents: Sequence[Ascent]) -> "_Expected":
        """The E-step: what each class expects to see of each value, and log p + log prior."""
        table = self.cells.entries([ascent.nats for ascent in ascents])
        weights = np.repeat(self.prior[:, None], len(log_weights), axis=1)
        counts = np.zeros(len(log_weights))
        height = float((self.prior @ table).sum() + self.class_rows * log_weights.sum())
        for block in self.cells.blocks:
            joint = log_weights + block @ table
            highest = joint.max(axis=1, keepdims=True)
            shares = np.exp(joint - highest)
            total = shares.sum(axis=1, keepdims=True)
            height += float((highest + np.log(total)).sum())
            shares /= total
            weights += block.T @ shares
            counts += shares.sum(axis=0)
        return _Expected(weights, counts, height / max(self.cells.rows, 1))

    def _maximized(self, ascents: Sequence[Ascent], weights: Values) -> list[Ascent]:
        """The M-step: the best raw numbers in closed form, else better ones than before."""
        pieces = zip(self.parts, self.cells.values, self.cells.by_part(weights), strict=True)
        found = []
        for ascent, (part, values, own) in zip(ascents, pieces, strict=True):
            if part.closed_form:
                found.append(Ascent.at(part, values, part.start(values, own)))
            else:
                found.append(ascent.step(part, values, own))
        return found

    def _log_weights(self, counts: Values) -> Values:
        smoothed = counts + self.class_rows
        return np.log(smoothed / smoothed.sum())


class _Expected(NamedTuple):
    weights: Values  # (V, K), pseudo-observations among them
    counts: Values  # (K,)
    height: float  # log p + log prior of a row


def class_likelihoods(schema: Schema, values: Values) -> tuple[Likelihood, ...]:
    """The likelihoods of classes: a scale may shrink to the grid that the data were recorded on.

    Ordered levels are free: a class may prefer any of them.
    """
    free = {column.name: Categorical for column in schema.columns if column.kind == "ordinal"}
    nothing_left = np.zeros(len(schema))
    with jax.enable_x64(True):
        units = schema.in_units(values)
        parts = likelihoods_of(schema, chosen(schema, free), units, nothing_left)
        return jax.tree.map(np.asarray, parts)


def _possible_values(schema: Schema) -> dict[int, Values]:
    """Levels and atoms, by the place of their column."""
    possible = {}
    for place, column in enumerate(schema.columns):
        if column.kind in LEVELED:
            possible[place] = np.arange(len(column.categories), dtype=np.float64)
        elif column.atoms:
            possible[place] = np.array([column.in_units(atom) for atom in column.atoms])
    return possible


def _pseudo_observations(
    parts: Sequence[Likelihood],
    cells: Cells,
    possible: Mapping[int, Values],
    rows: float,
    *,
    uniform: float = 0.1,
) -> Values:
    """For each column `rows` like the whole table, and `uniform` spread over possible values."""
    met = sum(block.sum(axis=0) for block in cells.blocks)
    prior = []
    for part, values, count in zip(parts, cells.values, cells.by_part(met), strict=True):
        pseudo = rows * count / np.maximum(count.sum(axis=0), 1.0)
        for offset, column in enumerate(part.columns):
            if column in possible:
                at = np.isin(values[:, offset], possible[column])
                pseudo[at, offset] += uniform / at.sum()
        prior.append(pseudo.ravel())
    return np.concatenate(prior)


def _spread(
    points: NDArray[np.float32], classes: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """The nearest of K points for each, drawn with the squared distance to the others as odds.

    Arthur and Vassilvitskii (2007), k-means++.
    """
    label = np.zeros(len(points), np.intp)
    nearest = np.full(len(points), np.inf)
    odds = np.ones(len(points))
    for k in range(classes):
        center = points[rng.choice(len(points), p=odds / odds.sum())]
        apart = points - center
        distance = np.einsum("nf,nf->n", apart, apart, dtype=np.float64)
        label[distance < nearest] = k
        nearest = np.minimum(distance, nearest)
        odds = nearest if nearest.any() else np.ones(len(points))
    return label
