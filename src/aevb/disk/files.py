"""Files that are there whole or not at all, and folders that one process writes at a time.

A file is written beside its place, flushed to the disk, and only then renamed over it; the folder's
own entry is flushed last. A kill or a full disk at any point leaves the former file as it was.
"""

import errno
import os
import re
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from aevb.errors import CheckpointError, ModelFileError, OutputError

try:
    import fcntl
except (
    ImportError
):  # pragma: no cover - Windows has no flock; there the folder is simply not locked
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "commit",
    "describe",
    "locked",
    "read_regular",
    "remove",
    "remove_parts",
    "write_aside",
    "write_together",
]

#: Files half written when their process was killed: removed by the next one to hold the folder.
_PART = re.compile(r"\..*\.part")
_LOCK = ".lock"
#: Folders this process holds, and by which thread: `flock` alone would refuse the holder itself.
_held: dict[str, int] = {}


def describe(error: OSError, what: str, needed: int = 0) -> str:
    """One line for a write that failed; where space ran out, how much is needed and how much is
    free.
    """
    line = f"cannot write {what}: {(error.strerror or str(error)).lower()}"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return f"{line}; choose a folder that can be written to"
    folder = Path(what).parent
    free = f"{shutil.disk_usage(folder).free:,}" if folder.exists() else "an unknown number of"
    return f"{line}; {needed:,} bytes needed, {free} bytes free: make room or choose another folder"


def write_aside(
    folder: Path,
    contents: Mapping[str, bytes],
    error_class: type[OutputError | CheckpointError] = OutputError,
) -> dict[Path, Path]:
    """Write and flush every file under a name beside its own; returns {place: where its content
    waits}.

    Raises `error_class`, with nothing left behind, when one of them cannot be written or flushed.
    """
    waiting = {folder / name: folder / f".{name}.{os.getpid()}.part" for name in contents}
    needed = sum(len(content) for content in contents.values())
    with ExitStack() as undo:
        undo.callback(remove, waiting.values())
        for place, part in waiting.items():
            try:
                _write_flushed(part, contents[place.name])
            except OSError as error:
                raise error_class(describe(error, str(place), needed)) from error
        undo.pop_all()
    return waiting


def commit(
    waiting: Mapping[Path, Path], error_class: type[OutputError | CheckpointError] = OutputError
) -> None:
    """Rename what `write_aside` wrote into place, one after the other, each rename flushed before
    the next.
    """
    try:
        for place, part in waiting.items():
            os.replace(part, place)
            _flush_folder(place.parent)
    except OSError as error:
        raise error_class(describe(error, str(place))) from error
    finally:
        remove(waiting.values())


def write_together(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, made if need be, each there whole or as it was; `OutputError`
    where one cannot be.
    """
    with locked(folder):
        waiting = write_aside(folder, contents)
        commit(waiting)
    return list(waiting)


def read_regular(path: Path, limit: int | None = None) -> bytearray:
    """The bytes of a regular file of at most `limit` bytes; `ModelFileError` for links, devices and
    the like.
    """
    flags = (
        os.O_RDONLY
        | getattr(os, "O_NOFOLLOW", 0)
        | getattr(os, "O_NONBLOCK", 0)
        | getattr(os, "O_BINARY", 0)
    )
    try:
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelFileError(f"{path} is not a regular file")
            if limit is not None and status.st_size > limit:
                raise ModelFileError(
                    f"{path} holds {status.st_size:,} bytes where at most {limit:,} are expected"
                )
            content = bytearray(status.st_size)  # writable, so that the arrays seen through it are
            read = file.readinto(content)
            return content[:read] if read != len(content) else content
    except OSError as error:
        reason = (
            "a symbolic link"
            if error.errno == errno.ELOOP
            else (error.strerror or str(error)).lower()
        )
        raise ModelFileError(f"cannot read {path}: {reason}") from error


def remove(paths: Iterable[Path]) -> None:
    """Remove files, as far as that can be done."""
    for path in paths:
        with suppress(OSError):
            path.unlink()


def remove_parts(folder: Path) -> None:
    """Remove what a killed process left half written; only for who holds the folder."""
    remove(entry for entry in list(folder.iterdir()) if _PART.fullmatch(entry.name))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` (made if need be) for writing; `OutputError` while another process or thread
    holds it.

    The kernel lets go of the lock when its holder dies, so that no lock is ever stale. Entering
    again within the same thread is free. A folder still empty at the end is removed.
    """
    key, thread = os.path.realpath(folder), threading.get_ident()
    if _held.get(key) == thread:
        yield
        return
    made = _make(folder)
    descriptor = _acquire(folder)
    _held[key] = thread
    try:
        remove_parts(folder)
        yield
    finally:
        del _held[key]
        remove([folder / _LOCK])
        os.close(descriptor)
        if made:
            with suppress(OSError):  # not empty: something was written
                folder.rmdir()


def _write_flushed(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with suppress(FileNotFoundError):
        path.unlink()
    with open(os.open(path, flags, 0o666), "wb") as file:  # 0o666 less the umask, as any other file
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


def _make(folder: Path) -> bool:
    """Whether the folder was not there, or was empty: then it is ours to remove."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return not any(folder.iterdir())
    except OSError as error:
        raise OutputError(describe(error, str(folder))) from error


def _acquire(folder: Path) -> int:
    path = folder / _LOCK
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise OutputError(describe(error, str(path))) from error
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if fcntl is None or _same_file(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return descriptor
            os.close(
                descriptor
            )  # the former holder removed this file just before letting go of it: once more
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "?"
            os.close(descriptor)
            raise OutputError(
                f"{folder} is being written by another process ({holder}): wait for it or choose another folder"
            ) from error


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
