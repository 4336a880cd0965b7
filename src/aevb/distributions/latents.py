"""Distributions of z that NumPyro lacks: levels with a slope, a flow, and a chain of two layers."""

from collections.abc import Callable
from typing import ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray
from numpyro.distributions import constraints
from numpyro.distributions.constraints import Constraint

from aevb.distributions.flows import CouplingFlow
from aevb.distributions.kl import register_kl
from aevb.distributions.moments import fixed_draws

__all__ = [
    "Chain",
    "Flow",
    "StraightThroughBernoulli",
    "StraightThroughCategorical",
    "latent_count",
]

Part = TypeVar("Part")


def _straight_through(hard: Array, soft: Array) -> Array:
    """`hard`, with the slope of `soft` (Bengio, Leonard and Courville 2013)."""
    return soft + jax.lax.stop_gradient(hard - soft)


class _StraightThrough(dist.Distribution):
    """Levels, 0 and 1, whose draws have the slope of relaxed ones at a temperature."""

    support = constraints.independent(constraints.boolean, 1)
    pytree_aux_fields = ("temperature",)
    reparametrized_params: ClassVar[list[str]] = ["logits"]

    @property
    def variance(self) -> Array:
        """p (1 - p)."""
        return self.mean * (1 - self.mean)


class StraightThroughBernoulli(_StraightThrough):
    """Independent z_j in {0, 1} with P(z_j = 1) = 1 / (1 + exp(-logit_j)).

    A draw has the slope of a relaxed draw of this temperature (Jang et al. 2017), which is biased;
    that of the score function (`objectives.score`, `objectives.vimco`) is not. Logits have shape
    (k,).

    Examples
    --------
    >>> z = StraightThroughBernoulli(jnp.array([0.0, 9.0, -9.0])).sample(jax.random.key(0))
    >>> [float(level) for level in z[1:]]
    [1.0, 0.0]
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"logits": constraints.real_vector}

    def __init__(self, logits: Array, temperature: float = 2 / 3) -> None:
        self.temperature = temperature
        self.logits = logits
        super().__init__(event_shape=jnp.shape(logits))

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """z = [logit + noise > 0], logistic noise; shape sample_shape + (k,)."""
        noisy = self.logits + jax.random.logistic(key, (*sample_shape, *self.event_shape))
        hard = (noisy > 0).astype(noisy.dtype)
        return _straight_through(hard, jax.nn.sigmoid(noisy / self.temperature))

    def log_prob(self, value: Array) -> Array:
        """sum_j z_j log p_j + (1 - z_j) log(1 - p_j), in nats."""
        return (value * self.logits - jax.nn.softplus(self.logits)).sum(-1)

    @property
    def mean(self) -> Array:
        """P(z_j = 1)."""
        return jax.nn.sigmoid(self.logits)


class StraightThroughCategorical(_StraightThrough):
    """Groups of K latents of which one is 1 and the others 0: a categorical variable each.

    Draws have the slope of relaxed ones, as in `StraightThroughBernoulli`. Logits have shape
    (groups, K), z has shape (groups K,).
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"logits": constraints.real_matrix}

    def __init__(self, logits: Array, temperature: float = 2 / 3) -> None:
        self.temperature = temperature
        self.logits = jax.nn.log_softmax(logits, -1)
        super().__init__(event_shape=(self.logits.size,))

    @property
    def groups(self) -> int:
        """Number of groups."""
        count: int = self.logits.shape[0]
        return count

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """The largest of logit + Gumbel noise in each group, shape sample_shape + (groups K,)."""
        noisy = self.logits + jax.random.gumbel(key, (*sample_shape, *self.logits.shape))
        hard = jax.nn.one_hot(noisy.argmax(-1), self.logits.shape[-1])
        z = _straight_through(hard, jax.nn.softmax(noisy / self.temperature))
        return z.reshape(*sample_shape, -1)

    def log_prob(self, value: Array) -> Array:
        """The sum over groups of the logarithm of the chosen level's probability, in nats."""
        return (value.reshape(*value.shape[:-1], *self.logits.shape) * self.logits).sum((-2, -1))

    @property
    def mean(self) -> Array:
        """The probability of each level, shape (groups K,)."""
        return jnp.exp(self.logits).ravel()


@register_kl(StraightThroughBernoulli, StraightThroughBernoulli)
def _kl_of_bernoullis(q: StraightThroughBernoulli, p: StraightThroughBernoulli) -> Array:
    """One number per latent, shape (k,)."""
    of_one = jax.nn.log_sigmoid(q.logits) - jax.nn.log_sigmoid(p.logits)
    of_zero = jax.nn.log_sigmoid(-q.logits) - jax.nn.log_sigmoid(-p.logits)
    return q.mean * of_one + (1 - q.mean) * of_zero


@register_kl(StraightThroughCategorical, StraightThroughCategorical)
def _kl_of_categoricals(q: StraightThroughCategorical, p: StraightThroughCategorical) -> Array:
    """One number per group, shape (groups,)."""
    return (jnp.exp(q.logits) * (q.logits - p.logits)).sum(-1)


def latent_count(distribution: dist.Distribution) -> int:
    """How many latents z has; a group of levels counts as one."""
    count: int = getattr(distribution, "groups", distribution.event_shape[0])
    return count


class _MomentsByDraws(dist.Distribution):
    """A distribution without closed moments."""

    @property
    def mean(self) -> Array:
        """Shape (k,)."""
        return fixed_draws(self).mean(0)

    @property
    def variance(self) -> Array:
        """Shape (k,)."""
        return fixed_draws(self).var(0)


class Flow(_MomentsByDraws):
    """z = f(u; condition), u ~ base: log p(z) = log p(u) - log |det df/du|.

    Rezende and Mohamed (2015). u and z have shape (k,); `condition` is what else f depends on.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    pytree_data_fields = ("base", "flow", "condition")
    reparametrized_params: ClassVar[list[str]] = []

    def __init__(
        self, base: dist.Distribution, flow: CouplingFlow, condition: Array | None = None
    ) -> None:
        self.base, self.flow, self.condition = base, flow, condition
        super().__init__(event_shape=base.event_shape)

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """Shape sample_shape + (k,)."""
        u = self.base.sample(key, sample_shape)
        f = self.flow.bijection()
        z = jax.vmap(lambda u: f.transform(u, self.condition))(u.reshape(-1, *self.event_shape))
        return z.reshape(u.shape)

    def log_prob(self, value: Array) -> Array:
        """In nats, shape () for one z."""
        f = self.flow.bijection()

        def inverse(z: Array) -> tuple[Array, Array]:
            u, log_det = f.inverse_and_log_det(z, self.condition)
            return u, log_det

        u, log_det = jnp.vectorize(inverse, signature="(k)->(k),()")(value)
        return self.base.log_prob(u) + log_det


class Chain(_MomentsByDraws):
    """Two layers of latents, z = (first, second): log p(z) = log p(first) + log p(second | first).

    `second` gives the distribution of `width` latents given the first ones; z is (second, first)
    where it is `backwards`.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    pytree_data_fields = ("first", "second")
    pytree_aux_fields = ("width", "backwards")
    reparametrized_params: ClassVar[list[str]] = []

    def __init__(
        self,
        first: dist.Distribution,
        second: Callable[[Array], dist.Distribution],
        width: int,
        *,
        backwards: bool = False,
    ) -> None:
        self.first, self.second = first, second
        self.width, self.backwards = width, backwards
        super().__init__(event_shape=(first.event_shape[0] + width,))

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """Shape sample_shape + (k1 + k2,)."""
        key_first, key_second = jax.random.split(key)
        first = self.first.sample(key_first, sample_shape)
        rows = first.reshape(-1, *self.first.event_shape)
        keys = jax.random.split(key_second, len(rows))
        draws = jax.vmap(lambda z, key: self.second(z).sample(key))(rows, keys)
        second = draws.reshape(*sample_shape, self.width)
        return jnp.concatenate(self._in_order(first, second), -1)

    def log_prob(self, value: Array) -> Array:
        """In nats, shape () for one z."""
        left_size, _ = self._in_order(self.first.event_shape[0], self.width)

        def one(z: Array) -> Array:
            first, second = self._in_order(z[:left_size], z[left_size:])
            return self.first.log_prob(first) + self.second(first).log_prob(second)

        return jnp.vectorize(one, signature="(k)->()")(value)

    def _in_order(self, first: Part, second: Part) -> tuple[Part, Part]:
        """(first, second), or the other way round where z is (second, first)."""
        if self.backwards:
            return second, first
        return first, second
