"""The page: what is shown about a fit, in the order in which a reader decides."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeGuard

import jinja2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aevb import figures
from aevb.figures.style import minus, one_line
from aevb.report.contents import Contents, Document
from aevb.report.svg import data_uri
from aevb.table.schema import LEVELED, Column

__all__ = ["render"]


def render(contents: Contents, *, most_columns: int = 200, most_layers: int = 60) -> str:
    """The report as one HTML page that needs nothing else.

    It runs no script and makes no request (a content security policy forbids both), every text from
    the data is escaped, and the same contents give the same bytes.

    Parameters
    ----------
    contents
        What the page shows.
    most_columns, most_layers
        Largest number of columns and of layers listed in the tables.
    """
    contents.check()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aevb.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for show in (count, data_uri, in_words, levels_or_range, measured, number, one_line, shape):
        environment.filters[show.__name__] = show
    results = contents.results
    page = environment.get_template("page.html").render(
        contents=contents,
        results=results,
        held_out=results.get("held_out") or {},
        diagnostics=results.get("diagnostics") or {},
        fit=results.get("fit") or {},
        baselines=hardest_first(results.get("baselines") or {}),
        tone=tone(results.get("baselines") or {}),
        drawn=all_figures(contents),
        columns=contents.schema.columns[:most_columns],
        layers=(results.get("architecture") or [])[:most_layers],
    )
    return page.encode("utf-8", "replace").decode()


def hardest_first(baselines: Mapping[str, Document]) -> dict[str, Document]:
    """Baselines by their difference to the VAE; those without a number last."""
    order = np.argsort(_of_baselines(baselines, "difference"), kind="stable")
    names = list(baselines)
    return {names[place]: baselines[names[place]] for place in order}


def tone(baselines: Mapping[str, Document]) -> Literal["better", "level", "worse", "unknown"]:
    """Whether the VAE is two standard errors above every baseline, below one, or neither."""
    difference = _of_baselines(baselines, "difference")
    error = np.nan_to_num(_of_baselines(baselines, "difference_standard_error"))
    known = np.isfinite(difference)
    if not known.any():
        return "unknown"
    if (difference > 2 * error)[known].all():
        return "better"
    if (difference < -2 * error)[known].any():
        return "worse"
    return "level"


def _of_baselines(baselines: Mapping[str, Document], key: str) -> NDArray[np.float64]:
    """One number of each baseline, NaN where it is missing or not finite."""
    numbers = np.array([entry.get(key) for entry in baselines.values()], dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def all_figures(contents: Contents) -> dict[str, Figure]:
    """The figures these contents have something to show in, by name."""
    found = {**_fit_figures(contents), **_latent_figures(contents)}
    if contents.schema.image_shape:
        return {**found, **_image_figures(contents)}
    return {**found, **_table_figures(contents)}


def _fit_figures(contents: Contents) -> dict[str, Figure]:
    results = contents.results
    found = {}
    if results.get("baselines"):
        found["comparison"] = figures.comparison(results["baselines"])
    if contents.history:
        best = (results.get("fit") or {}).get("best_epoch")
        found["training"] = figures.training_curves(contents.history, best)
    if kl := _kl(contents):
        active = results["diagnostics"].get("active") or [False] * len(kl)
        found["kl"] = figures.kl_per_latent(kl, active)
    if results.get("architecture"):
        found["architecture"] = figures.architecture(results["architecture"])
    return found


def _latent_figures(contents: Contents) -> dict[str, Figure]:
    codes, colors, levels = contents.codes, contents.colors, contents.color_levels
    if not codes.size:
        return {}
    kl = _kl(contents)
    found = {"latent": figures.latent_space(codes, kl, colors, contents.color_name, levels)}
    active = (contents.results.get("diagnostics") or {}).get("active_units") or codes.shape[1]
    if min(active, codes.shape[1]) > 2:
        pairs = figures.latent_pairs(codes, kl, colors, levels, most=min(active, 4))
        found["latent_pairs"] = pairs
    return found


def _kl(contents: Contents) -> Sequence[float]:
    return (contents.results.get("diagnostics") or {}).get("kl_per_latent") or []


def _image_figures(contents: Contents) -> dict[str, Figure]:
    sides, limits = contents.schema.image_shape or (), pixel_limits(contents)
    originals, rebuilt = contents.originals, contents.reconstructions
    found = {}
    if len(originals):
        found["reconstructions"] = figures.reconstruction_grid(originals, rebuilt, sides, limits)
    if len(contents.samples):
        found["samples"] = figures.sample_grid(contents.samples, sides, limits)
    return found


def _table_figures(contents: Contents) -> dict[str, Figure]:
    originals, rebuilt, samples = contents.originals, contents.reconstructions, contents.samples
    columns = contents.schema.columns
    if not len(originals) or not columns:
        return {}
    leveled = sum(column.kind in LEVELED for column in columns)
    found = {}
    if len(samples):
        found["marginals"] = figures.marginals(originals, samples, columns)
        if len(columns) - leveled > 1:
            found["pairs"] = figures.pairs(originals, samples, columns)
    if leveled < len(columns):
        found["rebuilt"] = figures.reconstruction_scatter(originals, rebuilt, columns)
    if leveled:
        found["recovery"] = figures.level_recovery(originals, rebuilt, columns)
    return found


def pixel_limits(contents: Contents) -> tuple[float, float]:
    """Values of black and white: the ends of the pixels' support, else those of the data."""
    lower = [column.lower for column in contents.schema.columns if column.lower is not None]
    upper = [column.upper for column in contents.schema.columns if column.upper is not None]
    if len(lower) == len(upper) == len(contents.schema.columns):
        return min(lower), max(upper)
    known = contents.originals[np.isfinite(contents.originals)]
    if not known.size:
        return 0.0, 1.0
    return float(known.min()), float(known.max())


def levels_or_range(column: Column) -> str:
    """The values that a column can have, or where they lie."""
    if column.categories:
        text = ", ".join(one_line(level, 20) for level in column.categories[:6])
        if len(column.categories) > 6:
            text += f" … {len(column.categories) - 6:,} more"
        return text
    text = f"mean {number(column.location)}, standard deviation {number(column.scale)}"
    if column.kind == "positive":
        text = f"geometric mean {number(column.scale)}"
    if column.lower is not None:
        text = f"{number(column.lower, 6)} and above"
        if column.upper is not None:
            text = f"{number(column.lower, 6)} to {number(column.upper, 6)}"
    if column.resolution:
        text += f", in steps of {number(column.resolution, 4)}"
    return text


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits.

    Examples
    --------
    >>> number(-45.3124), number(1234567.0), number(None)
    ('−45.31', '1.235e+06', '–')
    """
    if not _is_known(value):
        return "–"
    if value and abs(value) < 1e-4:
        digits = 2
    return minus(f"{value:.{digits}g}")


def measured(value: float | None, error: float | None = None, *, signed: bool = False) -> str:
    """A value and its standard error, both to the error's second significant digit.

    Examples
    --------
    >>> measured(-45.3124, 0.1987), measured(3.0), measured(1.5, 0.25, signed=True)
    ('−45.31 ± 0.20', '3.00', '+1.50 ± 0.25')
    """
    if not _is_known(value):
        return "–"
    places = 2
    if _is_known(error) and error:
        places = min(max(1 - math.floor(math.log10(error)), 0), 6)
    sign = "+" if signed else ""
    text = minus(f"{value:{sign},.{places}f}")
    if not _is_known(error):
        return text
    return f"{text} ± {error:,.{places}f}"


def count(value: float | None) -> str:
    """A whole number with a comma between thousands."""
    if not _is_known(value):
        return "–"
    return f"{value:,.0f}"


def _is_known(value: object) -> TypeGuard[float]:
    """Whether a result is there: it may be null, not finite, or absent from what was stored."""
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def shape(sides: int | Sequence[int]) -> str:
    """Sides of a tensor, or its one side."""
    if isinstance(sides, int):
        return str(sides)
    return " × ".join(map(str, sides))


def in_words(settings: Mapping[str, object]) -> str:
    """Settings of a baseline on one line.

    Examples
    --------
    >>> in_words({"chosen_on": "validation", "components": 16, "rows": 1258})
    'components: 16, size chosen on: validation rows, training rows: 1,258'
    """
    labels = {
        "chosen_on": "size chosen on",
        "draws": "noise draws per row",
        "logarithm_of": "logarithms of",
        "rows": "training rows",
    }
    phrases = []
    for name, value in settings.items():
        text = str(value)
        if isinstance(value, list | tuple):
            text = ", ".join(map(str, value))
        elif isinstance(value, int | float):
            text = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
        if name == "chosen_on":
            text += " rows"
        if name != "dequantized":  # the page explains it
            phrases.append(f"{labels.get(name, name.replace('_', ' '))}: {one_line(text, 80)}")
    return ", ".join(sorted(phrases))
