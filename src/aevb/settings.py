"""Every setting of a fit: one list of names, types and ranges for Python, TOML files and the
command line.

The model below only *checks*: a setting that is not given stays unset, so that defaults live in one
place, the signature of `aevb.VAE`.
"""

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from aevb.errors import ConfigError
from aevb.table.schema import KINDS, Kind

__all__ = ["FitConfiguration", "Parameters", "check_parameters", "read_configuration"]

#: Parameters that also take an object: an Optax transformation, a NumPy RandomState.
INSTANCES = ("optimizer", "random_state")

LikelihoodName = Literal[
    "gaussian",
    "bernoulli",
    "continuous_bernoulli",
    "log_normal",
    "discretized_logistic",
    "poisson",
    "negative_binomial",
    "ordinal",
    "categorical",
]
Auto = Literal["auto"]
Width = Annotated[int, Field(ge=1, le=65_536)]
Latents = Annotated[int, Field(ge=1, le=10_000)]
Objective = Literal[
    "sgvb_a",
    "sgvb_b",
    "stl",
    "iwae",
    "iwae_resampled",
    "dreg",
    "dreg_resampled",
    "score",
    "vimco",
    "renyi",
]
Names = Annotated[list[str], Strict(False)]  # a tuple will do


def _setting(expected: str, **bounds: Any) -> Any:
    """A setting that need not be given; `expected` ends the sentence "<name> must be ..."."""
    return Field(default=None, description=expected, **bounds)


class Parameters(BaseModel):
    """The parameters of `aevb.VAE`: types are strict (True is not 1) and numbers finite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    latent_dim: Latents | Annotated[tuple[Latents, Latents], Strict(False)] | Auto = _setting(
        "a whole number from 1 to 10,000, a pair of them, or 'auto'"
    )
    hidden: Annotated[tuple[Width, ...], Strict(False), Field(max_length=64)] = _setting(
        "a list of at most 64 layer widths, each from 1 to 65,536"
    )
    likelihood: Auto | LikelihoodName | dict[str, LikelihoodName] = _setting(
        "'auto', the name of a likelihood, or a mapping of column names to those"
    )
    prior: Literal["auto", "standard_normal", "mixture", "vamp", "flow"] = _setting(
        "'auto', 'standard_normal', 'mixture', 'vamp' or 'flow'"
    )
    posterior: Literal["diagonal", "full", "flow", "bernoulli", "categorical"] = _setting(
        "'diagonal', 'full', 'flow', 'bernoulli' or 'categorical'"
    )
    objective: Objective = _setting(
        "'sgvb_a', 'sgvb_b', 'stl', 'iwae', 'iwae_resampled', 'dreg', 'dreg_resampled', 'score', 'vimco' or 'renyi'"
    )
    alpha: float = _setting("a number of at least 0 and below 1", ge=0, lt=1)
    samples: int = _setting("a whole number from 1 to 10,000", ge=1, le=10_000)
    epochs: Annotated[int, Field(ge=0, le=10_000_000)] | Auto = _setting(
        "a whole number from 0 to 10,000,000, or 'auto'"
    )
    batch_size: int = _setting("a whole number from 1 to 1,000,000,000", ge=1, le=10**9)
    learning_rate: float = _setting("a number above 0 and at most 100", gt=0, le=100)
    activation: Literal["tanh", "relu", "silu", "gelu", "elu"] = _setting(
        "'tanh', 'relu', 'silu', 'gelu' or 'elu'"
    )
    optimizer: Literal["adam", "adagrad", "sgd", "rmsprop"] = _setting(
        "'adam', 'adagrad', 'sgd' or 'rmsprop'"
    )
    weight_prior: bool = _setting("true or false")
    weight_decay: Annotated[float, Field(ge=0, le=1e3)] | Auto = _setting(
        "a number from 0 to 1,000, or 'auto'"
    )
    kl_warmup: float = _setting("a fraction of the run, from 0 to 1", ge=0, le=1)
    free_bits: float = _setting("a number of at least 0", ge=0, le=1e6)
    patience: Annotated[int, Field(ge=1)] | None = _setting("a whole number of at least 1, or none")
    validation_fraction: float = _setting("a fraction of the rows, from 0 to 0.5", ge=0, le=0.5)
    test_fraction: float = _setting("a fraction of the rows, from 0 to 0.5", ge=0, le=0.5)
    columns: dict[str, Kind] | None = _setting(
        f"a mapping of column names to one of {', '.join(KINDS)}"
    )
    ignore: Names | None = _setting("a list of column names")
    labels: Names | None = _setting("a list of column names")
    binarize: Literal["dynamic", "static", "none"] | None = _setting(
        "'dynamic', 'static' or 'none'"
    )
    inf: Literal["error", "missing"] = _setting("'error' or 'missing'")
    random_state: Annotated[int, Field(ge=0, lt=2**32)] | None = _setting(
        "a whole number from 0 to 4,294,967,295"
    )
    verbose: bool | Annotated[int, Field(ge=0)] = _setting(
        "true, false or a whole number of at least 0"
    )

    @model_validator(mode="after")
    def _leave_rows_to_train_on(self) -> "Parameters":
        if (self.validation_fraction or 0) + (self.test_fraction or 0) >= 1:
            raise ValueError(
                "validation_fraction and test_fraction leave no rows to train on; lower one of them"
            )
        return self

    @model_validator(mode="after")
    def _fit_together(self) -> "Parameters":
        """What names by themselves cannot say: which q, p(z) and estimator go with which."""
        levels, pair = (
            self.posterior in ("bernoulli", "categorical"),
            isinstance(self.latent_dim, tuple),
        )
        if self.free_bits and self.objective not in (None, "sgvb_a", "sgvb_b", "stl"):
            raise ValueError("free_bits go with the objectives sgvb_a, sgvb_b and stl")
        if levels and self.objective not in (None, "sgvb_a", "sgvb_b", "score", "vimco"):
            raise ValueError(
                f"objective {self.objective!r} needs latents that are numbers; for posterior {self.posterior!r} take "
                "'vimco' or 'score', or 'sgvb_b' with straight-through slopes"
            )
        if (levels or pair) and self.prior not in (None, "auto"):
            raise ValueError(
                "prior must be 'auto' where latents are levels or come in two layers: it follows from them"
            )
        if pair and self.posterior not in (None, "diagonal"):
            raise ValueError("posterior must be 'diagonal' where latents come in two layers")
        if (
            self.posterior == "categorical"
            and isinstance(self.latent_dim, int)
            and self.latent_dim % 10
        ):
            raise ValueError(
                "latent_dim must be a multiple of 10 for posterior 'categorical': groups of ten levels"
            )
        if "flow" in (self.posterior, self.prior) and self.latent_dim == 1:
            raise ValueError("latent_dim must be at least 2 for a flow")
        return self


class FitConfiguration(Parameters):
    """All that ``aevb fit`` can be told: the parameters of `aevb.VAE` and the settings of the run."""

    output: str = _setting("the folder to write the run to")
    group: str | None = _setting(
        "the name of a column: its groups are kept together when rows are split"
    )
    ordered: bool = _setting("true or false")

    def parameters(self) -> dict[str, Any]:
        """What was given of the parameters of `aevb.VAE`."""
        return {
            name: getattr(self, name)
            for name in Parameters.model_fields
            if name in self.model_fields_set
        }


AnyParameters = TypeVar("AnyParameters", bound=Parameters)


def check_parameters(params: Mapping[str, Any]) -> None:
    """Check the constructor's parameters of `aevb.VAE`; `ConfigError` names the first that cannot
    be.

    >>> check_parameters({"latent_dim": 2, "learning_rate": 0.001})
    >>> check_parameters({"latent_dim": True})
    Traceback (most recent call last):
        ...
    aevb.errors.ConfigError: latent_dim must be a whole number from 1 to 10,000, a pair of them, or 'auto'; got True
    """
    _validate(
        Parameters, {name: value for name, value in params.items() if not _is_instance(name, value)}
    )


def read_configuration(path: Path | str | None, overrides: Mapping[str, Any]) -> FitConfiguration:
    """The settings of a TOML file, if any, with `overrides` (the command line's) put over them."""
    return _validate(FitConfiguration, {**(_read_toml(Path(path)) if path else {}), **overrides})


def _validate(model: type[AnyParameters], values: Mapping[str, Any]) -> AnyParameters:
    try:
        return model.model_validate({name: _plain(value) for name, value in values.items()})
    except ValidationError as error:
        raise ConfigError(_explain(model, values, error)) from None


def _explain(model: type[BaseModel], values: Mapping[str, Any], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return str(first["ctx"]["error"])
    name = str(first["loc"][0])
    if name in model.model_fields:
        return f"{name} must be {model.model_fields[name].description}; got {_short(values[name])}{_nearest(error)}"
    near = get_close_matches(name, model.model_fields, n=1, cutoff=0.5)
    advice = (
        f"did you mean {near[0]!r}?" if near else f"known settings: {', '.join(model.model_fields)}"
    )
    return f"unknown setting {_short(name)}; {advice}"


def _short(value: Any) -> str:
    """A value on part of a line, however large."""
    short = Repr()
    short.maxstring = short.maxother = 60
    return short.repr(value)


def _nearest(error: ValidationError) -> str:
    """The word that was meant, where a choice was misspelt."""
    for one in error.errors(include_url=False):
        choices = re.findall(r"'(\w+)'", str(one.get("ctx", {}).get("expected", "")))
        for near in get_close_matches(str(one["input"]), choices, n=1):
            return f"; did you mean {near!r}?"
    return ""


def _is_instance(name: str, value: Any) -> bool:
    return name in INSTANCES and not isinstance(value, (str, Mapping, bool, int, float, type(None)))


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's: a grid search hands those over."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return (
            type(value)(_plain(item) for item in value)
            if type(value) in (list, tuple)
            else list(map(_plain, value))
        )
    return value


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration {path}: {(error.strerror or str(error)).lower()}"
        ) from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigError(f"{path} is not a TOML file: {error}") from error
    if "seed" in settings:  # the command line's word for it
        settings.setdefault("random_state", settings.pop("seed"))
    return settings
