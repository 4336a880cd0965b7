"""Laws of Algorithm 1: Adagrad's step, the prior on weights, the step size, and resuming."""

from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb.disk.checkpoints import Checkpoint
from aevb.networks import trainable
from aevb.objectives import sgvb_b
from aevb_paper.experiments.algorithm import (
    Algorithm,
    State,
    ascend,
    choose_rate,
    minibatches,
    run,
    start_state,
)
from aevb_paper.experiments.data import PaperData

pytestmark = pytest.mark.long  # they train models

KEY, CHUNK = jax.random.key(0), 50_000


@pytest.fixture
def bits() -> PaperData:
    """300 rows of nine pixels that are on or off together, three by three."""
    rows = np.repeat(np.random.default_rng(0).random((300, 3)) < 0.4, 3, axis=1).astype(np.float32)
    return PaperData(rows[:250], rows[250:], None, "bernoulli", 8)


def counting(bound: Any) -> Algorithm:
    """A state that counts its steps and draws; the bound is a function of (count, step size)."""

    def step(state: State, rate: Any, key: Any) -> tuple[State, Any]:
        count, total = state.parameters
        return State((count + 1, total + jax.random.normal(key)), ()), bound(count, rate)

    start = State((jnp.zeros(()), jnp.zeros(())), ())
    return Algorithm(start, step, 5_000, lambda parameters: parameters)


def test_a_step_is_adagrads() -> None:
    """theta + rate g / sqrt(sum of g^2 so far), up the bound (Duchi, Hazan and Singer 2011)."""
    slopes = [np.array([3.0, -0.5]), np.array([1.0, 0.25]), np.array([-2.0, 4.0])]
    state, theta, squares = start_state(jnp.array([0.3, 0.7])), np.array([0.3, 0.7]), np.zeros(2)
    for slope in slopes:
        state, reported = ascend(
            lambda theta, g: (theta @ g, jnp.sum(g)), state, jnp.asarray(0.1), jnp.asarray(slope)
        )
        squares += slope**2
        theta = theta + 0.1 * slope / np.sqrt(squares)
        np.testing.assert_allclose(state.parameters, theta, rtol=1e-5)
        assert float(reported) == pytest.approx(slope.sum())


def test_the_prior_pulls_weights_and_nothing_else(bits: PaperData) -> None:
    """With a flat objective, Adagrad's first step goes down |w| by the rate, whatever 1/N is."""
    model = bits.model(2, KEY)
    flat = minibatches(model, lambda model, x, key, kl_weight: 0.0 * x.sum(), bits)
    state, bound = jax.jit(flat.step)(flat.start, jnp.asarray(0.001), KEY)
    assert float(bound) == 0.0
    before, after = flat.model(flat.start.parameters), flat.model(state.parameters)
    old_layers = before.posterior.network.layers + before.likelihood.network.layers
    new_layers = after.posterior.network.layers + after.likelihood.network.layers
    for old, new in zip(old_layers, new_layers, strict=True):
        np.testing.assert_allclose(new.weight, old.weight - 0.001 * np.sign(old.weight), atol=1e-6)
        assert np.array_equal(old.bias, new.bias)


def test_a_minibatch_climbs_the_bound_of_rows_drawn_anew(bits: PaperData) -> None:
    """The bound of a hundred training rows, drawn by the key; test rows never."""
    seen = []

    def objective(model: Any, x: Any, key: Any, kl_weight: Any) -> Any:
        jax.debug.callback(lambda row: seen.append(np.asarray(row).tobytes()), x)
        return sgvb_b(model, x, key, kl_weight=kl_weight)

    algorithm = minibatches(bits.model(2, KEY), objective, bits._replace(test=bits.test + 1))
    step = jax.jit(algorithm.step)
    values = []
    for key in jax.random.split(KEY, 20):
        values.append(float(step(algorithm.start, jnp.asarray(0.0), key)[1]))
    jax.effects_barrier()
    assert len(set(values)) == 20
    rows = {row.tobytes() for row in bits.train}
    assert set(seen) <= rows
    assert len(seen) >= 2_000
    at_half = 9 * np.log(0.5)  # the start is near a coin for each pixel, and q near p(z)
    assert np.mean(values) == pytest.approx(at_half, abs=0.05)


def test_aevb_learns_more_than_the_marginals(bits: PaperData) -> None:
    """Three bits of entropy H(0.4): independent pixels would cost nine."""
    algorithm = minibatches(bits.model(3, KEY), sgvb_b, bits)
    _, points = run(algorithm, lambda: 0.1, KEY, 2 * CHUNK, lambda model: {})
    entropy = -(0.4 * np.log(0.4) + 0.6 * np.log(0.6))
    assert -7 * entropy < points[-1]["bound"] < -3 * entropy


@pytest.mark.parametrize(
    ("bound", "best"),
    [
        (lambda count, rate: -jnp.abs(rate - 0.02), 0.02),
        (lambda count, rate: jnp.where(rate > 0.05, jnp.nan, rate), 0.02),
        (lambda count, rate: jnp.where(count < 10, -rate, rate), 0.1),
        (lambda count, rate: jnp.full((), jnp.nan), 0.01),
    ],
    ids=["best", "diverges", "the first samples do not count", "none"],
)
def test_the_step_size_with_the_best_training_bound_is_chosen(bound: Any, best: float) -> None:
    chunks: list[dict[str, float]] = []
    assert choose_rate(counting(bound), KEY, progress=chunks.append) == best
    assert [chunk["samples"] for chunk in chunks] == list(range(50_000, 500_001, 50_000))
    assert {chunk["total"] for chunk in chunks} == {500_000}


def test_looks_are_even_on_a_logarithmic_axis_and_the_last_is_one() -> None:
    algorithm = counting(lambda count, rate: count)
    _, points = run(algorithm, lambda: 0.1, KEY, 100 * CHUNK, lambda model: {"n": 1.0}, marks=4)
    seen = np.array([point["samples"] for point in points]) / CHUNK
    assert seen[-1] == 100
    assert 6 <= len(seen) <= 10
    assert (np.diff(np.log10(seen))[2:] < 0.5).all()
    assert 10**6 in seen * CHUNK  # where figures are compared
    for point in points:  # ten steps a chunk, and the mean over the last of them
        assert point["bound"] == pytest.approx(point["samples"] / 5_000 - 5.5)


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    bits: PaperData, tmp_path: Path
) -> None:
    algorithm = minibatches(bits.model(2, KEY), sgvb_b, bits)

    def look(model: Any) -> dict[str, float]:
        weights = jax.tree.leaves(eqx.filter(model, trainable(model)))
        return {"norm": float(sum(jnp.sum(w**2) for w in weights))}

    whole, points = run(algorithm, lambda: 0.02, KEY, 4 * CHUNK, look)
    checkpoint = Checkpoint(tmp_path, {"seed": 0}, interval=0.0)

    def stop(line: dict[str, float]) -> None:
        if line["samples"] == 2 * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(algorithm, lambda: 0.02, KEY, 4 * CHUNK, look, progress=stop, checkpoint=checkpoint)
    lines: list[dict[str, float]] = []
    rate = partial(pytest.fail, "the step size is kept")
    model, again = run(
        algorithm, rate, KEY, 4 * CHUNK, look, progress=lines.append, checkpoint=checkpoint
    )
    assert [line["samples"] for line in lines] == [3 * CHUNK, 4 * CHUNK]
    assert again == points
    assert eqx.tree_equal(whole, model)
