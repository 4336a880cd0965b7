"""Card 1: the evidence lower bound in both its forms, and why it is one (section 2.2, eq. 1 to 3)."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from aevb import objectives
from aevb_paper.checks import Check, quickly
from aevb_paper.linear_gaussian import Row, as_vae, grid, log_density, model, nodes, rows

__all__ = ["CHECKS", "kl_to_posterior", "kl_to_prior", "log_joint", "reconstruction_form"]

Array = NDArray[np.float64]

# The formulas, of one row x.


def gap_form(row: Row) -> float:
    """L = log p(x) - KL(q(z|x) || p(z|x)), eq. 1."""
    return row.log_evidence - kl_to_posterior(row)


def reconstruction_form(row: Row) -> float:
    """L = E_q[log p(x|z)] - KL(q(z|x) || p(z)), eq. 3."""
    return expected_log_likelihood(row) - kl_to_prior(row)


def entropy_form(row: Row) -> float:
    """L = E_q[log p(x, z)] + H[q(z|x)], eq. 2."""
    return expected_log_joint(row) + entropy(row)


def expected_log_likelihood(row: Row) -> float:
    """E_q[log p(x|z)] = log N(x; W m + b, Psi) - 1/2 sum_d (W^2 s^2)_d / Psi_d."""
    p = model()
    spread = p.loadings**2 @ row.scale**2
    return float(
        log_density(row.x, p.loadings @ row.mean + p.mean, p.noise) - np.sum(spread / p.noise) / 2
    )


def kl_to_prior(row: Row) -> float:
    """KL(q(z|x) || p(z)) = -1/2 sum_j (1 + log s_j^2 - m_j^2 - s_j^2), appendix B."""
    return float(-np.sum(1 + np.log(row.scale**2) - row.mean**2 - row.scale**2) / 2)


def kl_to_posterior(row: Row) -> float:
    """KL(N(m, s^2) || N(mu, sigma^2)) = sum_j log(sigma_j / s_j) + (s_j^2 + (m_j - mu_j)^2) / (2
    sigma_j^2) - 1/2.
    """
    mu, sigma = row.posterior_mean, row.posterior_scale
    return float(
        np.sum(
            np.log(sigma / row.scale) + (row.scale**2 + (row.mean - mu) ** 2) / (2 * sigma**2) - 0.5
        )
    )


def log_joint(row: Row, z: Array) -> Array:
    """log p(x, z) = log p(x|z) + log p(z)."""
    p = model()
    return log_density(row.x, z @ p.loadings.T + p.mean, p.noise) + log_density(z, 0.0, 1.0)


def expected_log_joint(row: Row) -> float:
    """E_q[log p(x, z)]."""
    z, weights = nodes(row.mean, row.scale)
    return float(weights @ log_joint(row, z))


def entropy(row: Row) -> float:
    """H[q] = 1/2 sum_j (1 + log 2 pi s_j^2)."""
    return float(np.sum(1 + np.log(2 * np.pi * row.scale**2)) / 2)


def shortfall(r: Array) -> Array:
    """r - 1 - log r: never negative, and 0 where r is 1 alone."""
    return r - 1 - np.log(r)


# The same with z a level, where integrals are sums.


def gap_form_of_levels(q: Array, prior: Array, likelihood: Array) -> Array:
    """log p(x) - KL(q(z|x) || p(z|x)) of levels z, p(x) = sum_z p(z) p(x|z)."""
    evidence = np.sum(prior * likelihood, axis=-1)
    posterior = prior * likelihood / evidence[..., None]
    return np.log(evidence) - kl_of_levels(q, posterior)


def reconstruction_form_of_levels(q: Array, prior: Array, likelihood: Array) -> Array:
    """E_q[log p(x|z)] - KL(q(z|x) || p(z)) of levels z."""
    return np.sum(q * np.log(likelihood), axis=-1) - kl_of_levels(q, prior)


def kl_of_levels(q: Array, p: Array) -> Array:
    """KL(q || p) = sum_z q(z) log (q(z) / p(z))."""
    return np.sum(q * np.log(q / p), axis=-1)


# How far each is from true.


def _both_forms() -> float:
    return max(abs(gap_form(row) - reconstruction_form(row)) for row in rows())


def _energy_and_entropy() -> float:
    return max(abs(entropy_form(row) - reconstruction_form(row)) for row in rows())


def _joint_over_posterior() -> float:
    """log p(x, z) - log p(z|x) is log p(x), whatever z."""
    z, errors = np.random.default_rng(1).normal(size=(50, 2)), []
    for row in rows():
        log_posterior = log_density(z, row.posterior_mean, row.posterior_scale**2)
        errors.append(np.abs(log_joint(row, z) - log_posterior - row.log_evidence).max())
    return float(max(errors))


def _never_above() -> float:
    """With r = p(z|x) / q(z|x), E_q[r - 1] = 0: so KL(q || p(z|x)) = E_q[r - 1 - log r], all of
    which is >= 0.
    """
    errors = []
    for row in rows():
        z, area = grid(row.mean, 12 * np.maximum(row.scale, row.posterior_scale))
        log_q = log_density(z, row.mean, row.scale**2)
        part = shortfall(np.exp(log_density(z, row.posterior_mean, row.posterior_scale**2) - log_q))
        part = part[
            log_q > -300
        ]  # further out r is beyond what a float holds, and q beyond what counts
        integral = float(np.sum(np.exp(log_q[log_q > -300]) * part) * area)
        below = max(0.0, -float(part.min()))
        errors.append(abs(integral - (row.log_evidence - reconstruction_form(row))) + below)
    return max(errors)


def _tight() -> float:
    """With the posterior for q the bound is log p(x)."""
    exact = (row._replace(mean=row.posterior_mean, scale=row.posterior_scale) for row in rows())
    return max(abs(reconstruction_form(row) - row.log_evidence) for row in exact)


def _levels() -> float:
    """A wine's cultivar for z, its properties given the cultivar independent Gaussians for p(x|z)."""
    prior, likelihood = _cultivars()
    q = np.random.default_rng(2).dirichlet(np.ones(3), size=len(likelihood))
    difference = gap_form_of_levels(q, prior, likelihood) - reconstruction_form_of_levels(
        q, prior, likelihood
    )
    return float(np.abs(difference).max())


@cache
def _cultivars() -> tuple[Array, Array]:
    """p(z), shape (3,), and p(x|z) of alcohol and malic acid, shape (178, 3)."""
    from sklearn.datasets import load_wine

    x, cultivar = load_wine(return_X_y=True)
    groups = [x[cultivar == level, :2] for level in range(3)]
    log_likelihood = np.stack([log_density(x[:, :2], g.mean(0), g.var(0)) for g in groups], axis=1)
    return np.array([len(g) for g in groups]) / len(x), np.exp(log_likelihood)


@cache
def _draws(name: str) -> tuple[Array, ...]:
    """Of this package's estimator, 4,000 for each of some rows."""
    estimator, keys = getattr(objectives, name), jax.random.split(jax.random.key(0), 4_000)

    def of(row: Row) -> Array:
        draws = quickly(jax.vmap(lambda key: estimator(as_vae(row), jnp.asarray(row.x), key)))(keys)
        return np.asarray(draws, np.float64)

    with jax.enable_x64(True):
        return tuple(of(row) for row in rows()[:3])


def _estimators(name: str) -> float:
    """The mean of an estimator's draws against eq. 3, in standard errors; the worst of the rows."""
    errors = [
        (draws.mean() - reconstruction_form(row)) / (draws.std(ddof=1) / np.sqrt(len(draws)))
        for draws, row in zip(_draws(name), rows(), strict=False)
    ]
    return float(np.abs(errors).max())


CHECKS = (
    Check(
        "log p(x) - KL(q(z|x) || p(z|x)) is E_q[log p(x|z)] - KL(q(z|x) || p(z))",
        _both_forms,
        (gap_form, reconstruction_form, kl_to_posterior, kl_to_prior, expected_log_likelihood),
        unit="nats",
    ),
    Check(
        "both are E_q[log p(x, z)] + H[q], by quadrature",
        _energy_and_entropy,
        (entropy_form, entropy, expected_log_joint, log_joint, reconstruction_form),
        unit="nats",
    ),
    Check(
        "log p(x, z) - log p(z|x) is log p(x), whatever z",
        _joint_over_posterior,
        (log_joint,),
        unit="nats",
    ),
    Check(
        "log p(x) less the bound is E_q[r - 1 - log r] with r = p(z|x) / q(z|x), of which no part is below 0",
        _never_above,
        (shortfall, reconstruction_form, kl_to_prior, expected_log_likelihood),
        unit="nats",
    ),
    Check(
        "with the posterior for q the bound is log p(x)",
        _tight,
        (reconstruction_form, kl_to_prior, expected_log_likelihood),
        unit="nats",
    ),
    Check(
        "both forms agree where z is a level and integrals are sums",
        _levels,
        (gap_form_of_levels, reconstruction_form_of_levels, kl_of_levels),
        unit="nats",
    ),
    Check(
        "estimator A (objectives.sgvb_a, eq. 6) is the bound in the mean",
        partial(_estimators, "sgvb_a"),
        (reconstruction_form,),
        tolerance=4,
        unit="standard errors",
    ),
    Check(
        "estimator B (objectives.sgvb_b, eq. 7) is the bound in the mean",
        partial(_estimators, "sgvb_b"),
        (reconstruction_form,),
        tolerance=4,
        unit="standard errors",
    ),
)
