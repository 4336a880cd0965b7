"""scikit-learn's own checks of what is handed to an estimator."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from aevb.errors import DataError
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
        if reset:
            _store_names(estimator, X)
        elif not estimator.reorder:  # the command line matches columns by name
            _check_names(estimator, X)
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


def _store_names(estimator: Any, frame: Any) -> None:
    """scikit-learn's own way, which has none for labels of which only some are text."""
    texts = [isinstance(name, str) for name in _labels(frame)]
    if all(texts) or not any(texts):
        validate_data(estimator, frame, reset=True, skip_check_array=True)
        return
    estimator.n_features_in_ = len(texts)
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def _check_names(estimator: Any, frame: Any) -> None:
    """scikit-learn's rule for names of columns, of those that the model uses.

    Columns it ignores may be anywhere or missing. Names that are no text are not scikit-learn's
    business, and are left to the schema.
    """
    import pyarrow

    schema = estimator.schema_
    fitted = getattr(estimator, "feature_names_in_", None)
    if fitted is None and schema.container != "numpy":
        return
    ignored = set(schema.ignored)
    if fitted is not None and ignored:
        names = [name for name in table_of(frame).names if name not in ignored]
        for place, name in enumerate(fitted):
            if name in ignored:
                names.insert(place, name)
        frame = pyarrow.table({name: [] for name in names})
    validate_data(estimator, frame, reset=False, skip_check_array=True)


def _labels(frame: Any) -> Any:
    return frame.column_names if hasattr(frame, "column_names") else frame.columns


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
    try:
        array = np.asarray(rows)
    except RuntimeError as error:  # a list of tensors that keep a graph
        raise DataError(f"expected rows of numbers or text: {error}") from error
    if array.dtype.kind == "U":
        return np.array(rows, dtype=object)
    return array
