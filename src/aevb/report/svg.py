"""A matplotlib figure as SVG: the source of an image on a page, or a file of its own."""

import base64
import io
import warnings

from matplotlib import rc_context
from matplotlib.figure import Figure

from aevb.figures import STYLE

__all__ = ["data_uri", "standalone_svg"]


def data_uri(figure: Figure) -> str:
    """The figure as the source of an ``<img>``; the browser draws its text with its own fonts."""
    with rc_context(STYLE), warnings.catch_warnings():
        # matplotlib only lays the text out; browsers find a font for every script.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        content = _svg(figure, "none", {"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(content.encode()).decode()


def standalone_svg(figure: Figure, description: str) -> str:
    """The figure as an SVG file that looks the same everywhere: its letters are outlines.

    The description is its title, for readers who cannot see it.
    """
    return _svg(figure, "path", {"Date": None, "Title": description})


def _svg(figure: Figure, letters: str, metadata: dict[str, str | None]) -> str:
    """The same text for the same figure; what is drawn as an image inside it has 220 dpi."""
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": letters, "svg.hashsalt": "aevb"}):
        figure.savefig(buffer, format="svg", dpi=220, metadata=metadata)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())
