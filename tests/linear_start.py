"""Options of a fit that is over in seconds: the linear start alone, which compiles few programs."""

from typing import Any

TINY: dict[str, Any] = {
    "latent_dim": 1,
    "hidden": (8,),
    "epochs": 0,
    "prior": "standard_normal",
    "random_state": 0,
}
