"""Mean and variance of any distribution."""

import jax
import numpyro.distributions as dist
from jaxtyping import Array

__all__ = ["fixed_draws", "mean_of", "variance_of"]


def mean_of(distribution: dist.Distribution) -> Array:
    """The mean of each element, shape (k,); without a closed form that of `fixed_draws`."""
    try:
        return distribution.mean
    except NotImplementedError:
        return fixed_draws(distribution).mean(0)


def variance_of(distribution: dist.Distribution) -> Array:
    """The variance of each element, shape (k,); without a closed form that of `fixed_draws`."""
    try:
        return distribution.variance
    except NotImplementedError:
        return fixed_draws(distribution).var(0)


def fixed_draws(distribution: dist.Distribution, samples: int = 256) -> Array:
    """Draws that are the same at every call, shape (samples, k)."""
    return distribution.sample(jax.random.key(0), (samples,))
