"""One HTML page that says what a fit is worth: verdict first, then the evidence; it opens offline
and asks for nothing.

`Contents` is what a page is made of; `render` turns it into HTML.
"""

from aevb.report.contents import Contents
from aevb.report.page import render

__all__ = ["Contents", "render"]
