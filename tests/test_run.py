"""A fitted model on disk and back: the same to the last bit, or a refusal."""

import json
import pickle
import tracemalloc
from copy import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import aevb
from aevb import VAE
from aevb import disk as storage
from aevb.errors import ModelFileError, OutputError

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "length": RNG.normal(size=60),
        "flag": RNG.random(60) < 0.4,
        "color": pd.Categorical(RNG.choice(["red", "green", "blue"], 60)),
        "name": [f"n{i}" for i in range(60)],
    }
)
TABLE.loc[3, "length"] = np.nan
SMALL = {"latent_dim": 2, "hidden": (8,), "epochs": 2, "random_state": 0, "ignore": ["name"]}
#: Where training has no part in the law.
AT_START = {**SMALL, "hidden": (), "epochs": 0}


@pytest.fixture(scope="module")
def vae() -> VAE:
    vae = VAE(**SMALL).fit(TABLE)
    vae.assess()
    return vae


@pytest.fixture(scope="module")
def folder(vae: VAE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    vae.save(path)
    return path


@pytest.fixture(scope="module")
def loaded(folder: Path) -> VAE:
    return aevb.load(folder)


def rewritten(folder: Path, place: Path, change) -> Path:
    """The run written again, in good order, after a change to its (arrays, documents)."""
    run = storage.read_run(folder)
    arrays = {name: dict(content) for name, content in run.arrays.items()}
    documents = json.loads(json.dumps(run.documents))
    change(arrays, documents)
    storage.write_run(place, arrays, documents, run.texts, overwrite=False)
    return place


def test_scores_codes_and_samples_are_the_same_to_the_last_bit(vae: VAE, loaded: VAE) -> None:
    assert np.array_equal(
        loaded.score_samples(TABLE, samples=50), vae.score_samples(TABLE, samples=50)
    )
    assert np.array_equal(loaded.transform(TABLE), vae.transform(TABLE))
    pd.testing.assert_frame_equal(loaded.sample(20), vae.sample(20))
    pd.testing.assert_frame_equal(loaded.impute(TABLE[:8]), vae.impute(TABLE[:8]))


def test_what_was_fitted_is_known_again(vae: VAE, loaded: VAE) -> None:
    assert loaded.schema_ == vae.schema_
    assert loaded.report_ == json.loads(json.dumps(vae.report_))
    for name in ("latent_dim_", "n_iter_", "seed_", "n_features_in_", "best_epoch_"):
        assert getattr(loaded, name) == getattr(vae, name)
    assert loaded.feature_names_in_.tolist() == vae.feature_names_in_.tolist()
    assert loaded.get_feature_names_out().tolist() == ["vae0", "vae1"]
    assert str(loaded.history_) == str(
        vae.history_
    )  # NaN, of a bound not taken yet, is not equal to itself
    assert loaded.get_params() == {**vae.get_params(), "ignore": ("name",)}


def test_a_loaded_model_is_held_against_the_same_baselines(
    vae: VAE, loaded: VAE, tmp_path: Path
) -> None:
    """To the last bit; pickled too, and saved again."""
    fresh = vae.evaluate(TABLE, samples=50)
    assert fresh["baselines"].keys() == vae.report_["baselines"].keys()
    loaded.save(tmp_path / "again")
    for same in (loaded, pickle.loads(pickle.dumps(loaded)), aevb.load(tmp_path / "again")):
        assert same.evaluate(TABLE, samples=50) == fresh


def test_a_run_without_baselines_says_so(folder: Path, tmp_path: Path) -> None:
    def without(arrays, documents) -> None:
        del arrays["baselines"], documents["baselines"]

    given = aevb.load(rewritten(folder, tmp_path / "run", without)).evaluate(TABLE, samples=50)
    assert given["baselines"] == {}
    assert all("this run did not keep it" in reason for reason in given["not_applicable"].values())


def test_a_loaded_model_can_be_saved_again(
    loaded: VAE, vae: VAE, folder: Path, tmp_path: Path
) -> None:
    loaded.save(tmp_path / "again")
    again = aevb.load(tmp_path / "again")
    assert np.array_equal(again.transform(TABLE), vae.transform(TABLE))
    for name in ("weights.safetensors", "figures.safetensors", "results.json", "schema.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_binarized_model_shows_the_same_grays_when_loaded(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 17, (40, 6)).astype(float)
    columns = {f"x{i}": "pixel" for i in range(6)}
    settings = {**AT_START, "ignore": (), "binarize": "static", "columns": columns}
    vae = VAE(**settings).fit(images)
    vae.save(tmp_path / "run")
    loaded = aevb.load(tmp_path / "run")
    assert np.array_equal(loaded.reconstruct(images), vae.reconstruct(images))
    assert np.array_equal(loaded.sample(5), vae.sample(5))
    assert np.array_equal(
        loaded.inverse_transform(np.zeros((1, 2))), vae.inverse_transform(np.zeros((1, 2)))
    )
    assert 0 < vae.reconstruct(images).mean() < 16


def test_a_run_is_not_written_over(vae: VAE, folder: Path) -> None:
    with pytest.raises(OutputError, match="already"):
        vae.save(folder)


def test_the_folder_holds_data_only(folder: Path) -> None:
    names = {file.name for file in folder.iterdir()}
    assert names == {
        *(
            "manifest.json",
            "weights.safetensors",
            "figures.safetensors",
            "metrics.jsonl",
            "report.html",
        ),
        *("schema.json", "configuration.json", "results.json", "report.json"),
        *("baselines.safetensors", "baselines.json"),
    }
    assert all(
        array.dtype.kind in "fiub" for array in load_file(folder / "weights.safetensors").values()
    )


def _first(arrays) -> str:
    return min(arrays["weights"])


WRONG_WEIGHTS = {
    "shape": lambda a, d: a["weights"].update({_first(a): np.zeros((3, 7, 2), np.float32)}),
    "type": lambda a, d: a["weights"].update(
        {_first(a): a["weights"][_first(a)].astype(np.float64)}
    ),
    "missing": lambda a, d: a["weights"].pop(_first(a)),
    "extra": lambda a, d: a["weights"].update(extra=np.zeros(3, np.float32)),
    "none at all": lambda a, d: a["weights"].clear(),
}


@pytest.mark.parametrize("wrong", WRONG_WEIGHTS)
def test_weights_that_are_not_the_models_are_refused(
    folder: Path, tmp_path: Path, wrong: str
) -> None:
    with pytest.raises(ModelFileError, match="weights"):
        aevb.load(rewritten(folder, tmp_path / "run", WRONG_WEIGHTS[wrong]))


WRONG_CONFIGURATIONS = {
    "no parameters": lambda d: d["configuration"].pop("parameters"),
    "no fitted": lambda d: d["configuration"].pop("fitted"),
    "unknown parameter": lambda d: d["configuration"]["parameters"].update(module="os.path"),
    "wrong type": lambda d: d["configuration"]["parameters"].update(epochs="two"),
    "a class by name": lambda d: d["configuration"]["parameters"].update(prior="builtins.object"),
    "hidden is a number": lambda d: d["configuration"]["parameters"].update(hidden=3),
    "latents below zero": lambda d: d["configuration"]["fitted"]["architecture"].update(
        latent_dim=-1
    ),
    "latents beyond memory": lambda d: d["configuration"]["fitted"]["architecture"].update(
        latent_dim=10**9
    ),
    "layers beyond memory": lambda d: d["configuration"]["fitted"]["architecture"].update(
        hidden=[10**9]
    ),
    "a billion layers": lambda d: d["configuration"]["fitted"]["architecture"].update(
        hidden=[1] * 10_000
    ),
    "text for a width": lambda d: d["configuration"]["fitted"]["architecture"].update(hidden=["8"]),
    "less than nothing above": lambda d: d["configuration"]["fitted"]["architecture"].update(
        upper_dim=-(10**12)
    ),
    "fewer rows than none": lambda d: d["configuration"]["fitted"]["architecture"].update(
        rows=-(10**12)
    ),
    "rows that are text": lambda d: d["configuration"]["fitted"]["architecture"].update(rows="8"),
    "a layer above beyond memory": lambda d: d["configuration"]["fitted"]["architecture"].update(
        upper_dim=10**9
    ),
    "unknown activation": lambda d: d["configuration"]["fitted"]["architecture"].update(
        activation="system"
    ),
    "unknown posterior": lambda d: d["configuration"]["fitted"]["architecture"].update(
        posterior="os"
    ),
    "unknown architecture": lambda d: d["configuration"]["fitted"]["architecture"].update(more=1),
    "not a mapping": lambda d: d.update(configuration=[1, 2]),
    "no schema": lambda d: d.update(schema={}),
    "no columns": lambda d: d["schema"].update(columns=[]),
    "another kind of column": lambda d: d["schema"]["columns"][0].update(kind="count"),
    "fewer levels": lambda d: d["schema"]["columns"][2].update(categories=["red"]),
    "no results": lambda d: d.pop("results"),
}


@pytest.mark.parametrize("wrong", WRONG_CONFIGURATIONS)
def test_a_configuration_that_describes_no_model_is_refused(
    folder: Path, tmp_path: Path, wrong: str
) -> None:
    with pytest.raises(ModelFileError):
        aevb.load(
            rewritten(
                folder,
                tmp_path / "run",
                lambda _, documents: WRONG_CONFIGURATIONS[wrong](documents),
            )
        )


#: What the architecture names, and how many levels the categorical column: each would take
#: gigabytes or days to make.
BEYOND_MEMORY = {
    "a full covariance": ({"posterior": "full", "latent_dim": 10_000, "hidden": []}, 3),
    "a full covariance of many features": (
        {"posterior": "full", "latent_dim": 10_000, "hidden": []},
        200_000,
    ),
    "features times hidden units": ({"hidden": [65_536]}, 200_000),
    "features times latents": ({"latent_dim": 10_000, "hidden": [1]}, 200_000),
    "latents squared, of the linear model": ({"latent_dim": 10_000, "hidden": [1]}, 3),
    "no missing cells": ({"missing": False, "hidden": [65_536]}, 200_000),
    "pseudo-rows": ({"prior": "vamp", "rows": 10**9}, 3),
    "more pseudo-rows than JAX can count": ({"prior": "vamp", "rows": 10**30}, 3),
    "a layer above": ({"upper_dim": 10**12}, 3),
    "a flow beyond the weights": ({"posterior": "flow", "prior": "flow", "latent_dim": 100}, 3),
}


@pytest.mark.parametrize("beyond", BEYOND_MEMORY)
def test_sizes_are_held_against_the_file_before_anything_is_made(
    folder: Path, tmp_path: Path, beyond: str
) -> None:
    def named(arrays, documents) -> None:
        sizes, levels = BEYOND_MEMORY[beyond]
        documents["configuration"]["fitted"]["architecture"].update(sizes)
        if levels > 3:
            documents["schema"]["columns"][2]["categories"] = list(range(levels))

    place = rewritten(folder, tmp_path / "run", named)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=r"weights\.safetensors: expected|Overflow"):
            aevb.load(place)
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()


def test_whether_rows_have_missing_cells_is_held_against_the_weights(
    folder: Path, tmp_path: Path
) -> None:
    """The encoder sees twice as many numbers where they may."""

    def complete(arrays, documents) -> None:
        documents["configuration"]["fitted"]["architecture"]["missing"] = False

    with pytest.raises(
        ModelFileError,
        match=r"layers\[0\]\.weight as float32 of shape \(8, 5\), found .* \(8, 10\)",
    ):
        aevb.load(rewritten(folder, tmp_path / "run", complete))


def test_pseudo_rows_and_their_range_come_back(tmp_path: Path) -> None:
    vae = VAE(**AT_START, prior="vamp").fit(TABLE)
    vae.save(tmp_path / "run")
    loaded = aevb.load(tmp_path / "run")
    assert np.array_equal(loaded.model_.prior.low.tree, vae.model_.prior.low.tree)
    assert np.array_equal(
        loaded.score_samples(TABLE, samples=20), vae.score_samples(TABLE, samples=20)
    )
    pd.testing.assert_frame_equal(loaded.sample(20), vae.sample(20))


def test_an_optimizer_of_ones_own_is_not_written(vae: VAE, tmp_path: Path) -> None:
    import optax

    copy(vae).set_params(optimizer=optax.adam(1e-3)).save(tmp_path / "run")
    assert aevb.load(tmp_path / "run").optimizer == "adam"
