"""Figure 2: the bound against training samples, by AEVB and by wake-sleep with the same encoder."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from aevb.disk.checkpoints import Checkpoint
from aevb.model import Model
from aevb.objectives import sgvb_b
from aevb_paper.experiments.algorithm import Numbers, Progress, choose_rate, minibatches, run
from aevb_paper.experiments.data import paper_data
from aevb_paper.experiments.lines import Line, Note, Point, ignore, run_lines
from aevb_paper.experiments.wake_sleep import wake_sleep

__all__ = ["ALGORITHMS", "PANELS", "figure2", "mean_bound", "train"]

ALGORITHMS = {"aevb": sgvb_b, "wake-sleep": wake_sleep}
#: Data set and latents of each panel. Another data set is "mnist-gray": MNIST's gray values as they
#: are.
PANELS = (
    *(("mnist", latents) for latents in (3, 5, 10, 20, 200)),
    *(("frey-face", latents) for latents in (2, 5, 10, 20)),
)


def figure2(
    folder: Path,
    samples: int,
    *,
    panels: Sequence[tuple[str, int]] = PANELS,
    seeds: Sequence[int] = (0,),
    search: int = 500_000,
    note: Note = ignore,
    progress: Progress | None = None,
) -> list[Point]:
    """Run the lines of these panels, one by one, and write their points to `folder`/figure2.json.

    Called again, it continues where it stopped. Each line sees so many training `samples`, after
    a `search` for its step size over others.

    Returns
    -------
    list of dict
        Points: `dataset`, `latents`, `algorithm`, `seed`, `rate` (the step size), and after
        `samples`, in nats per row, `train` (the mean over the last 50,000 samples, while the
        weights moved: early on it lags) and `test`.
    """
    lines = []
    for seed in seeds:
        for dataset, latents in panels:
            for algorithm in ALGORITHMS:
                line = {"dataset": dataset, "latents": latents}
                lines.append({**line, "algorithm": algorithm, "seed": seed})

    def run_line(line: Line, checkpoint: Checkpoint) -> list[Point]:
        return train(line, checkpoint, samples=samples, search=search, progress=progress)[1]

    return run_lines(folder, "figure2", lines, samples, run_line, note)


def train(
    line: Line,
    checkpoint: Checkpoint,
    *,
    samples: int,
    search: int = 500_000,
    progress: Progress | None = None,
) -> tuple[Model, list[Point]]:
    """A model of the paper's after so many training samples, and the points on its way."""
    data = paper_data(line["dataset"])
    key_model, key_rate, key_run, key_test = jax.random.split(jax.random.key(line["seed"]), 4)
    model = data.model(line["latents"], key_model)
    fit = minibatches(model, ALGORITHMS[line["algorithm"]], data)
    test_rows = jnp.asarray(data.test)

    def look(model: Model) -> Numbers:
        return {"test": float(mean_bound(model, test_rows, key_test))}

    rate = partial(choose_rate, fit, key_rate, samples=search, progress=progress)
    model, points = run(fit, rate, key_run, samples, look, progress=progress, checkpoint=checkpoint)
    for point in points:
        point["train"] = point.pop("bound")
    return model, points


@eqx.filter_jit
def mean_bound(model: Model, rows: Array, key: PRNGKeyArray, block: int = 500) -> Array:
    """The mean bound of these rows, one draw each, in nats per row; `block` rows at a time."""

    def bound(row: tuple[Array, PRNGKeyArray]) -> Array:
        return sgvb_b(model, *row)

    return jax.lax.map(bound, (rows, jax.random.split(key, len(rows))), batch_size=block).mean()
