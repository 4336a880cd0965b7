"""Multilayer perceptrons: tensors in, raw parameters out (appendix C of the paper)."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "Described",
    "Fixed",
    "Layer",
    "class_words",
    "parameter_count",
    "pick",
    "trainable",
]

#: The non-linearities a network can be given by name; the paper's is tanh.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "elu": jax.nn.elu,
}


class Fixed(eqx.Module):
    """Numbers that belong to a model (units, floors, places of atoms) and that training leaves
    alone.
    """

    value: Array


def trainable(model: PyTree) -> PyTree:
    """A tree of booleans: which leaves of a model training may change; every float array that is
    not `Fixed`.
    """
    return jax.tree.map(
        lambda leaf: (
            jax.tree.map(lambda _: False, leaf)
            if isinstance(leaf, Fixed)
            else eqx.is_inexact_array(leaf)
        ),
        model,
        is_leaf=lambda node: isinstance(node, Fixed),
    )


class Layer(NamedTuple):
    """One layer of a model, as reports list it."""

    name: str
    inputs: int
    outputs: int
    #: How many numbers training may change.
    parameters: int


@runtime_checkable
class Described(Protocol):
    """A part of a model that lists its layers."""

    def describe(self) -> list[Layer]:
        """The layers, in the order data flow; their parameters are all of the part's that they
        account for.
        """


def class_words(part: object) -> str:
    """The name of a part's class in words.

    >>> class GaussianMixture: ...
    >>> class_words(GaussianMixture())
    'Gaussian mixture'
    """
    name = getattr(part, "__name__", type(part).__name__)
    letters = [f" {letter.lower()}" if letter.isupper() else letter for letter in name]
    words = "".join(letters).strip()
    for person in ("gaussian", "bernoulli", "poisson"):
        words = words.replace(person, person.capitalize())
    return words.removesuffix(" columns")


class MLP(eqx.Module):
    """A multilayer perceptron, y = W_2 f(W_1 x + b_1) + b_2 (eq. 11 and 12), with any number of
    hidden layers.

    Parameters
    ----------
    sizes
        Widths from input to output; two of them make a linear map.
    activation
        A name in `ACTIVATIONS`.
    key
        Source of the initial weights; biases start at zero.
    smooth
        Weights start as N(0, 2 / (inputs + outputs)) (Glorot and Bengio 2010): a layer much wider
        than its input then starts nearly linear, right for a residual. Otherwise N(0, 1 / inputs),
        right for a network on its own.

    Examples
    --------
    >>> import jax
    >>> MLP((3, 8, 2), "tanh", jax.random.key(0))(jax.numpy.ones(3)).shape
    (2,)
    """

    layers: tuple[eqx.nn.Linear, ...]
    activation: str = eqx.field(static=True)

    def __init__(
        self, sizes: Sequence[int], activation: str, key: PRNGKeyArray, *, smooth: bool = False
    ) -> None:
        keys = jax.random.split(key, len(sizes) - 1)
        self.layers = tuple(
            _dense(*pair, k, smooth) for pair, k in zip(pairwise(sizes), keys, strict=True)
        )
        self.activation = activation

    def __call__(self, x: Array) -> Array:
        """Map an input of shape (sizes[0],) to an output of shape (sizes[-1],)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = ACTIVATIONS[self.activation](_affine(layer, x))
        return _affine(last, x)

    def describe(self) -> list[Layer]:
        """Each affine layer, named by the activation after it."""
        names = [self.activation] * (len(self.layers) - 1) + ["linear"]
        layers = []
        for name, layer in zip(names, self.layers, strict=True):
            size = parameter_count(layer)
            layers.append(Layer(name, layer.weight.shape[1], layer.weight.shape[0], size))
        return layers

    def starting_at(self, output: Array, *, weights: float = 1.0) -> "MLP":
        """The same network with its last bias set to `output` and its last weights scaled: 0 makes
        it constant.
        """
        last = self.layers[-1]
        return eqx.tree_at(
            lambda mlp: (mlp.layers[-1].weight, mlp.layers[-1].bias),
            self,
            (last.weight * weights, output),
        )


def _affine(layer: eqx.nn.Linear, x: Array) -> Array:
    """W x + b, written x W': over many rows that product comes out row by row, and W x transposed,
    which costs.
    """
    assert layer.bias is not None
    return x @ layer.weight.T + layer.bias


def _dense(inputs: int, outputs: int, key: PRNGKeyArray, smooth: bool) -> eqx.nn.Linear:
    """One affine layer with normal weights, shape (outputs, inputs), and zero bias."""
    deviation = (2 / (inputs + outputs) if smooth else 1 / max(inputs, 1)) ** 0.5
    weight: Any
    if isinstance(
        key, jax.core.Tracer
    ):  # a traced key has no bits yet: JAX draws, or only says the shape
        weight = deviation * jax.random.normal(key, (outputs, inputs))
    else:  # drawn by NumPy from the key's bits: JAX would compile a program for each layer's shape
        weight = np.random.default_rng(np.asarray(jax.random.key_data(key))).normal(
            0, deviation, (outputs, inputs)
        )
    layer = eqx.filter_eval_shape(eqx.nn.Linear, inputs, outputs, key=key)
    arrays = (jnp.asarray(weight, jnp.float32), jnp.zeros(outputs))
    return eqx.tree_at(lambda linear: (linear.weight, linear.bias), layer, arrays)


def pick(x: Array, places: tuple[int, ...]) -> Array:
    """The entries of a vector at these places; neighbours in order are a slice, which costs
    nothing.
    """
    begin, end = (places[0], places[-1] + 1) if places else (0, 0)
    return x[begin:end] if places == tuple(range(begin, end)) else x[np.array(places)]


def parameter_count(model: PyTree) -> int:
    """How many numbers training may change in a model."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, trainable(model))))
