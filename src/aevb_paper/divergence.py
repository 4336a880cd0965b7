"""Card 3: KL(q || p) against KL(p || q): which zeros each forbids, and which Gaussian each is least
for.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aevb_paper.bound import kl_to_posterior, log_joint
from aevb_paper.checks import Check
from aevb_paper.linear_gaussian import log_density, nodes, rows

__all__ = [
    "CHECKS",
    "CORRELATED",
    "MIXTURE",
    "Gaussian",
    "Mixture",
    "forward_fit",
    "forward_variances",
    "log_mixture",
    "moments",
    "reverse_fit",
    "reverse_variances",
]

Array = NDArray[np.float64]


class Gaussian(NamedTuple):
    """N(mean, variance)."""

    mean: float
    variance: float


class Mixture(NamedTuple):
    """sum_i weights_i N(means_i, variances_i)."""

    weights: Array
    means: Array
    variances: Array


#: p(z) = 1/2 N(-2, 1/4) + 1/2 N(2, 1/4).
MIXTURE = Mixture(np.array([0.5, 0.5]), np.array([-2.0, 2.0]), np.array([0.25, 0.25]))
#: One whose mean is not 0, and whose parts differ.
UNEVEN = Mixture(np.array([0.3, 0.7]), np.array([-1.0, 2.0]), np.array([0.5, 1.5]))
#: The covariance of p(z) = N(0, Sigma).
CORRELATED = np.array([[1.0, 0.9], [0.9, 1.0]])
#: Where integrals are taken as sums.
LINE = np.linspace(-14.0, 14.0, 2_801)


# The formulas.


def kl(log_p: Array, log_q: Array) -> float:
    """KL(p || q) = integral of p(z) (log p(z) - log q(z)) dz, of log densities on `LINE`."""
    return float(np.sum(np.exp(log_p) * (log_p - log_q)) * (LINE[1] - LINE[0]))


def kl_of_gaussians(q: Gaussian, p: Gaussian) -> float:
    """KL(q || p) = log(s_p / s_q) + (s_q^2 + (m_q - m_p)^2) / (2 s_p^2) - 1/2."""
    distance = (q.variance + (q.mean - p.mean) ** 2) / (2 * p.variance)
    return float(np.log(p.variance / q.variance) / 2 + distance - 0.5)


def kl_of_covariances(q: Array, p: Array) -> float:
    """KL(N(0, Q) || N(0, P)) = 1/2 (tr(P^-1 Q) - k + log(|P| / |Q|))."""
    logarithm = np.linalg.slogdet(p)[1] - np.linalg.slogdet(q)[1]
    return float((np.trace(np.linalg.solve(p, q)) - len(p) + logarithm) / 2)


def kl_of_levels(p: Array, q: Array) -> float:
    """KL(p || q) = sum p log(p / q): 0 where p is 0, infinite where q alone is."""
    with np.errstate(divide="ignore"):
        return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))


def log_mixture(z: Array, p: Mixture = MIXTURE) -> Array:
    """log sum_i w_i N(z; m_i, v_i)."""
    parts = (
        np.log(p.weights)
        - (np.log(2 * np.pi * p.variances) + (z[..., None] - p.means) ** 2 / p.variances) / 2
    )
    return np.logaddexp.reduce(parts, axis=-1)


def moments(p: Mixture) -> Gaussian:
    """Mean and variance of a mixture: the Gaussian of least KL(p || q) has the moments of p."""
    mean = np.sum(p.weights * p.means)
    return Gaussian(float(mean), float(np.sum(p.weights * (p.variances + p.means**2)) - mean**2))


def reverse_variances(covariance: Array) -> Array:
    """1 / (Sigma^-1)_ii: variances of the independent Gaussians of least KL(q || p), p = N(0,
    Sigma).
    """
    return 1 / np.diag(np.linalg.inv(covariance))


def forward_variances(covariance: Array) -> Array:
    """Sigma_ii: variances of the independent Gaussians of least KL(p || q)."""
    return np.diag(covariance)


# Fits that know none of the answers: they go downhill on the divergence.


def log_gaussian(z: Array, q: Gaussian) -> Array:
    """log N(z; mean, variance)."""
    return log_density(z[..., None], q.mean, q.variance)


def _fit(divergence: Callable[[Gaussian], float], start: Gaussian) -> Gaussian:
    from scipy.optimize import minimize

    def loss(numbers: Array) -> float:
        return divergence(Gaussian(numbers[0], np.exp(2 * numbers[1])))

    first = np.array([start.mean, np.log(start.variance) / 2])
    options = {"xatol": 1e-9, "fatol": 1e-14, "maxiter": 600}
    mean, log_scale = minimize(loss, first, method="Nelder-Mead", options=options).x
    return Gaussian(float(mean), float(np.exp(2 * log_scale)))


def forward_fit(start: Gaussian) -> Gaussian:
    """The Gaussian q of least KL(p || q) to the mixture."""
    log_p = log_mixture(LINE)
    return _fit(lambda q: kl(log_p, log_gaussian(LINE, q)), start)


def reverse_fit(start: Gaussian) -> Gaussian:
    """The Gaussian q of least KL(q || p) to the mixture that is downhill from a start: there are
    two.
    """
    log_p = log_mixture(LINE)
    return _fit(lambda q: kl(log_gaussian(LINE, q), log_p), start)


def independent_fit(divergence: Callable[[Array], float]) -> tuple[Array, float]:
    """Variances of the independent pair of Gaussians that a divergence is least for, and how much
    it is.
    """
    from scipy.optimize import minimize

    options = {"xatol": 1e-9, "fatol": 1e-14, "maxiter": 600}
    found = minimize(
        lambda logs: divergence(np.diag(np.exp(logs))),
        np.array([-0.5, 0.3]),
        method="Nelder-Mead",
        options=options,
    )
    return np.exp(found.x), float(found.fun)


# How far each is from true.


def _closed_form() -> float:
    """Against the integral, and against two values anyone can work out."""
    q, p = Gaussian(0.7, 1.8), Gaussian(-0.4, 0.6)
    integral = kl(log_gaussian(LINE, q), log_gaussian(LINE, p))
    return max(
        abs(kl_of_gaussians(q, p) - integral),
        abs(kl_of_gaussians(Gaussian(1.0, 1.0), Gaussian(0.0, 1.0)) - 0.5),
        abs(kl_of_gaussians(Gaussian(0.0, 0.25), Gaussian(0.0, 1.0)) - (0.25 - 1 + np.log(4)) / 2),
    )


def _moments() -> float:
    """Of an uneven mixture, against integrals of its density."""
    known, density = moments(UNEVEN), np.exp(log_mixture(LINE, UNEVEN))
    mean = float(np.trapezoid(density * LINE, LINE))
    variance = float(np.trapezoid(density * (LINE - mean) ** 2, LINE))
    return max(abs(known.mean - mean), abs(known.variance - variance))


def _covers() -> float:
    """N(0, 4.25), in mean and in variance; there KL(p || q) is the entropy of q less that of p."""
    fitted, known, log_p = forward_fit(Gaussian(1.0, 1.0)), moments(MIXTURE), log_mixture(LINE)
    entropy = -float(np.trapezoid(np.exp(log_p) * log_p, LINE))
    divergence = np.log(2 * np.pi * np.e * 4.25) / 2 - entropy
    return max(
        *np.abs(np.subtract(fitted, known)),
        *np.abs(np.subtract(known, (0.0, 4.25))),
        abs(kl(log_p, log_gaussian(LINE, fitted)) - divergence),
    )


def _seeks(side: float) -> float:
    """N(+-2, 0.25), with all but none of the other component: a KL of log 2."""
    fitted = reverse_fit(Gaussian(side, 1.0))
    divergence = kl(log_gaussian(LINE, fitted), log_mixture(LINE))
    return max(
        abs(fitted.mean - 2 * side), abs(fitted.variance - 0.25), abs(divergence - np.log(2))
    )


def _of_correlated(divergence: Callable[[Array], float], known: Array, said: float) -> float:
    """Of the variances fitted, of those known, and of the divergence left: -1/2 log(1 - rho^2)
    either way.
    """
    fitted, left = independent_fit(divergence)
    return float(np.abs([*(fitted - known), *(known - said), left + np.log(1 - 0.9**2) / 2]).max())


def _reverse_of_correlated() -> float:
    return _of_correlated(
        lambda q: kl_of_covariances(q, CORRELATED), reverse_variances(CORRELATED), 0.19
    )


def _forward_of_correlated() -> float:
    return _of_correlated(
        lambda q: kl_of_covariances(CORRELATED, q), forward_variances(CORRELATED), 1.0
    )


def _zeros() -> float:
    """Of two levels p forbids one: KL(q || p) of an even q is infinite, KL(p || q) is log 2."""
    certain, even = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    forbidden = np.isinf(kl_of_levels(even, certain)) and kl_of_levels(even, certain) > 0
    return abs(kl_of_levels(certain, even) - np.log(2)) if forbidden else np.inf


def joint_is_enough(log_q: Array, log_joint: Array, weights: Array) -> float:
    """E_q[log q(z|x) - log p(x, z)]: what KL(q || p(z|x)) is, but for log p(x), and can be had from
    draws of q.
    """
    return float(weights @ (log_q - log_joint))


def _computable() -> float:
    """KL(q(z|x) || p(z|x)) = E_q[log q(z|x) - log p(x, z)] + log p(x): no z was drawn from the
    posterior.
    """
    errors = []
    for row in rows():
        z, weights = nodes(row.mean, row.scale)
        without = joint_is_enough(
            log_density(z, row.mean, row.scale**2), log_joint(row, z), weights
        )
        errors.append(abs(without + row.log_evidence - kl_to_posterior(row)))
    return max(errors)


CHECKS = (
    Check(
        "KL of two Gaussians, closed form and integral; 0.5 and 0.3181 for N(1, 1) and N(0, 1/4) to N(0, 1)",
        _closed_form,
        (kl_of_gaussians, kl),
        unit="nats",
    ),
    Check(
        "mean and variance of a mixture are those of its density", _moments, (moments, log_mixture)
    ),
    Check(
        "KL(p || q) to the mixture is least for its moments, N(0, 4.25)",
        _covers,
        (kl, log_mixture, log_gaussian, moments),
    ),
    Check(
        "KL(q || p) to the mixture is least near N(2, 1/4), where it is log 2",
        partial(_seeks, 1.0),
        (kl, log_mixture, log_gaussian),
        tolerance=1e-3,
    ),
    Check(
        "KL(q || p) to the mixture is least, from the other side, near N(-2, 1/4)",
        partial(_seeks, -1.0),
        (kl, log_mixture, log_gaussian),
        tolerance=1e-3,
    ),
    Check(
        "KL(q || p) to the correlated Gaussian is least for variances 1 / (Sigma^-1)_ii = 0.19",
        _reverse_of_correlated,
        (kl_of_covariances, reverse_variances),
    ),
    Check(
        "KL(p || q) to the correlated Gaussian is least for variances Sigma_ii = 1",
        _forward_of_correlated,
        (kl_of_covariances, forward_variances),
    ),
    Check(
        "KL(q || p) is infinite where q puts mass and p has none; KL(p || q) is not",
        _zeros,
        (kl_of_levels,),
        unit="nats",
    ),
    Check(
        "KL(q(z|x) || p(z|x)) is E_q[log q(z|x) - log p(x, z)] + log p(x): draws of q are enough",
        _computable,
        (joint_is_enough,),
        unit="nats",
    ),
)
