"""Laws of multilayer perceptrons, and of what training may change."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from paramax import NonTrainable

from aevb.networks import (
    ACTIVATIONS,
    MLP,
    NETWORKS,
    Residual,
    constant_at,
    parameter_count,
    trainable,
)

KEY = jax.random.key(0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_it_is_equations_11_and_12(name: str) -> None:
    mlp = MLP((3, 8, 2), name, KEY)
    first, last = mlp.layers
    x = np.array([0.5, -1.0, 2.0], np.float32)
    hidden = ACTIVATIONS[name].function(first.weight @ x + first.bias)
    np.testing.assert_allclose(
        mlp(jnp.asarray(x)), last.weight @ hidden + last.bias, rtol=1e-5, atol=1e-6
    )


def test_two_sizes_are_a_linear_map() -> None:
    mlp = MLP((3, 2), "tanh", KEY)
    x, y = jnp.array([1.0, 2.0, 3.0]), jnp.array([-1.0, 0.5, 9.0])
    np.testing.assert_allclose(mlp(x + 2 * y), mlp(x) + 2 * mlp(y), rtol=1e-4)


def test_the_key_alone_gives_the_weights() -> None:
    """N(0, 1 / inputs), or N(0, 2 / (inputs + outputs)) for a smooth start; biases zero; layers and
    keys differ.
    """
    mlp, same, other = (MLP((40, 60, 60), "tanh", key) for key in (KEY, KEY, jax.random.key(1)))
    smooth = MLP((40, 60, 60), "tanh", KEY, smooth=True)
    np.testing.assert_allclose(smooth.layers[0].weight.std(), (2 / 100) ** 0.5, rtol=0.05)
    for layer, twin, another in zip(mlp.layers, same.layers, other.layers, strict=True):
        assert np.array_equal(layer.weight, twin.weight)
        assert not np.array_equal(layer.weight, another.weight)
        np.testing.assert_allclose(layer.weight.std(), layer.weight.shape[1] ** -0.5, rtol=0.05)
        assert (np.asarray(layer.bias) == 0).all()
    assert not np.array_equal(mlp.layers[0].weight[:, :40], mlp.layers[1].weight[:, :40])


def test_shapes_are_had_without_numbers_and_traced_weights_follow_the_same_law() -> None:
    def made(key: jax.Array) -> MLP:
        return MLP((40, 60, 60), "tanh", key)

    vast = eqx.filter_eval_shape(MLP, (10**6, 10**6), "tanh", KEY)
    assert vast.layers[0].weight.shape == (10**6, 10**6)
    for layer in eqx.filter_jit(made)(KEY).layers:
        np.testing.assert_allclose(layer.weight.std(), layer.weight.shape[1] ** -0.5, rtol=0.05)


def test_starting_at_makes_it_constant() -> None:
    output = jnp.array([3.0, -4.0])
    constant = MLP((3, 8, 2), "relu", KEY).starting_at(output, weights=0.0)
    for x in (jnp.zeros(3), jnp.full(3, 1e3)):
        np.testing.assert_array_equal(constant(x), output)
    kept = MLP((3, 8, 2), "relu", KEY).starting_at(output)
    np.testing.assert_allclose(
        kept(jnp.ones(3)), MLP((3, 8, 2), "relu", KEY)(jnp.ones(3)) + output, rtol=1e-5
    )


def test_training_may_change_every_float_that_is_not_fixed() -> None:
    model = {
        "mlp": MLP((3, 8, 2), "tanh", KEY),
        "units": NonTrainable(jnp.ones(5)),
        "count": jnp.arange(4),
        "name": "x",
    }
    leaves = jax.tree.leaves(trainable(model))
    assert sum(leaves) == 4
    assert parameter_count(model) == 3 * 8 + 8 + 8 * 2 + 2


def test_residual_layers_add_to_what_comes_in() -> None:
    """h <- h + f(W h + b) between layers of one width; the others are as in `MLP`."""
    sizes = (3, 8, 8, 5, 2)
    network = Residual(sizes, "tanh", KEY)
    first, second, third, last = network.layers
    x = jnp.array([0.5, -1.0, 2.0])
    h = jnp.tanh(first.weight @ x + first.bias)
    h = h + jnp.tanh(second.weight @ h + second.bias)
    h = jnp.tanh(third.weight @ h + third.bias)
    np.testing.assert_allclose(network(x), last.weight @ h + last.bias, rtol=1e-5, atol=1e-6)
    plain = MLP(sizes, "tanh", KEY)
    assert eqx.tree_equal(network.layers, plain.layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_starts_at_a_constant(name: str) -> None:
    output = jnp.array([3.0, -4.0])
    network = NETWORKS[name]((3, 8, 8, 2), "silu", KEY, smooth=True)
    constant = constant_at(network, output)
    np.testing.assert_array_equal(constant(jnp.full(3, 7.0)), output)
    slope = eqx.filter_grad(lambda network: network(jnp.ones(3)).sum())(constant)
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slope))  # training can leave it


def test_a_network_of_ones_own_starts_at_a_constant() -> None:
    output = jnp.array([3.0, -4.0, 0.0])
    constant = constant_at(jnp.sin, output)
    np.testing.assert_array_equal(constant(jnp.ones(3)), output)
    free = constant_at(jnp.sin, output, weights=1.0)
    np.testing.assert_allclose(free(jnp.ones(3)), jnp.sin(jnp.ones(3)) + output, rtol=1e-6)


def test_a_gated_layer_is_two_matrices_in_one_product() -> None:
    """silu(A x + a) (B x + b), A above B in the first layer's weights."""
    mlp = MLP((3, 8, 2), "gated", KEY)
    first, last = mlp.layers
    assert first.weight.shape == (16, 3)
    assert last.weight.shape == (2, 8)
    x = jnp.array([0.5, -1.0, 2.0])
    hidden = jax.nn.silu(first.weight[:8] @ x) * (first.weight[8:] @ x)
    np.testing.assert_allclose(mlp(x), last.weight @ hidden, rtol=1e-5, atol=1e-6)
