"""What the scikit-learn adaptors share: the parameters of `VAE`, or a `VAE` to stand on."""

from inspect import Parameter, Signature, signature
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from aevb.errors import ConfigError
from aevb.sklearn.estimator import VAE

__all__ = ["Adaptor"]

#: The parameters of `VAE`, which keeps their only list and their defaults.
PARAMETERS = {
    name: parameter.replace(kind=Parameter.KEYWORD_ONLY)
    for name, parameter in signature(VAE).parameters.items()
}


class Adaptor(BaseEstimator):
    """An estimator over `vae_`: the VAE it was given, or one fitted by its own parameters.

    Parameters
    ----------
    vae
        A fitted `VAE` to use as it is, or one that is not fitted, of which a clone is.
    **parameters
        Those of `VAE`, where no `vae` is given.
    """

    vae_: VAE

    def __init__(self, vae: Any = None, **parameters: Any) -> None:
        if unknown := sorted(parameters.keys() - PARAMETERS.keys()):
            raise TypeError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; it takes those of VAE"
            )
        self.vae = vae
        for name, parameter in PARAMETERS.items():
            setattr(self, name, parameters.get(name, parameter.default))

    def __init_subclass__(cls, **options: Any) -> None:
        """Write the parameters of `VAE` out in the constructor's signature, where scikit-learn
        reads them.
        """
        super().__init_subclass__(**options)
        constructor = vars(cls)["__init__"]
        own = [
            p
            for p in signature(constructor).parameters.values()
            if p.kind is not Parameter.VAR_KEYWORD
        ]
        constructor.__signature__ = Signature([*own, *PARAMETERS.values()])

    def _stand_on(self, X: Any) -> bool:
        """Set `vae_`; True where it was fitted to these rows, False where it was fitted before."""
        given = self._given()
        before = hasattr(given, "model_")
        self.vae_ = given if before else given.fit(X)
        self.n_features_in_ = self.vae_.n_features_in_
        if hasattr(self.vae_, "feature_names_in_"):
            self.feature_names_in_ = self.vae_.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return not before

    def _given(self) -> VAE:
        own = {name: getattr(self, name) for name in PARAMETERS}
        if self.vae is None:
            return VAE(**own)
        if not isinstance(self.vae, VAE):
            raise ConfigError(f"vae must be an aevb.VAE, fitted or not, or None; got {self.vae!r}")
        for name, value in own.items():
            default = PARAMETERS[name].default
            if type(value) is not type(default) or value != default:
                raise ConfigError(
                    f"{name} is the VAE's own where vae is given: say VAE({name}=...), or leave vae out"
                )
        return self.vae if hasattr(self.vae, "model_") else clone(self.vae)

    def _ready(self) -> VAE:
        check_is_fitted(self, "vae_")
        return self.vae_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
