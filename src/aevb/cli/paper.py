"""``aevb paper``: what the paper says, run."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aevb.cli.experiments import COMMANDS
from aevb.cli.options import DEBUG, JSON, QUIET
from aevb.cli.terminal import Terminal, printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from aevb_paper.checks import Card, Result

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run what the paper says.")

for name, command in COMMANDS.items():
    app.command(name)(command)

FOLDER = Annotated[
    Path | None,
    typer.Option("--deck", help="A folder to write the cards to: questions, answers and pictures."),
]


@app.command()
def cards(
    *, deck: FOLDER = None, json: JSON = False, quiet: QUIET = False, debug: DEBUG = False
) -> None:
    """Print the five study cards and check every formula of theirs; an error where one does not
    hold.
    """
    from aevb.errors import NumericalError
    from aevb_paper.cards import CARDS, left_out, results

    terminal = Terminal(json, quiet, debug)
    start, found = time.monotonic(), []
    with terminal.warned():
        for number, card in enumerate(CARDS, 1):
            terminal.note(f"{number} of {len(CARDS)}: {card.title}")
            found.append((card, results(card)))
        for package in sorted(set(missing := list(left_out()))):
            count = missing.count(package)
            terminal.note(
                f"left out for want of {package}: {count} of the checks (pip install {package.lower()} brings it)"
            )
        written = _write(deck, CARDS) if deck else []
        document: dict[str, Any] = {
            "cards": [_document(card, checked) for card, checked in found],
            "seconds": round(time.monotonic() - start, 1),
            **({"deck": written} if deck else {}),
        }
        terminal.result(document, lambda out: _show(out, found, written))
    failed = [result.name for _, checked in found for result in checked if not result.passed]
    if failed:
        raise NumericalError(
            f"expected every check to pass, got {len(failed)} that did not: {'; '.join(failed)}"
        )


def _document(card: "Card", checked: Sequence["Result"]) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.title,
        "checks": [result._asdict() for result in checked],
    }


def _write(folder: Path, cards: Sequence["Card"]) -> list[str]:
    from aevb.disk import write_together
    from aevb_paper.deck import deck

    return [
        str(path)
        for path in write_together(
            folder, {name: text.encode() for name, text in deck(cards).items()}
        )
    ]


def _show(
    out: "Console", found: Sequence[tuple["Card", Sequence["Result"]]], written: Sequence[str]
) -> None:
    from aevb_paper.notation import plain_formula, plain_text

    for number, (card, checked) in enumerate(found, 1):
        out.print(f"\n{number}. {card.title}\n")
        out.print(plain_text(card.text).replace("`", "") + "\n")
        for formula in card.formulas:
            out.print(f"    {plain_formula(formula)}", soft_wrap=True)
        out.print()
        rows = [(*_said(result), "passed" if result.passed else "FAILED") for result in checked]
        table(out, ("check", "error", "at most", ""), rows, right=3)
    everything = [result for _, checked in found for result in checked]
    out.print(
        f"\n{sum(result.passed for result in everything)} of {len(everything)} checks passed",
        soft_wrap=True,
    )
    for path in written:
        out.print(printable(path), soft_wrap=True)


def _said(result: "Result") -> tuple[str, str, str]:
    return result.name, f"{result.error:.2g} {result.unit}".strip(), f"{result.tolerance:g}"
