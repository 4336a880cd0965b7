"""What the latents do: the KL each uses, which are active, whether the posterior has collapsed."""

from typing import Any

import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from aevb.evaluation.bounds import each_row, row_keys
from aevb.model import VAE
from aevb.networks import parameter_count

__all__ = ["ACTIVE", "COLLAPSED", "architecture", "codes", "latent_diagnostics"]

#: A latent is active where the variance over rows of its posterior mean is above this (Burda et al. 2016, section 4).
ACTIVE = 1e-2
#: Nats of KL, over all latents, below which the model ignores them.
COLLAPSED = 1e-2


def codes(model: VAE, units: NDArray[np.float32]) -> NDArray[np.float32]:
    """E_q[z] of each row, shape (n, latent_dim); no noise, and the same in any company."""
    return np.asarray(each_row(_code, model, units, row_keys(units, 0)))


def latent_diagnostics(model: VAE, units: NDArray[np.float32]) -> dict[str, Any]:
    """KL per latent in nats, active units and whether the posterior has collapsed, over these rows.

    The KL of latent j is the mean over rows of KL(q(z_j|x) || p(z_j)) between Gaussians of their mean and variance: for
    a diagonal q and a standard normal prior that is the j-th term of appendix B.
    """
    moments = each_row(_moments, model, units, row_keys(units, 0))
    mean, variance = (np.asarray(m, dtype=np.float64) for m in moments)
    p = model.p_z()
    prior_mean, prior_variance = (np.asarray(m, dtype=np.float64) for m in (p.mean, p.variance))
    ratio = variance / prior_variance
    kl = 0.5 * ((mean - prior_mean) ** 2 / prior_variance + ratio - 1 - np.log(ratio)).mean(axis=0)
    active = mean.var(axis=0) > ACTIVE
    return {
        "kl_per_latent": kl.tolist(),
        "active_units": int(active.sum()),
        "active": active.tolist(),
        "collapsed": bool(kl.sum() < COLLAPSED or not active.any()),
    }


def _code(model: VAE, x: Array, key: PRNGKeyArray) -> Array:
    return model.encode(x)


def _moments(model: VAE, x: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
    q = model.posterior(x)
    return q.mean, q.variance


def architecture(model: VAE) -> list[dict[str, Any]]:
    """Every layer of a model from x through z back to x: part, name, shapes and number of parameters."""
    encoder, decoder = model.posterior.encoder, model.likelihood
    width = sum(len(part.columns) for part in decoder.parts)
    latent_dim = model.posterior.latent_dim
    rows = [_layer("encoder", "features of x", width, encoder.features.size, 0)]
    if encoder.linear is not None:
        rows.append(_layer("encoder", "linear posterior", encoder.features.size, latent_dim, encoder.linear.gain.size))
    rows += _network("encoder", encoder.network)
    q, p = (_words(type(part).__name__) for part in (model.posterior, model.prior))
    rows.append(_layer("latent", f"q(z|x): {q}, p(z): {p}", latent_dim, latent_dim, parameter_count(model.prior)))
    if decoder.linear is not None:
        rows.append(_layer("decoder", "loadings", latent_dim, decoder.linear.shape[0], decoder.linear.size))
    rows += _network("decoder", decoder.network)
    for part in decoder.parts:
        own = parameter_count(part)
        size = len(part.columns) * part.parameters
        rows.append(_layer("decoder", f"p(x|z): {_words(type(part).__name__)}", size, len(part.columns), own))
    return rows


def _network(part: str, network: Any) -> list[dict[str, Any]]:
    names = [network.activation] * (len(network.layers) - 1) + ["linear"]
    return [
        _layer(part, name, layer.in_features, layer.out_features, layer.weight.size + layer.bias.size)
        for name, layer in zip(names, network.layers, strict=True)
    ]


def _layer(part: str, name: str, inputs: int, outputs: int, parameters: int) -> dict[str, Any]:
    return {"part": part, "name": name, "shape_in": [inputs], "shape_out": [outputs], "parameters": int(parameters)}


def _words(name: str) -> str:
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    for person in ("gaussian", "bernoulli", "poisson"):
        spaced = spaced.replace(person, person.capitalize())
    return spaced.removesuffix(" columns")
