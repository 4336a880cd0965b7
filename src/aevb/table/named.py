"""Data sets by name: those that ship with scikit-learn, and those of the paper, from a folder or
downloaded once.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aevb.errors import DataError
from aevb.table.delimited import read_csv
from aevb.table.files import Source, load_npz

if TYPE_CHECKING:
    from sklearn.utils import Bunch

__all__ = ["DATA_SETS", "named"]

#: Every name that stands for a data set, and what it is.
DATA_SETS = {
    "digits": "1,797 gray 8 x 8 images of handwritten digits, with their class (scikit-learn)",
    "breast-cancer": "569 tumors, 30 measurements of cell nuclei, and the diagnosis (scikit-learn)",
    "wine": "178 wines, 13 chemical measurements, with the cultivar (scikit-learn)",
    "iris": "150 flowers, 4 measurements, with the species (scikit-learn)",
    "mnist": "70,000 gray 28 x 28 images of handwritten digits, with their class "
    "($AEVB_DATA, or OpenML)",
    "frey-face": "1,965 gray 28 x 20 images of one face, in time order ($AEVB_DATA)",
    "adult": "48,842 people of a census, 15 columns, numbers and categories, some missing "
    "($AEVB_DATA, or OpenML)",
}


def named(name: str) -> Source:
    """The data set of this name (one of `DATA_SETS`).

    Files are looked for in the folder that the environment variable ``AEVB_DATA`` names.
    `DataError` if they are not there and cannot be downloaded.
    """
    readers = {"digits": _digits, "mnist": _mnist, "frey-face": _frey_face, "adult": _adult}
    if name in readers:
        return readers[name]()
    return _measurements(name)


def _files(*names: str) -> list[Path]:
    """The files of these names in the folder AEVB_DATA, if all are there."""
    folder = Path(os.environ.get("AEVB_DATA", "") or os.devnull)
    paths = [folder / name for name in names]
    return paths if all(path.is_file() for path in paths) else []


def _digits() -> Source:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Source("digits", digits.data.astype(np.uint8), (8, 8), digits.target)


def _measurements(name: str) -> Source:
    """A frame of measurements, the class a label column."""
    import pyarrow
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name.replace('-', '_')}")()
    columns = dict(zip(map(str, bunch.feature_names), bunch.data.T, strict=True))
    columns["class"] = bunch.target_names.astype(str)[bunch.target]
    return Source(name, pyarrow.table(columns), None, ("class",))


def _mnist() -> Source:
    """Training images first, then test images, in their original order."""
    files = _files("mnist.npz")
    if not files:
        bunch = _download("mnist_784", 1, "mnist.npz", as_frame=False, parser="liac-arff")
        return Source("mnist", bunch.data.astype(np.uint8), (28, 28), bunch.target.astype(np.intp))
    arrays = load_npz(files[0])
    images = np.concatenate([arrays["x_train"], arrays["x_test"]])
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
    return Source("mnist", images.reshape(len(images), -1), (28, 28), labels)


def _frey_face() -> Source:
    files = _files("frey_face.npz")
    if not files:
        raise DataError(
            "frey-face is not downloaded: put frey_face.npz in a folder and set AEVB_DATA to it"
        )
    images = load_npz(files[0])["x"]
    return Source("frey-face", images.reshape(len(images), -1), (28, 20))


def _adult() -> Source:
    """Training rows first, then test rows, columns as the files name them."""
    import pyarrow

    files = _files("adult_train.csv", "adult_test.csv")
    if files:
        tables = [read_csv(file.read_bytes(), file.name, header=True) for file in files]
        return Source("adult", pyarrow.concat_tables(tables))
    names = "adult_train.csv and adult_test.csv"
    table = pyarrow.Table.from_pandas(
        _download("adult", 2, names, as_frame=True, parser="auto").frame, preserve_index=False
    )
    columns = """age workclass fnlwgt education education_num marital_status occupation relationship
        race sex capital_gain capital_loss hours_per_week native_country income"""
    return Source("adult", table.rename_columns(columns.split()))


def _download(name: str, version: int, files: str, **options: Any) -> "Bunch":
    """A data set of OpenML; scikit-learn keeps what it downloaded."""
    from sklearn.datasets import fetch_openml

    try:
        return fetch_openml(name, version=version, **options)
    except (OSError, ValueError, ImportError) as error:
        folder = os.environ.get("AEVB_DATA")
        missing = f"{folder} has no {files}" if folder else "AEVB_DATA names no folder"
        short = name.partition("_")[0]
        raise DataError(
            f"{missing}, and {short} could not be fetched from OpenML ({type(error).__name__}): "
            f"set AEVB_DATA to a folder with {files}"
        ) from error
