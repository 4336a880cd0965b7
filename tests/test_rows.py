"""Laws of the row engine: one program, any number of rows, and keys that belong to the row."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb.build import initial_model
from aevb.errors import ConfigError, DataError
from aevb.rows import (
    check_count,
    content_hashes,
    map_rows,
    mean_and_error,
    row_hashes,
    row_keys,
)
from aevb.start import Architecture
from conftest import Table


def test_keys_differ_between_rows_and_seeds_and_not_by_place() -> None:
    rng = np.random.default_rng(0)
    units = rng.integers(0, 3, (3_000, 6)).astype(np.float32)
    units[::7, 2] = np.nan
    keys = np.asarray(jax.random.key_data(row_keys(units, 0)))
    rows = np.unique(np.nan_to_num(units, nan=9), axis=0)
    assert len(np.unique(keys, axis=0)) == len(rows)
    assert np.array_equal(np.asarray(jax.random.key_data(row_keys(units[5:6], 0)))[0], keys[5])
    assert not (np.asarray(jax.random.key_data(row_keys(units, 1))) == keys).all(1).any()
    swapped = np.array([[1, 2], [2, 1], [0, 3], [3, 0]], np.float32)
    assert len(np.unique(jax.random.key_data(row_keys(swapped, 0)), axis=0)) == 4


def test_hashes_are_those_of_earlier_versions() -> None:
    """Stored scores and orders of rows rest on them."""
    rows = np.array([[0.0, 1.5], [-0.0, 1.5], [np.nan, 2.0]])
    assert row_hashes(rows).tolist() == [1864103925, 1864103925, 709657857]
    signed_zeros = 15459732348629735059
    assert content_hashes(rows).tolist() == [signed_zeros, signed_zeros, 11178561944788847997]


def first(model: object, x: jax.Array) -> jax.Array:
    return x[:2]


@pytest.mark.parametrize("n", [0, 1, 127, 128, 129])
def test_no_rows_and_odd_numbers_of_rows(n: int, linear_table: Table) -> None:
    rows = linear_table.units[:n]
    got = map_rows(first, linear_table.model, rows)
    assert got.shape == (n, 2)
    np.testing.assert_array_equal(got, rows[:, :2])


def test_arrays_go_side_by_side_and_the_block_changes_nothing(linear_table: Table) -> None:
    """Numbers of any shape, and keys."""
    n = 21
    rows = linear_table.units[:n]
    places = np.random.default_rng(0).normal(size=(n, 3, 2)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), n)

    def three(model: object, x: Any, place: Any, key: Any) -> Any:
        return {"x": x, "place": place.sum(0), "draw": jax.random.normal(key)}

    whole = map_rows(three, linear_table.model, rows, places, keys)
    np.testing.assert_array_equal(whole["x"], rows)
    np.testing.assert_allclose(whole["place"], places.sum(1), rtol=1e-6)
    np.testing.assert_array_equal(whole["draw"], jax.vmap(jax.random.normal)(keys))
    parts = map_rows(three, linear_table.model, rows, places, keys, block=8)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name])


def test_one_program_serves_any_number_of_rows(linear_table: Table) -> None:
    """And a second those with missing cells, where a model was fitted without any."""
    traced = []

    def first(model: Any, x: jax.Array) -> jax.Array:
        traced.append(type(model.posterior))
        return jnp.where(jnp.isnan(x[0]), -1.0, x[0])

    shape = Architecture(2, hidden=(), missing=False)
    units = linear_table.units
    complete, holed = (units[np.isnan(units).any(1) == missing] for missing in (False, True))
    model = initial_model(linear_table.schema, complete, shape, jax.random.key(0))
    for rows, programs in (
        (holed[:3], 1),
        (holed, 1),
        (units, 2),
        (units[:1], 2),
        (complete[:9], 2),
        (complete, 2),
    ):
        got = map_rows(first, model, rows)
        assert len(traced) == programs
        np.testing.assert_array_equal(got, np.nan_to_num(rows[:, 0], nan=-1.0))


def test_equal_settings_share_a_program_and_arrays_are_no_settings(linear_table: Table) -> None:
    traced = []

    def shifted(model: object, x: jax.Array, *, by: Any, times: int) -> jax.Array:
        traced.append(times)
        return times * (x[0] + by)

    rows = linear_table.units[1:4]
    for by, times in ((1.0, 2), (3.0, 2), (3.0, 5)):
        function = eqx.Partial(shifted, by=jnp.asarray(by), times=times)
        got = map_rows(function, linear_table.model, rows)
        np.testing.assert_allclose(got, times * (rows[:, 0] + by), rtol=1e-6)
    assert traced == [2, 5]


def test_few_rows_take_time_for_few_and_progress_is_reported(linear_table: Table) -> None:
    """The loop stops where rows do: counted by a call back from within it."""
    seen = []

    def counted(model: object, x: jax.Array) -> jax.Array:
        jax.debug.callback(lambda: seen.append(1))
        return x[1]

    for n in (1, 130):
        seen.clear()
        done: list[int] = []
        map_rows(counted, linear_table.model, linear_table.units[:n], progress=done.append)
        jax.effects_barrier()
        assert len(seen) == n
        assert done == sorted({min(128, n), n})


@pytest.mark.parametrize("count", [0, -3, 2.0, True, None])
def test_a_count_is_a_whole_number_of_at_least_one(count: Any) -> None:
    with pytest.raises(
        ConfigError, match=f"draws must be a whole number of at least 1; got {count}"
    ):
        check_count("draws", count)
    check_count("draws", 1)


def test_a_single_row_has_two_axes(linear_table: Table) -> None:
    with pytest.raises(DataError, match=r"shape \(n, D\); got shape \(5,\)"):
        map_rows(first, linear_table.model, linear_table.units[1])


def test_the_error_of_a_mean_is_its_spread() -> None:
    rng = np.random.default_rng(0)
    found = [mean_and_error(rng.normal(2.0, 3.0, 100)) for _ in range(400)]
    means, errors = np.transpose(found)
    np.testing.assert_allclose(means.std(), errors.mean(), rtol=0.1)
    assert np.isnan(mean_and_error(np.ones(1))[1])
