"""Laws of the latents' diagnostics, and of the list of layers."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from aevb.evaluation.diagnostics import architecture, codes, latent_diagnostics
from aevb.networks import parameter_count
from conftest import Table


def test_kl_is_that_of_appendix_b(loose_table: Table) -> None:
    q = jax.jit(jax.vmap(lambda x: (loose_table.model.posterior(x).mean, loose_table.model.posterior(x).variance)))
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
        gain, loadings = (np.array(m) for m in (linear.gain, linear.loadings.value))
        gain[latents], loadings[:, latents] = 0.0, 0.0
        new = eqx.tree_at(lambda part: (part.gain, part.loadings.value), linear, (gain, loadings))
        return eqx.tree_at(lambda m: m.posterior.encoder.linear, model, new)

    one = latent_diagnostics(cut(linear_table.model, [0]), linear_table.units)
    assert one["active"] == [False, True]
    assert not one["collapsed"]
    both = latent_diagnostics(cut(linear_table.model, [0, 1]), linear_table.units)
    assert both["collapsed"]
    np.testing.assert_allclose(both["kl_per_latent"], 0.0, atol=1e-6)


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
