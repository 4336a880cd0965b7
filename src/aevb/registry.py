"""Parts by name: each part registers itself beside its definition, and nothing else lists it."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

from aevb.errors import ConfigError

__all__ = ["Configured", "Registry", "configured", "label_of"]

RegisteredPart = TypeVar("RegisteredPart")
Definition = TypeVar("Definition")


class Registry(Generic[RegisteredPart]):
    """The parts of one role, "prior" say, by the name that people give, in order of definition.

    Examples
    --------
    >>> shapes: Registry[type] = Registry("shape")
    >>> @shapes.register("round")
    ... class Circle: ...
    >>> list(shapes), shapes["round"].__name__
    (['round'], 'Circle')
    >>> shapes["rund"]
    Traceback (most recent call last):
        ...
    aevb.errors.ConfigError: no shape is named 'rund'; did you mean 'round'?
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self._parts: dict[str, RegisteredPart] = {}

    def register(self, name: str) -> Callable[[Definition], Definition]:
        """A decorator that files a part under this name."""

        def file(part: Definition) -> Definition:
            if name in self._parts:
                raise ConfigError(f"a {self.role} named {name!r} is registered already")
            self._parts[name] = part  # type: ignore[assignment]
            return part

        return file

    def find(self, part: object) -> RegisteredPart:
        """The part of this name, or the part itself where it is not a name."""
        if isinstance(part, str):
            return self[part]
        return part  # type: ignore[return-value]

    def __getitem__(self, name: str) -> RegisteredPart:
        if name not in self._parts:
            raise ConfigError(f"no {self.role} is named {name!r}; {self._advice(name)}")
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __len__(self) -> int:
        return len(self._parts)

    def _advice(self, name: str) -> str:
        near = get_close_matches(name, self._parts, n=1)
        if near:
            return f"did you mean {near[0]!r}?"
        return f"there are {', '.join(self._parts)}"


class Configured:
    """A part whose options are not the defaults; see `configured`."""

    def __init__(self, part: Callable[..., object], options: dict[str, object]) -> None:
        self.part = part
        self.options = options

    def build(self, start: object) -> object:
        """The part, built with these options."""
        return self.part.build(start, **self.options)  # type: ignore[attr-defined]


def configured(part: type, **options: object) -> Configured:
    """A part to be built with other options than its defaults, for `aevb.VAE` to take.

    Examples
    --------
    >>> from aevb import VAE, priors
    >>> vae = VAE(prior=configured(priors.GaussianMixture, components=30))
    """
    return Configured(part, options)


def label_of(part: object) -> str:
    """The name of a part, for messages and files: its own, or that of its class."""
    if isinstance(part, str):
        return part
    if isinstance(part, Configured):
        return label_of(part.part)
    name = getattr(part, "__name__", None)
    return str(name or type(part).__name__)
