"""Fit every baseline that applies to a table."""

import numpy as np

from aevb.baselines.base import BASELINES, Baseline, Task
from aevb.table.schema import Schema, Values

__all__ = ["fit_baselines"]


def fit_baselines(
    train: Values,
    validation: Values,
    schema: Schema,
    *,
    seed: int = 0,
    latent_dim: int | None = None,
    few_cells: int = 1_000_000,
    few_rows: int = 100,
) -> tuple[dict[str, Baseline], dict[str, str]]:
    """Every baseline that applies to these columns, and the reasons why others do not.

    Parameters
    ----------
    train, validation
        Values, (rows, columns), NaN where missing; validation rows choose sizes.
    schema
        The columns, in the units of the VAE.
    seed
        Random seed of starts, subsamples and dequantization.
    latent_dim
        A number of factors to try besides the usual ones: the VAE's own.
    few_cells
        Tables of no more cells are fitted on one thread: products of small matrices spend their
        time on waking threads, most of all where other programs run.
    few_rows
        Training rows on which a log-likelihood must be a number.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    task = Task(train, validation, schema, seed, latent_dim)
    threads = 1 if train.size <= few_cells else None
    baselines = {}
    reasons = {}
    with threadpool_limits(threads, user_api="blas"):
        for name in BASELINES:
            kind = BASELINES[name]
            if reason := kind.why_not(task):
                reasons[name] = reason
                continue
            baseline = kind.fit(task)
            if np.isnan(baseline.score_samples(train[:few_rows], seed=seed)).any():
                reasons[name] = "its log-likelihood is not a number on these rows"
            else:
                baselines[name] = baseline
    return baselines, reasons
