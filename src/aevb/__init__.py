"""Fit a variational auto-encoder to your own data, and know how far to trust it."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aevb.model import Model
    from aevb.registry import configured
    from aevb.sklearn.estimator import VAE, load
    from aevb.sklearn.imputer import VAEImputer
    from aevb.sklearn.outliers import VAEOutlierDetector

__version__ = "0.1.0"
__all__ = [
    "VAE",
    "Model",
    "VAEImputer",
    "VAEOutlierDetector",
    "__version__",
    "configured",
    "load",
]

#: Where each public name lives. It is imported when first asked for, as are the modules, so that
#: `import aevb` stays light and `aevb.priors` works after it.
_HOMES = {
    "VAE": "aevb.sklearn.estimator",
    "Model": "aevb.model",
    "VAEImputer": "aevb.sklearn.imputer",
    "VAEOutlierDetector": "aevb.sklearn.outliers",
    "configured": "aevb.registry",
    "load": "aevb.sklearn.estimator",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if not name.startswith("_") and find_spec(f"aevb.{name}") is not None:
        return import_module(f"aevb.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
