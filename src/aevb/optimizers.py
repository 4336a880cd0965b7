"""Directions of descent by name, and the size of each step along them."""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from aevb.errors import ConfigError

__all__ = ["OPTIMIZERS", "adam", "learning_rates", "optimizer_of"]


def adam(b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-8) -> optax.GradientTransformation:
    """Adam's direction m' / (sqrt(v') + epsilon), m' and v' the moments corrected for their start.

    Kingma and Ba (2015). It is `optax.scale_by_adam` to rounding, in the order of section 2 of that
    paper: the corrections 1 - b1^t and 1 - b2^t are two numbers per step, and need not divide every
    weight. Divisions are what a step of Adam costs on a CPU.

    Examples
    --------
    >>> transformation = adam()
    >>> float(transformation.update(jnp.array(0.3), transformation.init(jnp.array(0.0)))[0])
    1.0
    """

    def update(
        gradient: optax.Updates,
        state: optax.ScaleByAdamState,
        parameters: optax.Params | None = None,
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        count = optax.safe_increment(state.count)
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, gradient)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.nu, gradient)
        root = jnp.sqrt(1 - b2**count)
        scale = root / (1 - b1**count)
        direction = jax.tree.map(lambda m, v: scale * m / (jnp.sqrt(v) + epsilon * root), mu, nu)
        return direction, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(optax.scale_by_adam().init, update)


def _descent(direction: optax.GradientTransformation) -> optax.GradientTransformation:
    return optax.chain(direction, optax.scale(-1.0))


#: By name; the loop applies the step size, so that one program serves any schedule.
OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": lambda: _descent(adam()),
    "adagrad": lambda: _descent(optax.scale_by_rss(initial_accumulator_value=0.0)),
    "rmsprop": lambda: _descent(optax.scale_by_rms()),
    "sgd": lambda: _descent(optax.identity()),
}


@cache  # of one name always the same object, so that one compilation serves all fits
def _named(name: str) -> optax.GradientTransformation:
    return OPTIMIZERS[name]()


def optimizer_of(
    choice: str | optax.GradientTransformation,
) -> tuple[optax.GradientTransformation, bool]:
    """The transformation, and whether it has its own step size.

    Raises
    ------
    ConfigError
        A name that is not in `OPTIMIZERS`.
    """
    if not isinstance(choice, str):
        return choice, True
    if choice not in OPTIMIZERS:
        names = ", ".join(OPTIMIZERS)
        raise ConfigError(f"optimizer is one of {names} or an Optax transformation, not {choice!r}")
    return _named(choice), False


def learning_rates(schedule: str, learning_rate: float, steps: int) -> NDArray[np.float32]:
    """The step size of every step.

    Parameters
    ----------
    schedule
        "constant", or "cosine" to fall to 0 along half a cosine (Loshchilov and Hutter 2017).
    learning_rate
        The first step size.
    steps
        How many steps there are.

    Raises
    ------
    ConfigError
        There is no such schedule.
    """
    if schedule == "constant":
        return np.full(steps, learning_rate, dtype=np.float32)
    if schedule != "cosine":
        raise ConfigError(f"schedule is 'cosine' or 'constant', not {schedule!r}")
    fall = 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))
    return np.asarray(learning_rate * fall, dtype=np.float32)
