"""How far a fitted `VAE` can be trusted: its numbers on held-out rows beside the baselines', and
the verdict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aevb.diagnostics import architecture, latent_diagnostics
from aevb.errors import ConfigError
from aevb.marginal import (
    Scores,
    aggregate_posterior,
    annealed,
    elbo,
    harmonic,
    importance,
    pareto_k,
)
from aevb.objectives import sgvb_b
from aevb.results import compare, held_out, verdict
from aevb.rows import Progress, check_count, mean_and_error, row_hashes

if TYPE_CHECKING:
    from aevb.sklearn.estimator import VAE

__all__ = [
    "METHODS",
    "Parts",
    "assess",
    "baselines_of",
    "evaluate",
    "held_out_rows",
    "held_out_scores",
]

Values = NDArray[np.float64]
#: The tails of importance weights are looked at in so many rows at most, and said where more than
#: this share is heavy.
PARETO_ROWS, HEAVY = 500, 0.1
#: Weights of a row whose tail is looked at, at most.
WEIGHTS = 1_000
#: The aggregate posterior is held against so many rows at most, each with each.
AGGREGATE_ROWS = 1_000
#: The gap between training and held-out rows is measured on at most this many of the former.
TRAIN_ROWS = 2_000
#: How log p(x) is estimated, by name: the estimator, and its usual number of samples, of chains for
#: "ais".
METHODS: dict[str, tuple[Callable[..., Any], int]] = {
    "iwae": (
        lambda model, units, samples, **how: importance(model, units, samples=samples, **how),
        1_000,
    ),
    "ais": (lambda model, units, samples, **how: annealed(model, units, chains=samples, **how), 16),
    "harmonic": (
        lambda model, units, samples, **how: harmonic(model, units, samples=samples, **how),
        500,
    ),
}
#: The one baseline that cannot marginalise missing cells.
MIXTURE = "Gaussian mixture"
#: Many rows are scored with fewer samples each, so many draws of z in all, but not fewer than the
#: second a row.
DRAWS, MIN_SAMPLES = 2_000_000, 250


@dataclass(frozen=True)
class Parts:
    """Values of the training, validation and test rows, NaN where missing; a loaded model has none
    of any.
    """

    train: Values
    validation: Values
    test: Values


def evaluate(
    vae: "VAE",
    values: Values,
    *,
    samples: int | None = None,
    method: str = "iwae",
    part: str = "given",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Log-likelihood of these rows in nats with its errors, the baselines' on the same rows, and
    the verdict.

    Raises
    ------
    ConfigError
        No such method, or one that the model's latents do not allow; fewer samples than one.
    """
    if method not in METHODS:
        raise ConfigError(f"method is one of {', '.join(METHODS)}, not {method!r}")
    estimator, usual = METHODS[method]
    samples = usual if samples is None else samples
    check_count("samples", samples)
    units = vae._preparation.units(values)
    scores = estimator(vae.model_, units, samples, seed=vae.seed_, progress=progress)
    numbers = held_out(
        scores,
        dimensions=values.shape[1],
        samples=samples,
        bound=float(_bound(vae, values).mean()),
        part=part,
        identical=np.unique(row_hashes(units), return_inverse=True)[1],
    )
    fitted, not_applicable = baselines_of(vae)
    modelled = _modelled(vae, values)
    if np.isnan(modelled).any() and MIXTURE in fitted:
        fitted = {name: baseline for name, baseline in fitted.items() if name != MIXTURE}
        not_applicable = {
            **not_applicable,
            MIXTURE: "it scores complete rows only, and cells of these are missing",
        }
    baselines = {
        name: compare(
            scores.log_likelihood,
            baseline.score_samples(modelled, seed=vae.seed_),
            baseline.settings,
        )
        for name, baseline in fitted.items()
    }
    if (acceptance := getattr(scores, "acceptance", None)) is not None:
        numbers["acceptance"] = float(acceptance.mean())
    return {
        "held_out": numbers,
        "method": method,
        "baselines": baselines,
        "not_applicable": not_applicable,
        "verdict": verdict(baselines, part=part, rows=len(values)),
        "measure": vae._preparation.schema.measure,
        "diagnostics": _weights(vae, units, numbers) if method == "iwae" else {"warnings": []},
    }


def assess(vae: "VAE", *, samples: int) -> dict[str, Any]:
    """The results dictionary of a fit: `evaluate` on its held-out rows, with diagnostics and how it
    was fitted.
    """
    part, values = held_out_rows(vae)
    samples = int(np.clip(DRAWS // len(values), min(MIN_SAMPLES, samples), samples))
    numbers = evaluate(vae, values, samples=samples, part=part)
    return {**numbers, **_about(vae, values, numbers, samples)}


def held_out_rows(vae: "VAE") -> tuple[str, Values]:
    """The rows a fit is judged on, and which part they are: test, else validation, else training."""
    parts: Parts = vae._parts
    named = {"test": parts.test, "validation": parts.validation, "training": parts.train}
    return next((part, values) for part, values in named.items() if len(values))


def held_out_scores(vae: "VAE", *, samples: int) -> Values:
    """log p(x) of those rows in nats, shape (n,)."""
    return _scores(vae, held_out_rows(vae)[1], samples).log_likelihood


def _about(
    vae: "VAE", values: Values, evaluated: Mapping[str, Any], samples: int
) -> dict[str, Any]:
    fitted, parts, numbers = vae._fitted, vae._parts, evaluated["held_out"]
    train = _scores(vae, parts.train[:TRAIN_ROWS], samples).log_likelihood
    mean, error = mean_and_error(train)
    units = vae._preparation.units(values)
    diagnostics = latent_diagnostics(vae.model_, units) | _aggregate(vae, units)
    return {
        "parts": {
            "train": len(parts.train),
            "validation": len(parts.validation),
            "test": len(parts.test),
        },
        "diagnostics": {
            **evaluated["diagnostics"],
            **diagnostics,
            "train_log_likelihood": mean,
            "gap": mean - numbers["log_likelihood"],
            "gap_standard_error": float(np.hypot(error, numbers["standard_error"])),
            "warnings": _warnings(vae, diagnostics, numbers, evaluated["diagnostics"]["warnings"]),
        },
        "latent_dim": {"chosen": vae.latent_dim_, "tried": fitted.tried},
        "architecture": architecture(vae.model_),
        "fit": {
            "epochs": vae.n_iter_,
            "best_epoch": vae.best_epoch_,
            "steps": int(fitted.history[-1]["epoch"])
            * -(-len(parts.train) // min(vae.batch_size, len(parts.train))),
            "skipped_steps": int(fitted.history[-1]["skipped_steps"]),
            "stopped": fitted.stopped,
            "seconds": vae._seconds,
        },
    }


def _aggregate(vae: "VAE", units: NDArray[np.float32]) -> dict[str, float]:
    parts = aggregate_posterior(vae.model_, units[:AGGREGATE_ROWS], seed=vae.seed_)
    errors = {f"{name}_error": error for name, (_, error) in parts._asdict().items()}
    return {name: value for name, (value, _) in parts._asdict().items()} | errors


def _weights(vae: "VAE", units: NDArray[np.float32], numbers: Mapping[str, Any]) -> dict[str, Any]:
    """How far importance weights are to be trusted: the share of rows with too heavy a tail, and
    what to do.
    """
    # More would not sharpen k by much, and all of a row's weights are held at once.
    samples = int(np.clip(numbers["samples"], MIN_SAMPLES, WEIGHTS))
    k, limit = pareto_k(vae.model_, units[:PARETO_ROWS], samples=samples, seed=vae.seed_)
    above, notes = float((k > limit).mean()), []
    if numbers["effective_sample_size"] < 10 <= numbers["samples"]:
        notes.append(
            f"Half of the rows have an effective sample size below {numbers['effective_sample_size']:.0f} of "
            f"{numbers['samples']}: log-likelihoods are lower bounds that more samples would raise."
        )
    if above > HEAVY:
        notes.append(
            f"{above:.0%} of the rows have importance weights with a Pareto k above {limit:.2f}: their log-likelihoods "
            "may be well below the truth; evaluate(method='ais') does not rest on these weights."
        )
    return {"pareto_k_above": above, "pareto_k_limit": limit, "warnings": notes}


def _warnings(
    vae: "VAE",
    diagnostics: Mapping[str, Any],
    numbers: Mapping[str, Any],
    of_weights: Sequence[str],
) -> list[str]:
    notes = list(vae._preparation.source.notes)
    if diagnostics["collapsed"]:
        notes.append(
            "Posterior collapse: the latents say next to nothing about the rows; try kl_warmup=0.5 or free_bits=0.5."
        )
    notes += of_weights
    if vae._weighted:
        notes.append(
            "sample_weight counts in the fit of the VAE only: the baselines, and all numbers here, count each row once."
        )
    if numbers["part"] != "test":
        notes.append(
            f"No test rows were held out: the numbers are of the {numbers['part']} rows, also used in fitting."
        )
    return notes


def _scores(vae: "VAE", values: Values, samples: int) -> Scores:
    return importance(vae.model_, vae._preparation.units(values), samples=samples, seed=vae.seed_)


def _bound(vae: "VAE", values: Values) -> NDArray[np.float64]:
    """The evidence lower bound, whatever bound the fit climbed, so that runs can be compared."""
    return elbo(vae.model_, sgvb_b, vae._preparation.units(values), seed=vae.seed_)


def _modelled(vae: "VAE", values: Values) -> Values:
    """What the baselines see: the values, or the 0 and 1 drawn from grey ones."""
    preparation = vae._preparation
    return values if preparation.binarize is None else preparation.units(values).astype(np.float64)


def baselines_of(vae: "VAE") -> tuple[dict[str, Any], dict[str, str]]:
    """Fitted once, to the fit's own training rows, their sizes chosen on its validation rows; a run
    keeps them.
    """
    from aevb.baselines.fitting import NAMES, fit_baselines

    if vae._baselines is None and not len(vae._parts.train):
        return {}, dict.fromkeys(
            NAMES, "it is fitted together with the VAE only, and this run did not keep it"
        )
    if vae._baselines is None:
        parts, schema = vae._parts, vae._preparation.schema
        validation = parts.validation if len(parts.validation) else parts.train
        train, validation = (_modelled(vae, part) for part in (parts.train, validation))
        vae._baselines = fit_baselines(
            train, validation, schema, seed=vae.seed_, latent_dim=vae.latent_dim_
        )
    return vae._baselines
