"""`aevb inspect` of a CSV file of 200,000 rows and 40 columns, beside pyarrow's own reading of it.

    python -m benchmarks.inspect_csv [--rows N] [--rounds N] [--json]

Each is a process of its own, with its imports. They take turns, and medians are printed.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import compute

BARE = "import sys, pyarrow.csv; pyarrow.csv.read_csv(sys.argv[1])"
CITIES = ("Berlin", "Hamburg", "München", "Köln", "Frankfurt", "Stuttgart", "Düsseldorf", "Leipzig")


# The file


def table(rows: int) -> pa.Table:
    """A table of text as people export it: 40 columns of every kind that the reader knows."""
    rng = np.random.default_rng(0)
    money = np.round(np.exp(rng.normal(6, 1.5, rows)), 2)
    height = np.round(rng.normal(171, 9, rows), 1)
    gains = np.where(rng.random(rows) < 0.9, 0, rng.integers(100, 20_000, rows))
    moments = 1_500_000_000 + rng.integers(0, 10**8, rows)
    people = rng.permutation(rows)
    columns: dict[str, pa.Array] = {
        "id": _texts(np.arange(1, rows + 1)),
        "customer": pa.array([f"C{one:07d}" for one in people]),
        "signed_up": _dates(moments - 10**8, "%Y-%m-%d"),
        "born": _dates(rng.integers(-(10**9), 10**9, rows), "%d.%m.%Y"),
        "updated": _dates(moments, "%Y-%m-%dT%H:%M:%SZ"),
        "active": _chosen(rng, ("true", "false"), rows),
        "revenue": pa.array([f"{one:,.2f}" for one in money]),
        "cost": pa.array([f"{one:,.2f}" for one in np.round(money * rng.random(rows), 2)]),
        "fee": pa.array([f"${one:.2f}" for one in rng.choice([4.99, 9.99, 19.99, 49.9], rows)]),
        "discount": pa.array([f"{one:.1f}%" for one in 100 * rng.beta(1, 6, rows)]),
        "share": pa.array([f"{one}%" for one in rng.integers(0, 101, rows)]),
        "age": _missing(rng, _texts(rng.integers(18, 91, rows)), "?", 0.03),
        "income": _missing(rng, _texts(np.round(money * 100, -2).astype(int)), "n.a.", 0.1),
        "gains": _texts(gains),
        "hours": _texts(rng.choice([20, 30, 35, 38, 40, 45, 50], rows)),
        "visits": _texts(rng.poisson(2, rows)),
        "year": _texts(rng.integers(1990, 2025, rows)),
        "month": _texts(rng.integers(1, 13, rows)),
        "zip": pa.array([f"{one:05d}" for one in rng.integers(1_000, 99_999, rows)]),
        "industry": _texts(rng.integers(1, 40, rows)),
        "height": _texts(height),
        "height_in": _texts(np.round(height / 2.54, 1)),
        "weight": _missing(rng, _texts(np.round(rng.normal(76, 14, rows), 1)), None, 0.05),
        "latitude": _texts(np.round(rng.uniform(47, 55, rows), 6)),
        "longitude": _texts(np.round(rng.uniform(6, 15, rows), 6)),
        "score": _texts(rng.normal(size=rows)),
        "risk": _texts(np.round(rng.beta(2, 5, rows), 4)),
        "balance": _texts(np.round(rng.normal(0, 5_000, rows), 2)),
        "temperature": _texts(np.round(rng.normal(12, 8, rows), 1)),
        "pressure": _texts(np.round(rng.normal(1013, 9, rows), 2)),
        "country": _texts(np.full(rows, "DE")),
        "city": _chosen(rng, CITIES, rows),
        "plan": _chosen(rng, ("free", "basic", "pro", "team"), rows),
        "channel": _chosen(rng, ("web", "shop", "phone", "partner", "mail"), rows),
        "gender": _missing(rng, _chosen(rng, ("f", "m"), rows), None, 0.02),
        "education": _chosen(rng, ("school", "Bachelor's", "Master's, or more"), rows),
        "status": _missing(rng, _chosen(rng, ("new", "open", "done"), rows), "-", 0.01),
        "rating": _missing(rng, _texts(rng.integers(1, 6, rows)), None, 0.3),
        "product": pa.array([f"P{one:03d}" for one in rng.integers(0, 400, rows)]),
        "clicks": _texts(rng.negative_binomial(1, 0.02, rows)),
    }
    return pa.table(columns)


def _texts(values: np.ndarray) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _dates(seconds: np.ndarray, pattern: str) -> pa.Array:
    return compute.strftime(pa.array(seconds, pa.timestamp("s")), pattern)


def _chosen(rng: np.random.Generator, words: Sequence[str], rows: int) -> pa.Array:
    weights = 1 / np.arange(1, len(words) + 1)
    return pa.array(rng.choice(words, rows, p=weights / weights.sum()))


def _missing(rng: np.random.Generator, cells: pa.Array, mark: str | None, share: float) -> pa.Array:
    return compute.if_else(pa.array(rng.random(len(cells)) < share), pa.scalar(mark), cells)


def write(rows: int, path: Path) -> None:
    """A CSV file with quotes only where a cell needs them, which pyarrow's own writer lacks."""
    cells = table(rows)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(cells.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in cells.columns), strict=True))


# Times


class Cost(NamedTuple):
    """What a process took: seconds by the clock and of the CPU, and the most memory in MB."""

    wall: float
    cpu: float
    memory: float


def cost_of(command: Sequence[str]) -> Cost:
    """What a command takes, from its start to its end."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the first round compiles for the others
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment, **quiet) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def measure(path: Path, rounds: int) -> dict[str, Cost]:
    """The medians of both, in turns, after one of each that counts for nothing."""
    commands = {
        "pyarrow": [sys.executable, "-c", BARE, str(path)],
        "aevb inspect": [str(Path(sys.executable).with_name("aevb")), "inspect", str(path)],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            cost = cost_of(command)
            if turn:
                costs[name].append(cost)
    medians = {}
    for name, found in costs.items():
        medians[name] = Cost(*(statistics.median(column) for column in zip(*found, strict=True)))
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", help="where to leave the file, which is temporary otherwise")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.keep or folder) / "export.csv"
        # In a process of its own: on Linux, the peak memory of a process starts at its parent's.
        writing = get_context("spawn").Process(target=write, args=(options.rows, path))
        writing.start()
        writing.join()
        size = path.stat().st_size
        costs = measure(path, options.rounds)
    if options.json:
        print(json.dumps({name: cost._asdict() for name, cost in costs.items()}))
        return
    print(f"{size / 1e6:.0f} MB, load {os.getloadavg()[0]:.1f}")
    for name, cost in costs.items():
        print(
            f"{name:13} wall {cost.wall:6.2f} s, CPU {cost.cpu:6.2f} s, "
            f"memory {cost.memory:5.0f} MB"
        )
    ours, plain = costs["aevb inspect"], costs["pyarrow"]
    for clock in ("wall", "cpu"):
        taken, reading = getattr(ours, clock), getattr(plain, clock)
        print(
            f"{clock}: {taken / reading:.2f} times pyarrow, {taken / (2 * reading + 1):.2f} of "
            "twice pyarrow and a second"
        )


if __name__ == "__main__":
    main()
