"""KL(q || p) of distributions of latents: in closed form where there is one, else by draws of q.

The closed forms are those registered for exactly the classes of q and p, here by `register_kl` or
with NumPyro. A subclass may have another density, and does not take its parent's.
"""

from collections.abc import Callable
from typing import TypeVar

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from numpyro.distributions import kl_divergence

from aevb.errors import ConfigError

__all__ = ["closed_form_kl", "kl", "register_kl"]

ClosedForm = TypeVar("ClosedForm", bound=Callable[..., Array])

_CLOSED_FORMS: dict[tuple[type, type], Callable[..., Array]] = {}


def register_kl(q: type, p: type) -> Callable[[ClosedForm], ClosedForm]:
    """Register a function (q, p) -> KL(q || p) for two classes of distributions.

    It returns nats, one number in all or one for each latent, and raises `NotImplementedError`
    where it does not cover these two distributions; `kl` then takes draws.

    Examples
    --------
    >>> @register_kl(dist.Exponential, dist.Exponential)
    ... def exponentials(q, p):
    ...     ratio = p.rate / q.rate
    ...     return ratio - 1 - jnp.log(ratio)
    >>> rates = jnp.array([1.0, 2.0])
    >>> q, p = (dist.Exponential(rate).to_event(1) for rate in (rates, jnp.ones(2)))
    >>> [round(float(nats), 4) for nats in kl(q, p)]
    [0.0, 0.1931]
    """

    def register(closed_form: ClosedForm) -> ClosedForm:
        _CLOSED_FORMS[q, p] = closed_form
        return closed_form

    return register


def kl(
    q: dist.Distribution,
    p: dist.Distribution,
    z: Array | None = None,
    *,
    key: PRNGKeyArray | None = None,
    samples: int = 100,
) -> Array:
    """KL(q || p) in nats, shape (latents,) where q and p factorize (appendix B), else (1,).

    Without a closed form it is the mean of log q(z) - log p(z) over draws of q, unbiased and noisy:
    over z, shape (samples, latent_dim), or over so many from a key. `ConfigError` is raised where
    there are neither, and where q and p differ in shape.
    """
    if q.event_shape != p.event_shape:
        raise ConfigError(
            f"q and p must be of the same latents; got shapes {q.event_shape} and {p.event_shape}"
        )
    exact = closed_form_kl(q, p)
    if exact is not None:
        return jnp.atleast_1d(exact)
    if key is not None:
        z = q.sample(key, (samples,))
    if z is None or len(z) == 0:
        raise ConfigError(
            f"KL from {type(q).__name__} to {type(p).__name__} has no closed form: "
            "give draws z of q, or a key"
        )
    return jnp.atleast_1d(jnp.mean(q.log_prob(z) - p.log_prob(z)))


def closed_form_kl(q: dist.Distribution, p: dist.Distribution) -> Array | None:
    """KL(q || p) in closed form, one number for each element of a batch, or None."""
    batch_shape = jnp.broadcast_shapes(q.batch_shape, p.batch_shape)
    q, p = _unexpanded(q), _unexpanded(p)
    classes = type(q), type(p)
    form = _CLOSED_FORMS.get(classes) or kl_divergence.funcs.get(classes)
    if form is None:
        return None
    try:
        nats = form(q, p)
    except NotImplementedError:
        return None
    if nats.ndim < len(batch_shape):
        return jnp.broadcast_to(nats, batch_shape)
    return nats


def _unexpanded(distribution: dist.Distribution) -> dist.Distribution:
    while type(distribution) is dist.ExpandedDistribution:
        distribution = distribution.base_dist
    return distribution


@register_kl(dist.Independent, dist.Independent)
def _independent(q: dist.Distribution, p: dist.Distribution) -> Array:
    """KL of each latent of its own."""
    each = None
    if q.reinterpreted_batch_ndims == p.reinterpreted_batch_ndims:
        each = closed_form_kl(q.base_dist, p.base_dist)
    if each is None:
        raise NotImplementedError
    return each


@register_kl(dist.MultivariateNormal, dist.Independent)
def _full_gaussian(q: dist.Distribution, p: dist.Distribution) -> Array:
    """KL from a Gaussian with correlations to independent ones."""
    if type(_unexpanded(p.base_dist)) is not dist.Normal:
        raise NotImplementedError
    diagonal = dist.MultivariateNormal(p.mean, scale_tril=jnp.diag(jnp.sqrt(p.variance)))
    return kl_divergence(q, diagonal)


@register_kl(dist.MaskedDistribution, dist.MaskedDistribution)
@register_kl(dist.Kumaraswamy, dist.Beta)
def _not_exact(q: dist.Distribution, p: dist.Distribution) -> Array:
    """NumPyro has a truncated series for one, and looks at parent classes for the other."""
    raise NotImplementedError
