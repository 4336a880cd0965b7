"""Laws of appendix D's estimator: the evidence of models that have one in closed form."""

from typing import Any

import jax
import numpy as np
import pytest

from aevb.build import initial_model
from aevb.errors import AevbWarning, ConfigError
from aevb.linear import fit
from aevb.marginal import harmonic
from aevb.start import Architecture
from aevb.table.schema import Column, Schema
from conftest import Table


@pytest.mark.parametrize("latents", [2, 3])
def test_it_is_the_evidence_within_a_tenth_of_a_nat(latents: int) -> None:
    rng = np.random.default_rng(latents)
    values = rng.normal(size=(200, latents)) @ rng.normal(size=(latents, 6)) + 0.5 * rng.normal(
        size=(200, 6)
    )
    values[::3, 0] = np.nan
    schema = Schema(tuple(Column(f"x{i}", "continuous") for i in range(6))).scaled(values)
    units = schema.to_model_units(values)
    model = initial_model(
        schema, units, Architecture(latents, hidden=(), missing=True), jax.random.key(0)
    )
    exact = fit(units.astype(np.float64), latents).log_likelihood(units[:24].astype(np.float64))
    exact -= np.where(
        np.isnan(units[:24]), 0.0, np.log([column.scale for column in schema.columns])
    ).sum(1)
    found = harmonic(model, units[:24], samples=300)
    gap = found.log_likelihood - exact
    assert abs(gap.mean()) < 0.1
    assert (np.abs(gap) < 0.1 + 4 * found.monte_carlo_error).all()
    assert (found.acceptance > 0.8).all()


@pytest.mark.long
def test_chains_do_not_stand_still_and_the_error_is_what_it_says(
    loose_table: Table, exact: Any
) -> None:
    """The encoder, which is wrong, only starts the chains. A fixed length of path left 0.05 nats
    rms here.
    """
    truth = exact.log_likelihood(loose_table.values[1:129])
    found = harmonic(loose_table.model, loose_table.units[1:129], samples=300)
    gap = found.log_likelihood - truth
    assert np.sqrt(np.mean(gap**2)) < 0.03
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap)) + 1e-4
    student = np.sqrt(9 / 7)  # the deviation of a difference in errors of ten chains
    assert 0.7 * student < np.sqrt(np.mean((gap / found.monte_carlo_error) ** 2)) < 1.4 * student


def test_a_row_has_the_same_bits_in_any_company(loose_table: Table) -> None:
    """Among two hundred, and alone."""
    rows = np.array(loose_table.units[:200])
    rows[5] = np.nan
    whole = np.stack(harmonic(loose_table.model, rows, samples=20), axis=1)
    for order in ([3, 5, 0, 4], [2], [150], [4, 4, 1]):
        assert np.array_equal(
            np.stack(harmonic(loose_table.model, rows[order], samples=20), axis=1), whole[order]
        )
    assert whole[5, 0] == whole[5, 1] == 0.0
    assert whole[5, 2] == 20.0  # of a number that is exact, all samples


def test_no_samples_are_refused(loose_table: Table) -> None:
    with pytest.raises(ConfigError, match="samples must be a whole number of at least 1; got 0"):
        harmonic(loose_table.model, loose_table.units[:2], samples=0)


def test_many_latents_are_warned_of(linear_table: Table) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 6))
    schema = Schema(tuple(Column(f"x{i}", "continuous") for i in range(6))).scaled(values)
    units = schema.to_model_units(values)
    model = initial_model(schema, units, Architecture(5, hidden=()), jax.random.key(0))
    with pytest.warns(AevbWarning, match="fewer than five latents"):
        harmonic(model, units[:1], samples=10)


@pytest.mark.long
def test_from_given_places_it_is_the_evidence_too_whatever_the_encoder_says(
    loose_table: Table, exact: Any
) -> None:
    truth = exact.log_likelihood(loose_table.values[1:65])
    latents = loose_table.model.latent_dim
    places = np.random.default_rng(0).normal(size=(64, 12, latents)).astype(np.float32)
    found = harmonic(
        loose_table.model, loose_table.units[1:65], samples=300, leapfrog=4, places=places
    )
    gap = found.log_likelihood - truth
    assert np.sqrt(np.mean(gap**2)) < 0.05
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap)) + 1e-4
    assert (abs(found.acceptance - 0.9) < 0.1).all()
    alone = harmonic(
        loose_table.model, loose_table.units[3:5], samples=300, leapfrog=4, places=places[2:4]
    )
    assert np.array_equal(alone.log_likelihood, found.log_likelihood[2:4])


def test_no_steps_are_refused(loose_table: Table) -> None:
    with pytest.raises(ConfigError, match="leapfrog must be a whole number of at least 1; got 0"):
        harmonic(loose_table.model, loose_table.units[:2], leapfrog=0)


@pytest.mark.parametrize("shape", [(3, 4, 0), (2, 4, -1), (2, 1, 0), (2, 0)])
def test_places_of_other_rows_or_latents_or_of_one_chain_are_refused(
    shape: tuple[int, ...], loose_table: Table
) -> None:
    """The last number is how many latents too many."""
    latents = loose_table.model.latent_dim
    places = np.zeros((*shape[:-1], latents + shape[-1]), np.float32)
    with pytest.raises(
        ConfigError, match=r"places must be of 2 rows, 2 chains or more and \d latents; got \("
    ):
        harmonic(loose_table.model, loose_table.units[:2], places=places)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_places_that_are_not_finite_are_refused(value: float, loose_table: Table) -> None:
    places = np.zeros((2, 3, loose_table.model.latent_dim), np.float32)
    places[1, 2, 0] = value
    with pytest.raises(ConfigError, match="places must be finite"):
        harmonic(loose_table.model, loose_table.units[:2], places=places)
