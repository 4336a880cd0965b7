"""The distributions of section 2.4 that NumPyro lacks, in its form: Rayleigh, Erlang, triangular,
F, elliptical.

The methods without a docstring are those of `numpyro.distributions.Distribution`.
"""
# ruff: noqa: D102

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import betainc, betaln, gammaln
from jax.typing import ArrayLike
from numpyro.distributions import Chi2, Distribution, Gamma, Uniform, constraints
from numpyro.distributions.util import validate_sample

from aevb_paper.reparameterization.quantiles import gamma_quantile

__all__ = ["Elliptical", "Erlang", "FisherSnedecor", "Rayleigh", "Triangular", "open_uniform"]

Shape = tuple[int, ...]


def open_uniform(shape: Shape = ()) -> Distribution:
    """U(0, 1) that never draws 0 or 1, where inverse CDFs are infinite: the least draw is half the
    float spacing at 1.

    >>> from jax import random
    >>> eps = open_uniform().sample(random.key(0), (1000,))
    >>> bool(0 < eps.min()) and bool(eps.max() < 1)
    True
    """
    return Uniform(float(np.finfo(jnp.result_type(float)).eps) / 2, 1.0).expand(shape)


class Rayleigh(Distribution):
    """The length of a planar Gaussian vector: q(z) = z / scale^2 exp(-z^2 / 2 scale^2), z > 0.

    >>> round(float(Rayleigh(2.0).mean), 4)
    2.5066
    """

    arg_constraints: ClassVar = {"scale": constraints.positive}
    reparametrized_params: ClassVar = ["scale"]
    support = constraints.positive

    def __init__(self, scale: ArrayLike = 1.0, *, validate_args: bool | None = None) -> None:
        self.scale = jnp.asarray(scale, float)
        super().__init__(batch_shape=self.scale.shape, validate_args=validate_args)

    def sample(self, key: Array, sample_shape: Shape = ()) -> Array:
        return self.icdf(open_uniform(self.batch_shape).sample(key, sample_shape))

    @validate_sample  # type: ignore[untyped-decorator]
    def log_prob(self, value: Array) -> Array:
        return jnp.log(value) - 2 * jnp.log(self.scale) - jnp.square(value / self.scale) / 2

    def cdf(self, value: Array) -> Array:
        return -jnp.expm1(-jnp.square(value / self.scale) / 2)

    def icdf(self, q: Array) -> Array:
        return self.scale * jnp.sqrt(-2 * jnp.log1p(-q))

    @property
    def mean(self) -> Array:
        return self.scale * jnp.sqrt(jnp.pi / 2)

    @property
    def variance(self) -> Array:
        return (2 - jnp.pi / 2) * jnp.square(self.scale)


class Erlang(Gamma):
    """Gamma with an integer concentration k: the sum of k exponentials of one rate.

    >>> float(Erlang(3, 2.0).mean)
    1.5
    """

    arg_constraints: ClassVar = {
        "concentration": constraints.positive_integer,
        "rate": constraints.positive,
    }
    rate: Array

    def icdf(self, q: Array) -> Array:
        return gamma_quantile(self.concentration, q) / self.rate


class Triangular(Distribution):
    """Density rising in a line from `low` to `peak` and falling in a line to `high`; low < peak <
    high.

    >>> float(Triangular(0.0, 1.0, 0.25).log_prob(0.25))  # log of the height 2 / (high - low)
    0.6931...
    """

    arg_constraints: ClassVar = {
        name: constraints.dependent(is_discrete=False, event_dim=0)
        for name in ("low", "high", "peak")
    }
    reparametrized_params: ClassVar = ["low", "high", "peak"]

    def __init__(
        self,
        low: ArrayLike = 0.0,
        high: ArrayLike = 1.0,
        peak: ArrayLike = 0.5,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.low, self.high, self.peak = jnp.broadcast_arrays(low, high, peak)
        super().__init__(batch_shape=self.low.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)  # type: ignore[untyped-decorator]
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    def sample(self, key: Array, sample_shape: Shape = ()) -> Array:
        return self.icdf(open_uniform(self.batch_shape).sample(key, sample_shape))

    @validate_sample  # type: ignore[untyped-decorator]
    def log_prob(self, value: Array) -> Array:
        rising, falling = (
            (value - self.low) / (self.peak - self.low),
            (self.high - value) / (self.high - self.peak),
        )
        return jnp.log(2 * jnp.where(value < self.peak, rising, falling)) - jnp.log(
            self.high - self.low
        )

    def cdf(self, value: Array) -> Array:
        width = self.high - self.low
        rising = jnp.square(value - self.low) / width / (self.peak - self.low)
        falling = 1 - jnp.square(self.high - value) / width / (self.high - self.peak)
        return jnp.where(value < self.peak, rising, falling)

    def icdf(self, q: Array) -> Array:
        width = self.high - self.low
        rising = self.low + jnp.sqrt(q * width * (self.peak - self.low))
        falling = self.high - jnp.sqrt((1 - q) * width * (self.high - self.peak))
        return jnp.where(q < (self.peak - self.low) / width, rising, falling)

    @property
    def mean(self) -> Array:
        return (self.low + self.high + self.peak) / 3

    @property
    def variance(self) -> Array:
        rising, falling = self.peak - self.low, self.high - self.peak
        return (rising**2 + rising * falling + falling**2) / 18


class FisherSnedecor(Distribution):
    """The F distribution: the ratio of two independent chi-squared variates, each over its degrees
    of freedom.

    >>> round(float(FisherSnedecor(4.0, 6.0).mean), 4)
    1.5
    """

    arg_constraints: ClassVar = {
        "numerator_df": constraints.positive,
        "denominator_df": constraints.positive,
    }
    reparametrized_params: ClassVar = ["numerator_df", "denominator_df"]
    support = constraints.positive

    def __init__(
        self,
        numerator_df: ArrayLike,
        denominator_df: ArrayLike,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.numerator_df, self.denominator_df = jnp.broadcast_arrays(numerator_df, denominator_df)
        super().__init__(batch_shape=self.numerator_df.shape, validate_args=validate_args)

    def sample(self, key: Array, sample_shape: Shape = ()) -> Array:
        above, below = random.split(key)
        numerator: Array = Chi2(self.numerator_df).sample(above, sample_shape) / self.numerator_df
        denominator: Array = (
            Chi2(self.denominator_df).sample(below, sample_shape) / self.denominator_df
        )
        return numerator / denominator

    @validate_sample  # type: ignore[untyped-decorator]
    def log_prob(self, value: Array) -> Array:
        a, b, ratio = (
            self.numerator_df / 2,
            self.denominator_df / 2,
            self.numerator_df / self.denominator_df,
        )
        return (
            a * jnp.log(ratio)
            + (a - 1) * jnp.log(value)
            - (a + b) * jnp.log1p(ratio * value)
            - betaln(a, b)
        )

    def cdf(self, value: Array) -> Array:
        above = self.numerator_df * value
        return betainc(
            self.numerator_df / 2, self.denominator_df / 2, above / (above + self.denominator_df)
        )

    @property
    def mean(self) -> Array:
        d = self.denominator_df
        return jnp.where(d > 2, d / (d - 2), jnp.inf)

    @property
    def variance(self) -> Array:
        n, d = self.numerator_df, self.denominator_df
        return jnp.where(d > 4, 2 * d**2 * (n + d - 2) / (n * (d - 2) ** 2 * (d - 4)), jnp.inf)


class Elliptical(Distribution):
    """z = loc + L r s: r > 0 from `radial`, s uniform on the unit sphere of R^D (Cambanis, Huang &
    Simons 1981).

    With rho = |L^-1 (z - loc)|, log q(z) = log q_r(rho) - (D - 1) log rho - log(2 pi^(D/2) /
    Gamma(D/2)) - log |L|.

    Parameters
    ----------
    loc : (..., D); scale_tril : (..., D, D), L, lower triangular; radial : a distribution of r,
    batch shape (...).

    >>> from numpyro.distributions import MultivariateNormal
    >>> at, L = jnp.array([0.3, -0.2]), jnp.eye(2)  # a Rayleigh radius in the plane is the Gaussian
    >>> bool(jnp.allclose(Elliptical(jnp.zeros(2), L, Rayleigh()).log_prob(at), MultivariateNormal(0, L).log_prob(at)))
    True
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "scale_tril": constraints.lower_cholesky,
    }
    reparametrized_params: ClassVar = ["loc", "scale_tril"]
    pytree_data_fields = ("loc", "scale_tril", "radial")
    support = constraints.real_vector

    def __init__(
        self,
        loc: ArrayLike,
        scale_tril: ArrayLike,
        radial: Distribution,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale_tril, self.radial = jnp.asarray(loc), jnp.asarray(scale_tril), radial
        shape = lax.broadcast_shapes(
            self.loc.shape[:-1], self.scale_tril.shape[:-2], radial.batch_shape
        )
        super().__init__(shape, self.loc.shape[-1:], validate_args=validate_args)

    def sample(self, key: Array, sample_shape: Shape = ()) -> Array:
        along, around = random.split(key)
        radius = self.radial.expand(self.batch_shape).sample(along, sample_shape)
        direction = random.normal(around, self.shape(sample_shape))
        direction /= jnp.linalg.norm(direction, axis=-1, keepdims=True)
        return self.loc + jnp.einsum(
            "...ij,...j->...i", self.scale_tril, radius[..., None] * direction
        )

    @validate_sample  # type: ignore[untyped-decorator]
    def log_prob(self, value: Array) -> Array:
        (dimension,) = self.event_shape
        centred = value - self.loc
        scale = jnp.broadcast_to(self.scale_tril, (*centred.shape, dimension))
        radius = jnp.linalg.norm(
            solve_triangular(scale, centred[..., None], lower=True)[..., 0], axis=-1
        )
        log_sphere = jnp.log(2.0) + dimension / 2 * jnp.log(jnp.pi) - gammaln(dimension / 2)
        log_volume = jnp.log(jnp.diagonal(self.scale_tril, axis1=-2, axis2=-1)).sum(-1)
        log_prob: Array = (
            self.radial.log_prob(radius)
            - (dimension - 1) * jnp.log(radius)
            - log_sphere
            - log_volume
        )
        return log_prob

    @property
    def mean(self) -> Array:
        return jnp.broadcast_to(self.loc, self.shape())
