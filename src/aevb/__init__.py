"""Fit a variational auto-encoder to your own data, and know how far to trust it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aevb.run import load
    from aevb.sklearn.estimator import VAE
    from aevb.sklearn.imputer import VAEImputer
    from aevb.sklearn.outliers import VAEOutlierDetector

__version__ = "0.1.0"
__all__ = ["VAE", "VAEImputer", "VAEOutlierDetector", "__version__", "load"]

#: Where each public name lives; it is imported when first asked for, so that `import aevb` stays
#: light.
_HOMES = {
    "VAE": "aevb.sklearn.estimator",
    "VAEImputer": "aevb.sklearn.imputer",
    "VAEOutlierDetector": "aevb.sklearn.outliers",
    "load": "aevb.run",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
