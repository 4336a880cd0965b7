"""One table with columns of every kind: what a model of it gives has their support, and what it
never met is improbable.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

from aevb import VAEOutlierDetector
from aevb.errors import AevbWarning

ROWS = 600


def people(seed=0):
    chance = np.random.default_rng(seed)
    z = chance.normal(size=ROWS)
    visits = chance.poisson(np.exp(0.5 + 0.5 * z))
    return pd.DataFrame(
        {
            "income": np.exp(7 + z + 0.5 * chance.normal(size=ROWS)).round(2),
            "share": (100 / (1 + np.exp(-z - chance.normal(size=ROWS)))).round(1),
            "day": chance.integers(1, 32, ROWS),
            "visits": np.where(chance.random(ROWS) < 0.3, 0, visits),
            "hours": chance.choice(
                [20, 35, 38, 40, 45, 50], ROWS, p=[0.1, 0.2, 0.05, 0.5, 0.1, 0.05]
            ),
            "fives": 5 * chance.poisson(30, ROWS),
            "gain": np.where(chance.random(ROWS) < 0.8, 0.0, chance.gamma(2, 500, ROWS).round(2)),
            "heat": 20 + 3 * z + chance.normal(size=ROWS),
            "town": chance.choice(["Bonn", "Essen", "Trier"], ROWS),
            "member": chance.choice([True, False], ROWS),
            "size": pd.Categorical(
                chance.choice(["S", "M", "L"], ROWS), ["S", "M", "L"], ordered=True
            ),
        }
    )


@pytest.fixture(scope="module")
def table():
    return people()


@pytest.fixture(scope="module")
def detector(table):
    return VAEOutlierDetector(latent_dim=2, hidden=(16,), epochs=30, random_state=0).fit(table)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("income", 1e9), ("income", -5.0), ("share", 120.0), ("day", 40), ("day", 0),
        ("visits", 1_000), ("visits", -1), ("hours", 168), ("fives", 1_000), ("fives", 152),
        ("gain", 1e8), ("gain", -3.0), ("heat", 500.0), ("heat", -1e6), ("town", "Ulm"),
        ("size", "XXL"),
    ],
)  # fmt: skip
def test_a_value_never_met_makes_a_row_less_probable(table, detector, name, value):
    rows = table.head(40).astype({name: object} if name in ("town", "size") else {})
    before = detector.score_samples(rows)
    changed = rows.assign(**{name: [value] * len(rows)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AevbWarning)
        after = detector.score_samples(changed)
    assert np.isfinite(after).all()
    assert np.mean(after < before) > 0.97
    assert after.mean() < before.mean() - 2


def test_one_note_counts_the_cells_never_met(table, detector):
    rows = table.head(3).assign(town=["Ulm", "Ulm", "Bonn"], day=[0, 1, 99])
    with pytest.warns(AevbWarning, match=r"4 cells .*day: 0.0, 99.0, town: \'Ulm\'") as notes:
        detector.score_samples(rows)
    assert len(notes) == 1


def test_a_drifted_table_is_less_probable(table, detector):
    fresh = people(1)
    drifted = fresh.assign(income=3 * fresh.income, visits=fresh.visits + 6)
    vae = detector.vae_
    assert vae.score(drifted) < vae.score(fresh) - 1


def test_a_row_without_cells_is_neither_normal_nor_odd(table, detector):
    rows = table.head(2).astype(object)
    rows.iloc[0] = None
    assert detector.score_samples(rows)[0] == 0
    assert detector.predict(rows)[0] == 0


def test_samples_have_the_support_of_the_data(table, detector):
    drawn = detector.vae_.sample(5_000)
    assert list(drawn.columns) == list(table.columns)
    assert (drawn.dtypes == table.dtypes).all()
    assert drawn.income.min() >= 0
    assert drawn.share.between(0, 100).all()
    assert drawn.day.between(1, 31).all()
    assert drawn.visits.min() >= 0
    assert (drawn.fives % 5 == 0).all()
    assert drawn.gain.min() >= 0
    for name, decimals in (("income", 2), ("share", 1), ("gain", 2)):
        assert np.array_equal(drawn[name], drawn[name].round(decimals))
    assert (drawn.gain == 0).mean() == pytest.approx(0.8, abs=0.05)
    assert (drawn.hours == 40).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", ["income", "share", "day", "visits", "hours", "fives", "heat"])
def test_samples_have_the_quantiles_of_the_data(table, detector, name):
    drawn = np.sort(detector.vae_.sample(20_000)[name].to_numpy())
    points = np.unique(table[name])
    below = np.searchsorted(np.sort(table[name].to_numpy()), points, side="right") / ROWS
    # A tiny fit of 600 rows; see docs/measured.md for what a default fit of 10,000 reaches.
    assert np.abs(np.searchsorted(drawn, points, side="right") / len(drawn) - below).max() < 0.08
