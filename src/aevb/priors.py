"""The prior p(z): a module whose call returns a distribution over latents (latent_dim,)."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from paramax import NonTrainable

from aevb.distributions.flows import CouplingFlow
from aevb.distributions.latents import (
    Chain,
    Flow,
    StraightThroughBernoulli,
    StraightThroughCategorical,
)
from aevb.distributions.moments import mean_of, variance_of
from aevb.likelihoods.base import single
from aevb.networks import Layer, drawn_by_numpy, layers_of
from aevb.posteriors import CategoricalPosterior, ConditionalGaussian
from aevb.registry import Registry
from aevb.start import Start

__all__ = [
    "PRIORS",
    "BernoulliPrior",
    "CategoricalPrior",
    "FlowPrior",
    "GaussianMixture",
    "StandardNormal",
    "TwoLayerPrior",
    "VampPrior",
]


class Prior(eqx.Module):
    """p(z), possibly with parameters learned with the rest of theta."""

    #: The fewest latents there can be.
    least: ClassVar[int] = 1
    #: Whether it follows from the posterior, so that nobody asks for it by name.
    implied: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def build(cls, start: Start) -> Self:
        """The prior at the start of training."""

    @abstractmethod
    def __call__(self) -> dist.Distribution:
        """The distribution of z, event shape (latent_dim,)."""


#: The priors by name.
PRIORS: Registry[type[eqx.Module]] = Registry("prior")


@PRIORS.register("standard_normal")
class StandardNormal(Prior):
    """p(z) = N(0, I), the centered isotropic Gaussian of section 3.

    Examples
    --------
    >>> float(StandardNormal(2)().log_prob(jax.numpy.zeros(2)))
    -1.837877
    """

    latent_dim: int = eqx.field(static=True)

    @classmethod
    def build(cls, start: Start) -> Self:
        """Nothing is learned."""
        return cls(start.latent_dim)

    def __call__(self) -> dist.Distribution:
        """N(0, I)."""
        return dist.Normal(jnp.zeros(self.latent_dim), 1.0).to_event(1)


@PRIORS.register("mixture")
class GaussianMixture(Prior):
    """p(z) = sum_c pi_c N(z; m_c, diag s_c^2), learned with the generative parameters.

    Its KL from a Gaussian q has no closed form: estimator B uses the sampled one (`objectives.kl`).

    The means of the C components start at draws from N(0, I / 4).

    Examples
    --------
    >>> GaussianMixture(2, 5, key=jax.random.key(0))().event_shape
    (2,)
    """

    logits: Array
    means: Array
    log_scales: Array

    def __init__(self, latent_dim: int, components: int = 10, *, key: PRNGKeyArray) -> None:
        self.logits = jnp.zeros(components)
        self.means = 0.5 * jax.random.normal(key, (components, latent_dim))
        self.log_scales = jnp.zeros((components, latent_dim))

    @classmethod
    def build(cls, start: Start, *, components: int = 10) -> Self:
        """So many Gaussians, their means spread over N(0, I)."""
        return cls(start.latent_dim, components, key=start.key)

    def __call__(self) -> dist.Distribution:
        """The mixture; scales are kept in [e^-5, e^5] so that no component shrinks to a point."""
        scales = jnp.exp(jnp.clip(self.log_scales, -5.0, 5.0))
        components = dist.Normal(self.means, scales).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=self.logits), components)


@PRIORS.register("vamp")
class VampPrior(eqx.Module):
    """p(z) = pi_0 N(z; 0, I) + sum_c pi_c q(z|u_c), q of learned pseudo-rows u_c.

    Tomczak and Welling (2018). Each q(z|u_c) stands as the diagonal Gaussian of its own mean and
    variance, and p(z) pulls on q through them too. The standard normal, with most of the weight at
    first, is not in the paper: where q is narrow, as at the linear start, no number of pseudo-rows
    covers the latents of other rows.
    """

    logits: Array
    #: Pseudo-rows in model units, no cell missing, shape (C, D). Numbers are learned; levels of
    #: categorical columns stay as they are.
    rows: Array
    #: Ends of each column in the training rows, shape (D,). q sees pseudo-rows between them: else a
    #: count could be learned below zero, or a 0 / 1 above one, where no row is and q means nothing.
    low: NonTrainable[Array]
    high: NonTrainable[Array]

    def __init__(self, rows: Array, low: Array, high: Array) -> None:
        self.logits = jnp.zeros(1 + len(rows)).at[0].set(jnp.log(9 * len(rows)))
        self.rows = jnp.asarray(rows)
        self.low = NonTrainable(low)
        self.high = NonTrainable(high)

    @classmethod
    def build(cls, start: Start, *, rows: int = 200) -> Self:
        """At most this many training rows, their missing cells at the middle of the column."""
        count = min(rows, start.architecture.rows or rows)
        return cls(*_pseudo_rows(start.units, count, start.key))

    @property
    def inside(self) -> Array:
        """u_c, shape (C, D): the rows as they were learned, reflected at an end they went past.

        Clipped, as the paper's are, a cell past an end has no slope and stays there, and each 0 or
        1 starts at an end: on digits made black or white 93 % never moved, for 0.1 nats per row;
        reflected it is 0.02.
        """
        low, high = self.low.tree, self.high.tree
        rows = jnp.where(self.rows < low, 2 * low - self.rows, self.rows)
        rows = jnp.where(rows > high, 2 * high - rows, rows)
        return jnp.clip(rows, low, high)  # of a cell further out than the column is wide

    def given(self, posterior: Callable[[Array], dist.Distribution]) -> dist.Distribution:
        """The mixture under this posterior."""

        def moments(row: Array) -> tuple[Array, Array]:
            q = posterior(row)
            return mean_of(q), jnp.sqrt(variance_of(q))

        mean, deviation = jax.vmap(moments)(self.inside)
        mean = jnp.concatenate([jnp.zeros((1, mean.shape[1])), mean])
        deviation = jnp.concatenate([jnp.ones((1, mean.shape[1])), deviation])
        components = dist.Normal(mean, deviation).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=self.logits), components)


@PRIORS.register("flow")
class FlowPrior(Prior):
    """p(z): z = f(u), u ~ N(0, I), f a normalizing flow of affine couplings; needs two latents."""

    latent_dim: int = eqx.field(static=True)
    flow: CouplingFlow

    least: ClassVar[int] = 2

    @classmethod
    def build(cls, start: Start) -> Self:
        """A flow near the identity."""
        return cls(start.latent_dim, CouplingFlow(start.latent_dim, start.key))

    def __call__(self) -> dist.Distribution:
        """The flow of N(0, I)."""
        return Flow(dist.Normal(jnp.zeros(self.latent_dim), 1.0).to_event(1), self.flow)


@PRIORS.register("two_layers")
class TwoLayerPrior(Prior):
    """p(h1, h2) = p(h2) p(h1|h2), p(h2) = N(0, I): of two stochastic layers, z = (h1, h2)."""

    lower: ConditionalGaussian
    lower_dim: int = eqx.field(static=True)
    upper_dim: int = eqx.field(static=True)

    implied: ClassVar[bool] = True

    @property
    def layer_sizes(self) -> tuple[int, int]:
        """Numbers in h1 and in h2: the ``latent_dim`` it was made with."""
        return self.lower_dim, self.upper_dim

    def describe(self) -> list[Layer]:
        """The layers from h2 to h1."""
        return layers_of(self.lower.network)

    @classmethod
    def build(cls, start: Start) -> Self:
        """The lower layer by a network of its own."""
        lower_dim, upper_dim = start.latent_dim, start.architecture.upper_dim
        lower = ConditionalGaussian.build(start, upper_dim, lower_dim, start.key)
        return cls(lower, lower_dim, upper_dim)

    def __call__(self) -> dist.Distribution:
        """The chain from h2 to h1."""
        upper = dist.Normal(jnp.zeros(self.upper_dim), 1.0).to_event(1)
        return Chain(upper, self.lower, self.lower_dim, backwards=True)


@PRIORS.register("bernoulli")
class BernoulliPrior(Prior):
    """p(z) = prod_j Bernoulli(z_j; p_j), learned."""

    logits: Array

    implied: ClassVar[bool] = True

    @classmethod
    def build(cls, start: Start) -> Self:
        """Fair bits."""
        return cls(start.latent_dim)

    def __init__(self, latent_dim: int) -> None:
        self.logits = jnp.zeros(latent_dim)

    def __call__(self) -> dist.Distribution:
        """Independent bits."""
        return StraightThroughBernoulli(self.logits)


@PRIORS.register("categorical")
class CategoricalPrior(Prior):
    """p(z) = prod_g Categorical(z_g; p_g), learned: one-hot groups."""

    logits: Array

    implied: ClassVar[bool] = True

    @classmethod
    def build(cls, start: Start) -> Self:
        """Groups of as many levels as those of q(z|x), all as probable."""
        levels = CategoricalPosterior.multiple
        return cls(start.latent_dim // levels, levels)

    def __init__(self, groups: int, levels: int) -> None:
        self.logits = jnp.zeros((groups, levels))

    def __call__(self) -> dist.Distribution:
        """Independent one-hot groups."""
        return StraightThroughCategorical(self.logits)


def _pseudo_rows(units: np.ndarray, count: int, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
    """Training rows without missing cells, shape (count, D), and the range of all, each (D,)."""
    observed = np.where(np.isfinite(units).any(0), units, 0.0)
    middle = np.nanquantile(observed, 0.5, axis=0, method="closest_observation")
    filled = single(np.where(np.isfinite(units), units, middle))

    def choose(rng: np.random.Generator) -> np.ndarray:
        return rng.choice(len(units), count, replace=count > len(units))

    like = jax.ShapeDtypeStruct((count,), jnp.int32)  # type: ignore[no-untyped-call]
    chosen = drawn_by_numpy(key, choose, like)
    return filled[chosen], single(np.nanmin(observed, 0)), single(np.nanmax(observed, 0))
