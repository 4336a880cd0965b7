"""Every setting of a fit: the one list of names, types, defaults and help.

The parameters of `aevb.VAE` and their documentation, the options of the command line, the keys of a
TOML file and ``docs/settings.md`` are made from it. Names of parts are read from the registries
when they are needed, so that importing this module stays light.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import Parameter, Signature
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Literal, Protocol, Self, TypeVar, runtime_checkable

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)

from aevb.errors import ConfigError

__all__ = ["About", "RunSettings", "Settings", "about", "read_settings"]


@dataclass(frozen=True)
class About:
    """What people read about a setting, and how it is written at the shell.

    Parameters
    ----------
    expected
        The end of the sentence "<name> must be ..."; ``{names}`` stands for the names there are.
    help
        What it is, in a sentence or two.
    names
        The names there are, where it takes one.
    option
        Its option at the shell; the setting's own name with dashes unless given.
    metavar
        What stands for its value in the help of the command line.
    shell
        Whether the command line has it.
    """

    expected: str
    help: str
    names: Callable[[], Iterable[str]] | None = None
    option: str = ""
    metavar: str | None = None
    shell: bool = True

    def with_names(self, text: str) -> str:
        """The text, ``{names}`` replaced by the names there are."""
        if self.names is None:
            return text
        *names, last = [repr(name) for name in self.names()]
        listed = f"{', '.join(names)} or {last}" if names else last
        return text.replace("{names}", listed)


def _likelihoods() -> Iterable[str]:
    from aevb.likelihoods import LIKELIHOODS

    return ["auto", *LIKELIHOODS]


def _priors() -> Iterable[str]:
    from aevb.priors import PRIORS

    return ["auto", *(name for name in PRIORS if not getattr(PRIORS[name], "implied", False))]


def _posteriors() -> Iterable[str]:
    from aevb.posteriors import POSTERIORS

    return [name for name in POSTERIORS if not POSTERIORS[name].implied]


def _objectives() -> Iterable[str]:
    from aevb.objectives import OBJECTIVES

    return OBJECTIVES


def _networks() -> Iterable[str]:
    from aevb.networks import NETWORKS

    return NETWORKS


def _activations() -> Iterable[str]:
    from aevb.networks import ACTIVATIONS

    return ACTIVATIONS


def _optimizers() -> Iterable[str]:
    from aevb.optimizers import OPTIMIZERS

    return OPTIMIZERS


def _kinds() -> Iterable[str]:
    from aevb.table.schema import KINDS

    return KINDS


def _part_or_name(names: Callable[[], Iterable[str]]) -> AfterValidator:
    """A name there is, or the part itself: an object, or a class that can be built."""

    def check(value: object) -> object:
        if isinstance(value, str):
            if value not in set(names()):
                raise ValueError(f"no such name: {value}")
        elif not (callable(value) or hasattr(value, "build")):
            raise ValueError("neither a name nor a part")
        return value

    return AfterValidator(check)


def _by_column(names: Callable[[], Iterable[str]]) -> AfterValidator:
    """A mapping of column names to names there are, or to classes."""
    part = _part_or_name(names)

    def check(value: object) -> object:
        if not isinstance(value, Mapping):
            return part.func(value)  # type: ignore[call-arg]
        for column, asked in value.items():
            if not isinstance(column, str) or asked == "auto":
                raise ValueError(f"not a column and its likelihood: {column!r}, {asked!r}")
            part.func(asked)  # type: ignore[call-arg]
        return dict(value)

    return AfterValidator(check)


def _check_kinds(kinds: dict[str, str]) -> dict[str, str]:
    for kind in kinds.values():
        if kind not in set(_kinds()):
            raise ValueError(f"no such kind: {kind}")
    return kinds


def _only_name(names: Callable[[], Iterable[str]]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in set(names()):
            raise ValueError(f"no such name: {value}")
        return value

    return AfterValidator(check)


class Facts(Protocol):
    """What the settings ask of an estimator of the bound."""

    @property
    def free_bits(self) -> bool:
        """Whether it takes free bits."""

    @property
    def levels(self) -> bool:
        """Whether latents may be levels."""


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
Names = Annotated[tuple[str, ...], Strict(False)]  # a list will do
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
    )

    latent_dim: Annotated[
        Latents | Annotated[tuple[Latents, Latents], Strict(False)] | Auto,
        About(
            "a whole number from 1 to 10,000, a pair of them, or 'auto'",
            "Number of latents. 'auto' chooses among 1, 2, 4, ..., 64 by validation, in short "
            "runs. Two numbers make two stochastic layers, x - h1 - h2.",
            metavar="N|N,N|auto",
        ),
    ] = "auto"
    hidden: Annotated[
        tuple[Width, ...],
        Strict(False),
        Field(max_length=64),
        About(
            "a list of at most 64 layer widths, each from 1 to 65,536",
            "Widths of the encoder's hidden layers; the decoder has them reversed. With none, both "
            "are linear.",
            metavar="N,N",
        ),
    ] = (256,)
    likelihood: Annotated[
        object,
        _by_column(_likelihoods),
        About(
            "{names}, a likelihood, or a mapping of column names to those",
            "p(x|z): 'auto' goes by the kind of each column; a name or a class for all columns; a "
            "mapping of names or classes by column; or p(x|z) of whole rows.",
            _likelihoods,
        ),
    ] = "auto"
    prior: Annotated[
        object,
        _part_or_name(_priors),
        About(
            "{names}, or a prior",
            "p(z). 'auto' is the mixture of Gaussians, N(0, I) for a linear model, and what levels "
            "or two layers of latents need.",
            _priors,
        ),
    ] = "auto"
    posterior: Annotated[
        object,
        _part_or_name(_posteriors),
        About(
            "{names}, or a posterior",
            "q(z|x): a Gaussian of diagonal or full covariance, a flow of one, or levels: bits, or "
            "groups of ten of which one is 1.",
            _posteriors,
        ),
    ] = "diagonal"
    objective: Annotated[
        object,
        _part_or_name(_objectives),
        About(
            "{names}, or a function",
            "Estimator of the bound and of its gradient, by name or as a function (model, x, key) "
            "-> nats of one row.",
            _objectives,
        ),
    ] = "sgvb_b"
    samples: Annotated[
        int,
        Field(ge=1, le=10_000),
        About(
            "a whole number from 1 to 10,000",
            "L, draws of z per row of a minibatch; objectives made for several need five or more.",
        ),
    ] = 1
    epochs: Annotated[
        Annotated[int, Field(ge=0, le=10_000_000)] | Auto,
        About(
            "a whole number from 0 to 10,000,000, or 'auto'",
            "Passes over the training rows.",
            metavar="N|auto",
        ),
    ] = "auto"
    batch_size: Annotated[
        int,
        Field(ge=1, le=10**9),
        About("a whole number from 1 to 1,000,000,000", "M, rows in a minibatch."),
    ] = 100
    learning_rate: Annotated[
        float,
        Field(gt=0, le=100),
        About(
            "a number above 0 and at most 100",
            "Step size at the start; it falls to zero along half a cosine.",
        ),
    ] = 2e-3
    random_state: Annotated[
        Annotated[int, Field(ge=0, lt=2**32)] | RandomState | None,
        About(
            "a whole number from 0 to 4,294,967,295",
            "Seed of everything random. None takes a fresh one, kept in `seed_`; at the shell "
            "it is 0.",
            option="seed",
            metavar="N",
        ),
    ] = None
    alpha: Annotated[
        float,
        Field(ge=0, lt=1),
        About("a number of at least 0 and below 1", "Order of the objective 'renyi'."),
    ] = 0.5
    network: Annotated[
        object,
        _part_or_name(_networks),
        About(
            "{names}, or a network",
            "Kind of the encoder's and the decoder's network: a name, or a class called as "
            "network(sizes, activation, key, smooth=...).",
            _networks,
        ),
    ] = "mlp"
    activation: Annotated[
        str,
        _only_name(_activations),
        About("{names}", "Non-linearity of the hidden layers.", _activations),
    ] = "tanh"
    optimizer: Annotated[
        Annotated[str, _only_name(_optimizers)] | Transformation,
        About(
            "{names}, or an Optax transformation",
            "A name, or an Optax transformation, which brings its own step size.",
            _optimizers,
        ),
    ] = "adam"
    weight_prior: Annotated[
        bool,
        About("true or false", "MAP with p(theta) = N(0, I) on weights, as in the paper."),
    ] = False
    weight_decay: Annotated[
        Annotated[float, Field(ge=0, le=1e3)] | Auto,
        About(
            "a number from 0 to 1,000, or 'auto'",
            "Share of the networks' weights that a step of size 1 takes away (AdamW's decoupled "
            "decay). 'auto' is 350 / rows, at most 0.5: the fewer the rows, the smoother the "
            "model.",
            metavar="X|auto",
        ),
    ] = "auto"
    kl_warmup: Annotated[
        float,
        Field(ge=0, le=1),
        About(
            "a fraction of the run, from 0 to 1",
            "Fraction of the run over which the weight of the KL rises to 1.",
        ),
    ] = 0.0
    free_bits: Annotated[
        float,
        Field(ge=0, le=1e6),
        About("a number of at least 0", "Nats of KL that each latent may use at no cost."),
    ] = 0.0
    patience: Annotated[
        Annotated[int, Field(ge=1)] | None,
        About(
            "a whole number of at least 1, or none",
            "Epochs without a better validation bound after which training stops.",
        ),
    ] = None
    validation_fraction: Annotated[
        Fraction,
        About(
            "a fraction of the rows, from 0 to 0.5",
            "Rows held out of training to choose the best epoch and the sizes by.",
        ),
    ] = 0.1
    test_fraction: Annotated[
        Fraction,
        About(
            "a fraction of the rows, from 0 to 0.5",
            "Rows held out of everything but the report. Without any, the report is about the "
            "validation rows and says so. At the shell it is 0.2.",
        ),
    ] = 0.0
    columns: Annotated[
        Annotated[dict[str, str], AfterValidator(_check_kinds)] | None,
        About(
            "a mapping of column names to one of {names}",
            "Kinds of columns by name, where the inferred ones are wrong.",
            _kinds,
            option="column",
            metavar="NAME=KIND",
        ),
    ] = None
    ignore: Annotated[
        Names | None,
        About(
            "a list of column names",
            "Columns left out of the model and carried through to outputs.",
            metavar="NAME",
        ),
    ] = ()
    labels: Annotated[
        Names | None,
        About(
            "a list of column names",
            "Columns left out as well, by the first of which the report is colored.",
            option="label",
            metavar="NAME",
        ),
    ] = ()
    binarize: Annotated[
        Literal["dynamic", "static", "none"] | None,
        About(
            "'dynamic', 'static' or 'none'",
            "Draw 0 or 1 from grey values: afresh for every minibatch, or once.",
        ),
    ] = None
    inf: Annotated[
        Literal["error", "missing"],
        About(
            "'error' or 'missing'",
            "What an infinite cell is, in these rows and in all that come later: an error, or a "
            "missing cell.",
        ),
    ] = "error"
    verbose: Annotated[
        bool | Annotated[int, Field(ge=0)],
        About(
            "true, false or a whole number of at least 0",
            "1 prints a line every ten epochs.",
            shell=False,
        ),
    ] = 0

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Self:
        """These settings and the defaults of the others; `ConfigError` names a wrong one."""
        plain = {name: _without_numpy(value) for name, value in values.items()}
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            raise ConfigError(_explain(cls, values, error)) from None

    @classmethod
    def signature(cls, positional: int = 11) -> Signature:
        """The parameters of an estimator, the first ones by place as well as by name."""
        parameters = []
        for place, (name, field) in enumerate(Settings.model_fields.items()):
            positional_too = place < positional
            kind = Parameter.POSITIONAL_OR_KEYWORD if positional_too else Parameter.KEYWORD_ONLY
            parameters.append(Parameter(name, kind, default=field.default))
        return Signature(parameters)

    @model_validator(mode="after")
    def _leave_rows_to_train_on(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                "validation_fraction and test_fraction leave no rows to train on; lower one of them"
            )
        return self

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """What names by themselves cannot say: which q, p(z) and estimator go with which."""
        if "posterior" in self.model_fields_set or isinstance(self.latent_dim, tuple):
            self._check_posterior()
        if self.free_bits and not _estimator(self.objective).free_bits:
            known = [name for name in _objectives() if _estimator(name).free_bits]
            raise ValueError(f"free_bits go with the objectives {_listed(known)}")
        least = max(_least(self.posterior, "posterior"), _least(self.prior, "prior"))
        if isinstance(self.latent_dim, int) and self.latent_dim < least:
            raise ValueError(f"latent_dim must be at least {least} for a flow")
        return self

    def _check_posterior(self) -> None:
        from aevb.posteriors import POSTERIORS

        posterior = POSTERIORS.find(self.posterior)
        levels = getattr(posterior, "levels", False)
        pair = isinstance(self.latent_dim, tuple)
        if levels and not _estimator(self.objective).levels:
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

    output: Annotated[str | None, About("a folder", "The run's folder.", shell=False)] = None
    group: Annotated[
        str | None,
        About(
            "the name of a column",
            "Keep rows of one group together when rows are split; leaves the column out.",
            metavar="COLUMN",
        ),
    ] = None
    ordered: Annotated[
        bool,
        About("true or false", "Rows are in order of time: test on the last ones."),
    ] = False

    def given(self) -> dict[str, object]:
        """What was given of the parameters of `aevb.VAE`."""
        return {
            name: getattr(self, name)
            for name in Settings.model_fields
            if name in self.model_fields_set
        }


AnySettings = TypeVar("AnySettings", bound=Settings)


def read_settings(path: Path | str | None, overrides: Mapping[str, object]) -> RunSettings:
    """The settings of a TOML file, if any, with `overrides` (the command line's) put over them."""
    from_file = _read_toml(Path(path)) if path else {}
    return RunSettings.of({**from_file, **overrides})


def about(settings: type[Settings] = Settings) -> Iterator[tuple[str, object, About]]:
    """Name, default and description of each setting."""
    for name, field in settings.model_fields.items():
        described = [one for one in field.metadata if isinstance(one, About)]
        yield name, field.default, described[0]


def _estimator(objective: object) -> Facts:
    from aevb.objectives import estimator_of

    return estimator_of(objective)


def _least(part: object, role: str) -> int:
    """The fewest latents a posterior or prior can have."""
    if part in ("auto", "diagonal"):
        return 1
    from aevb.posteriors import POSTERIORS
    from aevb.priors import PRIORS

    registry = POSTERIORS if role == "posterior" else PRIORS
    return int(getattr(registry.find(part), "least", 1))


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _explain(model: type[Settings], values: Mapping[str, object], error: ValidationError) -> str:
    """One line about the first wrong setting, with the nearest right word."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return str(first["ctx"]["error"])
    name = str(first["loc"][0])
    known = {one: described for one, _, described in about(model)}
    if name in known:
        expected = known[name].with_names(known[name].expected)
        inputs = [one["input"] for one in error.errors(include_url=False)]
        near = _meant([*inputs, *_values_of_mapping(values[name])], expected)
        return f"{name} must be {expected}; got {_short(values[name])}{near}"
    nearest = get_close_matches(name, known, n=1, cutoff=0.5)
    advice = f"known settings: {', '.join(known)}"
    if nearest:
        advice = f"did you mean {nearest[0]!r}?"
    return f"unknown setting {_short(name)}; {advice}"


def _values_of_mapping(value: object) -> list[object]:
    """The values of a mapping, which a message may have a nearer word for."""
    return list(value.values()) if isinstance(value, Mapping) else []


def _meant(inputs: Iterable[object], expected: str) -> str:
    """The word that was meant, where a choice was misspelled."""
    words = re.findall(r"\w+", expected)
    for value in inputs:
        if not isinstance(value, str) or value in words:
            continue
        for near in get_close_matches(value, words, n=1):
            return f"; did you mean {near!r}?"
    return ""


def _short(value: object) -> str:
    """A value on part of a line, however large."""
    short = Repr()
    short.maxstring = short.maxother = 60
    return short.repr(value)


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
    if "seed" in settings:  # the command line's word for it
        settings.setdefault("random_state", settings.pop("seed"))
    return settings
