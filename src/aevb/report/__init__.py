"""One HTML page that tells what a fit is worth: the verdict, then the evidence; it opens offline.

`Contents` is what a page is made of; `render` turns it into HTML.
"""

from aevb.report.contents import Contents
from aevb.report.page import render
from aevb.report.svg import standalone_svg

__all__ = ["Contents", "render", "standalone_svg"]
