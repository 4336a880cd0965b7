"""What a run holds, its report, and the data sets there are."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aevb.cli.options import DEBUG, JSON, QUIET, RUN
from aevb.cli.results import show_results
from aevb.cli.terminal import Terminal, plain, table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["data", "inspect", "report"]


DRAW = Annotated[
    bool, typer.Option("--draw", help="Draw the architecture too: architecture.svg in the run.")
]


def inspect(
    run: RUN, *, draw: DRAW = False, json: JSON = False, quiet: QUIET = False, debug: DEBUG = False
) -> None:
    """Print the columns, architecture, settings and numbers of RUN."""
    from aevb import disk as storage

    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        stored = storage.read_run(run)
        document = {
            "run": str(run),
            **{
                name: stored.documents.get(name, {})
                for name in ("schema", "configuration", "results")
            },
            "manifest": {
                key: value
                for key, value in stored.manifest.items()
                if key not in ("files", "sha256")
            },
        }
        if draw:
            document["drawing"] = str(_drawn(run, document["results"]))
        terminal.result(document, lambda out: _show_run(out, document))


def report(run: RUN, *, json: JSON = False, quiet: QUIET = False, debug: DEBUG = False) -> None:
    """Draw report.html of RUN again, from what the run holds alone."""
    from aevb import disk as storage
    from aevb.report import Contents, render

    terminal = Terminal(json, quiet, debug)
    with terminal.warned():
        stored = storage.read_run(run)
        contents = Contents.from_stored(stored.arrays.get("figures", {}), stored.documents)
        page = storage.replace_text(run, "report.html", render(contents))
        terminal.result(
            {"run": str(run), "report": str(page)},
            lambda out: out.print(plain(page), soft_wrap=True),
        )


def data(*, json: JSON = False, quiet: QUIET = False, debug: DEBUG = False) -> None:
    """List the data sets that can be named instead of a file."""
    from aevb.table import DATA_SETS

    terminal = Terminal(json, quiet, debug)
    names = {name: str(description) for name, description in DATA_SETS.items()}
    terminal.result(
        {"datasets": names}, lambda out: table(out, ("name", "what"), list(names.items()))
    )


def _drawn(run: Path, results: Mapping[str, Any]) -> Path:
    from aevb import disk as storage
    from aevb import figures
    from aevb.report.svg import standalone_svg

    layers = results.get("architecture", [])
    description = (
        "The layers of the model, from x through z to p(x|z), with shapes and numbers of parameters"
    )
    picture = standalone_svg(figures.architecture(layers), description)
    return storage.write_together(run, {"architecture.svg": picture.encode("utf-8", "replace")})[0]


def _show_run(out: "Console", document: Mapping[str, Any]) -> None:
    schema = document["schema"]
    columns = [_column_row(column) for column in schema.get("columns", [])]
    columns += [[name, _unmodelled(name, schema), "", "", ""] for name in schema.get("ignored", [])]
    table(out, ("column", "kind", "dtype", "levels", "missing"), columns, right=2)
    parts = document["results"].get("architecture", [])
    if parts:
        out.print()
        rows = [
            [part.get(key, "") for key in ("part", "name", "shape_in", "shape_out", "parameters")]
            for part in parts
        ]
        table(out, ("part", "layer", "in", "out", "parameters"), rows, right=3)
    out.print()
    settings = {**_settings(document), **_about(document["manifest"])}
    table(out, ("setting", "value"), [(name, _said(value)) for name, value in settings.items()])
    out.print()
    show_results(out, {**document["results"], "run": document["run"]})
    if drawing := document.get("drawing"):
        out.print(f"drawing: {plain(drawing)}", soft_wrap=True)


def _column_row(column: Mapping[str, Any]) -> list[object]:
    levels = len(column.get("categories", ()))
    missing = column.get("missing", 0)
    return [
        column["name"],
        column["kind"],
        column.get("dtype", ""),
        levels or "",
        f"{missing:.1%}" if missing else "",
    ]


def _unmodelled(name: str, schema: Mapping[str, Any]) -> str:
    return "label, not modelled" if name in schema.get("labels", []) else "ignored"


def _settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting, with what "auto" became."""
    resolved = document["manifest"].get("resolved", {})
    parameters = document["configuration"].get("parameters", {})
    return {
        name: f"auto: {resolved[name]}" if value == "auto" and name in resolved else value
        for name, value in parameters.items()
    }


def _about(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What else the manifest says: of data, seed and versions."""
    about = _flat(
        {
            name: value
            for name, value in manifest.items()
            if name not in ("configuration", "resolved")
        }
    )
    return {
        name: str(value)[:12] if name.endswith("sha256") else value for name, value in about.items()
    }


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"versions": {"jax": "1"}} -> {"versions.jax": "1"}."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= (
            _flat(value, f"{prefix}{key}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{key}": value}
        )
    return flat


def _said(value: Any) -> str:
    return (
        ", ".join(map(str, value)) or "-"
        if isinstance(value, list)
        else "-"
        if value is None
        else str(value)
    )
