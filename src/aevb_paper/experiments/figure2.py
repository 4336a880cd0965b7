"""Figure 2: the bound against training samples seen, by AEVB and by wake-sleep with the same
encoder.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from aevb.disk.checkpoints import Checkpoint
from aevb.model import Model
from aevb.objectives import sgvb_b
from aevb_paper.experiments.algorithm import chosen_rate, minibatches, run
from aevb_paper.experiments.data import paper_data
from aevb_paper.experiments.lines import Line, Point, kept
from aevb_paper.experiments.wake_sleep import wake_sleep

__all__ = ["ALGORITHMS", "PANELS", "QUICK", "figure2", "mean_bound", "trained"]

ALGORITHMS: dict[str, Callable[..., Array]] = {"aevb": sgvb_b, "wake-sleep": wake_sleep}
#: Data set and latents of each panel; "mnist-grey" takes MNIST's grey values as they are, to show
#: what that changes.
PANELS = tuple(
    (dataset, latents)
    for dataset, sizes in {"mnist": (3, 5, 10, 20, 200), "frey-face": (2, 5, 10, 20)}.items()
    for latents in sizes
)
#: What a reader runs in minutes: a panel of each data set, and so many training samples.
QUICK, QUICK_SAMPLES = (("mnist", 20), ("frey-face", 10)), 1_000_000
#: Rows scored at a time.
BLOCK = 500


def figure2(
    folder: Path,
    samples: int,
    *,
    panels: Sequence[tuple[str, int]] = PANELS,
    seeds: Sequence[int] = (0,),
    said: Callable[[str], None] = lambda line: None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> list[Point]:
    """All lines of these panels, kept in `folder`/figure2.json one by one; called again, it goes on
    where it stopped.

    Parameters
    ----------
    folder
        Of the results.
    samples
        Training samples that each line sees.
    panels, seeds
        Which lines.
    said, progress
        Told which line is next, and each chunk of samples, those that choose the step size first.

    Returns
    -------
    list of dict
        Points: `dataset`, `latents`, `algorithm`, `seed`, `rate` (the step size chosen), and in
        nats a row, after `samples`, `train` (of the last 50,000 samples, while the weights moved:
        early on it lags) and `test`.
    """
    lines = [
        {"dataset": dataset, "latents": latents, "algorithm": algorithm, "seed": seed}
        for seed in seeds
        for dataset, latents in panels
        for algorithm in ALGORITHMS
    ]

    def points(line: Line, checkpoint: Checkpoint) -> list[Point]:
        return trained(**line, samples=samples, progress=progress, checkpoint=checkpoint)[1]

    return kept(folder, "figure2", lines, samples, points, said)


def trained(
    dataset: str, latents: int, algorithm: str = "aevb", seed: int = 0, *, samples: int, **how: Any
) -> tuple[Model, list[Point]]:
    """A model of the paper's after so many training samples, and its curve; `how` goes to
    `algorithm.run`.
    """
    data = paper_data(dataset)
    key_model, key_rate, key_run, key_test = jax.random.split(jax.random.key(seed), 4)
    rival = minibatches(data.model(latents, key_model), ALGORITHMS[algorithm], data)
    test = partial(mean_bound, rows=jnp.asarray(data.test), key=key_test)
    rate = partial(chosen_rate, rival, key_rate, progress=how.get("progress"))
    model, points = run(
        rival, rate, key_run, samples, lambda model: {"test": float(test(model))}, **how
    )
    return model, [
        {
            "rate": point["rate"],
            "samples": point["samples"],
            "train": point["bound"],
            "test": point["test"],
        }
        for point in points
    ]


@eqx.filter_jit
def mean_bound(model: Model, rows: Array, key: PRNGKeyArray) -> Array:
    """The bound of these rows by one draw each, always the same, in nats a row."""

    def one(row: tuple[Array, PRNGKeyArray]) -> Array:
        return sgvb_b(model, *row)

    return jax.lax.map(one, (rows, jax.random.split(key, len(rows))), batch_size=BLOCK).mean()
