"""The baseline with one categorical latent: latent classes, by the likelihoods of the VAE."""

from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np

from aevb.baselines.base import BASELINES, Setting, Task, best
from aevb.baselines.independent import Classes
from aevb.baselines.latent_class import LatentClasses, Training, class_likelihoods

__all__ = ["Latent"]


@BASELINES.register("latent classes")
class Latent(Classes):
    """As many classes as validation rows prefer."""

    #: Numbers of classes tried.
    classes: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32, 64)
    #: Where EM over all training rows stops; see `Training.fit`.
    tolerance: ClassVar[float] = 5e-5
    #: Size of the sample that chooses, where there are more than twice as many rows or cells.
    sample_rows: ClassVar[int] = 20_000
    sample_cells: ClassVar[int] = 4_000_000

    @classmethod
    def fit(cls, task: Task) -> Self:
        """EM over a sample with more and more classes, then over all training rows."""
        schema, train = task.schema, task.train
        parts = class_likelihoods(schema, train)
        most = max(min(cls.sample_rows, cls.sample_cells // len(schema)), 500)
        rows = train
        if len(train) > 2 * most:
            rows = train[np.random.default_rng(task.seed).choice(len(train), most, replace=False)]
        _, model = best(cls._sizes(Training.of(parts, schema, rows), task))
        model = Training.of(parts, schema, train).climb(model, tolerance=cls.tolerance).model
        chosen: dict[str, Setting] = {
            "classes": len(model.log_weights),
            "rows": len(train),
            "chosen_on": "validation",
        }
        return cls(chosen, schema, model)

    @classmethod
    def _sizes(cls, training: Training, task: Task) -> Iterator[tuple[float, LatentClasses]]:
        """The fit with each number of classes, and its score."""
        held_out = task.train if task.held_out is None else task.held_out
        units = task.schema.in_units(held_out)
        for classes in cls.classes:
            if classes > 1 and classes * 5 > len(task.train):
                return
            model = training.fit(classes, seed=task.seed).model
            yield float(model.log_likelihood(units).mean()), model
