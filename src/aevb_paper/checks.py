"""What a study card is made of: words, formulas, pictures, and checks that run."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Card", "Check", "Picture", "Question", "Result", "check", "compile_quickly"]

P = ParamSpec("P")
R = TypeVar("R")


def compile_quickly(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that will run once: in little time, rather than to run in little."""
    import jax

    compiled: Callable[P, R] = jax.jit(
        function, compiler_options={"xla_backend_optimization_level": 0}
    )
    return compiled


class Result(NamedTuple):
    """What came of a check: its `error`, and whether it is within the `tolerance`."""

    name: str
    passed: bool
    error: float
    tolerance: float
    unit: str


@dataclass(frozen=True)
class Check:
    """A statement, and a function that measures how far it is from true.

    Parameters
    ----------
    name
        The statement in words.
    error
        Measures it: 0 where it is exactly true.
    tolerance
        The error that rounding, quadrature or sampling may leave.
    unit
        The unit of the error. Where a mean of draws is compared with what it should be, "standard
        errors".
    needs
        A package without which it cannot be measured, and is skipped.
    """

    name: str
    error: Callable[[], float]
    tolerance: float = 1e-6
    unit: str = ""
    needs: str = ""

    @property
    def can_run(self) -> bool:
        """Whether the package it needs is installed."""
        return not self.needs or find_spec(self.needs) is not None

    def result(self) -> Result:
        """Measure the error; one that is not a number does not pass."""
        error = abs(float(self.error()))
        return Result(self.name, error <= self.tolerance, error, self.tolerance, self.unit)


def check(
    name: str, *, tolerance: float = 1e-6, unit: str = ""
) -> Callable[[Callable[[], float]], Check]:
    """Turn a function that measures an error into a `Check`.

    >>> @check("3 squared is 9")
    ... def square():
    ...     return 3.0 * 3.0 - 9.0
    >>> square.result()
    Result(name='3 squared is 9', passed=True, error=0.0, tolerance=1e-06, unit='')
    """
    return lambda error: Check(name, error, tolerance, unit)


class Picture(NamedTuple):
    """A figure of a card: its file name, how to draw it, and a description for the blind."""

    name: str
    draw: "Callable[[], Figure]"
    description: str


class Question(NamedTuple):
    """A question for flash cards, its answer, and the name of its picture."""

    question: str
    answer: str
    picture: str = ""


class Card(NamedTuple):
    """A study card; `name` is one word, for files and JSON."""

    name: str
    title: str
    text: str
    formulas: tuple[str, ...]
    pictures: tuple[Picture, ...]
    checks: tuple[Check, ...]
    questions: tuple[Question, ...]
