"""Card 2: from KL(q(z|x) || p(z|x)) to the loss, line by line, and what minimizes it.

Each line is a function of `Terms`, and only adds, subtracts and takes expectations. So the same
line is evaluated with numbers, on a real model, and with symbols, where SymPy proves it.
"""
# ruff: noqa: D103 - the name of a check says what it checks

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from aevb.linear import fit
from aevb.priors import GaussianMixture
from aevb_paper.architecture import live_model, live_row
from aevb_paper.checks import Check, check, compile_quickly
from aevb_paper.linear_gaussian import Row, log_density, nodes, rows, theta, wines

__all__ = [
    "Terms",
    "arrows",
    "arrows_are_gradients",
    "descent",
    "difference_of_numbers",
    "difference_of_symbols",
    "line_checks",
    "loss",
    "loss_by_posterior",
    "loss_checks",
    "optimum",
]

Term = Any  # a number, an array of numbers at the nodes of a quadrature, or an expression of SymPy


class Terms(NamedTuple):
    """What the lines are made of: densities as functions of z, E_q, and the two KLs."""

    log_q: Term
    log_posterior: Term
    log_likelihood: Term
    log_prior: Term
    log_evidence: Term
    kl_posterior: Term
    kl_prior: Term
    expect: Callable[[Term], Term]


# The derivation: every line is KL(q(z|x) || p(z|x))


def by_definition(t: Terms) -> Term:
    """E_q[log q(z|x) - log p(z|x)]."""
    return t.expect(t.log_q - t.log_posterior)


def by_bayes(t: Terms) -> Term:
    """E_q[log q(z|x) - log p(x|z) - log p(z) + log p(x)]."""
    return t.expect(t.log_q - (t.log_likelihood + t.log_prior - t.log_evidence))


def evidence_taken_out(t: Terms) -> Term:
    """E_q[log q(z|x) - log p(x|z) - log p(z)] + log p(x)."""
    return t.expect(t.log_q - t.log_likelihood - t.log_prior) + t.log_evidence


def regrouped(t: Terms) -> Term:
    """-E_q[log p(x|z)] + E_q[log q(z|x) - log p(z)] + log p(x)."""
    return -t.expect(t.log_likelihood) + t.expect(t.log_q - t.log_prior) + t.log_evidence


def with_kl_to_prior(t: Terms) -> Term:
    """-E_q[log p(x|z)] + KL(q(z|x) || p(z)) + log p(x)."""
    return -t.expect(t.log_likelihood) + t.kl_prior + t.log_evidence


def loss_by_posterior(t: Terms) -> Term:
    """L_VAE = -log p(x) + KL(q(z|x) || p(z|x))."""
    return -t.log_evidence + t.kl_posterior


def loss(t: Terms) -> Term:
    """L_VAE = -E_q[log p(x|z)] + KL(q(z|x) || p(z)): what can be computed."""
    return -t.expect(t.log_likelihood) + t.kl_prior


# With numbers, on a real model, and with symbols


def numbers(row: Row) -> Terms:
    """The terms of one wine, log densities as their values at the nodes of a quadrature."""
    p, mu, sigma, variance = theta(), row.posterior_mean, row.posterior_scale, row.scale**2
    z, weights = nodes(row.mean, row.scale)
    ratio, distance = variance / sigma**2, (row.mean - mu) ** 2 / sigma**2
    return Terms(
        log_q=log_density(z, row.mean, variance),
        log_posterior=log_density(z, mu, sigma**2),
        log_likelihood=log_density(row.x, z @ p.loadings.T + p.mean, p.noise),
        log_prior=log_density(z, 0.0, 1.0),
        log_evidence=row.log_evidence,
        kl_posterior=np.sum(ratio + distance - 1 - np.log(ratio)) / 2,
        kl_prior=np.sum(variance + row.mean**2 - 1 - np.log(variance)) / 2,
        expect=lambda values: weights @ values,
    )


def symbols() -> Terms:
    """The terms of z ~ N(0, 1), x|z ~ N(w z + b, v) with q(z|x) = N(m, s^2), by SymPy."""
    import sympy

    x, z, w, b, m, eps = sympy.symbols("x z w b m epsilon", real=True)
    v, s = sympy.symbols("v s", positive=True)

    def log_normal(value: Term, mean: Term, variance: Term) -> Term:
        return -(sympy.log(2 * sympy.pi * variance) + (value - mean) ** 2 / variance) / 2

    def expect(f: Term) -> Term:
        """E_q of a polynomial of z = m + s eps: E[eps^n] is 0 for odd n, (n - 1)!! for even n."""
        powers = sympy.Poly(sympy.expand(f.subs(z, m + s * eps)), eps).terms()
        return sum(c * sympy.factorial2(n - 1) for (n,), c in powers if n % 2 == 0)

    mean, variance = w * (x - b) / (w**2 + v), v / (w**2 + v)  # of the posterior
    ratio = s**2 / variance
    return Terms(
        log_q=log_normal(z, m, s**2),
        log_posterior=log_normal(z, mean, variance),
        log_likelihood=log_normal(x, w * z + b, v),
        log_prior=log_normal(z, 0, 1),
        log_evidence=log_normal(x, b, w**2 + v),
        kl_posterior=(ratio + (m - mean) ** 2 / variance - 1 - sympy.log(ratio)) / 2,
        kl_prior=(s**2 + m**2 - 1 - sympy.log(s**2)) / 2,
        expect=expect,
    )


Line = Callable[[Terms], Term]


def line_checks() -> list[Check]:
    """Every line is the divergence it began as, with numbers and with symbols."""
    lines = (by_definition, by_bayes, evidence_taken_out, regrouped, with_kl_to_prior)
    checks = []
    for line in lines:
        name = f"KL(q(z|x) || p(z|x)) = {(line.__doc__ or '').removesuffix('.')}"
        checks += _two_checks(name, line, lambda t: t.kl_posterior)
    return checks


def loss_checks() -> list[Check]:
    """The two forms of the loss are equal, with numbers and with symbols."""
    name = "-log p(x) + KL(q(z|x) || p(z|x)) = -E_q[log p(x|z)] + KL(q(z|x) || p(z))"
    return _two_checks(name, loss, loss_by_posterior)


def _two_checks(name: str, left: Line, right: Line) -> list[Check]:
    return [
        Check(name, partial(difference_of_numbers, left, right), unit="nats"),
        Check(
            f"{name}, for all x, w, b, v, m, s",
            partial(difference_of_symbols, left, right),
            tolerance=0,
            unit="terms",
            needs="sympy",
        ),
    ]


def difference_of_numbers(left: Line, right: Line) -> float:
    terms = [numbers(row) for row in rows()]
    return max(abs(float(left(t) - right(t))) for t in terms)


def difference_of_symbols(left: Line, right: Line) -> float:
    """The number of terms that are left of a difference that should be 0."""
    import sympy

    t = symbols()
    difference = sympy.simplify(sympy.expand_log(left(t) - right(t), force=True))
    if difference == 0:
        return 0.0
    return float(len(sympy.Add.make_args(difference)))


# The optimum: theta*, phi* = argmin L_VAE


class Parameters(NamedTuple):
    """theta and phi of a linear VAE.

    theta = (W, b, log v) of p(x|z) = N(W z + b, v I), phi = (A, c, log s) of
    q(z|x) = N(A x + c, diag s^2).
    """

    loadings: Array
    mean: Array
    log_noise: Array
    gain: Array
    offset: Array
    log_scale: Array


def mean_loss(parameters: Parameters, x: Array) -> Array:
    """The mean of L_VAE over rows x, shape (n, D), in closed form."""
    w, b, log_v, a, c, log_s = parameters
    m, s2, v = x @ a.T + c, jnp.exp(2 * log_s), jnp.exp(log_v)
    squares = (x - m @ w.T - b) ** 2 + w**2 @ s2
    reconstruction = jnp.sum(jnp.log(2 * jnp.pi) + log_v + squares / v, axis=1) / 2
    kl = jnp.sum(s2 + m**2 - 1 - 2 * log_s, axis=1) / 2
    return jnp.mean(reconstruction + kl)


def best_parameters() -> tuple[Parameters, float]:
    """theta* and phi* in closed form, and the mean of -log p(x) there.

    theta* is probabilistic PCA (Tipping and Bishop 1999), and phi* its posterior, whose precision
    is diagonal because the axes were chosen so.
    """
    p = fit(wines(), 2, isotropic=True)
    weighted = p.loadings / p.noise[:, None]
    precision = 1 + np.sum(p.loadings * weighted, axis=0)
    gain = weighted.T / precision[:, None]
    log_noise, log_scale = np.log(p.noise[0]), -np.log(precision) / 2
    numbers = (p.loadings, p.mean, log_noise, gain, -gain @ p.mean, log_scale)
    return Parameters(*map(jnp.asarray, numbers)), -float(p.log_likelihood(wines()).mean())


@check(
    "at theta*, phi* the loss is the least mean of -log p(x), and its gradient is 0", unit="nats"
)
def optimum() -> float:
    with jax.enable_x64(True):
        best, least = best_parameters()
        value_and_gradient = compile_quickly(jax.value_and_grad(mean_loss))
        value, gradient = value_and_gradient(best, jnp.asarray(wines()))
        flat, _ = ravel_pytree(gradient)
        return max(abs(float(value) - least), float(jnp.abs(flat).max()))


@check("downhill from a random start the loss comes to its value at theta*, phi*", unit="nats")
def descent() -> float:
    from scipy.optimize import minimize

    with jax.enable_x64(True):
        best, least = best_parameters()
        x = jnp.asarray(wines())
        flat, unravel = ravel_pytree(best)
        value_and_gradient = jax.jit(jax.value_and_grad(lambda flat: mean_loss(unravel(flat), x)))
        start = 0.3 * np.random.default_rng(0).normal(size=flat.shape)
        options = {"maxiter": 2_000, "maxfun": 3_000, "gtol": 1e-8, "ftol": 1e-15}
        found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
        return float(found.fun) - least


# The graphical model


def arrows() -> tuple[tuple[str, str, str], ...]:
    """What is drawn: (from, to, model), solid arrows of p(z) p(x|z) and dashed ones of q(z|x)."""
    p = ("theta", "z", "p"), ("theta", "x", "p"), ("z", "x", "p")
    return *p, ("phi", "z", "q"), ("x", "z", "q")


@check(
    "the arrows of the graphical model are the gradients of a live one", tolerance=0, unit="arrows"
)
def arrows_are_gradients() -> float:
    return float(len(gradients_of_a_model() ^ set(arrows())))


def gradients_of_a_model() -> set[tuple[str, str, str]]:
    """Which log density of a live model changes with what: where a gradient is not 0."""
    vae = live_model()
    prior = GaussianMixture(20, 3, key=jax.random.key(0))  # a p(z) with parameters
    place = {
        "theta": (vae.likelihood, prior),
        "phi": vae.posterior,
        "x": live_row(),
        "z": jnp.linspace(-1.0, 1.0, 20),
    }
    densities: dict[tuple[str, str], Callable[..., Array]] = {
        ("z", "p"): lambda theta, phi, x, z: theta[1]().log_prob(z),
        ("x", "p"): lambda theta, phi, x, z: theta[0](z).log_prob(x),
        ("z", "q"): lambda theta, phi, x, z: phi(x).log_prob(z),
    }
    found = set()
    for (end, model), density in densities.items():
        gradient = jax.grad(lambda place, density=density: density(**place))
        for start, slopes in compile_quickly(gradient)(place).items():
            flat, _ = ravel_pytree(slopes)
            if start != end and jnp.any(flat != 0):
                found.add((start, end, model))
    return found
