"""The estimators of the bound by name, and what a fit must know about each."""

from collections.abc import Callable
from functools import cache, partial
from inspect import signature
from typing import NamedTuple, TypeVar

from jaxtyping import Array

from aevb.errors import ConfigError
from aevb.registry import Registry, label_of

__all__ = ["OBJECTIVES", "Estimator", "estimator", "estimator_of"]

Objective = Callable[..., Array]
Function = TypeVar("Function", bound=Objective)


class Estimator(NamedTuple):
    """An estimator of the bound.

    Parameters
    ----------
    function
        (model, x, key, samples=, kl_weight=) -> nats of one row.
    one_draw
        What becomes of it with one draw per row, where it is made for several.
    free_bits
        Whether it takes ``free_bits=``.
    levels
        Whether latents may be levels.
    """

    function: Objective
    one_draw: str = ""
    free_bits: bool = False
    levels: bool = True

    def with_options(self, **options: float) -> Objective:
        """The function, with those of these options that it takes.

        With equal options it is always the same object, so that one compilation serves all fits.
        """
        known = signature(self.function).parameters
        taken = tuple((name, value) for name, value in options.items() if name in known)
        return _with_options(self.function, taken)


#: The estimators by name.
OBJECTIVES: Registry[Estimator] = Registry("objective")


def estimator(
    *, one_draw: str = "", free_bits: bool = False, levels: bool = True
) -> Callable[[Function], Function]:
    """A decorator that registers an estimator under the name of its function."""

    def register(function: Function) -> Function:
        entry = Estimator(function, one_draw, free_bits, levels)
        OBJECTIVES.register(function.__name__)(entry)
        return function

    return register


def estimator_of(objective: object) -> Estimator:
    """The estimator of a name or a function; a function of one's own may do what it takes."""
    if isinstance(objective, str):
        return OBJECTIVES[objective]
    for name in OBJECTIVES:
        if OBJECTIVES[name].function is objective:
            return OBJECTIVES[name]
    if not callable(objective):
        raise ConfigError(f"objective: expected a name or a function, got {label_of(objective)}")
    return Estimator(objective, free_bits="free_bits" in signature(objective).parameters)


@cache
def _with_options(function: Objective, options: tuple[tuple[str, float], ...]) -> Objective:
    if not options:
        return function
    return partial(function, **dict(options))
