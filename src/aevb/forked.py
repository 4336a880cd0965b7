"""Processes forked after JAX had started, in which JAX would wait forever for its threads.

A fork copies one thread of a process and none of the others. What needs JAX in such a process runs
in a fresh one, its helper, which is started when first needed and ends with it; what cannot be
handed over is refused.
"""

import importlib
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast

from aevb.errors import ConfigError

__all__ = ["is_forked", "refuse_if_forked", "serve", "survives_fork"]

Function = TypeVar("Function", bound=Callable[..., Any])

REMEDY = (
    "this process was forked after JAX had started, and JAX cannot run in it: start processes with "
    "multiprocessing.get_context('spawn'), or use threads"
)


class _State:
    """What is true of this process."""

    forked = False
    helper: "subprocess.Popen[bytes] | None" = None
    lock = threading.Lock()


class Outcome(NamedTuple):
    """What a helper answers: a value or an error, and the warnings on the way."""

    value: object
    error: BaseException | None
    notes: list[Warning | str]


def is_forked() -> bool:
    """Whether this process was forked after JAX had started its threads."""
    return _State.forked


def refuse_if_forked() -> None:
    """Raise `ConfigError` in a process in which JAX would hang."""
    if _State.forked:
        raise ConfigError(REMEDY)


def survives_fork(function: Function) -> Function:
    """A decorator of a function or method that needs JAX: in a forked process its helper runs it.

    Arguments and the value are copied between the two. A method that returns its object, as `fit`
    does, changes that object.
    """

    @wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if not _State.forked:
            return function(*args, **named)
        value = _run_by_helper(function.__module__, function.__qualname__, args, named)
        if args and type(value) is type(args[0]):
            vars(args[0]).update(vars(value))
            return args[0]
        return value

    return cast(Function, call)


def _mark_child() -> None:
    """In a child: note whether JAX had started in its parent, whose helper is not its own."""
    _State.helper = None
    _State.lock = threading.Lock()
    # Read without JAX's lock, which another thread may have held at the fork.
    backends = getattr(sys.modules.get("jax._src.xla_bridge"), "_backends", None)
    if backends:
        _State.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_child)


def _run_by_helper(module: str, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    try:
        request = pickle.dumps((module, name, args, named))
    except Exception as error:  # pickle raises whatever an object's own code does
        raise ConfigError(f"{REMEDY} (not every argument can be copied: {error})") from error
    with _State.lock:
        outcome = _answer(request)
    for note in outcome.notes:
        warnings.warn(note, stacklevel=4)
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def _answer(request: bytes) -> Outcome:
    if _State.helper is None or _State.helper.poll() is not None:
        _State.helper = _started()
    try:
        to_helper = cast(BinaryIO, _State.helper.stdin)
        _send(to_helper, request)
        answer = _received(cast(BinaryIO, _State.helper.stdout))
    except (EOFError, BrokenPipeError) as error:
        raise ConfigError(f"{REMEDY} (its helper process ended)") from error
    return cast(Outcome, pickle.loads(answer))


def _send(stream: BinaryIO, message: bytes) -> None:
    """Write a message that is read as a whole, also where its content cannot be."""
    pickle.dump(message, stream)
    stream.flush()


def _received(stream: BinaryIO) -> bytes:
    return cast(bytes, pickle.load(stream))


def _started() -> "subprocess.Popen[bytes]":
    code = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
        "from aevb.forked import serve; serve()"
    )
    command = [sys.executable, "-c", code, json.dumps(sys.path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def serve() -> None:
    """Run what the process at the other end of standard input asks for, until it is gone."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what functions print is no answer
    while True:
        try:
            outcome = _outcome(_received(requests))
            _send(answers, _pickled(outcome))
        except (EOFError, BrokenPipeError):
            return


def _outcome(request: bytes) -> Outcome:
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        value, error = None, None
        try:
            module, name, args, named = pickle.loads(request)
        except Exception as reason:  # a class that lives in the script, for one
            return Outcome(None, ConfigError(f"{REMEDY} ({reason})"), [])
        try:
            value = attrgetter(name)(importlib.import_module(module))(*args, **named)
        except Exception as reason:
            error = reason
    return Outcome(value, error, [note.message for note in notes])


def _pickled(outcome: Outcome) -> bytes:
    try:
        return pickle.dumps(outcome)
    except Exception as error:
        return pickle.dumps(Outcome(None, ConfigError(f"{REMEDY} ({error})"), []))
