"""A matplotlib figure as SVG: inside an HTML page beside others, or a file of its own."""

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from aevb.figures import STYLE

__all__ = ["inline_svg", "standalone_svg"]

#: Dots an inch of what is drawn as an image inside a figure.
_RESOLUTION = 220
_DROPPED = ("metadata", "style")


def inline_svg(figure: Figure, prefix: str, description: str) -> Markup:
    """The figure as an ``<svg>`` element: text stays text, ids begin with `prefix`, the same bytes
    every time.

    matplotlib numbers its groups alike in every figure, styles ``*`` and names namespaces by URL;
    on a page with other figures all three must go. Fonts are left to the page.
    """
    settings: Any = {**STYLE, "svg.fonttype": "none", "svg.hashsalt": prefix}
    buffer = io.BytesIO()
    with rc_context(settings), warnings.catch_warnings():
        # Browsers find a font for every script; matplotlib, which only lays the text out, need not
        # have one.
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font", category=UserWarning
        )
        figure.savefig(buffer, format="svg", dpi=_RESOLUTION, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    referred = set(re.findall(r'(?:url\(#|href="#)([\w-]+)', buffer.getvalue().decode()))
    _cleaned(root, prefix, referred)
    view = {"viewBox": root.get("viewBox", ""), "role": "img", "aria-label": description}
    root.attrib.clear()
    root.attrib.update(view)
    return Markup(
        ElementTree.tostring(root, encoding="unicode")
    )  # ElementTree escapes all text and attributes


def standalone_svg(figure: Figure, description: str) -> str:
    """The figure as an SVG file: letters as outlines, so that it looks the same everywhere; the
    same bytes every time.

    Its description is its title, for those who cannot see it.
    """
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "aevb"}):
        figure.savefig(
            buffer, format="svg", dpi=_RESOLUTION, metadata={"Date": None, "Title": description}
        )
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def _cleaned(element: ElementTree.Element, prefix: str, referred: set[str]) -> None:
    element.tag = _local(element.tag)
    for child in list(element):
        if _local(child.tag) in _DROPPED:
            element.remove(child)
        else:
            _cleaned(child, prefix, referred)
    attributes = {_local(name): value for name, value in element.attrib.items()}
    if attributes.get("id") not in referred:
        attributes.pop("id", None)
    element.attrib.clear()
    element.attrib.update(
        {name: _attribute(name, value, prefix) for name, value in attributes.items()}
    )
    if element.tag != "text":  # white space between elements
        element.text = element.text and element.text.strip()
    element.tail = ""


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _attribute(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    if name == "d":  # a hundredth of a point is finer than any screen
        return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", value).replace(
            "\n", ""
        )
    if name == "style":
        return re.sub(r"font-family:[^;]*;?\s*", "", value)
    return value.replace("url(#", f"url(#{prefix}-")
