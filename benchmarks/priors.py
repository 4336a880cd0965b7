"""What p(z) is worth on rows held out of everything: MNIST, and digits by five folds of dequantized
pixels.

    AEVB_DATA=FOLDER python -m benchmarks.priors mnist|digits [--priors NAME ...]

Writes docs/priors.json. See README.md beside this file.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold

from aevb import VAE
from aevb.table import read

RESULTS = Path(__file__).parents[1] / "docs" / "priors.json"
PRIORS = ("standard_normal", "mixture", "vamp", "flow")
MNIST: dict[str, Any] = {
    "latent_dim": 40,
    "hidden": (300,),
    "binarize": "dynamic",
    "weight_decay": 0.0,
    "epochs": 60,
    "learning_rate": 1e-3,
    "validation_fraction": 1 / 60,
    "random_state": 0,
}
DIGITS: dict[str, Any] = {"latent_dim": "auto", "random_state": 0}
TRAIN, SAMPLES, FOLDS = 60_000, 1_000, 5


def mnist(prior: str) -> tuple[np.ndarray, list[int]]:
    """log p(x) of the 10,000 test images, binarized once."""
    images = np.asarray(read("mnist").data, np.float64)
    vae = VAE(**MNIST, prior=prior).fit(images[:TRAIN])
    return vae.score_samples(images[TRAIN:], samples=SAMPLES), [vae.latent_dim_]


def digits(prior: str) -> tuple[np.ndarray, list[int]]:
    """log p(x) of every image, uniform noise added to its gray values, from the fold it was held
    out of.
    """
    images = load_digits().data
    images = images + np.random.default_rng(0).random(images.shape)
    nats, latents = np.empty(len(images)), []
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(images):
        vae = VAE(**DIGITS, prior=prior).fit(images[train])
        nats[test] = vae.score_samples(images[test], samples=SAMPLES)
        latents.append(vae.latent_dim_)
    return nats, latents


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", choices=("mnist", "digits"))
    parser.add_argument("--priors", nargs="+", choices=PRIORS, default=PRIORS)
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    plain = np.empty(0)
    for prior in options.priors:
        start = time.perf_counter()
        nats, latents = (mnist if options.data == "mnist" else digits)(prior)
        plain = nats if prior == "standard_normal" else plain
        one = {
            "prior": prior,
            "latent_dim": latents,
            "seconds": time.perf_counter() - start,
            **_mean("", nats),
        }
        if len(plain) and prior != "standard_normal":
            one |= _mean("difference", nats - plain)
        found.append(one)
        print(json.dumps(one), flush=True)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    settings = MNIST if options.data == "mnist" else DIGITS
    kept[options.data] = {
        "settings": settings,
        "samples": SAMPLES,
        "rows": len(nats),
        "priors": found,
    }
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


def _mean(name: str, nats: np.ndarray) -> dict[str, float]:
    mean, error = float(nats.mean()), float(nats.std(ddof=1) / len(nats) ** 0.5)
    return (
        {f"{name}_standard_error": error, name: mean}
        if name
        else {"log_likelihood": mean, "standard_error": error}
    )


if __name__ == "__main__":
    main()
