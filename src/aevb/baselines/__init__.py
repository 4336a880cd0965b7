"""The plain models that a VAE is compared with."""

from aevb.baselines.fitting import NAMES, Baseline, fit_baselines
from aevb.baselines.stored import from_stored, to_stored

__all__ = ["NAMES", "Baseline", "fit_baselines", "from_stored", "to_stored"]
