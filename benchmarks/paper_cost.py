"""Seconds per million training samples of the paper's networks; it took "around 20-40 minutes".

    AEVB_DATA=FOLDER python -m benchmarks.paper_cost

Writes docs/paper/cost.json. See README.md in this folder.
"""

import argparse
import json
import os
import time
from pathlib import Path

import jax
import numpy as np

from aevb_paper.experiments.algorithm import minibatches, run
from aevb_paper.experiments.data import paper_data
from aevb_paper.experiments.figure2 import ALGORITHMS


def seconds_per_million(
    dataset: str, latents: int, algorithm: str, *, samples: int = 20_000, rounds: int = 6
) -> float:
    """The best of some rounds of samples: others on the machine only make it slower."""
    data = paper_data(dataset)
    fit = minibatches(data.model(latents, jax.random.key(0)), ALGORITHMS[algorithm], data)
    ends: list[float] = []  # of rounds; the first has the compilation in it
    run(
        fit,
        lambda: 0.02,
        jax.random.key(1),
        (1 + rounds) * samples,
        lambda model: {},
        chunk=samples,
        progress=lambda line: ends.append(time.perf_counter()),
    )
    return float(np.diff(ends).min()) / samples * 1e6


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rows = []
    for dataset, latents in (("mnist", 20), ("frey-face", 10)):
        for algorithm in ALGORITHMS:
            seconds = seconds_per_million(dataset, latents, algorithm)
            row = {"dataset": dataset, "latents": latents, "algorithm": algorithm}
            row |= {"cores": os.cpu_count(), "seconds_per_million": seconds}
            row["times_faster"] = 30 * 60 / seconds  # than the middle of the paper's range
            rows.append(row)
            print(json.dumps(row), flush=True)
    results = Path(__file__).parents[1] / "docs" / "paper" / "cost.json"
    results.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
