"""Samples of default fits beside their data, column by column.

    python -m benchmarks.columns support
    AEVB_DATA=FOLDER python -m benchmarks.columns adult

The first fits ten tables of columns that are hard to sample: skewed money, percentages, days,
zeros, caps, heaps. It counts the samples that the column could not hold, and prints the largest
gap between the distribution functions of samples and data. The second prints Adult's boosted
two-sample score of each column of numbers alone, 2 (1 - AUC), on rows the fit never saw. See
README.md beside this file.
"""

import argparse
import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from aevb import VAE
from aevb.errors import AevbWarning
from aevb.table.named import named

Numbers = NDArray[np.float64]
Support = Callable[[Numbers], NDArray[np.bool_]]

ROWS, SAMPLES = 10_000, 20_000


# Tables, and what their columns can hold


def within(lower: float, upper: float = np.inf, step: float = 0.0) -> Support:
    """Whether numbers lie in [lower, upper], and are multiples of the step where there is one."""

    def held(numbers: Numbers) -> NDArray[np.bool_]:
        inside = (numbers >= lower) & (numbers <= upper)
        if step:
            inside &= np.abs(numbers / step - np.round(numbers / step)) < 1e-6
        return inside

    return held


@dataclass(frozen=True)
class Drawn:
    """A table, and the support of its columns of numbers."""

    columns: dict[str, object] = field(default_factory=dict)
    supports: dict[str, Support] = field(default_factory=dict)

    def add(self, name: str, numbers: Numbers, support: Support) -> None:
        """One column more."""
        assert support(numbers).all(), name
        self.columns[name] = numbers
        self.supports[name] = support


def tables() -> Iterator[tuple[str, Drawn]]:
    """The ten tables: in each, columns depend on one factor z."""
    for maker in (
        money, percents, calendar, visits, hours, prices, caps, clumps, readings, household,
    ):  # fmt: skip
        rng = np.random.default_rng(sum(map(ord, maker.__name__)))
        yield maker.__name__, maker(rng, rng.normal(size=ROWS))


def money(rng: np.random.Generator, z: Numbers) -> Drawn:
    """Incomes and debts: skewed, in cents, many of them zero."""
    drawn = Drawn()
    noise = rng.normal(size=(3, ROWS))
    drawn.add("income", np.round(np.exp(10 + 0.8 * z + 0.5 * noise[0]), 2), within(0, step=0.01))
    debt = np.round(np.exp(7 + 1.5 * noise[1] - 0.5 * z), 2)
    drawn.add("debt", np.where(rng.random(ROWS) < 0.4, 0, debt), within(0, step=0.01))
    gain = np.round(np.exp(8 + noise[2]))
    drawn.add("gain", np.where(rng.random(ROWS) < 0.92, 0, gain), within(0, step=1))
    drawn.columns["owner"] = np.where(z + rng.normal(size=ROWS) > 0, "yes", "no")
    return drawn


def percents(rng: np.random.Generator, z: Numbers) -> Drawn:
    """Shares and percentages, with and without mass at their ends."""
    drawn = Drawn()
    logits = z + rng.normal(size=ROWS)
    drawn.add("whole", np.round(100 / (1 + np.exp(-logits))), within(0, 100, 1))
    share = np.round(np.clip(0.5 + 0.4 * z + 0.2 * rng.normal(size=ROWS), 0, 1), 3)
    drawn.add("share", share, within(0, 1, 0.001))
    drawn.add("rate", rng.beta(0.5, 3, ROWS), within(0, 1))
    drawn.add("score", np.round(rng.beta(8, 2, ROWS) * 20) * 5, within(0, 100, 5))
    return drawn


def calendar(rng: np.random.Generator, z: Numbers) -> Drawn:
    """Days of the month, months, hours, years."""
    drawn = Drawn()
    day = np.minimum(rng.integers(1, 34, ROWS), 31)
    drawn.add("day", day.astype(float), within(1, 31, 1))
    drawn.add("month", np.round(6.5 + 5.5 * np.sin(z)), within(1, 12, 1))
    drawn.add("hour", np.floor(np.mod(14 + 3 * z + rng.normal(size=ROWS), 24)), within(0, 23, 1))
    drawn.add("year", 2024 - np.floor(rng.exponential(6, ROWS)), within(1, 2024, 1))
    return drawn


def visits(rng: np.random.Generator, z: Numbers) -> Drawn:
    """Counts with many zeros, small and large."""
    drawn = Drawn()
    rates = np.exp(0.7 * z)
    drawn.add("visits", rng.poisson(rates).astype(float), within(0, step=1))
    reads = rng.negative_binomial(0.3, 0.3 / (0.3 + 40 * rates)).astype(float)
    drawn.add("reads", reads, within(0, step=1))
    births = rng.poisson(3, ROWS) * (rng.random(ROWS) < 0.6)
    drawn.add("births", births.astype(float), within(0, step=1))
    drawn.columns["site"] = rng.choice(["a", "b", "c"], ROWS)
    return drawn


def hours(rng: np.random.Generator, z: Numbers) -> Drawn:
    """Hours worked, with heaps at 40 and others; ages; grades of a test."""
    drawn = Drawn()
    smooth = np.clip(np.round(38 + 12 * rng.normal(size=ROWS) + 4 * z), 1, 99)
    heaps = rng.choice([40, 50, 45, 60, 35, 20], ROWS, p=[0.6, 0.12, 0.08, 0.08, 0.07, 0.05])
    worked = np.where(rng.random(ROWS) < 0.7, heaps, smooth).astype(float)
    drawn.add("hours", worked, within(1, 99, 1))
    drawn.add("age", np.round(17 + rng.gamma(2.5, 9, ROWS)), within(0, step=1))
    drawn.add("grade", np.clip(np.round(2 * (3.5 + z)) / 2, 1, 6), within(1, 6, 0.5))
    return drawn


def prices(rng: np.random.Generator, z: Numbers) -> Drawn:
    """Prices that end on .99, discounts in steps of 5, amounts of a schedule."""
    drawn = Drawn()
    whole = np.floor(np.exp(2.5 + 0.7 * z + 0.2 * rng.normal(size=ROWS)))
    ends = rng.choice([0.99, 0.49, 0.95, 0.0], ROWS, p=[0.7, 0.15, 0.1, 0.05])
    drawn.add("price", np.round(whole + ends, 2), within(0, step=0.01))
    discount = rng.choice([0, 5, 10, 15, 20, 25, 30, 40, 50], ROWS).astype(float)
    drawn.add("discount", discount, within(0, 50, 5))
    amounts = np.sort(np.random.default_rng(1).integers(100, 9_999, 60)).astype(float)
    paid = amounts[np.minimum(rng.geometric(0.05, ROWS), 60) - 1]
    drawn.add("paid", np.where(rng.random(ROWS) < 0.5, 0, paid), within(0, step=1))
    return drawn


def caps(rng: np.random.Generator, z: Numbers) -> Drawn:
    """Numbers cut at a limit, above, below and on both sides."""
    drawn = Drawn()
    value = np.round(np.minimum(np.exp(0.6 * z + 0.3 * rng.normal(size=ROWS)) * 2, 5.0), 4)
    drawn.add("capped", value, within(0, 5, 0.0001))
    seen = np.maximum(np.round(np.exp(rng.normal(size=ROWS) - 1), 2), 0.05)
    drawn.add("detected", seen, within(0.05, step=0.01))
    months = np.minimum(np.round(rng.exponential(30, ROWS)), 60)
    drawn.add("months", months, within(0, 60, 1))
    rating = np.round(np.clip(7.5 + 2 * z + rng.normal(size=ROWS), 0, 10), 1)
    drawn.add("rating", rating, within(0, 10, 0.1))
    return drawn


def clumps(rng: np.random.Generator, z: Numbers) -> Drawn:
    """Two modes, long tails on both sides, a uniform column."""
    drawn = Drawn()
    side = np.where(z > 0, 4.0, -3.0)
    drawn.add("modes", side + rng.normal(size=ROWS), within(-np.inf))
    drawn.add("tails", rng.standard_t(2.5, ROWS), within(-np.inf))
    drawn.add("uniform", rng.random(ROWS), within(0))
    drawn.add("signed", np.round(100 * z + 50 * rng.normal(size=ROWS)), within(-np.inf, step=1))
    return drawn


def readings(rng: np.random.Generator, z: Numbers) -> Drawn:
    """What instruments give: one and two decimals, halves, a positive concentration."""
    drawn = Drawn()
    drawn.add("degrees", np.round(20 + 5 * z, 1), within(-np.inf, step=0.1))
    drawn.add("acid", np.round(7 + 0.5 * rng.normal(size=ROWS), 2), within(0, step=0.01))
    drawn.add("ppm", rng.gamma(0.5, 10, ROWS), within(0))
    drawn.add("volume", np.round(rng.gamma(9, 3, ROWS) * 2) / 2, within(0, step=0.5))
    return drawn


def household(rng: np.random.Generator, z: Numbers) -> Drawn:
    """Mixed columns, a tenth of the cells missing."""
    drawn = Drawn()
    drawn.add("rooms", 1 + rng.poisson(2 + np.exp(0.4 * z)).astype(float), within(0, step=1))
    rent = np.round(np.exp(6.5 + 0.4 * z + 0.2 * rng.normal(size=ROWS)) / 10) * 10
    drawn.add("rent", rent, within(0, step=10))
    drawn.add("built", np.minimum(np.round(1975 + 25 * z), 2024), within(0, 2024, 1))
    drawn.columns["heating"] = rng.choice(["gas", "oil", "none"], ROWS, p=[0.6, 0.3, 0.1])
    for name in drawn.supports:
        numbers = drawn.columns[name]
        assert isinstance(numbers, np.ndarray)
        numbers[rng.random(ROWS) < 0.1] = np.nan
    return drawn


# What is measured


def gap(first: Numbers, second: Numbers) -> float:
    """The largest gap between two distribution functions (Kolmogorov and Smirnov)."""
    at = np.unique(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(one), at, side="right") / len(one) for one in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def two_sample_score(first: Numbers, second: Numbers, seed: int = 0) -> float:
    """2 (1 - AUC) of boosted trees that tell two samples apart, 1 at best; shapes (n,)."""
    cells = np.concatenate([first, second])[:, None]
    labels = np.repeat([0, 1], [len(first), len(second)])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = HistGradientBoostingClassifier(random_state=seed)
    told = cross_val_predict(model, cells, labels, cv=folds, method="predict_proba")[:, 1]
    return min(float(2 * (1 - roc_auc_score(labels, told))), 1.0)


def fitted(frame: pd.DataFrame) -> tuple[VAE, float]:
    """A fit with the defaults, and its seconds."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AevbWarning)
        vae = VAE(random_state=0).fit(frame)
    return vae, time.perf_counter() - began


def support() -> None:
    """A line for each column of the ten tables."""
    for table, drawn in tables():
        frame = pd.DataFrame(drawn.columns)
        vae, seconds = fitted(frame)
        sampled = vae.sample(SAMPLES)
        for name, held in drawn.supports.items():
            numbers = sampled[name].to_numpy(dtype=float)
            met = frame[name].dropna().to_numpy(dtype=float)
            line = {
                "table": table,
                "column": name,
                "outside": int((~held(numbers)).sum()),
                "gap": round(gap(met, numbers), 4),
                "seconds": round(seconds),
            }
            print(json.dumps(line), flush=True)


def typed(texts: pd.DataFrame) -> pd.DataFrame:
    """The columns of text that hold numbers, as numbers."""
    frame = texts.copy()
    for name in frame:
        with contextlib.suppress(ValueError):
            frame[name] = pd.to_numeric(frame[name])
    return frame


def adult(train_rows: int = 32_561) -> None:
    """A line for each column of numbers of Adult."""
    data = typed(named("adult").data.to_pandas())
    order = np.random.default_rng(0).permutation(len(data))
    train, fresh = data.iloc[order[:train_rows]], data.iloc[order[train_rows:]]
    vae, seconds = fitted(train)
    sampled = vae.sample(len(fresh))
    for name in data.select_dtypes("number"):
        real, drawn = (one[name].to_numpy(dtype=float) for one in (fresh, sampled))
        other = train[name].sample(len(fresh), random_state=0).to_numpy(dtype=float)
        line = {
            "column": name,
            "score": round(two_sample_score(real, drawn), 3),
            "score of training rows": round(two_sample_score(real, other), 3),
            "gap": round(gap(real, drawn), 4),
            "seconds": round(seconds),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["support", "adult"])
    {"support": support, "adult": adult}[parser.parse_args().what]()
