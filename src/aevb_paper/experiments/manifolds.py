"""Figures 4 and 5 (appendix A): manifolds of two latents, and random samples."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.disk.checkpoints import Checkpoint
from aevb.model import Model
from aevb_paper.experiments.algorithm import Progress
from aevb_paper.experiments.figure2 import train
from aevb_paper.experiments.lines import Note, Point, ignore

__all__ = ["Pictures", "draw_from_prior", "grid", "pictures"]


class Pictures(NamedTuple):
    """One part of figure 4 or 5.

    `images` are means of p(x|z), shape (images, pixels), in (0, 1); `point` is the last point of
    the model's curve: rate, samples, and train and test in nats per row.
    """

    dataset: str
    latents: int
    images: NDArray[np.float32]
    point: Point


def pictures(
    folder: Path,
    parts: Sequence[tuple[str, int]],
    look: Callable[[Model], Array],
    samples: int,
    *,
    seed: int = 0,
    search: int = 500_000,
    note: Note = ignore,
    progress: Progress | None = None,
) -> list[Pictures]:
    """Images of AEVB models, which are kept in `folder`/models: none is trained twice.

    A part is a data set and the latents of a model, which sees so many training `samples` after a
    `search` for its step size over others. `look` turns the model into places of z, shape
    (images, latents): `grid` or `draw_from_prior`.
    """
    found = []
    for number, (dataset, latents) in enumerate(parts, start=1):
        note(f"part {number} of {len(parts)}: {dataset}, {latents} latents")
        line = {"dataset": dataset, "latents": latents, "seed": seed}
        place = folder / "models" / f"{dataset}-{latents}-{seed}-{samples}"
        checkpoint = Checkpoint(place, {**line, "samples": samples})
        model, points = train(
            {**line, "algorithm": "aevb"},
            checkpoint,
            samples=samples,
            search=search,
            progress=progress,
        )
        images = np.asarray(_means(model, look(model)))
        found.append(Pictures(dataset, latents, images, points[-1]))
    return found


@eqx.filter_jit
def _means(model: Model, z: Array) -> Array:
    """E[x|z] at each place: the probability of white of black and white pixels."""
    return jax.vmap(lambda z: model.likelihood(z).mean)(z)


def grid(across: int) -> Array:
    """Places z_ij = (F^-1(u_j), F^-1(u_i)), u even on the unit square, F the Gaussian CDF.

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


def draw_from_prior(count: int, key: PRNGKeyArray) -> Callable[[Model], Array]:
    """The places of figure 5: z ~ p(z), shape (count, latents)."""
    return lambda model: model.p_z().sample(key, (count,))
