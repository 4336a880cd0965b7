"""Figure 3: marginal log-likelihood by AEVB, wake-sleep and Monte Carlo EM, from few and many rows.

The networks have 100 hidden units and 3 latents, and log p(x) is estimated by appendix D.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.disk.checkpoints import Checkpoint
from aevb.marginal import annealed, importance
from aevb.marginal.annealed import ChainScores
from aevb.marginal.harmonic import harmonic
from aevb.model import Model
from aevb.objectives import sgvb_b
from aevb.rows import row_keys
from aevb_paper.experiments.algorithm import (
    Algorithm,
    Numbers,
    Progress,
    choose_rate,
    minibatches,
    run,
)
from aevb_paper.experiments.data import PaperData, Rows, paper_data
from aevb_paper.experiments.lines import Line, Note, Point, ignore, run_lines
from aevb_paper.experiments.monte_carlo_em import monte_carlo_em
from aevb_paper.experiments.networks import affine_log_likelihood
from aevb_paper.experiments.wake_sleep import wake_sleep

__all__ = ["ALGORITHMS", "agreement", "figure3", "marginal_likelihood", "posterior_places"]

ALGORITHMS: dict[str, Callable[[Model, PaperData, PRNGKeyArray], Algorithm]] = {
    "aevb": lambda model, data, key: minibatches(model, sgvb_b, data),
    "wake-sleep": lambda model, data, key: minibatches(model, wake_sleep, data),
    "mcem": monte_carlo_em,
}


def figure3(
    folder: Path,
    samples: int,
    *,
    sizes: Sequence[int] = (1_000, 50_000),
    algorithms: Sequence[str] = tuple(ALGORITHMS),
    seeds: Sequence[int] = (0,),
    rows: int = 1_000,
    marks: int = 4,
    chunk: int = 50_000,
    search: int = 500_000,
    note: Note = ignore,
    progress: Progress | None = None,
) -> list[Point]:
    """Run the lines of these panels, one by one, and write their points to `folder`/figure3.json.

    A panel has so many training rows; the first `rows` of train and of test are scored. Called
    again, it continues where it stopped.

    Returns
    -------
    list of dict
        Points: the settings of the line, `rate` (the step size), and after `samples` the numbers of
        `marginal_likelihood` and `bound` (of the last chunk of samples; for Monte Carlo EM the mean
        of log p(x, z) at its chains). The last point of a line has those of `agreement` too.
    """
    lines = []
    for seed in seeds:
        for n_train in sizes:
            for algorithm in algorithms:
                line = {"dataset": "mnist", "latents": 3, "hidden": 100, "n_train": n_train}
                lines.append({**line, "algorithm": algorithm, "seed": seed, "rows": rows})
    run_line = partial(
        _train, samples=samples, marks=marks, chunk=chunk, search=search, progress=progress
    )
    return run_lines(folder, "figure3", lines, samples, run_line, note)


def _train(
    line: Line,
    checkpoint: Checkpoint,
    *,
    samples: int,
    marks: int,
    chunk: int,
    search: int,
    progress: Progress | None,
) -> list[Point]:
    """The points of one line."""
    algorithm, rows = line["algorithm"], line["rows"]
    key = jax.random.key(line["seed"])
    key_model, key_rate, key_run, key_rows, key_chains = jax.random.split(key, 5)
    data = paper_data(line["dataset"])
    data = data._replace(train=data.train[: line["n_train"]])
    model = data.model(line["latents"], key_model, line["hidden"])
    fit = ALGORITHMS[algorithm](model, data, key_chains)
    searched = fit
    if algorithm == "mcem":  # the first samples would be few iterations of all rows
        few = data._replace(train=data.train[:1_000])
        searched = ALGORITHMS[algorithm](model, few, key_chains)
    train = data.train[:rows]
    if data.resample is not None:
        train = np.asarray(data.resample(jnp.asarray(train), key_rows))
    parts = {"train": train, "test": data.test[:rows]}
    rate = partial(choose_rate, searched, key_rate, samples=search, chunk=chunk, progress=progress)
    look = partial(marginal_likelihood, parts=parts)
    model, points = run(
        fit,
        rate,
        key_run,
        samples,
        look,
        marks=marks,
        chunk=chunk,
        progress=progress,
        checkpoint=checkpoint,
    )
    for part, units in parts.items():
        found = agreement(model, units[:200], encoder=algorithm != "mcem")
        points[-1] |= {f"{part}_{name}": number for name, number in found.items()}
    return points


def marginal_likelihood(model: Model, parts: dict[str, Rows]) -> Numbers:
    """The mean of log p(x) by appendix D over the rows of each part, in nats per row.

    Parameters
    ----------
    model
        The VAE.
    parts
        Rows in model units by the name of their part, "train" and "test".

    Returns
    -------
    dict
        The mean under the name of each part. With `_error` appended: the standard error over rows;
        with `_monte_carlo_error`: that of the estimate for these rows; with `_bias`: how much too
        high the mean is because of the latter.
    """
    found = {}
    for part, rows in parts.items():
        scores = _appendix_d(model, rows)
        nats, errors = scores.log_likelihood, scores.monte_carlo_error
        found[part] = float(nats.mean())
        found[f"{part}_error"] = float(nats.std(ddof=1) / np.sqrt(len(rows)))
        found[f"{part}_bias"] = float(np.square(errors).mean() / 2)
        found[f"{part}_monte_carlo_error"] = float(np.sqrt(np.sum(errors**2)) / len(rows))
    return found


def _appendix_d(model: Model, rows: Rows, *, from_encoder: bool = False) -> ChainScores:
    """Appendix D with 50 draws and 4 leapfrog steps, from `posterior_places` or from q(z|x)."""
    places = None if from_encoder else posterior_places(model, rows)
    return harmonic(model, rows, samples=50, burn_in=30, leapfrog=4, places=places)


def posterior_places(
    model: Model,
    rows: Rows,
    *,
    chains: int = 10,
    candidates: int = 100_000,
    block: int = 50,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Places z near enough p(z|x) to start chains at: draws of p(z), chosen by their p(x|z).

    They do without the encoder: Monte Carlo EM has none, and one that was fitted to a thousand
    rows puts some test rows on the wrong hill. The more candidates, the nearer they are to draws of
    the posterior (Rubin 1987). Posteriors of memorized rows are narrow: among a thousand
    candidates none was near those of some rows, whose chains all ended on another hill.

    Parameters
    ----------
    model
        A VAE of black and white pixels.
    rows
        Rows in model units, shape (n, D).
    chains
        Places for each row.
    candidates
        Draws of p(z), which all rows share.
    block
        Rows that are looked at together.
    seed
        Random seed; each row chooses by its own stream.

    Returns
    -------
    ndarray
        Shape (n, chains, latents).
    """
    keys, key = row_keys(rows, seed), jax.random.key(seed)
    return np.asarray(_choose(model, jnp.asarray(rows), keys, key, chains, candidates, block))


@eqx.filter_jit
def _choose(
    model: Model,
    rows: Array,
    keys: PRNGKeyArray,
    key: PRNGKeyArray,
    chains: int,
    candidates: int,
    block: int,
) -> Array:
    z = model.p_z().sample(key, (candidates,))
    value, slope = affine_log_likelihood(model, z, rows.shape[1])

    def of_row(row: tuple[Array, PRNGKeyArray]) -> Array:
        x, key = row
        weights = jax.nn.softmax(value + slope @ x)
        return z[jax.random.choice(key, candidates, (chains,), p=weights)]

    return jax.lax.map(of_row, (rows, keys), batch_size=block)


def agreement(model: Model, rows: Rows, *, encoder: bool = True) -> Numbers:
    """The mean of log p(x) by several estimators, in nats per row.

    They agree within half a nat where q(z|x) is near the posterior. Where it is not, on test rows
    after training on a thousand, L_5000 is a bound that is nats too low, and so is appendix D with
    chains from q(z|x).

    Parameters
    ----------
    model
        The VAE.
    rows
        Some hundred rows in model units.
    encoder
        Whether its encoder is trained, so that there is a q(z|x) to draw from.

    Returns
    -------
    dict
        `harmonic` as in the figure; `annealed`, annealed importance sampling from p(z); with an
        encoder `harmonic_from_q` and `l_5000`; and `agreed_on`, the number of rows.
    """
    estimates = {
        "harmonic": _appendix_d(model, rows).log_likelihood,
        "annealed": annealed(model, rows, start="prior").log_likelihood,
    }
    if encoder:
        from_encoder = _appendix_d(model, rows, from_encoder=True)
        estimates["harmonic_from_q"] = from_encoder.log_likelihood
        estimates["l_5000"] = importance(model, rows, samples=5_000).log_likelihood
    means: Numbers = {name: float(nats.mean()) for name, nats in estimates.items()}
    return {**means, "agreed_on": len(rows)}
