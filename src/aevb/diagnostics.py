"""What the latents do: the KL each uses, which are active, whether the posterior has collapsed."""

from typing import TypedDict

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import ArrayLike, NDArray

from aevb.distributions.kl import kl
from aevb.distributions.moments import mean_of, variance_of
from aevb.model import Model
from aevb.networks import Described, Layer, class_words, parameter_count
from aevb.rows import map_rows

__all__ = ["LatentDiagnostics", "LayerRow", "architecture", "codes", "latent_diagnostics"]


class LatentDiagnostics(TypedDict):
    """What `latent_diagnostics` finds."""

    kl_per_latent: list[float]
    active_units: int
    active: list[bool]
    collapsed: bool


class LayerRow(TypedDict):
    """One row of `architecture`."""

    part: str
    name: str
    shape_in: list[int]
    shape_out: list[int]
    parameters: int


def codes(model: Model, rows: ArrayLike) -> NDArray[np.float32]:
    """E_q[z] of each row, shape (n, latent_dim); no noise, and the same in any company."""
    return np.asarray(map_rows(Model.encode, model, rows))


def latent_diagnostics(
    model: Model, rows: ArrayLike, *, active_above: float = 1e-2, collapsed_below: float = 0.05
) -> LatentDiagnostics:
    """KL per latent in nats, active units and whether the posterior has collapsed, over these rows.

    The KL of latent j is the mean over rows of KL(q(z_j|x) || p(z_j)) between Gaussians of their
    mean and variance: for a diagonal q and a standard normal prior that is the j-th term of
    appendix B. For levels it is their own; a group of them counts as one latent.

    A latent is active where the variance over rows of its posterior mean is above `active_above`
    (Burda et al. 2016, section 4). The posterior has collapsed where none is, or where no latent
    has `collapsed_below` nats of KL. Rows are in model units, shape (n, D).
    """
    mean, kls = map_rows(_mean_and_kl, model, rows)
    nats = kls.astype(np.float64).mean(axis=0)
    variance = mean.astype(np.float64).var(axis=0)
    active = variance.reshape(len(nats), -1).max(axis=1) > active_above
    return {
        "kl_per_latent": nats.tolist(),
        "active_units": int(active.sum()),
        "active": active.tolist(),
        "collapsed": bool(nats.max() < collapsed_below or not active.any()),
    }


def _mean_and_kl(model: Model, x: Array) -> tuple[Array, Array]:
    q, p = model.q_z(x), model.p_z()
    if q.support.is_discrete:
        return mean_of(q), kl(q, p, key=jax.random.key(0))
    variance = variance_of(p)
    ratio = variance_of(q) / variance
    distance = (mean_of(q) - mean_of(p)) ** 2 / variance
    return mean_of(q), 0.5 * (distance + ratio - 1 - jnp.log(ratio))


def architecture(model: Model) -> list[LayerRow]:
    """Every layer of a model from x through z back to x: part, name, shapes and parameters.

    A part that is `Described` lists its own layers; another has a row for each of its modules, and
    one for the rest.
    """
    latents = model.latent_dim
    encoder = _layers(model.posterior, model.width, latents)
    between: list[Layer] = []
    if isinstance(model.prior, Described):
        between = model.prior.describe()
    listed = sum(layer.parameters for layer in encoder + between)
    own = parameter_count((model.posterior, model.prior)) - listed
    names = f"q(z|x): {class_words(model.posterior)}, p(z): {class_words(model.prior)}"
    rows = _layer_rows("encoder", encoder)
    rows += _layer_rows("latent", [Layer(names, latents, latents, own)])
    rows += _layer_rows("decoder", between)
    rows += _layer_rows("decoder", _layers(model.likelihood, latents, model.width))
    return rows


def _layers(part: object, inputs: int, outputs: int) -> list[Layer]:
    """The layers of a network from inputs to outputs."""
    if isinstance(part, Described):
        return part.describe()
    layers = []
    for child in vars(part).values():
        if isinstance(child, Described):
            layers += child.describe()
        elif isinstance(child, eqx.Module) and parameter_count(child):
            layers.append(Layer(class_words(child), inputs, outputs, parameter_count(child)))
    rest = parameter_count(part) - sum(layer.parameters for layer in layers)
    if rest or not layers:
        layers.append(Layer(class_words(part), inputs, outputs, rest))
    return layers


def _layer_rows(part: str, layers: list[Layer]) -> list[LayerRow]:
    return [
        LayerRow(
            part=part,
            name=layer.name,
            shape_in=[layer.inputs],
            shape_out=[layer.outputs],
            parameters=int(layer.parameters),
        )
        for layer in layers
    ]
