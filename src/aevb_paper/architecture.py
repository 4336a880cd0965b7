"""Card 5: the paper's own network (appendix C), compared with its equations, and drawn."""
# ruff: noqa: D103 - the name of a check says what it checks

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array
from matplotlib.figure import Figure

from aevb import figures
from aevb.diagnostics import architecture
from aevb.model import Model
from aevb.networks import MLP, parameter_count
from aevb_paper.checks import check, compile_quickly
from aevb_paper.experiments.networks import paper_model

__all__ = [
    "decoder",
    "draw",
    "drawing",
    "encoder",
    "live_model",
    "live_row",
    "parameters",
    "shapes",
]


def live_model(**options: float) -> Model:
    """The network of section 5 with 20 latents, for black and white digits of 64 pixels."""
    return paper_model(64, 20, 500, "bernoulli", jax.random.key(0), **options)


def live_row() -> Array:
    """One digit of 8 by 8 pixels, 1 where there is ink."""
    from sklearn.datasets import load_digits

    return jnp.asarray(load_digits().data[0] > 7, float)


def draw() -> Figure:
    """The live model, layer by layer, with shapes and parameters."""
    return figures.architecture(architecture(live_model()))


# The formulas


def perceptron(network: MLP, x: Array) -> Array:
    """W_2 tanh(W_1 x + b_1) + b_2, of eq. 11 and 12."""
    w1, b1, w2, b2 = jax.tree.leaves(network)
    return w2 @ jnp.tanh(w1 @ x + b1) + b2


def log_bernoulli(x: Array, y: Array) -> Array:
    """log p(x|z) = sum_i x_i log y_i + (1 - x_i) log(1 - y_i), eq. 11."""
    return jnp.sum(x * jnp.log(y) + (1 - x) * jnp.log(1 - y))


def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a)."""
    return 1 / (1 + jnp.exp(-a))


def log_gaussian(z: Array, mean: Array, log_variance: Array) -> Array:
    """log q(z|x) = log N(z; mu, diag sigma^2), eq. 9."""
    squares = (z - mean) ** 2 / jnp.exp(log_variance)
    return -jnp.sum(jnp.log(2 * jnp.pi) + log_variance + squares) / 2


def network_size(*widths: int) -> int:
    """Numbers in W and b of all layers: outputs (inputs + 1) each."""
    return sum(outputs * (inputs + 1) for inputs, outputs in pairwise(widths))


# How far each is from true


@check("log p(x|z) of the live decoder is eq. 11", unit="nats")
def decoder() -> float:
    with jax.enable_x64(True):
        model: Any = live_model(deviation=0.1)
        x, z = live_row(), jax.random.normal(jax.random.key(1), (20,))
        found = compile_quickly(lambda x, z: model.likelihood(z).log_prob(x))(x, z)
        y = sigmoid(perceptron(model.likelihood.network, z))
        return float(jnp.abs(found - log_bernoulli(x, y)))


@check("log q(z|x) of the live encoder is eq. 9 and 12", unit="nats")
def encoder() -> float:
    with jax.enable_x64(True):
        model: Any = live_model(deviation=0.1)
        x, z = live_row(), jax.random.normal(jax.random.key(1), (20,))
        found = compile_quickly(lambda x, z: model.posterior(x).log_prob(z))(x, z)
        mean, log_variance = jnp.split(perceptron(model.posterior.network, x), 2)
        return float(jnp.abs(found - log_gaussian(z, mean, log_variance)))


@check(
    "parameters drawn are those that are trained, outputs (inputs + 1) per layer",
    tolerance=0,
    unit="parameters",
)
def parameters() -> float:
    drawn = sum(layer["parameters"] for layer in architecture(live_model()))
    by_widths = network_size(64, 500, 2 * 20) + network_size(20, 500, 64)
    return abs(drawn - parameter_count(live_model())) + abs(drawn - by_widths)


@check("every layer takes what the one before it gives", tolerance=0, unit="layers")
def shapes() -> float:
    layers = architecture(live_model())
    encoder = [layer for layer in layers if layer["part"] == "encoder"]
    decoder = [layer for layer in layers if layer["part"] == "decoder"]
    # From x to q's numbers, and from a code to x.
    given = [[64], *(layer["shape_out"] for layer in encoder)]
    taken = [*(layer["shape_in"] for layer in encoder), [2 * 20]]
    given += [list(live_model().encode(live_row()).shape), *(d["shape_out"] for d in decoder)]
    taken += [*(layer["shape_in"] for layer in decoder), [64]]
    return float(sum(a != b for a, b in zip(given, taken, strict=True)))


@check("every shape and count of the live model stands in its drawing", tolerance=0, unit="texts")
def drawing() -> float:
    words = [text.get_text() for text in draw().axes[0].texts]
    expected = []
    for layer in architecture(live_model()):
        if layer["part"] != "latent":
            expected.append(f"{layer['shape_in'][0]} → {layer['shape_out'][0]}")
        if layer["parameters"]:
            expected.append(f"{layer['parameters']:,} parameters")
    return float(sum(words.count(text) < expected.count(text) for text in set(expected)))
