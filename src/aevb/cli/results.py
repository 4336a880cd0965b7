"""The results of a fit or an evaluation, for people."""

import math
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

from aevb.cli.terminal import plain, table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_results"]


def show_results(out: "Console", results: Mapping[str, Any], said: Container[str] = ()) -> None:
    """Held-out log-likelihood beside the baselines', the verdict, warnings not yet `said`, and
    where the report is.
    """
    held_out = results.get("held_out") or {}
    part, rows = held_out.get("part", "held-out"), held_out.get("rows")
    count = f"{rows:,} {part} rows" if isinstance(rows, int) else f"{part} rows"
    out.print(
        f"log-likelihood of {count}, nats a row ({results.get('measure', 'density')})\n",
        soft_wrap=True,
    )
    best_first = sorted(
        (results.get("baselines") or {}).items(),
        key=lambda item: -_number(item[1]["log_likelihood"]),
    )
    lines = [("VAE", _with_error(held_out, "log_likelihood", "standard_error"), "")]
    for name, baseline in best_first:
        difference = _with_error(baseline, "difference", "difference_standard_error", signed=True)
        lines.append((name, _with_error(baseline, "log_likelihood", "standard_error"), difference))
    table(out, ("model", "log-likelihood", "VAE minus it"), lines, right=2)
    left_out: dict[str, list[str]] = {}
    for name, reason in (results.get("not_applicable") or {}).items():
        left_out.setdefault(str(reason), []).append(name)
    for reason, names in left_out.items():
        out.print(plain(f"{', '.join(names)}: not applicable, {reason}"), soft_wrap=True)
    if verdict := (results.get("verdict") or {}).get("text"):
        out.print("\n" + plain(verdict), soft_wrap=True)
    for warning in (results.get("diagnostics") or {}).get("warnings", []):
        if warning not in said:
            out.print(plain(f"warning: {warning}"), soft_wrap=True)
    if run := results.get("run"):
        out.print(f"\nreport: {plain(run)}/report.html", soft_wrap=True)


def _with_error(entry: Mapping[str, Any], value: str, error: str, signed: bool = False) -> str:
    if not isinstance(entry.get(value), (int, float)):
        return "-"
    number = f"{entry[value]:+.3f}" if signed else f"{entry[value]:.3f}"
    known = isinstance(entry.get(error), (int, float)) and math.isfinite(entry[error])
    return f"{number} ± {entry[error]:.3f}" if known else number


def _number(value: Any) -> float:
    """A missing number comes last."""
    return float(value) if isinstance(value, (int, float)) else float("-inf")
