"""Count the structure of a source tree and set each count beside its aim.

    python benchmarks/house.py [SRC ...] [--places MEASURE] [--verbose] [--check]

SRC is a package, a folder inside one, or a file; the default is src/aevb. A star marks a value that
misses its aim. Imports by text, such as those of a lazy `__getattr__`, are not seen.
"""

import argparse
import ast
import io
import re
import textwrap
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

Place = tuple[int, str]  # a line number and what stands there
Groups = dict[str, list[str]]  # places by file, modules by circle, modules by name
Find = Callable[["Module"], Iterator[Place]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name and its path, both below the package's parent folder."""

    name: str
    path: Path
    text: str
    tree: ast.Module
    nodes: list[ast.AST]


@dataclass(frozen=True)
class Measure:
    """A value, its aim, and the places it counts."""

    title: str
    value: float
    aim: float
    groups: Groups


def read(source: Path) -> list[Module]:
    """Read the Python files of a folder, or one file."""
    source = source.resolve()
    folder = source if source.is_dir() else source.parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    modules = []
    for file in sorted(source.rglob("*.py")) or [source]:
        path = file.relative_to(folder)
        name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text, str(file))
        modules.append(Module(name, path, text, tree, list(ast.walk(tree))))
    return modules


def count_lines(module: Module) -> tuple[int, int]:
    """Count the lines of code, and the lines with text: code, docstrings and comments."""
    code, docstrings, comments = set[int](), set[int](), 0
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT:
            comments += 1
        elif token.string.strip():
            code.update(range(token.start[0], token.end[0] + 1))
    blank = {n for n, line in enumerate(module.text.splitlines(), 1) if not line.strip()}
    for node in module.nodes:
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node):
            first = node.body[0]
            docstrings.update(range(first.lineno, (first.end_lineno or 0) + 1))
    lines = len(code - docstrings - blank)
    return lines, lines + len(docstrings) + comments


def long_lines(module: Module) -> Iterator[Place]:
    """Find the lines of more than 100 characters."""
    for number, line in enumerate(module.text.splitlines(), 1):
        if len(line) > 100:
            yield number, ""


def nodes_of(module: Module, kinds: type | tuple[type, ...]) -> Iterator[Place]:
    """Find the nodes of these kinds."""
    for node in module.nodes:
        if isinstance(node, kinds):
            yield getattr(node, "lineno", 0), ""


def long_functions(module: Module) -> Iterator[Place]:
    """Find the functions of more than 40 lines, docstrings included."""
    for node in module.nodes:
        if isinstance(node, Function):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > 40:  # the 1.7 % of HOUSE.md; 0.5 % without the docstrings
                yield node.lineno, f"{node.name} of {length} lines"


def uses_of_any(module: Module) -> Iterator[Place]:
    """Find `Any`, in imports and quoted annotations too: the 54 of HOUSE.md, 47 without imports."""
    for node in module.nodes:
        text = ""
        if isinstance(node, ast.Name | ast.Attribute | ast.alias):
            text = ast.unparse(node).split(".")[-1]
        if isinstance(node, ast.Constant):
            text = str(node.value)
        if re.fullmatch(r"Any|[\w.]+\[.*\bAny\b.*\]", text):
            yield getattr(node, "lineno", 0), ""


def assigned(parent: ast.Module | ast.ClassDef) -> dict[str, int]:
    """Return the names that a module or class assigns, and their lines."""
    names: dict[str, int] = {}
    for statement in parent.body:
        targets: list[ast.expr] = getattr(statement, "targets", [])
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            for node in ast.walk(target):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.setdefault(node.id, node.lineno)
    return names


def constants(module: Module) -> Iterator[Place]:
    """Find the module-level names in upper case, each name of a tuple by itself."""
    for name, line in assigned(module.tree).items():
        if re.fullmatch(r"_?[A-Z][A-Z0-9_]*", name):
            yield line, name


def shared_names(modules: list[Module]) -> Groups:
    """Return the top-level names that two or more modules define, with these modules."""
    homes: Groups = defaultdict(list)
    for module in modules:
        names = set(assigned(module.tree))
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef | Function):
                names.add(node.name)
        for name in sorted(names):
            homes[name].append(module.name)
    return {n: found for n, found in homes.items() if len(found) > 1 and not n.startswith("__")}


def is_private(name: str) -> bool:
    """Whether a name starts with one underscore; the methods of named tuples are public."""
    public = {"_asdict", "_replace", "_make", "_fields", "_field_defaults"}
    return name.startswith("_") and not name.startswith("__") and name not in public


def defined(module: Module) -> set[str]:
    """Return the names of the functions, classes, attributes and constants of a module."""
    names = set(assigned(module.tree))
    for node in module.nodes:
        if isinstance(node, ast.ClassDef | Function):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names.update(assigned(node))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = ast.unparse(node.value)
            if owner in {"self", "cls"}:
                names.add(node.attr)
    return names


def private_reads(module: Module) -> Iterator[Place]:
    """Find the private names of other modules that a module imports, reads or sets."""
    own = defined(module)
    imported: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                imported.add(alias.asname or alias.name)
                if isinstance(node, ast.ImportFrom) and is_private(alias.name):
                    yield node.lineno, alias.name
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            foreign = node.attr not in own or owner in imported
            if foreign and owner not in {"self", "cls", "super()"}:
                yield node.lineno, f"{owner}.{node.attr}"


def imports(module: Module, known: set[str]) -> set[str]:
    """Return the known modules that a module imports, in functions and for types as well."""
    found: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            package = module.path.parts[: -node.level] if node.level else ()
            parent = ".".join([*package, node.module or ""]).rstrip(".")
            for alias in node.names:
                name = f"{parent}.{alias.name}"
                found.add(name if name in known else parent)
    return (found & known) - {module.name}


def circles(modules: list[Module]) -> Groups:
    """Return the groups of modules that import each other, under their first module."""
    known = {module.name for module in modules}
    reached = {module.name: imports(module, known) for module in modules}
    for middle, beyond in reached.items():
        for others in reached.values():
            if middle in others:
                others.update(beyond)
    found: Groups = {}
    for name, others in sorted(reached.items()):
        if name in others:
            members = sorted(other for other in others if name in reached[other])
            found[members[0]] = members
    return found


def sizes_of(modules: list[Module]) -> dict[str, int]:
    """Count what the measures are relative to."""
    sizes: dict[str, int] = defaultdict(int)
    for module in modules:
        code, text = count_lines(module)
        sizes["files"] += 1
        sizes["lines"] += len(module.text.splitlines())
        sizes["lines of code"] += code
        sizes["lines with text"] += text
        sizes["statements"] += len(list(nodes_of(module, ast.stmt)))
        sizes["functions"] += len(list(nodes_of(module, (ast.FunctionDef, ast.AsyncFunctionDef))))
    return sizes


def measures_of(modules: list[Module], sizes: dict[str, int]) -> dict[str, Measure]:
    """Return every measure with its aim, in the units that reproduce HOUSE.md."""
    found: dict[str, Measure] = {}

    def add(key: str, title: str, find: Find, aim: float, per: float = 1) -> None:
        groups: Groups = defaultdict(list)
        for module in modules:
            for line, what in sorted(find(module)):
                groups[str(module.path)].append(f"{line} {what}".rstrip())
        found[key] = Measure(title, sum(map(len, groups.values())) / (per or 1), aim, groups)

    ifs = partial(nodes_of, kinds=ast.IfExp)
    loops = partial(nodes_of, kinds=(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp))
    steps, code = sizes["statements"] / 1000, sizes["lines of code"] / 1000
    rings, names = circles(modules), shared_names(modules)
    found["circles"] = Measure("import circles", len(rings), 0, rings)
    add("private", "private reads across modules", private_reads, 0)
    add("functions", "functions over 40 lines, %", long_functions, 1, sizes["functions"] / 100)
    add("lines", "lines over 100 characters, %", long_lines, 0, sizes["lines with text"] / 100)
    add("conditionals", "conditional expressions / 1,000 statements", ifs, 18, steps)
    add("comprehensions", "comprehensions / 1,000 statements", loops, 30, steps)
    add("constants", "module constants / 1,000 lines of code", constants, 8, code)
    add("any", "Any / 1,000 lines of code", uses_of_any, 15, code)
    found["names"] = Measure("names defined in more than one module", len(names), 40, names)
    return found


def report(source: Path, listed: list[str]) -> bool:
    """Print the table and the places listed, all if none; return whether an aim is missed."""
    modules = read(source)
    sizes = sizes_of(modules)
    measures = measures_of(modules, sizes)
    print(f"\n{source!s:43}{'value':>8}{'aim':>5}{'places':>8} *: missed")
    for title, size in sizes.items():
        print(f"{title:43}{size:>8,}")
    missed = 0
    for measure in measures.values():
        missed += measure.value > measure.aim
        places = sum(map(len, measure.groups.values()))
        star = "*" if measure.value > measure.aim else ""
        print(f"{measure.title:43}{measure.value:>8.4g}{measure.aim:>5}{places:>8,} {star}")
    for key in listed or measures:
        if key not in measures:
            raise SystemExit(f"--places must be one of {', '.join(measures)}; got {key}")
        print(f"\n{key}: {measures[key].title}")
        for name, found in sorted(measures[key].groups.items(), key=lambda item: -len(item[1])):
            text = f"  {name}  {len(found)}:  {', '.join(found)}"
            print(textwrap.fill(text, 100, subsequent_indent="      "))
    return missed > 0


def main() -> None:
    """Count what the command line names."""
    home = Path(__file__).resolve().parents[1] / "src" / "aevb"
    parser = argparse.ArgumentParser(description="Count the structure of a source tree.")
    parser.add_argument("source", nargs="*", type=Path, default=[home], help="default: src/aevb")
    parser.add_argument("--places", metavar="MEASURE", action="append", default=["circles"])
    parser.add_argument("--verbose", action="store_const", dest="places", const=[])
    parser.add_argument("--check", action="store_true", help="exit with 1 when an aim is missed")
    options = parser.parse_args()
    missed = [report(source, options.places) for source in options.source]
    raise SystemExit(options.check and any(missed))


if __name__ == "__main__":
    main()
