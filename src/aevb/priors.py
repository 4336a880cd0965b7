"""The prior p(z): a module whose call returns a distribution over latents of shape (latent_dim,)."""

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
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
from aevb.distributions.moments import mean_of, variance_of
from aevb.networks import Fixed, Layer
from aevb.posteriors import ConditionalGaussian

__all__ = [
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

    @abstractmethod
    def __call__(self) -> dist.Distribution:
        """The distribution of z, event shape (latent_dim,)."""


class StandardNormal(Prior):
    """p(z) = N(0, I), the centred isotropic Gaussian of section 3.

    Examples
    --------
    >>> float(StandardNormal(2)().log_prob(jax.numpy.zeros(2)))
    -1.837877
    """

    latent_dim: int = eqx.field(static=True)

    def __call__(self) -> dist.Distribution:
        """N(0, I)."""
        return dist.Normal(jnp.zeros(self.latent_dim), 1.0).to_event(1)


class GaussianMixture(Prior):
    """p(z) = sum_c pi_c N(z; m_c, diag s_c^2), learned with the generative parameters.

    Its KL from a Gaussian q has no closed form: estimator B uses the sampled one (`objectives.kl`).

    Parameters
    ----------
    latent_dim
        Number of latents.
    components
        Number of Gaussians C.
    key
        Where the means start: draws from N(0, I), so that the mixture starts wide.

    Examples
    --------
    >>> GaussianMixture(2, 5, jax.random.key(0))().event_shape
    (2,)
    """

    logits: Array
    means: Array
    log_scales: Array

    def __init__(self, latent_dim: int, components: int, key: PRNGKeyArray) -> None:
        self.logits = jnp.zeros(components)
        self.means = 0.5 * jax.random.normal(key, (components, latent_dim))
        self.log_scales = jnp.zeros((components, latent_dim))

    def __call__(self) -> dist.Distribution:
        """The mixture; scales are kept in [exp(-5), exp(5)] so that no component shrinks to a
        point.
        """
        components = dist.Normal(
            self.means, jnp.exp(jnp.clip(self.log_scales, -5.0, 5.0))
        ).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=self.logits), components)


class VampPrior(eqx.Module):
    """p(z) = pi_0 N(z; 0, I) + sum_c pi_c q(z|u_c), q of learned pseudo-rows u_c (Tomczak and
    Welling 2018).

    Each q(z|u_c) stands as the diagonal Gaussian of its own mean and variance, and p(z) pulls on q
    through them too. The standard normal, with most of the weight at first, is not in the paper:
    where q is narrow, as at the linear start, no number of pseudo-rows covers the latents of other
    rows.

    Parameters
    ----------
    rows
        Where the pseudo-rows start, in model units, no cell missing, shape (C, D). Numbers are
        learned; levels of categorical columns stay as they are.
    low, high
        Ends of each column, shape (D,), those of the training rows. q sees pseudo-rows between
        them: else a count could be learned below zero, or a 0 / 1 above one, where no row is and q
        means nothing.
    """

    logits: Array
    rows: Array
    low: Fixed
    high: Fixed

    def __init__(self, rows: Array, low: Array, high: Array) -> None:
        self.logits = jnp.zeros(1 + len(rows)).at[0].set(jnp.log(9 * len(rows)))
        self.rows, self.low, self.high = jnp.asarray(rows), Fixed(low), Fixed(high)

    @property
    def inside(self) -> Array:
        """u_c, shape (C, D): the rows as they were learned, reflected at an end they went past.

        Clipped, as the paper's are, a cell past an end has no slope and stays there, and each 0 or
        1 starts at an end: on digits made black or white 93 % never moved, for 0.1 nats a row;
        reflected it is 0.02.
        """
        low, high = self.low.value, self.high.value
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


class FlowPrior(Prior):
    """p(z): z = f(u), u ~ N(0, I), f a normalising flow of affine couplings; needs two latents."""

    latent_dim: int = eqx.field(static=True)
    flow: CouplingFlow

    def __call__(self) -> dist.Distribution:
        """The flow of N(0, I)."""
        return Flow(dist.Normal(jnp.zeros(self.latent_dim), 1.0).to_event(1), self.flow)


class TwoLayerPrior(Prior):
    """p(h1, h2) = p(h2) p(h1|h2), p(h2) = N(0, I): of two stochastic layers, z = (h1, h2).

    Parameters
    ----------
    lower
        h2 -> distribution of h1.
    lower_dim, upper_dim
        Of h1 and h2.
    """

    lower: ConditionalGaussian
    lower_dim: int = eqx.field(static=True)
    upper_dim: int = eqx.field(static=True)

    def __call__(self) -> dist.Distribution:
        """The chain from h2 to h1."""
        upper = dist.Normal(jnp.zeros(self.upper_dim), 1.0).to_event(1)
        return Chain(upper, self.lower, self.lower_dim, backwards=True)

    @property
    def layer_sizes(self) -> tuple[int, int]:
        """Latents of h1 and of h2."""
        return self.lower_dim, self.upper_dim

    def describe(self) -> list[Layer]:
        """The layers from h2 to h1."""
        return self.lower.network.describe()


class BernoulliPrior(Prior):
    """p(z) = prod_j Bernoulli(z_j; p_j), learned."""

    logits: Array

    def __init__(self, latent_dim: int) -> None:
        self.logits = jnp.zeros(latent_dim)

    def __call__(self) -> dist.Distribution:
        """Independent bits."""
        return StraightThroughBernoulli(self.logits)


class CategoricalPrior(Prior):
    """p(z) = prod_g Categorical(z_g; p_g), learned: one-hot groups."""

    logits: Array

    def __init__(self, groups: int, levels: int) -> None:
        self.logits = jnp.zeros((groups, levels))

    def __call__(self) -> dist.Distribution:
        """Independent one-hot groups."""
        return StraightThroughCategorical(self.logits)
