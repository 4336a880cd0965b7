"""Every setting of a fit: the one list of names, types, defaults and help.

The parameters of `aevb.VAE` and their documentation, the options of the command line, the keys of a
TOML file and ``docs/settings.md`` are made from it.
"""

from aevb.settings.about import About, about
from aevb.settings.fields import RandomState, RunSettings, Settings, Width, read_settings

__all__ = ["About", "RandomState", "RunSettings", "Settings", "Width", "about", "read_settings"]
