"""From a table to rows in model units: kinds said, weights checked, gray values made 0 or 1."""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import narwhals as nw
import numpy as np
from jaxtyping import PRNGKeyArray
from numpy.typing import ArrayLike, NDArray

from aevb.errors import ConfigError, DataError
from aevb.likelihoods import Likelihood, Mapped, asked_for, is_decoder
from aevb.rows import content_hashes, row_keys
from aevb.settings import RandomState, Settings
from aevb.table import encode, infer
from aevb.table.schema import Schema, Values
from aevb.table.tables import TableLike, is_frame

__all__ = [
    "Preparation",
    "Rows",
    "are_repetitions",
    "canonical_order",
    "identical_rows",
    "labels_of",
    "prepare",
    "restored",
    "seed_of",
    "weighted_rows",
]

Units = NDArray[np.float32]


@dataclass(frozen=True)
class Preparation:
    """How rows of the data become rows of a model, and back."""

    #: The columns as the data have them.
    source: Schema
    #: The columns as the model has them: those of `source`, or 0 / 1 in place of gray values.
    schema: Schema
    #: ``"dynamic"``, ``"static"`` or None.
    binarize: str | None = None
    #: Of the draws of 0 and 1.
    seed: int = 0
    #: The likelihoods asked for, by column.
    likelihoods: Mapping[str, type[Likelihood]] = field(default_factory=dict)
    #: p(x|z) of whole rows, where that is asked for instead.
    decoder: object = None

    def units(self, values: Values) -> Units:
        """Rows in model units, shape (n, D); gray values give 0 or 1 by the seed and the row."""
        if self.binarize is None:
            units = self.schema.to_model_units(values)
            if self.decoder is not None:  # p(x|z) of one's own knows nothing of values never met
                units[np.isinf(units)] = np.nan
            return units
        gray = self._gray(values)
        return np.asarray(jax.vmap(bernoulli)(jnp.asarray(gray), row_keys(gray, self.seed)))

    def training_units(self, values: Values) -> Units:
        """The same, but left gray where they are to be drawn afresh for every minibatch."""
        return self._gray(values) if self.binarize == "dynamic" else self.units(values)

    def values_of(self, units: NDArray[np.float32]) -> Values:
        """The inverse of `units`: probabilities of 1 become gray values again."""
        values = self.schema.from_model_units(units)
        if self.binarize is None:
            return values
        low, high = self._ends()
        return low + values * (high - low)

    @property
    def resample(self) -> Callable[[jax.Array, PRNGKeyArray], jax.Array] | None:
        """What training applies to every minibatch."""
        return bernoulli if self.binarize == "dynamic" else None

    def scaled_by(self, train: Values, mapped: Collection[str] = ()) -> "Preparation":
        """The same, with the units taken from training rows; some columns learn a map."""
        return replace(
            self,
            source=self.source.scaled(train, mapped),
            schema=self.schema.scaled(train, mapped),
        )

    @property
    def mappable(self) -> list[str]:
        """The columns that may learn a map: those without a likelihood of another kind."""
        if self.decoder is not None or self.binarize is not None:
            return []
        own = [name for name, part in self.likelihoods.items() if not issubclass(part, Mapped)]
        return [name for name in self.schema.names if name not in own]

    def _gray(self, values: Values) -> Units:
        low, high = self._ends()
        return ((values - low) / (high - low)).astype(np.float32)

    def _ends(self) -> tuple[Values, Values]:
        ends = [
            (column.lower or 0.0, 1.0 if column.upper is None else column.upper)
            for column in self.source.columns
        ]
        low, high = np.array(ends).T
        return low, high


@dataclass(frozen=True)
class Rows:
    """Training and validation rows in model units, and their weights, None where all are 1."""

    train: Units
    validation: Units
    weights: NDArray[np.float64] | None = None
    validation_weights: NDArray[np.float64] | None = None


def bernoulli(x: jax.Array, key: PRNGKeyArray) -> jax.Array:
    """0 or 1, each cell 1 with its gray value's probability; a missing cell stays missing."""
    return jnp.where(jnp.isnan(x), x, (jax.random.uniform(key, x.shape) < x).astype(x.dtype))


def prepare(data: TableLike, settings: Settings, seed: int) -> tuple[Preparation, Values]:
    """The schema that these settings and data give, and the values under it, shape (n, D)."""
    kinds = dict(settings.columns or {})
    find = partial(
        infer,
        data,
        ignore=tuple(settings.ignore or ()),
        labels=tuple(settings.labels or ()),
        inf=settings.inf,
    )
    source = find(columns=kinds)
    if settings.binarize not in (None, "none"):
        return restored(source, settings, seed), encode(data, source, inf=settings.inf)
    if is_decoder(settings.likelihood):
        numbers = [column.name for column in source.columns if not column.categories]
        numbers = [name for name in numbers if name not in kinds]
        source = _with_columns(source, numbers, kind="continuous", **DENSITY)
    else:
        asked = asked_for(settings.likelihood, _open_to_all(source, settings))
        if asked:
            source = find(columns=kinds | {name: part.kind for name, part in asked.items()})
            source = _with_columns(source, _columns_of_densities(asked), **DENSITY)
    return restored(source, settings, seed), encode(data, source, inf=settings.inf)


#: What a column has none of whose likelihood is a density whatever its values.
DENSITY: Mapping[str, Any] = {"resolution": 0.0, "atoms": ()}


def _columns_of_densities(asked: Mapping[str, type[Likelihood]]) -> list[str]:
    """The columns of any numbers whose likelihood is a density."""
    return [name for name, part in asked.items() if part.density and part.kind == "continuous"]


def restored(source: Schema, settings: Settings, seed: int) -> Preparation:
    """The preparation of a schema that was inferred or stored."""
    if settings.binarize not in (None, "none"):
        return _binarized(source, settings.binarize, seed)
    if is_decoder(settings.likelihood):
        return Preparation(source, source, seed=seed, decoder=settings.likelihood)
    asked = asked_for(settings.likelihood, _open_to_all(source, settings))
    return Preparation(source, source, seed=seed, likelihoods=asked)


def _open_to_all(source: Schema, settings: Settings) -> list[str]:
    """The columns that one likelihood for all is meant for: numbers whose kind was not chosen."""
    names = []
    for column in source.columns:
        numbers = all(type(level) in (int, float) for level in column.categories)
        if numbers and column.name not in (settings.columns or {}):
            names.append(column.name)
    return names


def weighted_rows(
    data: Any, y: object, weights: ArrayLike | None, groups: ArrayLike | None
) -> tuple[Any, object, NDArray[np.float64] | None, ArrayLike | None]:
    """The rows of positive weight, with their labels, weights and groups.

    A row of weight 0 is as if it were not there.
    """
    if weights is None:
        return data, y, None, groups
    array = _checked_weights(weights, len(data))
    positive = array > 0
    if positive.all():
        return data, y, array, groups
    if isinstance(data, np.ndarray):
        rows = data[positive]
    else:
        rows = nw.from_native(data).filter(positive.tolist()).to_native()
    if y is not None:
        y = np.asarray(y)[positive]
    if groups is not None:
        groups = np.asarray(groups)[positive]
    return rows, y, array[positive], groups


def _checked_weights(weights: ArrayLike, rows: int) -> NDArray[np.float64]:
    array = np.asarray(weights, dtype=np.float64)
    if array.ndim == 0:
        array = np.full(rows, float(array))
    if array.shape != (rows,):
        raise DataError(
            f"sample_weight must have one number for each of the {rows} rows; "
            f"its shape is {array.shape}"
        )
    if not np.isfinite(array).all() or (array < 0).any() or not array.any():
        raise DataError("sample_weight must be finite, not negative, and not zero for every row")
    return array


def canonical_order(values: Values, weights: NDArray[np.float64] | None) -> NDArray[np.intp]:
    """An order by the rows' contents alone, each repeated as often as a whole weight says.

    So a fit does not depend on the order of its rows, and a weight of 2 is the same as the row
    twice. Weights that are not whole, or that would make more than ten times the rows, leave each
    row once (and weigh it in the bound).
    """
    order = np.argsort(content_hashes(values), kind="stable")
    if weights is None:
        return order
    return np.repeat(order, weights[order].astype(int)) if are_repetitions(weights) else order


def identical_rows(values: Values) -> NDArray[np.intp] | None:
    """A group for each row, shared by neighbors that are the same; None where none are.

    Two identical rows of continuous columns are one observation told twice: a split must not put it
    on both sides. (Identical rows of masses are as they should be, and are split like any others.)
    """
    after, before = values[1:], values[:-1]
    same = ((after == before) | np.isnan(after + before)).all(axis=1)
    if not same.any():
        return None
    return np.concatenate([[1], 1 + np.cumsum(~same)])


def labels_of(
    data: TableLike, y: object, labels: Sequence[str]
) -> tuple[str, NDArray[np.generic]] | None:
    """Name and values, (n,), of what colors the latent space: y, or the first label column."""
    if y is not None:
        return "label", np.asarray(y)
    return (labels[0], column_of(data, labels[0])) if labels else None


def seed_of(random_state: int | RandomState | None) -> int:
    """The seed of scikit-learn's `random_state`: itself, drawn from it, or a fresh one for None."""
    if random_state is None:
        return secrets.randbelow(2**31)
    if isinstance(random_state, RandomState):
        return int(random_state.randint(2**31 - 1))
    return int(random_state)


def column_of(data: Any, name: str) -> NDArray[np.generic]:
    """The values of one column of an array or a frame, by the name the schema has for it."""
    if is_frame(data):
        frame = nw.from_native(data, eager_only=True)
        return frame[next(column for column in frame.columns if str(column) == name)].to_numpy()
    return np.asarray(data)[:, int(name.removeprefix("x"))]


def are_repetitions(weights: NDArray[np.float64]) -> bool:
    """Whether weights are whole numbers, small enough to repeat rows by."""
    return bool((weights == np.round(weights)).all() and weights.sum() <= 10 * len(weights))


def _binarized(source: Schema, binarize: str, seed: int) -> Preparation:
    for column in source.columns:
        if column.kind not in ("pixel", "binary", "proportion"):
            raise ConfigError(
                f"binarize is for gray values; column {column.name!r} is {column.kind}: "
                "leave binarize out, or make its kind pixel"
            )
    # A source that comes from a file has the units of its gray values; 0 and 1 have none.
    levels: dict[str, Any] = {
        "kind": "binary",
        "categories": (0, 1),
        "resolution": 0.0,
        "location": 0.0,
        "scale": 1.0,
    }
    return Preparation(source, _with_columns(source, source.names, **levels), binarize, seed)


def _with_columns(schema: Schema, names: Collection[str], **changes: Any) -> Schema:
    """The schema with these columns changed."""
    changed = (
        replace(column, **changes) if column.name in names else column for column in schema.columns
    )
    return replace(schema, columns=tuple(changed))
