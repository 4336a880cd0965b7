"""`aevb.settings` at the shell: its options, their help, and what was typed as settings."""

import types
from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

from aevb.errors import ConfigError
from aevb.settings import About, RunSettings, about

__all__ = ["SettingsCommand", "typed_settings", "with_settings"]

Command = TypeVar("Command", bound=Callable[..., None])


def with_settings(command: Command) -> Command:
    """The command, with an option for each setting that the shell has.

    Its own parameters stay; what was typed is in ``context.params``, by the settings' names.
    """
    own = list(signature(command, eval_str=True).parameters.values())
    own = [parameter for parameter in own if parameter.kind is not Parameter.VAR_KEYWORD]
    for name, default, described in about(RunSettings):
        if described.shell:
            own.append(_option(name, default, described))
    known = signature(command).replace(parameters=sorted(own, key=lambda one: one.kind))
    command.__signature__ = known  # type: ignore[attr-defined]
    return command


def typed_settings(typed: Mapping[str, object]) -> dict[str, object]:
    """The settings that were typed: options bear the names of the settings."""
    given: dict[str, object] = {}
    for name, field in RunSettings.model_fields.items():
        value = typed.get(name)
        if value is None or value in ([], ()):
            continue
        if isinstance(value, list | tuple):
            value = list(value)
        if isinstance(value, str):
            value = _value(value, _types(field.annotation))
        given[name] = value
    if "columns" in given:
        typed_columns: list[str] = given["columns"]  # type: ignore[assignment]
        given["columns"] = dict(_pair(text) for text in typed_columns)
    return given


class SettingsCommand(TyperCommand):
    """A command whose help lists the names of parts, which are looked up only when it is shown."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with the names there are."""
        described = {name: text for name, _, text in about(RunSettings)}
        for parameter in self.params:
            text = described.get(str(parameter.name))
            if text is not None and text.names is not None:
                parameter.help = text.with_names(str(parameter.help))  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def _option(name: str, default: object, described: About) -> Parameter:
    """A parameter of the command, from which Typer makes an option."""
    types_there = _types(RunSettings.model_fields[name].annotation)
    flag = f"--{described.option or name.replace('_', '-')}"
    if types_there == {bool}:
        flag = f"{flag}/--no-{flag[2:]}"
    shown = "" if default in (None, (), False) else f" [{_shown(default)}]"
    names = " One of {names}." if described.names is not None and name != "columns" else ""
    option = typer.Option(flag, help=f"{described.help}{names}{shown}", metavar=described.metavar)
    return Parameter(
        name,
        Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[_shell_type(types_there), option],
    )


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default)


def _shell_type(there: set[type]) -> object:
    """The type of an option: numbers and switches are Typer's to check, the rest is text."""
    if dict in there or there == {tuple}:
        return list[str] | None if str in there or dict in there else str | None
    for plain in (bool, int, float):
        if there == {plain}:
            return plain | None
    return str | None


def _types(annotation: object) -> set[type]:
    """The plain types a setting may have, those of choices included."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return set().union(*(_types(one) for one in get_args(annotation)))
    if origin is Annotated:
        return _types(get_args(annotation)[0])
    if origin is Literal:
        return {str}
    for plain in (bool, int, float, str, tuple, dict):
        if plain in (origin, annotation):
            return {plain}
    return set()


def _value(text: str, there: set[type]) -> object:
    """A number or a list of numbers where the setting has such; the settings judge the rest."""
    if tuple in there and ("," in text or int not in there):
        return [_number(part) for part in text.split(",") if part.strip()]
    if there & {int, float}:
        return _number(text)
    return text


def _number(text: str) -> int | float | str:
    for plain in (int, float):
        try:
            return plain(text)
        except ValueError:
            continue
    return text.strip()


def _pair(text: str) -> tuple[str, str]:
    name, equals, kind = text.rpartition("=")
    if not equals:
        raise ConfigError(f"--column must be NAME=KIND, such as age=continuous; got {text!r}")
    return name, kind
