"""`aevb.settings` at the shell: its options, their help, and what was typed as settings."""

import re
from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Annotated, Any, TypeVar

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
        if described.shell != "nothing":
            own.append(_option(name, default, described))
    known = signature(command).replace(parameters=sorted(own, key=lambda one: one.kind))
    command.__signature__ = known  # type: ignore[attr-defined]
    return command


def typed_settings(typed: Mapping[str, object]) -> dict[str, object]:
    """The settings that were typed: options bear the names of the settings."""
    given: dict[str, object] = {}
    for name, _, described in about(RunSettings):
        value = typed.get(name)
        if value is None or value in ([], ()):
            continue
        if described.shell in ("number", "numbers"):
            value = _numbers(str(value), several=described.shell == "numbers")
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
    flag = f"--{described.option or name.replace('_', '-')}"
    kind: type = str
    if described.shell == "texts":
        kind = list[str]
    elif isinstance(default, bool | int | float):
        kind = type(default)
    if kind is bool:
        flag = f"{flag}/--no-{flag[2:]}"
    shown = "" if default in (None, (), False) else f" [{_shown(default)}]"
    names = " One of {names}." if described.names is not None and name != "columns" else ""
    option = typer.Option(flag, help=f"{described.help}{names}{shown}", metavar=described.metavar)
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default)


def _numbers(text: str, several: bool) -> object:
    """A number, or a list of them; text that is none of these is for the settings to judge."""
    if several or "," in text:
        return [_number(part) for part in text.split(",") if part.strip()]
    return _number(text)


def _number(text: str) -> int | float | str:
    for plain in (int, float):
        try:
            return plain(text)
        except ValueError:
            continue
    return text.strip()


def _pair(text: str) -> tuple[str, object]:
    """A column's name, and its kind or a mapping: NAME=KIND or NAME=KIND,lower=0,step=0.5."""
    found = re.fullmatch(r"(.*)=([A-Za-z_]*)((?:,[a-z]+=[^=,]*)*)", text, re.DOTALL)
    if found is None:
        raise ConfigError(f"--column must be NAME=KIND, such as age=continuous; got {text!r}")
    name, kind, more = found.groups()
    if not more:
        return name, kind
    said: dict[str, object] = {}
    if kind:
        said["kind"] = kind
    for part in more[1:].split(","):
        key, _, value = part.partition("=")
        said[key] = _number(value)
    return name, said
