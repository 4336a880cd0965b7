"""Laws of annealed importance sampling: on models whose evidence is known it is on either side of
it, and near.
"""

from typing import Any

import jax
import numpy as np
import pytest

from aevb.build import initial_model
from aevb.errors import ConfigError
from aevb.marginal import annealed, bracket, importance, reverse_annealed
from aevb.start import Architecture
from conftest import Table

SETTINGS: dict[str, Any] = {"chains": 8, "temperatures": 60}


@pytest.mark.long
def test_it_reaches_the_evidence_from_a_q_that_is_wrong(loose_table: Table, exact: Any) -> None:
    """Missing cells among the rows; at as many draws of q, importance weights alone fall short."""
    rows, truth = loose_table.units[1:33], exact.log_likelihood(loose_table.values[1:33])
    found = annealed(loose_table.model, rows, **SETTINGS)
    error = np.sqrt(np.square(found.monte_carlo_error).sum()) / len(rows)
    gap = (found.log_likelihood - truth).mean()
    assert abs(gap) < 0.05
    assert gap < 4 * error + 1e-4
    short = importance(loose_table.model, rows, samples=8).log_likelihood
    assert abs(gap) < abs((short - truth).mean()) + 0.005
    assert ((found.acceptance > 0.4) & (found.acceptance < 1.0)).all()


def test_at_the_posterior_every_weight_is_the_evidence(linear_table: Table, exact: Any) -> None:
    rows, truth = linear_table.units[1:4], exact.log_likelihood(linear_table.values[1:4])
    found = annealed(linear_table.model, rows, chains=4, temperatures=10)
    np.testing.assert_allclose(found.log_likelihood, truth, atol=1e-3)
    np.testing.assert_allclose(found.monte_carlo_error, 0.0, atol=1e-3)
    np.testing.assert_allclose(found.effective_sample_size, 4.0, rtol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize(("start", "temperatures"), [("posterior", 60), ("prior", 160)])
def test_forward_and_reverse_bracket_the_evidence(
    start: Any, temperatures: int, loose_table: Table, exact: Any
) -> None:
    found = bracket(
        loose_table.model, 128, chains=8, temperatures=temperatures, start=start, seed=3
    )
    truth = exact.log_likelihood(_values(loose_table, found.units))
    below, above = truth - found.lower.log_likelihood, found.upper.log_likelihood - truth
    for gap in (below, above):
        assert gap.mean() > -4 * gap.std() / np.sqrt(len(gap)) - 1e-4
        assert abs(gap.mean()) < 0.05
    assert (found.upper.log_likelihood - found.lower.log_likelihood).mean() > -0.01


def test_the_upper_bound_holds_where_cells_were_taken_from_simulated_rows(
    linear_table: Table, exact: Any
) -> None:
    """At the exact q of the cells that are left: the upper bound is the evidence of these cells,
    whatever z is.
    """
    rng = np.random.default_rng(5)
    z = rng.normal(size=(8, 2)).astype(np.float32)
    units = np.stack(
        [linear_table.model.likelihood(one).sample(jax.random.key(i)) for i, one in enumerate(z)]
    )
    units[:, 1] = np.nan
    found = reverse_annealed(linear_table.model, units, z, chains=2, temperatures=10)
    np.testing.assert_allclose(
        found.log_likelihood, exact.log_likelihood(_values(linear_table, units)), atol=1e-3
    )


def _values(table: Table, units: np.ndarray) -> np.ndarray:
    location, scale = np.array(
        [(column.location, column.scale) for column in table.schema.columns]
    ).T
    return location + scale * units.astype(np.float64)


@pytest.mark.long
def test_more_temperatures_are_no_worse(loose_table: Table, exact: Any) -> None:
    rows, truth = loose_table.units[1:33], exact.log_likelihood(loose_table.values[1:33])
    errors = [
        np.square(
            annealed(loose_table.model, rows, chains=2, temperatures=t).log_likelihood - truth
        ).mean()
        for t in (1, 100)
    ]
    assert errors[1] < errors[0]


def test_a_row_has_the_same_bits_in_any_company(loose_table: Table) -> None:
    """Among two hundred, and alone."""
    rows = np.array(loose_table.units[:200])
    rows[5] = np.nan
    whole = np.stack(annealed(loose_table.model, rows, chains=2, temperatures=4), axis=1)
    for order in ([3, 5, 0, 4], [2], [150], [4, 4, 1]):
        some = np.stack(annealed(loose_table.model, rows[order], chains=2, temperatures=4), axis=1)
        assert np.array_equal(some, whole[order])
    assert whole[5, 0] == whole[5, 1] == 0.0


def test_one_chain_cannot_tell_its_error(loose_table: Table) -> None:
    found = annealed(loose_table.model, loose_table.units[:3], chains=1, temperatures=4)
    assert np.isfinite(found.log_likelihood).all()
    assert found.monte_carlo_error[0] == 0.0  # the empty row's number is exact
    assert np.isnan(found.monte_carlo_error[1:]).all()
    assert (found.effective_sample_size == 1.0).all()


@pytest.mark.parametrize("name", ["chains", "temperatures"])
def test_none_are_refused(name: str, linear_table: Table) -> None:
    rows, z = linear_table.units[:2], np.zeros((2, 2), np.float32)
    with pytest.raises(ConfigError, match=f"{name} must be a whole number of at least 1; got 0"):
        annealed(linear_table.model, rows, **{name: 0})
    with pytest.raises(ConfigError, match=f"{name} must be a whole number of at least 1; got -1"):
        reverse_annealed(linear_table.model, rows, z, **{name: -1})


def test_levels_are_refused(linear_table: Table) -> None:
    shape = Architecture(2, hidden=(4,), missing=True, posterior="bernoulli")
    model = initial_model(linear_table.schema, linear_table.units, shape, jax.random.key(0))
    with pytest.raises(ConfigError, match="method 'iwae'"):
        annealed(model, linear_table.units[:2])
