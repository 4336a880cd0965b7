"""The former name of `aevb.table`: infer, read, encode and decode."""

from aevb.table import decode, encode, infer, read

__all__ = ["decode", "encode", "infer", "read"]
