"""Section 2.2: one function per estimator of the bound; each takes a model, one row and a key, and
returns nats.

What it returns is the bound; where a better slope is to be had than the bound's own, it returns it
with that slope.
"""

from aevb.objectives.importance import dreg, dreg_resampled, iwae, iwae_resampled, renyi
from aevb.objectives.registry import OBJECTIVES, estimator, estimator_of
from aevb.objectives.score import score, vimco
from aevb.objectives.sgvb import sgvb_a, sgvb_b, stl

__all__ = [
    "OBJECTIVES",
    "dreg",
    "dreg_resampled",
    "estimator",
    "estimator_of",
    "iwae",
    "iwae_resampled",
    "renyi",
    "score",
    "sgvb_a",
    "sgvb_b",
    "stl",
    "vimco",
]
