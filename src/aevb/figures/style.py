"""What all figures share: a palette that colour-blind readers can tell apart, type sizes, and how
text and values are made safe to draw.
"""

import unicodedata
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

__all__ = ["STYLE", "plain", "spoken"]

Array = NDArray[np.float64]
P = ParamSpec("P")

#: Width of a figure in inches. At 375 points a figure fills a phone's screen with its text at
#: reading size.
WIDTH = 5.2
#: Points drawn as vectors; more are drawn as one image inside the figure.
VECTOR_POINTS = 2_000
#: Points drawn at all.
POINTS = 20_000

INK, MUTED, FAINT = "#1f2933", "#6b7680", "#d9dee3"
DATA, MODEL, ALERT = "#8a949e", "#0072b2", "#d55e00"
#: M. Petroff's sequence of ten (2021), chosen for readers with any colour vision.
LEVELS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip

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

#: Marks that turn the direction of the text around them.
_DIRECTION = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])
_NAMES = {"ppca": "probabilistic PCA", "pca": "PCA"}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """The same function, drawing in this package's style and leaving matplotlib's settings as they
    were.
    """

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def canvas(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of this size in inches that belongs to no window and no global list."""
    return Figure(figsize=(width, height), layout="constrained")


def plain(text: object, limit: int = 24) -> str:
    r"""One line of at most `limit` characters, without control characters, lone surrogates or marks
    that turn text.

    Numbers are said to ten digits.

    Examples
    --------
    >>> plain("income\nper\x00 year", limit=12)
    'income per�…'
    >>> plain(-0.0), plain(2.5)
    ('0', '2.5')
    """
    text = (
        f"{text + 0.0:.10g}" if isinstance(text, float) else text
    )  # the level 2.0 of a column of floats is 2
    line = " ".join(str(text).translate(_DIRECTION).split())
    line = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Cn") else c for c in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def spoken(name: str) -> str:
    """A baseline's key as it is said.

    Examples
    --------
    >>> spoken("factor_analysis"), spoken("ppca")
    ('factor analysis', 'probabilistic PCA')
    """
    return _NAMES.get(name, name.replace("_", " "))


def drawable(values: ArrayLike) -> Array:
    """Float64 values that a plot can be laid out with: 0 or 1e-100 to 1e100 in size; NaN, not
    drawn, for infinities.
    """
    values = np.asarray(values, dtype=np.float64)
    values = np.where(np.isinf(values), np.nan, np.where(np.abs(values) < 1e-100, 0.0, values))
    return np.clip(values, -1e100, 1e100)


def thin(count: int, limit: int = POINTS) -> NDArray[np.intp]:
    """Sorted indices of at most `limit` of `count` rows, drawn at random with a fixed seed."""
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, limit, replace=False))


def span(values: Array, coverage: float = 0.99) -> tuple[float, float]:
    """Ends of an axis that shows the central `coverage` of the values, with a margin; (-0.5, 0.5)
    for none.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return -0.5, 0.5
    low, high = (
        float(end) for end in np.quantile(values, [(1 - coverage) / 2, (1 + coverage) / 2])
    )
    width = high - low
    if width <= max(
        1e-9 * max(abs(low), abs(high)), 1e-100
    ):  # one value, as far as an axis can tell
        half = 0.05 * max(abs(low), abs(high)) or 0.5
        return low - half, high + half
    return low - 0.04 * width, high + 0.04 * width


def dots(axes: Axes, x: Array, y: Array, *, drawn: int, **marks: Any) -> Any:
    """Scatter: vectors where the figure has few points `drawn` in all, an image inside it where it
    has many.
    """
    size = float(np.clip(600 / max(drawn, 1) ** 0.7, 1.5, 14))
    marks = {"s": size, "alpha": 0.75 if drawn < 1_000 else 0.5, "linewidths": 0, **marks}
    return axes.scatter(x, y, rasterized=drawn > VECTOR_POINTS, **marks)
