"""The Gamma quantile is SciPy's, in both precisions, and so is its gradient where it underflows."""

import jax
import numpy as np
from scipy import special

from aevb_paper.gamma_quantile import gamma_quantile, log_gamma_quantile

CONCENTRATIONS = np.array([0.01, 0.1, 0.5, 1, 1.5, 3, 10, 100, 1e4])[:, None]
PROBABILITIES = np.array([1e-12, 1e-6, 0.01, 0.3, 0.5, 0.9, 0.999, 1 - 1e-6])


@jax.enable_x64(True)
def test_gamma_quantile_is_scipys() -> None:
    exact = special.gammaincinv(CONCENTRATIONS, PROBABILITIES)
    found = gamma_quantile(CONCENTRATIONS, PROBABILITIES)
    np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-300)


def test_gamma_quantile_in_single_precision() -> None:
    a, u = np.broadcast_arrays(np.float32(CONCENTRATIONS[1:]), np.float32(PROBABILITIES[1:]))
    z = np.exp(np.asarray(log_gamma_quantile(a, u), float))
    np.testing.assert_allclose(special.gammainc(a.astype(float), z), u, rtol=5e-3)


@jax.enable_x64(True)
def test_gamma_quantile_gradient_where_the_quantile_underflows() -> None:
    a, u, step = 0.01, 1e-5, 1e-6  # z = (u Gamma(a + 1))^(1/a) = 1e-500
    difference = log_gamma_quantile(a + step, u) - log_gamma_quantile(a - step, u)
    exact = [difference / (2 * step), 1 / (a * u)]
    np.testing.assert_allclose(jax.grad(log_gamma_quantile, (0, 1))(a, u), exact, rtol=1e-6)
