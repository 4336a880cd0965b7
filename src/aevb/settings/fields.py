"""The fields, and the rules for which go together."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self, runtime_checkable

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)

from aevb.errors import ConfigError, listed, nearest
from aevb.settings.about import About, Names, explain

__all__ = ["RandomState", "RunSettings", "Settings", "Width", "read_settings"]


def _is_part(value: object) -> object:
    """A name, or the part itself: an object, or a class that can be built."""
    if not (isinstance(value, str) or callable(value) or hasattr(value, "build")):
        raise ValueError("neither a name nor a part")
    return value


def _are_choices(columns: dict[str, object] | None) -> dict[str, object] | None:
    """The choices of columns; `ConfigError` says which one is wrong."""
    from aevb.table.choices import choices_of

    choices_of(columns or {})
    return columns


@runtime_checkable
class RandomState(Protocol):
    """NumPy's `RandomState`, which scikit-learn takes for a seed."""

    def randint(self, low: int, /) -> int:
        """A draw from 0 to below `low`."""


@runtime_checkable
class Transformation(Protocol):
    """An Optax gradient transformation."""

    init: Callable[..., object]
    update: Callable[..., object]


Auto = Literal["auto"]
Width = Annotated[int, Field(ge=1, le=65_536)]
Latents = Annotated[int, Field(ge=1, le=10_000)]
ColumnNames = Annotated[tuple[str, ...], Strict(False)]  # a list will do
Part = Annotated[object, AfterValidator(_is_part)]
Fraction = Annotated[float, Field(ge=0, le=0.5)]


class Settings(BaseModel):
    """The settings of a fit, checked: types are strict (True is not 1) and numbers finite.

    Examples
    --------
    >>> Settings.of({"latent_dim": 2}).learning_rate
    0.002
    >>> Settings.of({"samples": True})
    Traceback (most recent call last):
        ...
    aevb.errors.ConfigError: samples must be a whole number from 1 to 10,000; got True
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        frozen=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )

    latent_dim: Annotated[
        Latents | Annotated[tuple[Latents, Latents], Strict(False)] | Auto,
        About(
            "a whole number from 1 to 10,000, a pair of them, or 'auto'",
            metavar="N|N,N|auto",
            shell="number",
        ),
    ] = "auto"
    """Number of latents. 'auto' chooses among 1, 2, 4, ..., 64 by validation, in short runs. Two
    numbers make two stochastic layers, x - h1 - h2.
    """
    hidden: Annotated[
        tuple[Width, ...],
        Strict(False),
        Field(max_length=64),
        About(
            "a list of at most 64 layer widths, each from 1 to 65,536",
            metavar="N,N",
            shell="numbers",
        ),
    ] = (256,)
    """Widths of the encoder's hidden layers; the decoder has them reversed. With none, both are
    linear.
    """
    likelihood: Annotated[
        Part | dict[str, Part],
        About(
            "{names}, a likelihood, or a mapping of column names to those",
            Names("aevb.likelihoods.LIKELIHOODS", auto=True),
        ),
    ] = "auto"
    """p(x|z): 'auto' goes by the kind of each column; a name or a class for all columns; a mapping
    of names or classes by column; or p(x|z) of whole rows.
    """
    marginals: Annotated[
        Literal["auto", "mapped", "plain"], About("'auto', 'mapped' or 'plain'")
    ] = "auto"
    """Units of columns of numbers: 'mapped' learns a smooth map of each column to a standard normal
    variable; 'plain' does so only where the support or single values need it, and takes deviations
    from the mean elsewhere; 'auto' chooses between the two by validation.
    """
    prior: Annotated[Part, About("{names}, or a prior", Names("aevb.priors.PRIORS", auto=True))] = (
        "auto"
    )
    """p(z). 'auto' is the mixture of Gaussians, N(0, I) for a linear model, and what levels or two
    layers of latents need.
    """
    posterior: Annotated[
        Part, About("{names}, or a posterior", Names("aevb.posteriors.POSTERIORS"))
    ] = "diagonal"
    """q(z|x): a Gaussian of diagonal or full covariance, a flow of one, or levels: bits, or groups
    of ten of which one is 1.
    """
    objective: Annotated[
        Part, About("{names}, or a function", Names("aevb.objectives.OBJECTIVES"))
    ] = "sgvb_b"
    """Estimator of the bound and of its gradient, by name or as a function (model, x, key) -> nats
    of one row.
    """
    samples: Annotated[int, Field(ge=1, le=10_000), About("a whole number from 1 to 10,000")] = 1
    """L, draws of z per row of a minibatch; objectives made for several need five or more."""
    epochs: Annotated[
        Annotated[int, Field(ge=0, le=10_000_000)] | Auto,
        About("a whole number from 0 to 10,000,000, or 'auto'", metavar="N|auto", shell="number"),
    ] = "auto"
    """Passes over the training rows."""
    batch_size: Annotated[
        int, Field(ge=1, le=10**9), About("a whole number from 1 to 1,000,000,000")
    ] = 100
    """M, rows in a minibatch."""
    learning_rate: Annotated[
        float, Field(gt=0, le=100), About("a number above 0 and at most 100")
    ] = 2e-3
    """Step size at the start; it falls to zero along half a cosine."""
    random_state: Annotated[
        Annotated[int, Field(ge=0, lt=2**32)] | RandomState | None,
        About("a whole number from 0 to 4,294,967,295", option="seed", metavar="N", shell="number"),
    ] = None
    """Seed of all random numbers. None draws one, stored in `seed_`; the command line uses 0."""
    alpha: Annotated[float, Field(ge=0, lt=1), About("a number of at least 0 and below 1")] = 0.5
    """Order of the objective 'renyi'."""
    network: Annotated[Part, About("{names}, or a network", Names("aevb.networks.NETWORKS"))] = (
        "mlp"
    )
    """Kind of the encoder's and the decoder's network: a name, or a class called as network(sizes,
    activation, key, smooth=...).
    """
    activation: Annotated[str, About("{names}", Names("aevb.networks.ACTIVATIONS"))] = "tanh"
    """Non-linearity of the hidden layers."""
    optimizer: Annotated[
        str | Transformation,
        About("{names}, or an Optax transformation", Names("aevb.optimizers.OPTIMIZERS")),
    ] = "adam"
    """A name, or an Optax transformation, which brings its own step size."""
    weight_prior: Annotated[bool, About("true or false")] = False
    """MAP with p(theta) = N(0, I) on weights, as in the paper."""
    weight_decay: Annotated[
        Annotated[float, Field(ge=0, le=1e3)] | Auto,
        About("a number from 0 to 1,000, or 'auto'", metavar="X|auto", shell="number"),
    ] = "auto"
    """Share of the networks' weights that a step of size 1 takes away (AdamW's decoupled decay).
    'auto' is 350 / rows, at most 0.5: the fewer the rows, the smoother the model.
    """
    kl_warmup: Annotated[float, Field(ge=0, le=1), About("a fraction of the run, from 0 to 1")] = (
        0.0
    )
    """Fraction of the run over which the weight of the KL rises to 1."""
    free_bits: Annotated[float, Field(ge=0, le=1e6), About("a number of at least 0")] = 0.0
    """Nats of KL that each latent may use at no cost."""
    patience: Annotated[
        Annotated[int, Field(ge=1)] | None,
        About("a whole number of at least 1, or none", metavar="N", shell="number"),
    ] = None
    """Epochs without a better validation bound after which training stops."""
    validation_fraction: Annotated[Fraction, About("a fraction of the rows, from 0 to 0.5")] = 0.1
    """Rows held out of training to choose the best epoch and the sizes by."""
    test_fraction: Annotated[Fraction, About("a fraction of the rows, from 0 to 0.5")] = 0.0
    """Rows held out of everything but the report. Without any, the report is about the validation
    rows and says so. On the command line it is 0.2.
    """
    columns: Annotated[
        dict[str, str | dict[str, str | float]] | None,
        About(
            "a mapping of column names to one of {names}, or to a mapping of kind, lower, upper "
            "and step",
            Names("aevb.table.schema.KINDS"),
            option="column",
            metavar="NAME=KIND[,KEY=X]",
            shell="texts",
        ),
        AfterValidator(_are_choices),
    ] = None
    """Kinds of columns by name, where the inferred ones are wrong; with the ends and the step of
    their values: x=continuous,lower=0,step=0.5.
    """
    ignore: Annotated[
        ColumnNames | None, About("a list of column names", metavar="NAME", shell="texts")
    ] = ()
    """Columns left out of the model and carried through to outputs."""
    labels: Annotated[
        ColumnNames | None,
        About("a list of column names", option="label", metavar="NAME", shell="texts"),
    ] = ()
    """Columns left out of the model as labels; the first one colors the report."""
    binarize: Annotated[
        Literal["dynamic", "static", "none"] | None, About("'dynamic', 'static' or 'none'")
    ] = None
    """Draw 0 or 1 from gray values: anew for every minibatch, or once."""
    inf: Annotated[Literal["error", "missing"], About("'error' or 'missing'")] = "error"
    """Infinite cells are an error, or are treated as missing, here and in later data."""
    verbose: Annotated[
        bool | Annotated[int, Field(ge=0)],
        About("true, false or a whole number of at least 0", shell="nothing"),
    ] = 0
    """1 prints a line every ten epochs."""

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Self:
        """These settings and the defaults of the others; `ConfigError` names a wrong one."""
        plain = {name: _without_numpy(value) for name, value in values.items()}
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            raise ConfigError(explain(cls, values, error)) from None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """What a setting by itself cannot say: which go with which."""
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                "validation_fraction and test_fraction leave no rows to train on; lower one of them"
            )
        if "posterior" in self.model_fields_set or isinstance(self.latent_dim, tuple):
            self._check_posterior()
        if self.free_bits:
            self._check_free_bits()
        least = max(_least(self.posterior, "posterior"), _least(self.prior, "prior"))
        if isinstance(self.latent_dim, int) and self.latent_dim < least:
            raise ValueError(f"latent_dim must be at least {least} for a flow")
        return self

    def _check_free_bits(self) -> None:
        from aevb.objectives import OBJECTIVES, estimator_of

        if not estimator_of(self.objective).free_bits:
            known = [name for name in OBJECTIVES if estimator_of(name).free_bits]
            raise ValueError(f"free_bits go with the objectives {listed(known)}")

    def _check_posterior(self) -> None:
        from aevb.objectives import estimator_of
        from aevb.posteriors import POSTERIORS

        posterior = POSTERIORS.find(self.posterior)
        levels = getattr(posterior, "levels", False)
        pair = isinstance(self.latent_dim, tuple)
        if levels and not estimator_of(self.objective).levels:
            raise ValueError(
                f"objective {self.objective!r} needs latents that are numbers; for posterior "
                f"{self.posterior!r} take 'vimco' or 'score', or 'sgvb_b' with straight-through "
                "slopes"
            )
        if (levels or pair) and self.prior != "auto":
            raise ValueError(
                "prior must be 'auto' where latents are levels or come in two layers: it follows "
                "from them"
            )
        if pair and self.posterior != "diagonal":
            raise ValueError("posterior must be 'diagonal' where latents come in two layers")
        multiple = getattr(posterior, "multiple", 1)
        if isinstance(self.latent_dim, int) and self.latent_dim % multiple:
            raise ValueError(
                f"latent_dim must be a multiple of {multiple} for posterior "
                f"{self.posterior!r}: groups of levels"
            )


class RunSettings(Settings):
    """All that ``aevb fit`` can be told: the settings of a fit and those of the run."""

    output: Annotated[str | None, About("a folder", shell="nothing")] = None
    """The run's folder."""
    group: Annotated[str | None, About("the name of a column", metavar="COLUMN")] = None
    """Keep rows of one group together when rows are split; leaves the column out."""
    ordered: Annotated[bool, About("true or false")] = False
    """Rows are in order of time: test on the last ones."""

    def given(self) -> dict[str, object]:
        """What was given of the parameters of `aevb.VAE`."""
        return {
            name: getattr(self, name)
            for name in Settings.model_fields
            if name in self.model_fields_set
        }


def read_settings(
    path: Path | str | None, overrides: Mapping[str, object], columns: Path | None = None
) -> RunSettings:
    """The settings of a TOML file, if any, with `overrides` (the command line's) put over them.

    `columns` is a TOML file of columns alone: it is put over the first file, and the choices of
    single columns in `overrides` over it.
    """
    merged = _read_toml(Path(path)) if path else {}
    if columns is not None:
        merged |= _read_columns(columns)
    for name, value in overrides.items():
        before = merged.get(name)
        if columns is not None and isinstance(value, dict) and isinstance(before, dict):
            merged[name] = {**before, **value}
        else:
            merged[name] = value
    return RunSettings.of(merged)


def _read_columns(path: Path) -> dict[str, object]:
    """A file of the settings `columns`, `ignore` and `labels` alone."""
    settings = _read_toml(path)
    known = ["columns", "ignore", "labels"]
    for name in settings:
        if name not in known:
            raise ConfigError(f"{path}: unknown key {name!r}; {nearest(name, known)}")
    return settings


def _least(part: object, role: str) -> int:
    """The fewest latents a posterior or prior can have."""
    if part in ("auto", "diagonal"):
        return 1
    from aevb.posteriors import POSTERIORS
    from aevb.priors import PRIORS

    registry = POSTERIORS if role == "posterior" else PRIORS
    return int(getattr(registry.find(part), "least", 1))


def _without_numpy(value: object) -> object:
    """NumPy's numbers and arrays as Python's: a grid search hands those over."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if type(value) in (list, tuple):
        return tuple(_without_numpy(item) for item in value)  # type: ignore[attr-defined]
    return value


def _read_toml(path: Path) -> dict[str, object]:
    try:
        settings = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"cannot read the configuration {path}: {reason}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigError(f"{path} is not a TOML file: {error}") from error
    # The command line's words for them.
    for word, name in (("seed", "random_state"), ("column", "columns"), ("label", "labels")):
        if word in settings:
            settings.setdefault(name, settings.pop(word))
    return settings
