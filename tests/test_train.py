"""Laws of Algorithm 1: the bound rises, one key gives the same bits, and a step that is not finite
is not taken.
"""

from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aevb import epochs as training
from aevb.disk.checkpoints import Checkpoint
from aevb.errors import ConfigError, NumericalError
from aevb.networks import MLP, trainable
from aevb.objectives import sgvb_b
from aevb.optimizers import OPTIMIZERS
from aevb.train import Training, TrainingResult, fit, minibatch_bound, where_not_finite
from conftest import Table

KEY = jax.random.key(0)
ROWS = np.random.default_rng(0).normal(3.0, 1.0, (23, 2)).astype(np.float32)


class Toy(eqx.Module):
    """A model whose bound is largest at the mean of the rows; its network has no part in it."""

    mean: jax.Array
    network: MLP


TOY = Toy(jnp.zeros(2), MLP((2, 3), "tanh", KEY))


def toy_bound(model: Toy, x: Any, key: Any, *, samples: int = 1, kl_weight: Any) -> Any:
    return -jnp.sum((x - model.mean) ** 2)


def held_out(model: Any) -> float:
    return -float(np.sum((ROWS.mean(0) - np.asarray(model.mean)) ** 2))


def run(
    objective: Any = toy_bound, rows: np.ndarray = ROWS, model: Any = TOY, **settings: Any
) -> TrainingResult:
    usual = {
        "validate": held_out,
        "epochs": 6,
        "batch_size": 5,
        "learning_rate": 0.05,
        "schedule": "constant",
    }
    return fit(model, rows, objective, KEY, **{**usual, **settings})


def leaves(result: TrainingResult) -> list[Any]:
    return jax.tree.leaves(eqx.filter(result.model, eqx.is_array))


def same_bits(one: TrainingResult, other: TrainingResult) -> bool:
    drop = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in r.history]
        for r in (one, other)
    ]
    np.testing.assert_equal(drop[0], drop[1])
    return all(map(np.array_equal, leaves(one), leaves(other)))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_bound_rises(name: str) -> None:
    result = run(optimizer=name)
    bounds = [line["validation_bound"] for line in result.history]
    assert bounds[-1] > bounds[0] + 1
    assert result.best_epoch == int(np.argmax(bounds))
    assert [line["epoch"] for line in result.history] == list(range(7))
    assert [line["samples_seen"] for line in result.history] == [23 * epoch for epoch in range(7)]


def test_an_optax_transformation_brings_its_own_step_size() -> None:
    result = run(optimizer=optax.sgd(0.05), learning_rate=99.0)
    assert same_bits(result, run(optimizer=optax.sgd(0.05), learning_rate=1e-9))
    named = run(optimizer="sgd")
    assert all(
        np.allclose(one, other, atol=1e-6)
        for one, other in zip(leaves(result), leaves(named), strict=True)
    )


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(ConfigError, match="adam, adagrad, rmsprop, sgd"):
        run(optimizer="adamm")


def test_a_tiny_vae_learns_and_two_runs_have_the_same_bits(loose_table: Table) -> None:
    """Started from a wrong q(z|x), the bound of the training rows rises; the kept state is not
    below the start.
    """
    rows = loose_table.units[:60]

    def bound(model: Any) -> float:
        return float(_mean_bound(model, rows))

    settings = {"epochs": 12, "batch_size": 20, "validate": bound, "learning_rate": 0.01}
    one, two = (run(sgvb_b, rows, loose_table.model, **settings) for _ in range(2))
    assert same_bits(one, two)
    bounds = [line["validation_bound"] for line in one.history]
    assert bounds[one.best_epoch] > bounds[0] + 0.1
    np.testing.assert_allclose(bound(one.model), max(bounds), rtol=1e-6)


@eqx.filter_jit
def _mean_bound(model: Any, rows: Any) -> Any:
    return jax.vmap(lambda x, key: sgvb_b(model, x, key))(
        rows, jax.random.split(KEY, len(rows))
    ).mean()


def test_fixed_numbers_stay(loose_table: Table) -> None:
    rows = loose_table.units[:60]
    result = run(
        sgvb_b,
        rows,
        loose_table.model,
        epochs=4,
        batch_size=20,
        validate=lambda model: 1.0 * id(model),
    )
    before, after = loose_table.model.posterior.encoder, result.model.posterior.encoder
    assert np.array_equal(before.features.center.tree, after.features.center.tree)
    assert np.array_equal(before.linear.loadings.tree, after.linear.loadings.tree)


def test_the_best_state_is_kept_and_the_start_is_one() -> None:
    scores = iter([0.0, -1.0, 2.0, 1.0, 2.0, -5.0, 1.9])
    result = run(validate=lambda model: next(scores))
    again = iter([0.0, -1.0, 2.0])
    assert result.best_epoch == 2
    twin = run(validate=lambda model: next(again), epochs=2)
    assert all(map(np.array_equal, leaves(result), leaves(twin)))
    worse = iter([0.0] + [-1.0] * 6)
    start = run(validate=lambda model: next(worse))
    assert start.best_epoch == 0
    assert np.array_equal(start.model.mean, TOY.mean)


@pytest.mark.parametrize("first", [np.nan, -np.inf])
def test_a_held_out_bound_that_is_no_number_is_never_the_best(first: float) -> None:
    scores = iter([first, -3.0, np.nan, -2.0, np.inf, -2.5, -9.0])
    assert run(validate=lambda model: next(scores)).best_epoch == 3


def test_patience_counts_epochs_without_a_better_one() -> None:
    scores = iter([0.0, 1.0, 0.5, 0.5, 0.5, 9.0, 9.0])
    result = run(validate=lambda model: next(scores), patience=3)
    assert result.stopped == "patience"
    assert len(result.history) == 5
    assert run().stopped == "end"


def test_patience_waits_for_a_validation() -> None:
    """A long run validates every few epochs only: no run may stop before the first."""
    calls = []
    result = run(
        validate=lambda model: calls.append(1) or held_out(model),
        epochs=250,
        patience=2,
        optimizer="sgd",
    )
    assert len(calls) > 2
    assert result.best_epoch > 0


def test_rows_of_weight_zero_change_nothing() -> None:
    keys = jax.random.split(KEY, 5)
    one = jnp.asarray(1.0)

    def objective(model: Toy, x: Any, key: Any, *, kl_weight: Any) -> Any:
        return -jnp.sum((x - model.mean) ** 2)

    rows, weights = jnp.asarray(ROWS[:5]), jnp.array([1.0, 2.0, 0.0, 0.5, 0.0])
    got = minibatch_bound(TOY, objective, rows.at[2].set(1e6), weights, keys, one)
    used = jnp.array([0, 1, 3])
    np.testing.assert_allclose(
        got, minibatch_bound(TOY, objective, rows[used], weights[used], keys[used], one)
    )
    assert float(minibatch_bound(TOY, objective, rows, jnp.zeros(5), keys, one)) == 0
    far = np.concatenate([ROWS[:10], np.full((13, 2), 1e3, np.float32)])
    result = run(rows=far, weights=np.repeat([1.0, 0.0], [10, 13]), epochs=60, optimizer="sgd")
    np.testing.assert_allclose(result.model.mean, ROWS[:10].mean(0), atol=0.4)


def test_a_weight_counts_as_often_as_it_says() -> None:
    weights = np.linspace(0.5, 2.0, 23)
    result = run(
        batch_size=23,
        weights=weights,
        epochs=60,
        validate=lambda model: 1.0 * next(counter),
        optimizer="sgd",
    )
    np.testing.assert_allclose(
        result.model.mean, np.average(ROWS, axis=0, weights=weights), rtol=1e-2
    )


counter = iter(range(10_000))


def test_every_row_is_seen_once_an_epoch_and_the_last_batch_is_short() -> None:
    """Batches of 5 from 23 rows: the mean of each over its own rows, so that none counts twice."""
    steps: list[float] = []

    def counting(model: Toy, x: Any, key: Any, **settings: Any) -> Any:
        return x[0] + 0 * model.mean.sum()

    result = run(
        counting, rows=np.arange(23.0)[:, None].astype(np.float32) * [[1.0, 1.0]], epochs=3
    )
    for line in result.history[1:]:
        steps.append(line["train_bound"])  # the mean of 4 means of 5 rows and one of 3
        assert abs(5 * line["train_bound"] - 253 / 5) < 22 * 3 / 5
    assert len(set(steps)) == 3  # another order each epoch
    whole = run(counting, rows=ROWS, batch_size=100, epochs=1)  # more than there are rows
    np.testing.assert_allclose(whole.history[1]["train_bound"], ROWS[:, 0].mean(), rtol=1e-5)
    assert run(counting, rows=ROWS[:1], epochs=1).history[1]["train_bound"] == pytest.approx(
        ROWS[0, 0]
    )


def test_the_minibatch_bound_is_unbiased() -> None:
    """Eq. 8: over an epoch of equal batches its mean is that of the whole table."""

    def counting(model: Toy, x: Any, key: Any, **settings: Any) -> Any:
        return jnp.sum(x**2) + 0 * model.mean.sum()

    squares = np.square(ROWS[:20]).sum(1)
    for weights in (None, np.arange(1.0, 21.0)):
        for line in run(counting, rows=ROWS[:20], weights=weights, epochs=3).history[1:]:
            np.testing.assert_allclose(
                line["train_bound"], np.average(squares, weights=weights), rtol=1e-5
            )


def test_warm_up_rises_to_one_and_stays() -> None:
    def weight(model: Toy, x: Any, key: Any, *, kl_weight: Any) -> Any:
        return kl_weight + 0 * model.mean.sum()

    weights = [line["train_bound"] for line in run(weight, kl_warmup=0.5).history[1:]]
    assert weights == sorted(weights)
    np.testing.assert_allclose(weights[0], np.mean(np.arange(1, 6) / 15), rtol=1e-5)
    assert weights[3:] == [1.0, 1.0, 1.0]
    assert [line["train_bound"] for line in run(weight).history[1:]] == [1.0] * 6


def flat_bound(model: Toy, x: Any, key: Any, **settings: Any) -> Any:
    return 0 * model.mean.sum()


@pytest.mark.parametrize(
    ("setting", "shrunk"), [({"weight_prior": True}, 1 - 0.05 / 23), ({"weight_decay": 0.5}, 0.975)]
)
def test_weights_of_layers_shrink_and_nothing_else(setting: dict[str, Any], shrunk: float) -> None:
    """The prior adds log N(w; 0, I) / N, whose slope is -w / N; decay takes a share of the step
    size.
    """
    result = run(
        flat_bound,
        optimizer="sgd",
        epochs=1,
        batch_size=23,
        validate=lambda model: next(counter),
        **setting,
    )
    before, after = TOY.network.layers[0], result.model.network.layers[0]
    np.testing.assert_allclose(after.weight, before.weight * shrunk, rtol=1e-5)
    assert np.array_equal(after.bias, before.bias)
    assert np.array_equal(result.model.mean, TOY.mean)


# Faults 17 and 18: a bound or a gradient that is not finite.


def test_a_bad_step_is_skipped_and_counted() -> None:
    """One row of 23 gives NaN: one step an epoch is not taken, the others are."""
    rows = np.concatenate([ROWS[:22], np.full((1, 2), np.nan, np.float32)])
    result = run(rows=rows)
    assert [line["skipped_steps"] for line in result.history] == list(range(7))
    assert np.isfinite(leaves(result)[0]).all()
    assert result.history[-1]["validation_bound"] > result.history[0]["validation_bound"]
    assert np.isfinite(result.history[-1]["train_bound"])


def test_looking_at_every_step_changes_no_bit() -> None:
    """An epoch without a bad step gives the same, whether or not its steps are looked at."""
    assert all(map(np.array_equal, leaves(run()), leaves(run(careful=True))))


def test_a_finite_bound_whose_slope_is_not_is_a_bad_step() -> None:
    def objective(model: Toy, x: Any, key: Any, **settings: Any) -> Any:
        edge = jnp.where(x[0] > 4.32, 0.0, 1.0)  # the square root is vertical at 0
        return jnp.sqrt(edge + 0 * model.mean.sum()) - jnp.sum((x - model.mean) ** 2)

    assert (ROWS[:, 0] > 4.32).sum() == 1
    result = run(objective)
    assert [line["skipped_steps"] for line in result.history] == list(range(7))
    assert np.isfinite(leaves(result)[0]).all()
    assert np.isfinite([line["train_bound"] for line in result.history[1:]]).all()


def test_a_step_that_overflows_is_not_taken() -> None:
    """The bound and its slope are finite, where they lead to is not."""

    def objective(model: Toy, x: Any, key: Any, **settings: Any) -> Any:
        return 1e30 * model.mean.sum() / 1e3

    saved: list[Any] = []

    class Keeper:
        def load(self, like: Any) -> None:
            return None

        def save(self, state: Any, document: dict[str, Any]) -> None:
            saved.append(state)

    with pytest.raises(NumericalError):
        run(
            objective,
            model=VAE_LIKE,
            optimizer="sgd",
            learning_rate=1e20,
            checkpoint=Keeper(),
            epochs=9,
        )
    assert all(np.isfinite(leaf).all() for state in saved for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "rmsprop"])
def test_a_slope_too_large_for_the_optimizer_is_as_if_its_step_had_not_been(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finite, but not its square: the moments of Adam would be infinite ever after, and each epoch
    run twice.
    """

    def objective(
        first: float, model: Toy, x: Any, key: Any, *, kl_weight: Any, **settings: Any
    ) -> Any:
        slope = jnp.where(kl_weight < 0.05, first, 0.0)  # in the first of 30 steps
        return toy_bound(model, x, key, samples=1, kl_weight=1.0) + slope * model.mean.sum()

    epochs = []
    monkeypatch.setattr(training, "_epoch", lambda *args: epochs.append(1) or EPOCH(*args))
    huge, none = (
        run(partial(objective, first), kl_warmup=1.0, optimizer=optimizer)
        for first in (1e25, np.nan)
    )
    assert same_bits(huge, none)
    assert [line["skipped_steps"] for line in huge.history] == [0] + [1] * 6
    assert len(epochs) == 2 * (6 + 1)


EPOCH = training._epoch


class _Product:
    def __init__(self, z: Any) -> None:
        self.z = z

    def cells(self, x: Any) -> Any:
        return jnp.log(x - self.z)


class Diagnosed(Toy):
    """A toy with what an error message asks of a model."""

    def encode(self, x: Any) -> Any:
        return 0 * self.mean

    def likelihood(self, z: Any) -> _Product:
        return _Product(z)


VAE_LIKE = Diagnosed(TOY.mean, TOY.network)


def test_a_second_run_of_bad_steps_ends_training_and_names_the_cell() -> None:
    rows = np.abs(np.tile(ROWS, (3, 1)))[:55]
    rows[31, 1] = -1.0  # its logarithm is NaN, in every batch of all rows
    seen: list[dict[str, float]] = []

    def objective(model: Diagnosed, x: Any, key: Any, **settings: Any) -> Any:
        return model.likelihood(model.encode(x)).cells(x).sum() + model.mean.sum()

    with pytest.raises(NumericalError, match=r"epoch 2 .*row 31, column 1.*learning_rate"):
        run(objective, rows=rows, model=VAE_LIKE, batch_size=55, progress=seen.append)
    assert [line["epoch"] for line in seen] == [0, 1]


def test_the_message_is_about_any_model_and_any_rows(mixed_table: Table) -> None:
    """Missing cells are no fault; weights that are not finite are one, of the first cell that is
    observed.
    """
    start, static = eqx.partition(mixed_table.model, trainable(mixed_table.model))
    rows = jnp.asarray(mixed_table.units)
    assert "in the gradient or the step" in where_not_finite(mixed_table.model, rows, 7)
    broken = eqx.combine(jax.tree.map(lambda leaf: leaf + jnp.nan, start), static)
    row, column = np.argwhere(np.isfinite(mixed_table.units))[0]
    assert f"row {row}, column {column}" in where_not_finite(broken, rows, 7)


def test_one_bad_stretch_restores_the_best_state_at_half_the_step_size() -> None:
    """-24 m^2 at a step of 0.05 overshoots further each time, until it is NaN; at half of that it
    settles.
    """

    def objective(model: Toy, x: Any, key: Any, **settings: Any) -> Any:
        return jnp.where(jnp.abs(model.mean) > 1, jnp.nan, -24 * model.mean**2).sum()

    start = Toy(jnp.full(2, 0.01), TOY.network)
    result = run(
        objective,
        model=start,
        optimizer="sgd",
        batch_size=2,
        validate=lambda m: -float(m.mean[0] ** 2),
    )
    assert [line["epoch"] for line in result.history] == list(range(7))
    (bad,) = np.flatnonzero(np.isnan([line["train_bound"] for line in result.history[1:]])) + 1
    rates = [line["learning_rate"] for line in result.history]
    np.testing.assert_allclose(rates[1 : bad + 1], 0.05)
    np.testing.assert_allclose(rates[bad + 1 :], 0.025)
    assert result.history[bad]["skipped_steps"] >= Training(epochs=1).bad_steps
    assert result.best_epoch > bad
    assert abs(float(result.model.mean[0])) < 1e-6


# What an objective may be, and what is asked of it.


def test_an_objective_is_given_what_it_takes() -> None:
    """Its own default for `samples` unless one is given; a setting it does not take is an error."""

    def plain(model: Toy, x: Any, key: Any) -> Any:
        return toy_bound(model, x, key, kl_weight=1.0)

    def own(model: Toy, x: Any, key: Any, *, samples: int = 5) -> Any:
        return samples + 0 * model.mean.sum()

    assert same_bits(run(plain), run())
    assert run(own, epochs=1).history[1]["train_bound"] == 5
    assert run(own, epochs=1, samples=3).history[1]["train_bound"] == 3
    for setting, name in (
        ({"samples": 2}, "samples"),
        ({"free_bits": 0.1}, "free_bits"),
        ({"kl_warmup": 0.5}, "kl_weight"),
    ):
        with pytest.raises(ConfigError, match=f"objective plain takes no {name}"):
            run(plain, **setting)


def test_without_validation_the_last_state_is_returned() -> None:
    result, validated = run(validate=None), run(validate=lambda model: next(counter))
    assert all(map(np.array_equal, leaves(result), leaves(validated)))
    assert result.best_epoch == 6
    assert np.isnan([line["validation_bound"] for line in result.history]).all()
    with pytest.raises(ConfigError, match="patience needs `validate`"):
        run(validate=None, patience=3)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(TypeError, match="epoch_count"):
        run(epoch_count=3)


# Interrupted training.


@pytest.mark.parametrize("cut", [0, 1, 3, 5])
def test_a_run_taken_up_again_ends_in_the_same_bits(tmp_path: Path, cut: int) -> None:
    """Killed at any epoch, with momentum in the optimizer and NaN in the history."""

    class KilledError(BaseException):
        pass

    def stop(line: dict[str, float]) -> None:
        if line["epoch"] == cut:
            raise KilledError

    undisturbed = run()
    with pytest.raises(KilledError):
        run(checkpoint=Checkpoint(tmp_path, interval=0.0), progress=stop)
    resumed = run(checkpoint=Checkpoint(tmp_path, interval=0.0))
    assert same_bits(undisturbed, resumed)
    again = run(
        checkpoint=Checkpoint(tmp_path, interval=0.0)
    )  # a finished one is not trained further
    assert same_bits(undisturbed, again)


def test_an_interrupted_run_returns_what_is_finished() -> None:
    def stop(line: dict[str, float]) -> None:
        if line["epoch"] == 3:
            raise KeyboardInterrupt

    result, short = run(progress=stop), run(epochs=3)
    assert result.stopped == "interrupt"
    assert len(result.history) == 4
    assert all(map(np.array_equal, leaves(result), leaves(short)))


def test_a_run_stopped_by_patience_is_not_taken_further(tmp_path: Path) -> None:
    def validate(model: Any) -> float:
        return -abs(float(model.mean[0]) - 0.3)

    undisturbed = run(patience=2, epochs=20, validate=validate)
    assert undisturbed.stopped == "patience"
    for _ in range(2):
        checkpoint = Checkpoint(tmp_path, interval=0.0)
        resumed = run(patience=2, epochs=20, validate=validate, checkpoint=checkpoint)
        assert same_bits(undisturbed, resumed)
        assert resumed.stopped == "patience"
