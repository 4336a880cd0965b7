"""What full variational Bayes buys: held-out log-likelihood from few rows, with it and with MAP.

The paper leaves these experiments to future work, so that there are no numbers to compare with. The
networks are figure 3's, 100 hidden units and 3 latents: the paper's own experiment on the number of
training rows, in which MAP overfits, and in which log p(x|theta) is an integral over so few latents
that it need not rely on the encoder.
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
from aevb.model import Model
from aevb.objectives import sgvb_b
from aevb_paper.experiments.algorithm import (
    Algorithm,
    Numbers,
    Progress,
    choose_rate,
    minibatches,
    run,
)
from aevb_paper.experiments.data import PaperData, Rows, paper_data
from aevb_paper.experiments.full_bayes import Uncertain, full_bayes, kl_from_prior
from aevb_paper.experiments.lines import Line, Note, Point, group, ignore, run_lines
from aevb_paper.experiments.networks import affine_log_likelihood

__all__ = ["ALGORITHMS", "cost_of_theta", "ends", "full_vb", "log_predictive"]

ALGORITHMS: dict[str, Callable[[Model, PaperData], Algorithm]] = {
    "map": lambda model, data: minibatches(model, sgvb_b, data),
    "full-vb": full_bayes,
}


def full_vb(
    folder: Path,
    samples: int,
    *,
    sizes: Sequence[int] = (100, 1_000, 10_000),
    latents: int = 3,
    hidden: int = 100,
    seeds: Sequence[int] = (0, 1, 2),
    rows: int = 1_000,
    chunk: int = 5_000,
    search: int = 500_000,
    note: Note = ignore,
    progress: Progress | None = None,
) -> list[Point]:
    """Run both fits of the first N rows of MNIST, for each N, and write `folder`/full-vb.json.

    MNIST is made black and white once, not for every minibatch: a bound on log p(X) is on that of
    one X. At each look `rows` rows are scored, of test, of validation (training rows that no fit
    sees) and, at most, of training rows. Called again, it continues where it stopped.

    Returns
    -------
    list of dict
        Points: the settings of the fit, `rate` (the step size), and after `samples`, in nats per
        row, `bound` (of what the fit climbs but MAP's prior; full VB's has KL(q(theta) || p(theta))
        / N taken off) and `train`, `validation` and `test`, the mean of `log_predictive`, with
        `train_error`, `validation_error` and `test_error`, standard errors over rows;
        `test_at_mean`, with its error, is at the mean of theta alone. MAP stopped early is its
        point of greatest `validation`. Full VB's last point has the numbers of `cost_of_theta`.
    """
    lines = []
    for seed in seeds:
        for size in sizes:
            for algorithm in ALGORITHMS:
                line = {"dataset": "mnist", "latents": latents, "hidden": hidden, "n_train": size}
                lines.append({**line, "algorithm": algorithm, "seed": seed, "rows": rows})
    run_line = partial(_train, samples=samples, chunk=chunk, search=search, progress=progress)
    return run_lines(folder, "full-vb", lines, samples, run_line, note)


def ends(points: Sequence[Point]) -> list[Point]:
    """The last point of every fit, and before it the point where MAP is stopped early.

    That is its point of greatest `validation`. The fits are in the order of their first points.
    """
    found = []
    for fit in group(points, "n_train", "algorithm", "seed"):
        last = max(fit, key=lambda point: point["samples"])
        stopped = max(fit, key=lambda point: point["validation"])
        if last["algorithm"] == "map" and stopped is not last:
            found.append(stopped)
        found.append(last)
    return found


def _train(
    line: Line,
    checkpoint: Checkpoint,
    *,
    samples: int,
    chunk: int,
    search: int,
    progress: Progress | None,
) -> list[Point]:
    """The points of one fit."""
    n_train, rows, algorithm = line["n_train"], line["rows"], line["algorithm"]
    data = paper_data(line["dataset"])
    train, validation = _black_and_white(data.train[:n_train]), _black_and_white(data.train[-rows:])
    parts = {"train": train[:rows], "validation": validation, "test": data.test[:rows]}
    data = data._replace(train=train, resample=None)
    key_model, key_rate, key_run, key_theta = jax.random.split(jax.random.key(line["seed"]), 4)
    fit = ALGORITHMS[algorithm](data.model(line["latents"], key_model, line["hidden"]), data)
    # A look at full VB takes as long as a million training samples. MAP, which is stopped where
    # validation rows like it best, is looked at often, and early.
    marks = {"map": 10, "full-vb": 2}[algorithm]
    found, points = run(
        fit,
        partial(choose_rate, fit, key_rate, samples=search, progress=progress),
        key_run,
        samples,
        partial(_scores, parts=parts, key=key_theta),
        marks=marks,
        chunk=chunk,
        progress=progress,
        checkpoint=checkpoint,
    )
    if isinstance(found, Uncertain):
        points[-1] |= cost_of_theta(found, n_train)
    return points


def cost_of_theta(found: Uncertain, count: int, *, used: float = 1.0) -> Numbers:
    """What precision about theta costs, and what is bought with it.

    Parameters
    ----------
    found
        A network of section 5, with its q(theta).
    count
        N, rows in all.
    used
        Nats that the weights out of a hidden unit cost together where it is used; those left at
        their prior cost nearly none.

    Returns
    -------
    dict
        `kl`, KL(q(theta) || p(theta)) / N in nats per row, and `units`, the number of the decoder's
        hidden units that are used.
    """
    mean, log_scale = found.unravel(found.mean), found.unravel(found.log_scale)
    outgoing = mean.network.layers[-1].weight, log_scale.network.layers[-1].weight
    of_unit = jax.vmap(kl_from_prior, 1)(*outgoing)
    kl = float(kl_from_prior(found.mean, found.log_scale)) / count
    return {"kl": kl, "units": int(jnp.sum(of_unit > used))}


def _black_and_white(gray: Rows) -> Rows:
    """Each pixel 1 with its gray value as the probability, the same for every N and seed."""
    return (np.random.default_rng(1).random(gray.shape) < gray).astype(np.float32)


def _scores(found: Model | Uncertain, parts: dict[str, Rows], key: PRNGKeyArray) -> Numbers:
    nats = {part: log_predictive(found, units, key) for part, units in parts.items()}
    nats["test_at_mean"] = nats["test"]
    if isinstance(found, Uncertain):
        nats["test_at_mean"] = log_predictive(found.at(found.mean), parts["test"], key)
    numbers = {part: float(each.mean()) for part, each in nats.items()}
    for part, each in nats.items():
        numbers[f"{part}_error"] = float(each.std(ddof=1) / np.sqrt(len(each)))
    return numbers


def log_predictive(
    found: Model | Uncertain,
    units: Rows,
    key: PRNGKeyArray,
    *,
    thetas: int | None = None,
    samples: int = 1_024,
    own: int = 8,
) -> NDArray[np.float64]:
    """log p(x|X) ~ log (1/S) sum_s p(x|theta_s), theta_s ~ q(theta), in nats of each row.

    p(x|theta) ~ sum_k p(x, z_k) / [K p(z_k) + k q(z_k|x)] over K draws of p(z), which all rows
    share, and k of q(z|x), a row's own: without bias whatever q is (Veach and Guibas 1995), so that
    the whole is without bias for E_q(theta)[p(x|theta)], and its logarithm a lower bound in mean.
    An encoder fitted to few rows is sure of the wrong z of others: weights of draws from it alone
    are too low by more nats than the fits differ by (17, of MAP from 100 rows, with 1,000 draws).
    Draws of p(z) alone miss what is narrow, as the posteriors of memorized rows are.

    Parameters
    ----------
    found
        A VAE of black and white pixels with few latents, or one with q(theta); a VAE's theta is
        always the same.
    thetas
        S, 200 by default, and 20 of a VAE. The mean over theta is what falls short: full VB from
        100 rows gains 2 nats from 50 thetas to 200 and 0.9 from 200 to 1,000.
    samples, own
        K and k.
    """
    if thetas is None:
        thetas = 200 if isinstance(found, Uncertain) else 20
    keys = jax.random.split(key, thetas)
    sums = _log_sums(found, jnp.asarray(units), keys, samples, own)
    return np.asarray(sums, np.float64) - np.log(thetas)


@eqx.filter_jit
def _log_sums(
    found: Model | Uncertain, rows: Array, keys: PRNGKeyArray, samples: int, own: int
) -> Array:
    """log sum_s p(x|theta_s) of each row."""

    def add_theta(total: Array, key: PRNGKeyArray) -> tuple[Array, None]:
        key_theta, key_z, key_own = jax.random.split(key, 3)
        model = found if isinstance(found, Model) else found.draw(key_theta)
        p = model.p_z()
        shared = p.sample(key_z, (samples,))
        value, slope = affine_log_likelihood(model, shared, rows.shape[1])

        def of_row(x: Array, log_likelihood: Array, key: PRNGKeyArray) -> Array:
            q = model.posterior(x)
            its = q.sample(key, (own,))
            of_its = jax.vmap(lambda z: model.likelihood(z).log_prob(x))(its)
            z = jnp.concatenate([shared, its])
            odds = jnp.log(own) + q.log_prob(z) - p.log_prob(z)
            log_weights = jnp.concatenate([log_likelihood, of_its])
            return jax.nn.logsumexp(log_weights - jnp.logaddexp(jnp.log(samples), odds))

        log_p = jax.vmap(of_row)(rows, value + rows @ slope.T, jax.random.split(key_own, len(rows)))
        return jnp.logaddexp(total, log_p), None

    return jax.lax.scan(add_theta, jnp.full(len(rows), -jnp.inf), keys)[0]
