"""What can go wrong, one class for each way, each with the command line's exit code.

Every message is one line that says what was expected, what was got and where, and what to do about
it.
"""

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
]


class AevbError(Exception):
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


class AevbWarning(UserWarning):
    """Something the user should know about the data or the fit; nothing was lost."""
