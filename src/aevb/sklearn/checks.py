"""scikit-learn's own checks of what is handed to an estimator."""

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from aevb.table.tables import is_frame, table_of

__all__ = ["checked"]


def checked(estimator: Any, X: Any, *, reset: bool) -> Any:
    """scikit-learn's own checks of an array; of a frame only its names, for its cells are the
    schema's business.
    """
    if is_frame(X):
        table_of(X)  # which names columns met twice
        if reset or not estimator.reorder:  # the command line matches columns by name
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    array = X if hasattr(X, "ndim") or scipy.sparse.issparse(X) else _rows_as_array(X)
    flat = (
        array
        if scipy.sparse.issparse(array) or array.ndim <= 2
        else np.reshape(array, (len(array), -1))
    )
    kind = getattr(flat, "dtype", np.dtype(float)).kind
    if kind == "O" or isinstance(flat, np.ma.MaskedArray):
        # Text, large integers and masks are kept for the schema to read: here they would be rounded
        # or lost.
        cells = np.ma.filled(np.ma.asarray(flat).astype(object), None)
        plain = [
            None if isinstance(cell, str | int) or _is_mark(cell) else cell for cell in cells.flat
        ]
        validate_data(
            estimator, np.array(plain, object).reshape(cells.shape), reset=reset, **_checks(reset)
        )
        return array
    flat = validate_data(
        estimator, flat, reset=reset, dtype=None if kind in "UT" else "numeric", **_checks(reset)
    )
    return flat if array.ndim <= 2 else flat.reshape(array.shape)


def _checks(reset: bool) -> dict[str, Any]:
    return {"ensure_all_finite": False, "ensure_min_samples": 2 if reset else 1}


def _rows_as_array(rows: Any) -> NDArray[Any]:
    """Nested lists as an array; numbers beside text stay numbers."""
    array = np.asarray(rows)
    return (
        np.array(rows, dtype=object)
        if array.dtype.kind == "U" and not hasattr(rows, "__array__")
        else array
    )


def _is_mark(cell: Any) -> bool:
    """One of pandas' marks of a missing cell."""
    return type(cell).__name__ in ("NAType", "NaTType")
