"""Figure 3: marginal log-likelihood by AEVB, wake-sleep and Monte Carlo EM, with few training rows
and with many.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.disk.checkpoints import Checkpoint
from aevb.marginal import ChainScores, annealed, harmonic, importance
from aevb.model import Model
from aevb.objectives import sgvb_b
from aevb.rows import row_keys
from aevb_paper.experiments.algorithm import Algorithm, chosen_rate, minibatches, run
from aevb_paper.experiments.data import PaperData, paper_data
from aevb_paper.experiments.lines import Line, Point, kept
from aevb_paper.experiments.monte_carlo_em import monte_carlo_em
from aevb_paper.experiments.networks import affine_log_likelihood
from aevb_paper.experiments.wake_sleep import wake_sleep

__all__ = [
    "ALGORITHMS",
    "QUICK",
    "SIZES",
    "agreement",
    "figure3",
    "marginal_likelihood",
    "posterior_places",
]

ALGORITHMS: dict[str, Callable[[Model, PaperData, PRNGKeyArray], Algorithm]] = {
    "aevb": lambda model, data, key: minibatches(model, sgvb_b, data),
    "wake-sleep": lambda model, data, key: minibatches(model, wake_sleep, data),
    "mcem": monte_carlo_em,
}
#: Training rows of the two panels.
SIZES = (1_000, 50_000)
#: "The encoder and decoder having 100 hidden units and 3 latent variables".
LATENTS, HIDDEN = 3, 100
#: Of appendix D: 50 posterior samples and 4 leapfrog steps, on the first 1,000 rows of train and of
#: test.
DRAWS, LEAPFROG, ROWS = 50, 4, 1_000
HARMONIC: dict[str, Any] = {"samples": DRAWS, "burn_in": 30, "leapfrog": LEAPFROG}
#: Draws of p(z) among which chains find where to start. Posteriors of rows known by heart are
#: narrow: among a thousand none was near those of some rows, whose chains all ended on another
#: hill.
CANDIDATES = 100_000
#: Chains of each row.
CHAINS = 10
#: Rows whose places are looked for at a time.
BLOCK = 50
#: Looks for each tenfold of samples.
MARKS = 4
#: What a reader runs in minutes: the panel of few rows, so many training samples, and so many rows
#: looked at.
QUICK, QUICK_SAMPLES, QUICK_ROWS = (1_000,), 1_000_000, 200
#: Monte Carlo EM's step size is chosen on the first rows only: the first samples are a few
#: iterations of all rows.
CHOSEN_ON = 1_000
#: Rows on which appendix D is held against other estimates.
AGREED_ON = 200


def figure3(
    folder: Path,
    samples: int,
    *,
    sizes: Sequence[int] = SIZES,
    algorithms: Sequence[str] = tuple(ALGORITHMS),
    seeds: Sequence[int] = (0,),
    rows: int = ROWS,
    marks: int = MARKS,
    said: Callable[[str], None] = lambda line: None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> list[Point]:
    """All lines of these panels, kept in `folder`/figure3.json one by one; called again, it goes on
    where it stopped.

    Parameters
    ----------
    folder
        Of the results.
    samples
        Training samples that each line sees.
    sizes, algorithms, seeds
        Which lines: training rows, names of `ALGORITHMS`.
    rows
        How many of the first rows of train and of test are looked at.
    marks
        Looks for each tenfold of samples.
    said, progress
        Told which line is next, and each chunk of samples, those that choose the step size first.

    Returns
    -------
    list of dict
        Points: `dataset`, `latents`, `hidden`, `n_train`, `algorithm`, `seed`, `rows`, `rate` (the
        step size chosen), and after `samples` what `marginal_likelihood` says, and `bound` (of the
        samples on the way; of Monte Carlo EM the mean of log p(x, z) at its chains); the last of
        each line has `agreement` too.
    """
    lines = [
        {
            "dataset": "mnist",
            "latents": LATENTS,
            "hidden": HIDDEN,
            "n_train": n_train,
            "algorithm": algorithm,
            "seed": seed,
            "rows": rows,
        }
        for seed in seeds
        for n_train in sizes
        for algorithm in algorithms
    ]

    def points(line: Line, checkpoint: Checkpoint) -> list[Point]:
        return _line(**line, samples=samples, marks=marks, progress=progress, checkpoint=checkpoint)

    return kept(folder, "figure3", lines, samples, points, said)


def _line(
    dataset: str, latents: int, hidden: int, n_train: int, algorithm: str, seed: int, rows: int,
    *, samples: int, **how: Any,
) -> list[Point]:  # fmt: skip
    """The points of one line; `how` goes to `algorithm.run`."""
    data = paper_data(dataset)
    data = data._replace(train=data.train[:n_train])
    key_model, key_rate, key_run, key_rows, key_chains = jax.random.split(jax.random.key(seed), 5)
    model = data.model(latents, key_model, hidden)
    few = data._replace(train=data.train[:CHOSEN_ON]) if algorithm == "mcem" else data
    rival = ALGORITHMS[algorithm](model, few, key_chains)
    rate = partial(chosen_rate, rival, key_rate, progress=how.get("progress"))
    train = data.train[:rows]
    if data.resample is not None:
        train = np.asarray(data.resample(jnp.asarray(train), key_rows))
    parts = {"train": train, "test": data.test[:rows]}
    look = partial(marginal_likelihood, parts=parts)
    model, points = run(
        ALGORITHMS[algorithm](model, data, key_chains), rate, key_run, samples, look, **how
    )
    for part, units in parts.items():
        found = agreement(model, units[:AGREED_ON], encoder=algorithm != "mcem")
        points[-1] |= {f"{part}_{estimate}": number for estimate, number in found.items()}
    return points


def marginal_likelihood(model: Model, parts: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """The mean of log p(x) by appendix D over the rows of each part, in nats a row, with its
    errors.

    Parameters
    ----------
    model
        The VAE.
    parts
        Rows in model units by the name of their part, "train" and "test".

    Returns
    -------
    dict
        For each part its name, and with `_error` after it the standard error over rows, with
        `_monte_carlo_error` that of the estimate for these rows, with `_bias` how much too high it
        is by those errors; all in nats.
    """
    found: dict[str, float] = {}
    for part, rows in parts.items():
        scores = _appendix_d(model, rows)
        found[part] = float(scores.log_likelihood.mean())
        found[f"{part}_error"] = float(scores.log_likelihood.std(ddof=1) / np.sqrt(len(rows)))
        found[f"{part}_bias"] = float(np.square(scores.monte_carlo_error).mean() / 2)
        found[f"{part}_monte_carlo_error"] = float(
            np.sqrt(np.sum(scores.monte_carlo_error**2)) / len(rows)
        )
    return found


def _appendix_d(model: Model, rows: NDArray[np.float32]) -> ChainScores:
    return harmonic(model, rows, places=posterior_places(model, rows), **HARMONIC)


def posterior_places(
    model: Model, rows: NDArray[np.float32], *, candidates: int = CANDIDATES, seed: int = 0
) -> NDArray[np.float32]:
    """z near enough p(z|x) to start a chain at: of draws of p(z), which all rows share, some taken
    by their p(x|z).

    Without the encoder, for Monte Carlo EM has none, and one that was fitted to a thousand rows
    puts some rows of test on the wrong hill. The more candidates, the nearer these are to draws of
    the posterior (Rubin 1987).

    Parameters
    ----------
    model
        Of black and white pixels.
    rows
        In model units, shape (n, D).
    candidates
        Draws of p(z).
    seed
        Of the draws; what a row takes of them is its own.

    Returns
    -------
    ndarray
        Shape (n, `CHAINS`, latents).
    """
    return np.asarray(
        _places(model, jnp.asarray(rows), row_keys(rows, seed), jax.random.key(seed), candidates)
    )


@eqx.filter_jit
def _places(
    model: Model, rows: Array, keys: PRNGKeyArray, key: PRNGKeyArray, candidates: int
) -> Array:
    z = model.p_z().sample(key, (candidates,))
    value, slope = affine_log_likelihood(model, z, rows.shape[1])

    def of_row(row: tuple[Array, PRNGKeyArray]) -> Array:
        x, key = row
        return z[jax.random.choice(key, candidates, (CHAINS,), p=jax.nn.softmax(value + slope @ x))]

    return jax.lax.map(of_row, (rows, keys), batch_size=BLOCK)


def agreement(model: Model, rows: NDArray[np.float32], *, encoder: bool = True) -> dict[str, float]:
    """The mean of log p(x), in nats a row: appendix D, 5,000 importance weights, annealed
    importance sampling.

    All agree within half a nat where q(z|x) is near the posterior. Where it is not, on rows of test
    after training on a thousand, L_5000 is a bound that is nats too low, and so is appendix D from
    q(z|x).

    Parameters
    ----------
    model
        The VAE.
    rows
        In model units, some hundreds.
    encoder
        Whether its encoder is trained, so that there is a q(z|x) to draw from.

    Returns
    -------
    dict
        `harmonic` as in the figure, `annealed` from p(z), `agreed_on`, how many rows, and with an
        encoder `harmonic_from_q` and `l_5000`.
    """
    estimates: dict[str, Any] = {
        "harmonic": _appendix_d(model, rows),
        "annealed": annealed(model, rows, start="prior"),
    }
    if encoder:
        estimates["harmonic_from_q"] = harmonic(model, rows, **HARMONIC)
        estimates["l_5000"] = importance(model, rows, samples=5_000)
    return {name: float(found.log_likelihood.mean()) for name, found in estimates.items()} | {
        "agreed_on": len(rows)
    }
