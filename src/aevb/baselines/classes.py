"""The baseline with one categorical latent: latent classes, by the likelihoods of the VAE."""

from collections.abc import Iterator
from typing import ClassVar, Self

from aevb.baselines.base import BASELINES, Setting, Task, best
from aevb.baselines.em import LatentClasses, Training
from aevb.baselines.independent import Classes

__all__ = ["Latent"]


@BASELINES.register("latent classes")
class Latent(Classes):
    """As many classes as validation rows prefer."""

    #: Numbers of classes tried.
    classes: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32, 64)
    #: Fits from different starts, of tables of no more than so many cells.
    restarts: ClassVar[int] = 3
    few_cells: ClassVar[int] = 100_000

    @classmethod
    def fit(cls, task: Task) -> Self:
        """EM over all training rows with more and more classes."""
        schema, rows = task.schema, len(task.train)
        training = Training.of(schema, schema.to_model_units(task.train), seed=task.seed)
        _, model = best(cls._sizes(training, task))
        chosen: dict[str, Setting] = {
            "classes": len(model.log_weights),
            "rows": rows,
            "chosen_on": "validation",
        }
        return cls(chosen, schema, model)

    @classmethod
    def _sizes(cls, training: Training, task: Task) -> Iterator[tuple[float, LatentClasses]]:
        """The best of a few starts with each number of classes, and its score."""
        held_out = task.train if task.held_out is None else task.held_out
        units = task.schema.to_model_units(held_out)
        restarts = cls.restarts if task.train.size <= cls.few_cells else 1
        for classes in cls.classes:
            if classes > 1 and classes * 5 > len(task.train):
                return
            found = []
            for restart in range(restarts if classes > 1 else 1):
                model = training.fit(classes, seed=task.seed + restart).model
                found.append((float(model.log_likelihood(units).mean()), model))
            yield best(found, patience=len(found))
