"""Card 2: from KL(q(z|x) || p(z|x)) to the loss, line by line, and what minimises it.

Each line is a function of the `Terms` it speaks of, and only adds, subtracts and takes
expectations. So the same line is evaluated with numbers, on a real model, and with symbols, where
SymPy proves it.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from aevb.linear import fit
from aevb.priors import GaussianMixture
from aevb_paper.architecture import live_model, live_row
from aevb_paper.checks import Check, quickly
from aevb_paper.linear_gaussian import LATENTS, Row, log_density, model, nodes, rows, wines

__all__ = ["CHECKS", "LINES", "Terms", "arrows", "loss", "loss_by_posterior"]

Array = NDArray[np.float64]


class Terms(NamedTuple):
    """What the lines speak of: densities as functions of z, E_q, and the two KLs in closed form."""

    log_q: Any
    log_posterior: Any
    log_likelihood: Any
    log_prior: Any
    log_evidence: Any
    kl_posterior: Any
    kl_prior: Any
    expect: Callable[[Any], Any]


# The derivation. Every line is KL(q(z|x) || p(z|x)).


def by_definition(t: Terms) -> Any:
    """E_q[log q(z|x) - log p(z|x)]."""
    return t.expect(t.log_q - t.log_posterior)


def by_bayes(t: Terms) -> Any:
    """E_q[log q(z|x) - (log p(x|z) + log p(z) - log p(x))]."""
    return t.expect(t.log_q - (t.log_likelihood + t.log_prior - t.log_evidence))


def evidence_taken_out(t: Terms) -> Any:
    """E_q[log q(z|x) - log p(x|z) - log p(z)] + log p(x), as log p(x) does not depend on z."""
    return t.expect(t.log_q - t.log_likelihood - t.log_prior) + t.log_evidence


def regrouped(t: Terms) -> Any:
    """-E_q[log p(x|z)] + E_q[log q(z|x) - log p(z)] + log p(x)."""
    return -t.expect(t.log_likelihood) + t.expect(t.log_q - t.log_prior) + t.log_evidence


def kl_recognised(t: Terms) -> Any:
    """-E_q[log p(x|z)] + KL(q(z|x) || p(z)) + log p(x)."""
    return -t.expect(t.log_likelihood) + t.kl_prior + t.log_evidence


LINES = (by_definition, by_bayes, evidence_taken_out, regrouped, kl_recognised)


def loss_by_posterior(t: Terms) -> Any:
    """L_VAE = -log p(x) + KL(q(z|x) || p(z|x))."""
    return -t.log_evidence + t.kl_posterior


def loss(t: Terms) -> Any:
    """L_VAE = -E_q[log p(x|z)] + KL(q(z|x) || p(z)): what can be computed."""
    return -t.expect(t.log_likelihood) + t.kl_prior


# With numbers, on a real model, and with symbols.


@cache
def numbers() -> tuple[Terms, ...]:
    """The terms of some wines, log densities as their values at the nodes of a quadrature."""
    return tuple(_numbers(row) for row in rows())


def _numbers(row: Row) -> Terms:
    p, mu, sigma, variance = model(), row.posterior_mean, row.posterior_scale, row.scale**2
    z, weights = nodes(row.mean, row.scale)
    return Terms(
        log_q=log_density(z, row.mean, variance),
        log_posterior=log_density(z, mu, sigma**2),
        log_likelihood=log_density(row.x, z @ p.loadings.T + p.mean, p.noise),
        log_prior=log_density(z, 0.0, 1.0),
        log_evidence=row.log_evidence,
        kl_posterior=np.sum(
            (variance + (row.mean - mu) ** 2) / sigma**2 - 1 - np.log(variance / sigma**2)
        )
        / 2,
        kl_prior=np.sum(variance + row.mean**2 - 1 - np.log(variance)) / 2,
        expect=lambda values: weights @ values,
    )


@cache
def symbols() -> Terms:
    """The terms of z ~ N(0, 1), x|z ~ N(w z + b, v) with q(z|x) = N(m, s^2), by SymPy."""
    import sympy

    x, z, w, b, m, eps = sympy.symbols("x z w b m epsilon", real=True)
    v, s = sympy.symbols("v s", positive=True)

    def log_normal(value: Any, mean: Any, variance: Any) -> Any:
        return -(sympy.log(2 * sympy.pi * variance) + (value - mean) ** 2 / variance) / 2

    def expect(f: Any) -> Any:
        """Of a polynomial of z: z = m + s eps, and E[eps^n] is 0 for odd n and (n - 1)!! for even."""
        powers = sympy.Poly(sympy.expand(f.subs(z, m + s * eps)), eps).terms()
        return sum(c * (0 if n % 2 else sympy.factorial2(n - 1)) for (n,), c in powers)

    mean, variance = w * (x - b) / (w**2 + v), v / (w**2 + v)  # of the posterior
    return Terms(
        log_q=log_normal(z, m, s**2),
        log_posterior=log_normal(z, mean, variance),
        log_likelihood=log_normal(x, w * z + b, v),
        log_prior=log_normal(z, 0, 1),
        log_evidence=log_normal(x, b, w**2 + v),
        kl_posterior=(s**2 / variance + (m - mean) ** 2 / variance - 1 - sympy.log(s**2 / variance))
        / 2,
        kl_prior=(s**2 + m**2 - 1 - sympy.log(s**2)) / 2,
        expect=expect,
    )


def _numerically(line: str, known: str) -> float:
    return max(abs(float(globals()[line](t)) - float(_known(known, t))) for t in numbers())


def _symbolically(line: str, known: str) -> float:
    """How many terms are left of a difference that should be 0."""
    import sympy

    t = symbols()
    left = sympy.simplify(sympy.expand_log(globals()[line](t) - _known(known, t), force=True))
    return 0.0 if left == 0 else float(len(sympy.Add.make_args(left)))


def _known(known: str, t: Terms) -> Any:
    return t.kl_posterior if known == "KL(q(z|x) || p(z|x))" else globals()[known](t)


# The optimum: theta*, phi* = argmin L_VAE.


class Parameters(NamedTuple):
    """theta = (W, b, log v) of p(x|z) = N(W z + b, v I); phi = (A, c, log s) of q(z|x) = N(A x + c,
    diag s^2).
    """

    loadings: Any
    mean: Any
    log_noise: Any
    gain: Any
    offset: Any
    log_scale: Any


def mean_loss(parameters: Parameters, x: Any) -> Any:
    """The mean of L_VAE over rows x, shape (n, D), in closed form."""
    w, b, log_v, a, c, log_s = parameters
    m, s2, v = x @ a.T + c, jnp.exp(2 * log_s), jnp.exp(log_v)
    squares = (x - m @ w.T - b) ** 2 + w**2 @ s2
    reconstruction = jnp.sum(jnp.log(2 * jnp.pi) + log_v + squares / v, axis=1) / 2
    kl = jnp.sum(s2 + m**2 - 1 - 2 * log_s, axis=1) / 2
    return jnp.mean(reconstruction + kl)


@cache
def optimum() -> tuple[Parameters, float]:
    """theta*: probabilistic PCA in closed form (Tipping and Bishop 1999); phi*: its posterior. And
    mean -log p(x).
    """
    p = fit(wines(), LATENTS, isotropic=True)
    precision = 1 + np.sum(
        p.loadings**2 / p.noise[:, None], axis=0
    )  # diagonal: so the axes were chosen
    gain = (p.loadings / p.noise[:, None]).T / precision[:, None]
    best = Parameters(
        p.loadings, p.mean, np.log(p.noise[0]), gain, -gain @ p.mean, -np.log(precision) / 2
    )
    return best, -float(p.log_likelihood(wines()).mean())


def _at_optimum() -> float:
    """Of the value, and of the largest number of the slope."""
    with jax.enable_x64(True):
        best, least = optimum()
        value, slopes = quickly(jax.value_and_grad(mean_loss))(
            jax.tree.map(jnp.asarray, best), jnp.asarray(wines())
        )
        return max(abs(float(value) - least), *(float(jnp.abs(slope).max()) for slope in slopes))


def _descent() -> float:
    """From a start at random downhill: what is left between the loss and mean -log p(x) at theta*."""
    from scipy.optimize import minimize

    with jax.enable_x64(True):
        best, value = optimum()
        flat, tree = ravel_pytree(jax.tree.map(jnp.asarray, best))
        slope = jax.jit(
            jax.value_and_grad(lambda flat: mean_loss(tree(flat), jnp.asarray(wines())))
        )
        start = 0.3 * np.random.default_rng(0).normal(size=flat.shape)
        found = minimize(
            slope,
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 2_000, "maxfun": 3_000, "gtol": 1e-8, "ftol": 1e-15},
        )
        return float(found.fun) - value


# The graphical model.


def arrows() -> tuple[tuple[str, str, str], ...]:
    """What is drawn: (from, to, model), p(z) p(x|z) with solid arrows and q(z|x) with dashed ones."""
    return (
        ("theta", "z", "p"),
        ("theta", "x", "p"),
        ("z", "x", "p"),
        ("phi", "z", "q"),
        ("x", "z", "q"),
    )


def _arrows_of_a_model() -> float:
    """How many arrows are drawn and not there, or there and not drawn."""
    return float(len(slopes_of_a_model() ^ set(arrows())))


@cache
def slopes_of_a_model() -> set[tuple[str, str, str]]:
    """Which log densities of a live model change with what: an arrow is a slope that is not 0."""
    mixture = GaussianMixture(
        live_model().latent_dim, 3, key=jax.random.key(0)
    )  # a p(z) with parameters
    vae = eqx.tree_at(lambda model: model.prior, live_model(), mixture)
    x, z = live_row(), jnp.linspace(-1.0, 1.0, vae.latent_dim)

    def slopes(log_density: Callable[..., Any]) -> set[str]:
        """Of what a log density depends on, its own argument left out."""
        theta, phi = (vae.likelihood, vae.prior), vae.posterior
        numbers, rest = eqx.partition(
            {"theta": theta, "phi": phi, "x": x, "z": z}, eqx.is_inexact_array
        )
        found = quickly(jax.grad(lambda numbers: log_density(**eqx.combine(numbers, rest))))(
            numbers
        )
        return {
            name
            for name, tree in found.items()
            if any(jnp.any(leaf != 0) for leaf in jax.tree.leaves(tree))
        }

    return {
        *(
            (name, "z", "p")
            for name in slopes(lambda theta, phi, x, z: theta[1](phi).log_prob(z)) - {"z"}
        ),
        *(
            (name, "x", "p")
            for name in slopes(lambda theta, phi, x, z: theta[0](z).log_prob(x)) - {"x"}
        ),
        *((name, "z", "q") for name in slopes(lambda theta, phi, x, z: phi(x).log_prob(z)) - {"z"}),
    }


_KL = "KL(q(z|x) || p(z|x))"


def _line(line: Callable[[Terms], Any], said: str) -> tuple[Check, Check]:
    """That a line is the divergence it began as: with numbers, and with symbols."""
    name = f"{_KL} = {said}"
    return (
        Check(name, partial(_numerically, line.__name__, _KL), (line,), unit="nats"),
        Check(
            f"{name}, for all x, w, b, v, m, s",
            partial(_symbolically, line.__name__, _KL),
            (line,),
            0,
            "terms",
            "sympy",
        ),
    )


CHECKS = (
    *_line(by_definition, "E_q[log q(z|x) - log p(z|x)]"),
    *_line(by_bayes, "E_q[log q(z|x) - log p(x|z) - log p(z) + log p(x)]"),
    *_line(evidence_taken_out, "E_q[log q(z|x) - log p(x|z) - log p(z)] + log p(x)"),
    *_line(regrouped, "-E_q[log p(x|z)] + E_q[log q(z|x) - log p(z)] + log p(x)"),
    *_line(kl_recognised, "-E_q[log p(x|z)] + KL(q(z|x) || p(z)) + log p(x)"),
    Check(
        f"L_VAE = -log p(x) + {_KL} = -E_q[log p(x|z)] + KL(q(z|x) || p(z))",
        partial(_numerically, "loss", "loss_by_posterior"),
        (loss, loss_by_posterior),
        unit="nats",
    ),
    Check(
        f"-log p(x) + {_KL} = -E_q[log p(x|z)] + KL(q(z|x) || p(z)), for all x, w, b, v, m, s",
        partial(_symbolically, "loss", "loss_by_posterior"),
        (loss, loss_by_posterior),
        0,
        "terms",
        "sympy",
    ),
    Check(
        "at theta*, phi* the loss is the least mean of -log p(x), and its slope is 0",
        _at_optimum,
        (mean_loss,),
        unit="nats",
    ),
    Check(
        "downhill from a random start the loss comes to its value at theta*, phi*",
        _descent,
        (mean_loss,),
        unit="nats",
    ),
    Check(
        "the arrows of the graphical model are the slopes of a live one",
        _arrows_of_a_model,
        (arrows,),
        0,
        "arrows",
    ),
)
