"""What a model asks of any p(x|z): the nats of the observed cells, and the expected row.

A distribution over rows may answer for itself, as `aevb.likelihoods.Product` does:

- `cells(x)` gives log p of each cell, shape (D,), 0 where x is NaN, and `log_prob(x)` their sum;
- `expectations()` gives what is averaged over z, and `point(expectations)` the row that it means.

Any other distribution answers by `log_prob` and `mean`. Its missing cells can be left out where it
is a NumPyro `Independent` over cells, such as `Normal(...).to_event(1)`.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PyTree

from aevb.distributions.moments import mean_of
from aevb.errors import ConfigError

__all__ = ["cells", "check_missing", "expectations", "log_prob", "point"]


def log_prob(p: dist.Distribution, x: Array) -> Array:
    """log p(x) over the observed cells of a row, in nats; scalar.

    Examples
    --------
    >>> p = dist.Normal(jnp.zeros(3), 1.0).to_event(1)
    >>> float(log_prob(p, jnp.array([0.0, jnp.nan, 0.0])))  # two cells of log N(0; 0, 1)
    -1.837877
    """
    if _is_independent(p):
        return cells(p, x).sum()
    return p.log_prob(x)


def cells(p: dist.Distribution, x: Array) -> Array:
    """log p of each cell, in nats, shape (D,); 0 where it is missing.

    Raises
    ------
    ConfigError
        The cells of the distribution cannot be told apart.
    """
    if hasattr(p, "cells"):
        return p.cells(x)
    check_missing(p)
    observed = ~jnp.isnan(x)
    # The slope of an unused branch must be finite too: a missing cell gets a value of the support.
    support = p.base_dist.support
    value = jnp.where(observed, x, support.feasible_like(x))
    if support.is_discrete:
        value = value.astype(int)
    return jnp.where(observed, p.base_dist.log_prob(value), 0.0)


def check_missing(p: dist.Distribution) -> None:
    """Raise `ConfigError` where missing cells cannot be left out of log p(x)."""
    if hasattr(p, "cells") or _is_independent(p):
        return
    raise ConfigError(
        f"rows have missing cells (NaN), and p(x|z), a {type(p).__name__}, cannot leave them out: "
        "give it a method cells(x) that returns log p of each cell, shape (D,) and 0 where x is "
        "NaN, and a log_prob(x) that is their sum; or use independent cells, as "
        "Normal(...).to_event(1)"
    )


def expectations(p: dist.Distribution) -> PyTree[Array]:
    """What is averaged over z before `point` makes a row of it; by default E[x|z], shape (D,)."""
    if hasattr(p, "expectations"):
        return p.expectations()
    return mean_of(p)


def point(p: dist.Distribution, averaged: PyTree[Array]) -> Array:
    """The row, shape (D,), that averaged `expectations` stand for."""
    if hasattr(p, "point"):
        return p.point(averaged)
    return averaged


def _is_independent(p: dist.Distribution) -> bool:
    """Whether a row is one axis of independent cells."""
    return (
        isinstance(p, dist.Independent)
        and p.reinterpreted_batch_ndims == 1
        and p.base_dist.event_shape == ()
    )
