"""What can go wrong: one class for each way, with the exit code of the command line.

Every message is one line that says what was expected, what was got and where, and what to do. A
setting that would help is the error's `hint`: Python shows it as ``inf='missing'``, and the command
line turns it into a flag.
"""

import difflib
from collections.abc import Iterable, Mapping

__all__ = [
    "AevbError",
    "AevbWarning",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "ModelFileError",
    "NumericalError",
    "OutputError",
    "ResourceError",
    "listed",
    "nearest",
]


class _HintedError(Exception):
    """A message and, by name, the settings that would help: any of them would.

    >>> str(DataError("expected finite numbers: count others as missing", hint={"inf": "missing"}))
    "expected finite numbers: count others as missing (inf='missing')"
    """

    def __init__(self, *args: object, hint: Mapping[str, object] | None = None) -> None:
        super().__init__(*args)
        self.hint = dict(hint or {})

    @property
    def message(self) -> str:
        """The line without its hint."""
        return super().__str__()

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        settings = [f"{name}={value!r}" for name, value in self.hint.items()]
        return f"{self.message} ({' or '.join(settings)})"


class AevbError(_HintedError):
    """Base class of every error this package raises on purpose."""

    exit_code = 1


class ConfigError(AevbError, ValueError):
    """A setting that is unknown, of the wrong type or out of range."""

    exit_code = 2


class DataError(AevbError, ValueError):
    """Data that cannot be read, or that do not have the columns the model was fitted to."""

    exit_code = 3


class NumericalError(AevbError, ArithmeticError):
    """Training met non-finite numbers that skipping steps and a smaller step size did not cure."""

    exit_code = 4


class CheckpointError(AevbError, OSError):
    """A checkpoint that could not be written, read or trusted."""

    exit_code = 5


class OutputError(AevbError, OSError):
    """An output file or run folder that could not be written, or is held by another process."""

    exit_code = 5


class ResourceError(AevbError, MemoryError):
    """Not enough memory for what was asked."""

    exit_code = 5


class ModelFileError(AevbError, ValueError):
    """A model folder that is damaged, of another version, or not one of ours."""

    exit_code = 6


class AevbWarning(_HintedError, UserWarning):  # noqa: N818
    """Something the user should know about the data or the fit; nothing was lost.

    Parameters
    ----------
    hint
        Settings that would help, by name.
    code
        Which note this is, such as AEV104: `aevb.table.codes` says what it means and what to do.
    columns
        Names of the columns it is about.

    >>> str(AevbWarning("constant: x", code="AEV104", columns=["x"]))
    'AEV104: constant: x'
    """

    def __init__(
        self,
        *args: object,
        hint: Mapping[str, object] | None = None,
        code: str = "",
        columns: Iterable[str] = (),
    ) -> None:
        super().__init__(*args, hint=hint)
        self.code = code
        self.columns = tuple(columns)

    def __str__(self) -> str:
        return self.coded(super().__str__())

    def coded(self, line: str) -> str:
        """A line with the code before it, if there is one."""
        return f"{self.code}: {line}" if self.code else line


def listed(words: Iterable[object], most: int = 10) -> str:
    """Words of a message, the first ones of many.

    >>> listed("abc", most=2)
    'a, b and 1 more'
    """
    texts = list(map(str, words))
    shown = ", ".join(texts[:most])
    return shown if len(texts) <= most else f"{shown} and {len(texts) - most} more"


def nearest(word: object, words: Iterable[str]) -> str:
    """A suggestion: the word that may have been meant, or all of a few.

    >>> nearest("cout", ["count", "ordinal"])
    "did you mean 'count'?"
    """
    words = list(words)
    near = difflib.get_close_matches(str(word), words, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(words[:12])}"
