"""Rows of the table of Burda, Grosse and Salakhutdinov (2016) on MNIST, by the estimators and
layers of this package.

    AEVB_DATA=FOLDER python -m benchmarks.iwae_table ROW [--epochs N] [--folder FOLDER]

A row is a fit on the 60,000 training images, binarized afresh for every minibatch, and its L_5000
on the 10,000 test images, binarized once. Stopped at any time, the same command goes on. See
README.md beside this file.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from aevb import VAE
from aevb.diagnostics import codes
from aevb.disk.checkpoints import Checkpoint
from aevb.table import read

RESULTS = Path(__file__).parents[1] / "docs" / "iwae.json"
#: Objective, draws, epochs, the row it starts from, and the published negative log-likelihood and
#: active units. Where a row's way back through the networks is by one of its draws, it made three
#: passes of DReG, or two of IWAE, in the time of one.
ROWS: dict[str, dict[str, Any]] = {
    "vae-1": {
        "objective": "sgvb_b",
        "samples": 1,
        "epochs": 1_000,
        "start": None,
        "published": [86.76, "19"],
    },
    "iwae-5": {
        "objective": "iwae",
        "samples": 5,
        "epochs": 300,
        "start": "vae-1",
        "published": [85.54, "22"],
    },
    "iwae-50": {
        **{"objective": "iwae_resampled", "samples": 50, "epochs": 80},
        **{"start": "vae-1", "published": [84.78, "25"]},
    },
    "dreg-50": {
        **{"objective": "dreg_resampled", "samples": 50, "epochs": 120},
        **{"start": "iwae-5", "published": [84.32, ""]},
    },
    "two-layers-vae-1": {
        "objective": "sgvb_a",
        "samples": 1,
        "epochs": 800,
        "start": None,
        "published": [85.33, "16+5"],
    },
    "two-layers-vae-50": {
        **{"objective": "sgvb_a", "samples": 50, "epochs": 10},
        **{"start": "two-layers-vae-1", "published": [84.78, "17+5"]},
    },
    "two-layers-iwae-50": {
        **{"objective": "dreg_resampled", "samples": 50, "epochs": 60},
        **{"start": "two-layers-vae-1", "published": [82.90, "26+7"]},
    },
}
#: What all rows share: the paper's networks, and Adam along half a cosine instead of its eight step
#: sizes.
SETTINGS: dict[str, Any] = {
    "hidden": (200, 200),
    "prior": "standard_normal",
    "binarize": "dynamic",
    "weight_decay": 0.0,
    "batch_size": 100,
    "learning_rate": 1e-3,
    "validation_fraction": 400 / 60_000,
    "random_state": 0,
}
SAMPLES, TRAIN = 5_000, 60_000


def parameters_of(row: str, epochs: int | None) -> dict[str, Any]:
    settings = ROWS[row]
    sizes = (
        {"latent_dim": (100, 50), "prior": "auto"}
        if row.startswith("two-layers")
        else {"latent_dim": 50}
    )
    chosen = {name: settings[name] for name in ("objective", "samples", "epochs")}
    return {**SETTINGS, **sizes, **chosen, **({} if epochs is None else {"epochs": epochs})}


def passes_before(row: str) -> list[int]:
    """Epochs of the rows this one started from, the first of them first."""
    start = ROWS[row]["start"]
    return [*passes_before(start), ROWS[start]["epochs"]] if start else []


def active_units(vae: VAE, images: np.ndarray, lower: int) -> str:
    """Latents whose mean varies by more than 0.01 over these images, of the lower layer and of
    the upper.
    """
    active = codes(vae.model_, vae.fit_.preparation.units(images)).var(axis=0) > 1e-2
    counts = [int(active[:lower].sum()), int(active[lower:].sum())]
    return "+".join(str(count) for count in counts[: 1 + (lower < len(active))])


def fitted(row: str, epochs: int | None, folder: Path, train: np.ndarray) -> VAE:
    """The row's model, from the start or the last checkpoint: at once where that is the end."""
    parameters, start = parameters_of(row, epochs), ROWS[row]["start"]
    model = fitted(start, None, folder, train).model_ if start else None

    def progress(line: dict[str, Any]) -> None:
        bound, seconds = line["validation_bound"], line["seconds"]
        left = seconds / max(line["epoch"], 1) * (line["epochs"] - line["epoch"])
        print(
            f"{row}, epoch {line['epoch']:.0f}: {bound:.2f} nats, {seconds:.0f} s, "
            f"{left:.0f} s to go",
            flush=True,
        )

    identity = {**parameters, "hidden": list(parameters["hidden"])} | (
        {"start": start} if start else {}
    )
    checkpoint = Checkpoint(folder / row, identity)
    try:
        return VAE(**parameters).fit(train, progress=progress, checkpoint=checkpoint, start=model)
    finally:
        checkpoint.flush()


def run(row: str, epochs: int | None, folder: Path) -> dict[str, Any]:
    images = np.asarray(read("mnist").data, np.float64)
    train, test = images[:TRAIN], images[TRAIN:]
    parameters, vae = parameters_of(row, epochs), fitted(row, epochs, folder, train)
    start = time.perf_counter()
    scores = vae.score_details(test, samples=SAMPLES)
    nats = scores.log_likelihood
    lower = (
        parameters["latent_dim"][0]
        if isinstance(parameters["latent_dim"], tuple)
        else parameters["latent_dim"]
    )
    return {
        "row": row,
        "negative_log_likelihood": -float(nats.mean()),
        "standard_error": float(nats.std(ddof=1) / len(nats) ** 0.5),
        "monte_carlo_error": float(np.sqrt(np.square(scores.monte_carlo_error).sum()) / len(nats)),
        "bound": -float(vae.bound(test, samples=1).mean()),
        "active_units": active_units(vae, train[:500], lower),
        "published": ROWS[row]["published"],
        "epochs": parameters["epochs"],
        "start": ROWS[row]["start"],
        "passes": [*passes_before(row), parameters["epochs"]],
        "published_epochs": 3_280,
        "fit_seconds": vae.history_[-1]["seconds"],
        "score_seconds": time.perf_counter() - start,
        "samples": SAMPLES,
        "settings": {name: value for name, value in parameters.items() if name != "random_state"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--epochs", type=int, help="fewer or more than the row's own")
    parser.add_argument("--folder", type=Path, default=Path("runs") / "iwae", help="of checkpoints")
    options = parser.parse_args()
    result = run(options.row, options.epochs, options.folder)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    kept = [one for one in kept if one["row"] != result["row"]] + [result]
    RESULTS.write_text(
        json.dumps(sorted(kept, key=lambda one: list(ROWS).index(one["row"])), indent=1) + "\n"
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
