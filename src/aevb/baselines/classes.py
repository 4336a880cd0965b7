"""The baseline with one categorical latent: latent classes, by the likelihoods of the VAE."""

from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np

from aevb.baselines.base import BASELINES, Setting, Task, best
from aevb.baselines.independent import Classes
from aevb.baselines.latent_class import LatentClasses, Training, class_likelihoods

__all__ = ["LatentClassBaseline"]


@BASELINES.register("latent classes")
class LatentClassBaseline(Classes):
    """As many classes as validation rows prefer."""

    #: Numbers of classes tried.
    classes: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32, 64)
    #: Where EM over all training rows stops; see `Training.fit`.
    tolerance: ClassVar[float] = 5e-5
    #: Size of the sample that chooses, where there are more than twice as many rows or cells.
    sample_rows: ClassVar[int] = 20_000
    sample_cells: ClassVar[int] = 1_000_000

    @classmethod
    def fit(cls, task: Task) -> Self:
        """EM over a sample with more and more classes, then over all training rows."""
        schema, train = task.schema, task.train
        parts = class_likelihoods(schema, train)
        most = max(min(cls.sample_rows, cls.sample_cells // len(schema)), 500)
        training = sample = Training.of(parts, schema, train)
        if len(train) > 2 * most:
            drawn = np.random.default_rng(task.seed).choice(len(train), most, replace=False)
            sample = Training.of(parts, schema, train[drawn])
        score, first = best(cls._sizes(sample, task))
        final = training.climb(first, tolerance=cls.tolerance).model
        _, model = best([(score, first), (cls._score(final, task), final)])
        chosen: dict[str, Setting] = {
            "classes": len(model.log_weights),
            "rows": len(train),
            "chosen_on": "validation",
        }
        return cls(chosen, schema, model)

    @classmethod
    def _sizes(cls, training: Training, task: Task) -> Iterator[tuple[float, LatentClasses]]:
        """The fit with each number of classes, and its score."""
        for classes in cls.classes:
            if classes > 1 and classes * 5 > len(task.train):
                return
            model = training.fit(classes, seed=task.seed).model
            yield cls._score(model, task), model

    @staticmethod
    def _score(model: LatentClasses, task: Task) -> float:
        """Nats per held-out row, or per training row where none are held out."""
        rows = task.train if task.held_out is None else task.held_out
        return float(model.log_likelihood(task.schema.in_units(rows)).mean())
