"""Interrupted training: its whole state in one file, of which the last two are kept.

The name of a file, ``00000012-SHA256.safetensors``, holds its number and the SHA-256 of its
content. The oldest file is removed after the new one is on the disk, so at every moment there is
one that can be trusted.
"""

import hashlib
import math
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from aevb.disk.files import locked, read_file, remove, write_files
from aevb.disk.formats import Arrays, nulls_as_nan, pack, parse_json, plain, to_json, unpack
from aevb.errors import (
    AevbWarning,
    CheckpointError,
    ConfigError,
    DataError,
    ModelFileError,
    OutputError,
)

__all__ = ["Checkpoint", "clear", "exists", "load", "save"]

State = TypeVar("State")


class Checkpoint:
    """Where a training loop saves its state, a tree of arrays, and resumes from.

    Parameters
    ----------
    folder
        Holds the files.
    identity
        What the state depends on: the settings by name, and under ``data`` the fingerprint of the
        data. Resuming with other settings is a `ConfigError`, with other data a `DataError`.
    interval
        Least seconds between two writes: an epoch may be far shorter than a flush to the disk. The
        first state is written at once, and `flush` writes the last.
    changed_data
        Whether to resume with other data, with a warning.
    """

    def __init__(
        self,
        folder: Path | str,
        identity: Mapping[str, object] | None = None,
        *,
        interval: float = 5.0,
        changed_data: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.identity = plain(identity or {})
        self.interval = interval
        self.changed_data = changed_data
        self._written = -math.inf
        self._waiting: tuple[object, Mapping[str, object]] | None = None

    def check(self) -> None:
        """Raise, before any work is done, what `load` would for other settings or data."""
        loaded = load(self.folder)
        if loaded is not None:
            self._has_same_data(loaded[1])

    def load(self, like: State) -> tuple[State, dict[str, Any]] | None:
        """The last state written, in the shape of `like`, and its document; None without any."""
        from aevb.disk.trees import from_arrays

        loaded = load(self.folder)
        if loaded is None:
            return None
        arrays, written = loaded
        document = nulls_as_nan(written.get("document", {}))
        if not self._has_same_data(written):
            # Bounds of other held-out rows compare with nothing: the best epoch is yet to come.
            for line in document.get("history", ()):
                line["validation_bound"] = math.nan
        try:
            return from_arrays(like, arrays, str(self.folder)), document
        except ModelFileError as error:
            raise CheckpointError(f"{error}: another model's checkpoint, start afresh") from error

    def save(self, state: object, document: Mapping[str, object]) -> None:
        """Take this state; it is on the disk within `interval` seconds, or at the next `flush`."""
        self._waiting = state, document
        if time.monotonic() - self._written >= self.interval:
            self.flush()

    def flush(self) -> None:
        """Write the last state that was taken, unless it is on the disk already."""
        from aevb.disk.trees import to_arrays

        if self._waiting is None:
            return
        state, document = self._waiting
        save(self.folder, to_arrays(state), {"identity": self.identity, "document": document})
        self._waiting = None
        self._written = time.monotonic()

    def _has_same_data(self, written: Mapping[str, Any]) -> bool:
        """Whether the data are the same; raises for other settings, and for data not allowed."""
        before = written.get("identity", {})
        for name in sorted(before.keys() | self.identity.keys()):
            was, now = before.get(name), self.identity.get(name)
            if was != now and name != "data":
                raise ConfigError(
                    f"the checkpoint in {self.folder} was made with {name} = {was}, not {now}: "
                    "resume with the same settings, or start afresh"
                )
        was, now = before.get("data"), self.identity.get("data")
        if was == now:
            return True
        changed = (
            f"the checkpoint in {self.folder} was made with other data "
            f"({_fingerprint(was)}; now {_fingerprint(now)})"
        )
        if not self.changed_data:
            raise DataError(
                f"{changed}: resume with those, start afresh, or allow the change",
                hint={"changed_data": True},
            )
        warnings.warn(f"{changed}; continuing all the same", AevbWarning, stacklevel=3)
        return False


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint to resume from."""
    return bool(_files(folder))


def clear(folder: Path) -> None:
    """Remove every checkpoint."""
    remove(_files(folder))


def save(folder: Path, arrays: Mapping[str, ArrayLike], document: Mapping[str, object]) -> Path:
    """Write the next checkpoint into a folder, and then remove all but the last two.

    `CheckpointError` where the disk refuses; earlier checkpoints are as they were.
    """
    content = pack(arrays, to_json(document))
    try:
        with locked(folder):
            earlier = _files(folder)
            number = int(earlier[-1].name[:8]) + 1 if earlier else 1
            name = f"{number:08d}-{hashlib.sha256(content).hexdigest()}.safetensors"
            write_files(folder, {name: content})
            remove(earlier[:-1])
    except OutputError as error:
        raise CheckpointError(str(error)) from error
    return folder / name


def load(folder: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """The arrays and the document of the latest checkpoint that can be trusted; None without any.

    Warns where that is not the latest one; `CheckpointError` where none can be trusted.
    """
    damage = ""
    for path in reversed(_files(folder)):
        try:
            content = read_file(path)
            if hashlib.sha256(content).hexdigest() not in path.name:
                raise ModelFileError(f"{path} is damaged: its SHA-256 is not that of its name")
            arrays, text = unpack(content, str(path))
            document = parse_json(text, str(path))
            if not isinstance(document, dict):
                raise ModelFileError(f"{path} is not a checkpoint of this package")
        except ModelFileError as error:
            damage = damage or str(error)
            continue
        if damage:
            warnings.warn(f"{damage}; going on from {path.name}", AevbWarning, stacklevel=3)
        return arrays, document
    if damage:
        raise CheckpointError(f"{damage}; no earlier checkpoint is left: start afresh")
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]" * 8 + "-*.safetensors"))


def _fingerprint(data: object) -> str:
    """The fingerprint of data, for messages."""
    if not isinstance(data, dict):
        return str(data)
    digest = str(data.get("sha256"))[:12]
    return f"{data.get('rows')} rows, {data.get('columns')} columns, SHA-256 {digest}"
