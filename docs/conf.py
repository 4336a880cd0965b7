"""Documentation: Markdown pages, executed where they hold code, and an API drawn from the
docstrings.
"""

import os
import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # pages show no progress bars

project = "aevb"
author = "The aevb developers"
copyright = author
release = version = installed_version("aevb")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "jupyter_execute", "_templates", "_static"]
templates_path = ["_templates"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"aevb {release}"
html_copy_source = False
html_show_sphinx = False

# A page whose code fails is an error; pages say the same whenever they are built.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True
nb_render_markdown_format = "myst"  # which has tables
myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_inherit_docstrings = False
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


sys.path.insert(0, str(Path(__file__).parent))
import make_pages  # noqa: E402

make_pages.main()


def escape(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Outside code, p(x|z) and KL(q || p) are no substitutions of reStructuredText, model_ is no
    link, and the star of (x, *, samples) begins no emphasis.
    """
    in_code = False
    for place, line in enumerate(lines):
        in_code = line.lstrip().startswith(">>>") or (in_code and bool(line.strip()))
        if not in_code:
            lines[place] = re.sub(
                r"(`.*?`)|\||(?<=\w)_(?!\w)|\*(?=,)", lambda mark: mark[1] or rf"\{mark[0]}", line
            )


def is_left_out(
    _app: Any, _what: str, name: str, _object: Any, skip: bool, _options: Any
) -> bool | None:
    """The setters of metadata requests that scikit-learn adds to every estimator are its own to
    document.
    """
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Any) -> None:
    """Napoleon runs at priority 500: before it, on the docstrings as they are written."""
    app.connect("autodoc-process-docstring", escape, priority=100)
    app.connect("autodoc-skip-member", is_left_out)
