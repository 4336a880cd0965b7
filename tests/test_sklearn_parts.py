"""Parts of one's own in `VAE`: classes and objects wherever a name is taken, saved and loaded."""

from pathlib import Path
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

import aevb
from aevb import VAE, configured, priors
from aevb.errors import ConfigError, ModelFileError
from aevb.likelihoods import LIKELIHOODS, Gamma, Located, NegativeBinomial, Poisson, StudentT
from aevb.networks import Residual
from aevb.objectives import iwae, log_weights
from aevb.start import Start

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2)) @ RNG.normal(size=(2, 4)) * [1.0, 10.0, 0.1, 1e3] + 5.0
SMALL: dict[str, Any] = {"latent_dim": 2, "hidden": (4,), "epochs": 1, "random_state": 0}


class Encoder(eqx.Module):
    """q(z|x) by a network; it does not know of missing cells."""

    net: Any

    @classmethod
    def build(cls, start: Start) -> Self:
        return cls(start.network(start.width, 2 * start.latent_dim))

    def __call__(self, x: jax.Array) -> dist.Distribution:
        mean, log_scale = jnp.split(self.net(x), 2)
        return dist.Normal(mean, jnp.exp(log_scale)).to_event(1)


class Decoder(eqx.Module):
    """p(x|z) of whole rows, in model units."""

    net: Any
    log_scale: jax.Array

    @classmethod
    def build(cls, start: Start) -> Self:
        return cls(start.network(start.latent_dim, start.width), jnp.zeros(start.width))

    def __call__(self, z: jax.Array) -> dist.Distribution:
        return dist.StudentT(5.0, self.net(z), jnp.exp(self.log_scale)).to_event(1)


class LaplacePrior(eqx.Module):
    """p(z) with a learned center."""

    loc: jax.Array

    def __call__(self) -> dist.Distribution:
        return dist.Laplace(self.loc, 1.0).to_event(1)


class OneForTheRow(Located):
    """A likelihood that gives one distribution for all its columns: a mistake."""

    def __call__(self, raw: jax.Array) -> dist.Distribution:
        return dist.Logistic(*self.location_scale(raw)).to_event(1)


class Logistic(Located):
    """A likelihood of columns, in three lines."""

    def __call__(self, raw: jax.Array) -> dist.Distribution:
        return dist.Logistic(*self.location_scale(raw))


def median_weight(model: Any, x: jax.Array, key: Any, *, samples: int = 3) -> jax.Array:
    log_w, _ = log_weights(model, x, key, samples)
    return jnp.median(log_w)


def log_joint_once(model: Any, x: jax.Array, key: Any) -> jax.Array:
    log_w, _ = log_weights(model, x, key, 1)
    return log_w[0]


PARTS: dict[str, dict[str, Any]] = {
    "prior, an object": {"prior": LaplacePrior(jnp.zeros(2))},
    "prior, a class": {"prior": priors.StandardNormal},
    "prior, with other options": {"prior": configured(priors.GaussianMixture, components=3)},
    "posterior, a class": {"posterior": Encoder},
    "likelihood of rows, a class": {"likelihood": Decoder},
    "likelihood of columns, a class": {"likelihood": Logistic},
    "objective, a function": {"objective": median_weight},
    "objective, a function without samples": {"objective": log_joint_once},
    "objective, one of the package": {"objective": iwae, "samples": 3},
    "network, a class": {"network": Residual},
    "all of them": {
        "prior": LaplacePrior(jnp.zeros(2)),
        "posterior": Encoder,
        "likelihood": Decoder,
        "objective": median_weight,
        "network": Residual,
    },
}
FAST = ("prior, an object", "all of them")


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=[] if one in FAST else pytest.mark.long) for one in PARTS],
)
def test_it_fits_and_comes_back_with_the_same_parts(name: str, tmp_path: Path) -> None:
    parts = PARTS[name]
    vae = VAE(**{**SMALL, **parts}).fit(X)
    scores = vae.score_samples(X[:5], samples=20)
    assert np.isfinite(scores).all()
    vae.save(tmp_path / "run")
    same = aevb.load(tmp_path / "run", **parts)
    assert np.array_equal(same.score_samples(X[:5], samples=20), scores)
    assert np.array_equal(same.sample(3), vae.sample(3))


def test_parts_that_are_not_given_again_are_asked_for(tmp_path: Path) -> None:
    VAE(**SMALL, prior=LaplacePrior(jnp.zeros(2))).fit(X).save(tmp_path / "run")
    with pytest.raises(ModelFileError, match=r"a prior of one's own.*load\(prior=\.\.\.\)"):
        aevb.load(tmp_path / "run")


def test_an_object_starts_where_it_is_and_is_trained() -> None:
    start = VAE(**{**SMALL, "epochs": 0}, prior=LaplacePrior(jnp.array([0.5, -0.5]))).fit(X)
    assert start.model_.prior.loc.tolist() == [0.5, -0.5]
    after = VAE(**{**SMALL, "epochs": 3}, prior=LaplacePrior(jnp.array([0.5, -0.5]))).fit(X)
    assert after.model_.prior.loc.tolist() != [0.5, -0.5]


def test_rows_of_ones_own_are_scored_in_the_units_of_the_data() -> None:
    """log p(x|z) = log p(u|z) - sum of log(scale), over the observed cells."""
    vae = VAE(**{**SMALL, "epochs": 0}, likelihood=Decoder).fit(X)
    z = jnp.array([0.3, -0.7])
    u = jnp.array([0.1, -1.0, 0.4, 2.0])
    own = vae.model_.likelihood.decoder(z)
    log_scale = np.log([column.scale for column in vae.schema_.columns])
    nats = vae.model_.log_likelihood(u, z)
    np.testing.assert_allclose(nats, own.log_prob(u) - log_scale.sum(), rtol=1e-5)
    holed = u.at[1].set(jnp.nan)
    cells = own.base_dist.log_prob(u) - log_scale
    np.testing.assert_allclose(
        vae.model_.log_likelihood(holed, z), cells.sum() - cells[1], rtol=1e-5
    )


def test_missing_cells_need_only_a_likelihood_that_can_leave_them_out() -> None:
    holed = X.copy()
    holed[::3, 1] = np.nan
    vae = VAE(**SMALL, likelihood=Decoder, posterior=Encoder).fit(holed)
    assert np.isfinite(vae.score_samples(holed, samples=20)).all()
    filled = vae.impute(holed)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[~np.isnan(holed)], holed[~np.isnan(holed)])


def test_a_likelihood_for_each_column() -> None:
    """Names and classes, two for columns of one kind; the others keep their defaults."""
    frame = pd.DataFrame(
        {
            "age": RNG.normal(40, 10, 80),
            "weight": RNG.normal(70, 10, 80),
            "visits": RNG.poisson(3, 80),
            "calls": RNG.poisson(9, 80),
            "price": RNG.gamma(2, 3, 80),
        }
    )
    asked = {"age": "student_t", "visits": "poisson", "calls": NegativeBinomial, "price": Gamma}
    vae = VAE(**SMALL, likelihood=asked).fit(frame)
    parts = {
        frame.columns[place]: type(part)
        for part in vae.model_.likelihood.parts
        for place in part.columns
    }
    expected = {"age": StudentT, "visits": Poisson, "calls": NegativeBinomial, "price": Gamma}
    assert parts == {**expected, "weight": LIKELIHOODS["gaussian"]}
    assert (vae.sample(50)["price"] > 0).all()


def test_one_likelihood_for_all_is_for_columns_of_numbers() -> None:
    frame = pd.DataFrame({"age": RNG.normal(40, 10, 60), "town": RNG.choice(["A", "B"], 60)})
    parts = VAE(**{**SMALL, "epochs": 0}, likelihood="student_t").fit(frame).model_.likelihood.parts
    assert [type(part) for part in parts] == [StudentT, LIKELIHOODS["bernoulli"]]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"likelihood": {"x0": 3}}, "likelihood must be"),
        ({"prior": 3}, "prior must be"),
        ({"posterior": eqx.nn.Linear}, r"classmethod build\(start\)"),
        ({"prior": LaplacePrior(jnp.zeros(3))}, "a distribution over 2 latents.* got one over 3"),
        ({"likelihood": OneForTheRow}, r"OneForTheRow: expected a distribution for each column"),
        ({"objective": lambda model, x, key: x}, r"one number for a row, got shape \(4,\)"),
        ({"objective": log_joint_once, "samples": 3}, "log_joint_once takes no samples"),
    ],
    ids=[
        "number for a column",
        "number",
        "class without build",
        "prior of another width",
        "likelihood of rows for columns",
        "objective of a vector",
        "objective without samples",
    ],
)
def test_what_is_no_part_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        VAE(**{**SMALL, **settings}).fit(X)
