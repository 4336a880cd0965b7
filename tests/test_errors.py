"""Errors: one line that each reader understands, Python's or the command line's."""

import ast
import pickle
import re
from pathlib import Path

import pytest

import aevb
from aevb import errors
from aevb.cli.terminal import with_flags
from aevb.errors import AevbWarning, CheckpointError, DataError

HINTS = {
    "inf='missing'": ({"inf": "missing"}, "--inf missing"),
    "ignore=['a', 'b c']": ({"ignore": ["a", "b c"]}, "--ignore a --ignore 'b c'"),
    "columns={'a': 'count'}": ({"columns": {"a": "count"}}, "--column a=count"),
    "changed_data=True": ({"changed_data": True}, "--allow-changed-data"),
    "labels=['y'] or random_state=3": (
        {"labels": ["y"], "random_state": 3},
        "--label y or --seed 3",
    ),
}


@pytest.mark.parametrize("python", HINTS)
@pytest.mark.parametrize("kind", [DataError, CheckpointError, AevbWarning])
def test_a_hint_is_written_for_python_or_for_the_command_line(kind, python):
    hint, flags = HINTS[python]
    error = pickle.loads(pickle.dumps(kind("got 3", hint=hint)))
    assert (str(error), error.message, error.hint) == (f"got 3 ({python})", "got 3", hint)
    assert with_flags(error) == f"got 3 ({flags})"
    assert with_flags(error, fitting=False) == f"got 3 (fit with {flags})"


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name[0].isupper()])
def test_without_a_hint_the_message_is_all(name):
    error = getattr(errors, name)("got 3")
    assert str(error) == with_flags(error) == "got 3"


def test_the_library_names_no_flags():
    package = Path(aevb.__file__).parent
    for file in package.rglob("*.py"):
        if "cli" in file.relative_to(package).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Raise) or re.search("warn|Error", called, re.IGNORECASE):
                assert not re.search(r"--[a-z]", ast.unparse(node)), (file, node.lineno)
