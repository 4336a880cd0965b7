"""The run folder: arrays, documents and texts, and the manifest that vouches for them.

``manifest.json`` is written last and holds the size and SHA-256 of every file, so a folder without
it is no run, and a flipped bit is found. Nothing is read that the manifest does not list, and
nothing it lists holds code.
"""

import hashlib
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from numpy.typing import ArrayLike
from pydantic import BaseModel, Field

from aevb.disk.files import explained, locked, read_file, write_files
from aevb.disk.formats import Arrays, pack, parse_json, to_json, unpack, validated
from aevb.errors import ModelFileError, OutputError

__all__ = ["FORMAT_VERSION", "Run", "is_run", "next_run", "read_run", "replace_text", "write_run"]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
#: Names that a manifest may list: no folder, one dot, no ending that could be code.
FILE_NAME = r"^[a-z][a-z0-9_]{0,63}\.(safetensors|json|jsonl|html)$"


class File(BaseModel, strict=True):
    """What a manifest says of a file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> "File":
        """The entry of this content."""
        return cls(size=len(content), sha256=hashlib.sha256(content).hexdigest())


class Listed(BaseModel):
    """What is needed of a manifest."""

    files: dict[Annotated[str, Field(pattern=FILE_NAME)], File]


@dataclass(frozen=True)
class Run:
    """A run folder in memory: arrays and documents by name, texts by file name, the manifest."""

    arrays: dict[str, Arrays] = field(repr=False)
    documents: dict[str, Any] = field(repr=False)
    texts: dict[str, str] = field(repr=False)
    manifest: dict[str, Any]


def is_run(path: Path | str) -> bool:
    """Whether the folder holds a finished run; its content is not checked."""
    return (Path(path) / MANIFEST).exists()


def next_run(folder: Path | str, name: str) -> Path:
    """Make and return ``folder/name-n``, where n is one more than the largest there is."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "run"
    folder = Path(folder)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            numbers = [0]
            for entry in folder.iterdir():
                match = re.fullmatch(rf"{re.escape(stem)}-([0-9]{{1,9}})", entry.name)
                if match:
                    numbers.append(int(match[1]))
            path = folder / f"{stem}-{max(numbers) + 1}"
            with suppress(FileExistsError):  # another process was faster
                path.mkdir()
                return path


def write_run(
    path: Path | str,
    arrays: Mapping[str, Mapping[str, ArrayLike]],
    documents: Mapping[str, object],
    texts: Mapping[str, str],
    *,
    overwrite: bool = False,
    details: Mapping[str, object] | None = None,
) -> Path:
    """Write a run folder; it is a run once its manifest, the last file, is in place.

    `OutputError` where a run is there, another process writes it, or the disk refuses.

    Parameters
    ----------
    arrays, documents, texts
        ``{"weights": {name: array}}`` becomes ``weights.safetensors``, ``{"schema": {...}}``
        ``schema.json``; texts are by file name, such as ``report.html``.
    overwrite
        Whether an existing run may be replaced. Its files stay whole until all new ones are
        on the disk.
    details
        What else the manifest holds: seed, fingerprint of the data, configuration.
    """
    path = Path(path)
    contents = {f"{name}.safetensors": pack(content) for name, content in arrays.items()}
    contents |= {f"{name}.json": to_json(content).encode() for name, content in documents.items()}
    contents |= {name: _encoded(text) for name, text in texts.items()}
    for name in contents:
        if not re.fullmatch(FILE_NAME, name):
            raise ValueError(f"not a name of a file of a run: {name!r}")
    contents[MANIFEST] = _sealed({**(details or {}), **_manifest(contents)})
    with locked(path):
        if is_run(path) and not overwrite:
            raise OutputError(
                f"{path} already holds a run: choose another folder, or overwrite it explicitly"
            )
        write_files(path, contents, seal=MANIFEST)
    return path


def read_run(path: Path | str) -> Run:
    """Read a run folder; `ModelFileError` where it is none, damaged, or of another version."""
    path = Path(path)
    manifest, files = _read_manifest(path)
    run = Run({}, {}, {}, manifest)
    for name, file in files.items():
        place = path / name
        if place.suffix == ".html" and not place.exists():
            continue  # a page is for people, and can be drawn again
        content = read_file(place, file.size)
        if File.of(content) != file:
            raise ModelFileError(
                f"{place} is damaged: its SHA-256 is not the manifest's; restore it from a copy"
            )
        if place.suffix == ".safetensors":
            run.arrays[place.stem], _ = unpack(content, str(place))
        elif place.suffix == ".json":
            run.documents[place.stem] = parse_json(content, str(place))
        else:
            run.texts[name] = content.decode("utf-8", "replace")
    return run


def replace_text(path: Path | str, name: str, text: str) -> Path:
    """Replace one text of a run, such as ``report.html``; the rest of the manifest stays."""
    path = Path(path)
    with locked(path):
        manifest, _ = _read_manifest(path)
        content = _encoded(text)
        manifest["files"][name] = File.of(content).model_dump()
        write_files(path, {name: content, MANIFEST: _sealed(manifest)}, seal=MANIFEST)
    return path / name


def _manifest(contents: Mapping[str, bytes]) -> dict[str, object]:
    versions = {name: version(name) for name in ("aevb", "jax", "numpy")}
    files = {name: File.of(content).model_dump() for name, content in contents.items()}
    return {
        "format_version": FORMAT_VERSION,
        "files": files,
        "versions": {**versions, "python": platform.python_version()},
    }


def _read_manifest(path: Path) -> tuple[dict[str, Any], dict[str, File]]:
    """The manifest, and the files it lists."""
    place = path / MANIFEST
    try:
        content = read_file(place, limit=64 * 2**20)
    except ModelFileError as error:
        raise ModelFileError(
            f"{path} is not an aevb model, or its fit was not finished: {error}"
        ) from error
    manifest = parse_json(content, str(place))
    if not isinstance(manifest, dict) or type(manifest.get("format_version")) is not int:
        raise ModelFileError(f"{place} has no format_version: not an aevb model")
    if manifest["format_version"] != FORMAT_VERSION:
        written_by = re.search(rb'"aevb": "([\w.+-]{1,40})"', content)
        release = written_by[1].decode() if written_by else "of another version"
        raise ModelFileError(
            f"{path} was written by aevb {release}, in format {manifest['format_version']}, "
            f"not {FORMAT_VERSION}: read it with that version, or fit the model again"
        )
    if _sealed(manifest) != content:
        raise ModelFileError(
            f"{place} is damaged: its SHA-256 does not match; restore it from a copy"
        )
    return manifest, validated(Listed, manifest, str(place)).files


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _sealed(manifest: Mapping[str, object]) -> bytes:
    """The manifest as JSON, with the SHA-256 of everything else in it."""
    others = {key: value for key, value in manifest.items() if key != "sha256"}
    digest = File.of(to_json(others).encode()).sha256
    return to_json({**others, "sha256": digest}).encode()
