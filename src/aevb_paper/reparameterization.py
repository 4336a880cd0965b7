r"""Section 2.4: which q(z) can be written z = T(eps; phi), eps ~ p(eps), to pass gradients to phi.

From q(z) dz = p(eps) d eps follows E_q[f(z)] = E_p(eps)[f(T(eps; phi))], and the gradient with
respect to phi moves inside the expectation. The paper gives three techniques, and `FAMILIES` has
every distribution that it names, as a function (q, eps) -> z in which q holds phi.

Where the paper's words need care: a Rayleigh is a Weibull; an Erlang is a Gamma with an integer
concentration, and has no elementary inverse CDF; a Gamma is a sum of exponentials for integer
concentrations only, and otherwise the inverse CDF with its implicit gradient; a Dirichlet is made
of *normalized* Gammas. What location and scale do not carry (Student's degrees of freedom, a
triangle's peak, a radius) stays in p(eps), whose own draw carries its gradient.

The gradient of E[z^2] = mu^2 + sigma^2, from draws:

>>> import jax
>>> gaussian = FAMILIES["location-scale"][-1]
>>> eps = gaussian.noise(gaussian.q).sample(jax.random.key(0), (100_000,))
>>> def second_moment(mu, sigma):
...     return jnp.mean(gaussian.transform(Normal(mu, sigma), eps) ** 2)
>>> [round(float(slope), 1) for slope in jax.grad(second_moment, (0, 1))(1.0, 0.5)]
[2.0, 1.0]
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
    Exponential,
    Gamma,
    Gompertz,
    Gumbel,
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

from aevb_paper.distributions import Elliptical, FisherSnedecor, Triangular, open_uniform
from aevb_paper.gamma_quantile import gamma_quantile, log_gamma_quantile

__all__ = [
    "FAMILIES",
    "Family",
    "Margin",
]

# The three techniques


class Margin(NamedTuple):
    """The number of a vector that is drawn: how it is computed, its name, its distribution."""

    number: Callable[[Array], Array]
    name: str
    law: Distribution


class Family(NamedTuple):
    """A family of distributions, and one way to write its draws.

    Attributes
    ----------
    name, equation
        The family, and T(eps; phi) with the usual letters for its parameters, in TeX.
    q
        An example of it.
    ends
        Where the example is drawn.
    noise
        q -> p(eps).
    transform
        (q, eps) -> z = T(eps; phi), differentiable in phi, which q holds.
    margin
        What is drawn of a vector.
    """

    name: str
    equation: str
    q: Distribution
    ends: tuple[float, float]
    noise: Callable[[Any], Distribution]
    transform: Callable[[Any, Array], Array]
    margin: Margin | None = None


FAMILIES: dict[str, list[Family]] = {"inverse CDF": [], "location-scale": [], "composition": []}

Transform = Callable[[Any, Array], Array]


def _uniform(q: Distribution) -> Distribution:
    return open_uniform()


def family(
    technique: str,
    name: str,
    equation: str,
    q: Distribution,
    ends: tuple[float, float],
    noise: Callable[[Any], Distribution] = _uniform,
    margin: Margin | None = None,
) -> Callable[[Transform], Transform]:
    """Add a family to `FAMILIES`, with the decorated function as its transform."""

    def add(transform: Transform) -> Transform:
        FAMILIES[technique].append(Family(name, equation, q, ends, noise, transform, margin))
        return transform

    return add


# Inverse CDF: z = F^-1(eps), eps ~ U(0, 1)


@family("inverse CDF", "Exponential", r"$-\ln(1-\varepsilon)/\lambda$", Exponential(1.0), (0, 5))
def _exponential(q: Exponential, eps: Array) -> Array:
    return -jnp.log1p(-eps) / q.rate


@family(
    "inverse CDF",
    "Cauchy",
    r"$\mu+\gamma\,\tan\pi(\varepsilon-\frac{1}{2})$",
    Cauchy(0.0, 1.0),
    (-7, 7),
)
def _cauchy(q: Cauchy, eps: Array) -> Array:
    return q.loc + q.scale * jnp.tan(jnp.pi * (eps - 0.5))


@family(
    "inverse CDF",
    "Logistic",
    r"$\mu+s\,\ln\frac{\varepsilon}{1-\varepsilon}$",
    Logistic(0.0, 1.0),
    (-7, 7),
)
def _logistic(q: Logistic, eps: Array) -> Array:
    return q.loc + q.scale * (jnp.log(eps) - jnp.log1p(-eps))


@family(
    "inverse CDF",
    "Rayleigh",
    r"$\sigma\sqrt{-2\ln(1-\varepsilon)}$",
    Weibull(2**0.5, 2.0),
    (0, 4),
)
def _rayleigh(q: Weibull, eps: Array) -> Array:
    # q(z) = z / sigma^2 exp(-z^2 / 2 sigma^2), the length of a planar Gaussian
    sigma = q.scale / jnp.sqrt(2)
    return sigma * jnp.sqrt(-2 * jnp.log1p(-eps))


@family("inverse CDF", "Pareto", r"$m\,(1-\varepsilon)^{-1/\alpha}$", Pareto(1.0, 2.0), (1, 6))
def _pareto(q: Pareto, eps: Array) -> Array:
    return q.scale * jnp.exp(-jnp.log1p(-eps) / q.alpha)


@family(
    "inverse CDF", "Weibull", r"$\lambda\,(-\ln(1-\varepsilon))^{1/k}$", Weibull(1.0, 2.0), (0, 3)
)
def _weibull(q: Weibull, eps: Array) -> Array:
    return q.scale * (-jnp.log1p(-eps)) ** (1 / q.concentration)


@family("inverse CDF", "Reciprocal", r"$a\,(b/a)^{\varepsilon}$", LogUniform(0.5, 4.0), (0.5, 4))
def _reciprocal(q: LogUniform, eps: Array) -> Array:
    return q.low * (q.high / q.low) ** eps


@family(
    "inverse CDF",
    "Gompertz",
    r"$\frac{1}{b}\ln(1-\frac{1}{\eta}\ln(1-\varepsilon))$",
    Gompertz(0.3, 1.0),
    (0, 3.5),
)
def _gompertz(q: Gompertz, eps: Array) -> Array:
    return jnp.log1p(-jnp.log1p(-eps) / q.concentration) / q.rate


@family("inverse CDF", "Gumbel", r"$\mu-\beta\ln(-\ln\varepsilon)$", Gumbel(0.0, 1.0), (-3, 7))
def _gumbel(q: Gumbel, eps: Array) -> Array:
    return q.loc - q.scale * jnp.log(-jnp.log(eps))


@family("inverse CDF", "Erlang", r"$P^{-1}(k,\varepsilon)/\lambda$", Gamma(3.0, 1.0), (0, 10))
def _erlang(q: Gamma, eps: Array) -> Array:
    return gamma_quantile(q.concentration, eps) / q.rate


# Location and scale: z = location + scale eps, eps from the standard distribution of the family


def _first(z: Array) -> Array:
    return z[..., 0]


def _radius(z: Array) -> Array:
    """The length of L^-1 z, of which the density of the elliptical example is a function."""
    return jnp.linalg.norm(jnp.linalg.solve(_factor(), z[..., None])[..., 0], axis=-1)


def _factor() -> np.ndarray:
    """L of the vectors that are drawn."""
    return np.array([[1.0, 0.0], [0.8, 0.6]])


def _shift(q: Normal, eps: Array) -> Array:
    return q.loc + q.scale * eps


def _shift_vector(q: MultivariateNormal, eps: Array) -> Array:
    return q.loc + jnp.einsum("ij,...j->...i", q.scale_tril, eps)


def _stretch(q: Uniform, eps: Array) -> Array:
    return q.low + (q.high - q.low) * eps


FAMILIES["location-scale"] = [
    Family("Laplace", r"$\mu+b\,\varepsilon$", Laplace(), (-6, 6), lambda q: Laplace(), _shift),
    Family(
        "Elliptical",
        r"$\mu+L\,\varepsilon$",
        Elliptical(np.zeros(2), _factor(), Gamma(3.0, 1.0)),
        (0, 10),
        lambda q: q.base_dist,
        _shift_vector,
        Margin(_radius, r"$|L^{-1}\mathbf{z}|$", Gamma(3.0, 1.0)),
    ),
    Family(
        "Gaussian, full covariance",
        r"$\mu+L\,\varepsilon$",
        MultivariateNormal(np.zeros(2), scale_tril=_factor()),
        (-4, 4),
        lambda q: Normal().expand(q.event_shape).to_event(1),
        _shift_vector,
        Margin(_first, r"$z_1$", Normal()),
    ),
    Family(
        "Student's t, of vectors",
        r"$\mu+L\,\varepsilon$",
        MultivariateStudentT(4.0, np.zeros(2), _factor()),
        (-6, 6),
        lambda q: MultivariateStudentT(q.df, jnp.zeros(q.event_shape), jnp.eye(*q.event_shape)),
        _shift_vector,
        Margin(_first, r"$z_1$", StudentT(4.0)),
    ),
    Family(
        "Student's t",
        r"$\mu+\sigma\,\varepsilon$",
        StudentT(3.0),
        (-6, 6),
        lambda q: StudentT(q.df),
        _shift,
    ),
    Family("Logistic", r"$\mu+s\,\varepsilon$", Logistic(), (-7, 7), lambda q: Logistic(), _shift),
    Family(
        "Uniform",
        r"$a+(b-a)\,\varepsilon$",
        Uniform(-1.0, 1.0),
        (-1, 1),
        lambda q: Uniform(),
        _stretch,
    ),
    Family(
        "Triangular",
        r"$a+(b-a)\,\varepsilon$",
        Triangular(0.0, 3.0, 1.0),
        (0, 3),
        lambda q: q.base_dist,
        _stretch,
    ),
    Family("Gaussian", r"$\mu+\sigma\,\varepsilon$", Normal(), (-4, 4), lambda q: Normal(), _shift),
]


# Composition: z is made of other variates that are functions of eps


@family(
    "composition",
    "Log-Normal",
    r"$\exp(\mu+\sigma\,\varepsilon),\ \varepsilon\sim\mathcal{N}$",
    LogNormal(0.0, 0.6),
    (0, 5),
    lambda q: Normal(),
)
def _log_normal(q: LogNormal, eps: Array) -> Array:
    return jnp.exp(q.loc + q.scale * eps)


@family(
    "composition",
    "Erlang",
    r"$(e_1+\cdots+e_k)/\lambda$",
    Gamma(3.0, 1.0),
    (0, 10),
    lambda q: open_uniform(int(q.concentration)),
)
def _sum_of_exponentials(q: Gamma, eps: Array) -> Array:
    return jnp.sum(-jnp.log1p(-eps), axis=-1) / q.rate


@family("composition", "Gamma", r"$P^{-1}(\alpha,\varepsilon)/\beta$", Gamma(2.5, 1.0), (0, 9))
def _gamma(q: Gamma, eps: Array) -> Array:
    return gamma_quantile(q.concentration, eps) / q.rate


@family(
    "composition",
    "Dirichlet",
    r"$g_i/(g_1+\cdots+g_K)$",
    Dirichlet(np.array([2.0, 3.0, 4.0])),
    (0, 1),
    lambda q: open_uniform(*q.event_shape),
    Margin(_first, r"$z_1$", Beta(2.0, 7.0)),
)
def _dirichlet(q: Dirichlet, eps: Array) -> Array:
    return clamp_probs(softmax(log_gamma_quantile(q.concentration, eps)))


def _log_ratio(above: Array, below: Array, eps: Array) -> Array:
    """log(g1 / g2) of two Gammas; the logarithm keeps small concentrations from underflowing."""
    return log_gamma_quantile(above, eps[..., 0]) - log_gamma_quantile(below, eps[..., 1])


@family(
    "composition",
    "Beta",
    r"$g_1/(g_1+g_2)$",
    Beta(2.0, 3.0),
    (0, 1),
    lambda q: open_uniform(2),
)
def _beta(q: Beta, eps: Array) -> Array:
    return clamp_probs(expit(_log_ratio(q.concentration1, q.concentration0, eps)))


@family("composition", "Chi-Squared", r"$2\,P^{-1}(\nu/2,\varepsilon)$", Chi2(4.0), (0, 14))
def _chi2(q: Chi2, eps: Array) -> Array:
    return 2 * gamma_quantile(q.df / 2, eps)


@family(
    "composition",
    "F",
    r"$(g_1/\nu_1)\,/\,(g_2/\nu_2)$",
    FisherSnedecor(5.0, 8.0),
    (0, 6),
    lambda q: open_uniform(2),
)
def _f(q: FisherSnedecor, eps: Array) -> Array:
    ratio = jnp.exp(_log_ratio(q.numerator_df / 2, q.denominator_df / 2, eps))
    return ratio * q.denominator_df / q.numerator_df
