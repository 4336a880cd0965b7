"""Estimates of log p(x) and of their error."""

from aevb.marginal.aggregate import aggregate_posterior
from aevb.marginal.annealed import annealed, bracket, reverse_annealed
from aevb.marginal.gap import inference_gap
from aevb.marginal.harmonic import harmonic
from aevb.marginal.importance import Scores, elbo, pareto_k
from aevb.marginal.importance import importance_weighted as importance

__all__ = [
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
