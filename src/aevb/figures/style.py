"""What all figures share: palette, type sizes, and how text and values are made safe to draw."""

import unicodedata
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

__all__ = ["STYLE", "one_line"]

Floats = NDArray[np.float64]
P = ParamSpec("P")

#: Width of a figure in inches. At 375 points it fills a phone's screen with readable text.
WIDTH = 5.2

# A palette that color-blind readers can tell apart.
INK, MUTED, FAINT = "#1f2933", "#6b7680", "#d9dee3"
DATA, MODEL, ALERT = "#8a949e", "#0072b2", "#d55e00"
#: M. Petroff's sequence of ten (2021), chosen for readers with any color vision.
LEVELS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
          "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")  # fmt: skip

STYLE: Any = {
    "text.parse_math": False,  # a column called "$x$" is not a formula
    "axes.formatter.use_mathtext": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": DATA,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": DATA,
    "ytick.color": DATA,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in this package's style and leave matplotlib's settings as they were."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def canvas(height: float) -> Figure:
    """An empty figure of this height in inches, in no window and no global list."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def one_line(text: object, limit: int = 24) -> str:
    r"""One line of at most `limit` printable characters; numbers with ten significant digits.

    Marks that turn the direction of text are dropped, other control characters become U+FFFD.

    Examples
    --------
    >>> one_line("income\nper\x00 year", limit=12)
    'income per�…'
    >>> one_line(-0.0), one_line(2.5)
    ('0', '2.5')
    """
    if isinstance(text, float):
        text = f"{text + 0.0:.10g}"
    joiners = "\u200c\u200d"  # of letters in some scripts, and of emoji
    shown = ""
    for character in str(text):
        if character.isprintable() or character.isspace() or character in joiners:
            shown += character
        elif unicodedata.category(character) != "Cf":
            shown += "\ufffd"
    line = " ".join(shown.split())
    if len(line) > limit:
        line = line[: limit - 1] + "…"
    return line


def drawable(values: ArrayLike) -> Floats:
    """Values that a plot can be laid out with: of size 0 or 1e-100 to 1e100; NaN for infinities."""
    values = np.array(values, dtype=np.float64)
    values[np.isinf(values)] = np.nan
    values[np.abs(values) < 1e-100] = 0.0
    return np.clip(values, -1e100, 1e100)


def thin(count: int, limit: int = 20_000) -> NDArray[np.intp]:
    """Sorted indices of at most `limit` of `count` rows, drawn at random with a fixed seed."""
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, limit, replace=False))


def span(values: Floats, coverage: float = 0.99) -> tuple[float, float]:
    """Ends of an axis that shows the central `coverage` of the values, with a margin.

    (-0.5, 0.5) where there are no values.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return -0.5, 0.5
    tail = (1 - coverage) / 2
    low, high = np.quantile(values, [tail, 1 - tail]).tolist()
    margin = 0.04 * (high - low)
    size = max(abs(low), abs(high))
    if high - low <= max(1e-9 * size, 1e-100):  # one value, as far as an axis can tell
        margin = 0.05 * size or 0.5
    return low - margin, high + margin


def minus(number: str) -> str:
    """The formatted number with a real minus sign."""
    return number.replace("-", "−")


def dots(
    axes: Axes, x: Floats, y: Floats, *, drawn: int, vectors: int = 2_000, **look: Any
) -> PathCollection:
    """Scatter: as vectors where the figure has few points `drawn` in all, else as an image."""
    size = float(np.clip(600 / max(drawn, 1) ** 0.7, 2, 14))
    points = axes.scatter(x, y, s=size, linewidths=0, rasterized=drawn > vectors, **look)
    points.set_alpha(0.75 if drawn < 1_000 else 0.5)
    return points


def name_rows(axes: Axes, names: Sequence[str], *, least: int = 1, **look: Any) -> None:
    """Give the rows of the vertical axis names, from the top, with room for `least` of them."""
    axes.set_yticks(range(len(names)), names, color=INK, **look)
    axes.set_ylim(max(len(names), least) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def pair_grid(spans: Sequence[tuple[float, float]]) -> tuple[Figure, list[list[Axes]]]:
    """A square grid of axes for all pairs of variables, with tick labels at its left and bottom.

    The axes of a column, and off the diagonal those of a row, have the span of their variable.
    """
    figure = canvas(WIDTH)
    grid: list[list[Axes]] = figure.subplots(len(spans), len(spans), squeeze=False).tolist()
    for row, column in np.ndindex(len(spans), len(spans)):
        axes = grid[row][column]
        axes.tick_params(labelsize=6.5, labelbottom=row == len(spans) - 1)
        axes.tick_params(labelleft=column == 0 < row, left=column != row)
        axes.set_xlim(spans[column])
        if row != column:
            axes.set_ylim(spans[row])
    return figure, grid
