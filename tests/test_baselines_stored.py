"""Laws of stored baselines: the same scores to the last bit, or a refusal."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aevb.baselines import fit_baselines, from_stored, to_stored
from aevb.table.schema import Column, Schema
from conftest import Table

Stored = tuple[dict[str, np.ndarray], dict[str, Any]]


@pytest.fixture(scope="module")
def numbers() -> tuple[Schema, np.ndarray]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(150, 2)) @ rng.normal(size=(2, 4)) + rng.normal(size=(150, 4))
    values[:, 2], values[:, 3] = np.exp(values[:, 2]), np.round(3 * values[:, 3])
    kinds: dict[str, Any] = {"c": {"kind": "positive"}, "d": {"resolution": 1.0, "grid": 1.0}}
    schema = Schema(
        tuple(Column(name, **{"kind": "continuous", **kinds.get(name, {})}) for name in "abcd")
    )
    return schema.scaled(values), values


@pytest.fixture(scope="module")
def stored(numbers: tuple[Schema, np.ndarray]) -> Stored:
    schema, values = numbers
    return to_stored(*fit_baselines(values[:100], values[100:], schema))


def test_every_baseline_of_numbers_comes_back(numbers: tuple[Schema, np.ndarray]) -> None:
    schema, values = numbers
    _is_the_same(schema, values[:100], values[100:])


def test_every_baseline_of_any_columns_comes_back(mixed_table: Table) -> None:
    """Missing cells, levels, counts, atoms and pixels among them."""
    _is_the_same(mixed_table.schema, mixed_table.values[:150], mixed_table.values[150:])


def test_reasons_come_back_in_the_order_of_the_report(mixed_table: Table) -> None:
    """A document's keys are sorted; what people read is not."""
    reasons = {"PPCA": "levels", "factor analysis": "levels", "Gaussian mixture": "levels"}
    document = json.loads(json.dumps(to_stored({}, reasons)[1], sort_keys=True))
    assert list(from_stored({}, document, mixed_table.schema)[1]) == list(reasons)


def _is_the_same(schema: Schema, train: np.ndarray, held_out: np.ndarray) -> None:
    baselines, reasons = fit_baselines(train, held_out, schema)
    arrays, document = to_stored(baselines, reasons)
    same, same_reasons = from_stored(arrays, json.loads(json.dumps(document)), schema)
    assert list(same) == list(baselines)
    assert same_reasons == reasons
    for name, baseline in baselines.items():
        assert np.array_equal(
            same[name].score_samples(held_out), baseline.score_samples(held_out)
        ), name
        assert same[name].settings == json.loads(json.dumps(baseline.settings))


def _longest(arrays: dict[str, np.ndarray]) -> str:
    return max(arrays, key=lambda name: arrays[name].size)


def _changed(
    arrays: dict[str, np.ndarray], ending: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Every array whose name ends so, changed; there is one at least."""
    named = {name: change(array) for name, array in arrays.items() if name.endswith(ending)}
    assert named
    arrays.update(named)


def _at_first(array: np.ndarray, value: float) -> np.ndarray:
    """The same with its first number another: of roots, the first of a diagonal."""
    changed = array.copy()
    changed.flat[0] = value
    return changed


def _diagonal(arrays: dict[str, np.ndarray], document: dict[str, Any], value: float) -> None:
    """A mixture of diagonal covariances, one of whose roots is this."""
    _changed(arrays, ".roots", lambda a: _at_first(np.ones(a.shape[:2]), value))
    for about in document["baselines"]:
        if about["name"] == "Gaussian mixture":
            about["settings"]["covariance"] = "diag"


WRONG = {
    "a name": lambda arrays, document: document["baselines"][0].update(name="deep learning"),
    "no name": lambda arrays, document: document["baselines"][0].pop("name"),
    "no list": lambda arrays, document: document.pop("baselines"),
    "an array missing": lambda arrays, document: arrays.pop(_longest(arrays)),
    "a type": lambda arrays, document: arrays.update({_longest(arrays): np.zeros(3, np.float32)}),
    "a shape": lambda arrays, document: arrays.update(
        {name: array[..., :-1] for name, array in arrays.items()}
    ),
    "settings": lambda arrays, document: [one.pop("settings") for one in document["baselines"]],
    "a nested setting": lambda arrays, document: document["baselines"][0].update(
        settings={"rows": [{}]}
    ),
    "an array of no baseline": lambda arrays, document: arrays.update({"9.mean": np.zeros(4)}),
    "one of them twice": lambda arrays, document: document["baselines"].append(
        document["baselines"][0]
    ),
    "one of them left out": lambda arrays, document: document["baselines"].pop(),
    "a reason for a stranger": lambda arrays, document: document["not_applicable"].update(
        deep="learning"
    ),
    "a reason that is no text": lambda arrays, document: document["not_applicable"].update(
        PPCA=[1]
    ),
    "more factors than columns": lambda arrays, document: _changed(
        arrays, ".loadings", lambda a: np.zeros((4, 300))
    ),
    "loadings of one axis": lambda arrays, document: _changed(
        arrays, ".loadings", lambda a: a[:, 0]
    ),
    "no factors": lambda arrays, document: _changed(arrays, ".loadings", lambda a: a[:, :0]),
    "no classes": lambda arrays, document: _changed(arrays, "weights", lambda a: a[:0]),
    "a scale of zero": lambda arrays, document: _changed(arrays, ".scale", np.zeros_like),
    "a root of zero": lambda arrays, document: _changed(
        arrays, ".roots", lambda a: _at_first(a, 0.0)
    ),
    "a root below zero": lambda arrays, document: _changed(
        arrays, ".roots", lambda a: _at_first(a, -1.0)
    ),
    "diagonal roots below zero": lambda arrays, document: _diagonal(arrays, document, -1.0),
    "noise below zero": lambda arrays, document: _changed(arrays, ".noise", np.negative),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_baseline_of_these_columns_is_refused(
    wrong: str, stored: Stored, numbers: tuple[Schema, np.ndarray]
) -> None:
    arrays, document = dict(stored[0]), json.loads(json.dumps(stored[1]))
    WRONG[wrong](arrays, document)
    with pytest.raises((ValueError, KeyError, TypeError)):
        from_stored(arrays, document, numbers[0])


def test_roots_of_diagonal_covariances_are_read(
    stored: Stored, numbers: tuple[Schema, np.ndarray]
) -> None:
    arrays, document = dict(stored[0]), json.loads(json.dumps(stored[1]))
    _diagonal(arrays, document, 1.0)
    assert "Gaussian mixture" in from_stored(arrays, document, numbers[0])[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_refused_wherever_it_stands(
    value: float, stored: Stored, mixed_table: Table, numbers: tuple[Schema, np.ndarray]
) -> None:
    """In the families of every kind of column too."""
    rows = mixed_table.values
    of_any = (
        to_stored(*fit_baselines(rows[:150], rows[150:], mixed_table.schema)),
        mixed_table.schema,
    )
    for (arrays, document), schema in ((stored, numbers[0]), of_any):
        for name, array in arrays.items():
            # Where a grid has no end, that is what the schema says.
            if not array.size or np.array_equal(array.flat[0], value, equal_nan=True):
                continue
            with pytest.raises(ValueError, match=rf"{re.escape(name)} must be finite"):
                from_stored({**arrays, name: _at_first(array, value)}, document, schema)
