"""Imports go one way, down the layers of docs/design.md, and `import aevb` stays light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "aevb"
HEAVY = (
    "jax",
    "sklearn",
    "pyarrow",
    "matplotlib",
    "numpyro",
    "equinox",
    "optax",
    "pandas",
    "polars",
    "scipy",
    "numpy",
)

MODULES = {
    ".".join(("aevb", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(SOURCE.rglob("*.py"))
}


@cache
def layers() -> dict[str, int]:
    """The layer of each module, from the table in docs/design.md: | 2 | `posteriors` `likelihoods/`
    | ... |.
    """
    rows = re.findall(
        r"^\| (\d+) \| (.*?) \|", (ROOT / "docs" / "design.md").read_text("utf-8"), re.MULTILINE
    )
    return {name: int(layer) for layer, names in rows for name in re.findall(r"`(\w+)/?`", names)}


def part(module: str) -> str:
    """The name in the table that a module stands under."""
    return module.split(".")[1]


def imports(module: str, tree: ast.AST, *, late: bool = True) -> Iterator[str]:
    """The modules of this package that a tree imports, those inside functions too where `late`.

    What only a type checker reads is none.
    """
    match tree:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.FunctionDef() | ast.AsyncFunctionDef() if not late:
            return
        case ast.Import(names=names):
            yield from (alias.name for alias in names if alias.name in MODULES)
        case ast.ImportFrom(module=str(source), names=names, level=0) if source in MODULES:
            yield from (
                name if (name := f"{source}.{alias.name}") in MODULES else source for alias in names
            )
        case ast.ImportFrom(level=level) if level:
            raise AssertionError(f"{module}: a relative import hides its layer")
    for child in ast.iter_child_nodes(tree):
        yield from imports(module, child, late=late)


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def test_every_module_has_a_layer() -> None:
    assert {part(module) for module in MODULES if module != "aevb"} <= layers().keys()


@pytest.mark.parametrize("module", [module for module in MODULES if module != "aevb"])
def test_imports_go_down(module: str) -> None:
    for imported in imports(module, tree(module)):
        if imported != "aevb":
            assert layers()[part(imported)] <= layers()[part(module)], (
                f"{module} imports {imported}, which is above it"
            )


def test_no_module_needs_itself_to_be_imported() -> None:
    at_import = {module: set(imports(module, tree(module), late=False)) for module in MODULES}
    TopologicalSorter(at_import).prepare()  # raises CycleError


@pytest.mark.parametrize("module", ["aevb", "aevb.cli"])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules.keys() & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_rule_sees_what_it_forbids() -> None:
    """Every way of importing is seen: at the top, in a function, in a branch."""
    code = """
from aevb import train as training
import aevb.linear
if True:
    from aevb.marginal.importance import elbo
def late():
    try:
        from aevb.disk import locked
    except ImportError:
        pass
if TYPE_CHECKING:
    from aevb.sklearn.estimator import VAE
"""
    found = {
        late: sorted(imports("aevb.model", ast.parse(code), late=late)) for late in (True, False)
    }
    assert found[True] == ["aevb.marginal.importance", "aevb.linear", "aevb.disk", "aevb.train"]
    assert found[False] == ["aevb.marginal.importance", "aevb.linear", "aevb.train"]
