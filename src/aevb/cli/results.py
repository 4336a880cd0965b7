"""The results of a fit or an evaluation, for people."""

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from aevb.cli.terminal import printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from aevb.report.contents import Document

__all__ = ["show_results"]


def show_results(out: "Console", results: "Document", shown: Collection[str] = ()) -> None:
    """Print the log-likelihoods, the verdict, warnings not yet `shown`, and where the report is."""

    def write(line: object) -> None:
        out.print(printable(line), soft_wrap=not out.is_terminal)

    held_out = results.get("held_out") or {}
    part, rows = held_out.get("part", "held-out"), held_out.get("rows")
    if isinstance(rows, int):
        part = f"{rows:,} {part}"
    measure = results.get("measure", "density")
    write(f"log-likelihood of {part} rows, measure: {measure}")
    out.print()
    lines = [("VAE", _with_error(held_out, "log_likelihood", "standard_error"), "")]
    baselines = results.get("baselines") or {}
    for name in sorted(baselines, key=lambda name: _worst_last(baselines[name])):
        value = _with_error(baselines[name], "log_likelihood", "standard_error")
        difference = _with_error(baselines[name], "difference", "difference_standard_error", "+")
        lines.append((name, value, difference))
    table(out, ("model", "nats per row", "VAE minus it"), lines, right=2)
    left_out: dict[str, list[str]] = {}
    for name, reason in (results.get("not_applicable") or {}).items():
        left_out.setdefault(reason, []).append(name)
    for reason, names in left_out.items():
        write(f"not applicable: {', '.join(names)} ({reason})")
    if verdict := (results.get("verdict") or {}).get("text"):
        out.print()
        write(verdict)
    for warning in (results.get("diagnostics") or {}).get("warnings", []):
        if warning not in shown:
            write(f"warning: {warning}")
    if run := results.get("run"):
        out.print()
        out.print(printable(f"report: {run}/report.html"), soft_wrap=True)


def _with_error(entry: "Document", value: str, error: str, sign: str = "") -> str:
    if not isinstance(entry.get(value), int | float):
        return "-"
    text = f"{entry[value]:{sign}.3f}"
    if isinstance(entry.get(error), int | float) and math.isfinite(entry[error]):
        text += f" ± {entry[error]:.3f}"
    return text


def _worst_last(baseline: "Document") -> float:
    value = baseline["log_likelihood"]
    if not isinstance(value, int | float):
        return math.inf
    return -value
