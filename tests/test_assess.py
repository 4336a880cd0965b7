"""The numbers a fit reports, and the sentence it makes of them."""

import json
from copy import copy
from dataclasses import replace
from io import StringIO

import equinox as eqx
import numpy as np
import pytest
from rich.console import Console

from aevb import VAE, marginal
from aevb.cli.results import show_results
from aevb.disk import to_json
from aevb.errors import ConfigError
from aevb.marginal import Scores, pareto_k
from aevb.results import compare, held_out, verdict
from aevb.rows import mean_and_error
from conftest import SMALL

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 2)) @ RNG.normal(size=(2, 4)) + 0.5 * RNG.normal(size=(120, 4))


@pytest.fixture(scope="module")
def vae() -> VAE:
    return VAE(**SMALL, test_fraction=0.2).fit(X)


def too_narrow(vae: VAE) -> VAE:
    """The same but for a q(z|x) a fifth as wide as it should be."""
    narrow = copy(vae)
    wide = vae.model_.posterior.encoder.network.layers[-1].bias
    model = eqx.tree_at(
        lambda m: m.posterior.encoder.network.layers[-1].bias,
        vae.model_,
        wide + np.log(0.04) * np.float32([0, 0, 1, 1]),
    )
    narrow.fit_ = replace(vae.fit_, model=model)
    return narrow


# The verdict


def beside(**differences: tuple[float, float]) -> dict[str, dict[str, float]]:
    """Baselines of a VAE at -10 nats, by (difference, its standard error)."""
    return {
        name.replace("_", " "): {
            "log_likelihood": -10.0 - difference,
            "difference": difference,
            "difference_standard_error": error,
        }
        for name, (difference, error) in differences.items()
    }


@pytest.mark.parametrize(
    ("differences", "best", "words"),
    [
        (
            {"PPCA": (1.0, 0.1), "marginals": (5.0, 0.1)},
            "VAE",
            "better than the best baseline, PPCA, by 1.00 ± 0.10",
        ),
        ({"PPCA": (-1.0, 0.1)}, "PPCA", "better than the VAE by 1.00 ± 0.10"),
        ({"PPCA": (0.1, 0.1)}, "PPCA", "not clearly better than it (+0.10 ± 0.10"),
        ({"PPCA": (-0.1, 0.1)}, "PPCA", "no better than it (-0.10 ± 0.10"),
        (
            {"PPCA": (9.0, 0.1), "latent_classes": (-2.0, 0.3)},
            "latent classes",
            "Use the simpler model, latent classes",
        ),
        ({"PPCA": (0.2, 0.1)}, "PPCA", "not clearly better than"),
        ({"PPCA": (0.21, 0.1)}, "VAE", "Use the VAE"),
        ({"PPCA": (1.0, float("nan"))}, "PPCA", "is not enough to compare"),
        ({}, "VAE", "No baseline"),
    ],
)
def test_the_simpler_model_is_advised_where_the_vae_is_not_clearly_better(
    differences, best: str, words: str
) -> None:
    said = verdict(beside(**differences), part="test", rows=1)
    assert said["best"] == best
    assert words in said["text"]
    assert "test row" in said["text"]


def test_differences_are_paired_by_row() -> None:
    rows = 100 * RNG.normal(size=50)  # rows differ far more than models do
    compared = compare(rows + 1.0 + 0.01 * RNG.normal(size=50), rows, {"factors": 2})
    assert compared["difference"] == pytest.approx(1.0, abs=0.01)
    assert compared["difference_standard_error"] < 0.01 < compared["standard_error"]
    assert compared["settings"] == {"factors": 2}


def test_errors_of_sampling_rows_and_of_sampling_latents_are_apart() -> None:
    scores = Scores(np.array([-1.0, -3.0]), np.array([0.3, 0.4]), np.array([10.0, 30.0]))
    numbers = held_out(scores, dimensions=2, samples=100, bound=-2.5, part="test")
    assert numbers["log_likelihood"] == -2.0
    assert numbers["standard_error"] == pytest.approx(1.0)
    assert numbers["monte_carlo_error"] == pytest.approx(0.25)
    assert numbers["bits_per_dim"] == pytest.approx(1 / np.log(2))
    assert numbers["effective_sample_size"] == 20.0
    assert np.isnan(mean_and_error(np.array([1.0]))[1])


# The report


def test_the_report_has_the_parts_the_design_names(vae: VAE) -> None:
    report = vae.report_
    assert report.keys() == {
        "held_out",
        "method",
        "baselines",
        "not_applicable",
        "verdict",
        "measure",
        "parts",
        "diagnostics",
        "latent_dim",
        "architecture",
        "fit",
    }
    assert report["parts"] == {"train": 84, "validation": 12, "test": 24}
    assert report["held_out"].keys() == {
        *(
            "log_likelihood",
            "standard_error",
            "monte_carlo_error",
            "bits_per_dim",
            "samples",
            "rows",
        ),
        *("effective_sample_size", "bound", "part"),
    }
    assert report["diagnostics"].keys() == {
        *("kl_per_latent", "active_units", "active", "collapsed", "train_log_likelihood", "gap"),
        *("gap_standard_error", "warnings", "pareto_k_above", "pareto_k_limit"),
        *("mutual_information", "aggregate_kl", "mean_kl"),
        *("mutual_information_error", "aggregate_kl_error", "mean_kl_error"),
    }
    assert report["latent_dim"] == {"chosen": 2, "tried": []}
    assert report["fit"].keys() == {
        "epochs",
        "best_epoch",
        "steps",
        "skipped_steps",
        "stopped",
        "seconds",
    }
    assert report["measure"] == "density"
    assert json.loads(json.dumps(report)) == report
    assert vae.report_ is report


def test_the_reports_numbers_are_those_of_the_test_rows(vae: VAE) -> None:
    report, test = vae.report_, vae.fit_.parts.test
    assert (report["held_out"]["rows"], report["held_out"]["part"]) == (24, "test")
    assert report["held_out"]["log_likelihood"] == vae.score(test)
    for one in report["baselines"].values():
        expected = report["held_out"]["log_likelihood"] - one["log_likelihood"]
        assert one["difference"] == pytest.approx(expected)
    assert (
        report["held_out"]["bound"] < report["held_out"]["log_likelihood"] + 0.1
    )  # of 16 noisy draws per row
    gap = report["diagnostics"]["train_log_likelihood"] - report["held_out"]["log_likelihood"]
    assert report["diagnostics"]["gap"] == pytest.approx(gap)


def test_the_reports_bound_is_the_evidence_lower_bound_whatever_was_climbed(vae: VAE) -> None:
    """Not the tighter one of the objective, which `VAE.bound` has, nor Renyi's."""
    bounds = {}
    for objective in ("sgvb_b", "stl", "iwae", "dreg", "vimco", "renyi"):
        other = copy(too_narrow(vae))
        other.objective = objective
        found = other.evaluate(X[:20])["held_out"]
        bounds[objective] = found["bound"]
        own = other.bound(X[:20]).mean()
        assert (own > found["bound"] + 0.1) == (objective not in ("sgvb_b", "stl"))
    assert len(set(bounds.values())) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        {"posterior": "bernoulli", "objective": "vimco", "samples": 5},
        {"posterior": "categorical", "latent_dim": 10, "objective": "score", "samples": 5},
        {"latent_dim": (2, 1), "objective": "iwae", "samples": 2},
    ],
    ids=lambda settings: str(settings["objective"]),
)
def test_levels_and_two_layers_have_that_bound_too(settings) -> None:
    numbers = VAE(**{**SMALL, "prior": "auto", **settings}).fit(X).evaluate(X)["held_out"]
    assert numbers["bound"] < numbers["log_likelihood"] + 0.1


@pytest.mark.long
@pytest.mark.parametrize("method", ["ais", "harmonic"])
def test_other_methods_agree_and_say_who_they_are(method: str, vae: VAE) -> None:
    usual, other = vae.evaluate(X[:20]), vae.evaluate(X[:20], method=method)
    assert (usual["method"], other["method"]) == ("iwae", method)
    assert other["held_out"]["log_likelihood"] == pytest.approx(
        usual["held_out"]["log_likelihood"], abs=0.05
    )
    assert 0.5 < other["held_out"]["acceptance"] <= 1.0
    assert other["baselines"].keys() == usual["baselines"].keys()


def test_weights_that_are_not_to_be_trusted_are_said_of_any_rows(vae: VAE) -> None:
    """Of a q a fifth as wide as it should be, on other rows than the report's; other methods do not
    rest on weights.
    """
    assert vae.evaluate(X[:20])["diagnostics"]["warnings"] == []
    found = too_narrow(vae).evaluate(X[:20])["diagnostics"]
    assert found["pareto_k_above"] > 0.5
    assert any("Pareto k above" in text and "method='ais'" in text for text in found["warnings"])
    assert vae.evaluate(X[:2], samples=2, method="ais")["diagnostics"] == {"warnings": []}


def test_tails_are_looked_at_in_no_more_weights_than_fit_in_memory(
    vae: VAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []

    def told(*given, samples: int, seed: int):
        looked_at.append(samples)
        return pareto_k(*given, samples=samples, seed=seed)

    monkeypatch.setattr(marginal, "pareto_k", told)
    for samples in (2, 400, 3_000):
        vae.evaluate(X[:2], samples=samples)
    assert looked_at == [250, 400, 1_000]


def test_what_the_latents_say_of_rows_adds_up(vae: VAE) -> None:
    numbers = vae.report_["diagnostics"]
    assert numbers["mutual_information"] + numbers["aggregate_kl"] == pytest.approx(
        numbers["mean_kl"]
    )
    assert numbers["mean_kl"] == pytest.approx(sum(numbers["kl_per_latent"]), abs=1.0)


def test_a_method_that_is_none_is_named(vae: VAE) -> None:
    with pytest.raises(ConfigError, match="iwae, ais, harmonic, not 'exact'"):
        vae.evaluate(X[:2], method="exact")


@pytest.mark.parametrize("method", ["iwae", "ais", "harmonic"])
@pytest.mark.parametrize("samples", [0, -1])
def test_no_samples_are_refused(method: str, samples: int, vae: VAE) -> None:
    said = f"samples must be a whole number of at least 1; got {samples}"
    with pytest.raises(ConfigError, match=said):
        vae.evaluate(X[:2], samples=samples, method=method)
    holed = np.where(np.eye(4, dtype=bool), np.nan, X[:4])
    for verb in (vae.score_samples, vae.score_details, vae.bound, vae.impute):
        with pytest.raises(ConfigError, match=said):
            verb(holed, samples=samples)
    with pytest.raises(ConfigError, match=said.replace("samples", "draws")):
        vae.impute(holed, draws=samples)


@pytest.mark.parametrize("method", ["iwae", "ais"])
def test_an_error_that_cannot_be_told_is_null_in_a_file_and_not_printed(
    method: str, vae: VAE
) -> None:
    """Of one row there is none over rows, of one sample none of sampling."""
    results = vae.evaluate(X[:1], samples=1, method=method)
    assert np.isnan(results["held_out"]["monte_carlo_error"])
    stored = json.loads(to_json(results))
    assert stored["held_out"]["monte_carlo_error"] is None
    printed = [Console(file=StringIO(), width=160) for _ in range(2)]
    for console, numbers in zip(printed, (results, stored), strict=True):
        show_results(console, numbers)
    in_memory, from_file = (console.file.getvalue() for console in printed)
    assert in_memory == from_file
    assert "nan" not in in_memory
    assert f"{results['held_out']['log_likelihood']:.3f}" in in_memory


def test_every_baseline_is_scored_or_said_not_to_apply(vae: VAE) -> None:
    names = {
        "independent marginals",
        "PPCA",
        "factor analysis",
        "Gaussian mixture",
        "latent classes",
    }
    report = vae.report_
    assert report["baselines"].keys() | report["not_applicable"].keys() == names
    assert not report["baselines"].keys() & report["not_applicable"].keys()


@pytest.mark.long
def test_linear_data_get_the_advice_to_use_a_linear_model() -> None:
    rows = RNG.normal(size=(800, 2)) @ RNG.normal(size=(2, 4)) + 0.5 * RNG.normal(size=(800, 4))
    said = VAE(**SMALL, validation_fraction=0.3, test_fraction=0.3).fit(rows).report_["verdict"]
    assert said["best"] in ("PPCA", "factor analysis", "Gaussian mixture")
    assert said["text"].startswith(f"Use the simpler model, {said['best']}")


@pytest.mark.long
def test_bent_data_are_beyond_the_linear_models() -> None:
    u = RNG.uniform(-2, 2, 600)
    bent = np.column_stack([u, u**2, np.sin(2 * u)]) + 0.05 * RNG.normal(size=(600, 3))
    trained = {
        "hidden": (16,),
        "epochs": 100,
        "learning_rate": 1e-2,
        "batch_size": 50,
        "weight_decay": 0.0,
    }
    report = VAE(**{**SMALL, **trained}, test_fraction=0.2).fit(bent).report_
    for name in ("PPCA", "factor analysis"):
        one = report["baselines"][name]
        assert one["difference"] > 10 * one["difference_standard_error"]


def test_without_test_rows_the_report_says_so(vae: VAE) -> None:
    report = VAE(**SMALL).fit(X[:60]).report_
    assert report["held_out"]["part"] == "validation"
    assert any("No test rows" in note for note in report["diagnostics"]["warnings"])
    assert not any("No test rows" in note for note in vae.report_["diagnostics"]["warnings"])


def test_evaluate_scores_given_rows_beside_the_same_baselines(vae: VAE) -> None:
    given = vae.evaluate(vae.fit_.parts.test)
    assert given["baselines"] == vae.report_["baselines"]
    assert given["held_out"] == {**vae.report_["held_out"], "part": "given"}
    assert "given rows" in given["verdict"]["text"]


@pytest.mark.long
def test_the_latents_chosen_are_among_those_tried() -> None:
    report = VAE(hidden=(), epochs=4, random_state=0).fit(X).report_
    tried = report["latent_dim"]["tried"]
    assert [one["latent_dim"] for one in tried] == [1, 2]
    assert (
        report["latent_dim"]["chosen"]
        == max(tried, key=lambda one: one["validation_bound"])["latent_dim"]
    )
