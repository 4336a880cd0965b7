"""What lies on disk: files written whole or not at all, and read as data nobody vouches for."""

from aevb.disk.files import locked, write_together
from aevb.disk.folder import is_run, next_run, read_run, replace_text, write_run
from aevb.disk.formats import nulls_as_nan, parse_json, plain, to_json, validated

__all__ = [
    "is_run",
    "locked",
    "next_run",
    "nulls_as_nan",
    "parse_json",
    "plain",
    "read_run",
    "replace_text",
    "to_json",
    "validated",
    "write_run",
    "write_together",
]
