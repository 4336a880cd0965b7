"""`VAEImputer`: missing cells filled by a VAE, as a scikit-learn transformer."""

from typing import Any, Self

from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from aevb.sklearn.adaptor import Adaptor
from aevb.sklearn.parameters import with_parameters
from aevb.table.tables import TableLike

__all__ = ["VAEImputer"]


@with_parameters(vae=None)
class VAEImputer(OneToOneFeatureMixin, TransformerMixin, Adaptor):
    """Fill missing cells with E[x_missing | x_observed], the most probable level of a category.

    The expectation is by importance sampling over z ~ q(z|x_observed) (Mattei and Frellsen 2019);
    see `VAE.impute`, which also draws. Observed cells, and columns the model leaves out (without a
    single value, say), stay as they are.

    Parameters
    ----------
    vae : VAE or None, default=None
        A fitted `VAE` to use as it is, or one that is not fitted, of which a clone is fitted.
    {parameters}

    Attributes
    ----------
    vae_ : VAE
        The fitted model.
    n_features_in_, feature_names_in_
        As fitted.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(50, 1)) * [1.0, 2.0, 3.0]
    >>> X[0, 1] = np.nan
    >>> imputer = VAEImputer(latent_dim=1, hidden=(), epochs=2, random_state=0)
    >>> bool(np.isnan(imputer.fit_transform(X)).any())
    False
    """

    def fit(self, X: Any, y: object = None) -> Self:
        """Fit to an array or a data frame with missing cells; with a fitted `vae`, only check the
        columns.
        """
        if not self.stand_on(X):
            self.vae_.impute(X[:1])
        return self

    def transform(self, X: TableLike) -> Any:
        """The same rows, their missing cells filled, in the container and types they came in."""
        return self.ready().impute(X)
