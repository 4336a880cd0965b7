"""What a report is made of, and how it lies in a run folder until it is drawn again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aevb.disk import plain
from aevb.errors import ModelFileError
from aevb.table.schema import Schema

__all__ = ["Contents"]

_ARRAYS = ("codes", "originals", "reconstructions", "samples")


@dataclass(frozen=True)
class Contents:
    """All that a report shows.

    Parameters
    ----------
    title
        Usually the name of the data.
    results
        The results dictionary of the fit (``VAE.report_``).
    history
        One dictionary an epoch.
    schema
        The columns and what was inferred about them.
    codes
        Posterior means of some held-out rows, shape (m, latents).
    originals, reconstructions
        Values of the same rows and their reconstructions, shape (m, D); NaN where missing.
    samples
        Values drawn from the model, shape (s, D).
    colors
        Shape (m,): what to colour the latent space by, numbers or indices into `color_levels`; None
        for one colour.
    color_name
        The column `colors` came from.
    color_levels
        Names of the levels of `colors`; empty for numbers.
    commands
        What to type to get this fit again, one line each.
    environment
        Versions and machine, name to text.
    """

    title: str
    results: dict[str, Any]
    history: list[dict[str, Any]]
    schema: Schema
    codes: NDArray[np.float64]
    originals: NDArray[np.float64]
    reconstructions: NDArray[np.float64]
    samples: NDArray[np.float64]
    colors: NDArray[np.float64] | None = None
    color_name: str = ""
    color_levels: tuple[str, ...] = ()
    commands: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def to_stored(self) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
        """(arrays, documents): what ``figures.safetensors`` holds, and JSON documents by name.

        The documents are ``results``, ``schema`` and ``report``; numbers that are not finite become
        null.
        """
        arrays = {
            name: np.ascontiguousarray(getattr(self, name), dtype=np.float64) for name in _ARRAYS
        }
        if self.colors is not None:
            arrays["colors"] = np.ascontiguousarray(self.colors, dtype=np.float64)
        report = {
            "title": self.title,
            "history": self.history,
            "color_name": self.color_name,
            "color_levels": list(self.color_levels),
            "commands": self.commands,
            "environment": self.environment,
        }
        return arrays, plain(
            {"results": self.results, "schema": self.schema.to_json(), "report": report}
        )

    @classmethod
    def from_stored(
        cls, arrays: Mapping[str, NDArray[Any]], documents: Mapping[str, Any]
    ) -> "Contents":
        """The contents that `to_stored` gave; `ModelFileError` on anything else."""
        try:
            report = documents["report"]
            kept: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
            contents = cls(
                title=str(report["title"]),
                results=dict(documents["results"]),
                history=[{**entry, "epoch": int(entry["epoch"])} for entry in report["history"]],
                schema=Schema.from_json(documents["schema"]),
                colors=arrays.get("colors"),
                color_name=str(report["color_name"]),
                color_levels=tuple(str(level) for level in report["color_levels"]),
                commands=[str(command) for command in report["commands"]],
                environment={
                    str(name): str(value) for name, value in report["environment"].items()
                },
                **kept,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFileError(
                f"this run does not hold what a report is made of: {error!r}"
            ) from error
        contents.check()
        return contents

    def check(self) -> None:
        """`ModelFileError` where arrays do not fit each other or the schema."""
        rows, width = len(self.codes), len(self.schema)
        shapes = {name: getattr(self, name).shape for name in _ARRAYS}
        expected = {
            **dict.fromkeys(("originals", "reconstructions"), (rows, width)),
            "samples": (None, width),
        }
        for name, (count, columns) in expected.items():
            shape = shapes[name]
            if len(shape) != 2 or shape[1] != columns or count not in (None, shape[0]):
                raise ModelFileError(
                    f"report: expected {name} of shape {(count or 'any', columns)}, got {shape}"
                )
        if len(shapes["codes"]) != 2 or (self.colors is not None and self.colors.shape != (rows,)):
            raise ModelFileError(
                f"report: expected codes (rows, latents) and colors (rows,), got {shapes['codes']}"
            )
