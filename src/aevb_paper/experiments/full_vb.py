"""What full variational Bayes buys: held-out log-likelihood from few rows, beside the MAP fit of
section 5.

The paper leaves these experiments to future work, so that there are no numbers to meet. The
networks are figure 3's, 100 hidden units and 3 latents: the paper's own experiment on the number of
training rows, in which MAP overfits, and in which log p(x|theta) is an integral over so few latents
that it need not rely on the encoder.
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
from aevb.model import Model
from aevb.objectives import sgvb_b
from aevb_paper.experiments.algorithm import Algorithm, chosen_rate, minibatches, run
from aevb_paper.experiments.data import PaperData, paper_data
from aevb_paper.experiments.full_bayes import Uncertain, full_bayes, kl_from_prior
from aevb_paper.experiments.lines import Line, Point, kept
from aevb_paper.experiments.networks import affine_log_likelihood

__all__ = [
    "ALGORITHMS",
    "QUICK",
    "QUICK_ROWS",
    "QUICK_SAMPLES",
    "ROWS",
    "SIZES",
    "ends",
    "full_vb",
    "log_predictive",
    "spent",
]

ALGORITHMS: dict[str, Callable[[Model, PaperData], Algorithm]] = {
    "map": lambda model, data: minibatches(model, sgvb_b, data),
    "full-vb": full_bayes,
}
#: N, training rows.
SIZES = (100, 1_000, 10_000)
#: Rows scored at each look, of every part.
ROWS = 1_000
#: What a reader runs in minutes: these N, so many training samples, and so many rows scored.
QUICK, QUICK_SAMPLES, QUICK_ROWS = (100, 1_000), 1_000_000, 300
#: Draws of theta, and for each of them of z from p(z) and from q(z|x). The mean over theta is what
#: falls short: full VB from 100 rows gains 2 nats from 50 thetas to 200 and 0.9 from 200 to 1,000,
#: at as many draws of z for each.
THETAS, DRAWS, OWN = 200, 1_024, 8
#: A theta that is known has draws of z alone, so many times `DRAWS`.
MAP_DRAWS = 20
#: Looks for each tenfold of samples. One at full VB takes as long as a million training samples;
#: MAP, which is stopped where validation rows like it best, is looked at often, and early: of 100
#: rows a chunk is 50 passes.
MARKS, CHUNK = {"map": 10, "full-vb": 2}, 5_000
#: Nats that the weights out of a hidden unit cost together where it is used; of those left at their
#: prior, nearly none.
USED = 1.0


def full_vb(
    folder: Path,
    samples: int,
    *,
    sizes: Sequence[int] = SIZES,
    latents: int = 3,
    hidden: int = 100,
    seeds: Sequence[int] = (0, 1, 2),
    rows: int = ROWS,
    said: Callable[[str], None] = lambda line: None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> list[Point]:
    """Both fits of the first N rows of MNIST, for each N, kept in `folder`/full-vb.json one by one.

    MNIST is made black and white once, not for every minibatch: a bound on log p(X) is on that of
    one X.

    Parameters
    ----------
    folder
        Of the results.
    samples
        Training samples that each fit sees.
    sizes, latents, hidden, seeds
        Which fits.
    rows
        Scored at each look, of test, of validation (training rows that no fit sees) and, at most,
        of training rows.
    said, progress
        Told which fit is next, and each chunk of samples, those that choose the step size first.

    Returns
    -------
    list of dict
        Points: `dataset`, `latents`, `hidden`, `n_train`, `algorithm`, `seed`, `rows`, `rate` (the
        step size chosen), and after `samples`, in nats a row, `bound` (of what the fit climbs but
        MAP's prior; full VB's has KL(q(theta) || p(theta)) / N taken off) and `train`, `validation`
        and `test`, the mean of `log_predictive`, with `train_error`, `validation_error` and
        `test_error`, standard errors over rows; `test_at_mean`, with its error, is at the mean of
        theta alone. MAP stopped early is its point of greatest `validation`. Full VB's last point
        has what `spent` says.
    """
    lines = [
        {
            "dataset": "mnist",
            "latents": latents,
            "hidden": hidden,
            "n_train": size,
            "algorithm": algorithm,
            "seed": seed,
            "rows": rows,
        }
        for seed in seeds
        for size in sizes
        for algorithm in ALGORITHMS
    ]

    def points(line: Line, checkpoint: Checkpoint) -> list[Point]:
        return _line(**line, samples=samples, progress=progress, checkpoint=checkpoint)

    return kept(folder, "full-vb", lines, samples, points, said)


def ends(points: Sequence[Point]) -> list[Point]:
    """The last point of every fit, and before it where MAP is stopped: of its points the one of
    greatest `validation`.

    The fits are in the order of their first points.
    """
    found = []
    for fit in dict.fromkeys(
        (point["n_train"], point["algorithm"], point["seed"]) for point in points
    ):
        line = [
            point
            for point in points
            if (point["n_train"], point["algorithm"], point["seed"]) == fit
        ]
        last = max(line, key=lambda point: point["samples"])
        stopped = max(line, key=lambda point: point["validation"]) if fit[1] == "map" else last
        found += [last] if stopped is last else [stopped, last]
    return found


def _line(
    dataset: str, latents: int, hidden: int, n_train: int, algorithm: str, seed: int, rows: int,
    *, samples: int, **how: Any,
) -> list[Point]:  # fmt: skip
    data = paper_data(dataset)
    train, validation = (
        _black_and_white(part) for part in (data.train[:n_train], data.train[-rows:])
    )
    parts = {"train": train[:rows], "validation": validation, "test": data.test[:rows]}
    data = data._replace(train=train, resample=None)
    key_model, key_rate, key_run, key_theta = jax.random.split(jax.random.key(seed), 4)
    fit = ALGORITHMS[algorithm](data.model(latents, key_model, hidden), data)
    rate = partial(chosen_rate, fit, key_rate, progress=how.get("progress"))
    look = partial(_scores, parts=parts, key=key_theta)
    found, points = run(
        fit, rate, key_run, samples, look, marks=MARKS[algorithm], chunk=CHUNK, **how
    )
    if isinstance(found, Uncertain):
        points[-1] |= spent(found, n_train)
    return points


def spent(found: Uncertain, count: int) -> dict[str, float]:
    """What precision about theta costs, and what is bought with it.

    Parameters
    ----------
    found
        The network of section 5, with its q(theta).
    count
        N, rows in all.

    Returns
    -------
    dict
        `kl`, KL(q(theta) || p(theta)) / N in nats a row, and `units`, how many of the decoder's
        hidden units have weights to the pixels that cost more than `USED`.
    """
    outgoing = [
        found.unravel(theta).network.layers[-1].weight for theta in (found.mean, found.log_scale)
    ]
    of_unit = jax.vmap(kl_from_prior, 1)(*outgoing)
    return {
        "kl": float(kl_from_prior(found.mean, found.log_scale)) / count,
        "units": int(jnp.sum(of_unit > USED)),
    }


def _black_and_white(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each pixel 1 with its grey value as the probability, the same for every N and seed."""
    return (np.random.default_rng(1).random(grey.shape) < grey).astype(np.float32)


def _scores(
    found: Model | Uncertain, parts: dict[str, NDArray[np.float32]], key: PRNGKeyArray
) -> dict[str, float]:
    each = {part: log_predictive(found, units, key) for part, units in parts.items()}
    at_mean = found.at(found.mean) if isinstance(found, Uncertain) else None
    each["test_at_mean"] = (
        each["test"] if at_mean is None else log_predictive(at_mean, parts["test"], key)
    )
    means = {part: float(nats.mean()) for part, nats in each.items()}
    return means | {
        f"{part}_error": float(nats.std(ddof=1) / np.sqrt(len(nats))) for part, nats in each.items()
    }


def log_predictive(
    found: Model | Uncertain,
    units: NDArray[np.float32],
    key: PRNGKeyArray,
    *,
    thetas: int | None = None,
    samples: int = DRAWS,
) -> NDArray[np.float64]:
    """log p(x|X) ~ log (1/S) sum_s p(x|theta_s), theta_s ~ q(theta), each p(x|theta_s) by K draws
    of z and a few more.

    p(x|theta) ~ sum_k p(x, z_k) / [K p(z_k) + k q(z_k|x)] over K draws of p(z), which all rows
    share, and k of q(z|x), a row's own: without bias whatever q is (Veach and Guibas 1995), so that
    the whole is without bias for E_q(theta)[p(x|theta)], and its logarithm a lower bound in mean.
    An encoder fitted to few rows is sure of the wrong z of others: weights of draws from it alone
    are too low by more nats than the fits differ by (17, of MAP from 100 rows, with 1,000 draws).
    Draws of p(z) alone miss what is narrow, as the posteriors of rows known by heart are.

    Parameters
    ----------
    found
        A VAE of black and white pixels with few latents, or one with q(theta); a VAE's theta is
        always the same.
    units
        Rows, shape (n, D).
    key
        Of the draws.
    thetas, samples
        S, `THETAS` unless said and `MAP_DRAWS` of a VAE; and K. k is `OWN`.

    Returns
    -------
    ndarray
        Nats, shape (n,).
    """
    thetas = thetas or (THETAS if isinstance(found, Uncertain) else MAP_DRAWS)
    sums = _log_sums(found, jnp.asarray(units), jax.random.split(key, thetas), samples)
    return np.asarray(sums, np.float64) - np.log(thetas)


@eqx.filter_jit
def _log_sums(found: Model | Uncertain, rows: Array, keys: PRNGKeyArray, samples: int) -> Array:
    def of_theta(total: Array, key: PRNGKeyArray) -> tuple[Array, None]:
        key_theta, key_z, key_own = jax.random.split(key, 3)
        model = found if isinstance(found, Model) else found.draw(key_theta)
        p = model.p_z()
        shared = p.sample(key_z, (samples,))
        value, slope = affine_log_likelihood(model, shared, rows.shape[1])

        def of_row(x: Array, log_likelihood: Array, key: PRNGKeyArray) -> Array:
            q = model.posterior(x)
            own = q.sample(key, (OWN,))
            z = jnp.concatenate([shared, own])
            of_all = jnp.concatenate(
                [log_likelihood, jax.vmap(lambda z: model.likelihood(z).log_prob(x))(own)]
            )
            odds = jnp.log(OWN) + q.log_prob(z) - p.log_prob(z)
            return jax.nn.logsumexp(of_all - jnp.logaddexp(jnp.log(samples), odds))

        log_p = jax.vmap(of_row)(rows, value + rows @ slope.T, jax.random.split(key_own, len(rows)))
        return jnp.logaddexp(total, log_p), None

    return jax.lax.scan(of_theta, jnp.full(len(rows), -jnp.inf), keys)[0]
