"""The former name of `aevb.table`: infer, read, encode and decode."""

from aevb.table import decode as decode
from aevb.table import encode as encode
from aevb.table import infer as infer
from aevb.table import read as read
