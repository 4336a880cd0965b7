"""What full variational Bayes buys: held-out log-likelihood from few rows, beside the MAP fit of section 5.

The paper leaves these experiments to future work, so that there are no numbers to meet. The networks are figure 3's,
100 hidden units and 3 latents: the paper's own experiment on the number of training rows, in which MAP overfits, and
in which log p(x|theta) is an integral over so few latents that it can be taken without the encoder.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.checkpoints import Checkpoint
from aevb.model import VAE
from aevb.objectives import sgvb_b
from aevb.paper.experiments.algorithm import Algorithm, chosen_rate, minibatches, run
from aevb.paper.experiments.data import PaperData, paper_data
from aevb.paper.experiments.full_bayes import Uncertain, full_bayes
from aevb.paper.experiments.lines import Line, Point, kept

__all__ = ["ALGORITHMS", "QUICK", "QUICK_SAMPLES", "SIZES", "full_vb", "log_predictive"]

ALGORITHMS: dict[str, Callable[[VAE, PaperData], Algorithm]] = {
    "map": lambda model, data: minibatches(model, sgvb_b, data),
    "full-vb": full_bayes,
}
#: N, training rows.
SIZES = (100, 1_000, 10_000)
#: What a reader runs in minutes: these N, and so many training samples.
QUICK, QUICK_SAMPLES = (100, 1_000), 1_000_000
#: Draws of theta, and of z for each of them. On full VB from 100 rows they fall a nat short of 1,000 and 4,096 (as many
#: draws, but 50 thetas, two and a half); on MAP, whose theta is always the same, half a nat.
THETAS, DRAWS = 200, 1_024
#: Looks for each tenfold of samples: one takes the time of several 100,000 training samples.
MARKS = 2


def full_vb(
    folder: Path,
    samples: int,
    *,
    sizes: Sequence[int] = SIZES,
    latents: int = 3,
    hidden: int = 100,
    seeds: Sequence[int] = (0, 1, 2),
    rows: int = 1_000,
    said: Callable[[str], None] = lambda line: None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> list[Point]:
    """Both fits of the first N rows of MNIST, for each N, kept in `folder`/full_vb.json one by one.

    MNIST is made black and white once, not for every minibatch: a bound on log p(X) is on that of one X.

    Parameters
    ----------
    folder
        Of the results.
    samples
        Training samples that each fit sees.
    sizes, latents, hidden, seeds
        Which fits.
    rows
        Scored at each look, of test, of validation (training rows that no fit sees) and, at most, of training rows.
    said, progress
        Told which fit is next, and each chunk of samples.

    Returns
    -------
    list of dict
        Points: `dataset`, `latents`, `hidden`, `n_train`, `algorithm`, `seed`, `rate` (the step size chosen), and
        after `samples`, in nats a row, `bound` (of what the fit climbs but MAP's prior; full VB's has KL(q(theta) ||
        p(theta)) / N taken off) and `train`, `validation` and `test`, the mean of `log_predictive`, with
        `train_error`, `validation_error` and `test_error`, standard errors over rows; `test_at_mean` is at the mean
        of theta alone. MAP stopped early is its point of greatest `validation`.
    """
    lines = [
        {
            "dataset": "mnist",
            "latents": latents,
            "hidden": hidden,
            "n_train": size,
            "algorithm": algorithm,
            "seed": seed,
        }
        for seed in seeds
        for size in sizes
        for algorithm in ALGORITHMS
    ]

    def points(line: Line, checkpoint: Checkpoint) -> list[Point]:
        return _fitted(**line, samples=samples, rows=rows, progress=progress, checkpoint=checkpoint)

    return kept(folder, "full_vb", lines, samples, points, said)


def _fitted(
    dataset: str, latents: int, hidden: int, n_train: int, algorithm: str, seed: int,
    *, samples: int, rows: int, **how: Any,
) -> list[Point]:  # fmt: skip
    data = paper_data(dataset)
    train, validation = (_black_and_white(part) for part in (data.train[:n_train], data.train[-rows:]))
    parts = {"train": train[:rows], "validation": validation, "test": data.test[:rows]}
    data = data._replace(train=train, resample=None)
    key_model, key_rate, key_run, key_theta = jax.random.split(jax.random.key(seed), 4)
    fit = ALGORITHMS[algorithm](data.model(latents, key_model, hidden), data)
    rate = chosen_rate(fit, key_rate)
    _, points = run(fit, rate, key_run, samples, lambda found: _scores(found, parts, key_theta), marks=MARKS, **how)
    return [{**point, "rate": rate, "samples": int(point["samples"])} for point in points]


def _black_and_white(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each pixel 1 with its grey value as the probability, the same for every N and seed."""
    return (np.random.default_rng(1).random(grey.shape) < grey).astype(np.float32)


def _scores(found: VAE | Uncertain, parts: dict[str, NDArray[np.float32]], key: PRNGKeyArray) -> dict[str, float]:
    scores = {}
    for part, units in parts.items():
        each = log_predictive(found, units, key)
        scores[part], scores[f"{part}_error"] = float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))
    at_mean = found.at(found.mean) if isinstance(found, Uncertain) else found
    return {**scores, "test_at_mean": float(log_predictive(at_mean, parts["test"], key).mean())}


def log_predictive(
    found: VAE | Uncertain, units: NDArray[np.float32], key: PRNGKeyArray, *, thetas: int = THETAS, samples: int = DRAWS
) -> NDArray[np.float64]:
    """log p(x|X) ~ log (1/S) sum_s (1/K) sum_k p(x|z_sk, theta_s), theta_s ~ q(theta), z_sk ~ p(z).

    The sum is without bias for E_q(theta)[p(x|theta)], its logarithm a lower bound in mean. A VAE's theta is the same
    in every draw. The encoder has no say: fitted to few rows, it is so sure of the wrong z of others that importance
    weights from q(z|x) are too low by more nats than the fits differ by (17 for MAP from 100 rows, with 1,000 draws).
    Three latents can be integrated over without it, and all rows share the draws.

    Parameters
    ----------
    found
        A VAE of black and white pixels with few latents, or one with q(theta).
    units
        Rows, shape (n, D).
    key
        Of the draws.
    thetas, samples
        S and K.

    Returns
    -------
    ndarray
        Nats, shape (n,).
    """
    sums = _log_sums(found, jnp.asarray(units), jax.random.split(key, thetas), samples)
    return np.asarray(sums, np.float64) - np.log(thetas * samples)


@eqx.filter_jit
def _log_sums(found: VAE | Uncertain, x: Array, keys: PRNGKeyArray, samples: int) -> Array:
    def of_theta(total: Array, key: PRNGKeyArray) -> tuple[Array, None]:
        key_theta, key_z = jax.random.split(key)
        model = found if isinstance(found, VAE) else found.draw(key_theta)
        z = model.p_z().sample(key_z, (samples,))
        # Eq. 11 is affine in x: a value and a slope for each z, and then one product for all rows.
        at_zero = jax.vmap(jax.value_and_grad(lambda x, z: model.likelihood(z).log_prob(x)), (None, 0))
        value, slope = at_zero(jnp.zeros(x.shape[1]), z)
        return jnp.logaddexp(total, jax.nn.logsumexp(value + x @ slope.T, axis=1)), None

    return jax.lax.scan(of_theta, jnp.full(len(x), -jnp.inf), keys)[0]
