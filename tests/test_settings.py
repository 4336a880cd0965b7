"""Python, TOML files and the command line say the same things, and wrong ones are refused with the
right ones named.
"""

from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest

from aevb import VAE
from aevb.errors import ConfigError
from aevb.likelihoods import Gaussian
from aevb.networks import MLP
from aevb.posteriors import FullGaussian
from aevb.priors import GaussianMixture, StandardNormal
from aevb.settings import RunSettings, Settings, read_settings
from aevb.table.schema import KINDS


class Other:
    """An object of a type that no setting names; it is called the same in every process."""

    def __repr__(self) -> str:
        return "Other()"


class Bound(Other):
    """An objective of one's own."""

    def __call__(self, model: object, x: object, key: object) -> float:
        return 0.0


GOOD = {
    "alpha": [0, 0.5, 0.99],
    "latent_dim": [1, 20, "auto", np.int64(3), (100, 50), [100, 50]],
    "hidden": [(), (256, 256), [64], np.array([3, 4])],
    "likelihood": ["auto", "gaussian", {"age": "negative_binomial", "size": Gaussian}, Gaussian],
    "marginals": ["auto", "mapped", "plain"],
    "prior": [
        "auto",
        "standard_normal",
        "mixture",
        "vamp",
        "flow",
        GaussianMixture,
        StandardNormal(2),
    ],
    "posterior": ["diagonal", "full", "flow", "bernoulli", "categorical", FullGaussian],
    "network": ["mlp", MLP],
    "objective": [
        "sgvb_a",
        "sgvb_b",
        "stl",
        "iwae",
        "iwae_resampled",
        "dreg",
        "dreg_resampled",
        "score",
        "vimco",
        "renyi",
        Bound(),
    ],
    "samples": [1, 50],
    "epochs": [0, 10, "auto"],
    "batch_size": [1, 100],
    "learning_rate": [0.001, 1, np.float64(0.1)],
    "activation": ["tanh", "relu", "silu", "gelu", "elu"],
    "optimizer": ["adam", "adagrad", "sgd", "rmsprop", optax.adam(1e-3)],
    "weight_prior": [True, False, np.bool_(True)],
    "weight_decay": [0, 0.3],
    "kl_warmup": [0, 0.5, 1.0],
    "free_bits": [0, 0.25],
    "patience": [1, None],
    "validation_fraction": [0, 0.1, 0.5],
    "test_fraction": [0.0, 0.2],
    "columns": [None, {}, {"a": "pixel"}],
    "ignore": [[], ("id",), ["id", "é"]],
    "labels": [[], ("income",)],
    "binarize": [None, "dynamic", "static", "none"],
    "inf": ["error", "missing"],
    "random_state": [None, 0, 2**32 - 1],
    "verbose": [True, False, 0, 2],
}
BAD = {
    "alpha": [1, -0.1, True, None, float("nan")],
    "latent_dim": [0, -1, True, 2.0, "2", None, 10**9, float("nan"), (1, 2, 3), (1, 0), (1,)],
    "hidden": [256, "256", [0], [True], [2.5], [10**9], [1] * 65, None],
    "likelihood": ["gausian", {"a": "gausian"}, {1: "gaussian"}, 3, None],
    "marginals": ["normal", True, None, 1],
    "prior": [Other(), "normal", 3, None],
    "posterior": [Other(), "diag", True, "two_layers"],
    "network": [Other(), "cnn", 3],
    "objective": ["elbo", 1, Other()],
    "samples": [0, True, "1", 1.5],
    "epochs": [-1, True, "many", 1.5, 10**30],
    "batch_size": [0, True, 0.5],
    "learning_rate": [0, -1, float("nan"), float("inf"), "0.1", True, None, 1e9],
    "activation": ["sigmoid", None, 3],
    "optimizer": ["adan", None, 3, Other()],
    "weight_prior": [1, "true"],
    "weight_decay": [-1, float("nan"), True],
    "kl_warmup": [-0.1, 1.1, True],
    "free_bits": [-1, float("inf"), False],
    "patience": [0, True, 1.5],
    "validation_fraction": [-0.1, 0.6, "0.1", True],
    "test_fraction": [1, float("nan")],
    "columns": [{"a": "contnuous"}, {1: "pixel"}, ["a"], "a"],
    "ignore": ["id", [1], {"a": 1}],
    "labels": ["label", (None,)],
    "binarize": [True, "yes"],
    "inf": ["ignore", None, True, float("inf")],
    "random_state": [-1, True, 1.0, 2**32, "0"],
    "verbose": [-1, "yes", None],
}


def cases(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name}={value!r:.30}")
        for name in table
        for value in table[name]
    ]


def test_every_parameter_has_cases_and_is_one_of_the_estimator() -> None:
    assert Settings.model_fields.keys() == VAE().get_params().keys()
    Settings.of(VAE().get_params())
    assert GOOD.keys() == BAD.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize(("name", "value"), cases(GOOD))
def test_what_can_be_said(name: str, value: object) -> None:
    Settings.of({name: value})


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_what_cannot_be_said(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be .*; got ") as caught:
        Settings.of({name: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("settings", "meant"),
    [
        ({"latent_dims": 2}, "latent_dim"),
        ({"lr_rate": 1}, "learning_rate"),
        ({"latent-dim": 2}, "latent_dim"),
        ({"optimizer": "adan"}, "adam"),
        ({"columns": {"a": "continous"}}, "continuous"),
        ({"epochs": "aut"}, "auto"),
    ],
)
def test_the_nearest_word_is_suggested(settings: dict[str, Any], meant: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
        Settings.of(settings)


def test_an_unknown_setting_without_a_likeness_lists_them_all() -> None:
    with pytest.raises(ConfigError, match="there are latent_dim, hidden"):
        Settings.of({"zzz": 1})


def test_rows_must_be_left_to_train_on() -> None:
    with pytest.raises(ConfigError, match="no rows to train on"):
        Settings.of({"validation_fraction": 0.5, "test_fraction": 0.5})


def test_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "fit.toml"
    file.write_text(
        'latent_dim = 3\nhidden = [8, 8]\nseed = 5\ngroup = "who"\n[columns]\nage = "count"\n'
    )
    settings = read_settings(file, {"latent_dim": "auto", "ordered": True})
    assert settings.given() == {
        "latent_dim": "auto",
        "hidden": (8, 8),
        "random_state": 5,
        "columns": {"age": "count"},
    }
    assert (settings.group, settings.ordered, settings.output) == ("who", True, None)
    assert read_settings(None, {}) == RunSettings()
    assert RunSettings().given() == {}


@pytest.mark.parametrize(
    "content",
    [
        b"latent_dim = ",
        b"\xff\xfe",
        b"latent_dim = nan",
        b"latent_dim = 2\nlatent_dim = 3",
        b"[fit]\nepochs=2",
    ],
)
def test_files_that_are_wrong(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fit.toml").write_bytes(content)
    with pytest.raises(ConfigError):
        read_settings(tmp_path / "fit.toml", {})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for place in (tmp_path / "nothing.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot read the configuration"):
            read_settings(place, {})


def test_kinds_are_those_of_the_schema() -> None:
    for kind in KINDS:
        Settings.of({"columns": {"a": kind}})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"free_bits": 0.1, "objective": "iwae"}, "free_bits go with"),
        ({"posterior": "bernoulli", "objective": "dreg"}, "'vimco' or 'score'"),
        ({"posterior": "categorical", "prior": "mixture"}, "prior must be 'auto'"),
        ({"latent_dim": (4, 2), "prior": "vamp"}, "prior must be 'auto'"),
        ({"latent_dim": (4, 2), "posterior": "full"}, "posterior must be 'diagonal'"),
        ({"posterior": "categorical", "latent_dim": 15}, "multiple of 10"),
        ({"prior": "flow", "latent_dim": 1}, "at least 2 for a flow"),
    ],
)
def test_settings_that_do_not_go_together_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Settings.of({**VAE().get_params(), **settings})
