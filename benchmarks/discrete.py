"""Latents that are bits or one-hot groups, on MNIST: every estimator that can train them, given
equal time.

    AEVB_DATA=FOLDER python -m benchmarks.discrete [--seconds N]

Writes docs/discrete.json. See README.md beside this file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from aevb import VAE
from aevb.table import read

RESULTS = Path(__file__).parents[1] / "docs" / "discrete.json"
#: q, number of latents, estimator and draws per row.
RUNS = [
    ("bernoulli", 100, "score", 1),
    ("bernoulli", 100, "score", 5),
    ("bernoulli", 100, "vimco", 5),
    ("bernoulli", 100, "sgvb_b", 1),
    ("categorical", 200, "score", 5),
    ("categorical", 200, "vimco", 5),
    ("categorical", 200, "sgvb_b", 1),
]
SETTINGS: dict[str, Any] = {
    "hidden": (200,),
    "binarize": "dynamic",
    "weight_decay": 0.0,
    "learning_rate": 1e-3,
    "validation_fraction": 1 / 60,
    "random_state": 0,
}
TRAIN, TEST_SAMPLES, TIMED = 60_000, 1_000, 3


def run(
    images: np.ndarray, seconds: float, posterior: str, latents: int, objective: str, samples: int
) -> Any:
    chosen = {
        "posterior": posterior,
        "latent_dim": latents,
        "objective": objective,
        "samples": samples,
    }
    seen = VAE(**SETTINGS, **chosen, epochs=TIMED).fit(images[:TRAIN]).history_
    epoch = (seen[-1]["seconds"] - seen[1]["seconds"]) / (TIMED - 1)  # the first compiles
    vae = VAE(**SETTINGS, **chosen, epochs=max(int(seconds / epoch), 1)).fit(images[:TRAIN])
    nats = vae.score_samples(images[TRAIN : TRAIN + 2_000], samples=TEST_SAMPLES)
    return {
        **chosen,
        "epochs": vae.n_iter_,
        "fit_seconds": vae.history_[-1]["seconds"],
        "log_likelihood": float(nats.mean()),
        "standard_error": float(nats.std(ddof=1) / len(nats) ** 0.5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="of training, each")
    options = parser.parse_args()
    images = np.asarray(read("mnist").data, np.float64)
    found = []
    for arguments in RUNS:
        found.append(run(images, options.seconds, *arguments))
        print(json.dumps(found[-1]), flush=True)
    document = {
        "settings": SETTINGS,
        "seconds": options.seconds,
        "samples": TEST_SAMPLES,
        "runs": found,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
