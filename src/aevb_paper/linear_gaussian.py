"""A model of which everything is known: z ~ N(0, I), x | z ~ N(W z + b, Psi), here factor analysis
of a table of wines.

Its posterior is Gaussian, and diagonal in the axes that `aevb.linear` chooses; log p(x) = log N(x;
b, W W' + Psi). So every term of the bound has a closed form, against which expectations by
quadrature can be held.
"""

from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from numpyro.distributions import Normal

from aevb.linear import LinearModel, fit
from aevb.model import Model
from aevb.priors import StandardNormal

__all__ = ["Row", "as_vae", "grid", "log_density", "model", "nodes", "rows", "wines"]

Array = NDArray[np.float64]

LATENTS = 2


class Row(NamedTuple):
    """One row x of the table, what is known of it, and q(z|x) = N(mean, diag scale^2) to stand for
    its posterior.
    """

    x: Array
    log_evidence: float
    posterior_mean: Array
    posterior_scale: Array
    mean: Array
    scale: Array


@cache
def wines() -> Array:
    """178 wines by 13 properties, each less its median and over its deviation; shape (178, 13)."""
    from sklearn.datasets import load_wine

    table: Array = load_wine().data
    return (table - np.median(table, axis=0)) / table.std(axis=0)


@cache
def model() -> LinearModel:
    """theta: the loadings W, the noise Psi and the mean b of greatest likelihood."""
    return fit(wines(), LATENTS)


@cache
def rows(count: int = 6) -> tuple[Row, ...]:
    """Some rows, each with a q(z|x) that is off: its mean by half a posterior deviation or so, its
    scale by a third.
    """
    p, rng = model(), np.random.default_rng(0)
    chosen = wines()[:: len(wines()) // count][:count]
    scale = 1 / np.sqrt(1 + np.sum(p.loadings**2 / p.noise[:, None], axis=0))
    return tuple(
        Row(
            x,
            float(log_evidence),
            mean,
            scale,
            mean + 0.5 * scale * rng.normal(size=LATENTS),
            scale * np.exp(0.3 * rng.normal(size=LATENTS)),
        )
        for x, log_evidence, mean in zip(
            chosen, p.log_likelihood(chosen), p.posterior(chosen), strict=True
        )
    )


def log_density(x: Array, mean: Array | float, variance: Array | float) -> Array:
    """log N(x; mean, diag variance), summed over the last axis."""
    return np.sum(-(np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance) / 2, axis=-1)


def nodes(mean: Array, scale: Array, count: int = 12) -> tuple[Array, Array]:
    """Points z, shape (count^k, k), and weights, whose sums are E[f(z)], z ~ N(mean, diag scale^2):
    Gauss-Hermite.

    Exact for polynomials of degree 2 count - 1.

    >>> z, weights = nodes(np.array([3.0]), np.array([2.0]))
    >>> float(weights @ z[:, 0] ** 2)  # mean^2 + scale^2
    13.0
    """
    eps, weights = np.polynomial.hermite_e.hermegauss(count)
    axes = len(mean)
    z = mean + scale * np.array(list(product(eps, repeat=axes)))
    return z, np.prod(list(product(weights / np.sqrt(2 * np.pi), repeat=axes)), axis=1)


def grid(centre: Array, reach: Array, count: int = 161) -> tuple[Array, float]:
    """Points of the plane within `reach` of `centre`, shape (count^2, 2), and the area each stands
    for.

    Sums over them are integrals, to rounding, where what is summed is smooth and has died out at
    the edge.
    """
    sides = [np.linspace(c - r, c + r, count) for c, r in zip(centre, reach, strict=True)]
    points = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, len(sides))
    return points, float(np.prod([side[1] - side[0] for side in sides]))


def as_vae(row: Row) -> Model:
    """The same p(x, z) and q(z|x) as this package's own model holds them."""
    p: Any = model()

    def q(_: object) -> Any:
        return Normal(row.mean, row.scale).to_event(1)

    def likelihood(z: Any) -> Any:
        return Normal(p.loadings @ z + p.mean, np.sqrt(p.noise)).to_event(1)

    return Model(q, likelihood, StandardNormal(LATENTS))
