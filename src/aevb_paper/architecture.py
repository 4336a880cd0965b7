"""Card 5: the paper's own network (appendix C), held against its equations, and drawn from the live
model.
"""

from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from matplotlib.figure import Figure

from aevb import figures
from aevb.build import initial_model
from aevb.diagnostics import LayerRow, architecture
from aevb.model import Model
from aevb.networks import MLP, parameter_count, trainable
from aevb.start import Architecture
from aevb.table.schema import Column, Schema
from aevb_paper.checks import Check, quickly

__all__ = ["CHECKS", "drawn", "live_model", "live_row"]

HIDDEN, LATENTS = 500, 20


@cache
def _digits() -> np.ndarray:
    """Handwritten digits of 8 by 8 pixels, 1 where there is ink."""
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().data > 7, np.float64)


@cache
def live_model() -> Model:
    """x -> tanh(500) -> (mu, log sigma^2) -> z -> tanh(500) -> Bernoulli: the network of section 5,
    on 64 pixels.
    """
    with jax.enable_x64(False):  # whoever asks for it first
        return _network()


def _network() -> Model:
    schema = Schema(
        tuple(Column(f"pixel{i}", "binary", categories=(0, 1)) for i in range(64))
    ).scaled(_digits())
    sizes = Architecture(LATENTS, hidden=(HIDDEN,), linear_start=False)
    return initial_model(schema, schema.to_model_units(_digits()), sizes, jax.random.key(0))


def live_row() -> Array:
    """One digit."""
    return jnp.asarray(_digits()[0], jnp.float32)


def drawn() -> Figure:
    """The live model, layer by layer, with shapes and parameters."""
    return figures.architecture(architecture(live_model()))


# The formulas.


def perceptron(network: MLP, x: Array) -> Array:
    """W_2 tanh(W_1 x + b_1) + b_2, of eq. 11 and 12."""
    first, second = cast(Any, network.layers)
    return second.weight @ jnp.tanh(first.weight @ x + first.bias) + second.bias


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


def layer_size(inputs: int, outputs: int) -> int:
    """Numbers in W and b of a layer: outputs (inputs + 1)."""
    return outputs * (inputs + 1)


def network_size(sizes: tuple[int, ...]) -> int:
    """Of a perceptron of these widths."""
    return sum(layer_size(inputs, outputs) for inputs, outputs in pairwise(sizes))


def layers() -> tuple[LayerRow, ...]:
    """What is drawn: every layer's part, name, shapes and parameters."""
    return tuple(architecture(live_model()))


# How far each is from true.


class Witness(NamedTuple):
    """What the package says log p(x|z) and log q(z|x) are of some rows and codes, and the weights
    it says so with.
    """

    decoder: MLP
    encoder: MLP
    x: Array
    seen: Array  # by the encoder: pixels in units of their deviation from the mean
    z: Array
    log_likelihood: Array
    log_q: Array


@cache
def _witness() -> Witness:
    """In float64, and with weights moved from where training starts, where biases are 0."""
    model, rng = live_model(), np.random.default_rng(0)
    with jax.enable_x64(True):
        model = jax.tree.map(
            lambda leaf, moves: leaf.astype(float) + 0.1 * moves * rng.normal(size=leaf.shape),
            model,
            trainable(model),
        )
        x, z = jnp.asarray(_digits()[:3]), jax.random.normal(jax.random.key(1), (3, LATENTS))
        features = model.posterior.encoder.features
        log_likelihood = quickly(jax.vmap(lambda x, z: model.likelihood(z).log_prob(x)))(x, z)
        log_q = quickly(jax.vmap(lambda x, z: model.posterior(x).log_prob(z)))(x, z)
        seen = (x - features.center.tree) / features.spread.tree
        return Witness(
            model.likelihood.network,
            model.posterior.encoder.network,
            x,
            seen,
            z,
            log_likelihood,
            log_q,
        )


def _decoder() -> float:
    """Of log p(x|z) by the package, and by eq. 11."""
    known = _witness()
    with jax.enable_x64(True):
        said = [
            log_bernoulli(x, sigmoid(perceptron(known.decoder, z)))
            for x, z in zip(known.x, known.z, strict=True)
        ]
        return float(jnp.abs(known.log_likelihood - jnp.stack(said)).max())


def _encoder() -> float:
    """Of log q(z|x) by the package, and by eq. 9 and 12."""
    known = _witness()
    with jax.enable_x64(True):
        moments = [jnp.split(perceptron(known.encoder, seen), 2) for seen in known.seen]
        said = [log_gaussian(z, *numbers) for z, numbers in zip(known.z, moments, strict=True)]
        return float(jnp.abs(known.log_q - jnp.stack(said)).max())


def _parameters() -> float:
    """Drawn, against those that training may change, and against what the widths say."""
    said = sum(layer["parameters"] for layer in layers())
    widths = network_size((64, HIDDEN, 2 * LATENTS)) + network_size((LATENTS, HIDDEN, 64))
    return abs(said - parameter_count(live_model())) + abs(said - widths)


def _shapes() -> float:
    """How many layers do not take what the one before gives, from x to q's numbers and from z to x."""
    encoder = [layer for layer in layers() if layer["part"] == "encoder"]
    decoder = [layer for layer in layers() if layer["part"] == "decoder"]
    first, last, inner = [[64]], [[64]], [[2 * LATENTS]]
    joints = list(
        zip(
            first + [e["shape_out"] for e in encoder],
            [e["shape_in"] for e in encoder] + inner,
            strict=True,
        )
    )
    start = [list(jax.eval_shape(live_model().encode, live_row()).shape)]
    joints += zip(
        start + [d["shape_out"] for d in decoder],
        [d["shape_in"] for d in decoder] + last,
        strict=True,
    )
    return float(sum(given != taken for given, taken in joints))


def _drawing() -> float:
    """How many shapes and counts of the live model are not to be read in its drawing."""
    words = [text.get_text() for text in drawn().axes[0].texts]
    said = [
        f"{a[0]} → {b[0]}"
        for a, b in ((e["shape_in"], e["shape_out"]) for e in layers() if e["part"] != "latent")
    ]
    said += [f"{e['parameters']:,} parameters" for e in layers() if e["parameters"]]
    return float(sum(words.count(text) < said.count(text) for text in set(said)))


CHECKS = (
    Check(
        "log p(x|z) of the live decoder is eq. 11",
        _decoder,
        (perceptron, log_bernoulli, sigmoid),
        unit="nats",
    ),
    Check(
        "log q(z|x) of the live encoder is eq. 9 and 12",
        _encoder,
        (perceptron, log_gaussian),
        unit="nats",
    ),
    Check(
        "parameters drawn are those that are trained, outputs (inputs + 1) a layer",
        _parameters,
        (layers, network_size, layer_size),
        tolerance=0,
        unit="parameters",
    ),
    Check(
        "every layer takes what the one before it gives",
        _shapes,
        (layers,),
        tolerance=0,
        unit="layers",
    ),
    Check(
        "every shape and count of the live model stands in its drawing",
        _drawing,
        (drawn,),
        tolerance=0,
        unit="texts",
    ),
)
