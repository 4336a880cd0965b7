"""A run on disk: ``<name>.safetensors``, ``<name>.json``, texts, and the manifest that vouches for
them.

``manifest.json`` is written last and holds the size and SHA-256 of every file, so that a folder
without it is no run, and a flipped bit is found. Nothing that the manifest does not list is read,
and nothing it lists holds code.
"""

import hashlib
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aevb.disk.files import commit, describe, locked, read_regular, write_aside
from aevb.disk.formats import Arrays, pack, parse_json, to_json, unpack
from aevb.errors import ModelFileError, OutputError

__all__ = ["FORMAT_VERSION", "Run", "is_run", "next_run", "read_run", "replace_text", "write_run"]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
#: Larger than any document of a table of 10,000 columns.
MAX_DOCUMENT = 64 * 2**20
#: Names a manifest may list: no folder, no dot but one, no ending that could be code.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\.(safetensors|json|jsonl|html)")
#: What people keep beside a run; it is never read. Any other stranger means that the folder was
#: tampered with.
_BESIDE = {
    ".csv",
    ".parquet",
    ".npy",
    ".npz",
    ".txt",
    ".md",
    ".log",
    ".toml",
    ".html",
    ".png",
    ".svg",
    ".pdf",
}


@dataclass(frozen=True)
class Run:
    """A run folder in memory: arrays and documents by name, texts by file name, and the manifest."""

    arrays: dict[str, Arrays] = field(repr=False)
    documents: dict[str, Any] = field(repr=False)
    texts: dict[str, str] = field(repr=False)
    manifest: dict[str, Any]


def is_run(path: Path | str) -> bool:
    """Whether a finished run lies there (its content is not looked at)."""
    return (Path(path) / MANIFEST).exists()


def next_run(folder: Path | str, name: str) -> Path:
    """Make and return ``folder/name-n``, n one more than the largest there is."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "run"
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = [
            re.fullmatch(rf"{re.escape(stem)}-([0-9]{{1,9}})", entry.name)
            for entry in folder.iterdir()
        ]
        for n in count(max((int(match[1]) for match in taken if match), default=0) + 1):
            path = folder / f"{stem}-{n}"
            try:
                path.mkdir()
            except FileExistsError:  # another process was faster
                continue
            return path
    except OSError as error:
        raise OutputError(describe(error, str(folder))) from error
    raise AssertionError("unreachable")


def write_run(
    path: Path | str,
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
    documents: Mapping[str, Any],
    texts: Mapping[str, str],
    *,
    overwrite: bool = False,
    details: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run folder; it is a run once its manifest, the last file, is in place.

    Parameters
    ----------
    path
        The folder, made if need be.
    arrays, documents
        ``{"weights": {name: array}}`` becomes ``weights.safetensors``, ``{"schema": {...}}``
        ``schema.json``.
    texts
        Content by file name: ``report.html``, ``metrics.jsonl``.
    overwrite
        Whether a run that lies there may be replaced. Its files stay whole until all new ones are
        on the disk.
    details
        What else the manifest says: ``seed``, ``data`` (its fingerprint), ``configuration``,
        ``resolved`` (what "auto" became).

    Raises
    ------
    OutputError
        A run is there, another process writes it, or the disk refuses.
    """
    path = Path(path)
    contents = {f"{name}.safetensors": pack(content) for name, content in arrays.items()}
    contents |= {f"{name}.json": to_json(content).encode() for name, content in documents.items()}
    contents |= {name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()}
    if strange := [name for name in contents if name == MANIFEST or not _NAME.fullmatch(name)]:
        raise ValueError(f"not a name of a file of a run: {strange[0]!r}")
    contents[MANIFEST] = _manifest(contents, details or {})
    with locked(path):
        if is_run(path) and not overwrite:
            raise OutputError(
                f"{path} already holds a run: choose another folder, or overwrite it explicitly"
            )
        waiting = write_aside(path, contents)
        (path / MANIFEST).unlink(
            missing_ok=True
        )  # from here to its return the folder is no run, rather than a mixed one
        commit(waiting)
    return path


def read_run(path: Path | str) -> Run:
    """Read a run folder, every file held against the manifest first; `ModelFileError` on anything
    amiss.
    """
    path = Path(path)
    try:
        manifest = _read_manifest(path)
        _refuse_strangers(path, set(manifest["files"]))
    except OSError as error:  # a folder that may not be entered, a name too long
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from error
    run = Run({}, {}, {}, manifest)
    for name, entry in manifest["files"].items():
        if (
            name.endswith(".html") and not (path / name).exists()
        ):  # a page is for people: `aevb report` draws it again
            continue
        content = _verified(path / name, entry)
        stem, ending = name.rsplit(".", 1)
        if ending == "safetensors":
            run.arrays[stem] = unpack(content, str(path / name))[0]
        elif ending == "json":
            run.documents[stem] = parse_json(content, str(path / name))
        else:
            run.texts[name] = _text(content, path / name)
    return run


def replace_text(path: Path | str, name: str, text: str) -> Path:
    """Replace one text of a run, such as ``report.html``; the rest of the manifest, its versions
    too, stays.
    """
    path = Path(path)
    with locked(path):
        manifest = _read_manifest(path)
        content = text.encode("utf-8", "surrogatepass")
        manifest["files"] |= {name: {"size": len(content), "sha256": _digest(content)}}
        _check_files(manifest["files"], path)
        waiting = write_aside(path, {name: content, MANIFEST: to_json(_sealed(manifest)).encode()})
        (path / MANIFEST).unlink()
        commit(waiting)
    return path / name


def _manifest(contents: Mapping[str, bytes], details: Mapping[str, Any]) -> bytes:
    files = {
        name: {"size": len(content), "sha256": _digest(content)}
        for name, content in contents.items()
    }
    versions = {name: version(name) for name in ("aevb", "jax", "numpy")} | {
        "python": platform.python_version()
    }
    manifest = {**details, "format_version": FORMAT_VERSION, "files": files, "versions": versions}
    return to_json(_sealed(manifest)).encode()


def _sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with its own SHA-256, of everything else in it."""
    content = {key: value for key, value in manifest.items() if key != "sha256"}
    return content | {"sha256": _digest(to_json(content).encode())}


def _digest(content: bytes | bytearray) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise ModelFileError(
            f"{path} is not an aevb model: expected a folder with {MANIFEST}, found {found}"
        )
    if not is_run(path):
        raise ModelFileError(
            f"{path} is not an aevb model, or its fit was not finished: it has no {MANIFEST}"
        )
    content = read_regular(path / MANIFEST, MAX_DOCUMENT)
    manifest = parse_json(content, str(path / MANIFEST))
    if not isinstance(manifest, dict) or type(manifest.get("format_version")) is not int:
        raise ModelFileError(f"{path / MANIFEST} has no format_version: not an aevb model")
    if manifest["format_version"] > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} was written by aevb {_writer(manifest)}: upgrade aevb to read it"
        )
    if (
        manifest["format_version"] != FORMAT_VERSION
        or to_json(_sealed(manifest)).encode() != content
    ):
        raise ModelFileError(
            f"{path / MANIFEST} is damaged: its SHA-256 does not match; restore it from a copy"
        )
    _check_files(manifest.get("files"), path)
    return manifest


def _writer(manifest: Mapping[str, Any]) -> str:
    versions = manifest.get("versions")
    name = versions.get("aevb") if isinstance(versions, dict) else None
    return (
        name
        if isinstance(name, str) and re.fullmatch(r"[0-9A-Za-z.+-]{1,40}", name)
        else "of a later version"
    )


def _check_files(files: Any, path: Path) -> None:
    if not isinstance(files, dict):
        raise ModelFileError(f"{path / MANIFEST} lists no files")
    for name, entry in files.items():
        if not _NAME.fullmatch(name) or name == MANIFEST:
            raise ModelFileError(
                f"{path / MANIFEST} lists {name[:80]!r}, which is no file of a run"
            )
        if (
            not isinstance(entry, dict)
            or type(entry.get("size")) is not int
            or "sha256" not in entry
        ):
            raise ModelFileError(f"{path / MANIFEST} does not say size and SHA-256 of {name}")


def _refuse_strangers(path: Path, listed: set[str]) -> None:
    """A link, or a file the manifest does not list, unless it is plainly not part of a model."""
    for entry in path.iterdir():
        if entry.name in listed | {MANIFEST, "checkpoints"} or entry.name.startswith("."):
            continue
        if entry.is_symlink() or entry.suffix.lower() not in _BESIDE:
            raise ModelFileError(
                f"{path} holds {entry.name[:80]!r}, which its manifest does not list: move it away"
            )


def _verified(path: Path, entry: Mapping[str, Any]) -> bytearray:
    ending = path.suffix
    content = read_regular(
        path, entry["size"] if ending == ".safetensors" else min(entry["size"], MAX_DOCUMENT)
    )
    if len(content) != entry["size"] or _digest(content) != entry["sha256"]:
        raise ModelFileError(
            f"{path} is damaged: its SHA-256 is not the manifest's; restore it from a copy"
        )
    return content


def _text(content: bytearray, path: Path) -> str:
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path} is not UTF-8 text") from error
