"""The baseline with no latents: every column on its own, by the likelihoods of the VAE."""

from collections.abc import Mapping
from typing import ClassVar, Self

import equinox as eqx
import jax
import numpy as np
from paramax import NonTrainable

from aevb.baselines.base import BASELINES, Arrays, Baseline, Setting, Task, check_positive
from aevb.baselines.latent_class import LatentClasses, Training, class_likelihoods
from aevb.table.schema import Schema, Values, nats_of_unseen

__all__ = ["Classes", "IndependentMarginals"]


class Classes(Baseline):
    """Latent classes of the columns of a table."""

    schema: Schema = eqx.field(static=True)
    model: LatentClasses

    @classmethod
    def empty(cls, arrays: Arrays, chosen: Mapping[str, Setting], schema: Schema) -> Self:
        """The likelihoods of the schema, and as many classes as there are weights."""
        parts = class_likelihoods(schema, np.ones((1, len(schema))))
        classes = len(arrays[".model.log_weights"])
        if not classes:
            raise ValueError("there is at least one class")
        raw = tuple(np.zeros((classes, len(part.columns), part.parameters)) for part in parts)
        return cls(chosen, schema, LatentClasses(parts, raw, np.zeros(classes)))

    def check(self, empty: Self) -> None:
        """What is positive in the likelihoods of the schema, such as a scale, is positive."""
        for own, found in zip(_fixed(empty), _fixed(self), strict=True):
            check_positive(scale=found[own > 0])

    def score_samples(self, values: Values, seed: int = 0) -> Values:
        """log p of the observed cells of each row, nats in data units, shape (n,)."""
        met = np.where(np.isinf(values), np.nan, values)
        unseen = nats_of_unseen(self.schema.columns, values)
        return self.model.log_likelihood(self.schema.in_units(met)) + unseen


@BASELINES.register("independent marginals")
class IndependentMarginals(Classes):
    """One class."""

    #: A likelihood without a closed form takes a step along the gradient in each.
    max_iterations: ClassVar[int] = 2_000

    @classmethod
    def fit(cls, task: Task) -> Self:
        """The columns' marginals over all training rows."""
        parts = class_likelihoods(task.schema, task.train)
        training = Training.of(parts, task.schema, task.train)
        climb = training.fit(1, max_iterations=cls.max_iterations, tolerance=1e-9)
        return cls({"rows": len(task.train)}, task.schema, climb.model)


def _fixed(baseline: Classes) -> list[Values]:
    """The numbers of the likelihoods that training leaves alone."""

    def is_fixed(node: object) -> bool:
        return isinstance(node, NonTrainable)

    nodes = jax.tree.leaves(baseline.model.parts, is_leaf=is_fixed)
    fixed = [node.tree for node in nodes if is_fixed(node)]
    return list(map(np.asarray, jax.tree.leaves(fixed)))
