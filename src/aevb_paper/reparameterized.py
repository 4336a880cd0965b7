"""Card 4: z = T(eps; phi), eps ~ p(eps) (section 2.4, eq. 4 and 5), and what it does to the
variance of gradients.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from numpyro.distributions import Normal

from aevb import objectives
from aevb_paper.bound import log_joint
from aevb_paper.checks import Check, quickly
from aevb_paper.families import experiment, listed
from aevb_paper.linear_gaussian import Row, as_vae, log_density, nodes, rows
from aevb_paper.reparameterization import FAMILIES, transform

__all__ = [
    "CHECKS",
    "measured",
    "path_gradient",
    "path_variance",
    "score_gradient",
    "score_variance",
]

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

DRAWS = 100_000


# The formulas, for z ~ N(mean, scale^2).


def z_of(eps: Array, mean: float, scale: float) -> Array:
    """z = T(eps; phi) = mean + scale eps."""
    return mean + scale * eps


def slopes_of_z(eps: Array, scale: float) -> Array:
    """dz/d mean = 1 and dz/d log scale^2 = scale eps / 2; shape (2, ...)."""
    return np.stack([np.ones_like(eps), scale * eps / 2])


def path_gradient(slope: Function, eps: Array, mean: float, scale: float) -> Array:
    """f'(T(eps; phi)) dT/d phi: of E_q[f(z)], with z = T(eps; phi)."""
    return slope(z_of(eps, mean, scale)) * slopes_of_z(eps, scale)


def score(z: Array, mean: float, scale: float) -> Array:
    """d log q(z) / d phi, of phi = (mean, log scale^2)."""
    standard = (z - mean) / scale
    return np.stack([standard / scale, (standard**2 - 1) / 2])


def score_gradient(f: Function, z: Array, mean: float, scale: float) -> Array:
    """f(z) d log q(z) / d phi: of E_q[f(z)], with z ~ q."""
    return f(z) * score(z, mean, scale)


def gradient(mean: float, scale: float) -> Array:
    """Of E_q[z^2] = mean^2 + scale^2, with respect to mean and log scale^2."""
    return np.array([2 * mean, scale**2])


def path_variance(scale: float) -> float:
    """Of the path gradient of E_q[z^2] with respect to the mean, one draw: 4 scale^2."""
    return 4 * scale**2


def score_variance(mean: float, scale: float) -> float:
    """Of the score-function gradient of the same: mean^4 / scale^2 + 14 mean^2 + 15 scale^2."""
    return mean**4 / scale**2 + 14 * mean**2 + 15 * scale**2


# How far each is from true.

#: (mean, scale) of q where it is measured.
PLACES = ((1.0, 0.5), (-0.6, 1.5), (2.0, 0.2))


def _square(z: Array) -> Array:
    return z**2


def _twice(z: Array) -> Array:
    return 2 * z


def _the_packages() -> float:
    """Of `aevb_paper.reparameterization.transform`, by automatic differentiation."""
    eps = np.random.default_rng(0).normal(size=50)
    errors = []
    with jax.enable_x64(True):
        for mean, scale in PLACES:
            z, slopes = transform(Normal(mean, scale), jnp.asarray(eps)), []
            for one in ((1.0, 0.0), (0.0, 1.0)):
                move = lambda m, v: transform(Normal(m, jnp.exp(v / 2)), jnp.asarray(eps))  # noqa: E731
                slopes.append(jax.jvp(move, (mean, 2 * np.log(scale)), one)[1])
            errors += [np.abs(z - z_of(eps, mean, scale)).max()]
            errors += [np.abs(np.stack(slopes) - slopes_of_z(eps, scale)).max()]
    return float(max(errors))


def _same_expectation() -> float:
    """E_q[f(z)] = E_p(eps)[f(T(eps; phi))], f(z) = log(1 + e^z): the left by sums over z, the right
    over eps.
    """
    errors, z = [], np.linspace(-25.0, 25.0, 20_001)
    for mean, scale in PLACES:
        q = np.exp(-(((z - mean) / scale) ** 2) / 2) / (scale * np.sqrt(2 * np.pi))
        eps, weights = nodes(np.zeros(1), np.ones(1), 60)
        left = np.sum(q * np.logaddexp(0, z)) * (z[1] - z[0])
        errors.append(abs(left - weights @ np.logaddexp(0, z_of(eps[:, 0], mean, scale))))
    return float(max(errors))


def _means(way: str) -> float:
    """The gradient in the mean, by a quadrature that is exact for polynomials."""
    errors = []
    for mean, scale in PLACES:
        values, weights = _values(way, mean, scale)
        errors.append(np.abs(values @ weights - gradient(mean, scale)).max())
    return float(max(errors))


def _variances(way: str) -> float:
    errors = []
    for mean, scale in PLACES:
        values, weights = _values(way, mean, scale)
        variance = values[0] ** 2 @ weights - (values[0] @ weights) ** 2
        errors.append(abs(variance / _known_variance(way, mean, scale) - 1))
    return float(max(errors))


def _values(way: str, mean: float, scale: float) -> tuple[Array, Array]:
    eps, weights = nodes(np.zeros(1), np.ones(1), 20)
    return _gradients(way, eps[:, 0], mean, scale), weights


def _gradients(way: str, eps: Array, mean: float, scale: float) -> Array:
    if way == "path":
        return path_gradient(_twice, eps, mean, scale)
    return score_gradient(_square, mean + scale * eps, mean, scale)


def _known_variance(way: str, mean: float, scale: float) -> float:
    return path_variance(scale) if way == "path" else score_variance(mean, scale)


def measured(way: str, mean: float, scale: float, draws: int = DRAWS) -> tuple[float, float]:
    """Variance of one draw's gradient with respect to the mean, from draws, and its standard error."""
    eps = np.random.default_rng(1).normal(size=draws)
    squares = (_gradients(way, eps, mean, scale)[0] - gradient(mean, scale)[0]) ** 2
    return float(squares.mean()), float(squares.std() / np.sqrt(draws))


def _measured() -> float:
    errors = []
    for way in ("path", "score"):
        for mean, scale in PLACES:
            variance, error = measured(way, mean, scale)
            errors.append(abs(variance - _known_variance(way, mean, scale)) / error)
    return max(errors)


@cache
def wine() -> Row:
    """A row with a q(z|x) that is one posterior deviation off, either way, and somewhat too wide."""
    row = rows()[0]
    off = row.posterior_scale * np.array([1.0, -1.0])
    return row._replace(mean=row.posterior_mean + off, scale=1.2 * row.posterior_scale)


class Slopes(NamedTuple):
    """Gradients of the bound of one wine with respect to q's means, one draw each: shape (draws,
    2).
    """

    path: Array
    score: Array


@cache
def slopes_of_the_bound() -> Slopes:
    """By this package's estimators: `objectives.sgvb_a`, and `objectives.score` with one draw and
    so no baseline.
    """
    row = wine()
    keys = jax.random.split(jax.random.key(0), DRAWS)

    def of(estimator: Callable[..., Any]) -> Array:
        bound = lambda mean, key: estimator(
            as_vae(row._replace(mean=mean)), jnp.asarray(row.x), key
        )
        slopes = quickly(jax.vmap(jax.grad(bound), (None, 0)))(jnp.asarray(row.mean), keys)
        return np.asarray(slopes, np.float64)

    with jax.enable_x64(True):
        return Slopes(of(objectives.sgvb_a), of(objectives.score))


def slope_of_the_bound() -> Array:
    """dL/dm of the bound in closed form: (mu - m) / sigma^2, as L = log p(x) - KL(N(m, s^2) ||
    N(mu, sigma^2)).
    """
    row = wine()
    return (row.posterior_mean - row.mean) / row.posterior_scale**2


def _of_the_bound(way: str) -> float:
    slopes: Array = getattr(slopes_of_the_bound(), way)
    error = slopes.std(axis=0) / np.sqrt(len(slopes))
    return float(np.abs((slopes.mean(axis=0) - slope_of_the_bound()) / error).max())


def path_variance_of_the_bound() -> Array:
    """Of one draw's gradient along the path, -(z - mu) / sigma^2: s^2 / sigma^4, for each latent."""
    row = wine()
    return row.scale**2 / row.posterior_scale**4


def score_variance_of_the_bound() -> Array:
    """Of one draw's gradient by the score function, f(z) (z - m) / s^2 with f = log p(x, z) - log
    q(z|x).
    """
    row = wine()
    z, weights = nodes(row.mean, row.scale)
    f = log_joint(row, z) - log_density(z, row.mean, row.scale**2)
    gradients = f[:, None] * (z - row.mean) / row.scale**2
    return np.diag(np.cov(gradients.T, aweights=weights, ddof=0))


def _variance_of_the_bound(way: str) -> float:
    """Measured, less what it should be, in standard errors."""
    slopes: Array = getattr(slopes_of_the_bound(), way)
    known = path_variance_of_the_bound() if way == "path" else score_variance_of_the_bound()
    squares = (slopes - slope_of_the_bound()) ** 2
    return float(
        np.abs((squares.mean(axis=0) - known) / (squares.std(axis=0) / np.sqrt(len(squares)))).max()
    )


# The families.


def log_density_of_noise(log_q: Array, slope: Array) -> Array:
    """log p(eps) = log q(T(eps; phi)) + log |dT/d eps|, from q(z) dz = p(eps) d eps."""
    return log_q + np.log(np.abs(slope))


def _change_of_variables() -> float:
    """Of every family in which one number eps makes one number z."""
    experiments = (experiment(route, example) for route, example in listed())
    return max(
        float(np.abs(log_density_of_noise(found.log_q, found.slope) - found.log_noise).max())
        for found in experiments
        if found.log_q is not None and found.slope is not None and found.log_noise is not None
    )


def _families(route: str) -> float:
    """chi^2 of the histogram of T(eps; phi) against q's density, in standard errors; the worst
    family of a route.
    """
    return max(
        abs(experiment(route, example).histogram.excess)
        for name, example in listed()
        if name == route
    )


def _of_families(route: str) -> Check:
    return Check(
        f"{route}: T(eps; phi) of all {len(FAMILIES[route])} families follows q",
        partial(_families, route),
        (),
        tolerance=4,
        unit="standard errors",
    )


CHECKS = (
    Check(
        "z = mu + sigma eps is the package's transform, and its slopes are 1 and sigma eps / 2",
        _the_packages,
        (z_of, slopes_of_z),
    ),
    Check("E_q[f(z)] = E_p(eps)[f(T(eps; phi))]", _same_expectation, (z_of,)),
    Check(
        "q(z) dz = p(eps) d eps, of every family of one number",
        _change_of_variables,
        (log_density_of_noise,),
    ),
    Check(
        "the gradient along the path is that of E_q[z^2] in the mean",
        partial(_means, "path"),
        (path_gradient, z_of, slopes_of_z, gradient),
    ),
    Check(
        "the gradient by the score function is that of E_q[z^2] in the mean",
        partial(_means, "score"),
        (score_gradient, score, gradient),
    ),
    Check(
        "the variance along the path is 4 sigma^2",
        partial(_variances, "path"),
        (path_variance,),
    ),
    Check(
        "the variance by the score function is mu^4 / sigma^2 + 14 mu^2 + 15 sigma^2",
        partial(_variances, "score"),
        (score_variance,),
    ),
    Check(
        f"both variances, measured from {DRAWS:,} draws, are what they should be",
        _measured,
        (path_variance, score_variance, gradient),
        tolerance=4,
        unit="standard errors",
    ),
    Check(
        "the gradient of the bound of a wine along the path is right in the mean",
        partial(_of_the_bound, "path"),
        (slope_of_the_bound,),
        tolerance=4,
        unit="standard errors",
    ),
    Check(
        "the gradient of the bound of a wine by the score function is right in the mean",
        partial(_of_the_bound, "score"),
        (slope_of_the_bound,),
        tolerance=4,
        unit="standard errors",
    ),
    Check(
        "the variance of the gradient of the bound along the path, measured, is s^2 / sigma^4",
        partial(_variance_of_the_bound, "path"),
        (path_variance_of_the_bound,),
        tolerance=4,
        unit="standard errors",
    ),
    Check(
        "the variance of the gradient of the bound by the score function, measured, is that of f(z) d log q(z|x) / dm",
        partial(_variance_of_the_bound, "score"),
        (score_variance_of_the_bound,),
        tolerance=4,
        unit="standard errors",
    ),
    *map(_of_families, FAMILIES),
)
