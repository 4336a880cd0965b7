"""Files, arrays and frames to values, and back: read, infer, encode, decode, split, write, fingerprint."""

from aevb.data.encoding import decode, encode
from aevb.data.identity import fingerprint
from aevb.data.inference import infer
from aevb.data.named import DATA_SETS
from aevb.data.reading import Source, read
from aevb.data.splits import split
from aevb.data.writing import write

__all__ = ["DATA_SETS", "Source", "decode", "encode", "fingerprint", "infer", "read", "split", "write"]
