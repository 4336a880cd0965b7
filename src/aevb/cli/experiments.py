"""``aevb paper figure2`` and the others: the paper's experiments, run again; each writes its points
and its drawing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aevb.cli.options import DEBUG, JSON, QUIET
from aevb.cli.terminal import EpochProgress, Terminal, printable, table
from aevb.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

__all__ = ["COMMANDS"]

FOLDER = Annotated[
    Path, typer.Option("--output", "-o", help="The folder of points, drawings and models.")
]
BRIEF = Annotated[bool, typer.Option("--quick", help="A part of it, in minutes.")]
SAMPLES = Annotated[
    int | None,
    typer.Option(min=50_000, help="Training samples of each line; 10,000,000 unless --quick."),
]
SEEDS = Annotated[int, typer.Option(min=1, help="Runs of each line, from as many seeds.")]
PANEL = Annotated[
    list[str] | None, typer.Option(help="A panel, as mnist-20 or frey-face-2; may be repeated.")
]
#: Training samples of each line: enough to tell the algorithms apart, and an hour or two in all.
LONG = 10_000_000

#: Columns of a table of points: name, and how its values are said.
Columns = Mapping[str, str]


def figure2(
    *,
    output: FOLDER = Path("figure2"),
    quick: BRIEF = False,
    samples: SAMPLES = None,
    seeds: SEEDS = 1,
    panel: PANEL = None,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """AEVB against wake-sleep, the bound on train and test, beside the printed values; stopped, it
    goes on.
    """
    from aevb_paper.drawings.figure2 import figure2 as drawn
    from aevb_paper.experiments import figure2 as run
    from aevb_paper.experiments.published import beside

    experiment = _Experiment(output, "figure2", json, quiet, debug)
    panels = [_panel(text) for text in panel] if panel else run.QUICK if quick else run.PANELS
    budget = samples or (run.QUICK_SAMPLES if quick else LONG)
    with experiment as how:
        points = run.figure2(output, budget, panels=panels, seeds=range(seeds), **how)
        columns = {
            "dataset": "",
            "latents": "",
            "algorithm": "",
            "seeds": "",
            "rate": "",
            "samples": ",",
        }
        columns |= {
            "train": ".1f",
            "test": ".1f",
            "spread": ".1f",
            "printed": ".1f",
            "difference": "+.1f",
        }
        experiment.result(
            points, beside(points), columns, drawn(points), "The bound against training samples"
        )


def figure3(
    *,
    output: FOLDER = Path("figure3"),
    quick: BRIEF = False,
    samples: SAMPLES = None,
    seeds: SEEDS = 1,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """AEVB, wake-sleep and Monte Carlo EM: marginal log-likelihood with 1,000 and 50,000 training
    rows, 3 latents.
    """
    from aevb_paper.drawings.figure3 import figure3 as drawn
    from aevb_paper.experiments import figure3 as run
    from aevb_paper.experiments.published import beside_figure3

    experiment = _Experiment(output, "figure3", json, quiet, debug)
    sizes, rows = (run.QUICK, run.QUICK_ROWS) if quick else (run.SIZES, run.ROWS)
    budget = samples or (run.QUICK_SAMPLES if quick else LONG)
    with experiment as how:
        points = run.figure3(output, budget, sizes=sizes, seeds=range(seeds), rows=rows, **how)
        columns = {
            "n_train": ",",
            "algorithm": "",
            "seed": "",
            "rate": "",
            "samples": ",",
            "train": ".1f",
        }
        columns |= {"printed_train": ".1f", "test": ".1f", "printed_test": ".1f"}
        experiment.result(
            points,
            beside_figure3(points),
            columns,
            drawn(points),
            "log p(x) against training samples",
        )


def figure4(
    *,
    output: FOLDER = Path("figure4"),
    quick: BRIEF = False,
    samples: SAMPLES = None,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Manifolds of two latents of MNIST and Frey Face: p(x|z) over the unit square's inverse
    Gaussian CDF.
    """
    from aevb_paper.experiments.manifolds import FIGURE_4, grid

    experiment = _Experiment(output, "figure4", json, quiet, debug)
    _pictures(
        experiment, FIGURE_4, lambda model: grid(15), quick, samples, "Manifolds of two latents"
    )


def figure5(
    *,
    output: FOLDER = Path("figure5"),
    quick: BRIEF = False,
    samples: SAMPLES = None,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Random samples of MNIST models of 2, 5, 10 and 20 latents."""
    import jax

    from aevb_paper.experiments.manifolds import FIGURE_5, drawn_from_prior

    experiment = _Experiment(output, "figure5", json, quiet, debug)
    look = drawn_from_prior(100, jax.random.key(0))
    _pictures(experiment, FIGURE_5, look, quick, samples, "Random samples")


def full_vb(
    *,
    output: FOLDER = Path("full-vb"),
    quick: BRIEF = False,
    samples: SAMPLES = None,
    seeds: SEEDS = 1,
    json: JSON = False,
    quiet: QUIET = False,
    debug: DEBUG = False,
) -> None:
    """Appendix F: a distribution over theta beside the MAP fit, held-out log-likelihood from few
    training rows.
    """
    from aevb_paper.drawings.full_bayes import full_vb as drawn
    from aevb_paper.experiments import full_vb as run

    experiment = _Experiment(output, "full-vb", json, quiet, debug)
    sizes, rows = (run.QUICK, run.QUICK_ROWS) if quick else (run.SIZES, run.ROWS)
    budget = samples or (run.QUICK_SAMPLES if quick else LONG)
    with experiment as how:
        points = run.full_vb(output, budget, sizes=sizes, seeds=range(seeds), rows=rows, **how)
        columns = {
            "n_train": ",",
            "algorithm": "",
            "seed": "",
            "rate": "",
            "samples": ",",
            "train": ".1f",
        }
        columns |= {"validation": ".1f", "test": ".1f", "test_error": ".1f", "test_at_mean": ".1f"}
        experiment.result(
            points, run.ends(points), columns, drawn(points), "What a distribution over theta buys"
        )


def _pictures(
    experiment: "_Experiment",
    parts: tuple[tuple[str, int], ...],
    look: Callable[[Any], Any],
    quick: bool,
    samples: int | None,
    title: str,
) -> None:
    from aevb.disk import to_json
    from aevb_paper.drawings.mosaics import mosaics
    from aevb_paper.experiments.manifolds import QUICK_SAMPLES, pictures

    with experiment as how:
        budget = samples or (QUICK_SAMPLES if quick else LONG)
        found = pictures(experiment.folder, parts, look, budget, **how)
        points = [
            {"dataset": part.dataset, "latents": part.latents, **part.point} for part in found
        ]
        experiment.write("json", to_json(points))
        columns = {"dataset": "", "latents": "", "samples": ",", "train": ".1f", "test": ".1f"}
        experiment.result(points, points, columns, mosaics(found), title)


#: By the name of the command.
COMMANDS: dict[str, Callable[..., None]] = {
    "figure2": figure2,
    "figure3": figure3,
    "figure4": figure4,
    "figure5": figure5,
    "full-vb": full_vb,
}


class _Experiment:
    """The terminal, the clock and the files of one command.

    Within, it gives what every experiment is told: `said` and `progress`.
    """

    def __init__(self, folder: Path, name: str, json: bool, quiet: bool, debug: bool) -> None:
        self.folder, self.name = folder, name
        self.terminal = Terminal(json, quiet, debug)
        self.progress, self.warned = EpochProgress(self.terminal, "sample"), self.terminal.warned()
        self.start = time.monotonic()

    def __enter__(self) -> dict[str, Any]:
        self.warned.__enter__()
        self.progress.__enter__()
        return {"said": self.terminal.note, "progress": self._chunk}

    def __exit__(self, *error: Any) -> None:
        self.progress.__exit__(*error)
        self.warned.__exit__(*error)

    def _chunk(self, line: Mapping[str, float]) -> None:
        self.progress(
            {
                "epoch": int(line["samples"]),
                "epochs": int(line["total"]),
                "train_bound": line["bound"],
            }
        )

    def write(self, kind: str, text: str) -> None:
        """The file of this kind, with the experiment's name."""
        from aevb.disk import write_together

        write_together(self.folder, {f"{self.name}.{kind}": text.encode()})

    def result(
        self,
        points: Sequence[Mapping[str, Any]],
        shown: Sequence[Mapping[str, Any]],
        columns: Columns,
        figure: "Figure",
        title: str,
    ) -> None:
        """Draw the points, which are in a file by now, and print the table of `shown`."""
        from aevb.report.svg import standalone_svg

        self.write("svg", standalone_svg(figure, title))
        files = [str(self.folder / f"{self.name}.{kind}") for kind in ("json", "svg")]
        document = {
            "points": points,
            "table": shown,
            "files": files,
            "seconds": round(time.monotonic() - self.start, 1),
        }

        def show(out: "Console") -> None:
            rows = [
                [_said(point.get(name), form) for name, form in columns.items()] for point in shown
            ]
            table(out, list(columns), rows, right=sum(form != "" for form in columns.values()))
            for path in files:
                out.print(printable(path), soft_wrap=True)

        self.terminal.result(document, show)


def _said(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)


def _panel(text: str) -> tuple[str, int]:
    dataset, _, latents = text.rpartition("-")
    if (
        dataset not in ("mnist", "mnist-grey", "frey-face")
        or not (latents.isascii() and latents.isdecimal())
        or not 0 < int(latents) < 10_000
    ):
        raise ConfigError(
            f"a panel is a data set and its latents, as mnist-20, mnist-grey-20 or frey-face-2, not {text}"
        )
    return dataset, int(latents)
