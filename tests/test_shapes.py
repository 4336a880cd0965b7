"""Shapes of public functions, checked at two sizes as they are called."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from beartype import beartype
from jaxtyping import Array, Bool, Float, TypeCheckError, jaxtyped

from aevb.distributions import observed
from aevb.distributions.moments import mean_of, variance_of
from aevb.likelihoods import Gaussian, Likelihood, flat, raw_size, split
from aevb.marginal import elbo, importance
from aevb.model import Model
from aevb.networks import NETWORKS, constant_at
from aevb.objectives import OBJECTIVES, log_weights, sgvb_b
from aevb.priors import StandardNormal
from aevb.start import Architecture, Start
from aevb.table.schema import Column, Schema

checked = jaxtyped(typechecker=beartype)
SIZES = [(3, 2), (5, 1)]  # columns D, latents k
KEY = jax.random.key(0)


def sgvb_elbo(model: Model, rows: np.ndarray, *, samples: int) -> np.ndarray:
    return elbo(model, sgvb_b, rows, samples=samples)


def model_of(columns: int, latents: int) -> Model:
    loadings = jnp.ones((columns, latents))

    def posterior(x: Array) -> dist.Distribution:
        return dist.Normal(0.1 * x[:latents], 0.5).to_event(1)

    def likelihood(z: Array) -> dist.Distribution:
        return dist.Normal(loadings @ z, 1.0).to_event(1)

    return Model(posterior, likelihood, StandardNormal(latents))


def gaussian_of(columns: int) -> Likelihood:
    schema = Schema(tuple(Column(f"x{j}", "continuous") for j in range(columns)))
    values = np.random.default_rng(0).normal(size=(20, columns))
    schema = schema.scaled(values)
    asked = dict.fromkeys(schema.names, Gaussian)
    architecture = Architecture(1, likelihoods=asked)
    units = schema.to_model_units(values)
    return Start.of(schema, units, architecture, KEY, linear_start=False).likelihoods[0]


@pytest.mark.parametrize(("columns", "latents"), SIZES)
def test_a_model_maps_rows_to_latents_and_back(columns: int, latents: int) -> None:
    model = model_of(columns, latents)

    @checked
    def shapes(
        x: Float[Array, "D"], z: Float[Array, "k"]
    ) -> tuple[
        Float[Array, "k"],
        Float[Array, "D"],
        Float[Array, "D"],
        Float[Array, ""],
        Float[Array, ""],
    ]:
        return (
            model.encode(x),
            model.decode(z),
            model.draw(KEY),
            model.log_likelihood(x, z),
            model.log_joint(x, z),
        )

    shapes(jnp.ones(columns), jnp.ones(latents))
    assert (model.width, model.latent_dim) == (columns, latents)


@pytest.mark.parametrize(("columns", "latents"), SIZES)
def test_cells_moments_and_points_are_rows(columns: int, latents: int) -> None:
    p = model_of(columns, latents).likelihood(jnp.ones(latents))

    @checked
    def shapes(
        x: Float[Array, "D"],
    ) -> tuple[
        Float[Array, "D"], Float[Array, "D"], Float[Array, "D"], Float[Array, "D"], Float[Array, ""]
    ]:
        point = observed.point(p, observed.expectations(p))
        return observed.cells(p, x), mean_of(p), variance_of(p), point, observed.log_prob(p, x)

    shapes(jnp.ones(columns))


@pytest.mark.parametrize("columns", [3, 5])
def test_a_likelihood_reads_raw_numbers_and_cells(columns: int) -> None:
    part = gaussian_of(columns)

    @checked
    def nats(raw: Float[Array, "d p"], x: Float[Array, "d"]) -> Float[Array, "d"]:
        p = part(raw)
        assert part.expectation(p).shape == (columns, 1)
        return part.log_prob(p, x)

    nats(jnp.zeros((columns, part.parameters)), jnp.ones(columns))

    @checked
    def around(raw: Float[Array, "... d p"]) -> Float[Array, "... d p"]:
        (piece,) = split((part,), raw.reshape(*raw.shape[:-2], -1))
        return piece

    around(jnp.zeros((columns, part.parameters)))
    around(jnp.zeros((4, columns, part.parameters)))
    assert flat([jnp.zeros((columns, part.parameters))]).shape == (raw_size((part,)),)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 2), (1, 5)])
def test_a_network_maps_vectors(name: str, inputs: int, outputs: int) -> None:
    network = NETWORKS[name]((inputs, 4, outputs), "tanh", KEY)

    @checked
    def mapped(x: Float[Array, "inputs"], like: Float[Array, "outputs"]) -> Float[Array, "outputs"]:
        return constant_at(network, like)(x) + network(x)

    mapped(jnp.ones(inputs), jnp.ones(outputs))


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize(("columns", "latents"), SIZES)
def test_an_objective_is_one_number_of_a_row(name: str, columns: int, latents: int) -> None:
    model = model_of(columns, latents)

    @checked
    def nats(x: Float[Array, "D"]) -> Float[Array, ""]:
        return OBJECTIVES[name].function(model, x, KEY)

    nats(jnp.ones(columns))


@pytest.mark.parametrize(("columns", "latents"), SIZES)
def test_log_weights_have_one_of_each_draw(columns: int, latents: int) -> None:
    @checked
    def drawn(x: Float[Array, "D"], like: Bool[Array, "K"]) -> Float[Array, "K"]:
        return log_weights(model_of(columns, latents), x, KEY, len(like))[0]

    for samples in (1, 4):
        drawn(jnp.ones(columns), jnp.ones(samples, bool))


@pytest.mark.parametrize("estimate", [sgvb_elbo, importance])
@pytest.mark.parametrize(("columns", "latents"), SIZES)
def test_marginals_have_one_number_of_each_row(
    estimate: Callable[..., object], columns: int, latents: int
) -> None:
    @checked
    def scored(x: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n"]:
        found = estimate(model_of(columns, latents), x, samples=4)
        return np.asarray(getattr(found, "log_likelihood", found))

    for rows in (1, 6):
        scored(np.ones((rows, columns), np.float32))


def test_a_wrong_shape_is_seen() -> None:
    @checked
    def wrong(x: Float[Array, "D"]) -> Float[Array, "D"]:
        return x[1:]

    with pytest.raises(TypeCheckError):
        wrong(jnp.ones(3))
