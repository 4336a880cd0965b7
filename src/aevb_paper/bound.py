"""Card 1: the evidence lower bound in its two forms (section 2.2, eq. 1 to 3)."""
# ruff: noqa: D103 - the name of a check says what it checks

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from aevb.objectives import sgvb_a, sgvb_b
from aevb_paper.checks import check, compile_quickly
from aevb_paper.linear_gaussian import Row, Vector, as_vae, grid, log_density, nodes, rows, theta

__all__ = [
    "both_forms",
    "energy_and_entropy",
    "estimator_a",
    "estimator_b",
    "expected_log_likelihood",
    "joint_over_posterior",
    "kl_to_posterior",
    "kl_to_prior",
    "levels",
    "log_joint",
    "never_above",
    "reconstruction_form",
    "tight",
]

# The formulas, of one row x


def gap_form(row: Row) -> float:
    """L = log p(x) - KL(q(z|x) || p(z|x)), eq. 1."""
    return row.log_evidence - kl_to_posterior(row)


def reconstruction_form(row: Row) -> float:
    """L = E_q[log p(x|z)] - KL(q(z|x) || p(z)), eq. 3."""
    return expected_log_likelihood(row) - kl_to_prior(row)


def entropy_form(row: Row) -> float:
    """L = E_q[log p(x, z)] + H[q(z|x)], eq. 2; the expectation by quadrature."""
    z, weights = nodes(row.mean, row.scale)
    return float(weights @ log_joint(row, z)) + entropy(row)


def expected_log_likelihood(row: Row) -> float:
    """E_q[log p(x|z)] = log N(x; W m + b, Psi) - 1/2 sum_d (W^2 s^2)_d / Psi_d."""
    p = theta()
    at_mean = log_density(row.x, p.loadings @ row.mean + p.mean, p.noise)
    return float(at_mean - np.sum(p.loadings**2 @ row.scale**2 / p.noise) / 2)


def kl_to_prior(row: Row) -> float:
    """KL(q(z|x) || p(z)) = -1/2 sum_j (1 + log s_j^2 - m_j^2 - s_j^2), appendix B."""
    return float(-np.sum(1 + np.log(row.scale**2) - row.mean**2 - row.scale**2) / 2)


def kl_to_posterior(row: Row) -> float:
    """KL(N(m, s^2) || N(mu, sigma^2)).

    It is sum_j log(sigma_j / s_j) + (s_j^2 + (m_j - mu_j)^2) / (2 sigma_j^2) - 1/2.
    """
    mu, sigma = row.posterior_mean, row.posterior_scale
    squares = (row.scale**2 + (row.mean - mu) ** 2) / (2 * sigma**2)
    return float(np.sum(np.log(sigma / row.scale) + squares - 0.5))


def log_joint(row: Row, z: Vector) -> Vector:
    """log p(x, z) = log p(x|z) + log p(z)."""
    p = theta()
    log_likelihood = log_density(row.x, z @ p.loadings.T + p.mean, p.noise)
    return log_likelihood + log_density(z, 0.0, 1.0)


def entropy(row: Row) -> float:
    """H[q] = 1/2 sum_j (1 + log 2 pi s_j^2)."""
    return float(np.sum(1 + np.log(2 * np.pi * row.scale**2)) / 2)


def kl_of_levels(q: Vector, p: Vector) -> Vector:
    """KL(q || p) = sum_z q(z) log (q(z) / p(z)) of levels z."""
    return np.sum(q * np.log(q / p), axis=-1)


# How far each is from true


@check("log p(x) - KL(q(z|x) || p(z|x)) is E_q[log p(x|z)] - KL(q(z|x) || p(z))", unit="nats")
def both_forms() -> float:
    return max(abs(gap_form(row) - reconstruction_form(row)) for row in rows())


@check("both are E_q[log p(x, z)] + H[q], by quadrature", unit="nats")
def energy_and_entropy() -> float:
    return max(abs(entropy_form(row) - reconstruction_form(row)) for row in rows())


@check("log p(x, z) - log p(z|x) is log p(x), whatever z", unit="nats")
def joint_over_posterior() -> float:
    z, errors = np.random.default_rng(1).normal(size=(50, 2)), []
    for row in rows():
        log_posterior = log_density(z, row.posterior_mean, row.posterior_scale**2)
        errors.append(np.abs(log_joint(row, z) - log_posterior - row.log_evidence).max())
    return float(max(errors))


@check(
    "log p(x) minus the bound is E_q[r - 1 - log r] with r = p(z|x) / q(z|x): never below 0",
    unit="nats",
)
def never_above() -> float:
    # E_q[r - 1] = 0, so that KL(q || p(z|x)) = E_q[-log r] = E_q[r - 1 - log r], and r - 1 - log r
    # is never negative.
    errors = []
    for row in rows():
        z, area = grid(row.mean, 12 * np.maximum(row.scale, row.posterior_scale))
        log_q = log_density(z, row.mean, row.scale**2)
        log_r = log_density(z, row.posterior_mean, row.posterior_scale**2) - log_q
        near = log_q > -300  # further out r is beyond what a float holds, and q is next to nothing
        shortfall = np.exp(log_r[near]) - 1 - log_r[near]
        integral = float(np.sum(np.exp(log_q[near]) * shortfall) * area)
        below = max(0.0, -float(shortfall.min()))
        errors.append(abs(integral - (row.log_evidence - reconstruction_form(row))) + below)
    return max(errors)


@check("with the posterior for q the bound is log p(x)", unit="nats")
def tight() -> float:
    errors = []
    for row in rows():
        exact = row._replace(mean=row.posterior_mean, scale=row.posterior_scale)
        errors.append(abs(reconstruction_form(exact) - row.log_evidence))
    return max(errors)


@check("both forms agree where z is a level and integrals are sums", unit="nats")
def levels() -> float:
    # z is a wine's cultivar; its alcohol and malic acid, given that, are independent Gaussians.
    from sklearn.datasets import load_wine

    x, cultivar = load_wine(return_X_y=True)
    groups = [x[cultivar == level, :2] for level in range(3)]
    log_likelihood = np.stack([log_density(x[:, :2], g.mean(0), g.var(0)) for g in groups], axis=1)
    prior = np.array([len(group) for group in groups]) / len(x)
    q = np.random.default_rng(2).dirichlet(np.ones(3), size=len(x))
    joint = prior * np.exp(log_likelihood)
    evidence = joint.sum(axis=1)
    gap = np.log(evidence) - kl_of_levels(q, joint / evidence[:, None])
    reconstruction = np.sum(q * log_likelihood, axis=1) - kl_of_levels(q, prior)
    return float(np.abs(gap - reconstruction).max())


@check(
    "estimator A (objectives.sgvb_a, eq. 6) is the bound on average",
    tolerance=4,
    unit="standard errors",
)
def estimator_a() -> float:
    return _mean_error(sgvb_a)


@check(
    "estimator B (objectives.sgvb_b, eq. 7) is the bound on average",
    tolerance=4,
    unit="standard errors",
)
def estimator_b() -> float:
    return _mean_error(sgvb_b)


def _mean_error(estimator: Callable[..., Array], draws: int = 4_000) -> float:
    """The mean of draws less eq. 3, in standard errors; the worst of some rows."""
    errors = []
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), draws)
        for row in rows()[:3]:
            model, x = as_vae(row), jnp.asarray(row.x)
            draw = jax.vmap(lambda key, model=model, x=x: estimator(model, x, key))
            values = np.asarray(compile_quickly(draw)(keys))
            error = values.std(ddof=1) / np.sqrt(draws)
            errors.append(abs(values.mean() - reconstruction_form(row)) / error)
    return float(max(errors))
