"""Distributions of section 2.4 that NumPyro lacks."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jax.scipy.special import gammaln
from jax.typing import ArrayLike
from numpyro.distributions import Beta, Distribution, TransformedDistribution, Uniform, constraints
from numpyro.distributions.transforms import (
    AffineTransform,
    ExpTransform,
    LowerCholeskyAffine,
    SigmoidTransform,
)

__all__ = [
    "Elliptical",
    "FisherSnedecor",
    "Spherical",
    "StandardTriangular",
    "Triangular",
    "open_uniform",
]


def open_uniform(count: int | None = None) -> Distribution:
    """U(0, 1) that never draws 0 or 1, where inverse CDFs are infinite; `count` of them.

    Its smallest draw is half the spacing of floats at 1.
    """
    one = Uniform(float(np.finfo(jnp.result_type(float)).eps) / 2, 1.0)
    return one if count is None else one.expand((count,)).to_event(1)


class FisherSnedecor(TransformedDistribution):
    """The F distribution: the ratio of two chi-squared variates over their degrees of freedom."""

    def __init__(self, numerator_df: ArrayLike, denominator_df: ArrayLike) -> None:
        self.numerator_df = jnp.asarray(numerator_df)
        self.denominator_df = jnp.asarray(denominator_df)
        share = Beta(self.numerator_df / 2, self.denominator_df / 2)
        ratio = AffineTransform(0.0, self.denominator_df / self.numerator_df)
        super().__init__(share, [SigmoidTransform().inv, ExpTransform(), ratio])


class StandardTriangular(Distribution):
    """Density on (0, 1), rising in a line to 2 at `peak` and falling in a line from there.

    >>> float(StandardTriangular(0.25).log_prob(0.25))
    0.6931...
    """

    arg_constraints: ClassVar = {"peak": constraints.unit_interval}
    support = constraints.unit_interval

    def __init__(self, peak: ArrayLike) -> None:
        self.peak = jnp.asarray(peak)
        super().__init__(batch_shape=self.peak.shape)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draw by the inverse CDF."""
        u = open_uniform().sample(key, sample_shape + self.batch_shape)
        rising, falling = jnp.sqrt(u * self.peak), 1 - jnp.sqrt((1 - u) * (1 - self.peak))
        return jnp.where(u < self.peak, rising, falling)

    def log_prob(self, value: Array) -> Array:
        """The log density."""
        rising, falling = value / self.peak, (1 - value) / (1 - self.peak)
        return jnp.log(2 * jnp.where(value < self.peak, rising, falling))


class Triangular(TransformedDistribution):
    """Density rising in a line from `low` to `peak` and falling in a line to `high`."""

    def __init__(self, low: ArrayLike, high: ArrayLike, peak: ArrayLike) -> None:
        self.low, self.high = jnp.asarray(low), jnp.asarray(high)
        width = self.high - self.low
        standard = StandardTriangular((jnp.asarray(peak) - self.low) / width)
        super().__init__(standard, AffineTransform(self.low, width))


class Spherical(Distribution):
    """r s: r > 0 from `radial`, s uniform on the unit sphere of R^D (Cambanis et al. 1981).

    log p(z) = log p_r(|z|) - (D - 1) log |z| - log(2 pi^(D/2) / Gamma(D/2)).
    """

    arg_constraints: ClassVar[dict[str, object]] = {}
    pytree_data_fields = ("radial",)
    support = constraints.real_vector

    def __init__(self, radial: Distribution, dimension: int) -> None:
        self.radial = radial
        super().__init__(event_shape=(dimension,))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draw a length and a direction."""
        along, around = random.split(key)
        radius = self.radial.sample(along, sample_shape)
        direction = random.normal(around, self.shape(sample_shape))
        return radius[..., None] * direction / jnp.linalg.norm(direction, axis=-1, keepdims=True)

    def log_prob(self, value: Array) -> Array:
        """The log density."""
        (d,) = self.event_shape
        radius = jnp.linalg.norm(value, axis=-1)
        log_sphere = jnp.log(2.0) + d / 2 * jnp.log(jnp.pi) - gammaln(d / 2)
        log_prob: Array = self.radial.log_prob(radius) - (d - 1) * jnp.log(radius) - log_sphere
        return log_prob


class Elliptical(TransformedDistribution):
    """loc + L r s, with r s as in `Spherical`: contours of its density are ellipses.

    >>> from numpyro.distributions import MultivariateNormal, Weibull
    >>> z, L = jnp.array([0.3, -0.2]), jnp.eye(2)
    >>> q = Elliptical(jnp.zeros(2), L, Weibull(2**0.5, 2.0))  # the radius of a planar Gaussian
    >>> float(q.log_prob(z) - MultivariateNormal(0, L).log_prob(z))
    0.0
    """

    def __init__(self, loc: ArrayLike, scale_tril: ArrayLike, radial: Distribution) -> None:
        self.loc, self.scale_tril = jnp.asarray(loc), jnp.asarray(scale_tril)
        standard = Spherical(radial, len(self.loc))
        super().__init__(standard, LowerCholeskyAffine(self.loc, self.scale_tril))
