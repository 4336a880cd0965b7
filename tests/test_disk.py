"""A run folder is whole or refused: at every cut, for every flipped bit and every false claim."""

import builtins
import errno
import hashlib
import json
import os
import pickle
import random
import re
import stat
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aevb import disk
from aevb.disk.formats import nulls_as_nan, pack, parse_json, to_json, unpack
from aevb.errors import ModelFileError, OutputError

ARRAYS = {
    "weights": {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.float64(3.5),
        "mask": np.array([True, False]),
        "none": np.zeros((0, 4), np.int64),
    },
    "figures": {"codes": np.full((2, 2), np.nan)},
}
DOCUMENTS = {
    "schema": {"columns": ["a", "\ud800", "é"], "image_shape": None},
    "results": {"x": [1, 2.5, 1e308]},
}
TEXTS = {"metrics.jsonl": '{"epoch": 1}\n', "report.html": "<p>ü</p>"}
FILES = {"manifest.json", "weights.safetensors", "figures.safetensors", "schema.json",
         "results.json", *TEXTS}  # fmt: skip


def write(path: Path, *, seed: int = 7, overwrite: bool = False) -> Path:
    details = {"seed": seed}
    return disk.write_run(path, ARRAYS, DOCUMENTS, TEXTS, overwrite=overwrite, details=details)


def contents(path: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in path.iterdir()}


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one: thousands of files are rewritten."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


# Run folders


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = disk.read_run(write(tmp_path / "runs" / "one"))
    assert run.documents == DOCUMENTS
    assert run.texts == TEXTS
    assert run.manifest["seed"] == 7
    assert run.manifest["versions"].keys() == {"aevb", "jax", "numpy", "python"}
    for name, arrays in ARRAYS.items():
        assert run.arrays[name].keys() == arrays.keys()
        for key, array in arrays.items():
            np.testing.assert_array_equal(run.arrays[name][key], array)
            assert run.arrays[name][key].dtype == np.asarray(array).dtype


def test_same_content_gives_the_same_bytes_and_no_other_file(tmp_path: Path) -> None:
    first, second = contents(write(tmp_path / "a")), contents(write(tmp_path / "b"))
    assert first == second
    assert first.keys() == FILES


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_honor_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = write(tmp_path / "run")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.iterdir()} == {0o666 & ~umask}


def test_a_page_can_be_lost_and_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "run")
    (path / "report.html").unlink()
    before = disk.read_run(path)
    assert "report.html" not in before.texts
    disk.replace_text(path, "report.html", "<p>new</p>")
    after = disk.read_run(path)
    assert after.texts["report.html"] == "<p>new</p>"
    assert after.manifest["versions"] == before.manifest["versions"]
    assert contents(path).keys() == FILES


def test_a_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "run")
    with pytest.raises(OutputError, match="already holds a run"):
        write(path)
    disk.write_run(path, {}, {"schema": {}}, {}, overwrite=True, details={"seed": 8})
    run = disk.read_run(path)  # files of the old run that the new one has not are not read
    assert run.manifest["seed"] == 8
    assert run.arrays == {}


@pytest.mark.parametrize("name", ["../x.html", "a.py", "report.html/x", ".html"])
def test_names_that_are_no_files_of_a_run_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        disk.write_run(tmp_path / "run", {}, {}, {name: ""})


def test_runs_are_numbered(tmp_path: Path) -> None:
    names = [disk.next_run(tmp_path / "runs", "my data/1").name for _ in range(2)]
    (tmp_path / "runs" / "my-data-1-10").mkdir()
    names.append(disk.next_run(tmp_path / "runs", "my data/1").name)
    assert names == ["my-data-1-1", "my-data-1-2", "my-data-1-11"]


# Kills, full disks and two writers


def test_a_kill_at_any_point_leaves_the_old_run_the_new_one_or_none(memory: Path) -> None:
    program = [sys.executable, Path(__file__).with_name("killed_writes.py"), "run", memory]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert len(found) > 20
    assert set(found) == {"2", "none", "3"}
    assert found == sorted(found, key=["2", "none", "3"].index)  # never back and forth


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_refuses_leaves_the_old_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = write(tmp_path / "run")
    before = contents(path)
    flush = os.fsync
    for calls in range(len(FILES)):
        left = iter(range(calls, -1, -1))

        def failing(descriptor: int, left: Iterator[int] = left) -> None:
            if next(left) == 0:
                raise OSError(code, os.strerror(code))
            flush(descriptor)

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(OutputError, match="cannot write") as caught:
            write(path, overwrite=True, seed=8)
        if code == errno.ENOSPC:
            assert re.search(r"[\d,]+ bytes needed, [\d,]+ bytes free", str(caught.value))
        assert contents(path) == before


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run"
    script = (
        "import sys; from aevb.disk import write_run;"
        "write_run(sys.argv[1], {}, {}, {}, overwrite=True)"
    )
    program = [sys.executable, "-c", script, path]
    with disk.locked(path):
        with disk.locked(path):  # entering again is free
            pass
        second = subprocess.run(program, capture_output=True, text=True, check=False)
        says = f"OutputError: {path} is being written by another process ({os.getpid()})"
        assert says in second.stderr
        with ThreadPoolExecutor(1) as pool, pytest.raises(OutputError, match="being written"):
            pool.submit(write, path).result()
        write(path)
    assert disk.is_run(path)
    with disk.locked(tmp_path / "unused"):
        pass
    assert not (tmp_path / "unused").exists()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run"
    script = (
        "import os, pathlib, sys; from aevb.disk import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, path], check=False)
    assert (path / ".lock").exists()
    (path / ".weights.safetensors.1.part").write_bytes(b"half")
    assert contents(write(path)).keys() == FILES


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / "run")
    assert (tmp_path / "mine").read_text() == "precious"


# Folders that nobody vouches for


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Flip a bit, cut, repeat, insert, or overwrite with a byte of a meaning."""
    place = chance.randrange(len(content))
    before, byte, after = content[:place], content[place : place + 1], content[place + 1 :]
    changes = [
        bytes([byte[0] ^ 1 << chance.randrange(8)]) + after,
        b"",
        content[place // 2 :],
        chance.choice([b"9", b'"', b"{", b"[", b"\0", b"\xff", b"NaN,", b"-"]) + byte + after,
        chance.choice([b"0", b'"', b"{", b"}", b"[", b"]", b":", b",", b"\xff", b"\0"]) + after,
    ]
    return before + chance.choice(changes)


@pytest.mark.long
def test_twenty_thousand_mutated_folders(memory: Path) -> None:
    path = write(memory / "run")
    original = contents(path)
    chance = random.Random(0)
    refused = 0
    for _ in range(20_000):
        name = chance.choice(sorted(original))
        mutated = mutate(original[name], chance)
        (path / name).write_bytes(mutated)
        try:
            disk.read_run(path)
            assert mutated == original[name]
        except ModelFileError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
        (path / name).write_bytes(original[name])
    assert refused > 19_000
    disk.read_run(path)


def test_mutated_files_behind_an_honest_manifest() -> None:
    """The readers themselves, where the checksum is forged too."""
    chance = random.Random(1)
    tensors, document = pack(ARRAYS["weights"], "text"), to_json(DOCUMENTS).encode()
    for _ in range(1000):
        with suppress(ModelFileError):
            arrays, _ = unpack(mutate(tensors, chance), "w.safetensors")
            assert sum(array.nbytes for array in arrays.values()) <= len(tensors) * 2
        with suppress(ModelFileError):
            parse_json(mutate(document, chance), "d.json")


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(
    begin: int, end: int, shape: list[int] | None = None, dtype: str = "U8"
) -> dict[str, object]:
    shape = [end - begin] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


EMPTY = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
BOMBS = {
    "empty": b"",
    "header of 2^63": safetensors({}, length=2**63),
    "header beyond the file": safetensors({}, length=3),
    "header of 101 MB": safetensors(b"{}" + b" " * (101 * 2**20)),
    "million entries": safetensors(b"{" + b",".join(EMPTY % i for i in range(10**6)) + b"}"),
    "overlap": safetensors({"a": tensor(0, 4), "b": tensor(2, 6)}, b"x" * 6),
    "negative": safetensors({"a": tensor(-4, 0)}),
    "beyond the file": safetensors({"a": tensor(0, 10**12)}, b"x"),
    "bytes left over": safetensors({"a": tensor(0, 1)}, b"xx"),
    "cut by one": pack(ARRAYS["weights"])[:-1],
    "shape overflows": safetensors({"a": tensor(0, 8, [2**62, 2**62, 2**4], "F64")}, b"x" * 8),
    "endless sides": safetensors({"a": tensor(0, 0, [0, 10**30])}),
    "100 sides": safetensors({"a": tensor(0, 1, [1] * 100)}, b"x"),
    "a billion": safetensors({"a": tensor(0, 8, [10**9], "F64")}, b"x" * 8),
    "unknown dtype": safetensors({"a": tensor(0, 8, [1], "F128")}, b"x" * 8),
    "dtype that NumPy lacks": safetensors({"a": tensor(0, 2, [1], "BF16")}, b"xx"),
    "key twice": safetensors(b'{"a":%b,"a":%b}' % ((json.dumps(tensor(0, 1)).encode(),) * 2), b"x"),
    "no number": safetensors(b'{"a":NaN}'),
    "deep": safetensors(b"[" * 100_000 + b"]" * 100_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_false_claims_of_a_safetensors_file_cost_nothing(name: str) -> None:
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(ModelFileError, match=r"weights\.safetensors"):
        unpack(BOMBS[name], "weights.safetensors")
    seconds, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 200e6


@pytest.mark.parametrize(
    "text",
    [b"NaN", b"[-Infinity]", b"1e999", b"[1", b"", b"{} x", b"\xef\xbb\xbf{}", b'{"a":1,"a":2}',
     b"[" * 100_000, b"[" * 70 + b"]" * 70, b'{"a":' * 70 + b"1" + b"}" * 70, b"9" * 5000, b"'a'",
     b'{"a": {"b": 1, "b": 1}}', b"[" + b"0," * 2_000_001 + b"0]", b'"\xff"'],
)  # fmt: skip
def test_json_is_read_strictly(text: bytes) -> None:
    with pytest.raises(ModelFileError, match=r"x\.json"):
        parse_json(text, "x.json")


def test_numbers_that_are_not_finite_are_null() -> None:
    content = {
        "a": np.float32("nan"),
        "b": (np.inf, np.int64(3)),
        "c": np.array([[1.5, np.nan]]),
        "d": np.bool_(True),
    }
    document = json.loads(to_json(content))
    assert document == {"a": None, "b": [None, 3], "c": [[1.5, None]], "d": True}
    again = nulls_as_nan(document)
    assert np.isnan([again["a"], again["b"][0], again["c"][0][1]]).all()
    assert to_json(again) == to_json(content)


def seal(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change a manifest, and make it vouch for itself again."""
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["sha256"]
    change(manifest)
    digest = hashlib.sha256(to_json(manifest).encode()).hexdigest()
    (path / "manifest.json").write_text(to_json({**manifest, "sha256": digest}))


PAGE = {"size": 1, "sha256": ""}


@pytest.mark.parametrize(
    ("files", "says"),
    [({"../weights.safetensors": PAGE}, "weights.safetensors.*should match pattern"),
     ({"/etc/passwd": PAGE}, "passwd.*should match pattern"),
     ({"a/b.json": PAGE}, "b.json.*should match pattern"),
     ({"x.py": PAGE}, "x.py.*should match pattern"),
     ({"x.pkl": PAGE}, "x.pkl.*should match pattern"),
     ({"schema.json": {**PAGE, "size": 10**15}}, "damaged"),
     ({"schema.json": PAGE}, "at most 1 bytes"),
     ({"schema.json": {"size": True}}, "schema.json.size"),
     ({"schema.json": []}, "schema.json"),
     (["schema.json"], "does not hold")],
)  # fmt: skip
def test_manifests_that_name_other_places_or_sizes(
    tmp_path: Path, files: object, says: str
) -> None:
    path = write(tmp_path / "run")
    seal(path, lambda manifest: manifest.update(files=files))
    with pytest.raises(ModelFileError, match=says):
        disk.read_run(path)


@pytest.mark.parametrize("version", [0, 99])
def test_other_formats_name_their_writer(tmp_path: Path, version: int) -> None:
    path = write(tmp_path / "run")
    other = {"format_version": version, "versions": {"aevb": "9.1"}, "files": "elsewhere"}
    seal(path, lambda manifest: manifest.update(other))
    with pytest.raises(ModelFileError, match=r"written by aevb 9\.1"):
        disk.read_run(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"format_version": true}', b'{"format_version": 1}']
)
def test_damaged_manifests(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "run")
    (path / "manifest.json").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"manifest\.json"):
        disk.read_run(path)


def test_only_regular_files_that_the_manifest_lists_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "run")
    (path / "model.pkl").write_bytes(pickle.dumps(Explosive()))
    (path / "more.safetensors").write_bytes(b"")
    assert disk.read_run(path).arrays.keys() == ARRAYS.keys()
    weights = path / "weights.safetensors"
    weights.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelFileError, match="no such file"):
        disk.read_run(path)
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFileError, match="not a regular file"):
        disk.read_run(path)
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(ModelFileError, match="not a regular file"):
        disk.read_run(path)


class Explosive:
    """A pickle of this raises when it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise AssertionError('unpickled')",))


def test_other_files_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("model.pkl", "model.pt", "model.h5", "model.joblib", "weights.safetensors")
    for name in names:
        (tmp_path / name).write_bytes(pickle.dumps(Explosive()))
    monkeypatch.setattr(builtins, "open", None)
    for name in ("", "nothing", "x" * 5000, *names):
        with pytest.raises(ModelFileError, match="not an aevb model"):
            disk.read_run(tmp_path / name)


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name != "__metadata__" and name.isprintable()),
        st.sampled_from("?bBhHiIlLefd").flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
        ),
        max_size=4,
    ),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
@settings(deadline=None, derandomize=True, max_examples=50)
def test_arrays_and_text_survive(arrays: dict[str, np.ndarray], text: str) -> None:
    read, same_text = unpack(pack(arrays, text), "x")
    assert same_text == text
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()
