"""`VAEOutlierDetector`: rows that a VAE finds improbable, as a scikit-learn outlier detector."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import OutlierMixin

from aevb import marginal
from aevb.errors import ConfigError
from aevb.forked import survives_fork
from aevb.sklearn.adaptor import Adaptor
from aevb.sklearn.parameters import with_parameters
from aevb.table.encoding import missing_cells
from aevb.table.tables import TableLike

__all__ = ["VAEOutlierDetector", "threshold"]


@with_parameters(vae=None, contamination="auto")
class VAEOutlierDetector(OutlierMixin, Adaptor):
    """Rows with a low log p(x), by importance weighting, are outliers (-1), others inliers (1).

    Parameters
    ----------
    vae : VAE or None, default=None
        A fitted `VAE` to use as it is (the rows given to `fit`, which it should not have seen, only
        set the threshold), or one that is not fitted, of which a clone is fitted.
    contamination : "auto" or float, default="auto"
        "auto" sets the threshold on rows held out of training so that at most 5% of rows like them
        are called outliers; a fraction, above 0 and at most 0.5, calls that fraction of the rows
        given to `fit` outliers.
    {parameters}

    Attributes
    ----------
    vae_ : VAE
        The fitted model.
    offset_ : float
        log p(x), in nats, below which a row is an outlier.
    n_features_in_, feature_names_in_
        As fitted.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> detector = VAEOutlierDetector(latent_dim=1, hidden=(), epochs=2, random_state=0).fit(X)
    >>> detector.predict([[0.0, 0.0], [9.0, -9.0]]).tolist()
    [1, -1]
    """

    #: The false alarms that "auto" allows, as a fraction of rows like those held out.
    false_alarms = 0.05

    contamination: float | str

    @survives_fork
    def fit(self, X: TableLike, y: object = None) -> Self:
        """Fit to an array or a data frame, and set `offset_`."""
        fraction = _fraction(self.contamination)
        fitted_to_these = self.stand_on(X)
        if fraction is not None:
            self.offset_ = float(np.quantile(self.score_samples(X), fraction))
            return self
        scores = self._held_out_scores() if fitted_to_these else self.score_samples(X)
        self.offset_ = threshold(scores, self.false_alarms)
        return self

    def score_samples(self, X: TableLike) -> NDArray[np.float64]:
        """log p(x) of each row, nats in the units of the data, higher is more normal; (n,)."""
        return self.ready().score_samples(X)

    def decision_function(self, X: TableLike) -> NDArray[np.float64]:
        """score_samples(X) - offset_: negative for outliers, shape (n,)."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: TableLike) -> NDArray[np.int64]:
        """-1 for outliers, 1 for inliers, and 0 for rows without an observed cell, shape (n,)."""
        found = np.where(self.decision_function(X) < 0, -1, 1)
        vae = self.ready()
        missing = missing_cells(X, vae.schema_, reorder=vae.reorder, inf=vae.fit_.settings.inf)
        return np.where(missing.all(axis=1), 0, found)

    def _held_out_scores(self) -> NDArray[np.float64]:
        """log p(x) of the rows that `vae_` held out of its training, shape (n,)."""
        fit = self.vae_.fit_
        units = fit.units(fit.parts.held_out[1])
        return marginal.importance(fit.model, units, samples=1_000, seed=fit.seed).log_likelihood


def threshold(scores: NDArray[np.float64], false_alarms: float) -> float:
    """The score below which at most this fraction of rows like the m scored ones will fall.

    A fresh row, exchangeable with them, falls below the k-th smallest of m scores with probability
    at most k / (m + 1), whatever their distribution (conformal prediction; Vovk, Gammerman and
    Shafer 2005); k = floor(false_alarms (m + 1)), at least 1.

    >>> threshold(np.arange(99.0), 0.05)
    4.0
    """
    k = max(1, int(false_alarms * (len(scores) + 1)))
    return float(np.sort(scores)[k - 1])


def _fraction(contamination: float | str) -> float | None:
    """The fraction of outliers among the fitted rows, None for "auto"."""
    if isinstance(contamination, str) and contamination == "auto":
        return None
    number = isinstance(contamination, int | float | np.number)
    number = number and not isinstance(contamination, bool)
    if not number or not 0 < float(contamination) <= 0.5:
        raise ConfigError(
            "contamination must be 'auto' or a fraction above 0 and at most 0.5; "
            f"got {contamination!r}"
        )
    return float(contamination)
