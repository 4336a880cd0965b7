"""Columns learn maps where they need them, or where held-out rows gain by them."""

import numpy as np
import pytest

from aevb.preparation import prepare
from aevb.settings import Settings
from aevb.table import infer
from aevb.units import linear_nats, with_units

ROWS = 600


def prepared(values, marginals="auto"):
    settings = Settings.of({"marginals": marginals})
    preparation, cells = prepare(values, settings, 0)
    return with_units(preparation, cells[: ROWS // 2], cells[ROWS // 2 :], settings.marginals)


def mapped(preparation):
    return [column.marginal is not None for column in preparation.schema.columns]


def straight():
    """A triangle on a line: straight relations between columns that are not Gaussian."""
    chance = np.random.default_rng(0)
    z = chance.uniform(-3, 3, size=(ROWS, 1))
    return z @ np.array([[1.0, -2.0, 0.5]]) + 0.02 * chance.normal(size=(ROWS, 3))


def bent():
    """Gaussian factors seen through a monotone bend of each column."""
    chance = np.random.default_rng(0)
    z = chance.normal(size=(ROWS, 1)) @ np.ones((1, 4)) + 0.3 * chance.normal(size=(ROWS, 4))
    return np.sinh(z)


def test_validation_chooses():
    assert mapped(prepared(straight())) == [False] * 3
    assert mapped(prepared(bent())) == [True] * 4
    assert mapped(prepared(straight(), "mapped")) == [True] * 3
    assert mapped(prepared(bent(), "plain")) == [False] * 4


def test_columns_with_ends_and_grids_have_a_map_in_any_case():
    chance = np.random.default_rng(0)
    values = np.column_stack([
        chance.exponential(size=ROWS), chance.integers(0, 31, ROWS), chance.normal(size=ROWS),
    ])  # fmt: skip
    assert mapped(prepared(values, "plain")) == [True, True, False]


def test_nats_of_straight_lines_in_plain_units_are_those_of_a_gaussian():
    chance = np.random.default_rng(0)
    values = chance.normal(size=(4_000, 2)) @ np.array([[2.0, 1.0], [0.0, 0.5]])
    preparation, cells = prepare(values, Settings(), 0)
    plain = with_units(preparation, cells[:2_000], cells[2_000:], "plain")
    found = linear_nats(plain.schema, cells[:2_000], cells[2_000:]).mean()
    exact = -0.5 * np.log(np.linalg.det(np.cov(values.T))) - np.log(2 * np.pi) - 1
    assert found == pytest.approx(exact, abs=0.05)


def test_whole_numbers_too_large_to_count_have_a_density():
    large = np.random.default_rng(0).integers(10**14, 9 * 10**15, 300).astype(np.float64)
    (column,) = infer(large[:, None]).columns
    assert column.resolution == 0
    assert column.scaled(large, mapped=True).marginal is not None
