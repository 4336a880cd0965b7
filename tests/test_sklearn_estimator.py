"""What `VAE` promises of its numbers: the same again, the same in any company, and right where the
truth is known.
"""

import pickle
import signal
import threading
import warnings
from pathlib import Path

import jax
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.decomposition import FactorAnalysis

import aevb
from aevb import VAE, linear
from aevb.marginal import importance
from aevb.objectives import OBJECTIVES
from conftest import SMALL, X


def same_model(one: VAE, other: VAE) -> bool:
    leaves = zip(jax.tree.leaves(one.model_), jax.tree.leaves(other.model_), strict=True)
    return all(np.array_equal(a, b) for a, b in leaves)


# The same again


def test_two_fits_with_one_seed_are_equal_to_the_last_bit(vae: VAE) -> None:
    again = VAE(**SMALL).fit(X)
    assert same_model(vae, again)
    assert np.array_equal(vae.sample(7), again.sample(7))
    assert not same_model(vae, VAE(**{**SMALL, "random_state": 1}).fit(X))


def test_the_order_of_the_rows_does_not_matter(vae: VAE) -> None:
    assert same_model(vae, VAE(**SMALL).fit(X[np.random.default_rng(1).permutation(60)]))


def test_any_other_weight_counts_in_the_choice_of_the_epoch_and_is_told() -> None:
    """Each row keeps its own through the split; numbers that count rows once say so."""
    vae = VAE(**{**SMALL, "epochs": 0, "validation_fraction": 0.4})
    vae.fit(X, sample_weight=np.where(X[:, 0] > 0, 1.75, 0.5))
    validation = vae.fit_.parts.validation
    scores = importance(
        vae.model_, vae._units(validation), samples=32, seed=vae.seed_
    ).log_likelihood
    expected = np.average(scores, weights=np.where(validation[:, 0] > 0, 1.75, 0.5))
    assert vae.history_[0]["validation_bound"] == pytest.approx(expected, rel=1e-6)
    assert abs(expected - scores.mean()) > 1e-3
    assert any("sample_weight" in note for note in vae.report_["diagnostics"]["warnings"])
    plain = VAE(**{**SMALL, "epochs": 0}).fit(X)
    assert not any("sample_weight" in note for note in plain.report_["diagnostics"]["warnings"])


def test_a_whole_weight_is_the_row_so_many_times() -> None:
    weights = np.where(np.arange(60) < 4, 2, 1)
    weights[10:14] = 0
    weighted = VAE(**SMALL).fit(X, sample_weight=weights)
    assert same_model(weighted, VAE(**SMALL).fit(np.repeat(X, weights, axis=0)))


def test_without_a_seed_fits_differ_and_say_their_seed() -> None:
    fits = [VAE(**{**SMALL, "random_state": None}).fit(X) for _ in range(2)]
    assert fits[0].seed_ != fits[1].seed_
    assert same_model(fits[0], VAE(**{**SMALL, "random_state": fits[0].seed_}).fit(X))


def test_a_row_scores_the_same_in_any_company(vae: VAE) -> None:
    together = vae.score_samples(X, samples=50)
    assert np.array_equal(vae.score_samples(X[::-1], samples=50)[::-1], together)
    assert np.array_equal(vae.score_samples(X[7:8], samples=50), together[7:8])
    assert np.array_equal(vae.score_samples(np.vstack([X, X, X]), samples=50), np.tile(together, 3))
    assert np.array_equal(vae.score_samples(pd.DataFrame(X).to_numpy(), samples=50), together)


def is_missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell))


def test_fitting_leaves_no_trace_outside_itself(vae: VAE) -> None:
    before = np.random.get_state()[1].copy(), jax.config.jax_enable_x64, list(warnings.filters)  # noqa: NPY002
    handlers = [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)]
    VAE(**SMALL).fit(X).score_samples(X[:2], samples=50)
    assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert jax.config.jax_enable_x64 == before[1]
    assert warnings.filters == before[2]
    assert [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_it_fits_outside_the_main_thread(vae: VAE) -> None:
    fits: list[VAE] = []
    thread = threading.Thread(target=lambda: fits.append(VAE(**SMALL).fit(X)))
    thread.start()
    thread.join()
    assert same_model(fits[0], vae)


def test_an_interrupted_fit_holds_the_epochs_that_were_finished() -> None:
    def interrupt(line: dict) -> None:
        if line["epoch"] == 1:
            raise KeyboardInterrupt

    vae = VAE(**SMALL)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X, progress=interrupt)
    assert vae.n_iter_ == len(vae.history_) - 1 == 1
    assert np.isfinite(vae.score(X[:3]))


# Right where the truth is known


@pytest.fixture(scope="module")
def linear_data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    loadings, scale = rng.normal(size=(2, 8)), np.geomspace(0.01, 100, 8)
    z = rng.normal(size=(5000, 2))
    rows = (
        z @ loadings + rng.normal(size=(5000, 8)) * rng.uniform(0.3, 1.0, 8)
    ) * scale + 3 * scale
    return rows[:3000], rows[3000:]


def test_a_linear_vae_reaches_factor_analysis(linear_data: tuple[np.ndarray, np.ndarray]) -> None:
    train, fresh = linear_data
    vae = VAE(latent_dim=2, hidden=(), epochs=5, random_state=0).fit(train)
    exact = FactorAnalysis(2, tol=1e-6, max_iter=5000).fit(train / train.std(0))
    expected = exact.score_samples(fresh / train.std(0)) - np.log(train.std(0)).sum()
    assert abs(vae.score(fresh[:200]) - expected[:200].mean()) < 0.01


@pytest.mark.long
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_every_objective_reaches_factor_analysis(
    objective: str, linear_data: tuple[np.ndarray, np.ndarray]
) -> None:
    """Through a nonlinear network too: at its optimum it is linear, and what is kept is the best
    held-out state.
    """
    train, fresh = linear_data
    vae = VAE(2, hidden=(8,), epochs=4, samples=5, objective=objective, random_state=0).fit(
        train[:1000]
    )
    exact = FactorAnalysis(2, tol=1e-6, max_iter=5000).fit(train[:1000] / train.std(0))
    expected = exact.score_samples(fresh[:600] / train.std(0)) - np.log(train.std(0)).sum()
    assert abs(vae.score(fresh[:600]) - expected.mean()) < 0.1


@pytest.mark.long
@pytest.mark.parametrize(
    "kind",
    [
        {"posterior": "full"},
        {"posterior": "flow"},
        {"posterior": "bernoulli", "objective": "vimco", "samples": 3},
        {"posterior": "categorical", "latent_dim": 10},
        {"prior": "vamp"},
        {"prior": "flow"},
        {"latent_dim": (2, 1)},
    ],
    ids=str,
)
def test_any_q_and_any_prior_go_through_every_verb(kind: dict[str, object], tmp_path: Path) -> None:
    """Missing cells included; saved, loaded and pickled, to the same bits."""
    vae = VAE(**{**SMALL, "prior": "auto", **kind}).fit(X)
    assert vae.transform(X).shape == (60, vae.latent_dim_)
    assert np.isfinite(vae.score_samples(X, samples=10)).all()
    assert vae.sample(5).shape == vae.reconstruct(X[:5]).shape == (5, 4)
    assert np.isfinite(vae.impute(X, samples=10)).all()
    assert len(vae.report_["diagnostics"]["active"]) == len(
        vae.report_["diagnostics"]["kl_per_latent"]
    )
    vae.save(tmp_path / "run")
    for same in (aevb.load(tmp_path / "run"), pickle.loads(pickle.dumps(vae))):
        assert np.array_equal(same.score_samples(X, samples=10), vae.score_samples(X, samples=10))
        assert np.array_equal(same.sample(5), vae.sample(5))


def test_at_the_start_estimator_a_is_factor_analysis(
    linear_data: tuple[np.ndarray, np.ndarray],
) -> None:
    train, fresh = linear_data
    vae = VAE(
        latent_dim=2,
        hidden=(),
        epochs=0,
        objective="sgvb_a",
        validation_fraction=0.0,
        random_state=0,
    ).fit(train)
    schema = vae.fit_.preparation.schema
    start = linear.fit(schema.to_model_units(train).astype(np.float64), 2)
    scale = np.log([column.scale for column in schema.columns]).sum()
    exact = start.log_likelihood(schema.to_model_units(fresh[:200]).astype(np.float64)) - scale
    assert np.allclose(vae.bound(fresh[:200], samples=2), exact, atol=1e-3)
    assert abs((vae.bound(fresh[:200], samples=2) - exact).mean()) < 1e-4
    details = vae.score_details(fresh[:200])
    assert (np.abs(details.log_likelihood - exact) < 4 * details.monte_carlo_error + 1e-3).all()


def test_transform_then_inverse_is_reconstruct(vae: VAE) -> None:
    assert np.allclose(vae.inverse_transform(vae.transform(X)), vae.reconstruct(X), rtol=1e-5)


def test_samples_look_like_the_data(linear_data: tuple[np.ndarray, np.ndarray]) -> None:
    train, _ = linear_data
    drawn = VAE(latent_dim=2, hidden=(), epochs=0, random_state=0).fit(train).sample(4000)
    error = train.std(0) / np.sqrt(3000) + drawn.std(0) / np.sqrt(4000)
    assert (np.abs(drawn.mean(0) - train.mean(0)) < 4 * error).all()
    assert np.allclose(np.corrcoef(drawn.T), np.corrcoef(train.T), atol=0.1)


# Tables


def mixed() -> dict[str, list]:
    rng = np.random.default_rng(2)
    z = rng.normal(size=60)
    holes = [np.flatnonzero(rng.random(60) < 0.15).tolist() for _ in range(5)]
    holes[0].append(5)
    columns = {
        "height": (z + rng.normal(size=60)).tolist(),
        "grade": rng.integers(100, 200, 60).tolist(),
        "alive": (z > 0).tolist(),
        "color": [["red", "", "NA"][i] for i in rng.integers(0, 3, 60)],
        "size": [["low", "mid", "top"][i] for i in np.digitize(z, [-0.5, 0.5])],
    }
    for (name, cells), gone in zip(columns.items(), holes, strict=True):
        columns[name] = [None if i in gone else cell for i, cell in enumerate(cells)]
    return {**columns, "row": [f"r{i}" for i in range(60)], "label": (z > 0.3).astype(int).tolist()}


def frame(kind: str):
    columns = mixed()
    if kind == "pandas":
        types = {
            "grade": "Int64",
            "alive": "boolean",
            "size": pd.CategoricalDtype(["low", "mid", "top"], ordered=True),
        }
        return pd.DataFrame(columns).astype(types)
    if kind == "polars":
        return pl.DataFrame(columns).with_columns(
            pl.col("size").cast(pl.Enum(["low", "mid", "top"]))
        )
    table = pa.table(columns)
    return table.set_column(4, "size", table["size"].dictionary_encode())


@pytest.fixture(scope="module", params=["pandas", "polars", "pyarrow"])
def table(request: pytest.FixtureRequest):
    data = frame(request.param)
    parameters = {**SMALL, "columns": {"size": "ordinal"}, "ignore": ["row"], "labels": ["label"]}
    return data, VAE(**parameters).fit(data)


def rows_of(data) -> list[dict]:
    return nw.from_native(data, eager_only=True).rows(named=True)


def types_of(data) -> dict:
    return dict(nw.from_native(data, eager_only=True).schema)


def test_kinds_are_inferred_and_said(table) -> None:
    _, vae = table
    kinds = [(column.name, column.kind) for column in vae.schema_.columns]
    assert kinds == [
        ("height", "continuous"),
        ("grade", "count"),
        ("alive", "binary"),
        ("color", "categorical"),
        ("size", "ordinal"),
    ]
    assert vae.schema_.ignored == ("row", "label")


def test_samples_have_the_columns_types_and_levels_of_the_data(table) -> None:
    data, vae = table
    drawn = vae.sample(40)
    modeled = {name: kind for name, kind in types_of(data).items() if name not in ("row", "label")}
    assert type(drawn) is type(data)
    assert types_of(drawn) == modeled
    for name in ("color", "size"):
        observed = {row[name] for row in rows_of(data)} - {None}
        assert {row[name] for row in rows_of(drawn)} <= observed
    assert all(None not in row.values() for row in rows_of(drawn))
    assert all(float(row["grade"]).is_integer() for row in rows_of(drawn))


def test_imputation_fills_every_missing_cell_and_touches_no_other(table) -> None:
    data, vae = table
    filled = vae.impute(data, samples=20)
    assert types_of(filled) == types_of(data)
    for before, after in zip(rows_of(data), rows_of(filled), strict=True):
        for name, cell in before.items():
            assert not is_missing(after[name]) if is_missing(cell) else after[name] == cell


def test_draws_differ_only_where_cells_were_missing(table) -> None:
    data, vae = table
    draws = vae.impute(data, draws=5, samples=20)
    assert len(draws) == 5
    assert all(types_of(draw) == types_of(data) for draw in draws)
    heights = np.array([[row["height"] for row in rows_of(draw)] for draw in draws], dtype=float)
    missing = np.array([is_missing(row["height"]) for row in rows_of(data)])
    assert (np.ptp(heights, axis=0)[missing] > 0).all()
    assert (np.ptp(heights, axis=0)[~missing] == 0).all()


def test_reconstructions_carry_ignored_and_label_columns_through(table) -> None:
    data, vae = table
    rebuilt = rows_of(vae.reconstruct(data))
    assert [row["row"] for row in rebuilt] == mixed()["row"]
    assert [row["label"] for row in rebuilt] == mixed()["label"]


def test_containers_do_not_change_the_numbers() -> None:
    parameters = {**SMALL, "columns": {"size": "ordinal"}, "ignore": ["row", "label"]}
    scores = [
        VAE(**parameters).fit(frame(kind)).score_samples(frame(kind), samples=20)
        for kind in ("polars", "pyarrow")
    ]
    assert np.array_equal(*scores)


def test_draws_of_an_array_are_stacked(vae: VAE) -> None:
    draws = vae.impute(X, draws=3, samples=20)
    assert draws.shape == (3, 60, 4)
    assert np.array_equal(draws[0][~np.isnan(X)], X[~np.isnan(X)])
    assert np.array_equal(vae.impute(X[4:9]), X[4:9])


def test_a_fit_goes_on_from_another() -> None:
    """With no epochs of its own it is the other."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    first = VAE(latent_dim=2, hidden=(4,), epochs=3, random_state=0).fit(X)
    other = VAE(hidden=(4,), objective="iwae", samples=2, epochs=0, random_state=0).fit(
        X, start=first.model_
    )
    np.testing.assert_array_equal(other.transform(X), first.transform(X))
