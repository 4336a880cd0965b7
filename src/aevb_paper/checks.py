"""What a study card is made of: words, formulas, pictures, and checks that measure how far a
formula is from true.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Card", "Check", "Picture", "Question", "Result", "quickly"]


def quickly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled in little time rather than to run in little: it will run once."""
    import jax

    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


class Result(NamedTuple):
    """What came of a check: `error`, in `unit`, and whether it is within the `tolerance`."""

    name: str
    passed: bool
    error: float
    tolerance: float
    unit: str


@dataclass(frozen=True)
class Check:
    """Something that is so, and how to measure how far it is from being so.

    Parameters
    ----------
    name
        What is so, in words.
    error
        Measures it: 0 where it is exactly so.
    formulas
        The functions it stands on: with a sign or a factor of one of them wrong, it fails.
    tolerance
        The error that rounding, quadrature or sampling may leave.
    unit
        Of the error. Where draws are compared with what they should be in the mean, "standard
        errors".
    needs
        A package without which it cannot be measured, and is left out.

    Examples
    --------
    >>> def square(x):
    ...     return x * x
    >>> Check("3 squared is 9", lambda: square(3.0) - 9, (square,)).result()
    Result(name='3 squared is 9', passed=True, error=0.0, tolerance=1e-06, unit='')
    """

    name: str
    error: Callable[[], float]
    formulas: tuple[Callable[..., object], ...]
    tolerance: float = 1e-6
    unit: str = ""
    needs: str = ""

    @property
    def can_run(self) -> bool:
        """Whether the package it needs is installed."""
        return not self.needs or find_spec(self.needs) is not None

    def result(self) -> Result:
        """Measure; an error that is not a number passes nothing."""
        error = abs(float(self.error()))
        return Result(self.name, error <= self.tolerance, error, self.tolerance, self.unit)


@dataclass(frozen=True)
class Picture:
    """A figure of a card: its name among files, how it is drawn, and what it shows, for those who
    cannot see it.
    """

    name: str
    draw: "Callable[[], Figure]"
    description: str


@dataclass(frozen=True)
class Question:
    """A question for a deck of flash cards and its answer, in Markdown with formulas in TeX between
    dollars.
    """

    question: str
    answer: str
    picture: str = ""


@dataclass(frozen=True)
class Card:
    """One of the five: what it says in words, its formulas in TeX, and what runs.

    Parameters
    ----------
    name
        One word, for files and JSON.
    title, text, formulas
        What it says; `text` is Markdown.
    pictures, checks, questions
        What is drawn, measured and asked.
    """

    name: str
    title: str
    text: str
    formulas: tuple[str, ...]
    pictures: tuple[Picture, ...]
    checks: tuple[Check, ...]
    questions: tuple[Question, ...]
