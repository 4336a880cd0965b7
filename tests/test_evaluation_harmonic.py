"""Laws of appendix D's estimator: the evidence of models that have one in closed form."""

import jax
import numpy as np
import pytest

from aevb.errors import AevbWarning
from aevb.evaluation.harmonic import harmonic
from aevb.initialisation import Architecture, initial_model
from aevb.linear import fit
from aevb.schema import Column, Schema
from conftest import Table


@pytest.mark.parametrize("latents", [2, 3])
def test_it_is_the_evidence_within_a_tenth_of_a_nat(latents: int) -> None:
    rng = np.random.default_rng(latents)
    values = rng.normal(size=(200, latents)) @ rng.normal(size=(latents, 6)) + 0.5 * rng.normal(size=(200, 6))
    values[::3, 0] = np.nan
    schema = Schema(tuple(Column(f"x{i}", "continuous") for i in range(6))).scaled(values)
    units = schema.to_model_units(values)
    model = initial_model(schema, units, Architecture(latents, hidden=(), missing=True), jax.random.key(0))
    exact = fit(units.astype(np.float64), latents).log_likelihood(units[:24].astype(np.float64))
    exact -= np.where(np.isnan(units[:24]), 0.0, np.log([column.scale for column in schema.columns])).sum(1)
    found = harmonic(model, units[:24], samples=300)
    gap = found.log_likelihood - exact
    assert abs(gap.mean()) < 0.1
    assert (np.abs(gap) < 0.1 + 4 * found.monte_carlo_error).all()
    assert (found.acceptance > 0.8).all()


def test_a_wrong_q_matters_little(loose_table: Table, exact: object) -> None:
    """The encoder only starts the chains."""
    truth = exact.log_likelihood(loose_table.values[1:17])  # type: ignore[attr-defined]
    found = harmonic(loose_table.model, loose_table.units[1:17], samples=300)
    assert abs((found.log_likelihood - truth).mean()) < 0.1


def test_many_latents_are_warned_of(linear_table: Table) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 6))
    schema = Schema(tuple(Column(f"x{i}", "continuous") for i in range(6))).scaled(values)
    units = schema.to_model_units(values)
    model = initial_model(schema, units, Architecture(5, hidden=()), jax.random.key(0))
    with pytest.warns(AevbWarning, match="fewer than five latents"):
        harmonic(model, units[:1], samples=10)
