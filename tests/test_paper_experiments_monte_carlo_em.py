"""Laws of Monte Carlo EM: chains at the posterior, the gradient of log p(x), and resuming."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb.disk.checkpoints import Checkpoint
from aevb.model import Model
from aevb.train import log_weight_prior
from aevb_paper.experiments.algorithm import Algorithm, choose_rate, run
from aevb_paper.experiments.data import PaperData
from aevb_paper.experiments.monte_carlo_em import monte_carlo_em
from aevb_paper.linear_gaussian import as_vae, rows
from conftest import Table

pytestmark = pytest.mark.long  # they train models

COPIES = 1_000


def move(em: Algorithm, state: Any, keys: Any) -> tuple[Any, Any]:
    """Iterations with a step size of 0: chains move, theta stands still."""

    @jax.jit
    def iterate(state: Any, keys: Any) -> tuple[Any, Any]:
        return jax.lax.scan(lambda s, key: em.step(s, jnp.zeros(()), key), state, keys)

    return iterate(state, keys)


def test_chains_reach_the_exact_posterior_and_nine_proposals_of_ten_are_accepted() -> None:
    """A row many times over, from the prior: mean, spread and acceptance."""
    row = rows()[0]
    copies = np.tile(np.float32(row.x), (COPIES, 1))
    data = PaperData(copies, np.zeros((0, 13), np.float32), None, "gaussian", 1)
    chains = monte_carlo_em(as_vae(row), data, jax.random.key(2))
    keys = jax.random.split(jax.random.key(0), 300)
    state, reported = move(chains, chains.start, keys)
    z, size = map(np.asarray, state.chains)
    error = row.posterior_scale / np.sqrt(COPIES)
    assert (np.abs(z.mean(0) - row.posterior_mean) < 4 * error).all()
    assert (np.abs(z.std(0) / row.posterior_scale - 1) < 4 / np.sqrt(2 * COPIES)).all()
    assert np.corrcoef(z.T)[0, 1] == pytest.approx(0, abs=4 / np.sqrt(COPIES))
    # E[log p(x, z)] = log p(x) - entropy of the posterior.
    entropy = np.log(row.posterior_scale * np.sqrt(2 * np.pi * np.e)).sum()
    assert float(reported[-50:].mean()) == pytest.approx(row.log_evidence - entropy, abs=0.02)
    # A step size follows its chain's acceptance, so that what it moved by says what that was.
    later = np.asarray(move(chains, state, keys)[0].chains[1])
    accepted = 0.9 + np.log(later / size).mean() / (0.1 * len(keys))
    assert accepted == pytest.approx(0.9, abs=0.01)


def tiny(table: Table) -> tuple[Model, PaperData]:
    units = table.units[~np.isnan(table.units).any(axis=1)]
    return table.model, PaperData(units[:20], units[20:30], lambda x, key: x, "gaussian", 8)


def test_theta_s_slope_at_posterior_draws_is_that_of_the_evidence(
    linear_table: Table, exact: Any
) -> None:
    """Fisher's identity: d log p(x) = E_p(z|x)[d log p(x, z)], along the mean of one column."""
    vae, data = tiny(linear_table)
    x = data.train[0]
    draws = monte_carlo_em(vae, data._replace(train=np.tile(x, (COPIES, 1))), jax.random.key(2))
    state, _ = move(draws, draws.start, jax.random.split(jax.random.key(1), 200))
    z, _ = state.chains

    def log_joint(parameters: Any, z: jax.Array) -> jax.Array:
        return draws.model(parameters).log_joint(jnp.asarray(x), z)

    slopes = jax.vmap(jax.grad(log_joint), (None, 0))(draws.start.parameters, z)
    found = np.asarray(slopes[0].network.layers[-1].bias).reshape(COPIES, 5, 2)[:, :, 0]
    scale = np.array([column.scale for column in linear_table.schema.columns])
    values = np.array([column.location for column in linear_table.schema.columns]) + scale * x
    covariance = exact.loadings @ exact.loadings.T + np.diag(exact.noise)
    expected = scale * np.linalg.solve(covariance, values - exact.mean)
    assert (np.abs(found.mean(0) - expected) < 4.5 * found.std(0) / np.sqrt(COPIES) + 1e-3).all()


def test_five_updates_by_one_set_of_draws_climb_what_they_should(linear_table: Table) -> None:
    """Five steps of Adagrad up the mean of log p(x, z) and the weight prior, by hand."""
    vae, data = tiny(linear_table)
    em = monte_carlo_em(vae, data, jax.random.key(2))
    state, reported = jax.jit(em.step)(em.start, jnp.array(1e-3), jax.random.key(0))
    z = state.chains[0]

    def climbed(parameters: Any) -> Any:
        each = jax.vmap(em.model(parameters).log_joint)(jnp.asarray(data.train), z)
        return each.mean() + log_weight_prior(parameters) / len(data.train)

    parameters, squares = em.start.parameters, jax.tree.map(jnp.zeros_like, em.start.parameters)
    for _ in range(5):
        slope = jax.grad(climbed)(parameters)
        squares = jax.tree.map(lambda s, g: s + g**2, squares, slope)
        parameters = jax.tree.map(
            lambda p, g, s: p + 1e-3 * g / jnp.sqrt(s + 1e-20), parameters, slope, squares
        )
    for ours, by_hand in zip(
        jax.tree.leaves(state.parameters), jax.tree.leaves(parameters), strict=True
    ):
        np.testing.assert_allclose(ours, by_hand, atol=2e-5)
    assert climbed(state.parameters) > climbed(em.start.parameters)
    each = jax.vmap(vae.log_joint)(jnp.asarray(data.train), z)
    assert float(reported) == pytest.approx(float(each.mean()), rel=1e-5)
    assert em.samples == 15 * len(data.train)
    assert jax.tree.all(
        jax.tree.map(jnp.array_equal, em.model(state.parameters).posterior, vae.posterior)
    )


def test_it_goes_on_to_the_same_numbers_and_its_rate_is_one_of_the_paper_s(
    linear_table: Table, tmp_path: Path
) -> None:
    em = monte_carlo_em(*tiny(linear_table), jax.random.key(2))
    assert choose_rate(em, jax.random.key(0), samples=1_200) in (0.01, 0.02, 0.1)

    def to(samples: int, checkpoint: Checkpoint) -> list[dict[str, float]]:
        key = jax.random.key(1)
        how = {"chunk": 600, "checkpoint": checkpoint}
        return run(em, lambda: 0.02, key, samples, lambda model: {}, **how)[1]

    whole = to(2_400, Checkpoint(tmp_path / "whole"))
    to(1_200, Checkpoint(tmp_path / "halves"))
    assert to(2_400, Checkpoint(tmp_path / "halves"))[-1] == whole[-1]
    assert [point["samples"] for point in whole] == [600, 1_200, 1_800, 2_400]


def test_a_step_may_count_for_more_than_a_chunk(linear_table: Table) -> None:
    em = monte_carlo_em(*tiny(linear_table), jax.random.key(2))
    chunks: list[dict[str, float]] = []
    how = {"chunk": 100, "progress": chunks.append}
    run(em, lambda: 0.02, jax.random.key(1), 500, lambda model: {}, **how)
    assert [(chunk["samples"], chunk["total"]) for chunk in chunks] == [(300, 600), (600, 600)]
