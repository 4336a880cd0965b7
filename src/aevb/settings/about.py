"""What people read about a setting, and what a message says where it is wrong.

Names of parts are read from the registries when they are needed, so that importing this stays
light.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from reprlib import Repr
from typing import Literal

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from aevb.errors import ConfigError, nearest

__all__ = ["About", "about"]


@dataclass(frozen=True)
class Names:
    """The names that people may give, in their order.

    Parameters
    ----------
    place
        The module and the registry, dictionary or tuple in it that has them.
    auto
        Whether "auto" is one too.
    """

    place: str
    auto: bool = False

    def __iter__(self) -> Iterator[str]:
        module, _, name = self.place.rpartition(".")
        parts = getattr(import_module(module), name)
        if self.auto:
            yield "auto"
        for part in parts:
            implied = not isinstance(parts, tuple) and getattr(parts[part], "implied", False)
            if not implied:
                yield part


@dataclass(frozen=True)
class About:
    """What people read about a setting, and how it is written at the shell.

    Parameters
    ----------
    expected
        The end of the sentence "<name> must be ..."; ``{names}`` stands for the names there are.
    names
        The names there are, where it takes one: others are refused.
    option
        Its option at the shell; the setting's own name with dashes unless given.
    metavar
        What stands for its value in the help of the command line.
    shell
        What is typed at the shell: a value of the type of the default, which is text where that is
        none ("value"), a number or a word ("number"), a list of numbers ("numbers"), a text each
        time the option is given ("texts"), or "nothing".
    help
        What it is, in a sentence or two: the text below the field.
    """

    expected: str
    names: Names | None = None
    option: str = ""
    metavar: str | None = None
    shell: Literal["value", "number", "numbers", "texts", "nothing"] = "value"
    help: str = ""

    def with_names(self, text: str) -> str:
        """The text, ``{names}`` replaced by the names there are."""
        if self.names is None:
            return text
        *names, last = [repr(name) for name in self.names]
        listed = f"{', '.join(names)} or {last}" if names else last
        return text.replace("{names}", listed)

    def check(self, value: object) -> object:
        """Raise `ValueError` for a name that is not registered, alone or in a mapping by column."""
        if isinstance(value, Mapping):
            if "auto" in value.values():
                raise ValueError("'auto' is for all columns")
            for asked in value.values():
                if not isinstance(asked, Mapping):
                    self.check(asked)
        elif isinstance(value, str) and value not in set(self.names or [value]):
            raise ValueError(f"no such name: {value}")
        return value

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        if self.names is None:
            return schema
        return no_info_after_validator_function(self.check, schema)


def about(settings: type[BaseModel]) -> Iterator[tuple[str, object, About]]:
    """Name, default and description of each setting."""
    for name, field in settings.model_fields.items():
        described = next(one for one in field.metadata if isinstance(one, About))
        text = " ".join((field.description or "").split())
        yield name, field.default, replace(described, help=text)


def explain(settings: type[BaseModel], values: Mapping[str, object], error: ValidationError) -> str:
    """One line about the first wrong setting, with the nearest right word."""
    errors = error.errors(include_url=False)
    place = errors[0]["loc"]
    if not place:  # settings that do not go together
        return str(errors[0]["ctx"]["error"])
    cause = errors[0].get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):  # it says itself what is wrong
        return str(cause)
    name = str(place[0])
    known = {one: described for one, _, described in about(settings)}
    if name not in known:
        return f"unknown setting {_short(name)}; {nearest(name, known)}"
    value = values[name]
    inputs = [one["input"] for one in errors]
    if isinstance(value, Mapping):
        inputs += value.values()
    expected = known[name].with_names(known[name].expected)
    return f"{name} must be {expected}; got {_short(value)}{_meant(inputs, expected)}"


def _meant(inputs: list[object], expected: str) -> str:
    """The word that was meant, where a choice was misspelled."""
    words = re.findall(r"\w+", expected)
    for value in inputs:
        if not isinstance(value, str) or value in words:
            continue
        for near in get_close_matches(value, words, n=1):
            return f"; did you mean {near!r}?"
    return ""


def _short(value: object) -> str:
    """A value on part of a line, however large."""
    short = Repr()
    short.maxstring = short.maxother = 60
    return short.repr(value)
