"""Where training starts: the linear optimum for numbers, the marginals for everything else.

A linear Gaussian VAE's optimum is factor analysis. The decoder starts as its loadings and noise,
the encoder as its posterior, and the residual networks at zero: estimator A then equals the
factor-analysis log-likelihood at step 0 on complete rows of Gaussian columns, and training that
keeps the best held-out state can only improve on it there.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from aevb import priors
from aevb.distributions.flows import CouplingFlow, prepare
from aevb.likelihoods import Decoder, Likelihood, Located
from aevb.likelihoods.base import deviations
from aevb.likelihoods.columns import grid_deviation, likelihoods_of
from aevb.likelihoods.product import flat, raw_size
from aevb.linear import LinearModel, fit
from aevb.model import Model
from aevb.networks import MLP, Fixed
from aevb.posteriors import (
    BernoulliPosterior,
    CategoricalPosterior,
    ConditionalGaussian,
    DiagonalGaussian,
    Encoder,
    Features,
    FlowPosterior,
    FullGaussian,
    LinearPosterior,
    TwoLayerPosterior,
)
from aevb.posteriors.discrete import LEVELS
from aevb.table.schema import Column, Schema

__all__ = ["Architecture", "features_of", "initial_model", "skeleton"]

#: The linear model is fitted to so many numbers at most, an even choice of the rows.
LINEAR_CELLS = 20_000_000
POSTERIORS: dict[str, Any] = {
    "diagonal": DiagonalGaussian,
    "full": FullGaussian,
    "flow": FlowPosterior,
    "bernoulli": BernoulliPosterior,
    "categorical": CategoricalPosterior,
}
#: q over levels, which no linear model of Gaussian latents starts.
DISCRETE = ("bernoulli", "categorical")


@dataclass(frozen=True)
class Architecture:
    """The choices that fix a model's shape; with a schema they rebuild it (weights come from its
    file).
    """

    #: Of z, or of the lower layer where there are two.
    latent_dim: int
    hidden: tuple[int, ...] = (256,)
    activation: str = "tanh"
    posterior: Literal["diagonal", "full", "flow", "bernoulli", "categorical"] = "diagonal"
    prior: Literal["standard_normal", "mixture", "vamp", "flow"] = "standard_normal"
    #: Gaussians of the mixture, pseudo-rows of the VampPrior.
    prior_components: int = 10
    #: Latents of a second stochastic layer above the first; 0 for none.
    upper_dim: int = 0
    #: The decoder gives the scale of continuous columns row by row; else one learned scale a
    #: column.
    scale_given: bool = True
    #: Rows may have missing cells.
    missing: bool = False
    #: "poisson" counts have variance equal to their mean, "negative_binomial" ones more.
    count: Literal["poisson", "negative_binomial"] = "negative_binomial"
    linear_start: bool = True

    @property
    def latents(self) -> int:
        """Numbers in z."""
        return self.latent_dim + self.upper_dim

    @property
    def discrete(self) -> bool:
        """Whether latents are levels."""
        return self.posterior in DISCRETE


class _Start(NamedTuple):
    """What the training rows say of a model; of a skeleton, zeros of the same shapes."""

    #: p(z|x) of the linear model, where there is one.
    linear: LinearPosterior | None
    #: The decoder's raw numbers at z = 0, shape (R,), and their slope in z, (R, k), where there is
    #: a linear model.
    raw: Array
    slope: Array | None
    #: Pseudo-rows of a VampPrior, shape (C, D), and the ends of each column, (D,).
    pseudo: tuple[Array, Array, Array] | None


def initial_model(
    schema: Schema,
    units: np.ndarray,
    architecture: Architecture,
    key: PRNGKeyArray,
    *,
    weights: np.ndarray | None = None,
) -> Model:
    """The VAE before training.

    Parameters
    ----------
    schema
        The columns, with their units.
    units
        Training rows in model units, shape (rows, D), NaN where missing.
    architecture
        Sizes and kinds of the parts.
    key
        Source of the networks' weights, and of the choice of pseudo-rows.
    weights
        Of the rows in the linear model, shape (rows,). Marginals count each row once, as the units
        do.
    """
    keys = jax.random.split(key, 3)
    features = features_of(schema, units)
    model = None
    deviation = deviations(units)
    deviation[schema.where("positive")] = 1.0  # of the standardised logarithm
    if located := _linear_columns(schema, architecture):
        some = -(-len(units) * features.size // LINEAR_CELLS)  # every so many rows
        matrix = _feature_matrix(features, units[::some])
        kept = None if weights is None else weights[::some]
        model = fit(
            matrix,
            architecture.latent_dim,
            weights=kept,
            noise_floor=_noise_floor(schema, features),
        )
        deviation[located] = np.sqrt(model.noise[[features.numeric.index(i) for i in located]])
    parts = _likelihoods(schema, units, deviation, architecture)
    start = _Start(
        None if model is None else _exact_posterior(model, complete=not architecture.missing),
        *_raw_start(parts, units, features, model),
        _pseudo_rows(units, architecture.prior_components, keys[2])
        if architecture.prior == "vamp"
        else None,
    )
    return _model(features, parts, start, architecture, keys)


def skeleton(schema: Schema, architecture: Architecture) -> Model:
    """A model of shapes alone, a `jax.ShapeDtypeStruct` for every array, to be filled from a file.

    Nothing of its size is allocated or computed, whatever sizes the architecture names.
    """
    units = np.zeros((2, len(schema)), dtype=np.float32)
    features = features_of(schema, units)
    parts = _likelihoods(schema, units, np.ones(len(schema)), architecture)
    width, raw, latent_dim = features.size, raw_size(parts), architecture.latent_dim
    for kind, condition in (
        (architecture.posterior, FlowPosterior.CONDITION),
        (architecture.prior, 0),
    ):
        if kind == "flow":
            prepare(latent_dim, condition)

    def shapes(key: PRNGKeyArray) -> Model:
        linear = slope = None
        if _linear_columns(schema, architecture):
            each, loadings = Fixed(jnp.zeros(width)), jnp.zeros((width, latent_dim))
            linear = LinearPosterior(
                each, Fixed(loadings), each, loadings.T, complete=not architecture.missing
            )
            slope = jnp.zeros((raw, latent_dim))
        pseudo = None
        if architecture.prior == "vamp":
            end = jnp.zeros(len(schema))
            pseudo = jnp.zeros((architecture.prior_components, len(schema))), end, end
        start = _Start(linear, jnp.zeros(raw), slope, pseudo)
        return _model(features, parts, start, architecture, jax.random.split(key, 3))

    model: Model = eqx.filter_eval_shape(shapes, jax.random.key(0))
    return model


def _model(
    features: Features,
    parts: tuple[Likelihood, ...],
    start: _Start,
    architecture: Architecture,
    keys: PRNGKeyArray,
) -> Model:
    """The three parts. Shapes of the arguments are all it looks at, so that it can be asked for
    shapes alone.
    """
    return Model(
        posterior=_posterior(features, start.linear, architecture, keys[0]),
        likelihood=_decoder(parts, start, architecture, keys[1]),
        prior=_prior(architecture, start.pseudo, keys[2]),
    )


def _likelihoods(
    schema: Schema, units: np.ndarray, deviation: np.ndarray, architecture: Architecture
) -> tuple[Likelihood, ...]:
    return likelihoods_of(
        schema, units, deviation, count=architecture.count, scale_given=architecture.scale_given
    )


def _linear_columns(schema: Schema, architecture: Architecture) -> list[int]:
    """Places of the columns that a linear model starts; none where there is no such model."""
    if not architecture.linear_start or architecture.discrete:
        return []
    return [i for i, column in enumerate(schema.columns) if _starts_linear(column)]


def _starts_linear(column: Column) -> bool:
    return column.kind in ("continuous", "positive", "pixel") and not column.atoms


def features_of(schema: Schema, units: np.ndarray) -> Features:
    """How the encoder sees these columns, numbers centred and scaled by the training rows."""
    numeric = [i for i, column in enumerate(schema.columns) if column.kind != "categorical"]
    logarithmic = [{"positive": 1, "count": 2}.get(schema.columns[i].kind, 0) for i in numeric]
    center, spread = [], []
    for place, how in zip(numeric, logarithmic, strict=True):
        value = units[:, place][np.isfinite(units[:, place])].astype(np.float64)
        value = (
            np.log(np.maximum(value, 1e-30))
            if how == 1
            else np.log1p(np.maximum(value, 0))
            if how == 2
            else value
        )
        center.append(value.mean() if len(value) else 0.0)
        # A level met once in a thousand rows, divided by its deviation, would be an outlier of the
        # input.
        rare = schema.columns[place].kind == "binary"
        spread.append(value.std() if len(value) and value.std() > 0 and not rare else 1.0)
    return Features(
        numeric=tuple(numeric),
        logarithmic=tuple(logarithmic),
        categorical=tuple(
            (i, len(column.categories))
            for i, column in enumerate(schema.columns)
            if column.kind == "categorical"
        ),
        center=Fixed(_single(center)),
        spread=Fixed(_single(spread)),
    )


def _feature_matrix(features: Features, units: np.ndarray) -> np.ndarray:
    """What the encoder sees of each row, shape (rows, F), float64, NaN where missing."""
    values, observed = jax.vmap(features)(jnp.asarray(units))
    return np.where(np.asarray(observed), np.asarray(values, dtype=np.float64), np.nan)


def _noise_floor(schema: Schema, features: Features) -> np.ndarray:
    """The least variance of each feature: the likelihood's own floor for numbers, a tenth of theirs
    for levels.
    """
    numbers = [
        grid_deviation(column) ** 2 if _starts_linear(column) else 1e-1
        for column in (schema.columns[i] for i in features.numeric)
    ]
    return np.array(numbers + [1e-2] * (features.size - len(numbers)))


def _exact_posterior(model: LinearModel, *, complete: bool) -> LinearPosterior:
    """The posterior of the linear model, with its gain (I + W' Psi^-1 W)^-1 W' Psi^-1."""
    weighted = model.loadings / model.noise[:, None]
    precision = np.eye(model.loadings.shape[1]) + model.loadings.T @ weighted
    return LinearPosterior(
        mean=Fixed(_single(model.mean)),
        loadings=Fixed(_single(model.loadings)),
        noise=Fixed(_single(model.noise)),
        gain=_single(np.linalg.solve(precision, weighted.T)),
        complete=complete,
    )


def _posterior(
    features: Features,
    linear: LinearPosterior | None,
    architecture: Architecture,
    key: PRNGKeyArray,
) -> Any:
    latent_dim = architecture.latent_dim
    kind: Any = TwoLayerPosterior if architecture.upper_dim else POSTERIORS[architecture.posterior]
    inputs = features.size * (2 if architecture.missing else 1)
    sizes = (inputs, *architecture.hidden, kind.outputs(latent_dim))
    network = MLP(sizes, architecture.activation, key, smooth=linear is not None)
    if linear is not None:
        network = network.starting_at(jnp.zeros(kind.outputs(latent_dim)), weights=0.0)
    encoder = Encoder(features, network, linear, sees_missing=architecture.missing)
    key_rest = jax.random.fold_in(key, 1)
    if architecture.upper_dim:
        upper = _between(architecture, latent_dim, architecture.upper_dim, key_rest)
        return TwoLayerPosterior(
            encoder, latent_dim + architecture.upper_dim, upper, architecture.upper_dim
        )
    if kind is FlowPosterior:
        return FlowPosterior(
            encoder, latent_dim, CouplingFlow(latent_dim, key_rest, FlowPosterior.CONDITION)
        )
    return kind(encoder, latent_dim)


def _between(
    architecture: Architecture, inputs: int, outputs: int, key: PRNGKeyArray
) -> ConditionalGaussian:
    """One layer of latents given the other, by as many hidden layers as the encoder has, each as
    wide as h1.
    """
    hidden = (architecture.latent_dim,) * len(architecture.hidden)
    return ConditionalGaussian(MLP((inputs, *hidden, 2 * outputs), architecture.activation, key))


def _raw_start(
    parts: tuple[Likelihood, ...], units: np.ndarray, features: Features, model: LinearModel | None
) -> tuple[Array, Array | None]:
    """Raw numbers that give each column its marginal or the linear model's mean, and their slope in
    z.
    """
    start, slopes = [], []
    for part in parts:
        raw = part.start(units[:, part.columns])
        start.append(raw)
        if model is None:
            continue
        slope = np.zeros((*raw.shape, model.loadings.shape[1]))
        if isinstance(part, Located):
            rows = [features.numeric.index(column) for column in part.columns]
            raw[:, 0] = model.mean[rows]
            slope[:, 0] = model.loadings[rows]
        slopes.append(slope.reshape(-1, slope.shape[-1]))
    return flat(start), _single(np.concatenate(slopes)) if slopes else None


def _decoder(
    parts: tuple[Likelihood, ...], start: _Start, architecture: Architecture, key: PRNGKeyArray
) -> Decoder:
    sizes = (architecture.latent_dim, *reversed(architecture.hidden), raw_size(parts))
    network = MLP(sizes, architecture.activation, key, smooth=start.slope is not None)
    network = network.starting_at(start.raw, weights=1.0 if start.slope is None else 0.0)
    return Decoder(
        network, start.slope, parts, architecture.latent_dim if architecture.upper_dim else None
    )


def _prior(
    architecture: Architecture, pseudo: tuple[Array, Array, Array] | None, key: PRNGKeyArray
) -> priors.Prior | priors.VampPrior:
    latent_dim, components = architecture.latent_dim, architecture.prior_components
    if architecture.upper_dim:
        lower = _between(architecture, architecture.upper_dim, latent_dim, key)
        return priors.TwoLayerPrior(lower, latent_dim, architecture.upper_dim)
    match architecture.posterior, architecture.prior:
        case "bernoulli", _:
            return priors.BernoulliPrior(latent_dim)
        case "categorical", _:
            return priors.CategoricalPrior(latent_dim // LEVELS, LEVELS)
        case _, "mixture":
            return priors.GaussianMixture(latent_dim, components, key)
        case _, "vamp":
            assert pseudo is not None
            return priors.VampPrior(*pseudo)
        case _, "flow":
            return priors.FlowPrior(latent_dim, CouplingFlow(latent_dim, key))
    return priors.StandardNormal(latent_dim)


def _pseudo_rows(units: np.ndarray, count: int, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
    """Training rows, missing cells filled with their column's middle value, (count, D), and the
    range of all, (D,).
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    rows = units[rng.choice(len(units), count, replace=count > len(units))]
    observed = np.where(np.isfinite(units).any(0), units, 0.0)
    middle = np.nanquantile(observed, 0.5, axis=0, method="closest_observation")
    rows = np.where(np.isfinite(rows), rows, middle)
    return _single(rows), _single(np.nanmin(observed, 0)), _single(np.nanmax(observed, 0))


def _single(values: Any) -> Array:
    return jnp.asarray(np.asarray(values, dtype=np.float64), jnp.float32)
