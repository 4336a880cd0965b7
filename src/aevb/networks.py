"""Networks: numbers in, raw parameters out (appendix C of the paper)."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree
from paramax import NonTrainable

from aevb.registry import Registry

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "NETWORKS",
    "Activation",
    "Described",
    "Layer",
    "Network",
    "Residual",
    "Scaled",
    "class_words",
    "constant_at",
    "drawn_by_numpy",
    "layers_of",
    "parameter_count",
    "pick",
    "trainable",
]


class Network(Protocol):
    """What a network is to a model: any module of numbers in, numbers out.

    A class is registered by ``NETWORKS.register(name)`` and built as
    ``cls(sizes, activation, key, smooth=...)``; see `MLP` for what these are.
    """

    def __call__(self, x: Array, /) -> Array:
        """Map an input of shape (sizes[0],) to an output of shape (sizes[-1],)."""


#: The networks by name; see `Network`.
NETWORKS: Registry[Callable[..., Network]] = Registry("network")


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
        """The layers in the order data flow, with all parameters of the part they account for."""


class Activation(NamedTuple):
    """A non-linearity: `function` maps `inputs` numbers for each unit to one."""

    function: Callable[[Array], Array]
    inputs: int = 1


def _gated(h: Array) -> Array:
    """silu(a) b, a and b the two halves of h: a gated linear unit (Shazeer 2020, SwiGLU)."""
    a, b = jnp.split(h, 2, axis=-1)
    return jax.nn.silu(a) * b


#: The non-linearities by name; the paper's is tanh.
ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation(jnp.tanh),
    "relu": Activation(jax.nn.relu),
    "silu": Activation(jax.nn.silu),
    "gelu": Activation(jax.nn.gelu),
    "elu": Activation(jax.nn.elu),
    "gated": Activation(_gated, inputs=2),
}


@NETWORKS.register("mlp")
class MLP(eqx.Module):
    """A multilayer perceptron, y = W_2 f(W_1 x + b_1) + b_2 (eq. 11 and 12), of any depth.

    Parameters
    ----------
    sizes
        Widths from input to output; two of them make a linear map.
    activation
        A name in `ACTIVATIONS`.
    key
        Random key of the initial weights; biases start at zero.
    smooth
        If true, weights start as N(0, 2 / (inputs + outputs)) (Glorot and Bengio 2010): a layer
        much wider than its input then starts nearly linear, right for a residual. Otherwise they
        start as N(0, 1 / inputs), right for a network on its own.

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
        self.layers = _affine_layers(sizes, activation, key, smooth)
        self.activation = activation

    def __call__(self, x: Array) -> Array:
        """Map an input of shape (sizes[0],) to an output of shape (sizes[-1],)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = ACTIVATIONS[self.activation].function(_affine(layer, x))
        return _affine(last, x)

    def describe(self) -> list[Layer]:
        """Each affine layer, named by the activation after it."""
        described = []
        for place, layer in enumerate(self.layers):
            name = "linear" if place == len(self.layers) - 1 else self.activation
            outputs, inputs = layer.weight.shape
            described.append(Layer(name, inputs, outputs, parameter_count(layer)))
        return described

    def starting_at(self, output: Array, *, weights: float = 1.0) -> Self:
        """The same network, its last bias `output` and its last weights times `weights`."""
        last = self.layers[-1]
        return eqx.tree_at(
            lambda net: (net.layers[-1].weight, net.layers[-1].bias),
            self,
            (last.weight * weights, output),
        )


@NETWORKS.register("residual")
class Residual(MLP):
    """A network whose hidden layers of equal width add to what comes in: h <- h + f(W h + b).

    He et al. (2016). The first layer, and any of another width than the one before, is as in
    `MLP`, and so is the last: y = W h + b; arguments too are as in `MLP`.

    Examples
    --------
    >>> import jax
    >>> Residual((3, 8, 8, 2), "tanh", jax.random.key(0))(jax.numpy.ones(3)).shape
    (2,)
    """

    def __call__(self, x: Array) -> Array:
        """Map an input of shape (sizes[0],) to an output of shape (sizes[-1],)."""
        *hidden, last = self.layers
        for place, layer in enumerate(hidden):
            change = ACTIVATIONS[self.activation].function(_affine(layer, x))
            adds = place > 0 and change.shape == x.shape
            x = x + change if adds else change
        return _affine(last, x)


class Scaled(eqx.Module):
    """scale f(x) + bias, both learned: how a network without a last layer starts at a constant."""

    network: Network
    scale: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        """Map an input to an output of the shape of `bias`."""
        return self.scale * self.network(x) + self.bias


def constant_at(network: Network, output: Array, *, weights: float = 0.0) -> Network:
    """The network plus a constant `output`, times `weights` before that: 0 makes it constant.

    Training starts there, and may change both. A network may bring its own ``starting_at(output,
    weights=)``; any other becomes `Scaled`.
    """
    own = getattr(network, "starting_at", None)
    if own is not None:
        started: Network = own(output, weights=weights)
        return started
    return Scaled(network, jnp.asarray(weights), output)


def layers_of(network: Network) -> list[Layer]:
    """The layers a network lists; of one that lists none, itself as a single layer."""
    if isinstance(network, Described):
        return network.describe()
    return [Layer(class_words(network), 0, 0, parameter_count(network))]


def class_words(part: object) -> str:
    """The name of a part's class in words.

    >>> class GaussianMixture: ...
    >>> class_words(GaussianMixture())
    'Gaussian mixture'
    """
    name = getattr(part, "__name__", type(part).__name__)
    words = ""
    for letter in name:
        words += f" {letter.lower()}" if letter.isupper() else letter
    words = words.strip()
    for person in ("gaussian", "bernoulli", "poisson"):
        words = words.replace(person, person.capitalize())
    return words.removesuffix(" columns")


def _affine_layers(
    sizes: Sequence[int], activation: str, key: PRNGKeyArray, smooth: bool
) -> tuple[eqx.nn.Linear, ...]:
    """The affine maps of a network, from input to output."""
    keys = jax.random.split(key, len(sizes) - 1)
    last = len(sizes) - 2
    layers = []
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        numbers = 1 if place == last else ACTIVATIONS[activation].inputs
        layers.append(_affine_layer(inputs, numbers * outputs, keys[place], smooth))
    return tuple(layers)


def _affine(layer: eqx.nn.Linear, x: Array) -> Array:
    """W x + b, written x W': vmapped over rows that product is fast, and W x is transposed."""
    assert layer.bias is not None
    return x @ layer.weight.T + layer.bias


def _affine_layer(inputs: int, outputs: int, key: PRNGKeyArray, smooth: bool) -> eqx.nn.Linear:
    """One affine layer with normal weights, shape (outputs, inputs), and zero bias."""
    variance = 2 / (inputs + outputs) if smooth else 1 / max(inputs, 1)
    layer = eqx.filter_eval_shape(eqx.nn.Linear, inputs, outputs, key=key)
    arrays = (_normal(key, (outputs, inputs), variance**0.5), jnp.zeros(outputs))
    return eqx.tree_at(lambda linear: (linear.weight, linear.bias), layer, arrays)


def drawn_by_numpy(
    key: PRNGKeyArray, draw: Callable[[np.random.Generator], np.ndarray], like: jax.Array | Any
) -> Array:
    """What `draw` gives with a generator of this key, the same whether JAX traces the key or not.

    JAX's own generator would compile a program for each shape. `like` is an array, or a
    `jax.ShapeDtypeStruct`, of the shape and type that `draw` gives.
    """

    def call(data: Array) -> np.ndarray:
        rng = np.random.default_rng(np.asarray(data))
        return draw(rng).astype(like.dtype)

    data = jax.random.key_data(key)
    numbers: Array = jax.pure_callback(call, like, data, vmap_method="sequential")
    return numbers


def _normal(key: PRNGKeyArray, shape: tuple[int, int], deviation: float) -> Array:
    """N(0, deviation^2), of this shape."""
    like = jax.ShapeDtypeStruct(shape, jnp.float32)  # type: ignore[no-untyped-call]
    return drawn_by_numpy(key, lambda rng: rng.normal(0, deviation, shape), like)


def pick(x: Array, places: tuple[int, ...]) -> Array:
    """The entries of a vector at these places; neighbors in order are a slice, which is free."""
    if not places:
        return x[:0]
    begin, end = places[0], places[-1] + 1
    if places == tuple(range(begin, end)):
        return x[begin:end]
    return x[np.array(places)]


def trainable(model: PyTree) -> PyTree:
    """A tree of booleans: which leaves training may change, every float that is not fixed."""

    def may_change(leaf: object) -> PyTree:
        if isinstance(leaf, NonTrainable):
            return jax.tree.map(lambda _: False, leaf)
        return eqx.is_inexact_array(leaf)

    return jax.tree.map(may_change, model, is_leaf=lambda node: isinstance(node, NonTrainable))


def parameter_count(model: PyTree) -> int:
    """How many numbers training may change in a model."""
    leaves = jax.tree.leaves(eqx.filter(model, trainable(model)))
    return sum(leaf.size for leaf in leaves)
