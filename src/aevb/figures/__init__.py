"""Data in, `Figure` out: no training, no paths, no pyplot, and matplotlib's settings unchanged.

Every function returns a `matplotlib.figure.Figure` that can be saved in any format; `aevb.report`
puts them on a page.
"""

from aevb.figures.architecture import architecture
from aevb.figures.fit import comparison, kl_per_latent, training_curves
from aevb.figures.images import reconstruction_grid, sample_grid
from aevb.figures.latent import latent_pairs, latent_space
from aevb.figures.style import STYLE, one_line
from aevb.figures.tables import level_recovery, marginals, pairs, reconstruction_scatter

__all__ = [
    "STYLE",
    "architecture",
    "comparison",
    "kl_per_latent",
    "latent_pairs",
    "latent_space",
    "level_recovery",
    "marginals",
    "one_line",
    "pairs",
    "reconstruction_grid",
    "reconstruction_scatter",
    "sample_grid",
    "training_curves",
]
