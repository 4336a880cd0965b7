"""How the fit went and what it is worth: differences to baselines, training curves, KL per latent."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aevb.figures.style import (
    ALERT,
    DATA,
    FAINT,
    INK,
    MODEL,
    MUTED,
    Array,
    canvas,
    drawable,
    plain,
    spoken,
    styled,
)

__all__ = ["comparison", "kl_per_latent", "training_curves"]

#: Standard errors on each side of a difference: about 95 %.
ERRORS = 2.0
_MOST_LATENTS = 100


@styled
def comparison(baselines: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Held-out log-likelihood of the VAE minus each baseline's, in nats a row, smallest difference
    first.

    Parameters
    ----------
    baselines
        ``{name: {"difference": nats, "difference_standard_error": nats}}``; bars reach two standard
        errors.

    Examples
    --------
    >>> comparison({"ppca": {"difference": 1.5, "difference_standard_error": 0.1}}).axes[0].get_xlabel()
    'VAE minus baseline (nats a row)'
    """
    entries = [(name, *_difference(entry)) for name, entry in baselines.items()]
    entries = sorted(
        (entry for entry in entries if np.isfinite(entry[1])), key=lambda entry: entry[1]
    )
    figure = canvas(0.95 + 0.34 * max(len(entries), 1))
    axes = figure.add_subplot()
    for row, (_, difference, error) in enumerate(entries):
        color = _verdict_color(difference, error)
        axes.errorbar(
            difference,
            row,
            xerr=ERRORS * error,
            fmt="o",
            color=color,
            markersize=6,
            capsize=4,
            elinewidth=2.2,
        )
        number = f"{difference:+.2f} ± {error:.2f}".replace("-", "−")
        axes.annotate(
            number,
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            color=color,
            fontweight="bold",
        )
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(
        range(len(entries)), [plain(spoken(name)) for name, *_ in entries], fontsize=8.5, color=INK
    )
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.margins(x=0.1)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("VAE minus baseline (nats a row)")
    axes.annotate(
        "VAE better →", (0, 1), xytext=(6, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
        color=MUTED, fontsize=7.5,
    )  # fmt: skip
    return figure


def _difference(entry: Mapping[str, Any]) -> Array:
    pair = [entry.get("difference"), entry.get("difference_standard_error") or 0.0]
    return drawable(np.array(pair, dtype=np.float64))


def _verdict_color(difference: float, error: float) -> str:
    if abs(difference) <= ERRORS * error:
        return MUTED
    return MODEL if difference > 0 else ALERT


@styled
def training_curves(history: Sequence[Mapping[str, Any]], best_epoch: int | None = None) -> Figure:
    """The bound on training and on validation rows against the epoch, in nats a row, the kept epoch
    marked.

    Parameters
    ----------
    history
        One mapping an epoch, with ``epoch``, ``train_bound`` and ``validation_bound``; a bound may
        be missing.
    best_epoch
        The epoch whose state was kept.
    """
    figure = canvas(2.9)
    axes = figure.add_subplot()
    epochs = np.array([entry["epoch"] for entry in history], dtype=np.float64)
    curves = {name: _curve(history, name) for name in ("train_bound", "validation_bound")}
    for name, color in (("train_bound", DATA), ("validation_bound", MODEL)):
        drawn = np.isfinite(curves[name])
        mark = "o" if drawn.sum() < 3 else ""
        axes.plot(
            epochs[drawn],
            curves[name][drawn],
            color=color,
            label=name.removesuffix("_bound"),
            marker=mark,
            markersize=5,
        )
    axes.set_ylim(_bound_limits(np.stack(list(curves.values()))))
    if best_epoch is not None and best_epoch in epochs:
        axes.axvline(
            best_epoch,
            color=ALERT,
            linewidth=1,
            linestyle=(0, (4, 3)),
            label=f"kept: epoch {best_epoch}",
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel("bound (nats a row)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0
    )  # above, where no curve can be
    return figure


def _curve(history: Sequence[Mapping[str, Any]], name: str) -> Array:
    return drawable(np.array([entry.get(name) for entry in history], dtype=np.float64))


def _bound_limits(curves: Array) -> tuple[float, float]:
    """Limits that leave out the first steep epochs, which would flatten all that follows."""
    settled = curves[:, curves.shape[1] // 20 :]
    settled = settled[np.isfinite(settled)]
    if not len(settled):
        return -1.0, 1.0
    low, high = float(np.quantile(settled, 0.02)), float(settled.max())
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


@styled
def kl_per_latent(kl: Sequence[float], active: Sequence[bool]) -> Figure:
    """KL(q(z_j|x) || p(z_j)) averaged over rows, in nats, for each latent j, largest first; active
    ones highlighted.
    """
    values = drawable(kl)
    order = np.argsort(-np.nan_to_num(values), kind="stable")[:_MOST_LATENTS]
    used = np.array(active, dtype=bool)[order]
    figure = canvas(2.9)
    axes = figure.add_subplot()
    places = np.arange(len(order))
    for chosen, color, label in ((used, MODEL, "active"), (~used, DATA, "not used")):
        if chosen.any():
            axes.bar(
                places[chosen],
                values[order][chosen],
                color=color,
                width=0.8,
                label=f"{label}: {chosen.sum()}",
            )
            axes.legend(loc="upper right")
    axes.set_xlim(-0.8, max(len(order), 6) - 0.2)
    axes.set_xticks(
        places[:: 1 + len(order) // 25], [str(j) for j in order[:: 1 + len(order) // 25]]
    )
    axes.axhline(0, color=FAINT)
    axes.set_xlabel("latent, largest KL first")
    axes.set_ylabel("KL (nats a row)")
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)
    return figure
