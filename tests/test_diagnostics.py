"""Laws of the latents' diagnostics, and of the list of layers."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from aevb import VAE
from aevb.build import initial_model
from aevb.diagnostics import architecture, codes, latent_diagnostics
from aevb.networks import parameter_count
from aevb.objectives import sgvb_b
from aevb.start import Architecture
from aevb.table.schema import Column, Schema
from aevb.train import fit
from conftest import Table


def test_kl_is_that_of_appendix_b(loose_table: Table) -> None:
    q = jax.jit(
        jax.vmap(
            lambda x: (loose_table.model.posterior(x).mean, loose_table.model.posterior(x).variance)
        )
    )
    mean, variance = (np.asarray(m, np.float64) for m in q(loose_table.units))
    expected = -0.5 * (1 + np.log(variance) - mean**2 - variance).mean(0)
    got = latent_diagnostics(loose_table.model, loose_table.units)
    np.testing.assert_allclose(got["kl_per_latent"], expected, rtol=1e-4)
    assert got["active"] == [True, True]
    assert got["active_units"] == 2
    assert not got["collapsed"]


def test_a_latent_that_rows_do_not_move_is_not_active(linear_table: Table) -> None:
    """One latent cut off: one active. Both: collapsed, with KL 0."""

    def cut(model: Any, latents: list[int]) -> Any:
        linear = model.posterior.encoder.linear
        gain, loadings = (np.array(m) for m in (linear.gain, linear.loadings.tree))
        gain[latents], loadings[:, latents] = 0.0, 0.0
        new = eqx.tree_at(lambda part: (part.gain, part.loadings.tree), linear, (gain, loadings))
        return eqx.tree_at(lambda m: m.posterior.encoder.linear, model, new)

    one = latent_diagnostics(cut(linear_table.model, [0]), linear_table.units)
    assert one["active"] == [False, True]
    assert not one["collapsed"]
    both = latent_diagnostics(cut(linear_table.model, [0, 1]), linear_table.units)
    assert both["collapsed"]
    np.testing.assert_allclose(both["kl_per_latent"], 0.0, atol=1e-6)


@pytest.fixture(scope="module")
def parities() -> np.ndarray:
    """15 parities of 4 bits: columns independent two by two, so that nothing pulls z away from the
    prior at first.
    """
    rng = np.random.default_rng(0)
    masks = np.array([[mask >> bit & 1 for bit in range(4)] for mask in range(1, 16)])
    rows = (rng.integers(0, 2, (8_000, 4)) @ masks.T) % 2
    return np.where(rng.random(rows.shape) < 0.02, 1 - rows, rows).astype(float)


PARITIES = {
    "latent_dim": 4,
    "hidden": (8,),
    "prior": "standard_normal",
    "learning_rate": 5e-3,
    "epochs": 40,
}


@pytest.mark.long
def test_a_fit_made_to_collapse_says_so_and_each_remedy_mends_it(parities: np.ndarray) -> None:
    def fitted(**remedy: Any) -> dict[str, Any]:
        return VAE(**PARITIES, batch_size=200, random_state=0, **remedy).fit(parities).report_

    plain = fitted()
    assert plain["diagnostics"]["collapsed"]
    assert any("Posterior collapse" in warning for warning in plain["diagnostics"]["warnings"])
    for remedy in ({"kl_warmup": 0.5}, {"free_bits": 0.5}):
        mended = fitted(**remedy)
        assert not mended["diagnostics"]["collapsed"]
        assert not any(
            "Posterior collapse" in warning for warning in mended["diagnostics"]["warnings"]
        )
        gain = mended["held_out"]["log_likelihood"] - plain["held_out"]["log_likelihood"]
        assert gain > 0.3  # nats per row: 15 coins against the 4 bits behind them


@pytest.mark.long
def test_a_learned_scale_mends_the_collapse_of_a_scale_held_wide() -> None:
    """The third remedy, which every Gaussian decoder here has: with a scale of 3 deviations the
    best q is p(z).
    """
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 1)) @ np.ones((1, 5)) + 0.3 * rng.normal(size=(400, 5))
    schema = Schema(tuple(Column(f"x{i}", "continuous") for i in range(5))).scaled(values)
    units = schema.to_model_units(values)
    shape = Architecture(1, hidden=(8,), scale_given=False, linear_start=False)
    start = initial_model(schema, units, shape, jax.random.key(0))
    wide = np.log(3 / np.asarray(start.likelihood.parts[0].floor.tree) - 1)

    def held(model: Any, x: Any, key: Any, **settings: Any) -> Any:
        return sgvb_b(
            eqx.tree_at(lambda m: m.likelihood.parts[0].raw_scale, model, wide), x, key, **settings
        )

    collapsed, learned = (
        fit(
            start, units, objective, jax.random.key(1), epochs=60, batch_size=50, learning_rate=0.01
        ).model
        for objective in (held, sgvb_b)
    )
    assert latent_diagnostics(collapsed, units)["collapsed"]
    assert latent_diagnostics(learned, units)["kl_per_latent"][0] > 1


def test_codes_are_the_same_in_any_company(mixed_table: Table) -> None:
    model, units = mixed_table.model, mixed_table.units
    whole = codes(model, units)
    order = np.random.default_rng(0).permutation(len(units))
    assert np.array_equal(codes(model, units[order]), whole[order])
    assert np.array_equal(codes(model, units[17:18]), whole[17:18])
    assert np.array_equal(codes(model, units[100:]), whole[100:])
    assert whole.shape == (len(units), 2)


@pytest.mark.parametrize("name", ["linear_table", "mixed_table"])
def test_layers_have_all_the_parameters(name: str, request: pytest.FixtureRequest) -> None:
    table: Table = request.getfixturevalue(name)
    layers = architecture(table.model)
    assert sum(layer["parameters"] for layer in layers) == parameter_count(table.model)
    assert [layer["part"] for layer in layers] == sorted(
        (layer["part"] for layer in layers), key=["encoder", "latent", "decoder"].index
    )
    assert layers[0]["shape_in"] == [len(table.schema)]
