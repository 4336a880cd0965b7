"""Estimates of log p(x), of their error, and of what they miss.

Examples
--------
Rows of a linear Gaussian model with its exact posterior, of which every weight is p(x):

>>> import jax.numpy as jnp, numpyro.distributions as dist
>>> from aevb.model import Model
>>> from aevb.marginal import importance
>>> model = Model(
...     lambda x: dist.Normal(x / 2, 0.5**0.5).to_event(1),
...     lambda z: dist.Normal(z, 1.0).to_event(1),
...     lambda: dist.Normal(jnp.zeros(1), 1.0).to_event(1),
... )
>>> round(importance(model, [[0.0], [2.0]], samples=10).mean(), 4)  # of log N(x; 0, 2)
-1.7655
"""

from aevb.marginal.aggregate import AggregatePosterior, aggregate_posterior
from aevb.marginal.annealed import Bracket, ChainScores, annealed, bracket, reverse_annealed
from aevb.marginal.gap import InferenceGap, inference_gap
from aevb.marginal.harmonic import harmonic
from aevb.marginal.importance import Scores, elbo, importance, pareto_k

__all__ = [
    "AggregatePosterior",
    "Bracket",
    "ChainScores",
    "InferenceGap",
    "Scores",
    "aggregate_posterior",
    "annealed",
    "bracket",
    "elbo",
    "harmonic",
    "importance",
    "inference_gap",
    "pareto_k",
    "reverse_annealed",
]
