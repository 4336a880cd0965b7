"""Latent classes: a mixture of products of the columns' own kinds, by EM (Dempster, Laird & Rubin
1977).

    p(x) = sum_k pi_k prod_j p(x_j | k)

over the observed columns j of a row. One class is the model of independent marginals. Each class is
smoothed by pseudo-observations like the whole table, so that EM climbs log p + log prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from aevb.baselines.families import Beta, Encoding, Family, Gaussian, Levels
from aevb.baselines.grids import GaussianMass, NegativeBinomial
from aevb.table.schema import LEVELED, Column, Schema

__all__ = ["FAMILIES", "LatentClasses", "Part", "affordable", "fit", "fit_classes", "layout"]

Array = NDArray[np.float64]

#: Rows and cells EM looks at (fewer for tables of masses, whose distinct values cost), and rows
#: that choose a size.
MAXIMUM_ROWS = 20_000
MAXIMUM_CELLS = 16_000_000
MAXIMUM_MASSES = 4_000_000
VALIDATION_ROWS = 5_000
BLOCK_ROWS = 2_000
GRID = (1, 2, 4, 8, 16, 32, 64)
#: Dirichlet pseudo-observations of each class.
CLASS_ROWS = 0.1
#: The family that speaks of a column, by what the column is to it.
FAMILIES: dict[str, type[Family]] = {
    "levels": Levels,
    "density": Gaussian,
    "proportion": Beta,
    "grid": GaussianMass,
    "count": NegativeBinomial,
}


class Part(NamedTuple):
    """Columns of one family, and what they are to it: its key in `FAMILIES`."""

    role: str
    columns: NDArray[np.intp]
    family: Family

    @property
    def coded(self) -> bool:
        """Whether the family sees level or atom codes instead of values."""
        return self.role == "levels"


@dataclass(frozen=True)
class LatentClasses:
    """A fitted mixture of products.

    Parameters
    ----------
    schema
        The columns.
    parts
        Families and the columns they speak of.
    parameters
        Of each part, arrays (K, ..).
    log_weights
        log pi, shape (K,).
    rows
        Training rows it was fitted to.
    trace
        log p + log prior of a training row, after each step of EM.
    """

    schema: Schema
    parts: tuple[Part, ...]
    parameters: tuple[tuple[Array, ...], ...]
    log_weights: Array
    rows: int = 0
    trace: tuple[float, ...] = ()

    @property
    def classes(self) -> int:
        """K."""
        return len(self.log_weights)

    def log_joint(self, values: Array) -> Array:
        """log pi_k p(x_o | k), nats in data units, shape (n, K)."""
        starts = range(0, max(len(values), 1), BLOCK_ROWS)
        return np.concatenate(
            [self._log_joint(values[start : start + BLOCK_ROWS]) for start in starts]
        )

    def score_samples(self, values: Array) -> Array:
        """log p(x_o) of the observed cells of each row, nats in data units, shape (n,)."""
        return np.asarray(logsumexp(self.log_joint(values), axis=1), dtype=np.float64)

    def _log_joint(self, values: Array) -> Array:
        encodings = _encode(self.parts, self.schema, values)
        natural = _natural(self.parts, self.parameters, encodings)
        return _log_joint(encodings, natural, self.log_weights)


def fit(train: Array, validation: Array, schema: Schema, *, seed: int = 0) -> LatentClasses:
    """The mixture with the most likely validation rows among `GRID` sizes; growth stops after two
    that are worse.
    """
    rows = affordable(train, schema, seed)
    held_out = validation[:VALIDATION_ROWS] if len(validation) else rows
    restarts = 3 if rows.size <= 100_000 else 1
    best, best_score, worse = None, -np.inf, 0
    for classes in GRID:
        if best is not None and (classes * 5 > len(rows) or worse == 2):
            break
        tried = range(1 if classes == 1 else restarts)
        models = [fit_classes(rows, schema, classes, seed=seed + restart) for restart in tried]
        scores = [float(model.score_samples(held_out).mean()) for model in models]
        model, score = models[int(np.argmax(scores))], max(scores)
        worse = worse + 1 if score <= best_score else 0
        if best is None or score > best_score:
            best, best_score = model, score
    assert best is not None
    return best


def affordable(values: Array, schema: Schema, seed: int) -> Array:
    """At most `MAXIMUM_ROWS` rows and about `MAXIMUM_CELLS` cells, `MAXIMUM_MASSES` of them of
    gridded columns.
    """
    tables = sum(_role(column) in ("grid", "count") for column in schema.columns)
    most = max(
        min(MAXIMUM_ROWS, MAXIMUM_CELLS // max(len(schema), 1), MAXIMUM_MASSES // max(tables, 1)),
        500,
    )
    return values[np.random.default_rng(seed).permutation(len(values))[:most]]


def fit_classes(
    values: Array,
    schema: Schema,
    classes: int,
    *,
    seed: int = 0,
    max_iterations: int = 100,
    tolerance: float = 1e-5,
) -> LatentClasses:
    """EM with this many classes, started from cells around rows drawn as k-means++ draws them.

    Stops when log p + log prior of a row rises by less than `tolerance` nats a column.

    Examples
    --------
    >>> values = np.repeat([[0.0, 1.0], [1.0, 0.0]], 50, axis=0)
    >>> schema = Schema(tuple(Column(name, "binary", categories=(0, 1)) for name in "ab"))
    >>> marginals, two = (fit_classes(values, schema, classes) for classes in (1, 2))
    >>> [round(float(model.score_samples(values).mean()), 1) for model in (marginals, two)]
    [-1.4, -0.7]
    """
    parts = _parts(schema, values)
    encodings = _encode(parts, schema, values)
    priors = [part.family.prior(encoding) for part, encoding in zip(parts, encodings, strict=True)]
    responsibilities = _nearest(encodings, len(values), classes, np.random.default_rng(seed))
    trace: list[float] = []
    while True:
        log_weights, parameters = _maximise(parts, encodings, priors, responsibilities)
        natural = _natural(parts, parameters, encodings)
        joint = _log_joint(encodings, natural, log_weights)
        evidence = logsumexp(joint, axis=1, keepdims=True)
        smoothing = sum(float(np.sum(n @ p)) for n, p in zip(natural, priors, strict=True))
        smoothing += CLASS_ROWS * float(log_weights.sum())
        trace.append((float(evidence.sum()) + smoothing) / max(len(values), 1))
        if (
            classes == 1
            or len(trace) == max_iterations
            or (len(trace) > 1 and trace[-1] - trace[-2] < tolerance * len(schema))
        ):
            # Row by row, as a file gives them back: the last bits of a product follow the layout of
            # its factors.
            parameters = tuple(
                tuple(np.array(array, order="C") for array in arrays) for arrays in parameters
            )
            return LatentClasses(schema, parts, parameters, log_weights, len(values), tuple(trace))
        responsibilities = np.exp(joint - evidence)


def _maximise(
    parts: Sequence[Part],
    encodings: Sequence[Encoding],
    priors: Sequence[Array],
    responsibilities: Array,
) -> tuple[Array, tuple[tuple[Array, ...], ...]]:
    """The M-step: class weights, and each family's parameters from its expected statistics."""
    counts = responsibilities.sum(axis=0) + CLASS_ROWS
    parameters = tuple(
        part.family.estimate(
            np.asarray((encoding.statistics.T @ responsibilities).T) + prior, encoding
        )
        for part, encoding, prior in zip(parts, encodings, priors, strict=True)
    )
    return np.log(counts / counts.sum()), parameters


def _natural(
    parts: Sequence[Part], parameters: Sequence[tuple[Array, ...]], encodings: Sequence[Encoding]
) -> list[Array]:
    return [
        part.family.natural(p, e) for part, p, e in zip(parts, parameters, encodings, strict=True)
    ]


def _log_joint(
    encodings: Sequence[Encoding], natural: Sequence[Array], log_weights: Array
) -> Array:
    terms = [
        e.base[:, None] + np.asarray(e.statistics @ n.T)
        for e, n in zip(encodings, natural, strict=True)
    ]
    return np.asarray(log_weights + sum(terms), dtype=np.float64)


def _nearest(
    encodings: Sequence[Encoding], rows: int, classes: int, rng: np.random.Generator
) -> Array:
    """One-hot classes of the rows: the nearest of rows drawn one after another, with squared
    distance as odds.
    """
    points: list[Any] = [encoding.embedding for encoding in encodings]
    norms = np.sum([np.asarray((p * p).sum(axis=1)).reshape(-1) for p in points], axis=0)
    least, label = np.full(rows, np.inf), np.zeros(rows, dtype=np.intp)
    for k in range(classes):
        odds = least if k and least.sum() > 0 else np.ones(rows)
        chosen = int(rng.choice(rows, p=odds / odds.sum()))
        cross = sum(np.asarray(p @ _dense(p[[chosen]]).T).reshape(-1) for p in points)
        distance = np.maximum(norms - 2.0 * cross + norms[chosen], 0.0)
        label, least = np.where(distance < least, k, label), np.minimum(distance, least)
    return np.eye(classes)[label]


def _dense(rows: Any) -> Array:
    return np.asarray(rows if isinstance(rows, np.ndarray) else rows.toarray())


# Which family speaks of which column.


def layout(schema: Schema) -> list[tuple[str, NDArray[np.intp]]]:
    """The families a schema needs, as keys of `FAMILIES`, and the columns of each; codes of atoms
    are levels.
    """
    roles = np.array([_role(column) for column in schema.columns])
    mixed = np.array([column.measure == "mixed" for column in schema.columns])
    chosen = {
        role: np.flatnonzero((roles == role) | (mixed & (role == "levels"))) for role in FAMILIES
    }
    return [(role, columns) for role, columns in chosen.items() if len(columns)]


def _parts(schema: Schema, values: Array) -> tuple[Part, ...]:
    """Families for the columns of a schema, in units taken from these values."""
    rest = _without_atoms(schema, values)
    return tuple(
        Part(
            role, columns, FAMILIES[role].of([schema.columns[i] for i in columns], rest[:, columns])
        )
        for role, columns in layout(schema)
    )


def _role(column: Column) -> str:
    if column.kind in LEVELED:
        return "levels"
    if column.kind == "count":
        return "count"
    if column.measure == "mass":
        return "grid"
    return "proportion" if column.kind == "proportion" else "density"


def _encode(parts: Sequence[Part], schema: Schema, values: Array) -> list[Encoding]:
    rest, codes = _without_atoms(schema, values), _codes(schema, values)
    return [part.family.encode((codes if part.coded else rest)[:, part.columns]) for part in parts]


def _without_atoms(schema: Schema, values: Array) -> Array:
    """The values, missing where a density's column is at an atom: there the code says it all."""
    rest = values.copy()
    for i, column in enumerate(schema.columns):
        if column.measure == "mixed":
            rest[np.isin(values[:, i], column.atoms), i] = np.nan
    return rest


def _codes(schema: Schema, values: Array) -> Array:
    """Levels as they are; of a density with atoms the index of the atom, or their number for any
    other value.
    """
    codes = values.copy()
    for i, column in enumerate(schema.columns):
        if column.measure == "mixed":
            code = np.full(len(values), float(len(column.atoms)))
            for index, atom in enumerate(column.atoms):
                code[values[:, i] == atom] = index
            codes[:, i] = np.where(np.isnan(values[:, i]), np.nan, code)
    return codes
