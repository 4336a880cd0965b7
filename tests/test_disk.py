"""A run folder is whole or refused: at every cut, for every flipped bit, for every lie a file can
tell.
"""

import builtins
import errno
import json
import os
import pickle
import random
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aevb import disk as storage
from aevb.disk.formats import DTYPES, pack, parse_json, to_json, unpack
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


def write(path: Path, **options: object) -> Path:
    return storage.write_run(path, ARRAYS, DOCUMENTS, TEXTS, **{"details": {"seed": 7}, **options})  # type: ignore[arg-type]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of files are rewritten."""
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    ) as folder:
        yield Path(folder)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = storage.read_run(write(tmp_path / "runs" / "one"))
    assert run.documents == DOCUMENTS
    assert run.texts == TEXTS
    assert run.manifest["seed"] == 7
    assert run.manifest["versions"].keys() == {"aevb", "jax", "numpy", "python"}
    for name, arrays in ARRAYS.items():
        assert run.arrays[name].keys() == arrays.keys()
        for key, array in arrays.items():
            np.testing.assert_array_equal(run.arrays[name][key], array)
            assert run.arrays[name][key].dtype == np.asarray(array).dtype


def test_same_content_same_bytes_and_no_litter(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    names = sorted(entry.name for entry in first.iterdir())
    assert names == sorted([*TEXTS, "figures.safetensors", "manifest.json", "results.json", "schema.json",
                            "weights.safetensors"])  # fmt: skip
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_honour_the_umask(tmp_path: Path, umask: int) -> None:
    former = os.umask(umask)
    try:
        path = write(tmp_path / "run")
    finally:
        os.umask(former)
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.iterdir()} == {0o666 & ~umask}


def test_a_page_can_be_lost_and_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "run")
    (path / "report.html").unlink()
    before = storage.read_run(path)
    assert "report.html" not in before.texts
    storage.replace_text(path, "report.html", "<p>new</p>")
    after = storage.read_run(path)
    assert after.texts["report.html"] == "<p>new</p>"
    assert after.manifest["versions"] == before.manifest["versions"]
    assert not [entry for entry in path.iterdir() if entry.name.startswith(".")]


def test_a_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "run")
    with pytest.raises(OutputError, match="already holds a run"):
        write(path)
    write(path, overwrite=True, details={"seed": 8})
    assert storage.read_run(path).manifest["seed"] == 8


def test_names_that_are_no_run_files_are_refused(tmp_path: Path) -> None:
    for name in ("../x.html", "manifest.json", "a.py", "report.html/x", ".html"):
        with pytest.raises(ValueError, match="not a name"):
            storage.write_run(tmp_path / "run", {}, {}, {name: ""}, overwrite=False)


def test_runs_are_numbered(tmp_path: Path) -> None:
    names = [storage.next_run(tmp_path / "runs", "my data/1").name for _ in range(2)]
    (tmp_path / "runs" / "my-data-1-10").mkdir()
    names.append(storage.next_run(tmp_path / "runs", "my data/1").name)
    assert names == ["my-data-1-1", "my-data-1-2", "my-data-1-11"]


# ------------------------------------------------------------------------------------------------
# cuts and full disks

CUTS = """
import os, sys
from pathlib import Path
from aevb import disk as storage
home = Path(sys.argv[1])

def write(path, seed, overwrite=False):
    storage.write_run(path, {"weights": {}}, {"schema": {"seed": seed}}, {"report.html": "x" * seed},
                      overwrite=overwrite, details={"seed": seed})

def killed_after(n, path):
    "Write run 2 over run 1 in a child that dies right after its n-th system call; False once it lives."
    calls = [0]
    def dying(function):
        def call(*args, **kwargs):
            result = function(*args, **kwargs)
            calls[0] += 1
            if calls[0] == n:
                os._exit(9)
            return result
        return call
    if (child := os.fork()) == 0:
        for name in ("open", "fsync", "replace", "unlink", "close"):
            setattr(os, name, dying(getattr(os, name)))
        write(path, 2, overwrite=True)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

n = 1
while True:
    path = home / str(n)
    write(path, 1)
    alive = not killed_after(n, path)
    try:
        run = storage.read_run(path)
        assert run.documents["schema"]["seed"] == run.manifest["seed"] == len(run.texts["report.html"])
        print("run", run.manifest["seed"])
    except storage.runs.ModelFileError as error:
        assert "not finished" in str(error), error
        print("none")
    write(path, 3, overwrite=True)
    assert storage.read_run(path).manifest["seed"] == 3
    assert not [entry for entry in path.iterdir() if entry.name.startswith(".")], list(path.iterdir())
    if alive:
        break
    n += 1
"""


def test_a_kill_at_any_point_leaves_the_old_run_the_new_one_or_none(memory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CUTS, memory], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    outcomes = done.stdout.split("\n")[:-1]
    assert len(outcomes) > 20
    assert outcomes[0] == "run 1"
    assert outcomes[-1] == "run 2"
    assert outcomes == sorted(
        outcomes, key=["run 1", "none", "run 2"].index
    )  # never back and forth, never mixed


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_refuses_leaves_the_old_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = write(tmp_path / "run")
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    real = os.fsync
    for n in range(len(before)):
        calls = iter(range(100))

        def failing(descriptor: int, n: int = n, calls: object = calls) -> None:
            if next(calls) == n:  # type: ignore[call-overload]
                raise OSError(code, os.strerror(code))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(OutputError, match="cannot write") as caught:
            write(path, overwrite=True, details={"seed": 8})
        if code == errno.ENOSPC:
            assert re.search(r"[\d,]+ bytes needed, [\d,]+ bytes free", str(caught.value))
        assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == before


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run"
    script = "import sys; from aevb import storage; storage.write_run(sys.argv[1], {}, {}, {}, overwrite=True)"
    with storage.locked(path):
        with storage.locked(path):  # entering again is free
            pass
        second = subprocess.run(
            [sys.executable, "-c", script, path], capture_output=True, text=True, check=False
        )
        assert (
            f"OutputError: {path} is being written by another process ({os.getpid()})"
            in second.stderr
        )
        write(path)
    assert storage.is_run(path)
    with storage.locked(tmp_path / "unused"):
        pass
    assert not (tmp_path / "unused").exists()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    script = "import os, sys; from aevb import storage\nwith storage.locked(storage.runs.Path(sys.argv[1])): os._exit(9)"
    subprocess.run([sys.executable, "-c", script, tmp_path / "run"], check=False)
    assert (tmp_path / "run" / ".lock").exists()
    write(tmp_path / "run")
    assert not (tmp_path / "run" / ".lock").exists()


# ----------------------------------------------------------------------------------------------------
# untrusted folders


def mutate(content: bytes, random: random.Random) -> bytes:
    """Flip a bit, cut, repeat, insert, or overwrite with a telling byte."""
    if not content:
        return b"\x00"
    place = random.randrange(len(content))
    choice = random.randrange(5)
    if choice == 0:
        return (
            content[:place]
            + bytes([content[place] ^ 1 << random.randrange(8)])
            + content[place + 1 :]
        )
    if choice == 1:
        return content[:place]
    if choice == 2:
        return content[:place] + content[place // 2 :]
    if choice == 3:
        return (
            content[:place]
            + random.choice([b"9", b'"', b"{", b"[", b"\0", b"\xff", b"NaN,", b"-"])
            + content[place:]
        )
    return (
        content[:place]
        + random.choice(b'0"{}[]:,\xff\x00').to_bytes(1, "big")
        + content[place + 1 :]
    )


def test_three_thousand_mutated_folders(memory: Path) -> None:
    good = write(memory / "good")
    original = {entry.name: entry.read_bytes() for entry in good.iterdir()}
    chance = random.Random(0)
    refused = 0
    for _ in range(3000):
        name = chance.choice(sorted(original))
        mutated = mutate(original[name], chance)
        (good / name).write_bytes(mutated)
        try:
            storage.read_run(good)
            assert mutated == original[name]
        except ModelFileError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
        (good / name).write_bytes(original[name])
    assert refused > 2900
    storage.read_run(good)


def test_three_thousand_mutated_files_behind_an_honest_manifest() -> None:
    """The readers themselves, where the checksum was forged too."""
    chance = random.Random(1)
    tensors, document = pack(ARRAYS["weights"]), to_json(DOCUMENTS).encode()
    for _ in range(3000):
        try:
            arrays, _ = unpack(mutate(tensors, chance), "w.safetensors")
            assert sum(array.nbytes for array in arrays.values()) <= len(tensors) * 2
        except ModelFileError:
            pass
        with suppress(ModelFileError):
            parse_json(mutate(document, chance), "d.json")


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(
    begin: int, end: int, shape: list[int] | None = None, dtype: str = "U8"
) -> dict[str, object]:
    return {
        "dtype": dtype,
        "shape": [end - begin] if shape is None else shape,
        "data_offsets": [begin, end],
    }


BOMBS = {
    "empty": b"",
    "short": b"\x01" * 7,
    "header of 2^63": safetensors({}, length=2**63),
    "header of 101 MB": safetensors(b"{}" + b" " * (101 * 2**20)),
    "million entries": safetensors(b"{" + b",".join(b'"%d":{}' % i for i in range(10**6)) + b"}"),
    "overlap": safetensors({"a": entry(0, 4), "b": entry(2, 6)}, b"x" * 6),
    "hole": safetensors({"a": entry(0, 2), "b": entry(4, 6)}, b"x" * 6),
    "negative": safetensors({"a": entry(-4, 0)}),
    "beyond the file": safetensors({"a": entry(0, 10**12)}, b"x"),
    "bytes left over": safetensors({"a": entry(0, 1)}, b"xx"),
    "cut by one": pack(ARRAYS["weights"])[:-1],
    "shape overflows": safetensors({"a": entry(0, 8, [2**62, 2**62, 2**4], "F64")}, b"x" * 8),
    "no elements, endless sides": safetensors({"a": entry(0, 0, [0, 10**30])}),
    "a billion": safetensors({"a": entry(0, 8, [10**9], "F64")}, b"x" * 8),
    "unknown dtype": safetensors({"a": entry(0, 8, [1], "F128")}, b"x" * 8),
    "dtype not text": safetensors({"a": {**entry(0, 1), "dtype": ["U8"]}}, b"x"),
    "truth of 2": safetensors({"a": entry(0, 1, [1], "BOOL")}, b"\x02"),
    "size is true": safetensors({"a": {**entry(0, 1), "shape": [True]}}, b"x"),
    "size is 1.0": safetensors({"a": {**entry(0, 1), "shape": [1.0]}}, b"x"),
    "key twice": safetensors(b'{"a":%b,"a":%b}' % ((json.dumps(entry(0, 1)).encode(),) * 2), b"x"),
    "extra key": safetensors({"a": {**entry(0, 1), "code": "x"}}, b"x"),
    "list": safetensors([1]),
    "metadata of numbers": safetensors({"__metadata__": {"a": 1}}),
    "deep": safetensors(b"[" * 100_000 + b"]" * 100_000),
    "40 sides": safetensors({"a": entry(0, 1, [1] * 40)}, b"x"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_lies_of_a_safetensors_file_cost_nothing(name: str) -> None:
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(ModelFileError):
        unpack(BOMBS[name], "weights.safetensors")
    seconds, memory = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1
    assert memory < 200e6


@pytest.mark.parametrize(
    "text",
    ["NaN", "[-Infinity]", "1e999", "[1", "", "{} x", "\ufeff{}", '{"a":1,"a":2}', "[" * 100_000, "[" * 70 + "]" * 70,
     "9" * 5000, "'a'", '{"a": {"b": 1, "b": 1}}', "[" + "0," * 2_000_001 + "0]"],
)  # fmt: skip
def test_json_is_read_strictly(text: str) -> None:
    with pytest.raises(ModelFileError, match=r"x\.json"):
        parse_json(text, "x.json")


def test_json_that_is_not_utf8() -> None:
    with pytest.raises(ModelFileError):
        parse_json(b'"\xff"', "x.json")


def test_numbers_that_are_none_are_null() -> None:
    content = {
        "a": np.float32("nan"),
        "b": (np.inf, np.int64(3)),
        "c": np.array([[1.5, np.nan]]),
        "d": np.bool_(True),
    }
    assert json.loads(to_json(content)) == {
        "a": None,
        "b": [None, 3],
        "c": [[1.5, None]],
        "d": True,
    }


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name != "__metadata__" and name.isprintable()),
        st.sampled_from(sorted(DTYPES.values())).flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
        ),
        max_size=4,
    )
)
@settings(deadline=None, derandomize=True, max_examples=50)
def test_arrays_survive(arrays: dict[str, np.ndarray]) -> None:
    read, _ = unpack(pack(arrays), "x")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()


# ---------------------------------------------------------------------------------------------
# folders that are no run


def test_newer_formats_name_their_writer(tmp_path: Path) -> None:
    path = write(tmp_path / "run")
    manifest = json.loads((path / "manifest.json").read_text())
    manifest |= {"format_version": 2, "versions": {"aevb": "9.1"}, "files": "elsewhere"}
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError, match=r"written by aevb 9\.1"):
        storage.read_run(path)


@pytest.mark.parametrize(
    "name", ["../weights.safetensors", "/etc/passwd", "a/b.json", "manifest.json", "x.py", "x.pkl"]
)
def test_a_manifest_that_lists_other_places(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "run")
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"][name] = manifest["files"]["report.html"]
    (path / "manifest.json").write_text(to_json(storage.runs._sealed(manifest)))
    with pytest.raises(ModelFileError, match="no file of a run"):
        storage.read_run(path)


def test_links_and_strangers(tmp_path: Path) -> None:
    path = write(tmp_path / "run")
    for name in ("scores.csv", "note.txt", ".DS_Store"):
        (path / name).write_text("mine")
    storage.read_run(path)
    for name in ("model.pkl", "extra.json", "code.py", "more.safetensors"):
        (path / name).write_bytes(b"")
        with pytest.raises(ModelFileError, match=re.escape(name)):
            storage.read_run(path)
        (path / name).unlink()
    shutil.move(path / "weights.safetensors", tmp_path / "elsewhere")
    (path / "weights.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFileError, match="symbolic link"):
        storage.read_run(path)
    (path / "weights.safetensors").unlink()
    with pytest.raises(ModelFileError, match="no such file"):
        storage.read_run(path)
    os.mkfifo(path / "weights.safetensors")
    with pytest.raises(ModelFileError, match="not a regular file"):
        storage.read_run(path)


class Explosive:
    """A pickle of this raises when it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise AssertionError('unpickled')",))


def test_other_formats_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("model.pkl", "model.pt", "model.h5", "model.joblib", "weights.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Explosive()))
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "open", None)
            with pytest.raises(ModelFileError, match="not an aevb model"):
                storage.read_run(tmp_path / name)
    for place in ("nothing", "x" * 5000, "nul\0", ""):
        with pytest.raises(ModelFileError):
            storage.read_run(tmp_path / place if place else tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"format_version": true}', b'{"format_version": 1}']
)
def test_damaged_manifests(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "run")
    (path / "manifest.json").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"manifest\.json"):
        storage.read_run(path)
