"""Every registered part keeps the laws that are shipped for parts, and a wrong part breaks them."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array

from aevb import testing
from aevb.likelihoods import LIKELIHOODS, DiscretizedLogisticColumns, Gaussian, Likelihood, Poisson
from aevb.model import Model
from aevb.networks import MLP, NETWORKS
from aevb.objectives import OBJECTIVES, log_weights, sgvb_a
from aevb.posteriors import POSTERIORS
from aevb.priors import PRIORS
from aevb.table.schema import Column

LATENTS = {"categorical": POSTERIORS["categorical"].multiple}
RNG = np.random.default_rng(0)
Z = RNG.normal(size=400)
#: Columns unlike those of `example_columns`.
COLUMNS = {
    "atoms": {
        Column("a", "continuous", atoms=(0.0, 30.0)): np.where(
            RNG.random(400) < 0.5, 0.0, RNG.choice([30.0, 480.0, 520.0, 610.0], 400)
        ),
        Column("b", "continuous", atoms=(1.0,)): np.where(
            RNG.random(400) < 0.3, 1.0, RNG.normal(7, 2, 400)
        ),
    },
    "atoms on a grid": {
        Column("a", "continuous", resolution=1.0, atoms=(40.0, 20.0)): np.where(
            Z > 0, 40, np.round(40 + 9 * Z)
        ),
        Column("b", "continuous", resolution=1.0, atoms=(7.0,)): np.where(
            Z < -0.5, 7, np.round(300 * Z)
        ),
    },
    "pixels of two kinds": {
        Column("a", "pixel", resolution=1.0, lower=0.0, upper=15.0): np.clip(
            np.round(6 + 4 * Z), 0, 15
        ),
        Column("b", "pixel", resolution=1 / 255, lower=0.0, upper=1.0): np.clip(
            np.round(128 + 60 * Z), 0, 255
        )
        / 255,
    },
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_keeps_the_laws(name: str) -> None:
    testing.check_likelihood(name)


@pytest.mark.parametrize("name", COLUMNS)
def test_any_columns_keep_the_laws(name: str) -> None:
    part = Gaussian if name == "atoms" else DiscretizedLogisticColumns
    testing.check_likelihood(part, COLUMNS[name])


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long) if name == "flow" else name for name in POSTERIORS],
)
def test_every_posterior_keeps_the_laws(name: str) -> None:
    testing.check_posterior(name, latent_dim=LATENTS.get(name, 2))


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_keeps_the_laws(name: str) -> None:
    testing.check_prior(name, latent_dim=LATENTS.get(name, 2))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_keeps_the_laws(name: str) -> None:
    testing.check_objective(name)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_keeps_the_laws(name: str) -> None:
    testing.check_network(name)


def test_functions_are_parts_too() -> None:
    testing.check_posterior(lambda x: dist.Normal(0.1 * jnp.tanh(x[:2]), 0.5).to_event(1))
    testing.check_prior(lambda: dist.StudentT(5.0, jnp.zeros(2), 1.0).to_event(1))


class HalfPoisson(Poisson):
    """Half of the probability is missing."""

    def log_prob(self, distribution: dist.Distribution, x: Array) -> Array:
        return super().log_prob(distribution, x) - jnp.log(2.0)


class OtherDraws(Poisson):
    """The mean is right, the draws are not."""

    def __call__(self, raw: Array) -> dist.Distribution:
        return Shrunk(super().__call__(raw))


class Shrunk(dist.Distribution):
    """A distribution whose draws are half of what they should be."""

    pytree_data_fields = ("whole",)

    def __init__(self, whole: dist.Distribution) -> None:
        self.whole = whole
        super().__init__(whole.batch_shape, whole.event_shape)

    @property
    def support(self) -> dist.constraints.Constraint:
        return self.whole.support

    @property
    def mean(self) -> Array:
        return self.whole.mean

    def log_prob(self, value: Array) -> Array:
        return self.whole.log_prob(value)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.whole.sample(key, sample_shape) // 2


class StartsFar(Poisson):
    """Ten times as many as there were."""

    def start(self, units: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        return super().start(units, weights) + np.log(10.0)


class NotFinite(Poisson):
    """An infinity far from the start."""

    def log_prob(self, distribution: dist.Distribution, x: Array) -> Array:
        return super().log_prob(distribution, x) + 0.0 * jnp.exp(x)


class Nowhere(Likelihood):
    """For columns that nobody has."""

    kind = "temperature"


@pytest.mark.parametrize(
    ("part", "law"),
    [
        (HalfPoisson, "sums to"),
        (OtherDraws, "draws do not follow"),
        (StartsFar, "not that of the training rows"),
        (NotFinite, "sums to|not finite"),
        (Nowhere, "give `columns`"),
    ],
)
def test_a_wrong_likelihood_breaks_a_law(part: type[Likelihood], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        testing.check_likelihood(part)


def half(p: dist.Distribution) -> dist.Distribution:
    """A density that integrates to a half."""
    return Scaled(p, 1.0, jnp.log(0.5))


def wide(p: dist.Distribution) -> dist.Distribution:
    """Draws as wide again as the density."""
    return Scaled(p, 2.0, jnp.zeros(()))


class Scaled(dist.Distribution):
    """A distribution with other draws and other nats than its own."""

    pytree_data_fields = ("whole", "size", "nats")

    def __init__(self, whole: dist.Distribution, size: float, nats: Array) -> None:
        self.whole, self.size, self.nats = whole, jnp.asarray(size), nats
        super().__init__(whole.batch_shape, whole.event_shape)

    @property
    def support(self) -> dist.constraints.Constraint:
        return self.whole.support

    @property
    def mean(self) -> Array:
        return self.whole.mean

    def log_prob(self, value: Array) -> Array:
        return self.whole.log_prob(value) + self.nats

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.size * self.whole.sample(key, sample_shape)


def unchecked(mean: Array) -> dist.Distribution:
    return dist.Normal(mean, 1.0, validate_args=False).to_event(1)


def standard(x: Array) -> dist.Distribution:
    return dist.Normal(0.1 * jnp.tanh(x[:2]), 1.0).to_event(1)


@pytest.mark.parametrize(
    ("part", "law"),
    [
        (lambda x: dist.Normal(0.1 * jnp.tanh(x[:2]), 1.0), "event shape"),
        (lambda x: half(standard(x)), "integrates to"),
        (lambda x: wide(standard(x)), "draws do not follow"),
        (lambda x: unchecked(x[:2] * jnp.inf), "not finite"),
        (lambda x: unchecked(1.0 / x[:2]), "not finite"),
    ],
    ids=["shape", "half", "wide", "infinite", "extreme"],
)
def test_a_wrong_posterior_breaks_a_law(
    part: Callable[[Array], dist.Distribution], law: str
) -> None:
    with pytest.raises(AssertionError, match=law):
        testing.check_posterior(part)


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (half, "integrates to"),
        (wide, "draws do not follow"),
        (lambda p: p.base_dist, "event shape"),
        (lambda p: dist.Delta(jnp.zeros(2)).to_event(1), "no spread"),
    ],
    ids=["half", "wide", "shape", "point"],
)
def test_a_wrong_prior_breaks_a_law(
    change: Callable[[dist.Distribution], dist.Distribution], law: str
) -> None:
    with pytest.raises(AssertionError, match=law):
        testing.check_prior(lambda: change(dist.Normal(jnp.zeros(2), 1.0).to_event(1)))


def in_bits(model: Model, x: Array, key: Array) -> Array:
    return sgvb_a(model, x, key) / jnp.log(2.0)


def a_loss(model: Model, x: Array, key: Array) -> Array:
    return -sgvb_a(model, x, key)


def too_high(model: Model, x: Array, key: Array) -> Array:
    return log_weights(model, x, key, 5)[0].max()


def one_per_draw(model: Model, x: Array, key: Array) -> Array:
    return log_weights(model, x, key, 5)[0]


def without_gradient(model: Model, x: Array, key: Array) -> Array:
    return jax.lax.stop_gradient(sgvb_a(model, x, key))


def without_key(model: Model, x: Array, key: Array) -> Array:
    return sgvb_a(model, x, jax.random.key(int(RNG.integers(10**6))))


@pytest.mark.parametrize(
    ("objective", "law"),
    [
        (in_bits, "off log p"),
        (a_loss, "above log p"),
        (too_high, "above log p"),
        (one_per_draw, "one number per row"),
        (without_gradient, "gradient is zero"),
        (without_key, "same key"),
    ],
)
def test_a_wrong_objective_breaks_a_law(objective: Callable[..., Array], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        testing.check_objective(objective)


class KeyIgnored(MLP):
    """Weights that do not depend on the key."""

    def __init__(
        self, sizes: tuple[int, ...], activation: str, key: Array, *, smooth: bool = False
    ) -> None:
        super().__init__(sizes, activation, jax.random.key(7), smooth=smooth)


class OneMore(eqx.Module):
    """One output too many."""

    network: MLP

    def __init__(
        self, sizes: tuple[int, ...], activation: str, key: Array, *, smooth: bool = False
    ) -> None:
        self.network = MLP((*sizes[:-1], sizes[-1] + 1), activation, key, smooth=smooth)

    def __call__(self, x: Array) -> Array:
        return self.network(x)


class NotConstant(MLP):
    """A start that is not the constant it was asked for."""

    def starting_at(self, output: Array, *, weights: float = 1.0) -> "NotConstant":
        return self


@pytest.mark.parametrize(
    ("part", "law"),
    [
        (KeyIgnored, "another key"),
        (OneMore, "output of shape"),
        (NotConstant, "start at the constant"),
    ],
)
def test_a_wrong_network_breaks_a_law(part: type[eqx.Module], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        testing.check_network(part)
