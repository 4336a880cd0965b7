"""`VAE`, the scikit-learn face of a fit: score, embed, reconstruct, sample and impute."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from aevb import marginal, predict
from aevb import run as runs
from aevb.assess import Baselines, ReportDict, Results, assess, evaluate
from aevb.diagnostics import codes
from aevb.fit import Fit, fit
from aevb.forked import survives_fork
from aevb.marginal import Scores
from aevb.model import Model
from aevb.objectives import estimator_of
from aevb.report import Contents
from aevb.rows import Progress, check_count
from aevb.settings import Settings
from aevb.sklearn.checks import checked
from aevb.sklearn.parameters import with_parameters
from aevb.table import decode, encode
from aevb.table.containers import readable
from aevb.table.encoding import missing_cells
from aevb.table.schema import Schema
from aevb.table.tables import TableLike
from aevb.train import Checkpoint

__all__ = ["VAE", "load"]

#: Rows in the container the data came in.
Container = Any


@with_parameters(by_place=11)
class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A variational auto-encoder fitted by Auto-Encoding Variational Bayes.

    Maximizes log p(x) >= E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)) (Kingma and Welling 2013) over
    rows of any kinds of columns, missing cells welcome, and reports nats per row in the units of
    the data.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    model_ : aevb.Model
        q(z|x), p(x|z) and p(z).
    schema_ : aevb.table.schema.Schema
        What the columns are.
    history_ : list of dict
        One line per epoch.
    report_ : dict
        The results of `assess`, which is called at the first read.
    fit_ : aevb.fit.Fit
        All that the fit gave.
    latent_dim_, n_iter_, best_epoch_, seed_, n_features_in_, feature_names_in_
        Sizes and names, as fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> vae = VAE(latent_dim=2, hidden=(), epochs=5, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.score_samples(X[:3]).shape
    ((150, 2), (3,))
    """

    #: Whether columns of a frame are matched by name, as the command line does, not by their order.
    reorder = False

    fit_: Fit
    _results: Results | None
    _contents: Contents | None

    @survives_fork
    def fit(
        self,
        X: TableLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        ordered: bool = False,
        progress: Callable[[dict[str, float]], None] | None = None,
        checkpoint: Checkpoint | None = None,
        start: Model | None = None,
    ) -> Self:
        """Fit to an array or a data frame; NaN, None and NA are missing cells.

        Parameters
        ----------
        X
            Array of shape (n, D), images of shape (n, height, width[, channels]), or a pandas,
            polars or pyarrow frame.
        y
            Not used in fitting; a label for each row, to color the report's latent space by.
        sample_weight
            Weight of each row, shape (n,). Small whole numbers are copies of the row; others count
            in the bound, the linear start and the choice of the epoch, but not in units, other
            starts, baselines and the report's means.
        groups
            Rows of one group are kept on the same side of every split.
        ordered
            Train on the first rows, validate and test on the last.
        progress
            Called with each epoch's line of the history, and `epochs`, their total.
        checkpoint
            Where training continues from and what it writes to: `aevb.disk.checkpoints.Checkpoint`.
        start
            A `model_` of the same columns and sizes to start from, instead of the linear model.

        Raises
        ------
        ConfigError, DataError, NumericalError
            See `aevb.errors`.
        KeyboardInterrupt
            Passed on; the estimator is then fitted as far as the last finished epoch.
        """
        settings = Settings.of(self.get_params(deep=False))
        X = checked(self, X, reset=True)
        fitted = fit(
            X,
            settings,
            y=y,
            sample_weight=sample_weight,
            groups=groups,
            ordered=ordered,
            progress=progress,
            checkpoint=checkpoint,
            start=start,
        )
        names = getattr(self, "feature_names_in_", None)
        self._take(
            replace(
                fitted,
                n_features_in=self.n_features_in_,
                feature_names_in=None if names is None else tuple(map(str, names)),
            )
        )
        if fitted.stopped == "interrupt":
            raise KeyboardInterrupt
        return self

    @survives_fork
    def transform(self, X: TableLike) -> NDArray[np.float64]:
        """Codes: the means of q(z|x), shape (n, latent_dim). Deterministic."""
        check_is_fitted(self)
        return codes(self.model_, self._units(X)).astype(np.float64)

    @survives_fork
    def inverse_transform(self, Z: ArrayLike) -> Container:
        """E[x|z] of codes of shape (n, latent_dim), in the columns of the data."""
        check_is_fitted(self)
        return self._decoded(np.asarray(Z, dtype=np.float32))

    @survives_fork
    def reconstruct(self, X: TableLike) -> Container:
        """E[x|z] at the mean of q(z|x), in the columns of the data."""
        check_is_fitted(self)
        X = readable(X)
        return self._decoded(codes(self.model_, self._units(X)), like=X)

    def score_samples(self, X: TableLike, *, samples: int = 1_000) -> NDArray[np.float64]:
        """log p(x) of each row by importance weighting, nats in the units of the data, shape (n,).

        A row's number does not depend on the batch, the order or the company it comes in, to the
        last bit.
        """
        return self.score_details(X, samples=samples).log_likelihood

    @survives_fork
    def score_details(self, X: TableLike, *, samples: int = 1_000) -> Scores:
        """`score_samples` with the Monte Carlo error and the effective sample size of each row."""
        check_is_fitted(self)
        return marginal.importance(self.model_, self._units(X), samples=samples, seed=self.seed_)

    def score(self, X: TableLike, y: object = None) -> float:
        """The mean of `score_samples`, nats per row."""
        return float(self.score_samples(X).mean())

    @survives_fork
    def bound(self, X: TableLike, *, samples: int = 16) -> NDArray[np.float64]:
        """The bound that the fit maximized, nats of each row, by the fit's own estimator; (n,).

        "iwae", "dreg", "vimco" and "renyi" have a tighter bound than the evidence lower bound,
        which `report_` has for all fits.
        """
        check_is_fitted(self)
        objective = estimator_of(self.objective).with_options(alpha=self.alpha)
        return marginal.elbo(
            self.model_, objective, self._units(X), samples=samples, seed=self.seed_
        )

    @survives_fork
    def sample(self, n: int = 1, *, random_state: int | None = None) -> Container:
        """Rows drawn from p(x), with the columns, types and categories of the data.

        They are drawn with the fit's seed unless another is given.
        """
        check_is_fitted(self)
        seed = self.seed_ if random_state is None else random_state
        units = predict.sampled(self.model_, n, seed)
        return decode(self.fit_.preparation.values_of(units), self.schema_)

    @survives_fork
    def impute(
        self,
        X: TableLike,
        *,
        draws: int | None = None,
        samples: int = 500,
        random_state: int | None = None,
    ) -> Container:
        """Fill the missing cells and touch no other.

        The table that comes back is a copy of X: of tensors a NumPy array, of records and of what
        streams Arrow data a pyarrow table.

        Parameters
        ----------
        X
            Rows with missing cells.
        draws
            None fills with the conditional mean (the most probable level of a category); M gives M
            rows drawn from p(x_missing | x_observed) by importance resampling: an array of shape
            (M, n, D), or a list of M frames.
        samples
            Importance samples of z per row.
        random_state
            A seed other than the fit's.
        """
        check_is_fitted(self)
        check_count("samples", samples)
        X = readable(X)
        if draws is not None:
            check_count("draws", draws)
        values = self._values(X)
        missing = missing_cells(X, self.schema_, reorder=self.reorder, inf=self.fit_.settings.inf)
        seed = self.seed_ if random_state is None else random_state
        filled = self._filled(values, draws, samples, seed)
        decoded = [decode(rows, self.schema_, like=X, filled=missing) for rows in filled]
        if draws is None:
            return decoded[0]
        if isinstance(decoded[0], np.ma.MaskedArray):
            return np.ma.stack(decoded)
        return np.stack(decoded) if isinstance(decoded[0], np.ndarray) else decoded

    @survives_fork
    def evaluate(
        self,
        X: TableLike,
        *,
        samples: int | None = None,
        method: str = "iwae",
        progress: Progress | None = None,
    ) -> ReportDict:
        """Log-likelihood of these rows, compared with the baselines fitted to the fit's own rows.

        The method is "iwae", "ais" or "harmonic". Baselines are those of `assess`, which is called
        first where it was not.
        """
        check_is_fitted(self)
        baselines = self.assess().baselines
        found = evaluate(
            self.fit_, self._values(X), baselines, samples=samples, method=method, progress=progress
        )
        return found.to_dict()

    @survives_fork
    def assess(self) -> Results:
        """Fit the baselines and compare the model with them on held-out rows; done once."""
        check_is_fitted(self)
        if self._results is None:
            self._results = assess(self.fit_)
        return self._results

    @property
    def report_(self) -> ReportDict:
        """Bounds, baselines, diagnostics and the verdict: see the README for its keys."""
        return self.assess().to_dict()

    @survives_fork
    def save(
        self, path: Path | str, *, overwrite: bool = False, contents: Contents | None = None
    ) -> None:
        """Write the run folder: weights, schema, numbers and report; see the README.

        Nothing is fitted: where `assess` was not called, the report has no baselines.
        """
        check_is_fitted(self)
        if contents is None:
            contents = self.contents(name=Path(path).name)
        runs.save(runs.Run(self.fit_, self._saved_results(), contents), path, overwrite=overwrite)

    @survives_fork
    def contents(self, *, name: str = "data", commands: Sequence[str] = ()) -> Contents:
        """What the report of this fit is made of."""
        check_is_fitted(self)
        if self._contents is not None:
            return self._contents
        results = self._saved_results().to_dict()
        return runs.contents_of(self.fit_, results, name=name, commands=commands)

    @property
    def model_(self) -> Model:
        """q(z|x), p(x|z) and p(z)."""
        return self.fit_.model

    @property
    def schema_(self) -> Schema:
        """What the columns are."""
        return self.fit_.preparation.source

    @property
    def history_(self) -> list[dict[str, float]]:
        """One line per epoch."""
        return self.fit_.history

    @property
    def seed_(self) -> int:
        """What all randomness came from."""
        return self.fit_.seed

    @property
    def latent_dim_(self) -> int:
        """Numbers in z."""
        return self.fit_.architecture.latents

    @property
    def n_iter_(self) -> int:
        """Passes over the training rows."""
        return self.fit_.epochs

    @property
    def best_epoch_(self) -> int:
        """The epoch that `model_` is from."""
        return self.fit_.best_epoch

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fit_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = False
        tags.non_deterministic = False
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.latent_dim_

    def _take(
        self, fit: Fit, results: Results | None = None, contents: Contents | None = None
    ) -> None:
        """Stand on this fit, with what was computed from it before."""
        self.fit_ = fit
        self._results = results
        self._contents = contents

    def _saved_results(self) -> Results:
        """The results, without baselines where none were fitted."""
        if self._results is not None:
            return self._results
        reason = "no baselines were fitted before the run was saved: call assess() first"
        return assess(self.fit_, Baselines.none(reason))

    def _values(self, X: TableLike) -> NDArray[np.float64]:
        check_is_fitted(self)
        rows = checked(self, X, reset=False)
        return encode(rows, self.schema_, reorder=self.reorder, inf=self.fit_.settings.inf)

    def _units(self, X: TableLike) -> NDArray[np.float32]:
        return self.fit_.units(self._values(X))

    def _decoded(self, z: NDArray[np.float32], like: TableLike | None = None) -> Container:
        """E[x|z] in the columns of the data; of gray values made 0 or 1, their probability."""
        preparation = self.fit_.preparation
        units = predict.decoded(self.model_, z, means=preparation.binarize is not None)
        return decode(preparation.values_of(units), self.schema_, like=like)

    def _filled(
        self, values: NDArray[np.float64], draws: int | None, samples: int, seed: int
    ) -> NDArray[np.float64]:
        """The rows with missing cells filled, once or for each draw, shape (draws or 1, n, D)."""
        preparation = self.fit_.preparation
        missing = np.isnan(values)
        holed = missing.any(axis=1)
        complete = np.repeat(values[None], draws or 1, axis=0)
        if not holed.any():
            return complete
        units = preparation.units(values[holed])
        drawn = predict.imputed(self.model_, units, draws=draws, samples=samples, seed=seed)
        filled = np.stack([preparation.values_of(rows) for rows in drawn])
        complete[:, holed] = np.where(missing[holed], filled, values[holed])
        return complete


@survives_fork
def load(path: Path | str, **parts: object) -> VAE:
    """The fitted `VAE` of a run folder; every file is checked against the manifest first.

    Parameters
    ----------
    path
        The folder.
    **parts
        The parts of one's own it was fitted with: ``prior=``, ``likelihood=`` and so on.

    Raises
    ------
    ModelFileError
        Not a run, damaged, of another version, or fitted with parts that were not given.
    """
    run = runs.load(path, **parts)
    fitted = run.fit
    vae = VAE(**{name: getattr(fitted.settings, name) for name in Settings.model_fields})
    vae.n_features_in_ = fitted.n_features_in
    if fitted.feature_names_in is not None:
        vae.feature_names_in_ = np.array(fitted.feature_names_in, dtype=object)
    vae._take(fitted, run.results, run.contents)
    return vae
