"""Laws of the start: factor analysis for numbers, marginals for everything else, and finite
whatever the columns.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import FactorAnalysis

from aevb.build import initial_model, skeleton
from aevb.diagnostics import codes
from aevb.distributions import flows
from aevb.encoders import Features
from aevb.linear import fit
from aevb.marginal import elbo
from aevb.networks import trainable
from aevb.objectives import sgvb_a
from aevb.predict import sampled
from aevb.start import Architecture
from aevb.table.schema import Column, Schema
from conftest import Table

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def complete(linear_table: Table) -> tuple[Schema, np.ndarray]:
    values = linear_table.values[~np.isnan(linear_table.values).any(1)]
    return linear_table.schema.scaled(values), values


@pytest.mark.parametrize("hidden", [(8,), ()])
def test_estimator_a_at_step_0_is_factor_analysis(
    complete: tuple[Schema, np.ndarray], hidden: tuple[int, ...]
) -> None:
    """Row by row `aevb.linear`'s, and scikit-learn's in the mean, in the units of the data."""
    schema, values = complete
    units = schema.to_model_units(values)
    model = initial_model(
        schema, units, Architecture(2, hidden=hidden, scale_given=bool(hidden)), KEY
    )
    got = elbo(model, sgvb_a, units, samples=1)
    location, scale = np.array([(column.location, column.scale) for column in schema.columns]).T
    standard = (values - location) / scale
    ours = fit(standard, 2).log_likelihood(standard) - np.log(scale).sum()
    np.testing.assert_allclose(got, ours, atol=3e-4)
    theirs = FactorAnalysis(2, tol=1e-9, max_iter=20_000, svd_method="lapack").fit(standard)
    assert abs(got.mean() - (theirs.score(standard) - np.log(scale).sum())) < 1e-4


def test_with_missing_cells_codes_are_the_exact_posterior_means(
    linear_table: Table, exact: object
) -> None:
    means = exact.posterior(linear_table.values)  # type: ignore[attr-defined]
    np.testing.assert_allclose(codes(linear_table.model, linear_table.units), means, atol=2e-4)
    assert (codes(linear_table.model, linear_table.units)[0] == 0).all()  # the empty row


def test_everything_else_starts_at_its_marginal(mixed_table: Table) -> None:
    """Columns that no linear model describes do not depend on z."""
    model = initial_model(
        mixed_table.schema, mixed_table.units, Architecture(2, hidden=(8,), missing=True), KEY
    )
    x = jnp.asarray(np.nan_to_num(mixed_table.units[3]))
    cells = jax.jit(jax.vmap(lambda z: model.likelihood(z).cells(x)))(
        jnp.array([[0.0, 0.0], [2.0, -1.0]])
    )
    alone = [
        i
        for i, column in enumerate(mixed_table.schema.columns)
        if column.atoms or column.kind not in ("continuous", "positive", "pixel")
    ]
    assert np.array_equal(cells[0, jnp.array(alone)], cells[1, jnp.array(alone)])
    assert len(alone) < len(x)


SHAPES = [
    *(
        {"posterior": posterior, "prior": prior}
        for posterior in ("diagonal", "full")
        for prior in ("mixture", "vamp")
    ),
    {"posterior": "flow", "prior": "flow"},
    {"posterior": "bernoulli"},
    {"posterior": "categorical", "latent_dim": 20},
    {"upper_dim": 1},
    {"hidden": (), "scale_given": False},
    {"linear_start": False},
    {"missing": False},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_skeleton_has_the_shape_of_the_model_and_no_numbers(
    mixed_table: Table, shape: dict[str, Any]
) -> None:
    sizes = {"latent_dim": 2, "hidden": (8,), "missing": True, "rows": len(mixed_table.units)}
    architecture = Architecture(**{**sizes, **shape})
    model = initial_model(mixed_table.schema, mixed_table.units, architecture, KEY)
    empty = skeleton(mixed_table.schema, architecture)
    assert jax.tree.structure(empty) == jax.tree.structure(model)
    shapes = [
        [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in (empty, model)
    ]
    assert shapes[0] == shapes[1]
    assert {type(leaf) for leaf in jax.tree.leaves(empty)} == {jax.ShapeDtypeStruct}


def test_a_filled_skeleton_is_the_model(mixed_table: Table) -> None:
    """Of flows too, which share what JAX must not have traced."""
    architecture = Architecture(2, hidden=(8,), missing=True, posterior="flow", prior="flow")
    flows.layers_without_weights.cache_clear()
    empty = skeleton(mixed_table.schema, architecture)
    model = initial_model(mixed_table.schema, mixed_table.units, architecture, KEY)
    filled = jax.tree.unflatten(jax.tree.structure(empty), jax.tree.leaves(model))
    x, z = jnp.asarray(mixed_table.units[3]), jnp.array([0.5, -1.0])
    assert filled.log_joint(x, z) == model.log_joint(x, z)
    assert filled.posterior(x).log_prob(z) == model.posterior(x).log_prob(z)


def test_the_key_alone_gives_the_start(mixed_table: Table) -> None:
    shape = Architecture(2, hidden=(8,), missing=True, prior="mixture")
    one, same = (initial_model(mixed_table.schema, mixed_table.units, shape, KEY) for _ in range(2))
    for leaf, twin in zip(jax.tree.leaves(one), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(leaf, twin)


KINDS = [
    Column("a", "continuous"),
    Column("b", "continuous", resolution=1.0),
    Column("c", "continuous", atoms=(3.0,)),
    Column("d", "continuous", atoms=(3.0,), resolution=1.0),
    Column("e", "positive"),
    Column("f", "proportion"),
    Column("g", "count", resolution=1.0),
    Column("h", "ordinal", categories=(0, 1, 2, 3)),
    Column("i", "categorical", categories=("x", "y", "z", "w")),
    Column("j", "binary", categories=(0, 1)),
    Column("k", "pixel", resolution=1.0, lower=0.0, upper=15.0),
]


@pytest.mark.parametrize("cell", [np.nan, 0.0, 1.0, 3.0, 1e-300, 1e300])
def test_columns_that_do_not_vary_give_finite_numbers(cell: float) -> None:
    """All missing, all zero, all the same: beside one column that varies."""
    kinds = KINDS
    if cell > 3 or 0 < cell < 1:
        kinds = [
            column
            for column in kinds
            if column.kind in ("continuous", "positive") and not column.resolution
        ]
    values = np.full((12, len(kinds) + 1), cell)
    for j, column in enumerate(kinds):
        if (column.kind in ("binary", "proportion") and cell == 3) or (
            column.kind == "positive" and cell == 0
        ):
            values[:, j] = 1.0
    values[:, -1] = np.arange(12.0)
    schema = Schema((*kinds, Column("z", "continuous"))).scaled(values)
    units = schema.to_model_units(values)
    model = initial_model(schema, units, Architecture(2, hidden=(8,), missing=True), KEY)
    learned = jax.tree.leaves(eqx.filter(model, trainable(model)))
    assert all(np.isfinite(leaf).all() for leaf in learned)
    assert np.isfinite(elbo(model, sgvb_a, units, samples=1)).all()
    assert np.isfinite(sampled(model, 10, seed=0)).all()


def test_features_are_those_of_the_training_rows(mixed_table: Table) -> None:
    """Mean 0 and deviation 1 over the rows, after the logarithm where a column has one; 0 / 1 is
    only centered.
    """
    features = Features.of(mixed_table.schema, mixed_table.units)
    values, observed = jax.jit(jax.vmap(features))(mixed_table.units)
    numbers = np.where(observed, values, np.nan)[:, : len(features.numeric)]
    np.testing.assert_allclose(np.nanmean(numbers, 0), 0, atol=1e-4)
    graded = [mixed_table.schema.columns[i].kind != "binary" for i in features.numeric]
    np.testing.assert_allclose(np.nanstd(numbers, 0)[graded], 1, atol=1e-3)
