"""Section 2.2: one function per estimator of the bound; each takes a model, one row and a key, and
returns nats.

An estimator returns the bound; where a better slope is to be had than the bound's own, it returns
the bound with that slope. `OBJECTIVES` holds those of the package by name; any function
(model, x, key) -> nats will do in their place, and what it may need stands beside them.
"""

from aevb.distributions.kl import kl
from aevb.objectives.importance import dreg, dreg_resampled, iwae, iwae_resampled, renyi
from aevb.objectives.registry import OBJECTIVES, estimator, estimator_of
from aevb.objectives.score import score, vimco
from aevb.objectives.sgvb import sgvb_a, sgvb_b, stl
from aevb.objectives.weights import (
    differentiated_as,
    held_fixed,
    log_weight_terms,
    log_weights,
    reparameterized,
)

__all__ = [
    "OBJECTIVES",
    "differentiated_as",
    "dreg",
    "dreg_resampled",
    "estimator",
    "estimator_of",
    "held_fixed",
    "iwae",
    "iwae_resampled",
    "kl",
    "log_weight_terms",
    "log_weights",
    "renyi",
    "reparameterized",
    "score",
    "sgvb_a",
    "sgvb_b",
    "stl",
    "vimco",
]
