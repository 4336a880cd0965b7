"""`VAE`, the scikit-learn face: one fit, and score, embed, reconstruct, sample and impute."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from aevb import predict as predictive
from aevb.assess import Parts, assess, evaluate
from aevb.diagnostics import codes
from aevb.fit import Rows, fit_model, objective_of, reported
from aevb.marginal import Scores, elbo, importance
from aevb.rows import check_count
from aevb.settings import check_parameters
from aevb.table import decode, encode, fingerprint, split
from aevb.table.preparation import (
    are_repetitions,
    canonical_order,
    checked,
    identical_rows,
    labels_of,
    prepare,
    seed_of,
    weighted_rows,
)

__all__ = ["VAE"]

#: Samples of z for a row's score, and for an imputed row.
SCORE_SAMPLES, IMPUTE_SAMPLES = 1_000, 500


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A variational auto-encoder fitted by Auto-Encoding Variational Bayes (Kingma and Welling
    2013).

    Maximises log p(x) >= E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)) over rows of any kinds of
    columns, missing cells welcome, and reports in nats a row, in the units of the data.

    Parameters
    ----------
    latent_dim : int, (int, int) or "auto", default="auto"
        Number of latents; "auto" takes the one of 1, 2, 4, ..., 64 that scores best on validation
        rows in short runs. Two numbers make two stochastic layers, x - h1 - h2.
    hidden : sequence of int, default=(256,)
        Widths of the encoder's hidden layers; the decoder has them reversed. Empty: both are
        linear.
    activation : {"tanh", "relu", "silu", "gelu", "elu"}, default="tanh"
        Non-linearity of the hidden layers.
    likelihood : str or dict, default="auto"
        "auto" by the kind of each column; a name for all columns; or names by column.
    prior : {"auto", "standard_normal", "mixture", "vamp", "flow"}, default="auto"
        p(z): N(0, I); a mixture of 10 Gaussians; a mixture of q(z|u) of learned pseudo-rows u; a
        normalising flow. "auto" is the mixture, but N(0, I) for a linear model, and what levels or
        two layers of latents need.
    posterior : {"diagonal", "full", "flow", "bernoulli", "categorical"}, default="diagonal"
        q(z|x): Gaussian with either covariance, or a flow of one; or levels: bits, or groups of ten
        of which one is 1.
    objective : {"sgvb_a", "sgvb_b", "stl", "iwae", "dreg", "score", "vimco", "renyi"},
    default="sgvb_b"
        Estimator of the bound and of its slope: see `aevb.objectives`; of `iwae` and `dreg` also
        "_resampled".
    alpha : float, default=0.5
        Order of the objective "renyi".
    samples : int, default=1
        L, draws of z for each row of a minibatch; five or more for all objectives but the first
        three.
    epochs : int or "auto", default="auto"
        Passes over the training rows.
    batch_size : int, default=100
        M, rows in a minibatch.
    learning_rate : float, default=2e-3
        Step size at the start; it falls to zero along half a cosine.
    optimizer : {"adam", "adagrad", "rmsprop", "sgd"} or optax.GradientTransformation,
    default="adam"
        An Optax transformation brings its own step size.
    weight_prior : bool, default=False
        MAP with p(theta) = N(0, I) on weights, as in the paper's experiments.
    weight_decay : float or "auto", default="auto"
        Share of the networks' weights that a step of size 1 takes away (AdamW's decoupled decay);
        "auto" is 350 / rows, at most 0.5: the fewer the rows, the smoother the model.
    kl_warmup : float, default=0.0
        Fraction of the run over which the weight of the KL rises to 1.
    free_bits : float, default=0.0
        Nats of KL that each latent may use without cost.
    patience : int or None, default=None
        Epochs without a better validation bound after which training stops.
    validation_fraction : float, default=0.1
        Rows held out of training for the choice of the best epoch.
    test_fraction : float, default=0.0
        Rows held out of everything, for `report_`. Without any, `report_` is about the validation
        rows and says so.
    columns : dict or None, default=None
        Kinds of columns by name, where the inferred ones will not do.
    ignore, labels : sequence of str, default=()
        Columns left out of the model and carried through to outputs.
    binarize : {"dynamic", "static", "none"} or None, default=None
        Draw 0 or 1 from grey values: afresh for every minibatch, or once.
    inf : {"error", "missing"}, default="error"
        What an infinite cell is, in these rows and in all that come later: an error, or a missing
        cell.
    random_state : int, RandomState or None, default=None
        Seed of everything random; None takes a fresh one, kept in `seed_`.
    verbose : int, default=0
        1 prints a line now and then.

    Attributes
    ----------
    model_ : aevb.model.Model
        q(z|x), p(x|z) and p(z).
    schema_ : aevb.table.schema.Schema
        What the columns are.
    history_ : list of dict
        One line an epoch.
    report_ : dict
        Bounds, baselines, diagnostics and the verdict; computed when first asked for.
    latent_dim_, n_iter_, seed_, n_features_in_, feature_names_in_
        Sizes and names, as fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> vae = VAE(latent_dim=2, hidden=(), epochs=5, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.score_samples(X[:3]).shape
    ((150, 2), (3,))
    """

    #: Whether the columns of a frame are matched by name, as the command line does, rather than
    #: have to be in order.
    reorder = False

    def __init__(
        self,
        latent_dim: int | tuple[int, int] | str = "auto",
        hidden: Sequence[int] = (256,),
        likelihood: str | Mapping[str, str] = "auto",
        prior: str = "auto",
        posterior: str = "diagonal",
        objective: str = "sgvb_b",
        samples: int = 1,
        epochs: int | str = "auto",
        batch_size: int = 100,
        learning_rate: float = 2e-3,
        random_state: Any = None,
        *,
        alpha: float = 0.5,
        activation: str = "tanh",
        optimizer: Any = "adam",
        weight_prior: bool = False,
        weight_decay: float | str = "auto",
        kl_warmup: float = 0.0,
        free_bits: float = 0.0,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.0,
        columns: Mapping[str, str] | None = None,
        ignore: Sequence[str] = (),
        labels: Sequence[str] = (),
        binarize: str | None = None,
        inf: Literal["error", "missing"] = "error",
        verbose: int = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.likelihood = likelihood
        self.prior = prior
        self.posterior = posterior
        self.objective = objective
        self.samples = samples
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.alpha = alpha
        self.activation = activation
        self.optimizer = optimizer
        self.weight_prior = weight_prior
        self.weight_decay = weight_decay
        self.kl_warmup = kl_warmup
        self.free_bits = free_bits
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.test_fraction = test_fraction
        self.columns = columns
        self.ignore = ignore
        self.labels = labels
        self.binarize = binarize
        self.inf = inf
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        ordered: bool = False,
        progress: Callable[[dict[str, Any]], None] | None = None,
        checkpoint: Any = None,
        start: Any = None,
    ) -> Self:
        """Fit to an array or a data frame; NaN, None and NA are missing cells.

        Parameters
        ----------
        X
            Array of shape (n, D), images of shape (n, height, width[, channels]), or a pandas,
            polars or pyarrow frame.
        y
            Not used in fitting; a label for each row, to colour the report's latent space by.
        sample_weight
            Of each row, shape (n,). Small whole numbers are copies of the row; others count in the
            bound, the linear start and the choice of the epoch, but not in units, other starts,
            baselines and the report's means.
        groups
            Rows of one group are kept on the same side of every split.
        ordered
            Train on the first rows, validate and test on the last.
        progress
            Called with each epoch's line of the history, and `epochs`, their total.
        checkpoint
            A `aevb.disk.checkpoints.Checkpoint`, to go on from and to write to.
        start
            A `model_` of the same columns and sizes to start from, by another objective say, not
            from a linear model.

        Raises
        ------
        ConfigError, DataError, NumericalError
            See `aevb.errors`.
        KeyboardInterrupt
            Passed on; the estimator is then fitted as far as the last finished epoch.
        """
        check_parameters(self.get_params(deep=False))
        began, seed = time.perf_counter(), seed_of(self.random_state)
        X = checked(self, X, reset=True)
        data = fingerprint(X)
        X, y, weights, groups = weighted_rows(X, y, sample_weight, groups)
        preparation, values = prepare(X, self.get_params(deep=False), seed)
        labels = labels_of(X, y, preparation.source.labels)
        repeated = weights is not None and not ordered and are_repetitions(weights)
        order = (
            np.arange(len(values))
            if ordered
            else canonical_order(values, weights if repeated else None)
        )
        fractions = {"validation": self.validation_fraction, "test": self.test_fraction}
        kept = None if groups is None else np.asarray(groups)[order]
        if kept is None and not ordered and preparation.schema.measure != "mass":
            kept = identical_rows(values[order])
        cut = split(len(order), **fractions, seed=seed, groups=kept, ordered=ordered)
        parts = Parts(*(values[order[part]] for part in cut))
        preparation = preparation.scaled_by(parts.train)
        by = None if weights is None or repeated else weights[order]
        judged = cut[1] if len(cut[1]) else cut[0]
        fitted = fit_model(
            preparation.schema,
            Rows(
                preparation.training_units(parts.train),
                preparation.units(values[order[judged]]),
                *(None if by is None else by[part] for part in (cut[0], judged)),
            ),
            self.get_params(deep=False),
            seed,
            resample=preparation.resample,
            progress=reported(progress, self.verbose),
            checkpoint=checkpoint,
            start=start,
        )
        self._data, self._parts, self._preparation, self._labels = data, parts, preparation, labels
        self.schema_, self.model_, self.seed_ = preparation.source, fitted.model, seed
        self.history_, self.best_epoch_ = fitted.history, fitted.best_epoch
        self.n_iter_ = int(fitted.history[-1]["epoch"])
        self._architecture = fitted.architecture
        self.latent_dim_ = self._n_features_out = fitted.architecture.latents
        self._held_out_rows = order[next(part for part in reversed(cut) if len(part))]
        self._fitted, self._weighted, self._seconds = (
            fitted,
            by is not None,
            time.perf_counter() - began,
        )
        self._report: dict[str, Any] | None = None
        self._baselines: Any = None
        if fitted.stopped == "interrupt":
            raise KeyboardInterrupt
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Codes: the means of q(z|x), shape (n, latent_dim). Deterministic."""
        check_is_fitted(self)
        return codes(self.model_, self._units(X)).astype(np.float64)

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """E[x|z] of codes of shape (n, latent_dim), in the columns of the data."""
        check_is_fitted(self)
        z = np.asarray(Z, dtype=np.float32)
        return self._decoded(
            predictive.decoded(self.model_, z, means=self._preparation.binarize is not None)
        )

    def reconstruct(self, X: Any) -> Any:
        """E[x|z] at the mean of q(z|x), in the columns of the data."""
        check_is_fitted(self)
        units = self._units(X)
        z = codes(self.model_, units)
        return self._decoded(
            predictive.decoded(self.model_, z, means=self._preparation.binarize is not None), like=X
        )

    def score_samples(self, X: Any, *, samples: int = SCORE_SAMPLES) -> NDArray[np.float64]:
        """log p(x) of each row in nats and in the units of the data, importance-weighted; shape
        (n,).

        A row's number does not depend on the batch, the order or the company it comes in, to the
        last bit.
        """
        return self.score_details(X, samples=samples).log_likelihood

    def score_details(self, X: Any, *, samples: int = SCORE_SAMPLES) -> Scores:
        """`score_samples` with the Monte Carlo error and the effective sample size of each row."""
        check_is_fitted(self)
        return importance(self.model_, self._units(X), samples=samples, seed=self.seed_)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`, nats a row."""
        return float(self.score_samples(X).mean())

    def bound(self, X: Any, *, samples: int = 16) -> NDArray[np.float64]:
        """The bound that the fit climbed, of each row in nats, by the fit's own estimator; shape
        (n,).

        Of "iwae", "dreg" (resampled or not), "vimco" and "renyi" it is a tighter one, of so many
        samples; else the evidence lower bound, which `report_` has of all.
        """
        check_is_fitted(self)
        objective = objective_of(self.objective, self.alpha)
        return elbo(self.model_, objective, self._units(X), samples=samples, seed=self.seed_)

    def sample(self, n: int = 1, *, random_state: int | None = None) -> Any:
        """Rows drawn from p(x), with the columns, types and categories of the data; the fit's seed
        unless given one.
        """
        check_is_fitted(self)
        seed = self.seed_ if random_state is None else random_state
        return self._decoded(predictive.sampled(self.model_, n, seed))

    def impute(self, X: Any, *, draws: int | None = None, samples: int = IMPUTE_SAMPLES) -> Any:
        """Fill the missing cells and touch no other.

        Parameters
        ----------
        X
            Rows with missing cells.
        draws
            None fills with the conditional mean (the most probable level of a category); M gives M
            rows drawn from p(x_missing | x_observed) by importance resampling: an array of shape
            (M, n, D), or a list of M frames.
        samples
            Importance samples of z for each row.
        """
        check_is_fitted(self)
        check_count("samples", samples)
        check_count("draws", 1 if draws is None else draws)
        values = self._values(X)
        missing = np.isnan(values)
        holed = missing.any(axis=1)
        complete = np.repeat(values[None], draws or 1, axis=0)
        if holed.any():
            units = self._preparation.units(values[holed])
            drawn = predictive.imputed(
                self.model_, units, draws=draws, samples=samples, seed=self.seed_
            )
            filled = np.stack([self._preparation.values_of(u) for u in drawn])
            complete[:, holed] = np.where(missing[holed], filled, values[holed])
        decoded = [decode(rows, self.schema_, like=X) for rows in complete]
        if draws is None:
            return decoded[0]
        return np.stack(decoded) if isinstance(decoded[0], np.ndarray) else decoded

    def evaluate(
        self, X: Any, *, samples: int | None = None, method: str = "iwae", **how: Any
    ) -> dict[str, Any]:
        """Log-likelihood of these rows, by "iwae", "ais" or "harmonic", beside the baselines of the
        fit's own rows.
        """
        return evaluate(self, self._values(X), samples=samples, method=method, **how)

    @property
    def report_(self) -> dict[str, Any]:
        """Bounds, baselines, diagnostics and the verdict: see the README for its keys."""
        check_is_fitted(self)
        if self._report is None:
            self._report = assess(self, samples=SCORE_SAMPLES)
        return self._report

    def save(self, path: Any, *, overwrite: bool = False, contents: Any = None) -> None:
        """Write the run folder: weights, schema, numbers and report; see the README."""
        from aevb.run import save

        save(self, path, overwrite=overwrite, contents=contents)

    def contents(self, *, name: str = "data", commands: Sequence[str] = ()) -> Any:
        """What the report of this fit is made of, an `aevb.report.Contents`."""
        from aevb.run import contents_of

        check_is_fitted(self)
        return contents_of(self, name=name, commands=commands)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __getstate__(self) -> dict[str, Any]:
        """All but baselines that can be fitted again, to the same numbers, where they are asked for
        again.
        """
        state = dict(super().__getstate__())
        return (
            {**state, "_baselines": None} if "_parts" in state and len(self._parts.train) else state
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = False
        tags.non_deterministic = False
        return tags

    def _values(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        return encode(
            checked(self, X, reset=False), self.schema_, reorder=self.reorder, inf=self.inf
        )

    def _units(self, X: Any) -> NDArray[np.float32]:
        return self._preparation.units(self._values(X))

    def _decoded(self, units: NDArray[Any], like: Any = None) -> Any:
        return decode(self._preparation.values_of(units), self.schema_, like=like)
