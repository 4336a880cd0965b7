"""Named data sets: those that ship, those in $AEVB_DATA, and the errors if they are missing."""

import os
from pathlib import Path

import numpy as np
import pytest

from aevb.errors import DataError
from aevb.table import DATA_SETS, decode, encode, infer, read
from aevb.table.named import named

FOLDER = Path(os.environ.get("AEVB_DATA", ""))


def needs(name):
    there = "AEVB_DATA" in os.environ and (FOLDER / name).is_file()
    return pytest.mark.skipif(not there, reason=f"{name} is not in the folder AEVB_DATA names")


def test_digits_are_pixels_with_their_class():
    source = read("digits")
    schema = infer(source.data, image_shape=source.image_shape)
    assert (source.name, source.data.shape, source.image_shape) == ("digits", (1797, 64), (8, 8))
    assert {(c.kind, c.lower, c.upper, c.resolution) for c in schema.columns} == {
        ("pixel", 0, 16, 1)
    }
    assert sorted(set(source.labels.tolist())) == list(range(10))
    np.testing.assert_array_equal(decode(encode(source.data, schema), schema), source.data)


@pytest.mark.parametrize(
    ("name", "shape"), [("breast-cancer", (569, 30)), ("wine", (178, 13)), ("iris", (150, 4))]
)
def test_measurements_have_a_label_column(name, shape):
    source = read(name)
    schema = infer(source.data, labels=source.labels)
    assert encode(source.data, schema).shape == shape
    assert schema.labels == schema.ignored == ("class",)


@needs("mnist.npz")
def test_mnist():
    source = read("mnist")
    assert (source.data.shape, source.image_shape, len(source.labels)) == (
        (70_000, 784),
        (28, 28),
        70_000,
    )
    assert source.labels[:5].tolist() == [5, 0, 4, 1, 9]


@needs("frey_face.npz")
def test_frey_face():
    source = read("frey-face")
    schema = infer(source.data, image_shape=source.image_shape)
    assert (source.data.shape, schema.image_shape) == ((1965, 560), (28, 20))
    assert {(c.kind, c.upper) for c in schema.columns} == {("pixel", 255)}


@needs("adult_test.csv")
def test_adult():
    source = read("adult")
    schema = infer(source.data, labels=source.labels)
    kinds = {column.name: column.kind for column in schema.columns}
    assert len(source.data) == 48_842
    assert (len(kinds), kinds["income"], kinds["education_num"], kinds["age"]) == (
        15,
        "binary",
        "count",
        "count",
    )
    ends = {column.name: (column.lower, column.upper) for column in schema.columns}
    assert (ends["age"], ends["capital_gain"]) == ((17, 90), (0, 99_999))
    assert schema.columns[schema.names.index("occupation")].missing == pytest.approx(2809 / 48_842)
    assert decode(encode(source.data, schema), schema, like=source.data).equals(source.data)


@pytest.mark.parametrize("name", ["mnist", "frey-face", "adult"])
def test_what_is_not_there_and_cannot_be_fetched(name, monkeypatch):
    import sklearn.datasets

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.delenv("AEVB_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", offline)
    with pytest.raises(DataError, match="AEVB_DATA"):
        named(name)
    if name != "frey-face":
        with pytest.raises(DataError, match=f"names no folder, and {name} could not be fetched"):
            named(name)
        monkeypatch.setenv("AEVB_DATA", "elsewhere")
        with pytest.raises(
            DataError, match=f"elsewhere has no {name}.*set AEVB_DATA to a folder with {name}"
        ):
            named(name)


def test_every_name_is_read_somewhere():
    names = "digits breast-cancer wine iris mnist frey-face adult"
    assert list(DATA_SETS) == names.split()
