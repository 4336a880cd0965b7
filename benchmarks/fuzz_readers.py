"""Mutated CSV and Parquet files are read or are a `DataError`, soon and in little memory.

`python -m benchmarks.fuzz_readers --inputs 100000` prints a table of counts. Workers read in
processes of their own, whose address space is limited to 500 MB beyond what importing takes, and
which the kernel ends after some seconds with one input. What is read from CSV must come back from
the CSV that it is written to.
"""

import argparse
import gzip
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from aevb.errors import DataError
from aevb.table import read, write

MEMORY = 500 * 10**6
SECONDS = 20.0
LARGEST = 4 * 10**6
PART = 1_000
KINDS = ("csv", "parquet")
#: Arrow starts its threads one by one, and each reserves 72 MB of addresses: a stack, an arena.
ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
}


# Inputs


def csv_seeds() -> list[bytes]:
    """Files of every dialect that the reader knows."""
    texts = [
        "id,a,b\n1,0.5,x\n2,,y\n3,1e5,\n",
        '"a";"b"\r\n"1,5";"x ""y"""\r\n"2,5";"two\r\nlines"\r\n',
        "sep=;\na;b\n1;2\n3;4\n",
        "5.1,3.5,setosa\n4.9,3.0,setosa\n6.3,3.3,virginica\n",
        "a\tb\n2024-01-05\t1,234.50\n05.01.2024\t45%\n",
        "a|b|c\n?|-|.\nNA|null|\n",
        "2019,2020\n1,2\n3,4\n",
        ",x\n0,1.5\n1,2.5\n",
        "a\n\n1\n\n",
        "name,größe\n“Ann”,€ 5\nÉva,'\u2060=1+2\n",
        "a,b\n" + "".join(f'{i},"{i % 7}, x"\n' for i in range(400)),
        ",".join(f"c{i}" for i in range(300)) + "\n" + ",".join("1" for _ in range(300)) + "\n",
    ]
    contents = [text.encode() for text in texts]
    contents += [text.encode("utf-16") for text in texts[:4]]
    contents += [texts[1].encode("utf-16-be"), texts[0].encode("utf-8-sig")]
    contents += [texts[9].replace("\u2060", "").encode("cp1252")]
    return contents


def parquet_seeds() -> list[bytes]:
    """Files of many types, compressions and sizes, with page checksums and without."""
    rng = np.random.default_rng(0)
    texts = pa.array(["x", None, "", "é", "x" * 50] * 20)
    table = pa.table(
        {
            "number": rng.normal(size=100),
            "whole": pa.array([None, 1, 2, 3] * 25),
            "text": texts,
            "level": texts.dictionary_encode(),
            "flag": pa.array([True, False, None, True] * 25),
            "when": pa.array(np.arange(100), pa.timestamp("us", "UTC")),
            "price": pa.array([1, None] * 50).cast(pa.decimal128(21, 2)),
            "list": [[1, 2]] * 100,
        }
    )
    contents = []
    for compression in ("none", "snappy", "zstd", "gzip"):
        for checksum in (True, False):
            sink = io.BytesIO()
            parquet.write_table(
                table,
                sink,
                compression=compression,
                write_page_checksum=checksum,
                row_group_size=40,
                data_page_size=200,
            )
            contents.append(sink.getvalue())
    return contents


PIECES = (
    b'"', b'""', b",", b";", b"\t", b"|", b"\n", b"\r\n", b"\r", b"\0", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x80", b"sep=,\n", b"-", b"1e999", b"9" * 400,
    b"'\xe2\x81\xa0", b" ",
)  # fmt: skip


def mutant(seeds: list[bytes], kind: str, number: int) -> bytes:
    """The input of this number: one of the files, changed in one to six places."""
    rng = np.random.default_rng([KINDS.index(kind), number])
    content = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(rng.integers(1, 7)):
        _mutate(content, kind, rng)
        del content[LARGEST:]
    if kind == "csv":
        return _packed(bytes(content), rng)
    return bytes(content)


def _mutate(content: bytearray, kind: str, rng: np.random.Generator) -> None:
    """Change bytes, or for CSV the structure, in place."""
    start, stop = sorted(int(at) for at in rng.integers(0, len(content) + 1, 2))
    stop = min(stop, start + int(rng.choice([1, 4, 50, 5000])))
    ways = ["flip", "byte", "insert", "delete", "repeat", "truncate", "zeros"]
    if kind == "csv":
        ways += ["piece", "piece", "piece", "replace", "long", "swap"]
    way = rng.choice(ways)
    if way == "flip" and start < len(content):
        content[start] ^= 1 << int(rng.integers(8))
    elif way == "byte" and start < len(content):
        content[start] = int(rng.integers(256))
    elif way == "insert":
        content[start:start] = rng.bytes(int(rng.integers(1, 9)))
    elif way == "delete":
        del content[start:stop]
    elif way == "repeat":
        content[start:start] = content[start:stop] * int(rng.choice([1, 2, 20]))
    elif way == "truncate" and rng.random() < 0.3:
        del content[start:]
    elif way == "zeros":
        content[start:stop] = bytes(stop - start)
    elif way == "piece":
        content[start:start] = PIECES[rng.integers(len(PIECES))]
    elif way == "replace":
        old, new = (PIECES[at] for at in rng.integers(0, len(PIECES), 2))
        content[:] = bytes(content).replace(old, new, LARGEST // len(new))
    elif way == "long" and rng.random() < 0.1:
        content[start:start] = b"x" * int(rng.choice([70_000, 1_200_000, 3_000_000]))
    elif way == "swap":
        content[:] = content[stop:] + content[start:stop] + content[:start]


def _packed(content: bytes, rng: np.random.Generator) -> bytes:
    """One in twenty is packed, and half of those are damaged."""
    if rng.random() > 0.05:
        return content
    if rng.random() < 0.5:
        packed = bytearray(gzip.compress(content, mtime=0))
    else:
        packed = bytearray(pa.compress(content, codec="zstd", asbytes=True))
    if rng.random() < 0.5:
        packed[rng.integers(len(packed))] ^= 1 << int(rng.integers(8))
    return bytes(packed)


# A worker


def work(kind: str, first: int, last: int, folder: Path) -> None:
    """Read inputs one by one; print what becomes of each as JSON lines."""
    seeds = csv_seeds() if kind == "csv" else parquet_seeds()
    path = folder / f"t.{kind}"
    for seed in seeds:  # everything is imported, and every thread runs, before memory is limited
        path.write_bytes(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome(path)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, wherever it is
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(first, last):
        path.write_bytes(mutant(seeds, kind, number))
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            became = outcome(path)
        seconds = time.perf_counter() - start
        signal.setitimer(signal.ITIMER_REAL, 0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base
        print(json.dumps([number, became, seconds, peak * 1024]), flush=True)


def outcome(path: Path) -> str:
    """What becomes of a file: "read", "DataError", or the name of what must not be."""
    try:
        table = read(path).data
        if path.suffix == ".csv":
            again = path.with_name("again.csv")
            write(table, again)
            if not read(again, header=True).data.equals(table):
                return "differs when it is written and read again"
    except DataError as error:
        if "\n" in str(error):
            return "a message of several lines"
        return "out of memory" if "fit in memory" in str(error) else "DataError"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:200]
    return "read"


# All of them


@dataclass
class Counts:
    """What became of the inputs of one kind."""

    read: int = 0
    refused: int = 0
    out_of_memory: int = 0
    others: dict[int, str] = field(default_factory=dict)
    slowest: float = 0.0
    memory: int = 0

    def add(self, number: int, became: str, seconds: float, memory: int) -> None:
        self.slowest, self.memory = max(self.slowest, seconds), max(self.memory, memory)
        if became == "read":
            self.read += 1
        elif became == "DataError":
            self.refused += 1
        elif became == "out of memory":
            self.out_of_memory += 1
        else:
            self.others[number] = became


def fuzz(kind: str, inputs: int, first: int = 0) -> Counts:
    """Read that many inputs; a worker that dies is counted, and the next one goes on."""
    counts, number = Counts(), first
    while number < first + inputs:
        # Each takes a part, so that what a long-lived process keeps counts for no input.
        for found in _lines(kind, number, min(number + PART, first + inputs)):
            if isinstance(found, int):
                counts.others[number] = f"the process ended with {found}"
            else:
                counts.add(*found)
            number += 1
    return counts


def _lines(kind: str, first: int, last: int) -> Iterator[list | int]:
    """What a worker prints, and its exit code if it died."""
    environment = {**os.environ, **ENVIRONMENT}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as home:
        command = [sys.executable, __file__, "--worker", kind, str(first), str(last), home]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as worker:
            for line in worker.stdout:
                yield json.loads(line)
        if worker.returncode > 0:
            raise RuntimeError(f"the worker failed: {' '.join(command)}")
        if worker.returncode:
            yield worker.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="half CSV, half Parquet")
    parser.add_argument("--worker", nargs=4, metavar=("KIND", "FIRST", "LAST", "FOLDER"))
    parser.add_argument("-o", "--output", help="a JSON file for the counts")
    options = parser.parse_args()
    if options.worker:
        kind, first, last, folder = options.worker
        work(kind, int(first), int(last), Path(folder))
        return
    found = {}
    with ThreadPoolExecutor() as pool:
        counted = list(pool.map(lambda kind: fuzz(kind, options.inputs // 2), KINDS))
    for kind, counts in zip(KINDS, counted, strict=True):
        found[kind] = asdict(counts)
        print(
            f"{kind:8} read {counts.read:,}, DataError {counts.refused:,}, "
            f"out of memory {counts.out_of_memory:,}, anything else {len(counts.others):,}, "
            f"slowest {counts.slowest:.2f} s, peak memory {counts.memory / 1e6:.0f} MB"
        )
        for number, became in list(counts.others.items())[:20]:
            print(f"  input {number}: {became}")
    if options.output:
        Path(options.output).write_text(json.dumps(found, indent=1) + "\n")
    if any(part["others"] for part in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
