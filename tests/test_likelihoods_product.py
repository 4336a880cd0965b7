"""Laws of p(x|z) of a whole row: the sum of its columns, whatever their kinds, and nothing from
missing cells.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from aevb.likelihoods.product import flat, raw_size
from conftest import Table

Z = jnp.array([0.4, -1.1])


def test_a_row_is_the_sum_of_its_parts(mixed_table: Table) -> None:
    parts = mixed_table.model.likelihood.parts
    x = jnp.asarray(next(row for row in mixed_table.units if not np.isnan(row).any()))

    @jax.jit
    def all_ways(x: jax.Array) -> tuple[list[jax.Array], jax.Array, jax.Array]:
        product = mixed_table.model.likelihood(Z)
        pairs = zip(parts, product.distributions, strict=True)
        return (
            [p.log_prob(d, x[np.array(p.columns)]) for p, d in pairs],
            product.cells(x),
            product.log_prob(x),
        )

    each, cells, total = all_ways(x)
    paid = np.asarray(mixed_table.model.likelihood.unseen(x))  # to values never met
    for part, own in zip(parts, each, strict=True):
        places = np.array(part.columns)
        np.testing.assert_allclose(cells[places], own + paid[places], rtol=1e-5)
    np.testing.assert_allclose(total, np.sum(cells), rtol=1e-5)
    assert sorted(column for part in parts for column in part.columns) == list(range(len(x)))


def test_missing_cells_give_nothing_and_no_slope(mixed_table: Table) -> None:
    """Each column in turn: the rest of the row is as it was, and slopes are finite and the others'
    alone.
    """
    decoder = mixed_table.model.likelihood
    x = jnp.asarray(next(row for row in mixed_table.units if not np.isnan(row).any()))

    def total(raw: jax.Array, x: jax.Array) -> jax.Array:
        # The decoder's last bias is added to its raw numbers.
        return eqx.tree_at(lambda d: d.network.layers[-1].bias, decoder, raw)(Z).log_prob(x)

    raw = decoder.network.layers[-1].bias
    slope = jax.jit(jax.value_and_grad(total))
    whole, _ = slope(raw, x)
    cells = np.asarray(jax.jit(lambda x: decoder(Z).cells(x))(x))
    np.testing.assert_allclose(whole, cells.sum(), rtol=1e-4)
    begin = 0
    for part in decoder.parts:
        for j, column in enumerate(part.columns):
            value, gradient = slope(raw, x.at[column].set(jnp.nan))
            np.testing.assert_allclose(value, whole - cells[column], rtol=1e-4, atol=1e-3)
            assert np.isfinite(gradient).all()
            own = np.asarray(gradient)[
                begin + j * part.parameters : begin + (j + 1) * part.parameters
            ]
            assert (own == 0).all()
        begin += len(part.columns) * part.parameters


def test_draws_are_rows_and_points_are_in_place(mixed_table: Table) -> None:
    @jax.jit
    def drawn_and_point() -> tuple[jax.Array, jax.Array, jax.Array]:
        product = mixed_table.model.likelihood(Z)
        drawn = product.sample(jax.random.key(0), (300,))
        return drawn, jax.vmap(product.log_prob)(drawn), product.point(product.expectations())

    drawn, nats, point = drawn_and_point()
    assert drawn.shape == (300, len(mixed_table.schema))
    assert np.isfinite(nats).all()
    assert np.isfinite(point).all()


def test_raw_numbers_are_laid_out_part_by_part(mixed_table: Table) -> None:
    parts = mixed_table.model.likelihood.parts
    starts = [part.start(mixed_table.units[:, list(part.columns)]) for part in parts]
    assert flat(starts).shape == (raw_size(parts),)
    assert mixed_table.model.likelihood.linear.shape == (raw_size(parts), 2)
