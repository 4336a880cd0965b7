"""A model from its architecture: at the start of training, or of shapes alone, to be filled."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray
from paramax import NonTrainable

from aevb.errors import ConfigError
from aevb.likelihoods.base import single
from aevb.likelihoods.units import InDataUnits
from aevb.model import Model
from aevb.posteriors import POSTERIORS
from aevb.priors import PRIORS
from aevb.registry import label_of
from aevb.start import Architecture, Start
from aevb.table.schema import Schema

__all__ = ["initial_model", "posterior_of", "prior_of", "skeleton"]


def initial_model(
    schema: Schema,
    units: np.ndarray,
    architecture: Architecture,
    key: PRNGKeyArray,
    *,
    weights: np.ndarray | None = None,
) -> Model:
    """The model before training, of these training rows in model units; see `Start.of`."""
    linear_start = starts_linear(architecture)
    architecture = replace(architecture, rows=len(units))
    start = Start.of(schema, units, architecture, key, linear_start=linear_start, weights=weights)
    return model_at(start)


def skeleton(schema: Schema, architecture: Architecture) -> Model:
    """A model of shapes alone, a `jax.ShapeDtypeStruct` for every array, to be filled from a file.

    Nothing of its size is allocated or computed, whatever sizes the architecture names.
    """

    def shapes(key: PRNGKeyArray) -> Model:
        linear_start = starts_linear(architecture)
        return model_at(Start.empty(schema, architecture, key, linear_start=linear_start))

    model: Model = eqx.filter_eval_shape(shapes, jax.random.key(0))
    return model


def model_at(start: Start) -> Model:
    """The three parts, each built from the start with a key of its own."""
    architecture = start.architecture
    key_posterior, key_likelihood, key_prior = jax.random.split(start.key, 3)
    model = Model(
        posterior=_built("posterior", posterior_of(architecture), start.with_key(key_posterior)),
        likelihood=_likelihood(architecture, start.with_key(key_likelihood)),
        prior=_built("prior", prior_of(architecture), start.with_key(key_prior)),
    )
    if model.latent_dim != architecture.latents:
        raise ConfigError(
            f"prior: expected a distribution over {architecture.latents} latents, as latent_dim "
            f"says, got one over {model.latent_dim}"
        )
    return model


def posterior_of(architecture: Architecture) -> Any:
    """q(z|x), as a class, a recipe or an object: of two layers where there are two."""
    if architecture.upper_dim:
        return POSTERIORS["two_layers"]
    return POSTERIORS.find(architecture.posterior)


def prior_of(architecture: Architecture) -> Any:
    """p(z), as a class, a recipe or an object: the one that q(z|x) needs, where it needs one."""
    implied = getattr(posterior_of(architecture), "prior", None)
    return PRIORS.find(implied or architecture.prior)


def starts_linear(architecture: Architecture) -> bool:
    """Whether the parts are such that a linear model of Gaussian latents can start them."""
    levels = getattr(posterior_of(architecture), "levels", False)
    return architecture.linear_start and architecture.decoder is None and not levels


def _likelihood(architecture: Architecture, start: Start) -> Any:
    if architecture.decoder is None:
        return start.decoder()
    decoder = _built("likelihood", architecture.decoder, start)
    scales = np.array([column.scale for column in start.schema.columns])
    return InDataUnits(decoder, NonTrainable(single(np.log(scales))))


def _built(role: str, part: object, start: Start) -> Any:
    build = getattr(part, "build", None)
    if build is not None:
        return build(start)
    if callable(part) and not isinstance(part, type):
        return part
    raise ConfigError(
        f"{role}: expected a name, an object or a class with a classmethod build(start), "
        f"got {label_of(part)}"
    )
