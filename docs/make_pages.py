"""Write the settings, the codes of notes and the modules to docs/settings.md, notes.md, api.md.

The build of the documentation does so; `python docs/make_pages.py` does it by hand.
"""

import ast
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from aevb.settings import About, RunSettings, Settings, about
from aevb.table.codes import CODES

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src"

#: The modules of `aevb` by what they are for, in the order in which the paper and a fit need them.
SECTIONS = {
    "Errors and settings": ["errors", "registry", "settings", "forked"],
    "Parts of a model": ["distributions", "networks", "likelihoods", "posteriors", "priors"],
    "The start of training": ["linear", "encoders", "start", "build"],
    "The model and its training": ["model", "objectives", "optimizers", "epochs", "train"],
    "Scores, diagnostics and predictions": ["rows", "marginal", "diagnostics", "predict"],
    "Tables": ["table", "data", "preparation", "units"],
    "A fit": ["automatic", "fit", "baselines", "results", "assess", "run", "sklearn"],
    "Files, figures and reports": ["disk", "figures", "report"],
    "Tests of your own parts": ["testing"],
    "The command line": ["cli"],
    "The paper": ["aevb_paper"],
}

SETTINGS = """# Settings

Every setting has a default. Settings have the same names as arguments of `aevb.VAE`, as keys of a
TOML file (`--config`) and as options of `aevb fit`. Where a setting takes the name of a part,
`aevb.VAE` also takes [your own part](extending.md).

{table}

`aevb fit` and its TOML file have three more settings:

{run_table}
"""

NOTES = """# Notes on data

Each note on your data has a code. The notes on columns (AEV1..) are made before any fit:
`aevb inspect DATA` shows them, and so do `aevb fit` and the report. In Python,
`aevb.table.inspect(data)` has all of them, and a fit gives a warning where a column is left out or
nothing can be learned from it.

{notes}"""

NOTE = """## {code}: {title}

{meaning}

**What to do.** {remedy}
"""

API = """# API

Most users only need `aevb.VAE`, the imputer and the outlier detector, `aevb.load` and
`aevb.errors`. The other modules are for those who write [their own parts](extending.md).

```{{eval-rst}}
.. currentmodule:: aevb

.. autosummary::
   :toctree: api/generated
   :template: class.rst

   VAE
   VAEImputer
   VAEOutlierDetector

.. autosummary::
   :toctree: api/generated

   load
   configured
```

{sections}"""

SECTION = """## {title}

```{{eval-rst}}
.. currentmodule:: {package}

.. autosummary::
   :toctree: api/generated
   :template: module.rst

   {modules}
```
"""


def settings_page() -> str:
    rows = list(about(Settings))
    more = list(about(RunSettings))[len(rows) :]
    return SETTINGS.format(table=table(rows), run_table=table(more))


def notes_page() -> str:
    notes = []
    for code, about_code in CODES.items():
        notes.append(NOTE.format(code=code, **asdict(about_code)))
    return NOTES.format(notes="\n".join(notes))


def table(settings: list[tuple[str, object, About]]) -> str:
    lines = ["| setting | default | at the shell | what it is |", "|---|---|---|---|"]
    for name, default, described in settings:
        option = f"--{(described.option or name).replace('_', '-')}"
        if name == "output":
            option = "-o"
        elif described.shell:
            option = f"{option} {described.metavar or ''}".strip()
        else:
            option = ""
        what = f"{described.help} Takes {described.with_names(described.expected)}."
        cells = (f"`{name}`", f"`{default!r}`", f"`{option}`" if option else "", what)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def api_page() -> str:
    sections = []
    for title, names in SECTIONS.items():
        modules = modules_in(names)
        if modules:
            top, *_ = modules[0].split(".")
            below = [module.removeprefix(f"{top}.") for module in modules]
            listed = "\n   ".join(below)
            sections.append(SECTION.format(title=title, package=top, modules=listed))
    return API.format(sections="\n".join(sections))


def listed_modules() -> list[str]:
    return [module for names in SECTIONS.values() for module in modules_in(names)]


def modules_in(names: list[str]) -> list[str]:
    """The modules of a section."""
    modules: list[str] = []
    for name in names:
        modules += documented(name if name.startswith("aevb") else f"aevb.{name}")
    return modules


def documented(package: str) -> Iterator[str]:
    """The package and its modules, but for those whose names the package exports itself."""
    exported = exports(package)
    at_top = exports("aevb")
    if exported and not exported <= at_top:
        yield package
    for module in modules_of(package):
        if not exports(module) <= exported | at_top and not is_shadowed(module):
            yield module


def is_shadowed(module: str) -> bool:
    """Whether the package exports a function of the module's name, which has its place."""
    package, _, name = module.rpartition(".")
    return name in exports(package)


def modules_of(package: str) -> list[str]:
    """The modules below a package, at any depth."""
    folder = SOURCE.joinpath(*package.split("."))
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        if module != package:
            found.append(module)
    return found


def exports(module: str) -> set[str]:
    """What a module's `__all__` names, those of modules it exports whole among them."""
    path = SOURCE.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not source.is_file():
        return set()
    names: set[str] = set()
    for statement in ast.parse(source.read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            for element in statement.value.elts:
                if isinstance(element, ast.Starred):  # *base.__all__
                    part = ast.unparse(element.value).removesuffix(".__all__")
                    names |= exports(f"{module}.{part}")
                else:
                    names.add(element.value)
    return names


def main() -> None:
    (DOCS / "settings.md").write_text(settings_page(), "utf-8")
    (DOCS / "notes.md").write_text(notes_page(), "utf-8")
    (DOCS / "api.md").write_text(api_page(), "utf-8")


if __name__ == "__main__":
    main()
