"""The paper's own networks: sizes, start, and eq. 12 with the mean through a sigmoid."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from aevb.networks import parameter_count
from aevb_paper.experiments.networks import affine_log_likelihood, paper_model


@pytest.mark.parametrize(("likelihood", "outputs"), [("bernoulli", 1), ("gaussian", 2)])
def test_it_has_one_hidden_layer_each_way_and_no_other_number(likelihood, outputs: int) -> None:
    model = paper_model(30, 4, 50, likelihood, jax.random.key(0))
    encoder = 30 * 50 + 50 + 50 * 8 + 8
    decoder = 4 * 50 + 50 + 50 * 30 * outputs + 30 * outputs
    assert parameter_count(model) == encoder + decoder


def test_every_parameter_starts_from_the_same_normal() -> None:
    model = paper_model(784, 20, 100, "bernoulli", jax.random.key(0))
    for network in (model.posterior.network, model.likelihood.network):
        for layer in network.layers:
            for numbers in (layer.weight, layer.bias):
                chi_square = float(jnp.sum(jnp.square(numbers / 0.01)))
                assert stats.chi2(numbers.size).cdf(chi_square) == pytest.approx(0.5, abs=0.4999)


def test_the_encoder_is_equation_9_and_12() -> None:
    model = paper_model(3, 2, 5, "bernoulli", jax.random.key(1), deviation=1.0)
    x, z = jnp.array([0.0, 1.0, 1.0]), np.array([0.3, -1.2], np.float32)
    mean, log_variance = np.asarray(model.posterior.network(x), np.float64).reshape(2, 2)
    expected = stats.norm(mean, np.exp(0.5 * log_variance)).logpdf(z).sum()
    assert float(model.posterior(x).log_prob(jnp.asarray(z))) == pytest.approx(expected, rel=1e-5)


def test_a_gaussian_decoder_is_equation_12() -> None:
    model = paper_model(3, 2, 5, "gaussian", jax.random.key(1))
    z, x = jnp.array([0.4, -30.0]), np.array([0.2, 0.9, 0.5], np.float32)
    raw = np.asarray(model.likelihood.network(z), np.float64).reshape(3, 2)
    expected = stats.norm(special.expit(raw[:, 0]), np.exp(0.5 * raw[:, 1])).logpdf(x).sum()
    assert float(model.likelihood(z).log_prob(jnp.asarray(x))) == pytest.approx(expected, rel=1e-5)


def test_the_likelihood_of_black_and_white_pixels_is_affine_in_them() -> None:
    """And in gray pixels, where eq. 11 is used as a cross-entropy."""
    model = paper_model(6, 2, 5, "bernoulli", jax.random.key(0))
    matrices = lambda model: [layer.weight for layer in model.likelihood.network.layers]  # noqa: E731
    model = eqx.tree_at(matrices, model, [100 * matrix for matrix in matrices(model)])
    rng = np.random.default_rng(0)
    x = jnp.asarray(np.concatenate([rng.random((4, 6)) < 0.5, rng.random((4, 6))]), jnp.float32)
    z = jnp.asarray(rng.normal(size=(7, 2)), jnp.float32)
    a, b = affine_log_likelihood(model, z, 6)
    each = jax.vmap(jax.vmap(lambda x, z: model.likelihood(z).log_prob(x), (None, 0)), (0, None))(
        x, z
    )
    assert float(each.std()) > 0.1
    np.testing.assert_allclose(a + x @ b.T, each, rtol=1e-4, atol=1e-4)
