"""Laws of the inference gap: on a linear model a diagonal Gaussian is the posterior, only encoders
can be wrong.
"""

from typing import Any

import jax
import numpy as np
import pytest

from aevb.build import initial_model
from aevb.marginal import inference_gap
from aevb.rows import mean_and_error
from aevb.start import Architecture
from conftest import Table

TOLERANCE = 1e-3  # nats, of single precision and of Adam's end


def rows_of(table: Table, *, holed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two dozen rows, all complete or all with missing cells but not without any."""
    missing = np.isnan(table.values)
    rows = np.flatnonzero((missing.any(1) == holed) & ~missing.all(1))[:24]
    return table.units[rows], table.values[rows]


def test_at_the_posterior_there_is_no_gap(linear_table: Table) -> None:
    """With missing cells too, where the posterior has correlations: q* keeps q's."""
    for holed in (False, True):
        found = inference_gap(linear_table.model, rows_of(linear_table, holed=holed)[0], steps=50)
        assert (np.abs(found.amortization) < 5 * found.amortization_error + TOLERANCE).all()
        assert (np.abs(found.approximation) < 5 * found.approximation_error + TOLERANCE).all()


def test_a_wrong_encoder_costs_and_the_family_does_not(loose_table: Table, exact: Any) -> None:
    units, values = rows_of(loose_table, holed=False)
    found = inference_gap(loose_table.model, units)
    truth = exact.log_likelihood(values)
    np.testing.assert_allclose(found.log_likelihood, truth, atol=TOLERANCE)
    mean, error = mean_and_error(found.amortization)
    assert mean > 3 * error > 0
    assert (found.amortization > -5 * found.amortization_error - TOLERANCE).all()
    assert (np.abs(found.approximation) < 5 * found.approximation_error + TOLERANCE).all()


def test_the_reported_error_is_the_spread_over_seeds(loose_table: Table) -> None:
    units, _ = rows_of(loose_table, holed=False)
    seeds = [inference_gap(loose_table.model, units, steps=10, seed=seed) for seed in range(6)]
    spread = np.std([found.amortization for found in seeds], axis=0, ddof=1)
    reported = np.sqrt(np.mean([found.amortization_error**2 for found in seeds], axis=0))
    assert 0.75 < np.sqrt(np.mean(spread**2) / np.mean(reported**2)) < 1.3


@pytest.mark.long
def test_no_encoder_can_mend_a_family_that_is_too_small(mixed_table: Table) -> None:
    """Levels and atoms bend the posterior: the family costs too."""
    found = inference_gap(mixed_table.model, mixed_table.units[:64], steps=40)
    assert mean_and_error(found.amortization)[0] > 0
    assert mean_and_error(found.approximation)[0] > 0


@pytest.mark.long
def test_a_flow_is_moved_and_stretched_as_any_q(linear_table: Table) -> None:
    shape = Architecture(2, hidden=(4,), missing=True, posterior="flow")
    model = initial_model(linear_table.schema, linear_table.units, shape, jax.random.key(0))
    found = inference_gap(model, linear_table.units[1:4], steps=2)
    assert np.isfinite(np.stack(found)).all()
    np.testing.assert_allclose(found.bound, found.best_bound, atol=0.5)


def test_a_row_has_the_same_bits_in_any_company(loose_table: Table) -> None:
    """Among two hundred, and alone."""
    assert np.isnan(loose_table.units[0]).all()
    found = inference_gap(loose_table.model, loose_table.units[:200], steps=10)
    assert found.amortization[0] == found.approximation[0] == 0.0
    whole = np.stack(found, axis=1)
    assert (whole[0] == 0.0).all()  # the empty row
    for order in ([3, 5, 0, 4], [2], [150], [4, 4, 1]):
        some = np.stack(
            inference_gap(loose_table.model, loose_table.units[order], steps=10), axis=1
        )
        assert np.array_equal(some, whole[order])
