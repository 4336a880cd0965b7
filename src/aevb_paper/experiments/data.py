"""The paper's two data sets as its figures use them, and the choices it leaves open, each written
down here.
"""

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
#: N_train = 50,000 in figure 3: MNIST's first 50,000 images, its last 10,000 for test. Of Frey
#: Face's 1,965 frames, in random order, 1,600 as in the authors' later code; consecutive frames are
#: alike, so that a random split flatters all.
MNIST_TRAIN, MNIST_TEST, FREY_TRAIN = 50_000, 10_000, 1_600


class PaperData(NamedTuple):
    """Rows of one data set, and the networks that go with them."""

    train: Rows
    test: Rows
    #: Draws black and white from grey, afresh for every minibatch: the paper has "Bernoulli (in
    #: case of binary data)".
    resample: Callable[[Array, PRNGKeyArray], Array] | None
    likelihood: Literal["bernoulli", "gaussian"]
    hidden: int

    def model(self, latents: int, key: PRNGKeyArray, hidden: int | None = None) -> Model:
        """The paper's model of these rows, before training."""
        return paper_model(
            self.train.shape[1], latents, hidden or self.hidden, self.likelihood, key
        )


@lru_cache(maxsize=2)
def paper_data(name: str) -> PaperData:
    """MNIST with 500 hidden units, or Frey Face with 200 "to prevent overfitting".

    Parameters
    ----------
    name
        "mnist", "frey-face", or "mnist-grey": MNIST's grey values as they are under eq. 11, as much
        code has it; the cross-entropy is then no log-likelihood.

    Raises
    ------
    DataError
        The files are not there and cannot be fetched.
    """
    images = np.asarray(read(name.removesuffix("-grey")).data, np.float32)
    if name == "frey-face":
        faces = np.random.default_rng(0).permutation(images / np.float32(256))
        return PaperData(faces[:FREY_TRAIN], faces[FREY_TRAIN:], None, "gaussian", 200)
    images = images / np.float32(255)
    train, test = images[:MNIST_TRAIN], images[-MNIST_TEST:]
    if name == "mnist-grey":
        return PaperData(train, test, None, "bernoulli", 500)
    test = (np.random.default_rng(0).random(test.shape) < test).astype(np.float32)
    return PaperData(train, test, _binarised, "bernoulli", 500)


def _binarised(x: Array, key: PRNGKeyArray) -> Array:
    return jax.random.bernoulli(key, x).astype(jnp.float32)
