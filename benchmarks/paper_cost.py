"""Seconds for a million training samples of the paper's networks, which took it "around 20-40
minutes".

    AEVB_DATA=FOLDER python -m benchmarks.paper_cost

Writes docs/paper/cost.json. See README.md beside this file.
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

RESULTS = Path(__file__).parents[1] / "docs" / "paper" / "cost.json"
NETWORKS = (("mnist", 20), ("frey-face", 10))
#: Samples timed at once, and how often: the best counts, for others only make it slower.
SAMPLES, ROUNDS = 20_000, 6
#: Of the paper's range, in seconds.
PRINTED = 30 * 60


def seconds_per_million(dataset: str, latents: int, algorithm: str) -> float:
    data = paper_data(dataset)
    fit = minibatches(data.model(latents, jax.random.key(0)), ALGORITHMS[algorithm], data)
    ends: list[float] = []  # of chunks; the first has what is compiled in it
    how = {"chunk": SAMPLES, "progress": lambda line: ends.append(time.perf_counter())}
    run(fit, lambda: 0.02, jax.random.key(1), (1 + ROUNDS) * SAMPLES, lambda model: {}, **how)
    return float(np.diff(ends).min()) / SAMPLES * 1e6


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    found = []
    for dataset, latents in NETWORKS:
        for algorithm in ALGORITHMS:
            seconds = seconds_per_million(dataset, latents, algorithm)
            about = {
                "dataset": dataset,
                "latents": latents,
                "algorithm": algorithm,
                "cores": os.cpu_count(),
            }
            found.append(
                {**about, "seconds_per_million": seconds, "times_faster": PRINTED / seconds}
            )
            print(json.dumps(found[-1]), flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
