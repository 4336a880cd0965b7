"""Laws of a model made of anyone's callables: it goes through everything the package does."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

from aevb import marginal, predict, train
from aevb.diagnostics import architecture, codes, latent_diagnostics
from aevb.distributions.observed import cells
from aevb.errors import ConfigError
from aevb.model import Model
from aevb.networks import MLP, parameter_count
from aevb.objectives import OBJECTIVES, log_weights, sgvb_a, sgvb_b
from aevb.priors import StandardNormal, VampPrior

KEY = jax.random.key(0)
LATENTS, COLUMNS = 2, 5
KEYS = jax.random.split(KEY, 4_000)


class Encoder(eqx.Module):
    """q(z|x): a Gaussian, by a network."""

    net: MLP

    def __call__(self, x: Any) -> dist.Distribution:
        mean, log_scale = jnp.split(self.net(x), 2)
        return dist.Normal(mean, jnp.exp(log_scale)).to_event(1)


class Decoder(eqx.Module):
    """p(x|z): a Student-t, by a network and a scale for each column."""

    net: MLP
    log_scale: jax.Array

    def __call__(self, z: Any) -> dist.Distribution:
        return dist.StudentT(5.0, self.net(z), jnp.exp(self.log_scale)).to_event(1)


class LaplacePrior(eqx.Module):
    loc: jax.Array

    def __call__(self) -> dist.Distribution:
        return dist.Laplace(self.loc, 1.0).to_event(1)


class Correlated(Decoder):
    """p(x|z) whose cells hang together, so that none can be left out."""

    def __call__(self, z: Any) -> dist.Distribution:
        return dist.MultivariateNormal(self.net(z), jnp.eye(COLUMNS) + 0.5)


class Conditional(dist.MultivariateNormal):
    """The same, but it says what each cell is worth given those before it."""

    def cells(self, x: Any) -> Any:
        seen = ~jnp.isnan(x)
        centered = jnp.where(seen, x - self.loc, 0.0)
        covariance = jnp.where(seen[:, None] & seen, self.covariance_matrix, jnp.eye(len(x)))
        factor = jnp.linalg.cholesky(covariance)
        each = jax.scipy.linalg.solve_triangular(factor, centered, lower=True)
        nats = -0.5 * (each**2 + jnp.log(2 * jnp.pi)) - jnp.log(jnp.diag(factor))
        return jnp.where(seen, nats, 0.0)

    def log_prob(self, value: Any) -> Any:
        return self.cells(value).sum()


def median(model: Model, x: Any, key: Any, *, samples: int = 5) -> Any:
    """An objective: the nats of one row."""
    log_w, _ = log_weights(model, x, key, samples)
    return jnp.median(log_w)


def rows(n: int = 200) -> np.ndarray:
    """Float64, as NumPy gives them."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(LATENTS, COLUMNS))
    return rng.normal(size=(n, LATENTS)) @ mixing + 0.3 * rng.normal(size=(n, COLUMNS))


X = rows()


def own_model() -> Model:
    """No argument needs to be told what it is."""
    key_q, key_p = jax.random.split(KEY)
    return Model(
        Encoder(MLP((COLUMNS, 8, 2 * LATENTS), "tanh", key_q)),
        Decoder(MLP((LATENTS, 8, COLUMNS), "tanh", key_p), jnp.zeros(COLUMNS)),
        LaplacePrior(jnp.zeros(LATENTS)),
    )


@pytest.fixture(scope="module")
def model() -> Model:
    """Trained by an own objective."""
    return train.fit(own_model(), X[:150], median, KEY, epochs=30, batch_size=25).model


def holed() -> np.ndarray:
    some = X[150:156].copy()
    some[0, 1] = some[1, :4] = np.nan
    some[2] = np.nan
    return some


def by_quadrature(model: Model, x: np.ndarray) -> float:
    """log p(x) of a row, over a grid of z."""
    side = np.linspace(-12, 12, 301)
    z = jnp.asarray(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2), jnp.float32)
    each = eqx.filter_jit(lambda m, x, z: jax.vmap(lambda z: m.log_joint(x, z))(z))
    log_joint = np.asarray(each(model, jnp.asarray(x, jnp.float32), z), np.float64)
    return float(np.logaddexp.reduce(log_joint) + 2 * np.log(side[1] - side[0]))


def test_its_sizes_are_those_of_its_distributions(model: Model) -> None:
    assert (model.latent_dim, model.width, model.has_levels) == (LATENTS, COLUMNS, False)
    assert model.decode(jnp.zeros(LATENTS)).shape == model.draw(KEY).shape == (COLUMNS,)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("sgvb_a", "iwae", "vimco") else pytest.mark.long)
        for name in OBJECTIVES
    ],
)
def test_every_estimator_bounds_it(name: str, model: Model) -> None:
    x = jnp.asarray(X[150], jnp.float32)
    objective = OBJECTIVES[name].function
    values = eqx.filter_jit(lambda m: jax.vmap(lambda key: objective(m, x, key))(KEYS))(model)
    error = np.std(values) / np.sqrt(len(KEYS))
    assert np.mean(values) < by_quadrature(model, X[150]) + 4 * error


def test_a_and_b_agree_where_the_kl_has_no_closed_form(model: Model) -> None:
    x = jnp.asarray(X[150], jnp.float32)
    a, b = (
        np.asarray(eqx.filter_jit(lambda m, o=o: jax.vmap(lambda key: o(m, x, key))(KEYS))(model))
        for o in (sgvb_a, sgvb_b)
    )
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


def test_training_raises_the_bound_it_is_given() -> None:
    def validate(model: Model) -> float:
        return marginal.importance(model, X[150:], samples=50).mean()

    found = train.fit(
        own_model(),
        X[:150],
        median,
        KEY,
        validate=validate,
        optimizer=optax.adam(1e-2),
        epochs=20,
    )
    assert found.best_epoch > 0
    assert validate(found.model) > found.history[0]["validation_bound"] + 1


def test_every_estimate_of_the_evidence_agrees_with_quadrature(model: Model) -> None:
    """Missing cells among the rows, and a row without any."""
    some = holed()
    truth = np.array([by_quadrature(model, x) for x in some])
    assert abs(truth[2]) < 1e-3
    estimates: dict[str, Callable[[], Any]] = {
        "importance": lambda: marginal.importance(model, some, samples=2_000),
        "annealed": lambda: marginal.annealed(model, some, temperatures=50),
        "annealed from the prior": lambda: marginal.annealed(
            model, some, temperatures=150, start="prior"
        ),
        "harmonic": lambda: marginal.harmonic(model, some, samples=500),
        "inference gap": lambda: marginal.inference_gap(model, some, steps=50),
    }
    for name, estimate in estimates.items():
        found = estimate().log_likelihood
        np.testing.assert_allclose(found, truth, atol=0.3, err_msg=name)
        assert abs(np.mean(found - truth)) < 0.1


def test_what_else_is_asked_of_a_model(model: Model) -> None:
    some = holed()
    sides = marginal.bracket(model, 64, chains=8, temperatures=40)
    assert sides.lower.mean() < sides.upper.mean() + 0.05
    assert abs(sides.lower.mean() - sides.upper.mean()) < 0.3
    assert np.isfinite(marginal.elbo(model, sgvb_b, some)).all()
    assert np.isfinite(marginal.elbo(model, median, some)).all()
    k, limit = marginal.pareto_k(model, some[3:], samples=200)
    assert (k < limit).all()
    split = marginal.aggregate_posterior(model, X[:60])
    assert np.isclose(split.mutual_information[0] + split.aggregate_kl[0], split.mean_kl[0])
    found = latent_diagnostics(model, some)
    assert len(found["kl_per_latent"]) == LATENTS
    assert np.isfinite(found["kl_per_latent"]).all()


def test_codes_and_predictions_have_their_shapes(model: Model) -> None:
    some = holed()
    z = codes(model, some)
    assert z.shape == (len(some), LATENTS)
    np.testing.assert_array_equal(z[2], model.p_z().mean)  # of no cells
    for means in (False, True):
        decoded = predict.decoded(model, z, means=means)
        np.testing.assert_allclose(decoded[0], model.likelihood(z[0]).mean, rtol=1e-5)
    assert predict.sampled(model, 3, 0).shape == (3, COLUMNS)
    assert predict.imputed(model, some, draws=2, samples=20, seed=0).shape == (2, *some.shape)


def test_a_missing_cell_is_imputed_by_its_conditional_mean(model: Model) -> None:
    """Against quadrature over z of the mean of p(x|z)."""
    row = X[160].copy()
    row[1] = np.nan
    side = np.linspace(-12, 12, 301)
    z = jnp.asarray(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2), jnp.float32)
    weigh = eqx.filter_jit(lambda m, x, z: jax.vmap(lambda z: m.log_joint(x, z))(z))
    weights = jax.nn.softmax(weigh(model, jnp.asarray(row, jnp.float32), z))
    means = jax.vmap(lambda z: model.likelihood(z).mean)(z)
    got = predict.imputed(model, row[None], draws=None, samples=4_000, seed=0)
    np.testing.assert_allclose(got[0, 0, 1], float(weights @ means[:, 1]), atol=0.05)


def test_its_layers_have_all_its_parameters(model: Model) -> None:
    """The network's own, and what stands beside it."""
    found = architecture(model)
    assert sum(layer["parameters"] for layer in found) == parameter_count(model)
    assert [layer["part"] for layer in found] == ["encoder"] * 2 + ["latent"] + ["decoder"] * 3
    assert found[2]["name"] == "q(z|x): encoder, p(z): laplace prior"
    assert found[-1] == {
        "part": "decoder",
        "name": "decoder",
        "shape_in": [LATENTS],
        "shape_out": [COLUMNS],
        "parameters": COLUMNS,
    }
    foreign = eqx.tree_at(
        lambda m: m.posterior.net, model, eqx.nn.MLP(COLUMNS, 2 * LATENTS, 8, 1, key=KEY)
    )
    found = architecture(foreign)
    assert found[0]["name"] == "m l p"
    assert sum(layer["parameters"] for layer in found) == parameter_count(foreign)


# Missing cells.


@pytest.mark.parametrize(
    ("base", "value"),
    [
        (dist.Normal(jnp.zeros(3), 2.0), 0.3),
        (dist.Gamma(jnp.ones(3), 2.0), 0.3),
        (dist.Beta(jnp.ones(3), 2.0), 0.3),
        (dist.Poisson(jnp.ones(3)), 2.0),
        (dist.Categorical(logits=jnp.array([[0.0, 1.0, 2.0]] * 3)), 2.0),
        (dist.Bernoulli(logits=jnp.ones(3)), 1.0),
        (dist.Uniform(jnp.ones(3), 4.0), 2.0),
    ],
)
def test_missing_cells_of_independent_ones_are_left_out(base: Any, value: float) -> None:
    """Value and slope, whatever the support."""
    x = jnp.array([value, jnp.nan, value])
    got = cells(base.to_event(1), x)
    expected = base.log_prob(jnp.full(3, value).astype(int if base.support.is_discrete else float))
    np.testing.assert_allclose(got, expected.at[1].set(0.0), rtol=1e-6)


def test_slopes_of_missing_cells_are_finite(model: Model) -> None:
    x = jnp.asarray(holed()[1], jnp.float32)
    slope = eqx.filter_grad(lambda m: sgvb_b(m, x, KEY))(model)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_a_joint_that_cannot_leave_cells_out_says_what_to_add(model: Model) -> None:
    """With complete rows it needs nothing."""
    joint = eqx.tree_at(
        lambda m: m.likelihood,
        model,
        Correlated(model.likelihood.net, jnp.zeros(COLUMNS)),  # type: ignore[attr-defined]
    )
    assert np.isfinite(marginal.importance(joint, X[:3], samples=10).mean())
    wanted = r"MultivariateNormal, cannot leave them out: give it a method cells\(x\)"
    for score in (marginal.importance, marginal.annealed, marginal.harmonic, codes):
        with pytest.raises(ConfigError, match=wanted):
            score(joint, holed())
    with pytest.raises(ConfigError, match=wanted):
        train.fit(joint, holed(), sgvb_b, KEY, epochs=1)


def test_a_joint_that_gives_its_cells_can(model: Model) -> None:
    """One cell left out of two that hang together is the other's marginal."""
    covariance = jnp.array([[1.0, 0.8], [0.8, 2.0]])
    p = Conditional(jnp.array([0.5, -0.5]), covariance)
    joint = Model(
        lambda x: dist.Normal(x, 1.0).to_event(1),
        lambda z: Conditional(0 * z + p.loc, covariance),
        StandardNormal(2),
    )
    some = np.array([[1.0, 2.0], [np.nan, 2.0]])
    found = marginal.importance(joint, some, samples=10).log_likelihood
    both = dist.MultivariateNormal(p.loc, covariance).log_prob(some[0])
    alone = dist.Normal(-0.5, np.sqrt(2.0)).log_prob(2.0)
    assert found.shape == (2,)
    log_p = [joint.log_likelihood(jnp.asarray(x), jnp.zeros(2)) for x in some]
    np.testing.assert_allclose(log_p, [both, alone], rtol=1e-5)


def test_a_q_that_reads_missing_cells_is_given_them() -> None:
    class Reads(eqx.Module):
        def __call__(self, x: Any) -> dist.Distribution:
            return dist.Normal(jnp.isnan(x).sum() * jnp.ones(2), 1.0).to_event(1)

        def for_missing(self) -> "Reads":
            return self

    some = np.array([[0.0, 1.0, 2.0], [np.nan, 1.0, np.nan]])
    p = Decoder(MLP((2, 3), "tanh", KEY), jnp.zeros(3))
    reads = Model(Reads(), p, StandardNormal(2))
    np.testing.assert_array_equal(codes(reads, some)[:, 0], [0, 2])
    filled = Model(Reads().__call__, p, StandardNormal(2))
    np.testing.assert_array_equal(codes(filled, some)[:, 0], [0, 0])


# Parts that are not what they should be, and parts of other kinds.


def test_a_distribution_over_a_batch_is_refused() -> None:
    """It would broadcast, and give some number."""
    good = own_model()
    batch = Model(lambda x: dist.Normal(x[:2], 1.0), good.likelihood, good.prior)
    with pytest.raises(ConfigError, match=r"q\(z\|x\) must be one distribution .* got \(2,\)"):
        sgvb_a(batch, jnp.zeros(COLUMNS), KEY)
    batch = Model(good.posterior, good.likelihood, lambda: dist.Laplace(jnp.zeros(2), 1.0))
    with pytest.raises(ConfigError, match=r"p\(z\) must be one distribution"):
        marginal.importance(batch, X[:2])


def test_a_q_without_reparameterization_is_told_which_objectives_it_has() -> None:
    class Bits(eqx.Module):
        net: MLP

        def __call__(self, x: Any) -> dist.Distribution:
            return dist.Bernoulli(logits=self.net(x)).to_event(1)

    good = own_model()
    bits = Model(
        Bits(MLP((COLUMNS, LATENTS), "tanh", KEY)),
        good.likelihood,
        lambda: dist.Bernoulli(logits=jnp.zeros(LATENTS)).to_event(1),
    )
    assert bits.has_levels
    with pytest.raises(ConfigError, match="no reparameterized draws: take the objective 'score'"):
        sgvb_b(bits, jnp.zeros(COLUMNS), KEY)
    with pytest.raises(ConfigError, match="latents that are levels"):
        marginal.annealed(bits, X[:2])
    fitted = train.fit(bits, X[:50], OBJECTIVES["score"].function, KEY, epochs=2, samples=4)
    assert np.isfinite(marginal.importance(fitted.model, X[:3], samples=20).mean())
    assert np.isfinite(latent_diagnostics(fitted.model, X[:20])["kl_per_latent"]).all()


def test_a_vamp_prior_takes_anyones_posterior(model: Model) -> None:
    pseudo = jnp.asarray(X[:6], jnp.float32)
    vamp = VampPrior(pseudo, pseudo.min(0), pseudo.max(0))
    mixed = Model(model.posterior, model.likelihood, vamp)
    assert mixed.latent_dim == LATENTS
    assert np.isfinite(marginal.importance(mixed, holed(), samples=20).mean())


def test_a_distribution_without_closed_moments_has_them_by_draws() -> None:
    """NumPyro's flows have no mean."""
    ordered = dist.TransformedDistribution(
        dist.Normal(jnp.zeros(LATENTS), 1.0).to_event(1), dist.transforms.OrderedTransform()
    )
    good = own_model()
    model = Model(lambda x: ordered, good.likelihood, lambda: ordered)
    assert codes(model, X[:2]).shape == (2, LATENTS)
    assert np.isfinite(marginal.inference_gap(model, X[:2], steps=2).bound).all()
