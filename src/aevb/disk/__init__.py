"""The run folder: written so that no cut leaves half of one, read as data nobody vouches for."""

from aevb.disk.files import locked, write_together
from aevb.disk.formats import pack, parse_json, to_json, unpack
from aevb.disk.runs import FORMAT_VERSION, Run, is_run, next_run, read_run, replace_text, write_run
from aevb.disk.trees import from_arrays, to_arrays

__all__ = [
    "FORMAT_VERSION",
    "Run",
    "from_arrays",
    "is_run",
    "locked",
    "next_run",
    "pack",
    "parse_json",
    "read_run",
    "replace_text",
    "to_arrays",
    "to_json",
    "unpack",
    "write_run",
    "write_together",
]
