"""Laws of the inference gap: on a linear model a diagonal Gaussian is the posterior, only encoders can be wrong."""

from typing import Any

import numpy as np

from aevb.evaluation.inference_gap import inference_gap
from conftest import Table


def complete(table: Table) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(~np.isnan(table.values).any(1))[:24]
    return table.units[rows], table.values[rows]


def test_at_the_posterior_there_is_no_gap(linear_table: Table) -> None:
    found = inference_gap(linear_table.model, complete(linear_table)[0], steps=50)
    assert abs(found.amortisation.mean()) < 0.01
    assert abs(found.approximation.mean()) < 0.01


def test_a_wrong_encoder_costs_and_the_family_does_not(loose_table: Table, exact: Any) -> None:
    units, values = complete(loose_table)
    found = inference_gap(loose_table.model, units)
    truth = exact.log_likelihood(values)
    np.testing.assert_allclose(found.log_likelihood, truth, atol=0.02)
    assert found.amortisation.mean() > 0.02
    assert abs(found.approximation.mean()) < 0.01
    total = truth - found.bound
    np.testing.assert_allclose(found.amortisation + found.approximation, total, atol=0.02)
