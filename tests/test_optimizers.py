"""Laws of the directions of descent and of the step sizes along them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aevb.errors import ConfigError
from aevb.optimizers import OPTIMIZERS, adam, learning_rates, optimizer_of


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31), scale=st.sampled_from([1e-6, 1.0, 1e6]), steps=st.integers(1, 30)
)
def test_adam_is_optax_adam(seed: int, scale: float, steps: int) -> None:
    ours, theirs = adam(), optax.scale_by_adam()
    gradients = scale * np.random.default_rng(seed).normal(size=(steps, 4)).astype(np.float32)
    mine, other = ours.init(jnp.zeros(4)), theirs.init(jnp.zeros(4))
    for gradient in gradients:
        direction, mine = ours.update(jnp.asarray(gradient), mine)
        expected, other = theirs.update(jnp.asarray(gradient), other)
        # 1 - 0.999^t has few digits at first, and the two take them apart in another order.
        np.testing.assert_allclose(direction, expected, rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_direction_goes_down(name: str) -> None:
    optimizer, own_rate = optimizer_of(name)
    assert not own_rate
    parameters = {"a": jnp.array([3.0, -2.0]), "b": jnp.array(0.5)}
    gradient = jax.tree.map(lambda x: 2 * x, parameters)  # of the sum of squares
    direction, _ = optimizer.update(gradient, optimizer.init(parameters), parameters)
    assert all(
        (np.asarray(d * p) < 0).all()
        for d, p in zip(*map(jax.tree.leaves, (direction, parameters)), strict=True)
    )


def test_a_transformation_is_taken_as_it_is() -> None:
    given = optax.sgd(0.1)
    assert optimizer_of(given) == (given, True)


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(
        ConfigError, match="adam, adagrad, rmsprop, sgd or an Optax transformation, not 'adamm'"
    ):
        optimizer_of("adamm")


def test_one_name_is_one_transformation() -> None:
    """Else every fit would compile its loop again."""
    assert optimizer_of("adam")[0] is optimizer_of("adam")[0]


def test_the_cosine_falls_from_the_learning_rate_to_zero() -> None:
    rates = learning_rates("cosine", 0.2, 100)
    assert rates[0] == np.float32(0.2)
    assert (np.diff(rates) < 0).all()
    assert rates[-1] < 1e-4
    np.testing.assert_allclose(rates[50], 0.1, rtol=1e-6)


def test_an_unknown_schedule_is_named() -> None:
    with pytest.raises(ConfigError, match="'cosine' or 'constant', not 'cosin'"):
        learning_rates("cosin", 0.2, 7)


def test_a_constant_schedule_is_constant() -> None:
    assert (learning_rates("constant", 0.2, 7) == np.float32(0.2)).all()
