"""What a run holds, its report, and the data sets that have a name."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import aevb
from aevb.cli.options import RUN, command
from aevb.cli.results import show_results
from aevb.cli.terminal import Terminal, printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from aevb.report.contents import Document

__all__ = ["data", "report", "run_document", "show_run"]


def run_document(run: Path, draw: bool) -> "Document":
    """What a run holds, but for its arrays; `draw` also draws its architecture."""
    stored = aevb.disk.read_run(run)
    manifest = dict(stored.manifest)
    del manifest["files"], manifest["sha256"]
    document: Document = {"run": str(run), "manifest": manifest}
    for name in ("schema", "configuration", "results"):
        document[name] = stored.documents.get(name, {})
    if draw:
        document["drawing"] = str(_draw_architecture(run, document["results"]))
    return document


@command
def report(terminal: Terminal, run: RUN) -> None:
    """Write report.html of RUN again from what the run holds."""
    stored = aevb.disk.read_run(run)
    figures = stored.arrays.get("figures", {})
    contents = aevb.report.Contents.from_stored(figures, stored.documents)
    page = aevb.disk.replace_text(run, "report.html", aevb.report.render(contents))
    document = {"run": str(run), "report": str(page)}
    terminal.result(document, lambda out: out.print(printable(page), soft_wrap=True))


@command
def data(terminal: Terminal) -> None:
    """List the data sets that have a name."""
    names = dict(aevb.table.DATA_SETS)
    rows = list(names.items())
    terminal.result({"datasets": names}, lambda out: table(out, ("name", "contents"), rows))


def _draw_architecture(run: Path, results: "Document") -> Path:
    figure = aevb.figures.architecture(results.get("architecture", []))
    description = "The layers of the model from x through z to p(x|z), with shapes and sizes"
    picture = aevb.report.standalone_svg(figure, description).encode("utf-8", "replace")
    return aevb.disk.write_together(run, {"architecture.svg": picture})[0]


def show_run(out: "Console", document: "Document") -> None:
    """Print the columns, architecture, settings and numbers of a run."""
    header = ("column", "kind", "type", "levels", "missing")
    table(out, header, _column_rows(document["schema"]), right=2)
    out.print()
    if layers := document["results"].get("architecture"):
        names = ("part", "name", "shape_in", "shape_out", "parameters")
        rows = [[_cell(layer.get(name)) for name in names] for layer in layers]
        table(out, ("part", "layer", "in", "out", "parameters"), rows, right=3)
        out.print()
    table(out, ("setting", "value"), _setting_rows(document))
    out.print()
    show_results(out, {**document["results"], "run": document["run"]})
    if drawing := document.get("drawing"):
        out.print(printable(f"drawing: {drawing}"), soft_wrap=True)


def _column_rows(schema: "Document") -> list[list[object]]:
    rows: list[list[object]] = []
    for column in schema.get("columns", []):
        missing = ""
        if column.get("missing"):
            missing = f"{column['missing']:.1%}"
        levels = len(column.get("categories", ())) or ""
        rows.append([column["name"], column["kind"], column.get("dtype", ""), levels, missing])
    for name in schema.get("ignored", []):
        role = "ignored"
        if name in schema.get("labels", []):
            role = "label, not in the model"
        rows.append([name, role, "", "", ""])
    return rows


def _setting_rows(document: "Document") -> list[tuple[str, str]]:
    """Every setting, with what "auto" became; then data, seed and versions from the manifest."""
    manifest = dict(document["manifest"])
    resolved = manifest.pop("resolved", {})
    manifest.pop("configuration", None)
    rows = []
    for name, value in document["configuration"].get("parameters", {}).items():
        text = _cell(value)
        if value == "auto" and name in resolved:
            text = f"auto: {resolved[name]}"
        rows.append((name, text))
    for name, value in manifest.items():
        if not isinstance(value, Mapping):
            rows.append((name, _cell(value)))
            continue
        for part, inner in value.items():
            text = _cell(inner)
            if part == "sha256":
                text = text[:12]
            rows.append((f"{name}.{part}", text))
    return rows


def _cell(value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if value in (None, ""):
        return "-"
    return str(value)
