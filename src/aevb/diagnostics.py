"""What the latents do: the KL each uses, which are active, whether the posterior has collapsed."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray
from numpyro.distributions import kl_divergence

from aevb.distributions.latents import StraightThroughBernoulli, StraightThroughCategorical
from aevb.marginal.importance import each_row, row_keys
from aevb.model import Model
from aevb.networks import parameter_count
from aevb.posteriors import TwoLayerPosterior
from aevb.priors import TwoLayerPrior

__all__ = ["ACTIVE", "COLLAPSED", "architecture", "codes", "latent_diagnostics"]

#: A latent is active where the variance over rows of its posterior mean is above this (Burda et al.
#: 2016, section 4).
ACTIVE = 1e-2
#: Nats of KL that not one latent has where the model ignores them all.
COLLAPSED = 0.05


def codes(model: Model, units: NDArray[np.float32]) -> NDArray[np.float32]:
    """E_q[z] of each row, shape (n, latent_dim); no noise, and the same in any company."""
    return np.asarray(each_row(_code, model, units, row_keys(units, 0)))


def latent_diagnostics(model: Model, units: NDArray[np.float32]) -> dict[str, Any]:
    """KL per latent in nats, active units and whether the posterior has collapsed, over these rows.

    The KL of latent j is the mean over rows of KL(q(z_j|x) || p(z_j)) between Gaussians of their
    mean and variance: for a diagonal q and a standard normal prior that is the j-th term of
    appendix B. Of levels it is their own; a group of them counts as one latent.
    """
    moments = each_row(_mean_and_kl, model, units, row_keys(units, 0))
    mean, kls = (np.asarray(part, dtype=np.float64) for part in moments)
    kl = kls.mean(axis=0)
    active = mean.var(axis=0).reshape(len(kl), -1).max(axis=1) > ACTIVE
    return {
        "kl_per_latent": kl.tolist(),
        "active_units": int(active.sum()),
        "active": active.tolist(),
        "collapsed": bool(kl.max() < COLLAPSED or not active.any()),
    }


def _code(model: Model, x: Array, key: PRNGKeyArray) -> Array:
    return model.encode(x)


def _mean_and_kl(model: Model, x: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
    q, p = model.posterior(x), model.p_z()
    if isinstance(q, StraightThroughBernoulli | StraightThroughCategorical):
        return q.mean, kl_divergence(q, p)
    ratio = q.variance / p.variance
    return q.mean, 0.5 * ((q.mean - p.mean) ** 2 / p.variance + ratio - 1 - jnp.log(ratio))


def architecture(model: Model) -> list[dict[str, Any]]:
    """Every layer of a model from x through z back to x: part, name, shapes and number of
    parameters.
    """
    encoder, decoder = model.posterior.encoder, model.likelihood
    width = sum(len(part.columns) for part in decoder.parts)
    latent_dim = model.posterior.latent_dim
    rows = [_layer("encoder", "features of x", width, encoder.features.size, 0)]
    if encoder.linear is not None:
        gain = encoder.linear.gain
        rows.append(
            _layer("encoder", "linear posterior", encoder.features.size, len(gain), gain.size)
        )
    rows += _network("encoder", encoder.network)
    if isinstance(model.posterior, TwoLayerPosterior):
        rows += _network("encoder", model.posterior.upper.network)
    q, p = (_words(type(part).__name__) for part in (model.posterior, model.prior))
    between = (
        []
        if not isinstance(model.prior, TwoLayerPrior)
        else _network("decoder", model.prior.lower.network)
    )
    own = parameter_count(getattr(model.posterior, "flow", None)) + (
        0 if between else parameter_count(model.prior)
    )
    rows.append(_layer("latent", f"q(z|x): {q}, p(z): {p}", latent_dim, latent_dim, own))
    rows += between
    if decoder.linear is not None:
        outputs, inputs = decoder.linear.shape
        rows.append(_layer("decoder", "loadings", inputs, outputs, decoder.linear.size))
    rows += _network("decoder", decoder.network)
    for part in decoder.parts:
        own = parameter_count(part)
        size = len(part.columns) * part.parameters
        rows.append(
            _layer(
                "decoder", f"p(x|z): {_words(type(part).__name__)}", size, len(part.columns), own
            )
        )
    return rows


def _network(part: str, network: Any) -> list[dict[str, Any]]:
    names = [network.activation] * (len(network.layers) - 1) + ["linear"]
    return [
        _layer(
            part, name, layer.in_features, layer.out_features, layer.weight.size + layer.bias.size
        )
        for name, layer in zip(names, network.layers, strict=True)
    ]


def _layer(part: str, name: str, inputs: int, outputs: int, parameters: int) -> dict[str, Any]:
    return {
        "part": part,
        "name": name,
        "shape_in": [inputs],
        "shape_out": [outputs],
        "parameters": int(parameters),
    }


def _words(name: str) -> str:
    spaced = "".join(
        f" {letter.lower()}" if letter.isupper() else letter for letter in name
    ).strip()
    for person in ("gaussian", "bernoulli", "poisson"):
        spaced = spaced.replace(person, person.capitalize())
    return spaced.removesuffix(" columns")
