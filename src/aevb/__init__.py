"""Fit a variational auto-encoder to your own data, and know how far to trust it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aevb.anomaly import VAEOutlierDetector
    from aevb.estimator import VAE
    from aevb.imputation import VAEImputer
    from aevb.runs import load

__version__ = "0.1.0"
__all__ = ["VAE", "VAEImputer", "VAEOutlierDetector", "__version__", "load"]

#: Where each public name lives; it is imported when first asked for, so that `import aevb` stays light.
_HOMES = {
    "VAE": "aevb.estimator",
    "VAEImputer": "aevb.imputation",
    "VAEOutlierDetector": "aevb.anomaly",
    "load": "aevb.runs",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
