"""Card 4: every family of section 2.4, its T(eps; phi), and draws of it against its density."""

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aevb.figures.style import MUTED
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, book, math
from aevb_paper.gradients import Histogram, histograms
from aevb_paper.reparameterization import FAMILIES, Family

__all__ = ["families"]


@book
def families(across: int = 5) -> Figure:
    """A panel for each family by each technique: bars are draws, the line is the density of q."""
    width, row_height, heading = 6.6, 1.12, 0.26
    rows = {technique: -(-len(group) // across) for technique, group in FAMILIES.items()}
    height = sum(heading + row_height * count for count in rows.values())
    figure = Figure(figsize=(width, height))
    top = height
    for technique, group in FAMILIES.items():
        y = (top - 0.2) / height
        figure.text(0.012, y, _caption(technique), fontsize=9.5, parse_math=True, va="center")
        top -= heading
        pairs = zip(group, histograms()[technique], strict=True)
        for place, (family, histogram) in enumerate(pairs):
            row, column = divmod(place, across)
            left, bottom = (column + 0.1) / across, (top - row_height * row - 0.93) / height
            _draw_panel(
                figure.add_axes((left, bottom, 0.8 / across, 0.52 / height)), family, histogram
            )
        top -= row_height * rows[technique]
    return figure


def _caption(technique: str) -> str:
    """What eps is in each technique."""
    return {
        "inverse CDF": r"inverse CDF: $\varepsilon\sim\mathcal{U}(0,1)$, $T=F^{-1}$; "
        "$P$ is the regularized incomplete gamma function",
        "location-scale": r"location-scale: $\varepsilon$ from the standard distribution "
        "of the family",
        "composition": r"composition: $e$ exponential and $g$ Gamma variates of a uniform "
        r"$\varepsilon$ each, by their own $T$",
    }[technique]


def _draw_panel(axes: Axes, family: Family, histogram: Histogram) -> None:
    low, high = family.ends
    heights = histogram.counts / (histogram.draws * np.diff(histogram.edges))
    axes.stairs(heights, histogram.edges, fill=True, color=RECOGNITION, alpha=0.3, lw=0)
    law = family.q if family.margin is None else family.margin.law
    z = np.linspace(low, high, 200)[1:-1]
    axes.plot(z, np.exp(np.asarray(law.log_prob(jnp.asarray(z)))), color=GENERATIVE, lw=1.3)
    math(axes, 0.5, 1.45, family.name, inside=True, fontsize=7.5)
    math(axes, 0.5, 1.16, family.equation, inside=True, fontsize=8)
    axes.set(yticks=[], xticks=[low, high], xlim=(low, high), ylim=(0, None))
    names = [f"{end:g}".replace("-", "−") for end in (low, high)]
    axes.set_xticklabels(names, fontsize=6.5)
    axes.tick_params(length=2, pad=1.5)
    if family.margin is not None:
        math(axes, 0.5, -0.17, family.margin.name, inside=True, fontsize=6.5, color=MUTED)
    axes.spines["left"].set_visible(False)
