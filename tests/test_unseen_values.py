"""A value never met makes its row less probable, in any table and whatever the kind of its column:
an unseen level, a number outside of the support, a number far from all others.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aevb import VAE
from aevb.errors import AevbWarning
from linear_start import TINY

ROWS = 200
CHANGED = 30
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sort:
    """One sort of column.

    Parameters
    ----------
    kind
        The kind that is expected of it.
    drawn
        Cells of it, from the latent of each row.
    unseen
        Levels it never met, and numbers it cannot hold.
    far
        Numbers that it can hold, from its cells, each far from all of them.
    asked
        Whether the kind has to be asked for.
    """

    kind: str
    drawn: Callable[[Array, np.random.Generator], Array]
    unseen: tuple[Any, ...] = ()
    far: Callable[[Array], list[float]] = lambda cells: []
    asked: bool = False


def levels(names: list[Any]) -> Callable[[Array, np.random.Generator], Array]:
    """Levels in the order of z, some of them rarer than others."""

    def drawn(z: Array, chance: np.random.Generator) -> Array:
        noisy = z + 0.7 * chance.normal(size=len(z))
        shares = chance.dirichlet(np.full(len(names), 3.0))
        ends = np.quantile(noisy, np.cumsum(shares)[:-1])
        places = np.searchsorted(ends, noisy)
        places[: len(names)] = np.arange(len(names))  # none is without a row
        return np.array(names, dtype=object)[places]

    return drawn


def number(z: Array, chance: np.random.Generator) -> Array:
    """Any numbers, in units that are small or large."""
    unit = 10.0 ** chance.integers(-6, 7)
    return unit * (z + chance.uniform(0.2, 2) * chance.normal(size=len(z)) + chance.normal())


def money(z: Array, chance: np.random.Generator) -> Array:
    """Amounts, the largest of which are above 100, so that they are no percentages."""
    return np.exp(chance.uniform(5, 9) + chance.uniform(0.3, 1.5) * z).round(2)


def spiked(z: Array, chance: np.random.Generator) -> Array:
    return np.where(chance.random(len(z)) < chance.uniform(0.1, 0.9), 0.0, money(z, chance))


def beyond(cells: Array) -> list[float]:
    """Far above all."""
    return [float(cells.max() + 20 * np.ptp(cells))]


def both_sides(cells: Array) -> list[float]:
    return [float(cells.min() - 20 * np.ptp(cells)), *beyond(cells)]


SORTS = {
    "two words": Sort("binary", levels(["no", "yes"]), ("maybe",)),
    "two numbers": Sort("binary", levels([0, 1]), (2, -1, 0.5)),
    "words": Sort("categorical", levels(["red", "green", "blue"]), ("pink", "Red")),
    "ordered words": Sort("ordinal", levels(["a", "b", "c", "d"]), ("e",), asked=True),
    "ordered halves": Sort("ordinal", levels([0.5, 1.5, 2.5, 3.5]), (9.5, 1.0)),
    "visits": Sort("count", lambda z, c: c.poisson(np.exp(1.5 + 0.5 * z)), (-1, 2.5), beyond),
    "fives": Sort("count", lambda z, c: 5 * c.poisson(np.exp(3 + 0.3 * z)), (-5, 52), beyond),
    "changes": Sort(
        "continuous", lambda z, c: np.rint(30 * z + 9 * c.normal(size=len(z))), (0.5,), both_sides
    ),
    "height": Sort("continuous", number, (), both_sides),
    "income": Sort("continuous", money, (-0.01, -500.0), beyond),
    "gain": Sort("continuous", spiked, (-1.0,), beyond),
    "share": Sort(
        "continuous",
        lambda z, c: (100 / (1 + np.exp(-2 * z - c.normal(size=len(z))))).round(1),
        (100.1, 120.0, -1.0),
    ),
    "capped": Sort("continuous", lambda z, c: np.minimum(5 + z, 6.0).round(3), (6.5, 60.0)),
    "month": Sort("count", lambda z, c: 1 + np.arange(len(z)) % 12, (0, 13, 99)),
}


def table_of(names: list[str], seed: int, drift: float = 0.0) -> pd.DataFrame:
    """Rows of these sorts, of latents that are this far from those of a table without drift."""
    chance = np.random.default_rng(seed)
    z = chance.normal(size=ROWS) + drift
    columns = {}
    for name in names:
        columns[name] = pd.Series(SORTS[name].drawn(z, chance)).infer_objects()
    return pd.DataFrame(columns)


def fitted(table: pd.DataFrame) -> VAE:
    kinds = {name: SORTS[name].kind for name in table if SORTS[name].asked}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AevbWarning)
        return VAE(**TINY, columns=kinds or None).fit(table)


def check(names: list[str], seed: int) -> None:
    """The law, for each column of one table and each of its replacements."""
    table = table_of(names, seed)
    holes = np.random.default_rng(seed).random(table.shape) < 0.1
    holes[0] = False
    vae = fitted(table.mask(holes))
    assert [column.kind for column in vae.schema_.columns] == [SORTS[n].kind for n in names]
    rows = table.head(CHANGED)
    changes = [(name, value) for name in names for value in SORTS[name].unseen]
    unseen = len(changes)
    for name in names:
        changes += [(name, value) for value in SORTS[name].far(table[name].to_numpy())]
    frames = [rows]
    for name, value in changes:
        frames.append(rows.assign(**{name: [value] * CHANGED}))
    changed = pd.concat(frames, ignore_index=True)
    with pytest.warns(AevbWarning, match=f"^AEV302: {unseen * CHANGED} cells ") as notes:
        scores = vae.score_samples(changed).reshape(-1, CHANGED)
    assert len(notes) == 1
    assert np.isfinite(scores).all()
    for change, after in zip(changes, scores[1:], strict=True):
        assert (after < scores[0]).all(), change
        assert after.mean() < scores[0].mean() - 2, change


halves = st.permutations(list(SORTS)), st.integers(0, 2**31)


@given(*halves)
@settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.generate])
def test_a_cell_never_met_makes_its_row_less_probable(order: list[str], seed: int) -> None:
    for names in (order[: len(order) // 2], order[len(order) // 2 :]):
        check(names, seed)


@pytest.mark.long
@given(*halves)
@settings(max_examples=12, deadline=None, phases=[Phase.generate])
def test_a_cell_never_met_in_many_tables(order: list[str], seed: int) -> None:
    for names in (order[: len(order) // 2], order[len(order) // 2 :]):
        check(names, seed)


@pytest.mark.long
def test_the_farther_a_table_drifts_the_worse_it_is_evaluated() -> None:
    names = list(SORTS)
    vae = fitted(table_of(names, 0))
    nats = []
    for drift in (0.0, 1.0, 2.0):
        rows = table_of(names, 0, drift)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AevbWarning)
            nats.append(vae.evaluate(rows, samples=100)["held_out"]["log_likelihood"])
    assert nats[0] > nats[1] + 1 > nats[2] + 2
