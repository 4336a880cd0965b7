"""The commands of `aevb paper`, which `aevb.cli` finds by the entry point group `aevb.commands`.

Heavy libraries are imported inside the functions, so that `aevb --help` stays fast.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aevb.cli.options import command, register
from aevb.cli.terminal import EpochProgress, Terminal, printable, table
from aevb.errors import ConfigError, NumericalError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

    from aevb_paper.checks import Card, Result
    from aevb_paper.experiments.lines import Point

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Run what the paper says.",
)

Folder = Annotated[
    Path, typer.Option("--output", "-o", help="The folder of points, drawings and models.")
]
Quick = Annotated[bool, typer.Option("--quick", help="A part of it, in minutes.")]
Samples = Annotated[
    int | None,
    typer.Option(min=50_000, help="Training samples of each line; 10,000,000 unless --quick."),
]
Seeds = Annotated[int, typer.Option(min=1, help="Runs of each line, from as many seeds.")]
Panels = Annotated[
    list[str] | None, typer.Option(help="A panel, as mnist-20 or frey-face-2; may be repeated.")
]
Deck = Annotated[
    Path | None,
    typer.Option("--deck", help="A folder to write the cards to: questions, answers and pictures."),
]


@command
def figure2(
    terminal: Terminal,
    *,
    output: Folder = Path("figure2"),
    quick: Quick = False,
    samples: Samples = None,
    seeds: Seeds = 1,
    panel: Panels = None,
) -> None:
    """AEVB against wake-sleep: the bound on train and test rows, with the printed values."""
    from aevb_paper.drawings.figure2 import figure2 as draw
    from aevb_paper.experiments import figure2 as experiment
    from aevb_paper.experiments.published import compare_figure2

    run = _Run(terminal, output, "figure2")
    panels: Sequence[tuple[str, int]] = experiment.PANELS
    if quick:
        panels = [("mnist", 20), ("frey-face", 10)]
    if panel:
        panels = [_panel(text) for text in panel]
    budget = _budget(samples, quick)
    points = run.result_of(experiment.figure2, budget, panels=panels, seeds=range(seeds))
    names = "dataset latents algorithm seeds rate samples train test spread printed difference"
    title = "The bound against training samples"
    run.finish(points, compare_figure2(points), names.split(), draw(points), title)


@command
def figure3(
    terminal: Terminal,
    *,
    output: Folder = Path("figure3"),
    quick: Quick = False,
    samples: Samples = None,
    seeds: Seeds = 1,
) -> None:
    """AEVB, wake-sleep and Monte Carlo EM: log p(x) after 1,000 and 50,000 training rows."""
    from aevb_paper.drawings.figure3 import figure3 as draw
    from aevb_paper.experiments import figure3 as experiment
    from aevb_paper.experiments.published import compare_figure3

    run = _Run(terminal, output, "figure3")
    sizes, rows = [1_000, 50_000], 1_000
    if quick:
        sizes, rows = [1_000], 200
    budget = _budget(samples, quick)
    points = run.result_of(experiment.figure3, budget, sizes=sizes, seeds=range(seeds), rows=rows)
    names = "n_train algorithm seed rate samples train printed_train test printed_test"
    title = "log p(x) against training samples"
    run.finish(points, compare_figure3(points), names.split(), draw(points), title)


@command
def figure4(
    terminal: Terminal,
    *,
    output: Folder = Path("figure4"),
    quick: Quick = False,
    samples: Samples = None,
) -> None:
    """Manifolds of two latents of MNIST and Frey Face, through the inverse Gaussian CDF."""
    from aevb_paper.experiments.manifolds import grid

    run = _Run(terminal, output, "figure4")
    budget = _budget(samples, quick, 500_000)
    parts = [("frey-face", 2), ("mnist", 2)]
    run.finish_pictures(parts, lambda model: grid(15), budget, "Manifolds of two latents")


@command
def figure5(
    terminal: Terminal,
    *,
    output: Folder = Path("figure5"),
    quick: Quick = False,
    samples: Samples = None,
) -> None:
    """Random samples of MNIST models of 2, 5, 10 and 20 latents."""
    import jax

    from aevb_paper.experiments.manifolds import draw_from_prior

    run = _Run(terminal, output, "figure5")
    budget = _budget(samples, quick, 500_000)
    parts = [("mnist", latents) for latents in (2, 5, 10, 20)]
    run.finish_pictures(parts, draw_from_prior(100, jax.random.key(0)), budget, "Random samples")


@command
def full_vb(
    terminal: Terminal,
    *,
    output: Folder = Path("full-vb"),
    quick: Quick = False,
    samples: Samples = None,
    seeds: Seeds = 1,
) -> None:
    """Appendix F: a distribution over theta and the MAP fit, on held-out rows."""
    from aevb_paper.drawings.full_bayes import full_vb as draw
    from aevb_paper.experiments import full_vb as experiment

    run = _Run(terminal, output, "full-vb")
    sizes, rows = [100, 1_000, 10_000], 1_000
    if quick:
        sizes, rows = [100, 1_000], 300
    budget = _budget(samples, quick)
    points = run.result_of(experiment.full_vb, budget, sizes=sizes, seeds=range(seeds), rows=rows)
    names = "n_train algorithm seed rate samples train validation test test_error test_at_mean"
    title = "What a distribution over theta buys"
    run.finish(points, experiment.ends(points), names.split(), draw(points), title)


@command
def cards(terminal: Terminal, *, deck: Deck = None) -> None:
    """Print the five study cards and run every check; an error where one fails."""
    from aevb_paper.cards import CARDS, results, skipped

    start = time.monotonic()
    found: list[tuple[Card, list[Result]]] = []
    for number, card in enumerate(CARDS, 1):
        terminal.note(f"{number} of {len(CARDS)}: {card.title}")
        found.append((card, results(card)))
    for package, count in Counter(skipped()).items():
        terminal.note(f"skipped {count} checks that need {package}: pip install {package}")
    document: dict[str, Any] = {
        "cards": [_card_document(card, checked) for card, checked in found],
        "seconds": round(time.monotonic() - start, 1),
    }
    written = []
    if deck:
        written = document["deck"] = _write_deck(deck)
    terminal.result(document, lambda out: _show_cards(out, found, written))
    failed = [result.name for _, checked in found for result in checked if not result.passed]
    if failed:
        names = "; ".join(failed)
        raise NumericalError(
            f"expected every check to pass, got {len(failed)} that failed: {names}"
        )


def _card_document(card: "Card", checked: Sequence["Result"]) -> dict[str, Any]:
    checks = [result._asdict() for result in checked]
    return {"name": card.name, "title": card.title, "checks": checks}


def _write_deck(folder: Path) -> list[str]:
    from aevb.disk import write_together
    from aevb_paper.cards import CARDS, deck

    files = {name: text.encode() for name, text in deck(CARDS).items()}
    return [str(path) for path in write_together(folder, files)]


def _show_cards(
    out: "Console", found: Sequence[tuple["Card", Sequence["Result"]]], written: Sequence[str]
) -> None:
    everything: list[Result] = []
    for number, (card, checked) in enumerate(found, 1):
        out.print(f"\n{number}. {card.title}\n\n{card.text}\n")
        for formula in card.formulas:
            out.print(f"    {formula}", soft_wrap=True)
        out.print()
        table(out, ("check", "error", "at most", ""), [_check_row(r) for r in checked], right=3)
        everything += checked
    passed = sum(result.passed for result in everything)
    out.print(f"\n{passed} of {len(everything)} checks passed", soft_wrap=True)
    for path in written:
        out.print(printable(path), soft_wrap=True)


def _check_row(result: "Result") -> tuple[str, str, str, str]:
    error = f"{result.error:.2g} {result.unit}".strip()
    verdict = "passed" if result.passed else "FAILED"
    return result.name, error, f"{result.tolerance:g}", verdict


class _Run:
    """One command: its terminal, its clock, and the folder it writes to."""

    def __init__(self, terminal: Terminal, folder: Path, name: str) -> None:
        self.terminal, self.folder, self.name = terminal, folder, name
        self.start = time.monotonic()

    def result_of(self, experiment: Callable[..., Any], *what: object, **options: object) -> Any:
        """Run an experiment in the folder, and show every chunk of samples that it reports."""
        with EpochProgress(self.terminal, "sample") as bar:

            def show(chunk: Mapping[str, float]) -> None:
                done, total = int(chunk["samples"]), int(chunk["total"])
                bar({"epoch": done, "epochs": total, "train_bound": chunk["bound"]})

            note = self.terminal.note
            return experiment(self.folder, *what, **options, note=note, progress=show)

    def write(self, ending: str, text: str) -> None:
        """Write the file of this ending, named after the command."""
        from aevb.disk import write_together

        write_together(self.folder, {f"{self.name}.{ending}": text.encode()})

    def finish(
        self,
        points: Sequence["Point"],
        rows: Sequence["Point"],
        columns: Sequence[str],
        figure: "Figure",
        title: str,
    ) -> None:
        """Write the figure and print `rows` as a table; the points are in their file by now."""
        from aevb.report.svg import standalone_svg

        self.write("svg", standalone_svg(figure, title))
        files = [str(self.folder / f"{self.name}.{ending}") for ending in ("json", "svg")]
        seconds = round(time.monotonic() - self.start, 1)

        def show(out: "Console") -> None:
            cells = [[_cell(name, row.get(name)) for name in columns] for row in rows]
            table(out, columns, cells, right=len(columns) - columns.index("samples"))
            for path in files:
                out.print(printable(path), soft_wrap=True)

        document = {"points": points, "table": rows, "files": files, "seconds": seconds}
        self.terminal.result(document, show)

    def finish_pictures(
        self,
        parts: Sequence[tuple[str, int]],
        look: Callable[[Any], Any],
        samples: int,
        title: str,
    ) -> None:
        """Fit a model of each part, and write what it looks like."""
        from aevb.disk import to_json
        from aevb_paper.drawings.mosaics import mosaics
        from aevb_paper.experiments.manifolds import pictures

        found = self.result_of(pictures, parts, look, samples)
        points = [{"dataset": p.dataset, "latents": p.latents, **p.point} for p in found]
        self.write("json", to_json(points))
        columns = ["dataset", "latents", "samples", "train", "test"]
        self.finish(points, points, columns, mosaics(found), title)


def _budget(samples: int | None, quick: bool, quick_samples: int = 1_000_000) -> int:
    """Training samples of each line: 10 million tell the algorithms apart, in an hour or two."""
    if samples is not None:
        return samples
    return quick_samples if quick else 10_000_000


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "difference":
        return f"{value:+.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float) and name != "rate":
        return f"{value:.1f}"
    return str(value)


def _panel(text: str) -> tuple[str, int]:
    dataset, _, latents = text.rpartition("-")
    known = dataset in ("mnist", "mnist-gray", "frey-face")
    number = latents.isascii() and latents.isdecimal()
    if not known or not number or not 0 < int(latents) < 10_000:
        raise ConfigError(
            "a panel is a data set and its latents, "
            f"as mnist-20, mnist-gray-20 or frey-face-2, not {text}"
        )
    return dataset, int(latents)


register(app, figure2, figure3, figure4, figure5, full_vb, cards)
