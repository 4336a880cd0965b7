"""Section 2.4: which q(z|x) can be written z = T(eps; phi), eps ~ p(eps), so that gradients pass
through the sample.

From q(z) dz = p(eps) d eps follows E_q[f(z)] = E_p(eps)[f(T(eps; phi))], and the gradient with
respect to phi moves inside the expectation. The paper gives three routes, and `FAMILIES` lists
under each every distribution it names, one equation a line (q: the distribution with its parameters
phi). Distributions are NumPyro's, or `distributions`' in its form, so densities and supports are
theirs. A new family is a new line.

Where the paper's words need care: an Erlang has no elementary inverse CDF (`quantiles` computes
it); a Gamma is a sum of exponentials for integer shapes only, and otherwise the inverse CDF with
its implicit gradient; a Dirichlet is made of *normalised* Gammas. What location and scale do not
carry (Student's degrees of freedom, a triangle's peak, a radius) stays in p(eps), whose own draw
carries its gradient.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import softmax
from jax.scipy.special import expit
from numpyro.distributions import (
    Beta,
    Cauchy,
    Chi2,
    Dirichlet,
    Distribution,
    ExpandedDistribution,
    Exponential,
    Gamma,
    Gompertz,
    Gumbel,
    Independent,
    Laplace,
    Logistic,
    LogNormal,
    LogUniform,
    MultivariateNormal,
    MultivariateStudentT,
    Normal,
    Pareto,
    StudentT,
    Uniform,
    Weibull,
)
from numpyro.distributions.util import clamp_probs

from aevb.errors import ConfigError
from aevb_paper.reparameterization.distributions import (
    Elliptical,
    Erlang,
    FisherSnedecor,
    Rayleigh,
    Triangular,
    open_uniform,
)
from aevb_paper.reparameterization.quantiles import gamma_quantile, log_gamma_quantile

__all__ = [
    "FAMILIES",
    "Elliptical",
    "Erlang",
    "FisherSnedecor",
    "Rayleigh",
    "Route",
    "Triangular",
    "base",
    "gamma_quantile",
    "rsample",
    "transform",
]


class Route(NamedTuple):
    """How one family is reparameterized: `base(q)` is p(eps), `transform(q, eps)` is T(eps; phi)."""

    base: Callable[[Any], Distribution]
    transform: Callable[[Any, Array], Array]


def _inverse_cdf(equation: Callable[[Any, Array], Array]) -> Route:
    return Route(lambda q: open_uniform(q.batch_shape), equation)


def _location_scale(parts: Callable[[Any], tuple[Any, Any, Distribution]]) -> Route:
    """z = loc + scale * eps from (loc, scale, p(eps)); with vectors z = loc + L eps."""

    def affine(q: Distribution, eps: Array) -> Array:
        loc, scale, _ = parts(q)
        z: Array = loc + (
            jnp.einsum("...ij,...j->...i", scale, eps) if q.event_dim else scale * eps
        )
        return z

    return Route(lambda q: parts(q)[2].expand(q.batch_shape), affine)


def _uniforms(
    count: Callable[[Any], tuple[int, ...]], equation: Callable[[Any, Array], Array]
) -> Route:
    """A composition of several variates, each from its own uniform: eps has one more axis, of
    length `count`.
    """
    return Route(lambda q: open_uniform(q.batch_shape + count(q)).to_event(1), equation)


def _standard(q: Distribution) -> tuple[Array, Array]:
    return jnp.zeros(q.event_shape), jnp.eye(*q.event_shape)


def _sum_of_exponentials(count: Array, eps: Array) -> Array:
    """Of the first `count` along the last axis: the rows of a batch may add up different numbers of
    them.
    """
    return jnp.sum(
        jnp.where(jnp.arange(eps.shape[-1]) < count[..., None], -jnp.log1p(-eps), 0), axis=-1
    )


_INVERSE_CDF = {
    Exponential: _inverse_cdf(lambda q, eps: -jnp.log1p(-eps) / q.rate),
    Cauchy: _inverse_cdf(lambda q, eps: q.loc + q.scale * jnp.tan(jnp.pi * (eps - 0.5))),
    Logistic: _inverse_cdf(lambda q, eps: q.loc + q.scale * (jnp.log(eps) - jnp.log1p(-eps))),
    Rayleigh: _inverse_cdf(lambda q, eps: q.scale * jnp.sqrt(-2 * jnp.log1p(-eps))),
    Pareto: _inverse_cdf(lambda q, eps: q.scale * jnp.exp(-jnp.log1p(-eps) / q.alpha)),
    Weibull: _inverse_cdf(lambda q, eps: q.scale * (-jnp.log1p(-eps)) ** (1 / q.concentration)),
    LogUniform: _inverse_cdf(
        lambda q, eps: q.low * (q.high / q.low) ** eps
    ),  # the paper's "reciprocal"
    Gompertz: _inverse_cdf(lambda q, eps: jnp.log1p(-jnp.log1p(-eps) / q.concentration) / q.rate),
    Gumbel: _inverse_cdf(lambda q, eps: q.loc - q.scale * jnp.log(-jnp.log(eps))),
    Erlang: _inverse_cdf(lambda q, eps: gamma_quantile(q.concentration, eps) / q.rate),
}

_LOCATION_SCALE = {
    Laplace: _location_scale(lambda q: (q.loc, q.scale, Laplace())),
    Elliptical: _location_scale(
        lambda q: (q.loc, q.scale_tril, Elliptical(*_standard(q), q.radial))
    ),
    MultivariateNormal: _location_scale(
        lambda q: (q.loc, q.scale_tril, Normal().expand(q.event_shape).to_event(1))
    ),
    MultivariateStudentT: _location_scale(
        lambda q: (q.loc, q.scale_tril, MultivariateStudentT(q.df, *_standard(q)))
    ),
    StudentT: _location_scale(lambda q: (q.loc, q.scale, StudentT(q.df))),
    Logistic: _location_scale(lambda q: (q.loc, q.scale, Logistic())),
    Uniform: _location_scale(lambda q: (q.low, q.high - q.low, Uniform())),
    Triangular: _location_scale(
        lambda q: (q.low, q.high - q.low, Triangular(peak=(q.peak - q.low) / (q.high - q.low)))
    ),
    Normal: _location_scale(lambda q: (q.loc, q.scale, Normal())),
}

_COMPOSITION = {
    LogNormal: Route(
        lambda q: Normal().expand(q.batch_shape), lambda q, eps: jnp.exp(q.loc + q.scale * eps)
    ),
    Erlang: _uniforms(
        lambda q: (int(np.max(q.concentration)),),
        lambda q, eps: _sum_of_exponentials(jnp.asarray(q.concentration), eps) / q.rate,
    ),
    Gamma: _inverse_cdf(lambda q, eps: gamma_quantile(q.concentration, eps) / q.rate),
    Dirichlet: _uniforms(
        lambda q: q.event_shape,
        lambda q, eps: clamp_probs(softmax(log_gamma_quantile(q.concentration, eps))),
    ),
    Beta: _uniforms(
        lambda q: (2,),  # g1 / (g1 + g0)
        lambda q, eps: clamp_probs(expit(_log_ratio(q.concentration1, q.concentration0, eps))),
    ),
    Chi2: _inverse_cdf(lambda q, eps: 2 * gamma_quantile(q.df / 2, eps)),
    FisherSnedecor: _uniforms(
        lambda q: (2,),  # (g1 / df1) / (g2 / df2)
        lambda q, eps: (
            jnp.exp(_log_ratio(q.numerator_df / 2, q.denominator_df / 2, eps))
            * q.denominator_df
            / q.numerator_df
        ),
    ),
}

FAMILIES: dict[str, dict[type[Distribution], Route]] = {
    "inverse CDF": _INVERSE_CDF,
    "location-scale": _LOCATION_SCALE,
    "composition": _COMPOSITION,
}


def _log_ratio(above: Array, below: Array, eps: Array) -> Array:
    """log(g1 / g2) of two independent Gammas; the logarithm keeps small concentrations from
    underflowing.
    """
    return log_gamma_quantile(above, eps[..., 0]) - log_gamma_quantile(below, eps[..., 1])


def _route(q: Distribution, route: str | None) -> Route:
    if route is not None and route not in FAMILIES:
        raise ConfigError(f"expected a route among {', '.join(FAMILIES)}, got {route!r}")
    for family in type(q).__mro__:
        for name, families in FAMILIES.items():
            if family in families and route in (None, name):
                return families[family]
    by = f" by {route}" if route else ""
    raise ConfigError(
        f"expected a distribution that can be reparameterized{by}, got {type(q).__name__}; add its Route to FAMILIES"
    )


def base(q: Distribution, route: str | None = None) -> Distribution:
    """p(eps), of q's batch shape: what `transform` turns into draws of q.

    By composition an Erlang needs as many uniforms as its concentration, which must then be known
    when compiling.

    >>> from numpyro.distributions import Dirichlet
    >>> base(Dirichlet(jnp.ones((5, 3)))).shape()
    (5, 3)
    """
    if isinstance(q, Independent):
        return base(q.base_dist, route).to_event(q.reinterpreted_batch_ndims)
    if isinstance(q, ExpandedDistribution):
        return base(q.base_dist, route).expand(q.batch_shape)
    return _route(q, route).base(q)


def transform(q: Distribution, eps: Array, route: str | None = None) -> Array:
    """z = T(eps; phi), differentiable in phi.

    Parameters
    ----------
    q : the distribution that holds phi, one of `FAMILIES` (alone, expanded, or with `to_event`).
    eps : draws of `base(q, route)`: (samples..., batch..., event of the base). route : a name in
    `FAMILIES`, for a family with more than one; the first it is listed under where None.

    Returns
    -------
    (samples..., batch..., event...). Raises `ConfigError` where q has no such route.

    >>> from numpyro.distributions import Normal
    >>> float(transform(Normal(1.0, 2.0), jnp.array(0.5)))  # mu + sigma * eps
    2.0
    """
    if isinstance(q, Independent | ExpandedDistribution):
        return transform(q.base_dist, eps, route)
    return _route(q, route).transform(q, eps)


def rsample(
    q: Distribution, key: Array, sample_shape: tuple[int, ...] = (), route: str | None = None
) -> Array:
    """z ~ q as T(eps; phi) of a draw eps ~ p(eps), so that gradients reach phi: (samples...,
    batch..., event...).

    The gradient of E[z^2] = mu^2 + sigma^2, from draws:

    >>> import jax
    >>> from numpyro.distributions import Normal
    >>> def second_moment(mu, sigma):
    ...     return jnp.mean(rsample(Normal(mu, sigma), jax.random.key(0), (100_000,)) ** 2)
    >>> [round(float(g), 1) for g in jax.grad(second_moment, (0, 1))(1.0, 0.5)]
    [2.0, 1.0]
    """
    return transform(q, base(q, route).sample(key, sample_shape), route)
