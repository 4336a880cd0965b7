"""What the scikit-learn adaptors share: the parameters of `VAE`, or a `VAE` to stand on."""

from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from aevb.errors import ConfigError
from aevb.sklearn.estimator import VAE
from aevb.sklearn.parameters import PARAMETERS
from aevb.table.tables import TableLike

__all__ = ["Adaptor"]


class Adaptor(BaseEstimator):
    """An estimator over `vae_`: the VAE it was given, or one fitted by its own parameters.

    Parameters
    ----------
    vae
        A fitted `VAE` to use as it is, or one that is not fitted, of which a clone is fitted.
    **parameters
        Those of `VAE`, where no `vae` is given.
    """

    vae: Any
    vae_: VAE

    def stand_on(self, X: TableLike) -> bool:
        """Set `vae_`; True where it was fitted to these rows, False where it was fitted before."""
        given = self._given()
        before = hasattr(given, "fit_")
        self.vae_ = given if before else given.fit(X)
        self.n_features_in_ = self.vae_.n_features_in_
        if hasattr(self.vae_, "feature_names_in_"):
            self.feature_names_in_ = self.vae_.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return not before

    def ready(self) -> VAE:
        """The fitted VAE; an error before `fit`."""
        check_is_fitted(self, "vae_")
        return self.vae_

    def _given(self) -> VAE:
        own = {name: getattr(self, name) for name in PARAMETERS}
        if self.vae is None:
            return VAE(**own)
        if not isinstance(self.vae, VAE):
            raise ConfigError(f"vae must be an aevb.VAE, fitted or not, or None; got {self.vae!r}")
        for name, default in PARAMETERS.items():
            if type(own[name]) is not type(default) or own[name] != default:
                raise ConfigError(
                    f"{name} is the VAE's own where vae is given: use VAE({name}=...), or leave "
                    "vae out"
                )
        return self.vae if hasattr(self.vae, "fit_") else clone(self.vae)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
