"""Laws of the numbers next to those of the baselines, and of the verdict."""

import numpy as np
import pytest

from aevb.marginal import Scores
from aevb.results import compare, held_out, verdict

RNG = np.random.default_rng(0)


def test_both_errors_are_reported_and_bits_are_nats() -> None:
    scores = Scores(RNG.normal(-8.0, 2.0, 400), np.full(400, 0.3), np.full(400, 50.0))
    report = held_out(scores, dimensions=4, samples=1_000, bound=-9.0, part="test")
    np.testing.assert_allclose(report["monte_carlo_error"], 0.3 / 20)  # independent between rows
    np.testing.assert_allclose(report["standard_error"], scores.log_likelihood.std(ddof=1) / 20)
    np.testing.assert_allclose(report["bits_per_dim"], -report["log_likelihood"] / 4 / np.log(2))
    assert (report["rows"], report["samples"]) == (400, 1_000)
    assert (report["part"], report["bound"]) == ("test", -9.0)
    assert report["effective_sample_size"] == 50


def test_errors_of_identical_rows_add_up() -> None:
    scores = Scores(np.zeros(4), np.full(4, 0.3), np.full(4, 50.0))
    same = np.array([0, 1, 1, 1])
    report = held_out(scores, dimensions=1, samples=9, bound=0.0, part="test", identical=same)
    np.testing.assert_allclose(report["monte_carlo_error"], np.hypot(0.3, 0.9) / 4)


def test_the_difference_is_paired_by_row() -> None:
    """What both find hard cancels: the error is far below that of either."""
    hard = RNG.normal(0, 10.0, 500)
    report = compare(hard + RNG.normal(0.5, 0.1, 500), hard, {"factors": 2})
    assert report["difference_standard_error"] < 0.01
    assert report["standard_error"] > 0.4
    assert abs(report["difference"] - 0.5) < 4 * report["difference_standard_error"]
    assert report["settings"] == {"factors": 2}


def baseline(log_likelihood: float, difference: float, error: float) -> dict[str, float]:
    return {
        "log_likelihood": log_likelihood,
        "difference": difference,
        "difference_standard_error": error,
    }


@pytest.mark.parametrize(
    ("difference", "best", "words"),
    [
        (3.0, "VAE", "better than the best baseline, PPCA, by 3.00 ± 1.00 nats per row on 1,234"),
        (1.9, "PPCA", "simpler model, PPCA: the VAE is not clearly better than"),
        (-1.9, "PPCA", "simpler model, PPCA: the VAE is no better than"),
        (-3.0, "PPCA", "simpler model, PPCA: it is better than the VAE by 3.00"),
    ],
)
def test_the_vae_must_be_better_by_two_errors_than_the_best(
    difference: float, best: str, words: str
) -> None:
    others = {"marginals": baseline(-99.0, 90.0, 0.1), "PPCA": baseline(-5.0, difference, 1.0)}
    result = verdict(others, part="test", rows=1_234)
    assert result["best"] == best
    assert words in result["text"]
    assert "\n" not in result["text"]


def test_without_baselines_nothing_is_claimed() -> None:
    assert "nothing to compare" in verdict({}, part="test", rows=3)["text"]


def test_one_row_cannot_tell() -> None:
    result = verdict({"PPCA": baseline(-5.0, 9.0, float("nan"))}, part="test", rows=1)
    assert result["best"] == "PPCA"
    assert "nan" not in result["text"]
