"""The paper's two data sets as its figures use them, and the choices that it leaves open."""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.model import Model
from aevb.table import read
from aevb_paper.experiments.networks import paper_model

__all__ = ["PaperData", "paper_data"]

Rows = NDArray[np.float32]


class PaperData(NamedTuple):
    """Rows of one data set, and the networks that go with them.

    `resample` draws black and white pixels from gray ones for every minibatch: the paper uses a
    Bernoulli "in case of binary data". It is None where the rows are used as they are.
    """

    train: Rows
    test: Rows
    resample: Callable[[Array, PRNGKeyArray], Array] | None
    likelihood: Literal["bernoulli", "gaussian"]
    hidden: int

    def model(self, latents: int, key: PRNGKeyArray, hidden: int | None = None) -> Model:
        """The paper's model of these rows, before training."""
        width = self.train.shape[1]
        return paper_model(width, latents, hidden or self.hidden, self.likelihood, key)


@lru_cache(maxsize=2)
def paper_data(name: str) -> PaperData:
    """MNIST with 500 hidden units, or Frey Face with 200 "to prevent overfitting".

    Figure 3 has 50,000 training rows of MNIST: the first 50,000 images, and the last 10,000 are
    for test. Of Frey Face's 1,965 frames, in random order, 1,600 are for training, as in the
    authors' later code. Consecutive frames are alike, so that a random split flatters all methods.

    Parameters
    ----------
    name
        "mnist", "frey-face", or "mnist-gray": MNIST's gray values as they are under eq. 11, as
        much code has it; the cross-entropy is then no log-likelihood.

    Raises
    ------
    DataError
        If the files are not there and cannot be downloaded.
    """
    images = np.asarray(read(name.removesuffix("-gray")).data, np.float32)
    if name == "frey-face":
        faces = np.random.default_rng(0).permutation(images / np.float32(256))
        return PaperData(faces[:1_600], faces[1_600:], None, "gaussian", 200)
    images = images / np.float32(255)
    train, test = images[:50_000], images[-10_000:]
    if name == "mnist-gray":
        return PaperData(train, test, None, "bernoulli", 500)
    test = (np.random.default_rng(0).random(test.shape) < test).astype(np.float32)
    return PaperData(train, test, _draw_black_and_white, "bernoulli", 500)


def _draw_black_and_white(x: Array, key: PRNGKeyArray) -> Array:
    return jax.random.bernoulli(key, x).astype(jnp.float32)
