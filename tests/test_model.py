"""Laws of the VAE: what it encodes, decodes and draws, and log p(x, z)."""

import jax
import jax.numpy as jnp
import numpy as np

from conftest import Table

Z = jnp.array([0.4, -1.1])


def test_log_joint_is_the_sum_of_its_two_factors(mixed_table: Table) -> None:
    model, x = mixed_table.model, jnp.asarray(mixed_table.units[3])
    both = jax.jit(
        lambda x, z: (
            model.log_joint(x, z),
            model.likelihood(z).log_prob(x),
            model.p_z().log_prob(z),
        )
    )
    joint, likelihood, prior = both(x, Z)
    np.testing.assert_allclose(joint, likelihood + prior, rtol=1e-5)


def test_codes_have_no_noise_and_are_the_mean_of_q(mixed_table: Table) -> None:
    model, x = mixed_table.model, jnp.asarray(mixed_table.units[3])
    assert np.array_equal(model.encode(x), model.encode(x))
    draws = jax.jit(lambda x: model.posterior(x).sample(jax.random.key(0), (4_000,)))(x)
    np.testing.assert_allclose(draws.mean(0), model.encode(x), atol=0.1)


def test_decoding_is_linear_at_the_start(linear_table: Table, exact: object) -> None:
    values = linear_table.schema.from_model_units(np.asarray(linear_table.model.decode(Z)))
    np.testing.assert_allclose(values, exact.mean + exact.loadings @ np.asarray(Z), rtol=1e-4)  # type: ignore[attr-defined]


def test_decoded_levels_and_draws_lie_in_their_columns(mixed_table: Table) -> None:
    """The most probable level; a drawn row has levels, whole counts, pixels between their ends, and
    no missing cell.
    """
    schema, model = mixed_table.schema, mixed_table.model
    drawn = schema.from_model_units(
        jax.jit(jax.vmap(model.draw))(jax.random.split(jax.random.key(0), 500))
    )
    decoded = schema.from_model_units(
        jax.jit(jax.vmap(model.decode))(jax.random.normal(jax.random.key(1), (50, 2)))
    )
    assert np.isfinite(drawn).all()
    assert np.isfinite(decoded).all()
    for j, column in enumerate(schema.columns):
        if column.categories:
            levels = np.arange(len(column.categories))
            assert np.isin(drawn[:, j], levels).all()
            assert np.isin(decoded[:, j], levels).all()
        if column.resolution > 0:
            np.testing.assert_allclose(drawn[:, j], np.round(drawn[:, j]), atol=1e-3)
        if column.kind == "pixel":
            assert drawn[:, j].min() > -1e-3
            assert drawn[:, j].max() < 15 + 1e-3
        for atom in column.atoms:
            assert (np.abs(drawn[:, j] - atom) < 1e-3).mean() > 0.05


def test_an_empty_row_is_encoded_as_the_priors_mean(mixed_table: Table) -> None:
    """Its posterior is the prior, which for a learned mixture is not centered."""
    model = mixed_table.model
    code = model.encode(jnp.full(len(mixed_table.schema), jnp.nan))
    assert np.array_equal(code, model.p_z().mean)
    assert np.abs(code).max() > 1e-3
