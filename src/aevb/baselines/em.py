"""Latent classes of any likelihoods, by EM (Dempster, Laird and Rubin 1977).

    p(x) = sum_k pi_k prod_j p(x_j | raw_k)

over the observed columns j of a row: the VAE's own likelihoods, with one categorical latent in
place of z. One class is the model of independent marginals. Each class is smoothed by
pseudo-observations like the whole table, so that EM climbs log p + log prior.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, PyTree
from numpy.typing import NDArray
from scipy.special import logsumexp

from aevb.baselines.cells import Cells, Units, merged
from aevb.encoders import Features
from aevb.likelihoods import Categorical, Likelihood, Product, chosen, likelihoods_of, single, split
from aevb.table.schema import LEVELED, Schema, Values

__all__ = ["Climb", "LatentClasses", "Training", "class_likelihoods"]


class LatentClasses(eqx.Module):
    """p(x) = sum_k pi_k p(x | k), with p(x | k) the product of likelihoods at raw numbers.

    Parameters
    ----------
    parts
        Likelihoods that share out the columns between them.
    raw
        Their raw numbers, laid out as a decoder gives them, shape (K, R).
    log_weights
        log pi, shape (K,).
    """

    parts: tuple[Likelihood, ...]
    raw: Array
    log_weights: Array

    @property
    def log_pi(self) -> Values:
        """log pi in double precision, where its sum is one."""
        log_weights = np.asarray(self.log_weights, np.float64)
        return log_weights - np.asarray(logsumexp(log_weights))

    def log_joint(self, units: Units, *, block_rows: int = 512) -> Values:
        """log pi_k p(x_o | k) of rows in model units, nats in data units, shape (n, K)."""
        missing = np.full((-len(units) % block_rows, units.shape[1]), np.nan, np.float32)
        padded = np.concatenate([units, missing])
        joint = []
        for start in range(0, max(len(units), 1), block_rows):
            rows = padded[start : start + block_rows]
            joint.append(for_each_class(_log_p_of_rows, (self.parts, rows), self.raw))
        return np.concatenate(joint)[: len(units)] + self.log_pi

    def log_likelihood(self, units: Units) -> Values:
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
        Rows of the first stage as points, shape (n, F): classes start around some of them.
    stages
        Cells of a sample of the rows, where there are many, then of all of them.
    priors
        For each stage, the pseudo-observations of each entry of its cells, shape (V,).
    class_rows
        Pseudo-observations of each class itself.
    """

    parts: tuple[Likelihood, ...]
    points: Units
    stages: tuple[Cells, ...]
    priors: tuple[Values, ...]
    class_rows: float = 0.1

    @classmethod
    def of(
        cls,
        schema: Schema,
        units: Units,
        *,
        seed: int = 0,
        pseudo_rows: float = 0.3,
        sample_rows: int = 20_000,
        sample_cells: int = 4_000_000,
    ) -> Self:
        """Arrange rows in model units, shape (n, D), NaN where missing.

        Parameters
        ----------
        schema, units
            The columns and the rows.
        seed
            Random seed of the sample.
        pseudo_rows
            Pseudo-observations of each class like the whole table.
        sample_rows, sample_cells
            Size of the sample that EM climbs first, where there are more than twice as many rows.
        """
        parts = class_likelihoods(schema, units)
        possible = _possible_values(schema)
        features = Features.of(schema, units)
        units = merged(schema, units)
        most = max(min(sample_rows, sample_cells // features.size), 500)
        rows = [units]
        if len(units) > 2 * most:
            sample = np.random.default_rng(seed).choice(len(units), most, replace=False)
            rows = [units[sample], units]
        stages = tuple(Cells.of(parts, each, possible=possible) for each in rows)
        priors = tuple(
            _pseudo_observations(parts, cells, possible, pseudo_rows) for cells in stages
        )
        points = np.nan_to_num(features.matrix(rows[0])).astype(np.float32)
        return cls(parts, points, stages, priors)

    def fit(
        self,
        classes: int,
        *,
        seed: int = 0,
        max_iterations: int = 100,
        tolerance: float = 2e-5,
    ) -> Climb:
        """EM with this many classes, or as many as there are rows, around well-spread rows.

        Each stage stops when log p + log prior of a row rises by less than `tolerance` nats per
        column.

        Examples
        --------
        >>> from aevb.table.schema import Column
        >>> schema = Schema(tuple(Column(name, "binary", categories=(0, 1)) for name in "ab"))
        >>> rows = np.repeat(np.float32([[0, 1], [1, 0]]), 50, axis=0)
        >>> training = Training.of(schema, rows)
        >>> marginals, two = training.fit(1).model, training.fit(2).model
        >>> [round(float(each.log_likelihood(rows).mean()), 1) for each in (marginals, two)]
        [-1.4, -0.7]
        """
        least = tolerance * sum(len(part.columns) for part in self.parts)
        model = self._started(min(classes, len(self.points)), seed)
        trace: list[float] = []
        for cells, prior in zip(self.stages, self.priors, strict=True):
            height = -np.inf
            for _ in range(max_iterations):
                expected = self._expected(model, cells, prior)
                trace.append(expected.height)
                if expected.height - height < least:
                    break
                height = expected.height
                model = self._maximized(model.raw, cells, expected)
        return Climb(model, trace)

    def _started(self, classes: int, seed: int) -> LatentClasses:
        """Each row in the class of the nearest of K rows that are far from each other."""
        cells = self.stages[0]
        shares = np.eye(classes)[_spread(self.points, classes, np.random.default_rng(seed))]
        weights = scipy.sparse.vstack(cells.blocks).T @ shares + self.priors[0][:, None]
        pieces = zip(self.parts, cells.values, cells.by_part(weights), strict=True)
        raw = [part.start(values, weight) for part, values, weight in pieces]
        expected = _Expected(weights, shares.sum(axis=0) + self.class_rows, -np.inf)
        return self._maximized(_side_by_side(raw), cells, expected)

    def _expected(self, model: LatentClasses, cells: Cells, prior: Values) -> "_Expected":
        """The E-step: what each class expects to see of each value, and log p + log prior."""
        table = for_each_class(_log_p_of_entries, (self.parts, cells.values), model.raw)
        log_pi = model.log_pi
        weights = np.zeros_like(table)
        counts = np.full(len(log_pi), self.class_rows)
        height = float((prior @ table).sum() + self.class_rows * log_pi.sum())
        for block in cells.blocks:
            joint = log_pi + block @ table
            highest = joint.max(axis=1, keepdims=True)
            shares = np.exp(joint - highest)
            total = shares.sum(axis=1, keepdims=True)
            height += float((highest + np.log(total)).sum())
            shares /= total
            weights += block.T @ shares
            counts += shares.sum(axis=0)
        weights += prior[:, None]
        return _Expected(weights, counts, height / max(cells.rows, 1))

    def _maximized(self, raw: Array, cells: Cells, expected: "_Expected") -> LatentClasses:
        """The M-step: the best raw numbers in closed form, else better ones than `raw`."""
        pieces = []
        for part, values, before, weights in zip(
            self.parts,
            cells.values,
            split(self.parts, raw),
            cells.by_part(expected.weights),
            strict=True,
        ):
            if part.closed_form:
                pieces.append(part.start(values, weights))
            else:
                better = for_each_class(_ascended, (part, values), before, weights)
                pieces.append(np.moveaxis(better, -1, 0))
        log_weights = np.log(expected.counts / expected.counts.sum())
        return LatentClasses(self.parts, _side_by_side(pieces), single(log_weights))


class _Expected(NamedTuple):
    weights: Values  # (V, K), pseudo-observations among them
    counts: Values  # (K,)
    height: float  # log p + log prior of a row


def class_likelihoods(schema: Schema, units: Units) -> tuple[Likelihood, ...]:
    """The likelihoods of classes: a scale may shrink to the grid that the data were recorded on.

    Ordered levels are free: a class may prefer any of them.
    """
    free = {column.name: Categorical for column in schema.columns if column.kind == "ordinal"}
    nothing_left = np.zeros(len(schema))
    return likelihoods_of(schema, chosen(schema, free), units, nothing_left)


def _possible_values(schema: Schema) -> dict[int, Units]:
    """Levels and atoms, by the place of their column."""
    possible = {}
    for place, column in enumerate(schema.columns):
        if column.kind in LEVELED:
            possible[place] = np.arange(len(column.categories), dtype=np.float32)
        elif column.atoms:
            atoms = [column.in_units(atom) for atom in column.atoms]
            possible[place] = np.array(atoms, np.float32)
    return possible


def _pseudo_observations(
    parts: Sequence[Likelihood],
    cells: Cells,
    possible: Mapping[int, Units],
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


def _spread(points: Units, classes: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The nearest of K points for each, drawn with the squared distance to the others as odds.

    Arthur and Vassilvitskii (2007), k-means++.
    """
    label = np.zeros(len(points), np.intp)
    nearest = np.ones(len(points))
    for k in range(classes):
        if not nearest.any():
            nearest = np.ones(len(points))
        center = points[rng.choice(len(points), p=nearest / nearest.sum())]
        apart = points - center
        distance = np.einsum("nf,nf->n", apart, apart, dtype=np.float64)
        closer = distance < nearest if k else np.ones(len(points), np.bool_)
        label[closer] = k
        nearest = np.where(closer, distance, nearest)
    return label


def _side_by_side(pieces: Sequence[Values]) -> Array:
    """Raw numbers (K, d, parameters) of each likelihood as a decoder lays them out, (K, R)."""
    return single(np.concatenate([piece.reshape(len(piece), -1) for piece in pieces], axis=1))


# Functions of one class, and how they are applied to all.


def _log_p_of_rows(own: tuple[tuple[Likelihood, ...], Array], raw: Array) -> Array:
    """log p(x_o | raw) of each row, shape (rows,)."""
    parts, rows = own
    pieces = zip(parts, split(parts, raw), strict=True)
    product = Product(parts, tuple(part(piece) for part, piece in pieces))
    return jax.vmap(product.log_prob)(rows)


def _log_p_of_entries(own: tuple[tuple[Likelihood, ...], tuple[Array, ...]], raw: Array) -> Array:
    """log p(value | raw) of each entry of cells, shape (V,)."""
    parts, values = own
    pieces = zip(parts, values, split(parts, raw), strict=True)
    return jnp.concatenate([_log_probs(*piece).ravel() for piece in pieces])


def _log_probs(part: Likelihood, values: Array, raw: Array) -> Array:
    """log p of each value in nats, shape (U, d)."""
    inside = jnp.where(jnp.isnan(values), part.inside, values)
    return jax.vmap(partial(part.log_prob, part(raw)))(inside)


def _ascended(
    own: tuple[Likelihood, Array],
    raw: Array,
    weights: Array,
    *,
    lengths: Sequence[float] = (0.25, 1.0, 4.0),
    damping: float = 1e-3,
    longest: float = 4.0,
) -> Array:
    """Raw numbers of no lower weighted log p: one step along the natural gradient of each column.

    The step solves (sum w g g') step = sum w g, with g the gradient of log p of a value. The best
    of no step, a part of it, all of it and more is taken.
    """
    part, values = own

    def nats(raw: Array) -> Array:
        return _log_probs(part, values, raw)

    def directional(direction: Array) -> Array:
        return along(jnp.broadcast_to(direction, raw.shape))

    now, along = jax.linearize(nats, raw)
    basis = jnp.eye(raw.shape[-1])
    gradients = jax.vmap(directional)(basis)
    slope = jnp.einsum("pud,ud->dp", gradients, weights)
    information = jnp.einsum("pud,qud,ud->dpq", gradients, gradients, weights)
    diagonal = jnp.einsum("dpp->dp", information)
    information += damping * (diagonal + 1.0)[:, None] * basis
    step = jnp.linalg.solve(information, slope[..., None])[..., 0]
    step = jnp.clip(jnp.nan_to_num(step), -longest, longest)
    tried = jnp.array(lengths)
    heights = jax.vmap(lambda length: (nats(raw + length * step) * weights).sum(0))(tried)
    heights = jnp.concatenate([(now * weights).sum(0)[None], heights])
    best = jnp.concatenate([jnp.zeros(1), tried])[jnp.argmax(heights, axis=0)]
    return raw + best[:, None] * step


def for_each_class(
    function: Callable[..., Array],
    own: PyTree,
    *classes: Array | Values,
    chunk: int = 8,
    room: int = 64,
) -> Values:
    """A function of what all classes share and of one class, for each of K: shape (..., K).

    One program serves any K up to `room`, and takes time for those that are there.
    """
    count = len(classes[0])
    padded = []
    for array in classes:
        padding = np.zeros((-count % room, *array.shape[1:]), np.float32)
        padded.append(np.concatenate([np.asarray(array, np.float32), padding]))
    out = in_chunks(function, chunk, own, padded, -(-count // chunk))
    return np.asarray(out)[..., :count].astype(np.float64, order="C")


@partial(jax.jit, static_argnums=(0, 1))
def in_chunks(
    function: Callable[..., Array], chunk: int, own: PyTree, classes: list[Array], chunks: Array
) -> Array:
    of_some = jax.vmap(partial(function, own), out_axes=-1)

    def put(i: Array, out: Array) -> Array:
        begin = i * chunk
        some = [jax.lax.dynamic_slice_in_dim(array, begin, chunk) for array in classes]
        return jax.lax.dynamic_update_slice_in_dim(out, of_some(*some), begin, -1)

    shape = jax.eval_shape(of_some, *classes)
    return jax.lax.fori_loop(0, chunks, put, jnp.zeros(shape.shape, shape.dtype))
