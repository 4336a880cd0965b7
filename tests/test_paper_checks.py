"""Every formula of the study cards holds, and with a sign or a factor of it wrong its checks say
so.
"""

import ast
import inspect
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from aevb_paper.cards import CARDS
from aevb_paper.checks import Check
from aevb_paper.families import EXAMPLES, experiment
from aevb_paper.reparameterization import FAMILIES, Route

pytest.importorskip("sympy")

CHECKS = [(card.name, check) for card in CARDS for check in card.checks]
FORMULAS = list(dict.fromkeys(formula for _, check in CHECKS for formula in check.formulas))
PAIRS = [(check, formula) for _, check in CHECKS for formula in check.formulas]
FAMILY_ROUTES = [(route, family) for route, families in FAMILIES.items() for family in families]
pytestmark = pytest.mark.filterwarnings("ignore:.*(encountered in|Maximum number|Rank|overflow).*")


def named(value: Any) -> str | None:
    return getattr(value, "__name__", None) or (value.name if isinstance(value, Check) else None)


def put(
    monkeypatch: pytest.MonkeyPatch, formula: Callable[..., Any], broken: Callable[..., Any]
) -> None:
    """In its place wherever the package looks for it."""
    for name, module in list(sys.modules.items()):
        if name.startswith("aevb_paper.") and getattr(module, formula.__name__, None) is formula:
            monkeypatch.setattr(module, formula.__name__, broken)


def holds(check: Check) -> bool:
    try:
        return check.result().passed
    except (
        ArithmeticError,
        ValueError,
        TypeError,
    ):  # a formula so broken that it cannot be evaluated
        return False


def with_result(formula: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda *arguments: change(formula(*arguments))


def negated(value: Any) -> Any:
    match value:
        case float() | int() | np.ndarray():
            return -value
        case (mean, variance) if hasattr(value, "variance"):
            return type(value)(-mean, -variance)
        case tuple():  # a list of things drawn, one left out
            return value[:1] + value[2:]
    if hasattr(value, "axes"):  # a figure: without its words
        for axes in value.axes:
            for text in list(axes.texts):
                text.remove()
        return value
    return -value


def doubled(value: Any) -> Any:
    match value:
        case (mean, variance) if hasattr(value, "variance"):
            return type(value)(2 * mean, 2 * variance)
        case tuple():
            return value[:-2] + value[-1:]
    return negated(value) if hasattr(value, "axes") else 2 * value


@pytest.mark.parametrize("check", [check for _, check in CHECKS], ids=lambda check: check.name)
def test_it_holds(check: Check) -> None:
    result = check.result()
    assert result.passed, result
    assert result.error <= result.tolerance


def test_every_card_has_checks_pictures_and_questions() -> None:
    for card in CARDS:
        assert len(card.checks) >= 3
        assert card.pictures
        assert card.questions
        assert all(check.formulas or "families" in check.name for check in card.checks)
    names = [check.name for _, check in CHECKS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("change", [negated, doubled], ids=named)
@pytest.mark.parametrize(("check", "formula"), PAIRS, ids=named)
def test_a_formula_of_the_wrong_sign_or_size_is_noticed(
    check: Check,
    formula: Callable[..., Any],
    change: Callable[[Any], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(monkeypatch, formula, with_result(formula, change))
    assert not holds(check)


class Break(ast.NodeTransformer):
    """The formula with its `place`-th sign or number changed; `count` is how many there are."""

    def __init__(self, place: int) -> None:
        self.place, self.count = place, 0

    def chosen(self) -> bool:
        self.count += 1
        return self.count - 1 == self.place

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        other = {ast.Add: ast.Sub, ast.Sub: ast.Add}.get(type(node.op))
        if other and self.chosen():
            node.op = other()
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return node.operand if isinstance(node.op, ast.USub) and self.chosen() else node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        return ast.Constant(node.value + 1) if number and self.chosen() else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)  # which one of several is no number of the formula
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        return node  # nor is an axis


def broken(formula: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every way to get one sign or one number of a formula wrong: its code, and the function it
    makes.
    """
    source = textwrap.dedent(inspect.getsource(formula))
    place = 0
    while True:
        tree, change = ast.parse(source), Break(place)
        function = tree.body[0]
        assert isinstance(function, ast.FunctionDef)
        function.body = [change.visit(line) for line in function.body]
        if place >= change.count:
            return
        names = dict(vars(sys.modules[formula.__module__]))
        exec(compile(ast.fix_missing_locations(tree), "broken", "exec"), names)
        assert isinstance(names[formula.__name__], types.FunctionType)
        yield ast.unparse(function), names[formula.__name__]
        place += 1


@pytest.mark.parametrize("formula", FORMULAS, ids=named)
def test_no_sign_and_no_number_is_free(
    formula: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = [check for check, other in PAIRS if other is formula]
    for code, wrong in broken(formula):
        with monkeypatch.context() as patch:
            put(patch, formula, wrong)
            assert not all(map(holds, theirs)), code


def test_numbers_and_signs_are_found() -> None:
    from aevb_paper.bound import kl_to_prior

    wrong = [code.splitlines()[-1].strip() for code, _ in broken(kl_to_prior)]
    assert (
        "return float(np.sum(1 + np.log(row.scale ** 2) - row.mean ** 2 - row.scale ** 2) / 2)"
        in wrong
    )
    assert len(wrong) == 9  # a minus, three sums, 1, 2, 2, 2 and 2


@pytest.fixture
def _afresh() -> Iterator[None]:
    experiment.cache_clear()
    yield
    experiment.cache_clear()


@pytest.mark.usefixtures("_afresh")
@pytest.mark.parametrize(("route", "family"), FAMILY_ROUTES, ids=named)
def test_a_family_whose_transform_is_wrong_is_noticed(
    route: str, family: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = FAMILIES[route][family]
    monkeypatch.setitem(
        FAMILIES[route],
        family,
        Route(right.base, lambda q, eps: 1.3 * right.transform(q, eps) + 0.02),
    )
    assert abs(experiment(route, EXAMPLES[family]).histogram.excess) > 4
