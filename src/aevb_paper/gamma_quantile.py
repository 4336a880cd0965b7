"""The Gamma quantile: the one inverse CDF of section 2.4 that has no elementary form.

Where no technique gives a closed form, the paper points to approximations of the inverse CDF "with
time complexity comparable to the PDF". Here: Newton steps for the value, the implicit function
theorem for the gradient.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import digamma, gammainc, gammaln, ndtri
from jax.typing import ArrayLike

__all__ = ["gamma_quantile", "log_gamma_quantile"]


def gamma_quantile(concentration: ArrayLike, probability: ArrayLike) -> Array:
    """The inverse CDF of Gamma(concentration, 1), at least the smallest positive float.

    >>> round(float(gamma_quantile(1.0, 0.5)), 5)  # the median of an exponential is log 2
    0.69315
    """
    log_z = log_gamma_quantile(concentration, probability)
    return jnp.maximum(jnp.exp(log_z), np.finfo(log_z.dtype).tiny)


def log_gamma_quantile(concentration: ArrayLike, probability: ArrayLike) -> Array:
    """Logarithm of `gamma_quantile`; finite where the quantile itself underflows."""
    dtype = jnp.result_type(concentration, probability, float)
    a, u = jnp.asarray(concentration, dtype), jnp.asarray(probability, dtype)
    return _log_quantile(*jnp.broadcast_arrays(a, u))


@jax.custom_jvp
@jax.jit
def _log_quantile(a: Array, u: Array) -> Array:
    # log P(a, e^y) is increasing and concave in y, so that Newton from the left never passes the
    # root; the cap on a step holds it where the upper tail is flat to rounding.
    def newton(_: int, y: Array) -> Array:
        p = gammainc(a, jnp.exp(y))
        step = (jnp.log(p) - jnp.log(u)) * p / jnp.exp(_log_density(a, y))
        return y - jnp.where(p > 0, jnp.clip(step, -1, 1), 0)

    y: Array = lax.fori_loop(0, 20, newton, _start(a, u))
    return y


def _start(a: Array, u: Array) -> Array:
    # From the left: P(a, z) <= z^a / Gamma(a + 1). Near it for larger a: the cube root of z is
    # nearly Gaussian (Wilson & Hilferty 1931).
    bound = (jnp.log(u) + gammaln(a + 1)) / a
    cube_root = 1 - 1 / (9 * a) + ndtri(u) / (3 * jnp.sqrt(a))
    near = jnp.log(a) + 3 * jnp.log(jnp.maximum(cube_root, 1e-10))
    return jnp.where(a < 1, bound, jnp.maximum(bound, near))


def _log_density(a: Array, y: Array) -> Array:
    # The density of y = log z, z ~ Gamma(a, 1).
    return a * y - jnp.exp(y) - gammaln(a)


@_log_quantile.defjvp
def _log_quantile_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    # F(z; a) = u along the curve, so that dz = (du - dF/da da) / (dF/dz). Below the smallest float
    # F = z^a / Gamma(a + 1).
    (a, u), (da, du) = primals, tangents
    y = _log_quantile(a, u)
    z, tiny = jnp.exp(y), np.finfo(y.dtype).tiny
    by_z = lax.random_gamma_grad(a, jnp.maximum(z, tiny)) / z
    dy_da = jnp.where(z > tiny, by_z, (digamma(a + 1) - y) / a)
    return y, dy_da * da + jnp.exp(-_log_density(a, y)) * du
