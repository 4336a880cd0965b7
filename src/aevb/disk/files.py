"""Files that are there whole or not at all, and folders that one process writes at a time.

A kill or a full disk at any point of a write leaves the old file as it was.
"""

import errno
import os
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from aevb.errors import ModelFileError, OutputError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where folders are not locked
    fcntl = None  # type: ignore[assignment]

__all__ = ["explained", "locked", "read_file", "remove", "write_files", "write_together"]


def write_files(
    folder: Path, contents: Mapping[str, bytes | memoryview], *, seal: str | None = None
) -> list[Path]:
    """Write files, by name, into a folder: each appears whole, or stays as it was.

    All are written under other names and flushed to the disk before the first is renamed. `seal`
    is the last of them, which vouches for the others: the old one is removed before the first
    rename, so that it never vouches for a mixture of old and new files.

    Raises
    ------
    OutputError
        The disk refuses. Nothing is left of what was not renamed.
    """
    parts = {folder / name: folder / f".{name[:60]}.{os.getpid()}.part" for name in contents}
    needed = sum(len(content) for content in contents.values())
    try:
        for place, part in parts.items():
            with explained(place, needed):
                _write_flushed(part, contents[place.name])
        if seal is not None:
            with explained(folder / seal):
                (folder / seal).unlink(missing_ok=True)
        for place, part in parts.items():
            with explained(place, needed):
                os.replace(part, place)
                _flush_folder(folder)
    finally:
        remove(parts.values())
    return list(parts)


def write_together(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, made if need be, while no other process writes there."""
    with locked(folder):
        return write_files(folder, contents)


def read_file(path: Path, limit: int | None = None) -> bytes:
    """Read a regular file of at most `limit` bytes; `ModelFileError` for anything else."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{path} is not a regular file")
        if limit is not None and status.st_size > limit:
            raise ModelFileError(
                f"expected {path} to hold at most {limit:,} bytes, found {status.st_size:,}"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {_reason(error)}") from error


def remove(paths: Iterable[Path]) -> None:
    """Remove files, as far as that is possible."""
    for path in paths:
        with suppress(OSError):
            path.unlink()


@contextmanager
def explained(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn the refusal of a disk to write `path`, of `needed` bytes, into an `OutputError`."""
    try:
        yield
    except OSError as error:
        advice = "choose another place"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            existing = next(folder for folder in path.absolute().parents if folder.exists())
            free = shutil.disk_usage(existing).free
            advice = f"{needed:,} bytes needed, {free:,} bytes free: make room or {advice}"
        raise OutputError(f"cannot write {path}: {_reason(error)}; {advice}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made if need be, for writing; it is removed at the end if it is empty.

    The kernel drops the lock when its holder dies, so no lock is ever stale. A thread may enter
    again what it holds. `OutputError` where another process or thread holds the folder.
    """
    path = folder / ".lock"
    me = f"{os.getpid()} {threading.get_ident()}"
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        file = FileIO(os.open(path, flags, 0o666), "r+")
    with file:
        if not _is_free(file, path):
            holder = file.read(100).decode(errors="replace")
            if holder != me:
                process = holder.partition(" ")[0] or "?"
                raise OutputError(
                    f"{folder} is being written by another process ({process}): "
                    "wait for it or choose another folder"
                )
            yield
            return
        try:
            with explained(folder):
                file.truncate(0)
                file.write(me.encode())
            remove(list(folder.glob(".*.part")))  # half written by a process that was killed
            yield
        finally:
            remove([path])
            with suppress(OSError):
                folder.rmdir()


def _is_free(file: FileIO, path: Path) -> bool:
    """Whether the lock is ours now; it is not where its holder has just removed the file."""
    if fcntl is None:  # pragma: no cover - Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _write_flushed(path: Path, content: bytes | memoryview) -> None:
    remove([path])
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # pragma: no cover - folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
