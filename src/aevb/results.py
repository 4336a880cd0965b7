"""The numbers of a fit beside the baselines', and the verdict."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aevb.marginal import Scores
from aevb.rows import mean_and_error

__all__ = ["compare", "held_out", "verdict"]

Array = NDArray[np.float64]


def held_out(
    scores: Scores,
    *,
    dimensions: int,
    samples: int,
    bound: float,
    part: str,
    identical: NDArray[np.integer[Any]] | None = None,
) -> dict[str, Any]:
    """Log-likelihood of held-out rows in nats a row, with both errors.

    ``standard_error`` is that of sampling rows, ``monte_carlo_error`` that of sampling z: draws of
    different rows are independent, those of identical ones (of the same number in `identical`) the
    same, so it is sqrt(sum over distinct rows of (their errors' sum)^2) / rows; NaN of one sample a
    row. ``bits_per_dim`` is minus the mean over columns, in bits.
    """
    mean, error = mean_and_error(scores.log_likelihood)
    rows = len(scores.log_likelihood)
    errors: Array = scores.monte_carlo_error
    if identical is not None:
        errors = np.bincount(identical, weights=errors).astype(np.float64)
    return {
        "log_likelihood": mean,
        "standard_error": error,
        "monte_carlo_error": float(np.sqrt(np.sum(errors**2)) / rows),
        "bits_per_dim": float(-mean / (dimensions * np.log(2))),
        "samples": samples,
        "rows": rows,
        "effective_sample_size": float(np.median(scores.effective_sample_size)),
        "bound": bound,
        "part": part,
    }


def compare(log_likelihood: Array, baseline: Array, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A baseline's numbers and the paired difference to it, VAE minus baseline, on the same rows."""
    mean, error = mean_and_error(baseline)
    difference, difference_error = mean_and_error(log_likelihood - baseline)
    return {
        "log_likelihood": mean,
        "standard_error": error,
        "difference": difference,
        "difference_standard_error": difference_error,
        "settings": dict(settings),
    }


def verdict(baselines: Mapping[str, Mapping[str, Any]], *, part: str, rows: int) -> dict[str, str]:
    """Which model to use, in one sentence.

    The VAE is best only where it is above the best baseline by more than two standard errors of the
    paired difference; within two either way the simpler model is advised, for it says as much with
    less.
    """
    if not baselines:
        return {
            "best": "VAE",
            "text": f"No baseline was scored: there is nothing to compare the VAE with on the {part} rows.",
        }
    name = max(baselines, key=lambda baseline: baselines[baseline]["log_likelihood"])
    difference = baselines[name]["difference"]
    error = baselines[name]["difference_standard_error"]
    if not np.isfinite(error):
        return {
            "best": name,
            "text": f"Use the simpler model, {name}: {rows} {part} row cannot tell the VAE from it.",
        }
    gap = f"{abs(difference):.2f} ± {error:.2f} nats a row on {rows:,} {part} rows"
    if difference > 2 * error:
        return {
            "best": "VAE",
            "text": f"Use the VAE: it is better than the best baseline, {name}, by {gap}.",
        }
    if difference < -2 * error:
        return {
            "best": name,
            "text": f"Use the simpler model, {name}: it is better than the VAE by {gap}.",
        }
    relation = "not clearly better than" if difference >= 0 else "no better than"
    signed = f"{difference:+.2f} ± {error:.2f} nats a row on {rows:,} {part} rows"
    return {
        "best": name,
        "text": f"Use the simpler model, {name}: the VAE is {relation} it ({signed}).",
    }
