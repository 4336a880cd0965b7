"""Tables and models that tests share; compiled quickly rather than well, for their programs run
once or twice.
"""

import gc
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Read when JAX is first imported, which is after this file.
QUICK_COMPILATION = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_COMPILATION}".strip()

#: Settings of a fit that takes a second; the same ones everywhere, so that it is compiled once.
SMALL: dict[str, Any] = {
    "latent_dim": 2,
    "hidden": (8,),
    "prior": "standard_normal",
    "epochs": 2,
    "random_state": 0,
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 1)) + RNG.normal(size=(60, 4))
X[3, 1] = np.nan


@pytest.fixture(scope="session")
def vae() -> Any:
    """Those settings fitted to those rows, one cell missing."""
    from aevb import VAE

    return VAE(**SMALL).fit(X)


@dataclass(frozen=True)
class Table:
    """Rows of known kinds, and a model of them; shared, so that its programs are compiled once."""

    schema: Any
    values: np.ndarray
    units: np.ndarray
    model: Any


@pytest.fixture(scope="session")
def linear_table() -> Table:
    """Linear-Gaussian rows, every fourth with missing cells, in units far from one, and the model
    at its start.
    """
    from aevb.table.schema import Column, Schema

    rng = np.random.default_rng(0)
    loadings = np.array([[2.0, 0.0], [1.0, 1.0], [-1.0, 0.5], [0.5, -1.5], [0.0, 1.0]])
    standard = rng.normal(size=(300, 2)) @ loadings.T + rng.normal(size=(300, 5)) * [
        0.7,
        1.0,
        0.5,
        0.8,
        0.6,
    ]
    values = standard * [1.0, 50.0, 0.02, 3.0, 1e4] + [0.0, 100.0, 1.0, -5.0, 1e5]
    values[::4] = np.where(rng.random((75, 5)) < 0.4, np.nan, values[::4])
    values[0] = np.nan
    schema = Schema(tuple(Column(f"x{i}", "continuous") for i in range(5)))
    return _table(schema, values, prior="standard_normal")


@pytest.fixture(scope="session")
def exact(linear_table: Table) -> Any:
    """The linear-Gaussian model that the decoder is at its start, in the units of the data: a
    `LinearModel`.
    """
    from aevb.linear import LinearModel

    decoder = linear_table.model.likelihood
    raw = decoder.network.layers[-1].bias.reshape(5, 2)
    mean, deviation = (
        np.asarray(numbers, np.float64) for numbers in decoder.parts[0].location_scale(raw)
    )
    loadings = np.asarray(decoder.linear, np.float64).reshape(5, 2, 2)[:, 0]
    location, scale = np.array(
        [(column.location, column.scale) for column in linear_table.schema.columns]
    ).T
    return LinearModel(location + scale * mean, scale[:, None] * loadings, (scale * deviation) ** 2)


@pytest.fixture(scope="session")
def loose_table(linear_table: Table) -> Table:
    """The same rows and p(x), but a q(z|x) that is wrong everywhere."""
    import equinox as eqx

    network = linear_table.model.posterior.encoder.network
    rng = np.random.default_rng(2)
    noise = [
        0.15 * rng.normal(size=layer.weight.shape).astype(np.float32) for layer in network.layers
    ]
    wrong = eqx.tree_at(lambda mlp: [layer.weight for layer in mlp.layers], network, noise)
    return replace(
        linear_table,
        model=eqx.tree_at(lambda m: m.posterior.encoder.network, linear_table.model, wrong),
    )


@pytest.fixture(scope="session")
def mixed_table() -> Table:
    """Columns of every kind, padded levels and atoms among them, and a model with weights of no
    pattern.
    """
    import equinox as eqx
    import jax

    from aevb.networks import trainable
    from aevb.priors import GaussianMixture
    from aevb.registry import configured
    from aevb.table.schema import Column, Schema

    rng = np.random.default_rng(1)
    z = rng.normal(size=200)
    hours = np.where(rng.random(200) < 0.4, 40, np.round(40 + 12 * rng.normal(size=200)))
    gain = np.where(
        rng.random(200) < 0.5, 0.0, np.where(rng.random(200) < 0.3, 9.5, rng.normal(5000, 900, 200))
    )
    columns = {
        Column("weight", "continuous"): 70 + 9 * z + rng.normal(size=200),
        Column("hours", "continuous", resolution=1.0, grid=1.0, atoms=(40.0,)): hours,
        Column("gain", "continuous", atoms=(0.0, 9.5)): gain,
        Column("loss", "continuous", atoms=(0.0,)): np.where(gain > 3, 0.0, rng.normal(20, 3, 200)),
        Column("age", "continuous", resolution=1.0, grid=1.0): np.round(
            40 + 10 * rng.normal(size=200)
        ),
        Column("price", "positive"): np.exp(5 + z),
        Column("share", "proportion", lower=0.0, upper=1.0): rng.beta(2, 3, 200),
        Column("visits", "count", resolution=1.0, lower=0.0): rng.negative_binomial(
            2, 0.3, 200
        ).astype(float),
        Column("grade", "ordinal", categories=tuple("abcde")): np.clip(np.round(2 + z), 0, 4),
        Column("rank", "ordinal", categories=tuple("abcdefg")): np.clip(np.round(3 + 2 * z), 0, 6),
        Column("city", "categorical", categories=tuple("xyz")): rng.integers(0, 3, 200).astype(
            float
        ),
        Column("sort", "categorical", categories=tuple("wxyz")): rng.integers(0, 4, 200).astype(
            float
        ),
        Column("flag", "binary", categories=(0, 1)): (z + rng.normal(size=200) > 0.5).astype(float),
        Column("gray", "pixel", resolution=1.0, grid=1.0, lower=0.0, upper=15.0): np.clip(
            np.round(8 + 6 * z), 0, 15
        ),
    }
    values = np.stack(list(columns.values()), axis=1)
    values = np.where(rng.random(values.shape) < 0.1, np.nan, values)
    prior = configured(GaussianMixture, components=3)
    table = _table(Schema(tuple(columns)), values, prior=prior)
    weights, rest = eqx.partition(table.model, trainable(table.model))
    leaves, tree = jax.tree.flatten(weights)
    leaves = [leaf + 0.05 * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    return replace(table, model=eqx.combine(jax.tree.unflatten(tree, leaves), rest))


def _table(schema: Any, values: np.ndarray, **architecture: Any) -> Table:
    import jax

    from aevb.build import initial_model
    from aevb.start import Architecture

    schema = schema.scaled(values)
    units = schema.to_model_units(values)
    shape = Architecture(2, hidden=(8,), missing=True, **architecture)
    return Table(schema, values, units, initial_model(schema, units, shape, jax.random.key(0)))


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs() -> Iterator[None]:
    """Each compiled program holds memory maps, of which Linux gives a process 65,530: forget them
    well before that.
    """
    yield
    maps = Path("/proc/self/maps")
    if "jax" in sys.modules and maps.exists() and len(maps.read_bytes().splitlines()) > 10_000:
        sys.modules["jax"].clear_caches()
        gc.collect()
