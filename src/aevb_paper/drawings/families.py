"""Card 4: every family of section 2.4, its T(eps; phi), and a histogram of it against its density."""

from itertools import groupby

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aevb.figures.style import INK, MUTED
from aevb_paper.drawings.diagram import GENERATIVE, RECOGNITION, book, math
from aevb_paper.families import DRAWS, Example, experiment, listed

__all__ = ["families"]

ACROSS, WIDTH, ROW, HEADING = 5, 6.6, 1.12, 0.26
#: What eps is in each route.
NOISE = {
    "inverse CDF": r"inverse CDF: $\varepsilon\sim\mathcal{U}(0,1)$, $T=F^{-1}$; "
    "$P$ is the regularised incomplete gamma function",
    "location-scale": r"location-scale: $\varepsilon$ from the standard distribution of the family",
    "composition": r"composition: $e$ exponential and $g$ Gamma variates of a uniform $\varepsilon$ each, "
    "by their own $T$",
}
#: T(eps; phi) of every family, with the letters that are usual for its parameters.
EQUATIONS = {
    ("inverse CDF", "Exponential"): r"$-\ln(1-\varepsilon)/\lambda$",
    ("inverse CDF", "Cauchy"): r"$\mu+\gamma\,\tan\pi(\varepsilon-\frac{1}{2})$",
    ("inverse CDF", "Logistic"): r"$\mu+s\,\ln\frac{\varepsilon}{1-\varepsilon}$",
    ("inverse CDF", "Rayleigh"): r"$\sigma\sqrt{-2\ln(1-\varepsilon)}$",
    ("inverse CDF", "Pareto"): r"$m\,(1-\varepsilon)^{-1/\alpha}$",
    ("inverse CDF", "Weibull"): r"$\lambda\,(-\ln(1-\varepsilon))^{1/k}$",
    ("inverse CDF", "Reciprocal"): r"$a\,(b/a)^{\varepsilon}$",
    ("inverse CDF", "Gompertz"): r"$\frac{1}{b}\ln(1-\frac{1}{\eta}\ln(1-\varepsilon))$",
    ("inverse CDF", "Gumbel"): r"$\mu-\beta\ln(-\ln\varepsilon)$",
    ("inverse CDF", "Erlang"): r"$P^{-1}(k,\varepsilon)/\lambda$",
    ("location-scale", "Laplace"): r"$\mu+b\,\varepsilon$",
    ("location-scale", "Elliptical"): r"$\mu+L\,\varepsilon$",
    ("location-scale", "Gaussian, full covariance"): r"$\mu+L\,\varepsilon$",
    ("location-scale", "Student's t, of vectors"): r"$\mu+L\,\varepsilon$",
    ("location-scale", "Student's t"): r"$\mu+\sigma\,\varepsilon$",
    ("location-scale", "Logistic"): r"$\mu+s\,\varepsilon$",
    ("location-scale", "Uniform"): r"$a+(b-a)\,\varepsilon$",
    ("location-scale", "Triangular"): r"$a+(b-a)\,\varepsilon$",
    ("location-scale", "Gaussian"): r"$\mu+\sigma\,\varepsilon$",
    ("composition", "Log-Normal"): r"$\exp(\mu+\sigma\,\varepsilon),\ \varepsilon\sim\mathcal{N}$",
    ("composition", "Erlang"): r"$(e_1+\cdots+e_k)/\lambda$",
    ("composition", "Gamma"): r"$P^{-1}(\alpha,\varepsilon)/\beta$",
    ("composition", "Dirichlet"): r"$g_i/(g_1+\cdots+g_K)$",
    ("composition", "Beta"): r"$g_1/(g_1+g_2)$",
    ("composition", "Chi-Squared"): r"$2\,P^{-1}(\nu/2,\varepsilon)$",
    ("composition", "F"): r"$(g_1/\nu_1)\,/\,(g_2/\nu_2)$",
}


@book
def families() -> Figure:
    """A panel for each family by each of its routes: bars, draws of T(eps; phi); line, the density
    of q.
    """
    groups = {
        route: [example for _, example in group]
        for route, group in groupby(listed(), key=lambda pair: pair[0])
    }
    height = sum(HEADING + ROW * -(-len(group) // ACROSS) for group in groups.values())
    figure = Figure(figsize=(WIDTH, height))
    top = height
    for route, group in groups.items():
        figure.text(
            0.012, (top - 0.2) / height, NOISE[route], fontsize=9.5, parse_math=True, va="center"
        )
        top -= HEADING
        for place, example in enumerate(group):
            row, column = divmod(place, ACROSS)
            width, left = 0.8 / ACROSS, (column + 0.1) / ACROSS
            axes = figure.add_axes((left, (top - ROW * row - 0.93) / height, width, 0.52 / height))
            _panel(axes, route, example)
        top -= ROW * -(-len(group) // ACROSS)  # rows of panels
    return figure


def _panel(axes: Axes, route: str, example: Example) -> None:
    counted = experiment(route, example).histogram
    heights = counted.counts / (DRAWS * np.diff(counted.edges))
    axes.stairs(heights, counted.edges, fill=True, color=RECOGNITION, alpha=0.3, lw=0)
    z = np.linspace(example.low, example.high, 200)[1:-1]
    axes.plot(z, np.exp(np.asarray(example.law.log_prob(jnp.asarray(z)))), color=GENERATIVE, lw=1.3)
    math(axes, 0.5, 1.45, example.name, fontsize=7.5, color=INK, transform=axes.transAxes)
    math(
        axes,
        0.5,
        1.16,
        EQUATIONS[route, example.name],
        fontsize=8,
        color=INK,
        transform=axes.transAxes,
    )
    axes.set(
        yticks=[],
        xticks=[example.low, example.high],
        xlim=(example.low, example.high),
        ylim=(0, None),
    )
    axes.set_xticklabels(
        [f"{end:g}".replace("-", "−") for end in (example.low, example.high)], fontsize=6.5
    )
    axes.tick_params(length=2, pad=1.5)
    if example.shown:
        math(axes, 0.5, -0.17, example.shown, fontsize=6.5, color=MUTED, transform=axes.transAxes)
    axes.spines["left"].set_visible(False)
