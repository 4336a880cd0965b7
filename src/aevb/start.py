"""What the parts of a model are built from: the linear optimum, and what the training rows say.

A linear Gaussian VAE's optimum is factor analysis. The decoder starts as its loadings and noise,
the encoder as its posterior, and the residual networks at zero: estimator A then equals the
factor-analysis log-likelihood at step 0 on complete rows of Gaussian columns, and training that
keeps the best held-out state can only improve on it there. Columns that are not Gaussian start at
their marginals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from aevb import linear
from aevb.encoders import Encoder, Features, LinearPosterior
from aevb.likelihoods.base import Likelihood, deviations, grid_deviation, single
from aevb.likelihoods.columns import chosen, likelihoods_of
from aevb.likelihoods.product import Decoder, Unseen, flat, raw_size
from aevb.networks import NETWORKS, Network, constant_at
from aevb.table.schema import Schema

__all__ = ["Architecture", "Start"]


@dataclass(frozen=True)
class Architecture:
    """The choices that fix a model's shape; with a schema and weights they rebuild it.

    Parts are names or, where people bring their own, classes and objects; see `aevb.VAE`.
    """

    #: Of z, or of the lower layer where there are two.
    latent_dim: int
    hidden: tuple[int, ...] = (256,)
    activation: str = "tanh"
    network: object = "mlp"
    posterior: object = "diagonal"
    prior: object = "standard_normal"
    #: The likelihood of the columns that do not have the default one, by their names.
    likelihoods: Mapping[str, type[Likelihood]] = field(default_factory=dict)
    #: p(x|z) of whole rows, in place of likelihoods of columns.
    decoder: object = None
    #: Latents of a second stochastic layer above the first; 0 for none.
    upper_dim: int = 0
    #: The decoder gives the scale of continuous columns row by row; else one per column is learned.
    scale_given: bool = True
    #: Rows may have missing cells.
    missing: bool = False
    #: Start at the linear optimum, where the parts have one.
    linear_start: bool = True
    #: Training rows, which a VampPrior takes its pseudo-rows from.
    rows: int = 0

    @property
    def latents(self) -> int:
        """Numbers in z."""
        return self.latent_dim + self.upper_dim


@dataclass(frozen=True)
class Start:
    """What the parts of a model are built from; each has a classmethod ``build(start)``."""

    #: Sizes and kinds of the parts.
    architecture: Architecture
    #: The columns, with their units.
    schema: Schema
    #: Training rows in model units, shape (rows, D), NaN where missing.
    units: np.ndarray
    #: Source of the part's random numbers.
    key: PRNGKeyArray
    #: How the encoder sees a row.
    features: Features
    #: p(x|z) of the columns.
    likelihoods: tuple[Likelihood, ...]
    #: The decoder's raw numbers at z = 0, shape (R,).
    raw: Array
    #: Their slope in z, shape (R, k), where there is a linear model.
    slope: Array | None
    #: p(z|x) of the linear model, where there is one.
    linear: LinearPosterior | None

    @property
    def latent_dim(self) -> int:
        """Numbers in z, or in its lower layer where there are two."""
        return self.architecture.latent_dim

    @property
    def width(self) -> int:
        """Columns of a row."""
        return len(self.schema)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the encoder's hidden layers."""
        return self.architecture.hidden

    @property
    def other_key(self) -> PRNGKeyArray:
        """A second source, for a part that has more than one network."""
        return jax.random.fold_in(self.key, 1)

    def with_key(self, key: PRNGKeyArray) -> Self:
        """The same, for another part."""
        return replace(self, key=key)

    def network(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int] | None = None,
        key: PRNGKeyArray | None = None,
        smooth: bool = False,
    ) -> Network:
        """A network of the kind, widths and non-linearity that were asked for.

        `hidden` are the widths between its inputs and outputs, the encoder's unless given, and
        `key` the source of its weights, that of the part unless given. A `smooth` one starts nearly
        linear: right for the residual of a linear start. See `aevb.networks.MLP`.
        """
        between = self.hidden if hidden is None else tuple(hidden)
        sizes = (inputs, *between, outputs)
        build = NETWORKS.find(self.architecture.network)
        source = self.key if key is None else key
        return build(sizes, self.architecture.activation, source, smooth=smooth)

    def encoder(self, outputs: int) -> Encoder:
        """The features of a row, the linear posterior, and a network of this many outputs."""
        missing = self.architecture.missing
        inputs = self.features.size * (2 if missing else 1)
        network = self.network(inputs, outputs, smooth=self.linear is not None)
        if self.linear is not None:
            network = constant_at(network, jnp.zeros(outputs))
        return Encoder(self.features, network, self.linear, sees_missing=missing)

    def decoder(self) -> Decoder:
        """A network from z to the likelihoods' raw numbers, plus the linear start."""
        linear_start = self.slope is not None
        network = self.network(
            self.latent_dim, len(self.raw), hidden=self.hidden[::-1], smooth=linear_start
        )
        network = constant_at(network, self.raw, weights=0.0 if linear_start else 1.0)
        reads = self.latent_dim if self.architecture.upper_dim else None
        unseen = Unseen.of(self.schema.columns)
        return Decoder(network, self.slope, self.likelihoods, unseen, reads)

    @classmethod
    def of(
        cls,
        schema: Schema,
        units: np.ndarray,
        architecture: Architecture,
        key: PRNGKeyArray,
        *,
        linear_start: bool = True,
        weights: np.ndarray | None = None,
    ) -> Self:
        """The start of a model of these training rows.

        With `linear_start` a linear model is fitted to the columns that have one, to rows of these
        weights, shape (rows,). Marginals count each row once.
        """
        features = Features.of(schema, units)
        classes = chosen(schema, architecture.likelihoods)
        deviation = deviations(units)
        deviation[schema.where("positive")] = 1.0  # of the standardized logarithm
        located = _linear_columns(schema, classes) if linear_start else []
        model = None
        if located:
            floor = _noise_floor(schema, features, located)
            model = _linear_model(features, units, floor, architecture.latent_dim, weights)
            places = [features.numeric.index(place) for place in located]
            deviation[located] = np.sqrt(model.noise[places])
        parts = likelihoods_of(
            schema, classes, units, deviation, scale_given=architecture.scale_given
        )
        raw, slope = _raw_start(parts, units, features, model)
        posterior = None
        if model is not None:
            posterior = LinearPosterior.of(model, complete=not architecture.missing)
        return cls(architecture, schema, units, key, features, parts, raw, slope, posterior)

    @classmethod
    def empty(
        cls,
        schema: Schema,
        architecture: Architecture,
        key: PRNGKeyArray,
        *,
        linear_start: bool = True,
        most_rows: int = 10_000,
    ) -> Self:
        """A start of the same shapes without training rows, for a model filled from a file."""
        units = np.zeros((2, len(schema)), dtype=np.float32)
        features = Features.of(schema, units)
        classes = chosen(schema, architecture.likelihoods)
        parts = likelihoods_of(
            schema, classes, units, np.ones(len(schema)), scale_given=architecture.scale_given
        )
        raw = jnp.zeros(raw_size(parts))
        slope = posterior = None
        if linear_start and _linear_columns(schema, classes):
            latent_dim = architecture.latent_dim
            slope = jnp.zeros((len(raw), latent_dim))
            posterior = LinearPosterior.empty(
                features.size, latent_dim, complete=not architecture.missing
            )
        # A part may look at how many rows there were, none at more than a few.
        rows = np.broadcast_to(units[:1], (min(architecture.rows, most_rows), len(schema)))
        return cls(architecture, schema, rows, key, features, parts, raw, slope, posterior)


def _linear_columns(schema: Schema, classes: Sequence[type[Likelihood]]) -> list[int]:
    """Places of the columns that a linear model starts."""
    pairs = zip(schema.columns, classes, strict=True)
    return [place for place, (column, part) in enumerate(pairs) if part.linear and not column.atoms]


def _linear_model(
    features: Features,
    units: np.ndarray,
    floor: np.ndarray,
    latent_dim: int,
    weights: np.ndarray | None,
    most_cells: int = 20_000_000,
) -> linear.LinearModel:
    """Factor analysis of an even choice of the rows, of at most `most_cells` numbers."""
    every = -(-len(units) * features.size // most_cells)
    kept = None if weights is None else weights[::every]
    rows = features.matrix(units[::every])
    return linear.fit(rows, latent_dim, weights=kept, noise_floor=floor)


def _noise_floor(schema: Schema, features: Features, located: Sequence[int]) -> np.ndarray:
    """The least variance of each feature.

    For a number that the linear model starts it is the likelihood's own floor, for another number
    a tenth of its variance, for a level a hundredth.
    """
    floor = np.full(features.size, 1e-2)
    floor[: len(features.numeric)] = 1e-1
    for place in located:
        floor[features.numeric.index(place)] = grid_deviation(schema.columns[place]) ** 2
    return floor


def _raw_start(
    parts: Sequence[Likelihood],
    units: np.ndarray,
    features: Features,
    model: linear.LinearModel | None,
) -> tuple[Array, Array | None]:
    """Raw numbers that give each column its marginal or the linear model's mean; slopes in z."""
    start, slopes = [], []
    for part in parts:
        raw = part.start(units[:, part.columns])
        if model is not None:
            latents = model.loadings.shape[1]
            slope = np.zeros((*raw.shape, latents))
            if part.linear:
                rows = [features.numeric.index(column) for column in part.columns]
                raw, slope = part.linear_start(raw, model.mean[rows], model.loadings[rows])
            slopes.append(slope.reshape(-1, latents))
        start.append(raw)
    if model is None:
        return flat(start), None
    return flat(start), single(np.concatenate(slopes))
