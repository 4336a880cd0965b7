"""The networks of section 5 and appendix C: one hidden layer of tanh each way, every parameter from
N(0, 0.01^2).
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from paramax import NonTrainable

from aevb.encoders import Encoder, Features
from aevb.likelihoods import Bernoulli, Decoder, Likelihood
from aevb.model import Model
from aevb.networks import MLP, trainable
from aevb.posteriors import DiagonalGaussian
from aevb.priors import StandardNormal

__all__ = ["DEVIATION", "BoundedGaussian", "affine_log_likelihood", "paper_model"]

#: "Initialized by random sampling from N(0, 0.01)": read as a deviation, as the authors' first code
#: has it.
DEVIATION = 0.01


class BoundedGaussian(Likelihood):
    """Eq. 12 for pixels in (0, 1): log N(x; mu, sigma^2), mu = sigmoid(W_4 h + b_4), log sigma^2 =
    W_5 h + b_5.

    No variance falls below e^-14: past that a single dead pixel would be worth any number of nats.
    """

    columns: tuple[int, ...] = eqx.field(static=True)
    log_units: NonTrainable[Any]

    @property
    def parameters(self) -> int:
        """The logit of the mean, and the log-variance."""
        return 2

    def __call__(self, raw: Array) -> dist.Distribution:
        """The Gaussian of each column."""
        return dist.Normal(
            jax.nn.sigmoid(raw[..., 0]), jnp.exp(0.5 * jnp.clip(raw[..., 1], -14.0, 8.0))
        )

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Zeros: the paper starts from no data."""
        return np.zeros((len(self.columns), 2))


def paper_model(
    pixels: int,
    latent_dim: int,
    hidden: int,
    likelihood: Literal["bernoulli", "gaussian"],
    key: PRNGKeyArray,
) -> Model:
    """x -> tanh(hidden) -> (mu, log sigma^2) -> z -> tanh(hidden) -> p(x|z), p(z) = N(0, I), before
    training.

    Parameters
    ----------
    pixels
        D.
    latent_dim
        J.
    hidden
        Units of the one hidden layer of the encoder, and of the decoder.
    likelihood
        Of black and white pixels eq. 11, of grey ones eq. 12.
    key
        Of the parameters, all of them, biases included.

    Examples
    --------
    >>> paper_model(784, 20, 500, "bernoulli", jax.random.key(0)).decode(jnp.zeros(20)).shape
    (784,)
    """
    columns, one = tuple(range(pixels)), NonTrainable(jnp.zeros(pixels))
    kind = {"bernoulli": Bernoulli, "gaussian": BoundedGaussian}[likelihood]
    part = kind(columns, one)
    features = Features(
        columns, (0,) * pixels, (), NonTrainable(jnp.zeros(pixels)), NonTrainable(jnp.ones(pixels))
    )
    encoder = Encoder(
        features,
        MLP((pixels, hidden, 2 * latent_dim), "tanh", key),
        linear=None,
        sees_missing=False,
    )
    decoder = Decoder(
        MLP((latent_dim, hidden, pixels * part.parameters), "tanh", key), None, (part,)
    )
    model = Model(DiagonalGaussian(encoder, latent_dim), decoder, StandardNormal(latent_dim))
    learned, rest = eqx.partition(model, trainable(model))
    leaves, structure = jax.tree.flatten(learned)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        DEVIATION * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)
    ]
    return eqx.combine(jax.tree.unflatten(structure, drawn), rest)


def affine_log_likelihood(model: Model, z: Array, pixels: int) -> tuple[Array, Array]:
    """a_k and b_k of log p(x|z_k) = a_k + b_k x: eq. 11 is affine in x, so that of many rows and z
    it is one product.

    Parameters
    ----------
    model
        Of black and white pixels.
    z
        Shape (K, J).
    pixels
        D.

    Returns
    -------
    tuple
        a, shape (K,), and b, shape (K, D), in nats.

    Examples
    --------
    >>> a, b = affine_log_likelihood(paper_model(4, 2, 3, "bernoulli", jax.random.key(0)), jnp.zeros((5, 2)), 4)
    >>> a.shape, b.shape
    ((5,), (5, 4))
    """
    return jax.vmap(jax.value_and_grad(lambda x, z: model.likelihood(z).log_prob(x)), (None, 0))(
        jnp.zeros(pixels), z
    )
