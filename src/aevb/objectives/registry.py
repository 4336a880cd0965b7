"""The estimators of the bound by name, and what is to be known of each."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import equinox as eqx
from jaxtyping import Array

from aevb.errors import ConfigError
from aevb.registry import Registry, label_of

__all__ = [
    "OBJECTIVES",
    "Estimator",
    "Objective",
    "check_takes",
    "estimator",
    "estimator_of",
    "keywords_of",
    "with_options",
]

#: (model, x, key, *, settings) -> nats of one row.
Objective = Callable[..., Array]
AnyObjective = TypeVar("AnyObjective", bound=Objective)


@dataclass(frozen=True)
class Estimator:
    """An estimator of the bound, and what it can do."""

    #: (model, x, key, *, samples, kl_weight) -> nats of one row.
    function: Objective
    #: What becomes of it at one draw per row, where it is made for several; else empty.
    several_draws: str = ""
    #: Whether it takes `free_bits`.
    free_bits: bool = False
    #: Whether it has a slope for latents that are levels.
    levels: bool = False

    def with_options(self, **options: float) -> Objective:
        """The function, with those of these options that it takes."""
        return with_options(self.function, **options)


#: The estimators by name.
OBJECTIVES: Registry[Estimator] = Registry("objective")


def estimator(
    *, several_draws: str = "", free_bits: bool = False, levels: bool = False
) -> Callable[[AnyObjective], AnyObjective]:
    """Register an estimator under its function's name; the arguments are those of `Estimator`."""

    def register(function: AnyObjective) -> AnyObjective:
        name = getattr(function, "__name__", repr(function))
        OBJECTIVES.register(name)(Estimator(function, several_draws, free_bits, levels))
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
    return Estimator(objective, free_bits="free_bits" in keywords_of(objective), levels=True)


def with_options(objective: Objective, **options: float | None) -> Objective:
    """The objective, with those of these options that it takes and that are not None.

    Those with equal options are equal to a compiled program, so that one serves all fits.
    """
    known = keywords_of(objective)
    taken = {}
    for name, value in options.items():
        if name in known and value is not None:
            taken[name] = value
    return eqx.Partial(objective, **taken)


def keywords_of(objective: Objective) -> frozenset[str]:
    """The names of settings that an objective takes, after (model, x, key)."""
    if isinstance(objective, eqx.Partial) and not objective.args:
        return keywords_of(objective.func)
    parameters = list(inspect.signature(objective).parameters.values())[3:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset({"samples", "kl_weight", "free_bits"})
    return frozenset(parameter.name for parameter in parameters)


def check_takes(objective: Objective, **settings: float | None) -> None:
    """Raise `ConfigError` if a setting other than None is not accepted by the objective."""
    for setting, value in settings.items():
        if value is not None and setting not in keywords_of(objective):
            function = objective.func if isinstance(objective, eqx.Partial) else objective
            name = label_of(function)
            raise ConfigError(
                f"objective {name} takes no {setting}: leave it out, "
                f"or add the keyword argument {setting}"
            )
