"""The plain models that a VAE is compared with, on the same rows and of the same event.

Each is fitted to the same training rows, its size chosen on the same validation rows. A new one is
a subclass of `Baseline`, registered beside its definition; they are reported in the order of these
imports.
"""

from aevb.baselines.base import BASELINES, Baseline
from aevb.baselines.independent import IndependentMarginals
from aevb.baselines.linear import PPCA, FactorAnalysis
from aevb.baselines.mixture import Mixture

# isort: split
from aevb.baselines.classes import LatentClassBaseline
from aevb.baselines.fitting import fit_baselines
from aevb.baselines.stored import from_stored, to_stored

__all__ = [
    "BASELINES",
    "PPCA",
    "Baseline",
    "FactorAnalysis",
    "IndependentMarginals",
    "LatentClassBaseline",
    "Mixture",
    "fit_baselines",
    "from_stored",
    "to_stored",
]
