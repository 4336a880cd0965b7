"""The networks of section 5 and appendix C: one hidden layer of tanh each way."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from aevb.distributions.cells import Bernoulli
from aevb.model import Model
from aevb.networks import MLP
from aevb.priors import StandardNormal

__all__ = [
    "BernoulliDecoder",
    "GaussianDecoder",
    "GaussianEncoder",
    "affine_log_likelihood",
    "paper_model",
]


class GaussianEncoder(eqx.Module):
    """q(z|x) = N(mu, diag sigma^2), eq. 9: a network gives mu, then log sigma^2."""

    network: MLP

    def __call__(self, x: Array) -> dist.Distribution:
        """The Gaussian of z, event shape (J,), of a row of shape (D,)."""
        mean, log_variance = jnp.split(self.network(x), 2)
        return dist.Normal(mean, _deviation(log_variance)).to_event(1)


class BernoulliDecoder(eqx.Module):
    """p(x|z) of black and white pixels, eq. 11: a network gives a logit for each."""

    network: MLP

    def __call__(self, z: Array) -> dist.Distribution:
        """The Bernoulli of the pixels, event shape (D,)."""
        return Bernoulli(self.network(z)).to_event(1)


class GaussianDecoder(eqx.Module):
    """p(x|z) of gray pixels in (0, 1), eq. 12 with the mean through a sigmoid.

    A network gives two numbers for each pixel: the logit of its mean, and its log-variance.
    """

    network: MLP

    def __call__(self, z: Array) -> dist.Distribution:
        """The Gaussian of the pixels, event shape (D,)."""
        raw = self.network(z).reshape(-1, 2)
        return dist.Normal(jax.nn.sigmoid(raw[:, 0]), _deviation(raw[:, 1])).to_event(1)


def _deviation(log_variance: Array) -> Array:
    """sigma, with bounds: without one, a single dead pixel is worth any number of nats."""
    return jnp.exp(0.5 * jnp.clip(log_variance, -14.0, 8.0))


def paper_model(
    pixels: int,
    latent_dim: int,
    hidden: int,
    likelihood: Literal["bernoulli", "gaussian"],
    key: PRNGKeyArray,
    *,
    deviation: float = 0.01,
) -> Model:
    """x -> tanh(hidden) -> q(z|x), z -> tanh(hidden) -> p(x|z), and p(z) = N(0, I).

    Parameters
    ----------
    pixels, latent_dim
        D and J.
    hidden
        Units of the hidden layer of the encoder, and of the decoder.
    likelihood
        "bernoulli" for black and white pixels (eq. 11), "gaussian" for gray ones (eq. 12).
    deviation
        Standard deviation of all parameters at the start, biases included. The paper has "random
        sampling from N(0, 0.01)", which the authors' first code reads as a deviation.

    Examples
    --------
    >>> model = paper_model(784, 20, 500, "bernoulli", jax.random.key(0))
    >>> model.likelihood(jnp.zeros(20)).mean.shape
    (784,)
    """
    encoder = GaussianEncoder(MLP((pixels, hidden, 2 * latent_dim), "tanh", key))
    decoder: BernoulliDecoder | GaussianDecoder
    if likelihood == "bernoulli":
        decoder = BernoulliDecoder(MLP((latent_dim, hidden, pixels), "tanh", key))
    else:
        decoder = GaussianDecoder(MLP((latent_dim, hidden, 2 * pixels), "tanh", key))
    model = Model(encoder, decoder, StandardNormal(latent_dim))
    leaves, structure = jax.tree.flatten(model)
    keys = jax.random.split(key, len(leaves))
    drawn = [deviation * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def affine_log_likelihood(model: Model, z: Array, pixels: int) -> tuple[Array, Array]:
    """a_k and b_k of log p(x|z_k) = a_k + b_k x, in nats.

    Eq. 11 is affine in x, so that log p(x|z) of many rows and many z is one matrix product.

    Parameters
    ----------
    model
        A model of black and white pixels.
    z
        Latents, shape (K, J).
    pixels
        D.

    Returns
    -------
    tuple
        a, shape (K,), and b, shape (K, D).

    Examples
    --------
    >>> model = paper_model(4, 2, 3, "bernoulli", jax.random.key(0))
    >>> a, b = affine_log_likelihood(model, jnp.zeros((5, 2)), 4)
    >>> a.shape, b.shape
    ((5,), (5, 4))
    """

    def log_likelihood(x: Array, z: Array) -> Array:
        return model.likelihood(z).log_prob(x)

    at_zero = jax.value_and_grad(log_likelihood)
    return jax.vmap(at_zero, (None, 0))(jnp.zeros(pixels), z)
