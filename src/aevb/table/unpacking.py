"""Compressed files, unpacked within bounds: a small file must not fill the memory."""

import io

from aevb.errors import DataError

__all__ = ["check_unpacked", "unpacked"]

#: The first bytes of what can be unpacked.
MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
#: A file may unpack to this many times its size, or to `FREE` bytes if that is more.
MOST_TIMES, FREE = 200, 2**28


def unpacked(content: bytes, name: str, most: int, chunk: int = 1 << 20) -> bytes:
    """The content of a gzip or zstd file, at most that many bytes; any other content as it is."""
    codec = next((codec for codec, magic in MAGIC.items() if content.startswith(magic)), None)
    if codec is None:
        return content
    import pyarrow

    result = io.BytesIO()
    part = memoryview(bytearray(chunk))  # where `read` fails, Arrow never frees what it read into
    try:
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(content), codec) as stream:
            while size := stream.readinto(part):
                result.write(part[:size])
                check_unpacked(result.tell(), len(content), name, most)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{name}: damaged or no {codec} file: {error}") from error
    if result.getvalue().startswith(tuple(MAGIC.values())):
        raise DataError(f"{name}: expected a file packed once, got one packed twice: unpack it")
    return result.getvalue()


def check_unpacked(size: int, packed: int, name: str, most: int) -> None:
    """Raise `DataError` if a file of `packed` bytes unpacks to too many."""
    limit = min(most, max(FREE, MOST_TIMES * packed))
    if size > limit:
        raise DataError(
            f"{name}: expected at most {limit} bytes unpacked, got more from {packed} bytes: "
            "unpack it first"
        )
