"""Laws of the aggregate posterior: closed forms of linear-Gaussian models, the sum of the parts,
levels too.
"""

import equinox as eqx
import jax
import numpy as np

from aevb.build import initial_model
from aevb.marginal import aggregate_posterior
from aevb.predict import sampled
from aevb.start import Architecture
from conftest import Table


def test_of_rows_of_the_model_it_is_the_closed_form(linear_table: Table) -> None:
    """Of x ~ p(x) and the exact q the aggregate is p(z) = N(0, I), and I = -1/2 log det of q's
    covariance.
    """
    model = linear_table.model
    units = sampled(model, 600, seed=4)
    variance = np.asarray(model.posterior(units[0]).variance, np.float64)
    found = aggregate_posterior(model, units)
    (information, error), (kl, kl_error), _ = found
    assert (
        abs(information + 0.5 * np.log(variance).sum()) < 4 * error + 0.02
    )  # and the bias that n rows leave
    assert abs(kl) < 4 * kl_error + 0.02
    assert 0 < error < 0.1


def test_a_shifted_q_is_a_divergence_and_no_information(linear_table: Table) -> None:
    """Both rows' q moved by d, and p(z) stays: the aggregate's KL grows by d^2 / 2 where it was
    p(z).
    """
    model = linear_table.model
    units = sampled(model, 600, seed=4)
    shifted = eqx.tree_at(
        lambda m: m.posterior.encoder.network.layers[-1].bias, model, np.float32([1, 0, 0, 0])
    )
    move = float(
        np.mean([(shifted.posterior(x).mean - model.posterior(x).mean)[0] for x in units[:3]])
    )
    before, after = aggregate_posterior(model, units), aggregate_posterior(shifted, units)
    np.testing.assert_allclose(after.mutual_information[0], before.mutual_information[0], atol=1e-3)
    gain = after.aggregate_kl[0] - before.aggregate_kl[0]
    assert abs(gain - move**2 / 2) < 4 * np.hypot(before.aggregate_kl[1], after.aggregate_kl[1])


def test_the_parts_are_the_whole_with_missing_cells_and_in_any_order(
    loose_table: Table, mixed_table: Table
) -> None:
    for table in (loose_table, mixed_table):
        found = aggregate_posterior(table.model, table.units)
        assert np.isclose(found.mutual_information[0] + found.aggregate_kl[0], found.mean_kl[0])
        order = np.random.default_rng(0).permutation(len(table.units))
        np.testing.assert_allclose(
            aggregate_posterior(table.model, table.units[order]), found, rtol=1e-5, atol=1e-6
        )


def test_more_draws_than_are_held_at_once(loose_table: Table) -> None:
    whole = aggregate_posterior(loose_table.model, loose_table.units)
    in_parts = aggregate_posterior(loose_table.model, loose_table.units, at_once=128)
    np.testing.assert_allclose(in_parts, whole, rtol=1e-6)


def test_it_is_at_most_the_number_of_rows_and_nothing_of_one(linear_table: Table) -> None:
    """A q that is all but a point tells rows apart, and no more: log n."""
    model = linear_table.model
    narrow = eqx.tree_at(
        lambda m: m.posterior.encoder.network.layers[-1].bias, model, np.float32([0, 0, -12, -12])
    )
    rows = linear_table.units[np.flatnonzero(~np.isnan(linear_table.units).any(1))[:40]]
    np.testing.assert_allclose(
        aggregate_posterior(narrow, rows).mutual_information, (np.log(40), 0.0), atol=1e-3
    )
    assert aggregate_posterior(narrow, rows[:1]).mutual_information[0] == 0


def test_bits_too(linear_table: Table) -> None:
    shape = Architecture(2, hidden=(4,), missing=True, posterior="bernoulli")
    model = initial_model(linear_table.schema, linear_table.units, shape, jax.random.key(0))
    information, _ = aggregate_posterior(model, linear_table.units).mutual_information
    assert -1e-6 < information < 2 * np.log(2)
