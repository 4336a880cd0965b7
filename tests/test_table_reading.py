"""Files and folders are read right, or one line names what is wrong; none is trusted."""

import io
import os
import struct
import zipfile

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from aevb.errors import ConfigError, DataError
from aevb.table import DATA_SETS, Source, infer, read, write
from aevb.table import files as module

GENERATOR = np.random.default_rng(0)
TABLE = pa.table({"a": GENERATOR.standard_normal(90), "b": list("xyz") * 30})


def refused(path, says, error=DataError):
    with pytest.raises(error, match=says) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


# Data themselves


@pytest.mark.parametrize(
    "data", [pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), pa.table({"a": [1]}), [[1.0]]]
)
def test_data_pass_through(data):
    assert read(data).data is data


def test_images_are_flattened_and_their_shape_kept():
    source = read(GENERATOR.integers(0, 256, (50, 3, 4, 3)).astype(np.uint8))
    assert (source.data.shape, source.image_shape) == ((50, 36), (3, 4, 3))
    assert infer(source.data, image_shape=source.image_shape).image_shape == (3, 4, 3)


# Paths


def test_no_such_file(tmp_path):
    refused(tmp_path / "no.csv", "no file, folder or data set is named .*no.csv")
    refused("digit", "did you mean 'digits'")
    refused(str(tmp_path / "*.parquet"), "no file")
    refused("", r"expected|no file")


def test_a_path_on_another_machine():
    for path in ("s3://bucket/data.parquet", "https://example.org/data.csv"):
        refused(path, "on this machine", ConfigError)


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    refused(tmp_path / "fifo.csv", "regular file")
    refused("/dev/zero", "regular file")
    refused(tmp_path / "loop.csv", "could not be read")
    refused("x" * 5000 + ".csv", "could not be read")
    refused("a\0b.csv", "no file")


def test_an_unreadable_file(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "read_csv", denied)
    refused(tmp_path / "t.csv", "Permission denied")


def test_folders_without_data(tmp_path):
    refused(tmp_path, "none of them")
    (tmp_path / "notes.md").write_text("nothing")
    refused(tmp_path, "none of them")
    refused(tmp_path / "notes.md", "expected a file that ends in")


def test_names_with_spaces_and_line_breaks(tmp_path):
    path = tmp_path / "my dätä\n1.csv"
    path.write_text("a,b\n1,2\n")
    assert read(path).data.to_pylist() == [{"a": "1", "b": "2"}]
    refused(tmp_path / "no\nfile.csv", "no file")


# Parquet


def test_a_folder_of_parquet_files(tmp_path):
    for i in range(3):
        parquet.write_table(
            TABLE.slice(30 * i, 30), tmp_path / f"part{i}.parquet", row_group_size=7
        )
    (tmp_path / "_SUCCESS").write_text("")
    assert read(tmp_path).data.equals(TABLE)
    assert read(tmp_path).name == tmp_path.name
    parquet.write_table(TABLE.rename_columns(["a", "c"]), tmp_path / "part2.parquet")
    refused(tmp_path, r"part2\.parquet: expected the columns of part0\.parquet, got other b, c")
    parquet.write_table(TABLE.select(["b", "a"]), tmp_path / "part2.parquet")
    refused(tmp_path, "the order of columns")


def test_parquet_without_rows_or_columns(tmp_path):
    for i, table in enumerate((TABLE.slice(0, 0), TABLE.select([]))):
        parquet.write_table(table, tmp_path / f"{i}.parquet")
        refused(tmp_path / f"{i}.parquet", r"\d\.parquet: expected rows and columns")


def test_damaged_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    write(TABLE, path)
    content = path.read_bytes()
    for damaged in (
        content[:-1],
        content[: len(content) // 2],
        content[:-4] + b"XXXX",
        b"",
        b"PAR1",
        b"PAR1" * 3,
    ):
        path.write_bytes(damaged)
        refused(path, r"t\.parquet, footer: damaged")


def test_flipped_bits_in_our_own_parquet_are_found(tmp_path):
    path = tmp_path / "t.parquet"
    write(TABLE, path)
    content = path.read_bytes()
    missed = 0
    for at in GENERATOR.integers(0, len(content), 400):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(GENERATOR.integers(8))
        path.write_bytes(flipped)
        try:
            missed += not read(path).data.equals(TABLE)
        except DataError:
            continue
    assert missed <= 4  # in the footer, which has no checksum: names and statistics


def test_parquet_that_declares_too_much(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"zeros": np.zeros(100_000)}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(module, "MOST_BYTES", 500_000)
    refused(path, r"t\.parquet, row group 0: expected at most 500000 bytes unpacked, got 800000")
    parquet.write_table(pa.table({"zeros": np.zeros(100_000)}), path, row_group_size=10_000)
    refused(path, r"t\.parquet: expected at most 62500 values")


# npy and npz


def test_npz_finds_rows_and_labels(tmp_path):
    rows, labels = GENERATOR.standard_normal((6, 3)), np.arange(6)
    np.savez(tmp_path / "a.npz", x_train=rows, y_train=labels, x_test=rows[:2])
    source = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(source.data, rows)
    np.testing.assert_array_equal(source.labels, labels)
    np.savez_compressed(tmp_path / "b.npz", anything=rows)
    assert isinstance(read(tmp_path / "b.npz"), Source)
    np.savez(tmp_path / "c.npz", one=rows, two=rows)
    refused(tmp_path / "c.npz", "expected an array named x, got one, two")


def test_pickled_objects_are_never_loaded(tmp_path):
    objects = np.array([[{"a": 1}]], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=objects)
    (tmp_path / "b.npy").write_bytes(b"\x80\x04K\x01.")
    for name in ("a.npy", "a.npz", "b.npy"):
        refused(tmp_path / name, "damaged")


def header(shape, dtype="<f8"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(2**40, 8), (2**62, 2**62), (-1, 3), (10**6, 10)])
def test_shapes_larger_than_the_file(tmp_path, shape):
    (tmp_path / "t.npy").write_bytes(header(shape) + b"\0" * 64)
    refused(tmp_path / "t.npy", r"t\.npy")
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", header(shape) + b"\0" * 64)
    refused(tmp_path / "t.npz", r"t\.npz")


def test_damaged_arrays(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros((5, 5)))
    np.savez_compressed(tmp_path / "t.npz", x=GENERATOR.standard_normal((5, 5)))
    for name in ("t.npy", "t.npz"):
        content = (tmp_path / name).read_bytes()
        damages = [content[:-1], content[:20], b"", b"PK\x03\x04", b"\x93NUMPY\x09\x00"]
        if name == "t.npy":
            damages.append(content + b"0")
        for damaged in damages:
            (tmp_path / name).write_bytes(damaged)
            refused(tmp_path / name, name)
    for spoilt in (
        header((1, 1)).replace(b"(1, 1)", b"(1 1) "),
        header((1, 1), "|u7"),
        header((1, 1), "<U0"),
    ):
        (tmp_path / "t.npy").write_bytes(spoilt + b"\0" * 8)
        refused(tmp_path / "t.npy", "damaged")
    np.save(tmp_path / "one.npy", 3.0)
    refused(tmp_path / "one.npy", "shape")


@pytest.mark.parametrize(
    "array",
    [np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array([["a", "bc"]]), np.array([[True]])],
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_npy_version_and_order(tmp_path, array, version):
    with open(tmp_path / "t.npy", "wb") as file:
        np.lib.format.write_array(file, array, version=version)
    np.testing.assert_array_equal(read(tmp_path / "t.npy").data, array)


def test_zip_bombs(tmp_path, monkeypatch):
    path = tmp_path / "t.npz"
    np.savez_compressed(path, x=np.zeros((1000, 1000)))
    assert read(path).data.shape == (1000, 1000)
    monkeypatch.setattr(module, "MOST_BYTES", 10**6)
    refused(path, "at most 1000 arrays of 1000000 bytes, got 1 of 80")
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(1001):
            archive.writestr(f"{i}.npy", b"")
    refused(path, "got 1001 of 0")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header((1,)) + b"\0" * 8)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", header((1,)) + b"\0" * 8)
    refused(path, "a name twice")


def test_a_zip_that_lies_about_its_size(tmp_path):
    path = tmp_path / "t.npz"
    np.savez_compressed(path, x=np.zeros((1000, 100)))
    content = path.read_bytes()
    true = struct.pack("<I", 800_128)
    assert content.count(true) >= 1
    path.write_bytes(content.replace(true, struct.pack("<I", 1_000)))
    refused(path, r"t\.npz")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_mutated_arrays_are_read_or_refused(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    write(GENERATOR.standard_normal((4, 3)), path)
    content = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(content)
        for at in GENERATOR.integers(0, min(len(content), 160), 2):
            damaged[at] = int(GENERATOR.integers(256))
        path.write_bytes(damaged)
        try:
            read(path)
        except DataError:
            continue


# Images


def save(path, array):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array).save(path)


def test_a_folder_of_images(tmp_path):
    images = GENERATOR.integers(0, 256, (4, 5, 6), dtype=np.uint8)
    for i, image in enumerate(images):
        save(tmp_path / f"{i}.png", image)
    source = read(tmp_path)
    np.testing.assert_array_equal(source.data, images.reshape(4, 30))
    assert (source.image_shape, source.labels) == ((5, 6), ())
    assert read(tmp_path, image_size=(3, 2)).image_shape == (3, 2)
    save(tmp_path / "4.png", np.repeat(images[0][..., None], 3, axis=2))
    colored = read(tmp_path)
    assert colored.image_shape == (5, 6, 3)
    np.testing.assert_array_equal(colored.data[0], colored.data[4])
    save(tmp_path / "5.png", images[0][:4])
    refused(tmp_path, r"5\.png: expected 5 x 6 pixels, got 4 x 6: give an image size")


def test_folders_of_images_are_labels(tmp_path):
    image = np.zeros((2, 2), dtype=np.uint8)
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        save(tmp_path / name, image)
    assert read(tmp_path).labels.tolist() == ["cat", "cat", "dog"]


def test_damaged_images(tmp_path, monkeypatch):
    path = tmp_path / "1.png"
    save(path, GENERATOR.integers(0, 256, (50, 50), dtype=np.uint8))
    content = path.read_bytes()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    refused(tmp_path, r"1\.png: damaged or no image")
    monkeypatch.undo()
    for damaged in (content[:200], b"", b"GIF89a"):
        path.write_bytes(damaged)
        refused(tmp_path, r"1\.png: damaged or no image")


def test_every_data_set_has_a_line():
    assert all(description and "\n" not in description for description in DATA_SETS.values())
