"""Data sets by name: those that ship with scikit-learn, and those of the paper, from a folder or
fetched once.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aevb.errors import DataError
from aevb.table.delimited import read_csv
from aevb.table.reading import Source, load_npz

__all__ = ["DATA_SETS", "named"]

#: Every name that stands for a data set, and what it is.
DATA_SETS = {
    "digits": "1,797 grey 8 x 8 images of handwritten digits, with their class (scikit-learn's own)",
    "breast-cancer": "569 tumours, 30 measurements of cell nuclei, with the diagnosis (scikit-learn's own)",
    "wine": "178 wines, 13 chemical measurements, with the cultivar (scikit-learn's own)",
    "iris": "150 flowers, 4 measurements, with the species (scikit-learn's own)",
    "mnist": "70,000 grey 28 x 28 images of handwritten digits, with their class ($AEVB_DATA, or OpenML)",
    "frey-face": "1,965 grey 28 x 20 images of one face, in time order ($AEVB_DATA)",
    "adult": "48,842 people of a census, 15 columns, numbers and categories, some missing ($AEVB_DATA, or OpenML)",
}

#: Adult's columns, as the files name them; OpenML's names differ.
ADULT = (
    *(
        "age",
        "workclass",
        "fnlwgt",
        "education",
        "education_num",
        "marital_status",
        "occupation",
        "relationship",
    ),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"),
)


def named(name: str) -> Source:
    """The data set of this name (one of `DATA_SETS`).

    Files are looked for in the folder that the environment variable ``AEVB_DATA`` names.
    `DataError` where they are neither there nor can be fetched.
    """
    readers: dict[str, Callable[[], Source]] = {
        "digits": _digits,
        "mnist": _mnist,
        "frey-face": _frey_face,
        "adult": _adult,
    }
    return readers[name]() if name in readers else _measurements(name)


def _file(name: str) -> Path | None:
    folder = os.environ.get("AEVB_DATA")
    path = Path(folder) / name if folder else None
    return path if path is not None and path.is_file() else None


def _digits() -> Source:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Source("digits", digits.data.astype(np.uint8), (8, 8), digits.target)


def _measurements(name: str) -> Source:
    """A frame of measurements, the class a label column."""
    import pyarrow
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name.replace('-', '_')}")()
    columns = {str(feature): bunch.data[:, i] for i, feature in enumerate(bunch.feature_names)}
    columns["class"] = np.array([str(bunch.target_names[target]) for target in bunch.target])
    return Source(name, pyarrow.table(columns), None, ("class",))


def _mnist() -> Source:
    """Training images first, then test images, in their original order."""
    path = _file("mnist.npz")
    if path is None:
        bunch = _fetched("mnist", "mnist_784", as_frame=False, parser="liac-arff")
        return Source("mnist", bunch.data.astype(np.uint8), (28, 28), bunch.target.astype(np.intp))
    arrays = load_npz(path)
    images = np.concatenate([arrays["x_train"], arrays["x_test"]])
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
    return Source("mnist", images.reshape(len(images), -1), (28, 28), labels)


def _frey_face() -> Source:
    path = _file("frey_face.npz")
    if path is None:
        raise DataError(
            "frey-face is fetched from nowhere: put frey_face.npz in a folder and set AEVB_DATA to it"
        )
    images = load_npz(path)["x"]
    return Source("frey-face", images.reshape(len(images), -1), (28, 20))


def _adult() -> Source:
    """Training rows first, then test rows."""
    import pyarrow

    train, test = _file("adult_train.csv"), _file("adult_test.csv")
    if train is None or test is None:
        frame = _fetched("adult", "adult", as_frame=True, parser="auto").frame
        return Source(
            "adult",
            pyarrow.Table.from_pandas(frame.set_axis(list(ADULT), axis=1), preserve_index=False),
        )
    return Source("adult", pyarrow.concat_tables([read_csv(train), read_csv(test)]))


def _fetched(name: str, identifier: str, **options: Any) -> Any:
    """From OpenML, once: scikit-learn keeps what it fetched."""
    from sklearn.datasets import fetch_openml

    try:
        return fetch_openml(identifier, version={"adult": 2}.get(identifier, 1), **options)
    except (OSError, ValueError, ImportError) as error:
        files = {"mnist": "mnist.npz", "adult": "adult_train.csv and adult_test.csv"}[name]
        folder = os.environ.get("AEVB_DATA")
        missing = f"{folder} has no {files}" if folder else "AEVB_DATA names no folder"
        raise DataError(
            f"{missing}, and {name} could not be fetched from OpenML ({type(error).__name__}): "
            f"set AEVB_DATA to a folder with {files}"
        ) from error
