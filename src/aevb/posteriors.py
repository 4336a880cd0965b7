"""The recognition model q(z|x), section 2.3: a module whose call returns a distribution over z.

A new one is a class with a classmethod ``build(start)``, which gets its networks from
`aevb.start.Start`, registered under the name people type.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, Self

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from aevb.distributions.flows import CouplingFlow
from aevb.distributions.latents import (
    Chain,
    Flow,
    StraightThroughBernoulli,
    StraightThroughCategorical,
)
from aevb.encoders import LOG_VARIANCE_BOUNDS, Encoder, Moments
from aevb.networks import Layer, Network, layers_of
from aevb.registry import Registry
from aevb.start import Start

__all__ = [
    "POSTERIORS",
    "BernoulliPosterior",
    "CategoricalPosterior",
    "ConditionalGaussian",
    "DiagonalGaussian",
    "FlowPosterior",
    "FullGaussian",
    "Posterior",
    "TwoLayerPosterior",
]


class Posterior(eqx.Module):
    """q(z|x) by an encoder. Any other module of x -> distribution of z will do as well."""

    #: What the row says: features, the linear posterior, and a network's numbers.
    encoder: Encoder
    #: Numbers in z.
    latent_dim: int = eqx.field(static=True)

    #: Whether it follows from other settings, so that nobody asks for it by name.
    implied: ClassVar[bool] = False
    #: The p(z) that goes with it, by name, where no other does.
    prior: ClassVar[str | None] = None
    #: Whether latents are levels, not numbers: no linear model of Gaussian latents starts it.
    levels: ClassVar[bool] = False
    #: The fewest latents there can be, and what their number must be a multiple of.
    least: ClassVar[int] = 1
    multiple: ClassVar[int] = 1

    @classmethod
    def build(cls, start: Start) -> Self:
        """The posterior at the start of training."""
        return cls(start.encoder(cls.outputs(start.latent_dim)), start.latent_dim)

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """How many numbers the encoder's network gives: mean and log-variance of each latent."""
        return 2 * latent_dim

    @abstractmethod
    def __call__(self, x: Array) -> dist.Distribution:
        """q(z|x), event shape (latent_dim,), of a row in model units, NaN where missing."""

    def describe(self) -> list[Layer]:
        """The layers of the encoder."""
        return self.encoder.describe()

    def for_missing(self) -> Self:
        """The same q for rows with missing cells, where it was fitted to complete ones."""
        linear = self.encoder.linear
        if linear is None or not linear.complete:
            return self
        filling = replace(linear, complete=False)
        return eqx.tree_at(lambda q: q.encoder.linear, self, filling)


#: The posteriors by name.
POSTERIORS: Registry[type[Posterior]] = Registry("posterior")


@POSTERIORS.register("diagonal")
class DiagonalGaussian(Posterior):
    """q(z|x) = N(z; mu, diag sigma^2), eq. 9, mu and log sigma^2 given by the encoder.

    For a row with missing cells 1 / sigma^2 is the diagonal of the precision, which off it is the
    linear model's.
    """

    def __call__(self, x: Array) -> dist.Distribution:
        """N(mu(x), diag sigma^2(x))."""
        return _gaussian(self.encoder(x, self.latent_dim))


@POSTERIORS.register("full")
class FullGaussian(Posterior):
    """q(z|x) = N(z; mu, L L'), z = mu + L eps, with a free lower triangle L.

    The diagonal of L is exp(log sigma).
    For a row with missing cells it is that of `DiagonalGaussian`.
    """

    def __call__(self, x: Array) -> dist.Distribution:
        """N(mu(x), L(x) L(x)')."""
        z = self.encoder(x, self.latent_dim)
        if z.partial is not None:
            return _correlated(z, z.partial)
        scale = jnp.exp(0.5 * z.log_variance)
        rows, columns = jnp.tril_indices(self.latent_dim, -1)
        # Off-diagonal numbers are in units of the row's scale, so that an unused latent stays
        # unused.
        factor = jnp.diag(scale).at[rows, columns].set(z.rest * scale[rows])
        return dist.MultivariateNormal(z.mean, scale_tril=factor)

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """Mean, log-variance, and the numbers below the diagonal."""
        return 2 * latent_dim + latent_dim * (latent_dim - 1) // 2


@POSTERIORS.register("flow")
class FlowPosterior(Posterior):
    """q(z|x): z = f(u; h(x)), u ~ N(mu(x), diag sigma^2(x)), f a normalizing flow.

    Rezende and Mohamed (2015).
    The layers of f are affine couplings (Dinh et al. 2017), whose density is as cheap as their
    draws, near the identity at first: training starts from the Gaussian. Needs two latents.
    """

    flow: CouplingFlow

    least: ClassVar[int] = 2

    @classmethod
    def build(cls, start: Start, *, condition: int = 16) -> Self:
        """A flow near the identity, whose layers see `condition` numbers of the encoder."""
        encoder = start.encoder(2 * start.latent_dim + condition)
        flow = CouplingFlow(start.latent_dim, start.other_key, condition)
        return cls(encoder, start.latent_dim, flow)

    def __call__(self, x: Array) -> dist.Distribution:
        """The flow of N(mu(x), diag sigma^2(x)), conditioned on more outputs of the encoder."""
        z = self.encoder(x, self.latent_dim)
        return Flow(_gaussian(z), self.flow, jnp.tanh(z.rest))


def _gaussian(z: Moments) -> dist.Distribution:
    if z.partial is not None:
        return _correlated(z, z.partial)
    return dist.Normal(z.mean, jnp.exp(0.5 * z.log_variance)).to_event(1)


def _correlated(z: Moments, partial: Array) -> dist.Distribution:
    """N(mu, P^-1), P the linear model's partial correlations in units of the encoder's sigma."""
    inverse_scale = jnp.exp(-0.5 * z.log_variance)
    precision = partial * jnp.outer(inverse_scale, inverse_scale)
    symmetric = (precision + precision.T) / 2  # to the last bit, which NumPyro asks for
    return dist.MultivariateNormal(z.mean, precision_matrix=symmetric, validate_args=False)


@POSTERIORS.register("bernoulli")
class BernoulliPosterior(Posterior):
    """q(z|x) = prod_j Bernoulli(z_j; p_j(x)), z_j in {0, 1}."""

    prior: ClassVar[str | None] = "bernoulli"
    levels: ClassVar[bool] = True

    def __call__(self, x: Array) -> dist.Distribution:
        """Independent bits; a draw has a straight-through slope."""
        return StraightThroughBernoulli(self.encoder.outputs(x))

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """A logit for each latent."""
        return latent_dim


@POSTERIORS.register("categorical")
class CategoricalPosterior(Posterior):
    """q(z|x) = prod_g Categorical(z_g; p_g(x)): groups of `multiple` latents, one of which is 1."""

    prior: ClassVar[str | None] = "categorical"
    levels: ClassVar[bool] = True
    multiple: ClassVar[int] = 10

    def __call__(self, x: Array) -> dist.Distribution:
        """Independent one-hot groups; a draw has a straight-through slope."""
        logits = self.encoder.outputs(x).reshape(-1, self.multiple)
        return StraightThroughCategorical(logits)

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """A logit for each level of each group."""
        return latent_dim


class ConditionalGaussian(eqx.Module):
    """N(h; mu(g), diag sigma^2(g)) of one layer of latents given the other, by a network."""

    network: Network

    @classmethod
    def build(cls, start: Start, inputs: int, outputs: int, key: PRNGKeyArray) -> Self:
        """As many hidden layers as the encoder has, each as wide as the lower layer of z."""
        hidden = (start.latent_dim,) * len(start.hidden)
        return cls(start.network(inputs, 2 * outputs, hidden=hidden, key=key))

    def __call__(self, given: Array) -> dist.Distribution:
        """The distribution of h, half as wide as the network's output."""
        mean, log_variance = jnp.split(self.network(given), 2)
        deviation = jnp.exp(0.5 * jnp.clip(log_variance, *LOG_VARIANCE_BOUNDS))
        return dist.Normal(mean, deviation).to_event(1)


@POSTERIORS.register("two_layers")
class TwoLayerPosterior(Posterior):
    """q(h1, h2|x) = q(h1|x) q(h2|h1): two stochastic layers (Burda et al. 2016), z = (h1, h2).

    h1 given x is the Gaussian of `DiagonalGaussian`, h2 given h1 another, `upper`; `latent_dim`
    counts both.
    """

    upper: ConditionalGaussian
    upper_dim: int = eqx.field(static=True)

    implied: ClassVar[bool] = True
    prior: ClassVar[str | None] = "two_layers"

    @classmethod
    def build(cls, start: Start) -> Self:
        """Both layers at the start of training."""
        lower_dim, upper_dim = start.latent_dim, start.architecture.upper_dim
        encoder = start.encoder(cls.outputs(lower_dim))
        upper = ConditionalGaussian.build(start, lower_dim, upper_dim, start.other_key)
        return cls(encoder, lower_dim + upper_dim, upper, upper_dim)

    def __call__(self, x: Array) -> dist.Distribution:
        """q(h1|x) q(h2|h1)."""
        lower = DiagonalGaussian(self.encoder, self.latent_dim - self.upper_dim)
        return Chain(lower(x), self.upper, self.upper_dim)

    def describe(self) -> list[Layer]:
        """The layers of the encoder, and those from h1 to h2."""
        return self.encoder.describe() + layers_of(self.upper.network)
