"""Interrupted training: its whole state in one file, the last two of which are kept.

`save` and `load` are about files, `Checkpoint` about the state of a training loop. A file,
``00000012.safetensors``, holds arrays, and in its metadata a document (epoch, settings, history)
and a SHA-256 of everything. It is written aside, flushed and renamed, and only then is the oldest
removed: at every moment a verified one is there.
"""

import hashlib
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aevb.disk.files import commit, describe, read_regular, remove, remove_parts, write_aside
from aevb.disk.formats import Arrays, pack, parse_json, to_json, unpack
from aevb.errors import AevbWarning, CheckpointError, ConfigError, DataError, ModelFileError

__all__ = ["Checkpoint", "clear", "exists", "load", "save"]

_NAME = re.compile(r"([0-9]{8})\.safetensors")
KEPT = 2
#: Seconds of training that a kill may cost; epochs may be far shorter than a flush to the disk.
INTERVAL = 5.0


class Checkpoint:
    """Where a training loop keeps its state, a tree of arrays, and takes it up again.

    Parameters
    ----------
    folder
        Holds the files.
    identity
        What the state depends on: the settings by name, and under ``data`` the fingerprint of the
        data. Going on with another setting is a `ConfigError`, with other data a `DataError`.
    interval
        Seconds between two writes at least; the first state is written at once, `flush` writes the
        last.
    changed_data
        Whether to go on with other data all the same; that is warned of.
    """

    def __init__(
        self,
        folder: Path | str,
        identity: Mapping[str, Any] | None = None,
        *,
        interval: float = INTERVAL,
        changed_data: bool = False,
    ) -> None:
        self.folder, self.interval, self.changed_data = Path(folder), interval, changed_data
        self.identity = parse_json(to_json(identity or {}), "identity")
        self._written = float("-inf")
        self._waiting: tuple[Any, Mapping[str, Any]] | None = None

    def check(self) -> None:
        """Raise, before any work is done, what `load` would for other settings or data."""
        if (loaded := load(self.folder)) is not None:
            self._check_identity(loaded[1].get("identity"))

    def load(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """(state, document) as last written, the state in the shape of `like`, or None where there
        is nothing.
        """
        import jax

        if (loaded := load(self.folder)) is None:
            return None
        arrays, document = loaded
        same_data = self._check_identity(document.get("identity"))
        leaves, structure = jax.tree.flatten(like)
        shapes = {f"leaf{i}": (leaf.shape, leaf.dtype) for i, leaf in enumerate(leaves)}
        if shapes != {name: (array.shape, array.dtype) for name, array in arrays.items()}:
            raise CheckpointError(
                f"{self.folder} holds the state of a model of another shape: start afresh"
            )
        state = jax.tree.unflatten(structure, [jax.numpy.asarray(arrays[name]) for name in shapes])
        kept = _without_nulls(document.get("document", {}))
        return state, kept if same_data else _without_held_out(kept)

    def save(self, state: Any, document: Mapping[str, Any]) -> None:
        """Keep this state; it is on the disk within `interval` seconds of training, or at the next
        `flush`.
        """
        self._waiting = state, document
        if time.monotonic() - self._written >= self.interval:
            self.flush()

    def flush(self) -> None:
        """Write the state that was kept last, unless that is done."""
        if self._waiting is None:
            return
        import jax

        state, document = self._waiting
        arrays = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        save(self.folder, arrays, {"identity": self.identity, "document": document})
        self._waiting, self._written = None, time.monotonic()

    def _check_identity(self, written: Any) -> bool:
        """Whether these are the data; raises where settings, or data without leave, are others."""
        written = written if isinstance(written, dict) else {}
        for name in sorted(self.identity.keys() | written.keys()):
            was, now = written.get(name), self.identity.get(name)
            if was == now:
                continue
            if name != "data":
                raise ConfigError(
                    f"the checkpoint in {self.folder} was made with {name} = {was}, not {now}: "
                    "go on with the same settings, or start afresh"
                )
            changed = f"the checkpoint in {self.folder} was made with other data ({_said(was)}; now {_said(now)})"
            if not self.changed_data:
                raise DataError(
                    f"{changed}: go on with those, start afresh, or go on regardless",
                    hint={"changed_data": True},
                )
            warnings.warn(f"{changed}; going on regardless", AevbWarning, stacklevel=2)
        return written.get("data") == self.identity.get("data")


def _said(data: Any) -> str:
    """A fingerprint of data, in words."""
    if not isinstance(data, dict):
        return str(data)
    return f"{data.get('rows')} rows, {data.get('columns')} columns, SHA-256 {str(data.get('sha256'))[:12]}"


def _without_nulls(document: Any) -> Any:
    """JSON has no NaN: a bound that was none comes back as one, so that it compares with nothing."""
    if isinstance(document, dict):
        return {key: _without_nulls(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_without_nulls(value) for value in document]
    return float("nan") if document is None else document


def _without_held_out(document: dict[str, Any]) -> dict[str, Any]:
    """Bounds of held-out rows that are no more compare with nothing: the best epoch is one of those
    to come.
    """
    history = [{**line, "validation_bound": float("nan")} for line in document.get("history", ())]
    return {**document, "history": history}


def exists(folder: Path | str) -> bool:
    """Whether there is a checkpoint to go on from."""
    return bool(_numbered(Path(folder)))


def save(
    folder: Path | str, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
) -> Path:
    """Write the next checkpoint into `folder`, and then remove all but the last two.

    Raises
    ------
    CheckpointError
        The disk refused, or could not confirm that the bytes are on it; earlier checkpoints are as
        they were.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_parts(folder)
    except OSError as error:
        raise CheckpointError(describe(error, str(folder))) from error
    earlier = _numbered(folder)
    name = f"{max(earlier, default=0) + 1:08d}.safetensors"
    text = to_json(document)
    content = pack(arrays, {"aevb": to_json({"document": text, "sha256": _digest(arrays, text)})})
    commit(write_aside(folder, {name: content}, CheckpointError), CheckpointError)
    remove([earlier[number] for number in sorted(earlier)[: 1 - KEPT]])
    return folder / name


def load(folder: Path | str) -> tuple[Arrays, dict[str, Any]] | None:
    """The latest checkpoint that can be trusted, or None where there is none at all.

    Warns when that is not the latest one; raises `CheckpointError` when none of them can be
    trusted.
    """
    earlier = _numbered(Path(folder))
    damage = ""
    for number in sorted(earlier, reverse=True):
        try:
            arrays, document = _read(earlier[number])
        except ModelFileError as error:
            damage = damage or str(error)
            continue
        if damage:
            warnings.warn(
                f"{damage}; going on from {earlier[number].name}", AevbWarning, stacklevel=2
            )
        return arrays, document
    if damage:
        raise CheckpointError(f"{damage}; no earlier checkpoint is left: start afresh")
    return None


def clear(folder: Path | str) -> None:
    """Remove every checkpoint."""
    remove(_numbered(Path(folder)).values())


def _numbered(folder: Path) -> dict[int, Path]:
    """Checkpoints by number, and none where the folder is missing."""
    try:
        names = [(_NAME.fullmatch(entry.name), entry) for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {error.strerror}") from error
    return {int(match[1]): entry for match, entry in names if match}


def _read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    arrays, metadata = unpack(read_regular(path), str(path))
    seal = parse_json(metadata.get("aevb", "null"), str(path))
    if not isinstance(seal, dict) or not isinstance(text := seal.get("document"), str):
        raise ModelFileError(f"{path} is not a checkpoint of this package")
    if seal.get("sha256") != _digest(arrays, text):
        raise ModelFileError(f"{path} is damaged: its SHA-256 does not match")
    document = parse_json(text, str(path))
    if not isinstance(document, dict):
        raise ModelFileError(f"{path} is not a checkpoint of this package")
    return arrays, document


def _digest(arrays: Mapping[str, NDArray[Any]], text: str) -> str:
    """Of the document, and of each array's name, type, shape and bytes."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(
            f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode("utf-8", "surrogatepass")
        )
        digest.update(array.tobytes())
    return digest.hexdigest()
