"""The page: what is drawn and said about a fit, in the order a reader decides by."""

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard

import jinja2
import numpy as np
from markupsafe import Markup

from aevb import figures
from aevb.figures import plain, spoken
from aevb.report.contents import Contents
from aevb.report.svg import inline_svg
from aevb.table.schema import LEVELED, Column

__all__ = ["render"]

#: Columns listed by name and layers listed in the tables.
MOST_COLUMNS, MOST_LAYERS = 200, 60
#: How a setting of a baseline is said; the page says once what dequantisation is.
_SETTINGS = {
    "factors": "{} factors",
    "classes": "{} classes",
    "components": "{} components",
    "covariance": "{} covariances",
    "ridge": "ridge {}",
    "units": "one noise variance in {} units",
    "logarithm_of": "of the logarithms of {}",
    "rows": "fitted to {} rows",
    "chosen_on": "sized on {} rows",
    "draws": "{} draws of noise a row",
    "dequantised": "",
}
#: Characters of a name that are kept for the tooltip.
_TOOLTIP = 1_000


def render(contents: Contents) -> str:
    """The report as one HTML page that needs nothing else.

    No script, no request to anywhere (a content security policy forbids both), every text from the
    data escaped, and the same bytes for the same contents.
    """
    contents.check()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aevb.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number, "measured": measured, "count": count, "plain": plain, "spoken": spoken, "said": said,
        "shape": shape,
        "tooltip": lambda text: plain(text, _TOOLTIP),
    }  # fmt: skip
    page = environment.get_template("page.html").render(
        contents=contents,
        results=contents.results,
        held_out=contents.results.get("held_out") or {},
        diagnostics=contents.results.get("diagnostics") or {},
        fit=contents.results.get("fit") or {},
        baselines=sorted_baselines(contents.results),
        dequantised=is_dequantised(contents.results),
        tone=tone(contents.results),
        drawn=drawn(contents),
        columns=[described(column) for column in contents.schema.columns[:MOST_COLUMNS]],
        layers=(contents.results.get("architecture") or [])[:MOST_LAYERS],
    )
    return page.encode("utf-8", "replace").decode()


def sorted_baselines(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Baselines by difference, the hardest to beat first; those without a number last."""

    def order(entry: tuple[str, Any]) -> float:
        difference = entry[1].get("difference")
        return difference if _is_known(difference) else math.inf

    return dict(sorted((results.get("baselines") or {}).items(), key=order))


def is_dequantised(results: Mapping[str, Any]) -> bool:
    """Whether a density was scored on values that have a probability: its number is then a lower
    bound.
    """
    return any(
        (entry.get("settings") or {}).get("dequantised")
        for entry in (results.get("baselines") or {}).values()
    )


def tone(results: Mapping[str, Any]) -> Literal["better", "level", "worse", "unknown"]:
    """Whether the VAE is beyond two standard errors above every baseline, below one, or neither."""
    pairs = [
        (e.get("difference"), e.get("difference_standard_error"))
        for e in sorted_baselines(results).values()
    ]
    known = [(difference, error or 0.0) for difference, error in pairs if _is_known(difference)]
    if not known:
        return "unknown"
    if all(difference > 2 * error for difference, error in known):
        return "better"
    return "worse" if any(difference < -2 * error for difference, error in known) else "level"


def drawn(contents: Contents) -> dict[str, Markup]:
    """The figures these contents have something to show in, by name."""
    return {**_fit_figures(contents), **_latent_figures(contents), **_data_figures(contents)}


def _fit_figures(contents: Contents) -> dict[str, Markup]:
    results, kept = contents.results, (contents.results.get("fit") or {}).get("best_epoch")
    diagnostics = results.get("diagnostics") or {}
    made = {}
    if results.get("baselines"):
        figure = figures.comparison(results["baselines"])
        made["comparison"] = inline_svg(
            figure, "comparison", "VAE minus each baseline, nats a row, with error bars"
        )
    if contents.history:
        figure = figures.training_curves(contents.history, kept)
        made["training"] = inline_svg(
            figure, "training", "Bound on train and validation rows by epoch"
        )
    if diagnostics.get("kl_per_latent"):
        kl = diagnostics["kl_per_latent"]
        figure = figures.kl_per_latent(kl, diagnostics.get("active") or [False] * len(kl))
        made["kl"] = inline_svg(figure, "kl", "KL of each latent, largest first")
    if results.get("architecture"):
        figure = figures.architecture(results["architecture"])
        made["architecture"] = inline_svg(
            figure, "architecture", "Layers from x through z to p(x|z)"
        )
    return made


def _latent_figures(contents: Contents) -> dict[str, Markup]:
    if not contents.codes.size:
        return {}
    diagnostics = contents.results.get("diagnostics") or {}
    kl = diagnostics.get("kl_per_latent") or ()
    colors, levels = contents.colors, contents.color_levels
    figure = figures.latent_space(contents.codes, kl, colors, contents.color_name, levels)
    made = {"latent": inline_svg(figure, "latent", "Posterior means of the most active latents")}
    active = diagnostics.get("active_units") or contents.codes.shape[1]
    if min(active, contents.codes.shape[1]) > 2:
        figure = figures.latent_pairs(contents.codes, kl, colors, levels, most=min(active, 4))
        made["latent_pairs"] = inline_svg(
            figure, "latent-pairs", "Pairs of the most active latents"
        )
    return made


def _data_figures(contents: Contents) -> dict[str, Markup]:
    if not contents.schema.columns:
        return {}
    return _image_figures(contents) if contents.schema.image_shape else _table_figures(contents)


def _image_figures(contents: Contents) -> dict[str, Markup]:
    shape, limits = contents.schema.image_shape or (), pixel_limits(contents)
    made = {}
    if len(contents.originals):
        figure = figures.reconstruction_grid(
            contents.originals, contents.reconstructions, shape, limits
        )
        made["reconstructions"] = inline_svg(
            figure, "reconstructions", "Images and their reconstructions below"
        )
    if len(contents.samples):
        made["samples"] = inline_svg(
            figures.sample_grid(contents.samples, shape, limits), "samples", "Samples"
        )
    return made


def _table_figures(contents: Contents) -> dict[str, Markup]:
    columns, originals = contents.schema.columns, contents.originals
    kinds = [column.kind in LEVELED for column in columns]
    made = {}
    if len(originals) and len(contents.samples):
        figure = figures.marginals(originals, contents.samples, columns)
        made["marginals"] = inline_svg(
            figure, "marginals", "Distribution of columns in data and samples"
        )
        if kinds.count(False) > 1:
            figure = figures.pairs(originals, contents.samples, columns)
            made["pairs"] = inline_svg(
                figure, "pairs", "Pairs of columns, data below and samples above the diagonal"
            )
    if len(originals) and not all(kinds):
        figure = figures.reconstruction_scatter(originals, contents.reconstructions, columns)
        made["rebuilt"] = inline_svg(
            figure, "rebuilt", "Reconstruction against original, numeric columns"
        )
    if len(originals) and any(kinds):
        figure = figures.level_recovery(originals, contents.reconstructions, columns)
        made["recovery"] = inline_svg(figure, "recovery", "Share of levels reconstructed right")
    return made


def pixel_limits(contents: Contents) -> tuple[float, float]:
    """Values of black and white: the ends of the pixels' support, else those of the data."""
    lower = [column.lower for column in contents.schema.columns]
    upper = [column.upper for column in contents.schema.columns]
    if None not in lower and None not in upper:
        return min(end for end in lower if end is not None), max(
            end for end in upper if end is not None
        )
    known = contents.originals[np.isfinite(contents.originals)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def described(column: Column) -> dict[str, Any]:
    """A row of the table of columns."""
    return {
        "column": column,
        "range": _range(column),
        "atoms": [number(atom, 6) for atom in column.atoms],
    }


def _range(column: Column) -> str:
    if column.categories:
        more = len(column.categories) - 6
        return ", ".join(plain(level, 20) for level in column.categories[:6]) + (
            f" … {more:,} more" if more > 0 else ""
        )
    step = f", in steps of {number(column.resolution, 4)}" if column.resolution else ""
    if column.lower is not None and column.upper is not None:
        return f"{number(column.lower, 6)} to {number(column.upper, 6)}{step}"
    if column.lower is not None:
        return f"{number(column.lower, 6)} and above{step}"
    if column.kind == "positive":
        return f"geometric mean {number(column.scale)}{step}"
    return f"mean {number(column.location)}, deviation {number(column.scale)}{step}"


def number(value: float | None, digits: int = 4) -> str:
    """A number to so many significant digits.

    Examples
    --------
    >>> number(-45.3124), number(1234567.0), number(None)
    ('−45.31', '1.235e+06', '–')
    """
    if not _is_known(value):
        return "–"
    return (
        f"{value:.{digits}g}".replace("-", "−")
        if abs(value) >= 1e-4 or not value
        else f"{value:.1e}"
    )


def measured(value: float | None, error: float | None = None, *, signed: bool = False) -> str:
    """A value and its standard error, both to the error's second significant digit.

    Examples
    --------
    >>> measured(-45.3124, 0.1987), measured(3.0), measured(1.5, 0.25, signed=True)
    ('−45.31 ± 0.20', '3.00', '+1.50 ± 0.25')
    """
    if not _is_known(value):
        return "–"
    places = min(max(1 - math.floor(math.log10(error)), 0), 6) if _is_known(error) and error else 2
    text = f"{value:{'+' if signed else ''},.{places}f}".replace("-", "−")
    return f"{text} ± {error:,.{places}f}" if _is_known(error) else text


def count(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}" if _is_known(value) else "–"


def _is_known(value: Any) -> TypeGuard[float]:
    """Whether a result is there: it may be null, not finite, or absent from what was stored."""
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def shape(sides: Any) -> str:
    """Sides of a tensor, or its one side."""
    return (
        " × ".join(str(side) for side in sides) if isinstance(sides, list | tuple) else str(sides)
    )


def said(settings: Any) -> str:
    """Settings of a baseline in words, on one line.

    Examples
    --------
    >>> said({"chosen_on": "validation", "components": 16, "covariance": "diag", "rows": 1258})
    '16 components, diagonal covariances, fitted to 1,258 rows, sized on validation rows'
    >>> said({"factors": 1})
    '1 factor'
    """
    if not isinstance(settings, Mapping):
        return plain(settings, 80)
    phrases = [
        phrase.format(_value(settings[name]))
        for name, phrase in _SETTINGS.items()
        if name in settings
    ]
    phrases = [re.sub(r"^1 (\w+)s$", r"1 \1", phrase) for phrase in phrases if phrase]
    rest = [
        f"{spoken(str(name))} {_value(settings[name])}"
        for name in sorted(settings.keys() - _SETTINGS.keys())
    ]
    return ", ".join(phrases + rest)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return plain(", ".join(map(str, value)), 80)
    if isinstance(value, int):
        return f"{value:,}"
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else plain("diagonal" if value == "diag" else value, 80)
    )
