"""The Gamma quantile: the one inverse CDF of section 2.4 that has no elementary form.

Where no route is in closed form the paper points to approximations of the inverse CDF "with time
complexity comparable to the PDF". Here: Newton steps for the value, the implicit function theorem
for the gradient.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import digamma, gammainc, gammaln, ndtri
from jax.typing import ArrayLike

__all__ = ["gamma_quantile", "log_gamma_quantile"]

NEWTON_STEPS = 20


def gamma_quantile(concentration: ArrayLike, probability: ArrayLike) -> Array:
    """The inverse CDF of Gamma(concentration, 1): z with P(concentration, z) = probability, at
    least the least float.

    >>> round(float(gamma_quantile(1.0, 0.5)), 5)  # an exponential's median is log 2
    0.69315
    """
    log_z = log_gamma_quantile(concentration, probability)
    return jnp.maximum(jnp.exp(log_z), np.finfo(log_z.dtype).tiny)


def log_gamma_quantile(concentration: ArrayLike, probability: ArrayLike) -> Array:
    """Logarithm of `gamma_quantile`; it stays finite where the quantile itself underflows (small
    concentrations).
    """
    dtype = jnp.result_type(concentration, probability, float)
    return _log_quantile(
        *jnp.broadcast_arrays(jnp.asarray(concentration, dtype), jnp.asarray(probability, dtype))
    )


@jax.custom_jvp
@jax.jit
def _log_quantile(a: Array, u: Array) -> Array:
    # log P(a, e^y) is increasing and concave in y, so Newton from the left never passes the root;
    # the cap on a step holds it where the upper tail is flat to rounding.
    def newton(_: int, y: Array) -> Array:
        p = gammainc(a, jnp.exp(y))
        step = (jnp.log(p) - jnp.log(u)) * p / jnp.exp(_log_density(a, y))
        return y - jnp.where(p > 0, jnp.clip(step, -1, 1), 0)

    y: Array = lax.fori_loop(0, NEWTON_STEPS, newton, _start(a, u))
    return y


def _start(a: Array, u: Array) -> Array:
    # From the left: P(a, z) <= z^a / Gamma(a + 1). Near it for larger a: the cube root of z is
    # nearly Gaussian (Wilson & Hilferty 1931).
    bound = (jnp.log(u) + gammaln(a + 1)) / a
    cube_root = 1 - 1 / (9 * a) + ndtri(u) / (3 * jnp.sqrt(a))
    near = jnp.log(a) + 3 * jnp.log(jnp.maximum(cube_root, 1e-10))
    return jnp.where(a < 1, bound, jnp.maximum(bound, near))


def _log_density(a: Array, y: Array) -> Array:
    # of y = log z, z ~ Gamma(a, 1)
    return a * y - jnp.exp(y) - gammaln(a)


@_log_quantile.defjvp
def _log_quantile_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    (a, u), (da, du) = primals, tangents
    y = _log_quantile(a, u)
    dy_da, dy_du = _implicit_slopes(a, y)
    return y, dy_da * da + dy_du * du


@jax.jit
def _implicit_slopes(a: Array, y: Array) -> tuple[Array, Array]:
    # F(z; a) = u along the curve, so dz = (du - dF/da da) / (dF/dz). Below the least float F = z^a
    # / Gamma(a + 1).
    z, tiny = jnp.exp(y), np.finfo(y.dtype).tiny
    dy_da = jnp.where(
        z > tiny, lax.random_gamma_grad(a, jnp.maximum(z, tiny)) / z, (digamma(a + 1) - y) / a
    )
    return dy_da, jnp.exp(-_log_density(a, y))
