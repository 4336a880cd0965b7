"""The models a VAE must beat on rows none of them has seen: marginals, PPCA, factor analysis,
mixtures.

Each is fitted to the same training rows; its size is chosen on the same validation rows; all report
nats per row of the same event in the units of the data. A Gaussian is a density: on a column of
masses with step h it is fitted and scored on x + u, u ~ U(-h/2, h/2), and E_u log p(x + u) + log h
never exceeds log P(x) (Jensen's inequality).
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aevb import linear
from aevb.baselines import latent_class
from aevb.baselines.gaussians import Density, Dequantised, Linear, Mixture, StandardUnits
from aevb.baselines.latent_class import LatentClasses
from aevb.table.schema import LEVELED, Schema

__all__ = ["NAMES", "Baseline", "Classes", "fit_baselines"]

Array = NDArray[np.float64]
T = TypeVar("T")

#: All there are, in the order they are reported in.
NAMES = ("independent marginals", "PPCA", "factor analysis", "Gaussian mixture", "latent classes")

#: Sizes tried.
FACTORS = (1, 2, 4, 8, 16, 32, 64)
COMPONENTS = (1, 2, 4, 8, 16, 32)
RIDGES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
#: Above so many columns a mixture's covariances are diagonal, its components few and a linear fit's
#: steps fewer.
MANY_COLUMNS = 200
MIXTURE_ROWS = 20_000
MIXTURE_CELLS = 2_000_000
VALIDATION_ROWS = 5_000
SMALL_CELLS = 1_000_000


class Baseline(Protocol):
    """A fitted model of a table that gives each row its log-likelihood."""

    @property
    def settings(self) -> dict[str, Any]:
        """What was chosen, and how a score is to be read: plain numbers, strings and lists."""

    def score_samples(self, values: Array, seed: int = 0) -> Array:
        """log p of the observed cells of each row, nats in data units, shape (n,)."""


def fit_baselines(
    train: Array, validation: Array, schema: Schema, *, seed: int = 0, latent_dim: int | None = None
) -> tuple[dict[str, Baseline], dict[str, str]]:
    """Every baseline that applies to these columns, and the reasons why others do not.

    Parameters
    ----------
    train, validation
        Values, (rows, columns), NaN where missing; validation rows choose sizes.
    schema
        What the columns are.
    seed
        Of starts, subsamples and dequantisation.
    latent_dim
        A number of factors to try beside `FACTORS`: the VAE's own, so that it meets its equal.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # Products of small matrices spend their time on waking threads, most of all where other
    # programs run.
    with threadpool_limits(1 if train.size <= SMALL_CELLS else None, user_api="blas"):
        return _fit_all(train, validation, schema, seed, latent_dim)


def _fit_all(
    train: Array, validation: Array, schema: Schema, seed: int, latent_dim: int | None
) -> tuple[dict[str, Baseline], dict[str, str]]:
    marginals = latent_class.fit_classes(latent_class.affordable(train, schema, seed), schema, 1)
    classes = latent_class.fit(train, validation, schema, seed=seed)
    baselines: dict[str, Baseline] = {
        "independent marginals": Classes(marginals, {"rows": marginals.rows}),
        "latent classes": Classes(
            classes, {"classes": classes.classes, "rows": classes.rows, "chosen_on": "validation"}
        ),
    }
    gaussian = {
        "PPCA": _fit_ppca,
        "factor analysis": _fit_factor_analysis,
        "Gaussian mixture": _fit_mixture,
    }
    reason = _not_gaussian(schema)
    if reason:
        return baselines, dict.fromkeys(gaussian, reason)
    reasons = {}
    if np.isnan(train).any() or np.isnan(validation).any():
        reasons["Gaussian mixture"] = "it needs complete rows, and cells are missing"
    elif len(train) < 2:
        reasons["Gaussian mixture"] = "it needs two training rows"
    gaussian = {name: fit for name, fit in gaussian.items() if name not in reasons}
    units = StandardUnits.of(schema, train)
    rng = np.random.default_rng(seed)
    rows = units.standardised(train, rng)
    held_out = units.standardised(validation[:VALIDATION_ROWS], rng) if len(validation) else rows
    for name, fit in gaussian.items():
        baselines[name] = Dequantised(*fit(rows, held_out, units, latent_dim, seed), units=units)
    return {name: baselines[name] for name in NAMES if name in baselines}, reasons


@dataclass(frozen=True)
class Classes:
    """Marginals and latent classes: columns of their own kinds, nothing to dequantise."""

    model: LatentClasses
    settings: dict[str, Any] = field(default_factory=dict)

    def score_samples(self, values: Array, seed: int = 0) -> Array:
        """log p of the observed cells of each row, nats in data units, shape (n,)."""
        return self.model.score_samples(values)


Fit = tuple[Density, dict[str, Any]]


def _fit_ppca(
    train: Array, validation: Array, units: StandardUnits, latent_dim: int | None, seed: int
) -> Fit:
    """One noise variance for all columns, in standard units or in the data's own, whichever
    validation rows prefer.
    """
    own = units.scale / np.exp(np.log(units.scale).mean())
    ratios = [np.ones_like(own)] + ([own] if own.max() < 1e3 * own.min() else [])

    def candidates() -> Iterator[tuple[Density, dict[str, Any], float]]:
        for ratio in ratios:
            density, settings = _fit_linear(train, validation, units, latent_dim, ratio=ratio)
            units_of = "standard" if ratio is ratios[0] else "data"
            yield (
                density,
                {**settings, "units": units_of},
                float(density.score_samples(validation).mean()),
            )

    return _best(candidates())


def _fit_factor_analysis(
    train: Array, validation: Array, units: StandardUnits, latent_dim: int | None, seed: int
) -> Fit:
    return _fit_linear(train, validation, units, latent_dim)


def _fit_linear(
    train: Array,
    validation: Array,
    units: StandardUnits,
    latent_dim: int | None,
    *,
    ratio: Array | None = None,
) -> Fit:
    """Factor analysis, or PPCA in units `ratio` times smaller than the standard ones."""
    isotropic, ratio = ratio is not None, np.ones(train.shape[1]) if ratio is None else ratio
    most = max(train.shape[1] - 1, 1)
    sizes = sorted({size for size in (*FACTORS, latent_dim or 1) if size <= most} or {1})
    steps = 50 if train.shape[1] > MANY_COLUMNS else 500
    scaled, floor = train * ratio, units.floor * ratio**2

    def fitted() -> Iterator[tuple[Density, dict[str, Any], float]]:
        for size in sizes:
            model = linear.fit(
                scaled, size, isotropic=isotropic, noise_floor=floor, max_iterations=steps
            )
            density = Linear.of(model, ratio)
            yield density, {"factors": size}, float(density.score_samples(validation).mean())

    return _best(fitted())


def _fit_mixture(
    train: Array, validation: Array, units: StandardUnits, latent_dim: int | None, seed: int
) -> Fit:
    """Full and diagonal covariances, ridges and components, on rows with the recording's rounding
    undone.
    """
    from sklearn.mixture import GaussianMixture

    rng = np.random.default_rng(seed)
    many = train.shape[1] > MANY_COLUMNS
    kept = rng.permutation(len(train))[
        : max(min(MIXTURE_ROWS, MIXTURE_CELLS // train.shape[1]), 500)
    ]
    # A density's grid, unlike a mass's step, is not in the rows yet: without it a component may sit
    # on one value.
    grid = np.array(
        [0.0 if c.measure == "mass" or c.kind == "positive" else c.grid for c in units.columns]
    )
    rows = train[kept] + grid / units.scale * (rng.random((len(kept), train.shape[1])) - 0.5)

    def fitted(covariance: str, ridge: float) -> Iterator[tuple[Any, dict[str, Any], float]]:
        for components in COMPONENTS[:5] if many else COMPONENTS:
            parameters = train.shape[1] if covariance == "full" else 1
            if components > 1 and components * parameters > len(rows):
                return
            model = GaussianMixture(
                components,
                covariance_type=covariance,
                reg_covar=ridge,
                random_state=seed % 2**32,
                max_iter=100,
            )
            settings = {"components": components, "covariance": covariance, "ridge": ridge}
            yield model.fit(rows), settings, float(model.score(validation))

    def ridged(covariance: str) -> Iterator[tuple[Any, dict[str, Any], float]]:
        for ridge in (1e-2,) if many else RIDGES:
            yield _scored(_best(fitted(covariance, ridge)), validation)

    covariances = ("diag",) if many else ("full", "diag")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of EM that did not settle within its steps: validation rows judge it
        model, settings = _best(
            _scored(_best(ridged(covariance)), validation) for covariance in covariances
        )
    return Mixture.of(model), {**settings, "rows": len(rows)}


def _scored(
    chosen: tuple[Any, dict[str, Any]], validation: Array
) -> tuple[Any, dict[str, Any], float]:
    return *chosen, float(chosen[0].score(validation))


def _best(
    candidates: Iterable[tuple[T, dict[str, Any], float]], patience: int = 2
) -> tuple[T, dict[str, Any]]:
    """The candidate that scores best; stops asking after `patience` worse ones in a row."""
    chosen: tuple[T, dict[str, Any]] | None = None
    best, worse = -np.inf, 0
    for model, settings, score in candidates:
        worse = worse + 1 if score <= best else 0
        if chosen is None or score > best:
            chosen, best = (model, settings), score
        if worse >= patience:
            break
    assert chosen is not None
    return chosen


def _not_gaussian(schema: Schema) -> str:
    """Why a Gaussian cannot speak of these columns; empty where it can."""
    leveled = [
        f"{column.name} ({column.kind})" for column in schema.columns if column.kind in LEVELED
    ]
    atoms = [f"{column.name} (atoms)" for column in schema.columns if column.measure == "mixed"]
    named = leveled + atoms
    if not named:
        return ""
    more = f" and {len(named) - 4} more" if len(named) > 4 else ""
    return f"a Gaussian has no probability for the levels or atoms of {', '.join(named[:4])}{more}"
