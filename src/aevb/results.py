"""The numbers of a fit next to those of the baselines, and the verdict."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aevb.marginal import Scores
from aevb.rows import mean_and_error

__all__ = ["compare", "held_out", "verdict"]


def held_out(
    scores: Scores,
    *,
    dimensions: int,
    samples: int,
    bound: float,
    part: str,
    identical: NDArray[np.intp] | None = None,
) -> dict[str, Any]:
    """Log-likelihood of held-out rows in nats per row, with both errors.

    ``standard_error`` comes from sampling the rows, ``monte_carlo_error`` from sampling z. Draws of
    different rows are independent and those of identical rows (with the same number in `identical`)
    are the same, so it is sqrt(sum over distinct rows of (sum of their errors)^2) / rows; NaN for
    one sample per row. ``bits_per_dim`` is minus the mean over columns, in bits.
    """
    mean, error = mean_and_error(scores.log_likelihood)
    rows = len(scores.log_likelihood)
    errors: NDArray[np.float64] = scores.monte_carlo_error
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


def compare(
    log_likelihood: NDArray[np.float64],
    baseline: NDArray[np.float64],
    settings: Mapping[str, object],
) -> dict[str, Any]:
    """Numbers of a baseline, and the difference paired by row, VAE minus baseline."""
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

    The VAE is best only if it is above the best baseline by more than two standard errors of the
    paired difference. Within two errors either way the advice is the simpler model.
    """
    scored = [name for name in baselines if not np.isnan(baselines[name]["log_likelihood"])]
    if not scored:
        text = f"No baseline was scored on the {part} rows, so there is nothing to compare with."
        return {"best": "VAE", "text": text}
    name = max(scored, key=lambda baseline: baselines[baseline]["log_likelihood"])
    difference = baselines[name]["difference"]
    error = baselines[name]["difference_standard_error"]
    where = f"nats per row on {rows:,} {part} rows"
    if difference > 2 * error:
        text = f"Use the VAE: it is better than the best baseline, {name}, "
        return {"best": "VAE", "text": f"{text}by {difference:.2f} ± {error:.2f} {where}."}
    text = f"Use the simpler model, {name}: "
    if not np.isfinite(error):
        text += f"{rows} {part} row is not enough to compare it with the VAE."
    elif difference < -2 * error:
        text += f"it is better than the VAE by {-difference:.2f} ± {error:.2f} {where}."
    elif difference < 0:
        text += f"the VAE is no better than it ({difference:+.2f} ± {error:.2f} {where})."
    else:
        text += f"the VAE is not clearly better than it ({difference:+.2f} ± {error:.2f} {where})."
    return {"best": name, "text": text}
