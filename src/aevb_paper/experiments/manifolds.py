"""Figures 4 and 5 (appendix A): manifolds of two latents through the inverse Gaussian CDF, and
random samples.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.disk.checkpoints import Checkpoint
from aevb.model import Model
from aevb_paper.experiments.figure2 import trained
from aevb_paper.experiments.lines import Point

__all__ = ["FIGURE_4", "FIGURE_5", "SHAPES", "Pictures", "drawn_from_prior", "grid", "pictures"]

#: Data set and latents of each part of the figures.
FIGURE_4 = (("frey-face", 2), ("mnist", 2))
FIGURE_5 = (("mnist", 2), ("mnist", 5), ("mnist", 10), ("mnist", 20))
#: Height and width of an image.
SHAPES = {"mnist": (28, 28), "frey-face": (28, 20)}
#: What a reader runs in minutes.
QUICK_SAMPLES = 500_000


class Pictures(NamedTuple):
    """One part of figure 4 or 5."""

    dataset: str
    latents: int
    #: Means of p(x|z), shape (images, pixels), in (0, 1).
    images: NDArray[np.float32]
    #: The last point of the model's curve: rate, samples, train and test in nats a row.
    point: Point


def pictures(
    folder: Path,
    parts: tuple[tuple[str, int], ...],
    looked_at: Callable[[Model], Array],
    samples: int,
    *,
    seed: int = 0,
    said: Callable[[str], None] = lambda line: None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> list[Pictures]:
    """AEVB models of figure 2's, each in `folder`/models: a part that was made is only drawn again.

    Parameters
    ----------
    folder
        Of the models.
    parts
        `FIGURE_4` or `FIGURE_5`.
    looked_at
        Model -> places of z, shape (images, latents): `grid` or `drawn_from_prior`.
    samples
        Training samples of each model.
    seed
        Of the models.
    said, progress
        Told which part is next, and each chunk of samples, those that choose the step size first.
    """
    found = []
    for number, (dataset, latents) in enumerate(parts, start=1):
        said(f"part {number} of {len(parts)}: {dataset}, {latents} latents")
        line: dict[str, Any] = {
            "dataset": dataset,
            "latents": latents,
            "seed": seed,
            "samples": samples,
        }
        checkpoint = Checkpoint(folder / "models" / f"{dataset}-{latents}-{seed}-{samples}", line)
        model, points = trained(
            dataset, latents, seed=seed, samples=samples, progress=progress, checkpoint=checkpoint
        )
        images = jax.jit(jax.vmap(_mean, (None, 0)))(model, looked_at(model))
        found.append(Pictures(dataset, latents, np.asarray(images), points[-1]))
    return found


def _mean(model: Model, z: Array) -> Array:
    """E[x|z], of black and white pixels the probability of white."""
    return model.likelihood(z).expectations()[0][:, 0]


def grid(across: int) -> Array:
    """Places of the unit square, evenly spaced, through the inverse Gaussian CDF: z_ij =
    (F^-1(u_j), F^-1(u_i)).

    Each is in the middle of its cell, so that all stand for as much of p(z).

    Returns
    -------
    Array
        Shape (across * across, 2), line by line from the top.

    Examples
    --------
    >>> grid(2).round(4)[0]
    Array([-0.6745,  0.6745], dtype=float32)
    """
    u = norm.ppf((jnp.arange(across) + 0.5) / across)
    return jnp.stack(jnp.meshgrid(u, u[::-1]), axis=-1).reshape(-1, 2)


def drawn_from_prior(count: int, key: PRNGKeyArray) -> Callable[[Model], Array]:
    """What figure 5 looks at: z ~ p(z), shape (count, latents)."""
    return lambda model: model.p_z().sample(key, (count,))
