"""scikit-learn's own checks of what is handed to an estimator."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from aevb.table.containers import readable
from aevb.table.tables import is_frame, is_missing, table_of

__all__ = ["checked"]


def checked(estimator: Any, X: Any, *, reset: bool) -> Any:
    """scikit-learn's own checks of an array; of a frame only its names, for its cells are the
    schema's business.
    """
    X = readable(X)
    if is_frame(X):
        table_of(X)  # which names columns met twice
        if reset or not estimator.reorder:  # the command line matches columns by name
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    array = X if hasattr(X, "ndim") else _rows_as_array(X)
    flat = array
    if array.ndim > 2:
        flat = np.reshape(array, (len(array), -1))
    kind = getattr(flat, "dtype", np.dtype(float)).kind
    options = {"ensure_all_finite": False, "ensure_min_samples": 2 if reset else 1}
    if kind == "O" or isinstance(flat, np.ma.MaskedArray):
        validate_data(estimator, _without_text(flat), reset=reset, **options)
        return array
    dtype = None if kind in "UT" else "numeric"
    flat = validate_data(estimator, flat, reset=reset, dtype=dtype, **options)
    return flat if array.ndim <= 2 else flat.reshape(array.shape)


def _without_text(array: NDArray[Any]) -> NDArray[Any]:
    """The cells that scikit-learn should judge: text, large integers and masks are the schema's to
    read, for here they would be rounded or lost.
    """
    cells = np.ma.filled(np.ma.asarray(array).astype(object), None)
    for place, cell in np.ndenumerate(cells):
        if isinstance(cell, str | int) or is_missing(cell):
            cells[place] = None
    return cells


def _rows_as_array(rows: Any) -> NDArray[Any]:
    """Nested lists as an array; numbers beside text stay numbers."""
    array = np.asarray(rows)
    if array.dtype.kind == "U":
        return np.array(rows, dtype=object)
    return array
