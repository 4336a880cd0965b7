"""One fit: how long it takes, how large it is, and the choice of the number of latents."""

import equinox as eqx
import numpy as np
import pytest

from aevb.automatic import architecture_of, automatic_epochs, schema_width
from aevb.errors import AevbWarning, ConfigError
from aevb.fit import fit_model
from aevb.preparation import Preparation, Rows
from aevb.settings import Settings
from aevb.table import infer

SETTINGS = Settings(hidden=(), epochs=4, learning_rate=1e-3, weight_decay=0.0)


def changed(**changes: object) -> Settings:
    return SETTINGS.model_copy(update=changes)


def table(rows: int, columns: int, factors: int, scale: float = 1.0):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(rows, factors)) @ rng.normal(size=(factors, columns))
    values = scale * (values + 0.3 * rng.normal(size=values.shape))
    schema = infer(values).scaled(values)
    units = schema.to_model_units(values)
    return Preparation(schema, schema), Rows(units[: rows // 2], units[rows // 2 :])


@pytest.mark.parametrize("batch_size", [1, 100, 10**6])
@pytest.mark.parametrize("rows", [1, 2, 99, 100, 101, 10_000, 10**7])
def test_automatic_epochs_keep_steps_and_passes_within_bounds(rows: int, batch_size: int) -> None:
    epochs = automatic_epochs(rows, batch_size)
    steps = epochs * -(-rows // min(rows, batch_size))
    assert 1 <= epochs <= 500
    assert epochs == 1 or (epochs - 1) / epochs * steps < 40_000
    assert epochs == 500 or steps >= 6_000


def test_fewer_rows_never_get_fewer_epochs() -> None:
    epochs = [automatic_epochs(rows, 100) for rows in range(1, 200_000, 501)]
    assert epochs == sorted(epochs, reverse=True)


@pytest.mark.parametrize(
    ("prior", "hidden", "expected"),
    [
        ("auto", (), "standard_normal"),
        ("auto", (8,), "mixture"),
        ("standard_normal", (8,), "standard_normal"),
        ("mixture", (), "mixture"),
    ],
)
def test_the_prior_is_a_mixture_but_for_linear_models(
    prior: str, hidden: tuple[int, ...], expected: str
) -> None:
    preparation, rows = table(10, 3, 1)
    architecture = architecture_of(preparation, rows, changed(prior=prior, hidden=hidden), 2)
    assert architecture.prior == expected
    assert architecture.scale_given == bool(hidden)
    assert not architecture.missing


def test_the_architecture_knows_of_missing_cells_in_either_part() -> None:
    preparation, rows = table(10, 3, 1)
    rows.validation[0, 0] = np.nan
    assert architecture_of(preparation, rows, SETTINGS, 2).missing


@pytest.mark.long
def test_the_number_of_latents_is_the_best_of_those_tried() -> None:
    preparation, rows = table(400, 12, 4)
    fitted = fit_model(preparation, rows, SETTINGS, seed=0)
    tried = {one["latent_dim"]: one["validation_bound"] for one in fitted.tried}
    assert fitted.architecture.latent_dim == max(tried, key=lambda size: tried[size]) == 4
    assert list(tried) == [2, 4, 8]  # from the middle down, as long as it gets better
    assert len(fitted.history) == 5


def test_a_narrow_table_gets_fewer_latents_than_columns() -> None:
    preparation, rows = table(60, 2, 1)
    fitted = fit_model(preparation, rows, changed(epochs=0), seed=0)
    assert [one["latent_dim"] for one in fitted.tried] == [1]
    assert fitted.architecture.latent_dim == 1


def test_a_level_more_is_a_number_more() -> None:
    rows = [[0.1 * i, "abc"[i % 3], "xy"[i % 2]] for i in range(12)]
    assert schema_width(infer(rows)) == 1 + 2 + 1


def test_the_history_has_the_best_epoch() -> None:
    preparation, rows = table(60, 2, 1)
    fitted = fit_model(preparation, rows, changed(latent_dim=1), seed=0)
    bounds = [line["validation_bound"] for line in fitted.history]
    assert fitted.best_epoch == int(np.argmax(bounds))
    assert [line["epoch"] for line in fitted.history] == [0, 1, 2, 3, 4]
    assert fitted.tried == []


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        *(
            (name, "ordinary bound, that of 'sgvb_b': set samples=5")
            for name in ("iwae", "dreg_resampled", "renyi")
        ),
        *((name, "has no baseline, .*: set samples=5") for name in ("score", "vimco")),
    ],
)
def test_one_draw_is_warned_of_where_an_objective_is_made_for_several(
    objective: str, words: str
) -> None:
    """Once a fit, however many short runs choose its size; not of two draws."""
    preparation, rows = table(40, 3, 1)
    chosen = {"objective": objective, "epochs": 0}
    with pytest.warns(
        AevbWarning, match=f"objective '{objective}' with samples=1 .*{words}"
    ) as caught:
        fit_model(preparation, rows, changed(**chosen), 0)
    assert len(caught) == 1
    fit_model(preparation, rows, changed(**chosen, latent_dim=1, samples=2), 0)


@pytest.mark.parametrize("missing", [False, True])
def test_weights_start_and_judge_as_copies_of_rows_do(missing: bool) -> None:
    """Weights that are nearly whole, against rows repeated: the same linear start, and the same
    validation bound.
    """
    rng = np.random.default_rng(1)
    values = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5)) + rng.normal(size=(300, 5))
    values = np.where(rng.random(values.shape) < 0.1 * missing, np.nan, values)
    counts = np.where(values[:, 1] > 0, 4, 1)  # that move means and correlations
    train, judged = slice(0, 200), slice(200, 300)
    chosen = changed(latent_dim=2, hidden=(8,), prior="standard_normal", epochs=0)

    def start(k: np.ndarray, weights: np.ndarray | None) -> float:
        parts = [np.repeat(values[part], k[part], axis=0) for part in (train, judged)]
        schema = infer(values).scaled(parts[0])
        by = (None, None) if weights is None else (weights[train], weights[judged])
        rows = Rows(*map(schema.to_model_units, parts), *by)
        preparation = Preparation(schema, schema)
        return fit_model(preparation, rows, chosen, seed=0).history[0]["validation_bound"]

    once, copies = np.ones(300, int), start(counts, None)
    assert start(once, counts + 1e-9) == pytest.approx(copies, abs=0.01)
    assert start(once, 7.0 * counts) == pytest.approx(copies, abs=0.01)  # only ratios matter
    assert abs(start(once, None) - copies) > 0.05


@pytest.mark.long
def test_a_start_is_where_training_starts() -> None:
    """Epoch 0 has the bound of the fit it starts from; with no epochs the model is that one."""
    preparation, rows = table(200, 5, 2)
    parameters = changed(latent_dim=2, hidden=(8,))
    first = fit_model(preparation, rows, parameters, 0)
    other = parameters.model_copy(update={"objective": "iwae", "samples": 3})
    again = fit_model(preparation, rows, other, 1, start=first.model)
    assert again.history[0]["validation_bound"] == pytest.approx(
        first.history[first.best_epoch]["validation_bound"], abs=0.3
    )  # other draws
    last = other.model_copy(update={"epochs": 0, "latent_dim": "auto"})
    kept = fit_model(preparation, rows, last, 1, start=first.model)
    assert kept.architecture == first.architecture
    assert eqx.tree_equal(kept.model, first.model)


def test_a_start_keeps_the_units_of_the_rows() -> None:
    """What is learned comes from the other fit; log(scale), which makes densities of the data's
    units, does not.
    """
    preparation, rows = table(200, 5, 2)
    parameters = changed(latent_dim=2, epochs=0)
    first = fit_model(preparation, rows, parameters, 0)
    again = fit_model(*table(200, 5, 2, scale=10.0), parameters, 0, start=first.model)
    gain = again.history[0]["validation_bound"] - first.history[0]["validation_bound"]
    assert gain == pytest.approx(-5 * np.log(10), abs=1e-3)


@pytest.mark.parametrize(
    "change", [{"latent_dim": 3}, {"hidden": (4,)}, {"prior": "mixture"}, {"posterior": "full"}]
)
def test_a_start_of_another_shape_is_refused(change: dict[str, object]) -> None:
    preparation, rows = table(200, 5, 2)
    parameters = changed(latent_dim=2, epochs=0)
    first = fit_model(preparation, rows, parameters, 0)
    with pytest.raises(ConfigError, match="start is a model of other"):
        fit_model(preparation, rows, parameters.model_copy(update=change), 0, start=first.model)
