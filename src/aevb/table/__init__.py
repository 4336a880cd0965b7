"""Files, arrays and frames to values, and back."""

from aevb.table.encoding import decode, encode
from aevb.table.files import Source
from aevb.table.inference import infer
from aevb.table.inspection import Inspection, inspect
from aevb.table.named import DATA_SETS
from aevb.table.reading import read
from aevb.table.splits import split
from aevb.table.tables import fingerprint
from aevb.table.writing import write
from aevb.table.written import as_written

__all__ = [
    "DATA_SETS",
    "Inspection",
    "Source",
    "as_written",
    "decode",
    "encode",
    "fingerprint",
    "infer",
    "inspect",
    "read",
    "split",
    "write",
]
