"""What people say of a column, where the inferred is wrong: its kind, its ends, its steps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from aevb.errors import ConfigError, DataError, nearest
from aevb.table.schema import KINDS, LEVELED, Column, Kind, Values, on_grid

__all__ = ["Choice", "choices_of"]


@dataclass(frozen=True)
class Choice:
    """What was said of a column; None where nothing was.

    Parameters
    ----------
    kind
        One of `aevb.table.schema.KINDS`.
    lower, upper
        Ends of the support: no cell lies outside, and none will be drawn there.
    step
        All cells are whole multiples of it, counted from `lower` if there is one.
    """

    kind: Kind | None = None
    lower: float | None = None
    upper: float | None = None
    step: float | None = None

    @classmethod
    def of(cls, name: str, said: object) -> "Choice":
        """A kind, or a mapping of kind, lower, upper and step; `ConfigError` names what is wrong.

        >>> Choice.of("share", {"kind": "continuous", "lower": 0, "upper": 100})
        Choice(kind='continuous', lower=0.0, upper=100.0, step=None)
        """
        if isinstance(said, Choice):
            return said
        if isinstance(said, str):
            said = {"kind": said}
        if not isinstance(said, Mapping):
            raise ConfigError(
                f"column {name!r}: expected a kind or a mapping of keys, got {said!r}"
            )
        keys = [field.name for field in fields(cls)]
        for key in said:
            if key not in keys:
                raise ConfigError(f"column {name!r}: unknown key {key!r}; {nearest(key, keys)}")
        kind = said.get("kind")
        if kind is not None and kind not in KINDS:
            near = nearest(kind, KINDS)
            raise ConfigError(f"column {name!r}: {kind!r} is no kind of column; {near}")
        numbers = {key: _number(name, key, said.get(key)) for key in keys[1:]}
        choice = cls(kind, **numbers)
        choice._check(name)
        return choice

    def _check(self, name: str) -> None:
        given = [key for key in ("lower", "upper", "step") if getattr(self, key) is not None]
        if given and self.kind in LEVELED:
            raise ConfigError(
                f"column {name!r}: {given[0]} is for kinds of numbers, not for {self.kind!r}"
            )
        if self.step is not None and self.step <= 0:
            raise ConfigError(f"column {name!r}: step must be above 0, got {self.step:g}")
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ConfigError(
                f"column {name!r}: lower must be below upper, got {self.lower:g} and {self.upper:g}"
            )

    def applied(self, column: Column, values: Values) -> Column:
        """The column with these ends and steps; `DataError` for a value that is not within them."""
        said: dict[str, Any] = {}
        for key in ("lower", "upper", "step"):
            if getattr(self, key) is not None:
                said[key] = getattr(self, key)
        if not said:
            return column
        if column.kind in LEVELED:
            key = next(iter(said))
            raise ConfigError(
                f"column {column.name!r}: {key} is for kinds of numbers, and the column is "
                f"{column.kind!r}: give a kind too",
                hint={"columns": {column.name: "continuous"}},
            )
        outside = np.zeros(len(values), dtype=bool)
        if self.lower is not None:
            outside |= values < self.lower
        if self.upper is not None:
            outside |= values > self.upper
        if self.step is not None:
            outside |= ~on_grid(values - (self.lower or 0.0), self.step)
        if outside.any():
            row = int(np.argmax(outside))
            wanted = ", ".join(f"{key} {value:g}" for key, value in said.items())
            raise DataError(
                f"column {column.name!r}, row {row} (counting from 0): expected a number with "
                f"{wanted}, got {values[row]:g}: change the choice or the cell"
            )
        if self.step is not None and column.resolution > 0:
            said["resolution"] = self.step
        elif self.step is None:
            said |= self._on_grid(column.step)
        return replace(column, **said)

    def _on_grid(self, step: float) -> dict[str, float]:
        """The ends that were given, moved inwards to multiples of a step that was not."""
        ends: dict[str, float] = {}
        if step > 0 and self.lower is not None:
            ends["lower"] = float(np.ceil(np.round(self.lower / step, 6)) * step)
        if step > 0 and self.upper is not None:
            ends["upper"] = float(np.floor(np.round(self.upper / step, 6)) * step)
        return ends


def choices_of(columns: Mapping[str, object]) -> dict[str, Choice]:
    """The choices of columns by name, from kinds and mappings."""
    return {name: Choice.of(name, said) for name, said in columns.items()}


def _number(name: str, key: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"column {name!r}: {key} must be a number, got {value!r}")
    return float(value)
