"""Row engine (to be replaced)."""

from aevb.marginal.importance import Progress, at_least_one, row_hashes, row_keys
from aevb.results import mean_and_error

__all__ = ["Progress", "at_least_one", "mean_and_error", "row_hashes", "row_keys"]
