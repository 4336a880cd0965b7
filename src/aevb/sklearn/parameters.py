"""The parameters of the estimators, made from `aevb.settings.Settings`, their only list."""

from collections.abc import Callable
from inspect import Parameter, Signature, cleandoc
from textwrap import indent, wrap
from typing import Any, TypeVar

from aevb.settings import Settings, about

__all__ = ["PARAMETERS", "with_parameters"]

EstimatorClass = TypeVar("EstimatorClass", bound=type)

#: The parameters in their order, with their defaults.
PARAMETERS = {name: default for name, default, _ in about(Settings)}


def with_parameters(by_place: int = 0, **own: object) -> Callable[[EstimatorClass], EstimatorClass]:
    """A class decorator: a constructor that stores the settings, and their documentation.

    Parameters
    ----------
    by_place
        How many of the settings may be given without their names.
    **own
        Parameters of the estimator's own, with their defaults, that come first.
    """
    by_place += 1 + len(own)  # self and these
    parameters = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)]
    for name, default in {**own, **PARAMETERS}.items():
        by_name = len(parameters) >= by_place
        kind = Parameter.KEYWORD_ONLY if by_name else Parameter.POSITIONAL_OR_KEYWORD
        parameters.append(Parameter(name, kind, default=default))
    known = Signature(parameters)

    def store(self: Any, *values: Any, **named: Any) -> None:
        bound = known.bind(self, *values, **named)
        bound.apply_defaults()
        for name in list(bound.arguments)[1:]:
            setattr(self, name, bound.arguments[name])

    store.__signature__ = known  # type: ignore[attr-defined]

    def decorate(estimator: EstimatorClass) -> EstimatorClass:
        estimator.__init__ = store  # type: ignore[misc]
        documentation = cleandoc(estimator.__doc__ or "")
        estimator.__doc__ = documentation.replace("{parameters}", document())
        return estimator

    return decorate


def document(width: int = 96) -> str:
    """The settings as the section "Parameters" of a docstring has them."""
    lines = []
    for name, default, described in about(Settings):
        expected = described.with_names(described.expected)
        lines.append(f"{name} : {expected}, default={default!r}")  # on one line, for Sphinx
        lines.append(indent("\n".join(wrap(described.help, width)), "    "))
    return "\n".join(lines)
