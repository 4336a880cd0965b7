"""A model with a closed form for everything: factor analysis of a table of wines.

z ~ N(0, I), x | z ~ N(W z + b, Psi). Its posterior is Gaussian, and diagonal in the axes that
`aevb.linear` chooses; log p(x) = log N(x; b, W W' + Psi). So every term of the bound has a closed
form, and expectations by quadrature can be compared with it.
"""

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray
from numpyro.distributions import Distribution, Normal

from aevb.linear import LinearModel, fit
from aevb.model import Model
from aevb.priors import StandardNormal

__all__ = ["Row", "Vector", "as_vae", "grid", "log_density", "nodes", "rows", "theta", "wines"]

Vector = NDArray[np.float64]


class Row(NamedTuple):
    """One row x of the table, its log p(x) and posterior, and a q(z|x) = N(mean, diag scale^2)."""

    x: Vector
    log_evidence: float
    posterior_mean: Vector
    posterior_scale: Vector
    mean: Vector
    scale: Vector


@cache
def wines() -> Vector:
    """178 wines by 13 properties, each less its median and over its deviation; shape (178, 13)."""
    from sklearn.datasets import load_wine

    table: Vector = load_wine().data
    return (table - np.median(table, axis=0)) / table.std(axis=0)


@cache
def theta() -> LinearModel:
    """The loadings W, the noise Psi and the mean b of greatest likelihood, with two latents."""
    return fit(wines(), 2)


@cache
def rows(count: int = 6) -> tuple[Row, ...]:
    """Some rows, each with a q(z|x) that is not its posterior.

    Its mean is off by half a posterior deviation or so, its scale by a third.
    """
    p, rng = theta(), np.random.default_rng(0)
    chosen = wines()[:: len(wines()) // count][:count]
    scale = 1 / np.sqrt(1 + np.sum(p.loadings**2 / p.noise[:, None], axis=0))
    found = []
    for x, log_evidence, mean in zip(
        chosen, p.log_likelihood(chosen), p.posterior(chosen), strict=True
    ):
        q_mean = mean + 0.5 * scale * rng.normal(size=2)
        q_scale = scale * np.exp(0.3 * rng.normal(size=2))
        found.append(Row(x, float(log_evidence), mean, scale, q_mean, q_scale))
    return tuple(found)


def log_density(x: Vector, mean: Vector | float, variance: Vector | float) -> Vector:
    """log N(x; mean, diag variance), summed over the last axis."""
    return np.sum(-(np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance) / 2, axis=-1)


def nodes(mean: Vector, scale: Vector, count: int = 12) -> tuple[Vector, Vector]:
    """Points z and weights of a Gauss-Hermite quadrature of E[f(z)], z ~ N(mean, diag scale^2).

    There are count^k points for k latents; it is exact for polynomials of degree 2 count - 1.

    >>> z, weights = nodes(np.array([3.0]), np.array([2.0]))
    >>> float(weights @ z[:, 0] ** 2)  # mean^2 + scale^2
    13.0
    """
    eps, weights = np.polynomial.hermite_e.hermegauss(count)
    axes = len(mean)
    z = mean + scale * np.array(list(product(eps, repeat=axes)))
    return z, np.prod(list(product(weights / np.sqrt(2 * np.pi), repeat=axes)), axis=1)


def grid(center: Vector, reach: Vector, count: int = 161) -> tuple[Vector, float]:
    """Points of the plane within `reach` of a center, shape (count^2, 2), and the area of each.

    Sums over them are integrals, to rounding, where what is summed is smooth and has died out at
    the edge.
    """
    x, y = np.linspace(center - reach, center + reach, count).T
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    return points, float((x[1] - x[0]) * (y[1] - y[0]))


def as_vae(row: Row, mean: Array | None = None) -> Model:
    """The same p(x, z) and q(z|x) as a model of this package; or q with another mean."""
    p = theta()

    def posterior(x: Array) -> Distribution:
        return Normal(row.mean if mean is None else mean, row.scale).to_event(1)

    def likelihood(z: Array) -> Distribution:
        return Normal(p.loadings @ z + p.mean, np.sqrt(p.noise)).to_event(1)

    return Model(posterior, likelihood, StandardNormal(2))
