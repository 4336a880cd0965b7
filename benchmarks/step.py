"""What a training step costs beside the matrix products it consists of, beside two peers, and what
an import costs.

    python -m benchmarks.step [--peers PYTHON] [--rounds N] [--json]

See README.md beside this file for what is measured and how.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aevb.build import initial_model
from aevb.model import Model
from aevb.objectives import sgvb_b
from aevb.start import Architecture
from aevb.table.schema import Column, Schema
from aevb.train import fit

WIDTH, HIDDEN, LATENT = 784, 500, 20  # the paper's network
STEPS = 60  # in an epoch; the best epoch counts
PEERS = {
    path.stem.replace("_", " "): path
    for path in sorted((Path(__file__).parent / "peers").glob("*.py"))
}


def rows(batch: int) -> np.ndarray:
    """Binary rows at MNIST's density; the cost of a step does not depend on what they show."""
    return (np.random.default_rng(0).random((STEPS * batch, WIDTH)) < 0.13).astype(np.float32)


def paper_model(x: np.ndarray) -> Model:
    schema = Schema(tuple(Column(f"x{i}", "binary", categories=(0, 1)) for i in range(WIDTH)))
    return initial_model(schema, x, Architecture(LATENT, hidden=(HIDDEN,)), jax.random.key(0))


def matrix_products(
    batch: int, optimizer: optax.GradientTransformation | None = None
) -> Callable[[], Any]:
    """An epoch's matrix products: forward, and backward to every weight and to all but the data.

    Without an optimizer nothing else; with one, its update of the weights too, which no training
    step goes without.
    """
    shapes = [(WIDTH, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, WIDTH)]
    keys = jax.random.split(jax.random.key(0), len(shapes))
    weights = [
        jax.random.normal(key, shape) / shape[0] ** 0.5
        for key, shape in zip(keys, shapes, strict=True)
    ]
    x = jnp.asarray(rows(batch)).reshape(STEPS, batch, WIDTH)

    def step(carry: Any, x: Any) -> tuple[Any, None]:
        w1, w2, w3, w4 = weights if optimizer is None else carry[0]
        h = x @ w1
        moments = h @ w2
        z = moments[:, :LATENT]
        g = z @ w3
        y = g @ w4
        dg = y @ w4.T
        dz = dg @ w3.T
        dmoments = jnp.concatenate([dz, dz], axis=1)
        dh = dmoments @ w2.T
        gradient = [x.T @ dh, h.T @ dmoments, z.T @ dg, g.T @ y]
        if optimizer is None:
            return gradient, None
        direction, state = optimizer.update(gradient, carry[1])
        return (jax.tree.map(lambda w, d: w - 1e-9 * d, carry[0], direction), state), None

    start = weights if optimizer is None else (weights, optimizer.init(weights))
    epoch = jax.jit(lambda: jax.lax.scan(step, start, x)[0])
    return lambda: jax.block_until_ready(epoch())


def flops(batch: int) -> int:
    """Of those products: three times the forward ones, less the gradient to the data."""
    forward = 2 * batch * (WIDTH * HIDDEN + HIDDEN * 2 * LATENT + LATENT * HIDDEN + HIDDEN * WIDTH)
    return 3 * forward - 2 * batch * WIDTH * HIDDEN


def our_step(batch: int, epochs: int) -> Iterator[tuple[str, float]]:
    """Seconds of an epoch of `aevb.train.fit`, and of the products between two epochs, in turn."""
    x, seconds = rows(batch), []
    yardsticks = {
        "matrix products": matrix_products(batch),
        "and Adam": matrix_products(batch, optax.scale_by_adam()),
    }
    for yardstick in yardsticks.values():
        yardstick()
    clock = perf_counter()

    def between(line: dict[str, float]) -> None:
        nonlocal clock
        if line["epoch"] > 1:  # the first compiles
            seconds.append(("aevb", perf_counter() - clock))
            for name, yardstick in yardsticks.items():
                start = perf_counter()
                yardstick()
                seconds.append((name, perf_counter() - start))
        clock = perf_counter()

    fit(
        paper_model(x),
        x,
        sgvb_b,
        jax.random.key(0),
        progress=between,
        epochs=epochs + 1,
        batch_size=batch,
        schedule="constant",
    )
    yield from seconds


def peer_step(python: str, path: Path, batch: int, epochs: int) -> float:
    command = [
        python,
        str(path),
        "--batch",
        str(batch),
        "--epochs",
        str(epochs),
        "--steps",
        str(STEPS),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{path.name} failed: {result.stderr.strip().splitlines()[-1]}")
    return float(json.loads(result.stdout.splitlines()[-1])["seconds"])


def steps(batch: int, rounds: int, epochs: int, python: str | None) -> dict[str, float]:
    """Milliseconds per step, the best epoch of all rounds; all take turns, at the same load."""
    best: dict[str, float] = {}

    def keep(name: str, seconds: float) -> None:
        best[name] = min(best.get(name, np.inf), 1e3 * seconds / STEPS)

    for _ in range(rounds):
        for name, seconds in our_step(batch, epochs):
            keep(name, seconds)
        for name, path in PEERS.items() if python else ():
            keep(name, peer_step(str(python), path, batch, epochs))
    return best


def imports(rounds: int) -> dict[str, float]:
    """Seconds a fresh interpreter takes, the best of `rounds`, in turn."""
    command = shutil.which("aevb", path=os.path.dirname(sys.executable))
    commands = {
        "empty interpreter": [sys.executable, "-c", "pass"],
        "import aevb": [sys.executable, "-c", "import aevb"],
        "aevb --help": [str(command), "--help"],
    }
    best = dict.fromkeys(commands, np.inf)
    for _ in range(rounds):
        for name, words in commands.items():
            start = perf_counter()
            subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
            best[name] = min(best[name], perf_counter() - start)
    return best


def table(batch: int, best: dict[str, float]) -> str:
    lines = [
        f"\nbatch {batch}: {flops(batch) / 1e6:.0f} MFLOP a step",
        f"{'':18}{'ms a step':>10}{'aevb is':>14}",
    ]
    for name, milliseconds in best.items():
        ratio = "" if name == "aevb" else f"{best['aevb'] / milliseconds:.2f} of it"
        lines.append(f"{name:18}{milliseconds:10.2f}{ratio:>14}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--peers", metavar="PYTHON", help="an interpreter that has torch and pythae"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6, help="timed epochs in a round")
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 20])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    by_batch = {
        batch: steps(batch, options.rounds, options.epochs, options.peers)
        for batch in options.batches
    }
    seconds = imports(3 * options.rounds)
    if options.json:
        print(json.dumps({"milliseconds": by_batch, "imports": seconds}))
        return
    device, load = jax.devices()[0].device_kind, os.getloadavg()[0]
    print(f"jax {jax.__version__} on {device}, {os.cpu_count()} cores, load {load:.1f}")
    for batch, best in by_batch.items():
        print(table(batch, best))
    print(f"\n{'':18}{'ms':>10}{'over empty':>14}")
    for name, second in seconds.items():
        print(f"{name:18}{1e3 * second:10.0f}{1e3 * (second - seconds['empty interpreter']):14.0f}")


if __name__ == "__main__":
    main()
