"""What a baseline is, the registry of all of them, and the choice among candidates."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

import equinox as eqx
import numpy as np

from aevb.disk.formats import Arrays
from aevb.registry import Registry
from aevb.table.schema import Schema, Values

__all__ = ["BASELINES", "Arrays", "Baseline", "Setting", "Task", "best", "check_positive"]

Setting = str | int | float | list[str]
T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """What baselines are fitted to.

    Parameters
    ----------
    train, validation
        Values, (rows, columns), NaN where missing; validation rows choose sizes.
    schema
        The columns, in the units of the VAE.
    seed
        Random seed of starts, subsamples and dequantization.
    latent_dim
        A number of factors to try besides the usual ones: the VAE's own.
    judges
        The most validation rows that choose sizes.
    """

    train: Values
    validation: Values
    schema: Schema
    seed: int = 0
    latent_dim: int | None = None
    judges: int = 5_000

    @property
    def held_out(self) -> Values | None:
        """The rows that choose sizes; None where there are none but the training rows."""
        if not len(self.validation):
            return None
        return self.validation[: self.judges]


class Baseline(eqx.Module):
    """A fitted model that gives each row its log-likelihood.

    A subclass says how it is fitted, when it does not apply and what its arrays look like on disk,
    and is registered under its name by ``BASELINES.register(name)``.

    Parameters
    ----------
    chosen
        What was chosen in fitting.
    """

    chosen: Mapping[str, Setting] = eqx.field(static=True)

    @classmethod
    def why_not(cls, task: Task) -> str:
        """Why it does not apply to such a table; empty where it does."""
        return ""

    @classmethod
    @abstractmethod
    def fit(cls, task: Task) -> Self:
        """The baseline of a table."""

    @classmethod
    @abstractmethod
    def empty(cls, arrays: Arrays, chosen: Mapping[str, Setting], schema: Schema) -> Self:
        """The baseline of these columns before numbers from a file take the place of its own.

        Sizes are those of the arrays, by the paths of `aevb.disk.trees.to_arrays`; numbers are
        zeros, or what the schema gives.
        """

    @abstractmethod
    def check(self, empty: Self) -> None:
        """Raise `ValueError` where the numbers that filled `empty` make no distribution."""

    @property
    def settings(self) -> dict[str, Setting]:
        """What was chosen, and how a score is to be read."""
        return dict(self.chosen)

    @abstractmethod
    def score_samples(self, values: Values, seed: int = 0) -> Values:
        """log p of the observed cells of each row, nats in data units, shape (n,)."""


#: The baselines by name, in the order they are reported in.
BASELINES: Registry[type[Baseline]] = Registry("baseline")


def best(candidates: Iterable[tuple[float, T]], patience: int = 2) -> tuple[float, T]:
    """The score and the candidate that scores best; stops after `patience` worse ones in a row.

    A score that is not a number is worse than any.
    """
    chosen: tuple[float, T] | None = None
    worse = 0
    for found, candidate in candidates:
        score = -np.inf if np.isnan(found) else found
        if chosen is None or score > chosen[0]:
            chosen = (score, candidate)
            worse = 0
        else:
            worse += 1
        if worse >= patience:
            break
    assert chosen is not None
    return chosen


def check_positive(**arrays: Values) -> None:
    """Raise `ValueError` where a scale or a variance read from a file is zero or less."""
    for name, array in arrays.items():
        if (array <= 0).any():
            raise ValueError(f"{name} must be positive")
