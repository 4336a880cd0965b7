"""How noisy the slope of every estimator of the bound is, on one trained model, against the number
of draws.

    python -m benchmarks.estimators

Writes docs/estimators.json, which the page docs/estimators.md draws. See README.md beside this
file.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from sklearn.datasets import load_digits

from aevb import VAE, objectives
from aevb.networks import trainable
from aevb.train import minibatch_bound

RESULTS = Path(__file__).parents[1] / "docs" / "estimators.json"
DRAWS = (1, 2, 5, 10, 20, 50)
#: Slopes of one minibatch whose mean and variance are taken.
SLOPES, BATCH = 400, 100
MODEL: dict[str, Any] = {
    "latent_dim": 16,
    "hidden": (64,),
    "prior": "standard_normal",
    "epochs": 60,
    "binarize": "static",
    "random_state": 0,
}


def slopes(
    model: Any, objective: Callable[..., Array], rows: Array, samples: int
) -> dict[str, float]:
    """Total variance of the slope in encoder and decoder, and signal to noise: |E g| / sqrt(tr Var
    g).
    """
    parameters, static = eqx.partition(model, trainable(model))

    def one(key: Any) -> Any:
        def bound(parameters: Any) -> Array:
            model = eqx.combine(parameters, static)
            draws = partial(objective, samples=samples)
            return minibatch_bound(
                model, draws, rows, jnp.ones(BATCH), jax.random.split(key, BATCH), jnp.ones(())
            )

        slope = jax.grad(bound)(parameters)
        return {
            "encoder": _flat(slope.posterior),
            "decoder": _flat((slope.likelihood, slope.prior)),
        }

    @jax.jit
    def moments(keys: Any) -> Any:
        def add(sums: Any, key: Any) -> Any:
            slope = one(key)
            return jax.tree.map(
                lambda s, g: (s[0] + g, s[1] + g**2), sums, slope, is_leaf=_is_pair
            ), None

        nothing = jax.tree.map(
            lambda leaf: (jnp.zeros_like(leaf), jnp.zeros_like(leaf)), one(keys[0])
        )
        return jax.lax.scan(add, nothing, keys)[0]

    found = {}
    for part, (first, second) in moments(jax.random.split(jax.random.key(1), SLOPES)).items():
        mean = np.asarray(first, np.float64) / SLOPES
        variance = (np.asarray(second, np.float64) / SLOPES - mean**2).sum() * SLOPES / (SLOPES - 1)
        signal = max((mean**2).sum() - variance / SLOPES, 0.0)  # the mean's own noise taken off
        found |= {
            f"{part}_variance": float(variance),
            f"{part}_signal_to_noise": float(np.sqrt(signal / variance)),
        }
    return found


def _flat(tree: Any) -> Array:
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def _is_pair(node: Any) -> bool:
    return isinstance(node, tuple)


def main() -> None:
    images = load_digits().data
    vae = VAE(**MODEL).fit(images[:1500])
    rows = jnp.asarray(vae.fit_.preparation.units(images[:BATCH]))
    found = []
    for name in objectives.OBJECTIVES:
        for samples in DRAWS:
            numbers = slopes(vae.model_, getattr(objectives, name), rows, samples)
            found.append({"objective": name, "samples": samples, **numbers})
            print(
                name, samples, {key: round(value, 4) for key, value in numbers.items()}, flush=True
            )
    RESULTS.write_text(
        json.dumps({"model": {**MODEL, "data": "digits, binarized"}, "slopes": found}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    main()
