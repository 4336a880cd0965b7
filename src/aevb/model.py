"""The variational auto-encoder of section 2.1: q(z|x), p(x|z) and p(z), and what one asks of them.

Each of the three is a callable that returns a NumPyro distribution; the classes of
`aevb.posteriors`, `aevb.likelihoods` and `aevb.priors` are some, a module of your own is another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.distributions import observed
from aevb.distributions.moments import mean_of
from aevb.errors import ConfigError
from aevb.forked import is_forked

__all__ = ["Likelihood", "Model", "Posterior", "Prior", "PriorGivenPosterior", "ReadsMissing"]


#: q(z|x): a row x, shape (D,), to a distribution over z, event shape (latent_dim,).
Posterior = Callable[[Array], dist.Distribution]
#: p(x|z): latents z, shape (latent_dim,), to a distribution over a row, event shape (D,).
Likelihood = Callable[[Array], dist.Distribution]
#: p(z): nothing to a distribution over z, event shape (latent_dim,).
Prior = Callable[[], dist.Distribution]


@runtime_checkable
class ReadsMissing(Protocol):
    """A q(z|x) that reads missing cells (NaN) itself; any other is given 0 in their place."""

    def for_missing(self) -> Posterior:
        """q for rows with missing cells; itself where it serves all rows."""


@runtime_checkable
class PriorGivenPosterior(Protocol):
    """A p(z) that is made of q(z|x), such as the VampPrior."""

    def given(self, posterior: Posterior, /) -> dist.Distribution:
        """p(z)."""


class Model(eqx.Module):
    """p(x, z) = p(z) p(x|z), with q(z|x) to stand for the posterior p(z|x).

    Rows x are in model units, shape (D,), NaN where a cell is missing; latents z have shape
    (latent_dim,).

    Examples
    --------
    >>> q = lambda x: dist.Normal(x[:2], 1.0).to_event(1)
    >>> p = lambda z: dist.StudentT(5.0, jnp.append(z, z.sum()), 0.3).to_event(1)
    >>> model = Model(q, p, lambda: dist.Laplace(jnp.zeros(2), 1.0).to_event(1))
    >>> model.latent_dim, model.width
    (2, 3)
    """

    #: q(z|x): x -> distribution over z.
    posterior: Posterior
    #: p(x|z): z -> distribution over x, with nats in the units of the data.
    likelihood: Likelihood
    #: p(z): () -> distribution over z.
    prior: Prior | PriorGivenPosterior

    def __getstate__(self) -> dict[str, object]:
        """The parts, their numbers in NumPy's arrays, which any process can read."""
        return jax.tree.map(_stored, dict(vars(self)))

    def __setstate__(self, state: dict[str, object]) -> None:
        """Numbers become JAX's arrays, but not where JAX cannot run."""
        if not is_forked():
            state = jax.tree.map(_restored, state, is_leaf=lambda leaf: isinstance(leaf, _Stored))
        vars(self).update(state)

    def p_z(self) -> dist.Distribution:
        """p(z), event shape (latent_dim,)."""
        if isinstance(self.prior, PriorGivenPosterior):
            return _vector(self.prior.given(self.posterior), "p(z)")
        return _vector(self.prior(), "p(z)")

    def q_z(self, x: Array) -> dist.Distribution:
        """q(z|x), event shape (latent_dim,), of a row with or without missing cells."""
        if not isinstance(self.posterior, ReadsMissing):
            x = jnp.where(jnp.isnan(x), 0.0, x)  # any q is a valid proposal
        return _vector(self.posterior(x), "q(z|x)")

    def log_likelihood(self, x: Array, z: Array) -> Array:
        """log p(x|z) over the observed cells, in nats; scalar."""
        return observed.log_prob(_vector(self.likelihood(z), "p(x|z)"), x)

    def log_joint(self, x: Array, z: Array) -> Array:
        """log p(x, z) = log p(x|z) + log p(z), in nats; scalar."""
        return self.log_likelihood(x, z) + self.p_z().log_prob(z)

    def encode(self, x: Array) -> Array:
        """E_q[z], shape (latent_dim,): without noise, so the same row always has the same code.

        A row without an observed cell has the prior as its posterior, and is encoded as its mean.
        """
        empty = jnp.isnan(x).all()
        return jnp.where(empty, mean_of(self.p_z()), mean_of(self.q_z(x)))

    def decode(self, z: Array) -> Array:
        """E[x|z] in model units (the most probable level of a categorical column), shape (D,)."""
        p = self.likelihood(z)
        return observed.point(p, observed.expectations(p))

    def draw(self, key: PRNGKeyArray) -> Array:
        """x ~ p(x): z from the prior, then x given z; shape (D,)."""
        key_z, key_x = jax.random.split(key)
        return self.likelihood(self.p_z().sample(key_z)).sample(key_x)

    @property
    def latent_dim(self) -> int:
        """Number of latents in z."""
        size: int = eqx.filter_eval_shape(lambda model: model.p_z().event_shape[0], self)
        return size

    @property
    def width(self) -> int:
        """Number of columns D."""

        def columns(model: Model) -> int:
            p = model.likelihood(jnp.zeros(model.p_z().event_shape))
            return _vector(p, "p(x|z)").event_shape[0]

        size: int = eqx.filter_eval_shape(columns, self)
        return size

    @property
    def has_levels(self) -> bool:
        """Whether latents are levels, over which log p(x, z) has no slope."""
        found: bool = eqx.filter_eval_shape(lambda model: model.p_z().support.is_discrete, self)
        return found

    def for_missing(self) -> "Model":
        """The same model for rows with missing cells; itself where one serves all rows.

        Raises
        ------
        ConfigError
            p(x|z) cannot leave missing cells out.
        """
        _check_missing(self)
        if not isinstance(self.posterior, ReadsMissing):
            return self
        posterior = self.posterior.for_missing()
        if posterior is self.posterior:
            return self
        return Model(posterior, self.likelihood, self.prior)


@dataclass(frozen=True)
class _Stored:
    """The numbers of one of JAX's arrays in a pickle."""

    numbers: NDArray[np.generic]


def _stored(leaf: object) -> object:
    if not isinstance(leaf, jax.Array) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    return _Stored(np.asarray(leaf))


def _restored(leaf: object) -> object:
    return jnp.asarray(leaf.numbers) if isinstance(leaf, _Stored) else leaf


@eqx.filter_jit  # looks at shapes alone, once for each kind of model
def _check_missing(model: Model) -> None:
    observed.check_missing(model.likelihood(jnp.zeros(model.p_z().event_shape)))


def _vector(distribution: dist.Distribution, name: str) -> dist.Distribution:
    """The distribution, refused where it is not one distribution over a vector."""
    if distribution.batch_shape or len(distribution.event_shape) != 1:
        raise ConfigError(
            f"{name} must be one distribution over a vector: batch shape () and event shape (n,); "
            f"got {distribution.batch_shape} and {distribution.event_shape}. "
            "Normal(mean, scale).to_event(1) is one"
        )
    return distribution
