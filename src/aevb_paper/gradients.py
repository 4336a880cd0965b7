"""Card 4: z = T(eps; phi), eps ~ p(eps) (section 2.4, eq. 4 and 5), and how gradients vary."""
# ruff: noqa: D103 - the name of a check says what it checks

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.distributions import Normal

from aevb.objectives import score, sgvb_a
from aevb_paper.bound import log_joint
from aevb_paper.checks import Check, check, compile_quickly
from aevb_paper.linear_gaussian import Row, Vector, as_vae, log_density, nodes, rows
from aevb_paper.reparameterization import FAMILIES, Family

__all__ = [
    "Histogram",
    "change_of_variables",
    "count_draws",
    "family_checks",
    "gradient_of_bound",
    "gradients_of_bound",
    "histograms",
    "measured_variances",
    "path_gradient",
    "path_mean",
    "path_mean_of_bound",
    "path_variance",
    "path_variance_check",
    "path_variance_of_bound",
    "same_expectation",
    "score_gradient",
    "score_mean",
    "score_mean_of_bound",
    "score_variance",
    "score_variance_check",
    "score_variance_of_bound",
    "transform_of_gaussian",
    "variance_of_draws",
]

# The formulas, for z ~ N(mean, scale^2) and phi = (mean, log scale^2)

Function = Callable[[Vector], Vector]


def z_of(eps: Vector, mean: float, scale: float) -> Vector:
    """z = T(eps; phi) = mean + scale eps."""
    return mean + scale * eps


def slopes_of_z(eps: Vector, scale: float) -> Vector:
    """dz/d mean = 1 and dz/d log scale^2 = scale eps / 2; shape (2, ...)."""
    return np.stack([np.ones_like(eps), scale * eps / 2])


def path_gradient(eps: Vector, mean: float, scale: float) -> Vector:
    """The gradient of E_q[f(z)] by eps: f'(T(eps; phi)) dT/d phi, f(z) = z^2."""
    return 2 * z_of(eps, mean, scale) * slopes_of_z(eps, scale)


def score_gradient(eps: Vector, mean: float, scale: float) -> Vector:
    """The gradient of E_q[f(z)] by z ~ q: f(z) d log q(z) / d phi, f(z) = z^2."""
    z = z_of(eps, mean, scale)
    standard = (z - mean) / scale
    return z**2 * np.stack([standard / scale, (standard**2 - 1) / 2])


def gradient(mean: float, scale: float) -> Vector:
    """The gradient of E_q[z^2] = mean^2 + scale^2."""
    return np.array([2 * mean, scale**2])


def path_variance(mean: float, scale: float) -> float:
    """Variance of one draw of the path gradient with respect to the mean: 4 scale^2."""
    return 4 * scale**2


def score_variance(mean: float, scale: float) -> float:
    """The same of the score-function gradient: mean^4 / scale^2 + 14 mean^2 + 15 scale^2."""
    return mean**4 / scale**2 + 14 * mean**2 + 15 * scale**2


Gradient = Callable[[Vector, float, float], Vector]


def places() -> tuple[tuple[float, float], ...]:
    """(mean, scale) of q where gradients are measured."""
    return (1.0, 0.5), (-0.6, 1.5), (2.0, 0.2)


# How far each is from true


@check("z = mu + sigma eps is the package's transform, and its slopes are 1 and sigma eps / 2")
def transform_of_gaussian() -> float:
    eps, errors = np.random.default_rng(0).normal(size=50), []
    transform = FAMILIES["location-scale"][-1].transform

    def z(mean: Array, log_variance: Array) -> Array:
        return transform(Normal(mean, jnp.exp(log_variance / 2)), jnp.asarray(eps))

    with jax.enable_x64(True):
        for mean, scale in places():
            phi = jnp.asarray([mean, 2 * np.log(scale)])
            errors.append(np.abs(z(*phi) - z_of(eps, mean, scale)).max())
            slopes = np.stack(jax.jacfwd(z, (0, 1))(*phi))
            errors.append(np.abs(slopes - slopes_of_z(eps, scale)).max())
    return float(max(errors))


@check("E_q[f(z)] = E_p(eps)[f(T(eps; phi))]")
def same_expectation() -> float:
    # f(z) = log(1 + e^z): the left by sums over z, the right by sums over eps.
    errors, z = [], np.linspace(-25.0, 25.0, 20_001)
    eps, weights = nodes(np.zeros(1), np.ones(1), 60)
    for mean, scale in places():
        q = np.exp(log_density(z[:, None], mean, scale**2))
        left = np.sum(q * np.logaddexp(0, z)) * (z[1] - z[0])
        errors.append(abs(left - weights @ np.logaddexp(0, z_of(eps[:, 0], mean, scale))))
    return float(max(errors))


@check("the gradient along the path is that of E_q[z^2] on average")
def path_mean() -> float:
    return _mean_error(path_gradient)


@check("the gradient by the score function is that of E_q[z^2] on average")
def score_mean() -> float:
    return _mean_error(score_gradient)


def _mean_error(one_draw: Gradient) -> float:
    errors = []
    for mean, scale in places():
        eps, weights = nodes(np.zeros(1), np.ones(1), 20)  # exact for polynomials
        expectation = one_draw(eps[:, 0], mean, scale) @ weights
        errors.append(np.abs(expectation - gradient(mean, scale)).max())
    return float(max(errors))


@check("the variance along the path is 4 sigma^2")
def path_variance_check() -> float:
    return _variance_error(path_gradient, path_variance)


@check("the variance by the score function is mu^4 / sigma^2 + 14 mu^2 + 15 sigma^2")
def score_variance_check() -> float:
    return _variance_error(score_gradient, score_variance)


def _variance_error(one_draw: Gradient, variance: Callable[[float, float], float]) -> float:
    errors = []
    for mean, scale in places():
        eps, weights = nodes(np.zeros(1), np.ones(1), 20)
        by_mean = one_draw(eps[:, 0], mean, scale)[0]
        exact = by_mean**2 @ weights - (by_mean @ weights) ** 2
        errors.append(abs(exact / variance(mean, scale) - 1))
    return float(max(errors))


@check(
    "both variances, measured from 100,000 draws, are what they should be",
    tolerance=4,
    unit="standard errors",
)
def measured_variances() -> float:
    errors = []
    for mean, scale in places():
        for one_draw, variance in (
            (path_gradient, path_variance),
            (score_gradient, score_variance),
        ):
            measured, error = variance_of_draws(one_draw, mean, scale)
            errors.append(abs(measured - variance(mean, scale)) / error)
    return max(errors)


def variance_of_draws(
    one_draw: Gradient, mean: float, scale: float, draws: int = 100_000
) -> tuple[float, float]:
    """Variance of one draw of the gradient with respect to the mean, and its standard error."""
    eps = np.random.default_rng(1).normal(size=draws)
    squares = (one_draw(eps, mean, scale)[0] - gradient(mean, scale)[0]) ** 2
    return float(squares.mean()), float(squares.std() / np.sqrt(draws))


# Gradients of the bound of one wine with respect to q's means


@cache
def wine() -> Row:
    """A row with a q(z|x) that is one posterior deviation off, and somewhat too wide."""
    row = rows()[0]
    off = row.posterior_scale * np.array([1.0, -1.0])
    return row._replace(mean=row.posterior_mean + off, scale=1.2 * row.posterior_scale)


@cache
def gradients_of_bound(way: str, draws: int = 100_000) -> Vector:
    """One draw each along the path (`sgvb_a`) or by the score function; shape (draws, 2)."""
    estimator = {"path": sgvb_a, "score": score}[way]
    row = wine()

    def bound(mean: Array, key: Array) -> Array:
        return estimator(as_vae(row, mean), jnp.asarray(row.x), key)

    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), draws)
        gradients = compile_quickly(jax.vmap(jax.grad(bound), (None, 0)))
        return np.asarray(gradients(jnp.asarray(row.mean), keys), np.float64)


def gradient_of_bound() -> Vector:
    """dL/dm = (mu - m) / sigma^2, as L = log p(x) - KL(N(m, s^2) || N(mu, sigma^2))."""
    row = wine()
    return (row.posterior_mean - row.mean) / row.posterior_scale**2


@check(
    "the gradient of the bound of a wine along the path is right on average",
    tolerance=4,
    unit="standard errors",
)
def path_mean_of_bound() -> float:
    return _standard_errors(gradients_of_bound("path"), gradient_of_bound())


@check(
    "the gradient of the bound of a wine by the score function is right on average",
    tolerance=4,
    unit="standard errors",
)
def score_mean_of_bound() -> float:
    return _standard_errors(gradients_of_bound("score"), gradient_of_bound())


@check(
    "the variance of the gradient of the bound along the path, measured, is s^2 / sigma^4",
    tolerance=4,
    unit="standard errors",
)
def path_variance_of_bound() -> float:
    # One draw of the gradient is -(z - mu) / sigma^2.
    row = wine()
    squares = (gradients_of_bound("path") - gradient_of_bound()) ** 2
    return _standard_errors(squares, row.scale**2 / row.posterior_scale**4)


@check(
    "the variance of the gradient of the bound by the score function, measured, "
    "is that of f(z) d log q(z|x) / dm",
    tolerance=4,
    unit="standard errors",
)
def score_variance_of_bound() -> float:
    # f = log p(x, z) - log q(z|x), and d log q(z|x) / dm = (z - m) / s^2; by quadrature.
    row = wine()
    z, weights = nodes(row.mean, row.scale)
    f = log_joint(row, z) - log_density(z, row.mean, row.scale**2)
    one_draw = f[:, None] * (z - row.mean) / row.scale**2
    variance = np.diag(np.cov(one_draw.T, aweights=weights, ddof=0))
    squares = (gradients_of_bound("score") - gradient_of_bound()) ** 2
    return _standard_errors(squares, variance)


def _standard_errors(draws: Vector, expected: Vector) -> float:
    """How far the mean of draws is from what it should be, at most."""
    error = draws.std(axis=0) / np.sqrt(len(draws))
    return float(np.abs((draws.mean(axis=0) - expected) / error).max())


# The families of section 2.4


@check("q(z) dz = p(eps) d eps, of every family of one number")
def change_of_variables() -> float:
    # log p(eps) = log q(T(eps; phi)) + log |dT/d eps|
    errors = []
    with jax.enable_x64(True):
        for families in FAMILIES.values():
            for family in families:
                if not family.q.event_shape and not family.noise(family.q).event_shape:
                    errors.append(_change_error(family))
    return max(errors)


def _change_error(family: Family) -> float:
    q, noise = family.q, family.noise(family.q)

    def gap(eps: Array) -> Array:
        z, slope = jax.jvp(partial(family.transform, q), (eps,), (jnp.ones_like(eps),))
        return q.log_prob(z) + jnp.log(jnp.abs(slope)) - noise.log_prob(eps)

    eps = noise.sample(jax.random.key(0), (200,))
    return float(jnp.abs(compile_quickly(gap)(eps)).max())


def family_checks() -> list[Check]:
    """A check for each technique: the draws of its families follow q."""
    checks = []
    for technique, families in FAMILIES.items():
        name = f"{technique}: T(eps; phi) of all {len(families)} families follows q"
        error = partial(_worst_excess, technique)
        checks.append(Check(name, error, tolerance=4, unit="standard errors"))
    return checks


def _worst_excess(technique: str) -> float:
    return max(abs(histogram.excess) for histogram in histograms()[technique])


class Histogram(NamedTuple):
    """`counts` of draws between `edges`, what they should be on average, and draws `beyond`."""

    edges: Vector
    counts: Vector
    expected: Vector
    beyond: int

    @property
    def draws(self) -> int:
        """The number of draws."""
        return int(self.counts.sum()) + self.beyond

    @property
    def excess(self) -> float:
        """(chi^2 - degrees of freedom) / its standard error: nearly N(0, 1) for draws of q."""
        outside = self.draws - self.expected.sum()
        terms = (self.counts - self.expected) ** 2 / self.expected
        chi2, freedom = terms.sum(), len(terms) - 1
        if outside > 1:
            chi2 += (self.beyond - outside) ** 2 / outside
            freedom += 1
        elif self.beyond > 20:
            return float("inf")
        return float((chi2 - freedom) / np.sqrt(2 * freedom))


@cache
def histograms() -> dict[str, list[Histogram]]:
    """A histogram of every family by every technique it has, each of its own draws."""
    found: dict[str, list[Histogram]] = {}
    seed = 0
    for technique, families in FAMILIES.items():
        found[technique] = []
        for family in families:
            key = jax.random.fold_in(jax.random.key(0), seed)
            found[technique].append(count_draws(family, key))
            seed += 1
    return found


def count_draws(family: Family, key: Array, *, draws: int = 4_000, bins: int = 24) -> Histogram:
    """Draws of T(eps; phi) in bins, in float64.

    What is expected of a bin is the integral of the density over it, by Gauss-Legendre.
    """
    edges = np.linspace(*family.ends, bins + 1)
    half = np.diff(edges)[:, None] / 2
    points, weights = np.polynomial.legendre.leggauss(12)

    def draw(key: Array, at: Array) -> tuple[Array, Array]:
        z = family.transform(family.q, family.noise(family.q).sample(key, (draws,)))
        if family.margin is None:
            return z, family.q.log_prob(at)
        return family.margin.number(z), family.margin.law.log_prob(at)

    with jax.enable_x64(True):
        z, log_q = compile_quickly(draw)(key, jnp.asarray(edges[:-1, None] + half * (1 + points)))
    counts = np.histogram(np.asarray(z), edges)[0]
    density = np.exp(np.asarray(log_q))
    expected = draws * np.sum(density * weights * half, axis=1)
    return Histogram(edges, counts, expected, int(draws - counts.sum()))
