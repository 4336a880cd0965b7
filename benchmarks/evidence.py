"""log p(x) of one model by everything that estimates it, side by side with errors and times.

    AEVB_DATA=FOLDER python -m benchmarks.evidence [--rows N] [--folder FOLDER]

The model is the row vae-1 of `benchmarks.iwae_table` (50 latents), from its checkpoint, or fitted
first. Writes docs/evidence.json. See README.md beside this file.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks.iwae_table import SAMPLES, TRAIN, fitted

from aevb.marginal import annealed, bracket, elbo, importance
from aevb.objectives import sgvb_b
from aevb.table import read

RESULTS = Path(__file__).parents[1] / "docs" / "evidence.json"
CHAINS, FEW, MANY = 16, 100, 400
#: Widths of the decoder; rows and turns of its products that the time of a score is held against.
WIDTHS, TIMED, TURNS, BLOCK = (50, 200, 200, 784), 256, 5, 1_000


def estimates(model: Any, units: np.ndarray) -> list[dict[str, Any]]:
    """Of the same rows, each way, from the loosest to the dearest."""
    methods: list[tuple[str, Callable[[], Any]]] = [
        ("ELBO, 16 draws", lambda: elbo(model, sgvb_b, units)),
        ("L_1000", lambda: importance(model, units, samples=1_000)),
        ("L_5000", lambda: importance(model, units, samples=SAMPLES)),
        (
            f"AIS from q(z|x), {FEW}",
            lambda: annealed(model, units, chains=CHAINS, temperatures=FEW),
        ),
        (
            f"AIS from q(z|x), {MANY}",
            lambda: annealed(model, units, chains=CHAINS, temperatures=MANY),
        ),
        (
            f"AIS from p(z), {MANY}",
            lambda: annealed(model, units, chains=CHAINS, temperatures=MANY, start="prior"),
        ),
    ]
    return [_timed(name, method) for name, method in methods]


def sides(model: Any, rows: int) -> list[dict[str, Any]]:
    """Of rows simulated from the model: what is below log p(x) in mean, and what is above it."""
    found = []
    for temperatures in (FEW, MANY):
        start = time.perf_counter()
        both = bracket(model, rows, chains=CHAINS, temperatures=temperatures)
        seconds = time.perf_counter() - start
        if not found:
            found.append(_timed("L_5000", partial(importance, model, both.units, samples=SAMPLES)))
        gap = both.upper.log_likelihood - both.lower.log_likelihood
        found += [
            _line(f"AIS forward, {temperatures}", both.lower, seconds / 2),
            _line(f"AIS in reverse, {temperatures}", both.upper, seconds / 2),
            {"method": f"gap of the two, {temperatures}", **_mean(gap)},
        ]
    return found


def ratio_to_products(model: Any, units: np.ndarray) -> dict[str, float]:
    """Seconds that L_5000 of some rows takes, and its decoder's matrix products alone: taking
    turns, best of each.
    """
    keys = jax.random.split(jax.random.key(0), len(WIDTHS) - 1)
    weights = [
        jax.random.normal(key, shape) for key, shape in zip(keys, pairwise(WIDTHS), strict=True)
    ]

    @jax.jit
    def products(z: Any) -> Any:
        def add(total: Any, z: Any) -> Any:
            for weight in weights:
                z = z @ weight
            return total + z[0, 0], None

        return jax.lax.scan(add, 0.0, z)[0]

    z = jnp.ones((TIMED * SAMPLES // BLOCK, BLOCK, WIDTHS[0]))
    turns = (
        lambda: importance(model, units[:TIMED], samples=SAMPLES),
        lambda: products(z).block_until_ready(),
    )
    seconds = np.array([[_seconds(turn) for turn in turns] for _ in range(1 + TURNS)])[1:].min(
        axis=0
    )
    return {
        "rows": TIMED,
        "seconds": seconds[0],
        "products_seconds": seconds[1],
        "ratio": seconds[0] / seconds[1],
    }


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _timed(name: str, method: Callable[[], Any]) -> dict[str, Any]:
    start = time.perf_counter()
    found = method()
    return _line(name, found, time.perf_counter() - start)


def _line(name: str, found: Any, seconds: float) -> dict[str, Any]:
    nats = found if isinstance(found, np.ndarray) else found.log_likelihood
    line = {"method": name, **_mean(nats), "seconds": seconds}
    if not isinstance(found, np.ndarray):
        line["monte_carlo_error"] = float(
            np.sqrt(np.square(found.monte_carlo_error).sum()) / len(nats)
        )
    print(json.dumps(line), flush=True)
    return line


def _mean(nats: np.ndarray) -> dict[str, float]:
    return {
        "nats": float(nats.mean()),
        "standard_error": float(nats.std(ddof=1) / len(nats) ** 0.5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=64, help="of test images, and of simulated ones"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs") / "iwae", help="of the checkpoints"
    )
    options = parser.parse_args()
    images = np.asarray(read("mnist").data, np.float64)
    vae = fitted("vae-1", None, options.folder, images[:TRAIN])
    units = vae.fit_.preparation.units(images[TRAIN:])
    document = {
        "rows": options.rows,
        "chains": CHAINS,
        "speed": ratio_to_products(vae.model_, units),
        "test": estimates(vae.model_, units[: options.rows]),
        "simulated": sides(vae.model_, options.rows),
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
