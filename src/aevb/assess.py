"""How far a fit can be trusted: its numbers on held-out rows beside the baselines', a verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aevb import marginal
from aevb.baselines import BASELINES, Baseline, fit_baselines
from aevb.diagnostics import architecture, latent_diagnostics
from aevb.errors import ConfigError
from aevb.fit import Fit
from aevb.marginal import Scores
from aevb.objectives import sgvb_b
from aevb.preparation import Units
from aevb.results import compare, held_out, verdict
from aevb.rows import Progress, check_count, mean_and_error, row_hashes
from aevb.table.schema import Values

__all__ = [
    "METHODS",
    "Baselines",
    "Evaluation",
    "Limits",
    "ReportDict",
    "Results",
    "assess",
    "evaluate",
]


#: What JSON can hold, such as numbers, text, and lists and dictionaries of them.
ReportDict = dict[str, Any]


class Method(NamedTuple):
    """A way to estimate log p(x): the estimator, its word for samples, and how many are usual."""

    estimator: Callable[..., Any]
    samples: str
    usual: int


#: The estimators of log p(x) by the name that people give.
METHODS: dict[str, Method] = {
    "iwae": Method(marginal.importance, "samples", 1_000),
    "ais": Method(marginal.annealed, "chains", 16),
    "harmonic": Method(marginal.harmonic, "samples", 500),
}


@dataclass(frozen=True)
class Limits:
    """How much is spent on a report."""

    #: Draws per row for log p(x).
    samples: int = 1_000
    #: Many rows are scored with fewer draws each, so many in all, ...
    draws: int = 2_000_000
    #: ... but no fewer than this for each.
    least_samples: int = 250
    #: Pareto k is computed for so many rows, ...
    pareto_rows: int = 500
    #: ... and noted where more than this share is bad.
    heavy: float = 0.1
    #: The aggregate posterior is compared with so many rows, each with each.
    aggregate_rows: int = 1_000
    #: The gap between training and held-out rows is measured on so many of the former.
    train_rows: int = 2_000

    def samples_for(self, rows: int) -> int:
        """Draws per row for so many rows."""
        least = min(self.least_samples, self.samples)
        return int(np.clip(self.draws // rows, least, self.samples))


@dataclass(frozen=True)
class Baselines:
    """The plain models fitted to a fit's training rows, and why others were not."""

    fitted: Mapping[str, Baseline] = field(default_factory=dict)
    not_applicable: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def none(cls, reason: str) -> "Baselines":
        """No baselines, all for this reason."""
        return cls({}, dict.fromkeys(BASELINES, reason))

    @classmethod
    def of(cls, fit: Fit) -> "Baselines":
        """Fit them to the fit's own training rows; its validation rows choose their sizes."""
        train, validation = fit.parts.train, fit.parts.validation
        if not len(validation):
            validation = train
        fitted, reasons = fit_baselines(
            _modeled(fit, train),
            _modeled(fit, validation),
            fit.preparation.schema,
            seed=fit.seed,
            latent_dim=fit.architecture.latents,
        )
        return cls(fitted, reasons)

    def for_rows(self, values: Values) -> "Baselines":
        """Those that can score these rows: a Gaussian mixture needs complete ones."""
        mixture = "Gaussian mixture"
        if mixture not in self.fitted or np.isfinite(values).all():
            return self
        fitted = {name: one for name, one in self.fitted.items() if name != mixture}
        reason = "it scores complete rows only, and cells of these are missing"
        return Baselines(fitted, {**self.not_applicable, mixture: reason})


@dataclass(frozen=True)
class Evaluation:
    """The numbers of some rows; keys and meaning as in the README's table of results."""

    held_out: ReportDict
    method: str
    baselines: dict[str, ReportDict]
    not_applicable: dict[str, str]
    verdict: dict[str, str]
    measure: str
    diagnostics: ReportDict

    def to_dict(self) -> ReportDict:
        """Plain dictionaries, numbers, text and lists."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True)
class Results:
    """A report of a fit, and the baselines it compares the fit with.

    ``to_dict()`` is what ``vae.report_``, ``results.json`` and ``--json`` hold: an `Evaluation` of
    the held-out rows, and how the model was fitted.
    """

    document: ReportDict
    baselines: Baselines

    def to_dict(self) -> ReportDict:
        """Plain dictionaries, numbers, text and lists."""
        return self.document


def evaluate(
    fit: Fit,
    values: Values,
    baselines: Baselines,
    *,
    samples: int | None = None,
    method: str = "iwae",
    part: str = "given",
    progress: Progress | None = None,
    limits: Limits = Limits(),
) -> Evaluation:
    """Log-likelihood of these rows in nats per row, the baselines' on the same rows, a verdict.

    Rows of the data have shape (n, D), NaN where missing; `part` says which they are, for the text.
    The method is one of `METHODS`, with its usual number of samples per row unless given.
    """
    if method not in METHODS:
        raise ConfigError(f"method is one of {', '.join(METHODS)}, not {method!r}")
    if samples is None:
        samples = METHODS[method].usual
    check_count("samples", samples)
    units = fit.units(values)
    options = {METHODS[method].samples: samples}
    estimator = METHODS[method].estimator
    scores = estimator(fit.model, units, seed=fit.seed, progress=progress, **options)
    numbers = _held_out(fit, units, scores, samples, part)
    baselines = baselines.for_rows(_modeled(fit, values))
    compared = _compared(fit, values, scores, baselines)
    diagnostics: ReportDict = {"warnings": []}
    if method == "iwae":
        diagnostics = _tails_of_weights(fit, units, numbers, limits)
    return Evaluation(
        held_out=numbers,
        method=method,
        baselines=compared,
        not_applicable=dict(baselines.not_applicable),
        verdict=verdict(compared, part=part, rows=len(values)),
        measure=fit.preparation.schema.measure,
        diagnostics=diagnostics,
    )


def _held_out(fit: Fit, units: Units, scores: Scores, samples: int, part: str) -> ReportDict:
    """The fit's own numbers on these rows."""
    bound = marginal.elbo(fit.model, sgvb_b, units, seed=fit.seed)
    numbers = held_out(
        scores,
        dimensions=units.shape[1],
        samples=samples,
        bound=float(bound.mean()),
        part=part,
        identical=np.unique(row_hashes(units), return_inverse=True)[1],
    )
    acceptance = getattr(scores, "acceptance", None)
    if acceptance is not None:
        numbers["acceptance"] = float(acceptance.mean())
    return numbers


def _compared(
    fit: Fit, values: Values, scores: Scores, baselines: Baselines
) -> dict[str, ReportDict]:
    """Each baseline's numbers on these rows, and the difference to it."""
    modeled = _modeled(fit, values)
    compared = {}
    for name, baseline in baselines.fitted.items():
        theirs = baseline.score_samples(modeled, seed=fit.seed)
        compared[name] = compare(scores.log_likelihood, theirs, baseline.settings)
    return compared


def assess(
    fit: Fit,
    baselines: Baselines | None = None,
    *,
    limits: Limits = Limits(),
) -> Results:
    """The report of a fit: `evaluate` on its held-out rows, diagnostics, and how it was fitted.

    The fit has its rows, and is not a loaded one. The baselines are fitted to its training rows
    unless given.
    """
    if baselines is None:
        baselines = Baselines.of(fit)
    part, values = fit.parts.held_out
    samples = limits.samples_for(len(values))
    found = evaluate(fit, values, baselines, samples=samples, part=part, limits=limits)
    about = _about(fit, values, found, samples, limits)
    return Results({**found.to_dict(), **about}, baselines)


def _about(fit: Fit, values: Values, found: Evaluation, samples: int, limits: Limits) -> ReportDict:
    """What only the fit's own rows tell, and how it was fitted."""
    parts = fit.parts
    return {
        "parts": {
            "train": len(parts.train),
            "validation": len(parts.validation),
            "test": len(parts.test),
        },
        "diagnostics": _diagnostics(fit, values, found, samples, limits),
        "latent_dim": {"chosen": fit.architecture.latents, "tried": fit.tried},
        "architecture": architecture(fit.model),
        "fit": _training(fit),
    }


def _training(fit: Fit) -> ReportDict:
    """How the model was fitted."""
    rows = len(fit.parts.train)
    batch = min(fit.settings.batch_size, rows)
    return {
        "epochs": fit.epochs,
        "best_epoch": fit.best_epoch,
        "steps": fit.epochs * -(-rows // batch),
        "skipped_steps": int(fit.history[-1]["skipped_steps"]),
        "stopped": fit.stopped,
        "seconds": fit.seconds,
    }


def _diagnostics(
    fit: Fit, values: Values, found: Evaluation, samples: int, limits: Limits
) -> ReportDict:
    """What the latents do, the gap to training rows, and warnings."""
    units = fit.units(values)
    train = fit.units(fit.parts.train[: limits.train_rows])
    train_scores = marginal.importance(fit.model, train, samples=samples, seed=fit.seed)
    mean, error = mean_and_error(train_scores.log_likelihood)
    latents = latent_diagnostics(fit.model, units)
    numbers = found.held_out
    return {
        **found.diagnostics,
        **latents,
        **_aggregate(fit, units[: limits.aggregate_rows]),
        "train_log_likelihood": mean,
        "gap": mean - numbers["log_likelihood"],
        "gap_standard_error": float(np.hypot(error, numbers["standard_error"])),
        "warnings": _warnings(fit, bool(latents["collapsed"]), found),
    }


def _aggregate(fit: Fit, units: Units) -> dict[str, float]:
    """The KL of q(z|x) split at the aggregate posterior, each part with its error."""
    parts = marginal.aggregate_posterior(fit.model, units, seed=fit.seed)
    numbers = {}
    for name, (value, error) in parts._asdict().items():
        numbers[name] = value
        numbers[f"{name}_error"] = error
    return numbers


def _tails_of_weights(fit: Fit, units: Units, numbers: ReportDict, limits: Limits) -> ReportDict:
    """How far importance weights can be trusted: the share of rows with a tail too heavy."""
    # More draws would not sharpen k by much, and all of a row's weights are held at once.
    samples = int(np.clip(numbers["samples"], limits.least_samples, 1_000))
    k, limit = marginal.pareto_k(
        fit.model, units[: limits.pareto_rows], samples=samples, seed=fit.seed
    )
    above = float((k > limit).mean())
    notes = []
    if numbers["effective_sample_size"] < 10 <= numbers["samples"]:
        notes.append(
            "Half of the rows have an effective sample size below "
            f"{numbers['effective_sample_size']:.0f} of {numbers['samples']}: log-likelihoods are "
            "lower bounds that more samples would raise."
        )
    if above > limits.heavy:
        notes.append(
            f"{above:.0%} of the rows have importance weights with a Pareto k above {limit:.2f}: "
            "their log-likelihoods may be well below the truth; evaluate(method='ais') does not "
            "depend on these weights."
        )
    return {"pareto_k_above": above, "pareto_k_limit": limit, "warnings": notes}


def _warnings(fit: Fit, collapsed: bool, found: Evaluation) -> list[str]:
    notes = [*fit.preparation.source.notes, *fit.preparation.source.advice]
    if collapsed:
        notes.append(
            "Posterior collapse: the latents carry next to no information about the rows; try "
            "kl_warmup=0.5 or free_bits=0.5."
        )
    notes += found.diagnostics["warnings"]
    if fit.weighted:
        notes.append(
            "sample_weight counts in the fit of the VAE only: the baselines, and all numbers "
            "here, count each row once."
        )
    part = found.held_out["part"]
    if part != "test":
        notes.append(
            f"No test rows were held out: the numbers are those of the {part} rows, which were "
            "also used in fitting."
        )
    return notes


def _modeled(fit: Fit, values: Values) -> NDArray[np.float64]:
    """What the baselines see: the values, or the 0 and 1 drawn from gray ones."""
    if fit.preparation.binarize is None:
        return values
    return fit.units(values).astype(np.float64)
