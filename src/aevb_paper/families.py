"""Every family of section 2.4 with numbers for its parameters, and histograms of T(eps; phi) beside
its density.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from numpy.typing import NDArray
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

from aevb_paper.checks import quickly
from aevb_paper.reparameterization import (
    FAMILIES,
    Elliptical,
    Erlang,
    FisherSnedecor,
    Rayleigh,
    Triangular,
    base,
    transform,
)

__all__ = ["DRAWS", "EXAMPLES", "Example", "Experiment", "Histogram", "experiment", "listed"]

Float = NDArray[np.float64]

DRAWS, BINS = 4_000, 24
L = np.array([[1.0, 0.0], [0.8, 0.6]])
ORIGIN = np.zeros(2)


class Example(NamedTuple):
    """A distribution of the family; a number of each of its draws, and the distribution and range
    that number has.
    """

    name: str
    q: Distribution
    low: float
    high: float
    #: Of a vector: one number, and its distribution.
    number: Callable[[Array], Array] = lambda z: z
    of: Distribution | None = None
    shown: str = ""

    @property
    def law(self) -> Distribution:
        """The distribution of the number."""
        return self.q if self.of is None else self.of


def _first(z: Array) -> Array:
    return z[..., 0]


def _radius(z: Array) -> Array:
    """The length of L^-1 z, of which an elliptical distribution's density is a function."""
    return jnp.linalg.norm(jnp.linalg.solve(L, z[..., None])[..., 0], axis=-1)


EXAMPLES: dict[type[Distribution], Example] = {
    Exponential: Example("Exponential", Exponential(1.0), 0, 5),
    Cauchy: Example("Cauchy", Cauchy(0.0, 1.0), -7, 7),
    Logistic: Example("Logistic", Logistic(0.0, 1.0), -7, 7),
    Rayleigh: Example("Rayleigh", Rayleigh(1.0), 0, 4),
    Pareto: Example("Pareto", Pareto(1.0, 2.0), 1, 6),
    Weibull: Example("Weibull", Weibull(1.0, 2.0), 0, 3),
    LogUniform: Example("Reciprocal", LogUniform(0.5, 4.0), 0.5, 4),
    Gompertz: Example("Gompertz", Gompertz(0.3, 1.0), 0, 3.5),
    Gumbel: Example("Gumbel", Gumbel(0.0, 1.0), -3, 7),
    Erlang: Example("Erlang", Erlang(3, 1.0), 0, 10),
    Laplace: Example("Laplace", Laplace(0.0, 1.0), -6, 6),
    Elliptical: Example(
        "Elliptical", Elliptical(ORIGIN, L, Gamma(3.0, 1.0)), 0, 10, _radius, Gamma(3.0, 1.0), r"$|L^{-1}\mathbf{z}|$"
    ),
    MultivariateNormal: Example(
        "Gaussian, full covariance", MultivariateNormal(ORIGIN, scale_tril=L), -4, 4, _first, Normal(0.0, 1.0), r"$z_1$"
    ),
    MultivariateStudentT: Example(
        "Student's t, of vectors", MultivariateStudentT(4.0, ORIGIN, L), -6, 6, _first, StudentT(4.0), r"$z_1$"
    ),
    StudentT: Example("Student's t", StudentT(3.0), -6, 6),
    Uniform: Example("Uniform", Uniform(-1.0, 1.0), -1, 1),
    Triangular: Example("Triangular", Triangular(0.0, 3.0, 1.0), 0, 3),
    Normal: Example("Gaussian", Normal(0.0, 1.0), -4, 4),
    LogNormal: Example("Log-Normal", LogNormal(0.0, 0.6), 0, 5),
    Gamma: Example("Gamma", Gamma(2.5, 1.0), 0, 9),
    Dirichlet: Example(
        "Dirichlet", Dirichlet(np.array([2.0, 3.0, 4.0])), 0, 1, _first, Beta(2.0, 7.0), r"$z_1$"
    ),
    Beta: Example("Beta", Beta(2.0, 3.0), 0, 1),
    Chi2: Example("Chi-Squared", Chi2(4.0), 0, 14),
    FisherSnedecor: Example("F", FisherSnedecor(5.0, 8.0), 0, 6),
}  # fmt: skip


def listed() -> Iterator[tuple[str, Example]]:
    """Every family by every route it has, in the paper's order: (route, example)."""
    for route, families in FAMILIES.items():
        for family in families:
            yield route, EXAMPLES[family]


class Histogram(NamedTuple):
    """`counts` of draws between `edges`, what they should be in the mean, and those beyond the last
    edges.
    """

    edges: Float
    counts: NDArray[np.int64]
    expected: Float
    beyond: int

    @property
    def excess(self) -> float:
        """(chi^2 - degrees of freedom) / its standard error: a draw from N(0, 1), nearly, where the
        draws are right.
        """
        outside = DRAWS - self.expected.sum()
        terms = (self.counts - self.expected) ** 2 / self.expected
        chi2, freedom = terms.sum(), len(terms) - 1
        if outside > 1:
            chi2, freedom = chi2 + (self.beyond - outside) ** 2 / outside, freedom + 1
        elif self.beyond > 20:
            return float("inf")
        return float((chi2 - freedom) / np.sqrt(2 * freedom))


class Experiment(NamedTuple):
    """Draws of T(eps; phi) by one route, counted; and where one number eps makes one number z, some
    of them in full.
    """

    histogram: Histogram
    #: log q(z), dz/d eps and log p(eps) of a few draws; None for vectors and sums.
    log_q: Float | None
    slope: Float | None
    log_noise: Float | None


@cache
def experiment(route: str, example: Example) -> Experiment:
    """Draw, in float64; what is expected of a bin is the integral of the density over it."""
    q, noise = example.q, base(example.q, route)
    one_to_one = not q.event_shape and not noise.event_shape
    nodes, weights = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(example.low, example.high, BINS + 1)
    half = np.diff(edges)[:, None] / 2

    def drawn(key: Array, points: Array) -> tuple[Array, ...]:
        eps = noise.sample(key, (DRAWS,))
        if not one_to_one:
            return example.number(transform(q, eps, route)), example.law.log_prob(points)
        z, slope = jax.jvp(lambda eps: transform(q, eps, route), (eps,), (jnp.ones_like(eps),))
        some = slice(0, DRAWS, DRAWS // 200)
        in_full = q.log_prob(z[some]), slope[some], noise.log_prob(eps[some])
        return example.number(z), example.law.log_prob(points), *in_full

    with jax.enable_x64(True):
        key = random.fold_in(
            random.key(0), list(listed()).index((route, example))
        )  # eps of its own
        z, log_density, *in_full = map(
            np.asarray, quickly(drawn)(key, edges[:-1, None] + half * (1 + nodes))
        )
    counts = np.histogram(z, edges)[0]
    expected = DRAWS * np.sum(np.exp(log_density) * weights * half, axis=1)
    return Experiment(
        Histogram(edges, counts, expected, int(DRAWS - counts.sum())), *(in_full or (None,) * 3)
    )
