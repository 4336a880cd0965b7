"""How the fit went: differences to the baselines, training curves, KL of each latent."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aevb.figures import style
from aevb.figures.style import Floats, canvas, drawable, minus, name_rows, one_line, styled

__all__ = ["comparison", "kl_per_latent", "training_curves"]


@styled
def comparison(baselines: Mapping[str, Mapping[str, object]], *, errors: float = 2.0) -> Figure:
    """Held-out log-likelihood of the VAE minus each baseline's, smallest difference first.

    Each baseline has its ``"difference"`` and ``"difference_standard_error"`` in nats. A bar is so
    many standard errors long on each side; two are about 95%.

    Examples
    --------
    >>> entry = {"difference": 1.5, "difference_standard_error": 0.1}
    >>> comparison({"PPCA": entry}).axes[0].get_xlabel()
    'VAE minus baseline (nats per row)'
    """
    entries = []
    for name, baseline in baselines.items():
        numbers = [baseline.get("difference"), baseline.get("difference_standard_error")]
        difference, error = drawable(np.array(numbers, dtype=np.float64)).tolist()
        if np.isfinite(difference):
            entries.append((difference, float(np.nan_to_num(error)), one_line(name)))
    entries.sort()
    figure = canvas(0.95 + 0.34 * max(len(entries), 1))
    axes = figure.add_subplot()
    for row, (difference, error, _) in enumerate(entries):
        _draw_difference(axes, row, difference, error, errors)
    axes.axvline(0, color=style.INK, linewidth=1)
    name_rows(axes, [name for _, _, name in entries], fontsize=8.5)
    axes.margins(x=0.1)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("VAE minus baseline (nats per row)")
    note = axes.annotate("VAE better →", (0, 1), (6, 3), ("data", "axes fraction"), "offset points")
    note.set(color=style.MUTED, fontsize=7.5)
    return figure


def _draw_difference(axes: Axes, row: int, difference: float, error: float, errors: float) -> None:
    reach = errors * error
    color = style.MUTED
    if difference > reach:
        color = style.MODEL
    if difference < -reach:
        color = style.ALERT
    axes.errorbar(difference, row, xerr=reach, fmt="o", color=color, capsize=4, elinewidth=2.2)
    number = minus(f"{difference:+.2f} ± {error:.2f}")
    text = axes.annotate(number, (1.02, row), xycoords=("axes fraction", "data"), va="center")
    text.set(color=color, fontweight="bold")


@styled
def training_curves(
    history: Sequence[Mapping[str, object]], best_epoch: int | None = None
) -> Figure:
    """The bound on training and on validation rows by epoch, with the best epoch marked.

    The history has one mapping per epoch, with ``epoch``, ``train_bound`` and ``validation_bound``;
    a bound may be missing.
    """
    figure = canvas(2.9)
    axes = figure.add_subplot()
    epochs = np.array([entry["epoch"] for entry in history], dtype=np.float64)
    curves = []
    for name, color in (("train", style.DATA), ("validation", style.MODEL)):
        bounds = [entry.get(f"{name}_bound") for entry in history]
        curve = drawable(np.array(bounds, dtype=np.float64))
        known = np.isfinite(curve)
        line = axes.plot(epochs[known], curve[known], color=color, label=name, markersize=5)[0]
        if known.sum() < 3:
            line.set_marker("o")
        curves.append(curve)
    axes.set_ylim(_bound_limits(np.stack(curves)))
    if best_epoch is not None and best_epoch in epochs:
        line = axes.axvline(best_epoch, color=style.ALERT, label=f"best epoch: {best_epoch}")
        line.set(linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlabel("epoch")
    axes.set_ylabel("bound (nats per row)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    # Above the axes, where no curve can be.
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0)
    return figure


def _bound_limits(curves: Floats) -> tuple[float, float]:
    """Limits that leave out the first steep epochs, which would flatten all that follows."""
    settled = curves[:, curves.shape[1] // 20 :]
    settled = settled[np.isfinite(settled)]
    if not len(settled):
        return -1.0, 1.0
    low, high = float(np.quantile(settled, 0.02)), float(settled.max())
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


@styled
def kl_per_latent(kl: Sequence[float], active: Sequence[bool], *, most: int = 100) -> Figure:
    """KL(q(z_j|x) || p(z_j)) averaged over rows, in nats, for the `most` latents with the largest.

    `active` says which latents to highlight.
    """
    values = drawable(kl)
    order = np.argsort(-np.nan_to_num(values), kind="stable")[:most]
    used = np.array(active, dtype=bool)[order]
    figure = canvas(2.9)
    axes = figure.add_subplot()
    places = np.arange(len(order))
    for chosen, color, label in ((used, style.MODEL, "active"), (~used, style.DATA, "not active")):
        if chosen.any():
            heights = values[order][chosen]
            axes.bar(places[chosen], heights, color=color, label=f"{label}: {chosen.sum()}")
            axes.legend(loc="upper right")
    axes.set_xlim(-0.8, max(len(order), 6) - 0.2)
    step = 1 + len(order) // 25
    axes.set_xticks(places[::step], order[::step].astype(str))
    axes.axhline(0, color=style.FAINT)
    axes.set_xlabel("latent, largest KL first")
    axes.set_ylabel("KL (nats per row)")
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)
    return figure
