"""Card 3: KL(q || p) and KL(p || q): which zeros each forbids, and which Gaussian minimizes it."""
# ruff: noqa: D103 - the name of a check says what it checks

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from aevb_paper.bound import kl_to_posterior, log_joint
from aevb_paper.checks import check
from aevb_paper.linear_gaussian import Vector, log_density, nodes, rows

__all__ = [
    "Gaussian",
    "Mixture",
    "closed_form",
    "correlated_covariance",
    "covers_both_modes",
    "draws_of_q_suffice",
    "forbidden_zeros",
    "forward_fit",
    "forward_fit_of_correlated",
    "forward_variances",
    "log_gaussian",
    "log_mixture",
    "mixture_moments",
    "moments",
    "reverse_fit",
    "reverse_fit_of_correlated",
    "reverse_variances",
    "seeks_one_mode",
    "seeks_the_other_mode",
    "two_modes",
]


class Gaussian(NamedTuple):
    """N(mean, variance)."""

    mean: float
    variance: float


class Mixture(NamedTuple):
    """sum_i weights_i N(means_i, variances_i)."""

    weights: Vector
    means: Vector
    variances: Vector


def two_modes() -> Mixture:
    """p(z) = 1/2 N(-2, 1/4) + 1/2 N(2, 1/4)."""
    return Mixture(np.array([0.5, 0.5]), np.array([-2.0, 2.0]), np.array([0.25, 0.25]))


def correlated_covariance() -> Vector:
    """Sigma of p(z) = N(0, Sigma): variances 1 and correlation 0.9."""
    return np.array([[1.0, 0.9], [0.9, 1.0]])


def line() -> Vector:
    """Points z at which integrals are sums."""
    return np.linspace(-14.0, 14.0, 2_801)


# The formulas


def kl(log_p: Vector, log_q: Vector) -> float:
    """KL(p || q) = integral of p(z) (log p(z) - log q(z)) dz, of log densities on `line`."""
    step = line()[1] - line()[0]
    return float(np.sum(np.exp(log_p) * (log_p - log_q)) * step)


def kl_of_gaussians(q: Gaussian, p: Gaussian) -> float:
    """KL(q || p) = log(s_p / s_q) + (s_q^2 + (m_q - m_p)^2) / (2 s_p^2) - 1/2."""
    distance = (q.variance + (q.mean - p.mean) ** 2) / (2 * p.variance)
    return float(np.log(p.variance / q.variance) / 2 + distance - 0.5)


def kl_of_covariances(q: Vector, p: Vector) -> float:
    """KL(N(0, Q) || N(0, P)) = 1/2 (tr(P^-1 Q) - k + log(|P| / |Q|))."""
    logarithm = np.linalg.slogdet(p)[1] - np.linalg.slogdet(q)[1]
    return float((np.trace(np.linalg.solve(p, q)) - len(p) + logarithm) / 2)


def kl_of_levels(p: Vector, q: Vector) -> float:
    """KL(p || q) = sum p log(p / q): 0 where p is 0, infinite where q alone is."""
    there = p > 0
    with np.errstate(divide="ignore"):
        return float(np.sum(p[there] * np.log(p[there] / q[there])))


def log_gaussian(z: Vector, q: Gaussian) -> Vector:
    """log N(z; mean, variance)."""
    return log_density(z[..., None], q.mean, q.variance)


def log_mixture(z: Vector, p: Mixture) -> Vector:
    """log sum_i w_i N(z; m_i, v_i)."""
    squares = (z[..., None] - p.means) ** 2 / p.variances
    parts = np.log(p.weights) - (np.log(2 * np.pi * p.variances) + squares) / 2
    return np.logaddexp.reduce(parts, axis=-1)


def moments(p: Mixture) -> Gaussian:
    """The Gaussian with the mean and variance of a mixture: it minimizes KL(p || q)."""
    mean = np.sum(p.weights * p.means)
    return Gaussian(float(mean), float(np.sum(p.weights * (p.variances + p.means**2)) - mean**2))


def reverse_variances(covariance: Vector) -> Vector:
    """1 / (Sigma^-1)_ii: the independent Gaussians that minimize KL(q || p), p = N(0, Sigma)."""
    return 1 / np.diag(np.linalg.inv(covariance))


def forward_variances(covariance: Vector) -> Vector:
    """Sigma_ii: the independent Gaussians that minimize KL(p || q)."""
    return np.diag(covariance)


# Fits that know none of the answers: they go downhill on the divergence


def _minimize(loss: Callable[[Vector], float], start: list[float]) -> tuple[Vector, float]:
    """Where a function is least, and how much it is there."""
    from scipy.optimize import minimize

    options = {"xatol": 1e-9, "fatol": 1e-14, "maxiter": 600}
    found = minimize(loss, np.array(start), method="Nelder-Mead", options=options)
    return found.x, float(found.fun)


def _fit(divergence: Callable[[Gaussian], float], start: Gaussian) -> Gaussian:
    def loss(numbers: Vector) -> float:
        return divergence(Gaussian(numbers[0], np.exp(2 * numbers[1])))

    (mean, log_scale), _ = _minimize(loss, [start.mean, np.log(start.variance) / 2])
    return Gaussian(float(mean), float(np.exp(2 * log_scale)))


def forward_fit(start: Gaussian) -> Gaussian:
    """The Gaussian q that minimizes KL(p || q) to the mixture of two modes."""
    log_p = log_mixture(line(), two_modes())
    return _fit(lambda q: kl(log_p, log_gaussian(line(), q)), start)


def reverse_fit(start: Gaussian) -> Gaussian:
    """The Gaussian q that minimizes KL(q || p), downhill from a start: there are two."""
    log_p = log_mixture(line(), two_modes())
    return _fit(lambda q: kl(log_gaussian(line(), q), log_p), start)


def independent_fit(divergence: Callable[[Vector], float]) -> tuple[Vector, float]:
    """Variances of the independent pair that minimizes a divergence, and how much it is."""
    logs, least = _minimize(lambda logs: divergence(np.diag(np.exp(logs))), [-0.5, 0.3])
    return np.exp(logs), least


# How far each is from true


@check(
    "KL of two Gaussians, closed form and integral; 0.5 of N(1, 1) to N(0, 1)",
    unit="nats",
)
def closed_form() -> float:
    q, p, standard = Gaussian(0.7, 1.8), Gaussian(-0.4, 0.6), Gaussian(0.0, 1.0)
    integral = kl(log_gaussian(line(), q), log_gaussian(line(), p))
    narrow = (0.25 - 1 + np.log(4)) / 2
    return max(
        abs(kl_of_gaussians(q, p) - integral),
        abs(kl_of_gaussians(Gaussian(1.0, 1.0), standard) - 0.5),
        abs(kl_of_gaussians(Gaussian(0.0, 0.25), standard) - narrow),
    )


@check("mean and variance of a mixture are those of its density")
def mixture_moments() -> float:
    uneven = Mixture(np.array([0.3, 0.7]), np.array([-1.0, 2.0]), np.array([0.5, 1.5]))
    known, density = moments(uneven), np.exp(log_mixture(line(), uneven))
    mean = float(np.trapezoid(density * line(), line()))
    variance = float(np.trapezoid(density * (line() - mean) ** 2, line()))
    return max(abs(known.mean - mean), abs(known.variance - variance))


@check("KL(p || q) to the mixture is least for its moments, N(0, 4.25)")
def covers_both_modes() -> float:
    fitted, known = forward_fit(Gaussian(1.0, 1.0)), moments(two_modes())
    log_p = log_mixture(line(), two_modes())
    # There KL(p || q) is the entropy of q less that of p.
    entropy = -float(np.trapezoid(np.exp(log_p) * log_p, line()))
    divergence = np.log(2 * np.pi * np.e * 4.25) / 2 - entropy
    return max(
        *np.abs(np.subtract(fitted, known)),
        *np.abs(np.subtract(known, (0.0, 4.25))),
        abs(kl(log_p, log_gaussian(line(), fitted)) - divergence),
    )


@check("KL(q || p) to the mixture is least near N(2, 1/4), where it is log 2", tolerance=1e-3)
def seeks_one_mode() -> float:
    return _mode_error(1.0)


@check("KL(q || p) to the mixture is least, from the other side, near N(-2, 1/4)", tolerance=1e-3)
def seeks_the_other_mode() -> float:
    return _mode_error(-1.0)


def _mode_error(side: float) -> float:
    """N(+-2, 0.25) has all but none of the other component: a KL of log 2."""
    fitted = reverse_fit(Gaussian(side, 1.0))
    divergence = kl(log_gaussian(line(), fitted), log_mixture(line(), two_modes()))
    return max(
        abs(fitted.mean - 2 * side), abs(fitted.variance - 0.25), abs(divergence - np.log(2))
    )


@check("KL(q || p) to the correlated Gaussian is least for variances 1 / (Sigma^-1)_ii = 0.19")
def reverse_fit_of_correlated() -> float:
    p = correlated_covariance()
    found = independent_fit(lambda q: kl_of_covariances(q, p))
    return _correlated_error(*found, reverse_variances(p), 0.19)


@check("KL(p || q) to the correlated Gaussian is least for variances Sigma_ii = 1")
def forward_fit_of_correlated() -> float:
    p = correlated_covariance()
    found = independent_fit(lambda q: kl_of_covariances(p, q))
    return _correlated_error(*found, forward_variances(p), 1.0)


def _correlated_error(fitted: Vector, least: float, known: Vector, expected: float) -> float:
    """The divergence that is left is -1/2 log(1 - rho^2) either way."""
    left = least + np.log(1 - 0.9**2) / 2
    return float(np.abs([*(fitted - known), *(known - expected), left]).max())


@check("KL(q || p) is infinite where q puts mass and p has none; KL(p || q) is not", unit="nats")
def forbidden_zeros() -> float:
    p, q = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    if kl_of_levels(q, p) != np.inf:
        return np.inf
    return abs(kl_of_levels(p, q) - np.log(2))


@check(
    "KL(q(z|x) || p(z|x)) is E_q[log q(z|x) - log p(x, z)] + log p(x): draws of q are enough",
    unit="nats",
)
def draws_of_q_suffice() -> float:
    errors = []
    for row in rows():
        z, weights = nodes(row.mean, row.scale)
        log_q = log_density(z, row.mean, row.scale**2)
        expectation = float(weights @ (log_q - log_joint(row, z)))
        errors.append(abs(expectation + row.log_evidence - kl_to_posterior(row)))
    return max(errors)
