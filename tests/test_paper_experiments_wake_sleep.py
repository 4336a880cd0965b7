"""Laws of wake-sleep on a linear-Gaussian model: theta's slope is the bound's, phi's vanishes at
the posterior.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb.networks import trainable
from aevb.objectives import sgvb_b
from aevb_paper.experiments.wake_sleep import wake_sleep
from conftest import Table

pytestmark = pytest.mark.long  # they train models

DRAWS, ZERO = 4_000, np.zeros(1)


def slopes(table: Table, model, objective):
    """Values and slopes of one row over many draws: (DRAWS,), encoder (DRAWS, P), decoder (DRAWS,
    Q).
    """
    learned, rest = eqx.partition(model, trainable(model))
    row = jnp.asarray(table.units[1])

    def bound(learned, key):
        return objective(eqx.combine(learned, rest), row, key)

    values, found = jax.vmap(partial(jax.value_and_grad(bound), learned))(
        jax.random.split(jax.random.key(0), DRAWS)
    )
    flat = [
        jax.vmap(lambda tree: jax.flatten_util.ravel_pytree(tree)[0])(part)
        for part in (found.posterior, found.likelihood)
    ]
    return np.asarray(values), *map(np.asarray, flat)


def deviations(a: np.ndarray, b: np.ndarray = ZERO) -> np.ndarray:
    """Differences of means in standard errors."""
    difference = a.mean(0) - np.mean(b, axis=0)
    error = np.sqrt((a.var(0) + np.var(b, axis=0)) / len(a))
    return np.abs(difference) / np.maximum(error, 1e-6)


def test_awake_theta_has_the_slope_of_the_bound_and_the_value_is_the_bound(
    linear_table: Table,
) -> None:
    value, _, decoder = slopes(linear_table, linear_table.model, wake_sleep)
    bound, _, exact = slopes(linear_table, linear_table.model, sgvb_b)
    assert deviations(value, bound) < 4
    assert deviations(decoder, exact).max() < 4.5


def test_asleep_phi_stands_still_at_the_posterior_and_only_there(linear_table: Table) -> None:
    """E_p(x, z)[d log q(z|x) / d phi] = 0 where q(z|x) = p(z|x): the score's mean."""
    model = linear_table.model
    _, encoder, _ = slopes(linear_table, model, wake_sleep)
    assert deviations(encoder).max() < 4.5
    shifted = eqx.tree_at(
        lambda m: m.posterior.encoder.network.layers[-1].bias, model, np.float32([1, 0, 0, 0])
    )
    _, encoder, _ = slopes(linear_table, shifted, wake_sleep)
    assert deviations(encoder).max() > 20
