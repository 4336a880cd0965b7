"""What a report is made of, and how a run folder holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from aevb.disk import plain, validated
from aevb.errors import ModelFileError
from aevb.table.schema import Schema

__all__ = ["Contents", "Document"]

#: A JSON object, such as results.json.
Document = dict[str, Any]


class StoredReport(BaseModel):
    """What report.json holds."""

    title: str
    history: list[Document]
    color_name: str
    color_levels: tuple[str, ...]
    commands: list[str]
    environment: dict[str, str]


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
        One dictionary per epoch.
    schema
        The columns and what was inferred about them.
    codes
        Posterior means of some held-out rows, shape (m, latents).
    originals, reconstructions
        Values of the same rows and their reconstructions, shape (m, D); NaN where missing.
    samples
        Values drawn from the model, shape (s, D).
    colors
        Shape (m,): numbers, or indices into `color_levels`, that color the latent space; None for
        one color.
    color_name
        The column that `colors` came from.
    color_levels
        Names of the levels of `colors`; empty for numbers.
    commands
        The commands that give this fit again, one per line.
    environment
        Versions and machine, name to text.
    """

    title: str
    results: Document
    history: list[Document]
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

    def to_stored(self) -> tuple[dict[str, NDArray[np.float64]], Document]:
        """(arrays, documents): what ``figures.safetensors`` holds, and JSON documents by name.

        The documents are ``results``, ``schema`` and ``report``.
        """
        arrays = {}
        for name in ("codes", "originals", "reconstructions", "samples", "colors"):
            values = getattr(self, name)
            if values is not None:
                arrays[name] = np.ascontiguousarray(values, dtype=np.float64)
        report = {name: getattr(self, name) for name in StoredReport.model_fields}
        documents = {"results": self.results, "schema": self.schema.to_json(), "report": report}
        return arrays, plain(documents)

    @classmethod
    def from_stored(
        cls, arrays: Mapping[str, NDArray[np.float64]], documents: Document
    ) -> "Contents":
        """The contents that `to_stored` gave; `ModelFileError` on anything else."""
        try:
            report = validated(StoredReport, documents["report"], "report.json")
            contents = cls(
                results=documents["results"],
                schema=Schema.from_json(documents["schema"]),
                codes=arrays["codes"],
                originals=arrays["originals"],
                reconstructions=arrays["reconstructions"],
                samples=arrays["samples"],
                colors=arrays.get("colors"),
                **dict(report),
            )
        except KeyError as error:
            raise ModelFileError(
                f"this run does not hold what a report is made of: no {error}"
            ) from error
        contents.check()
        return contents

    def check(self) -> None:
        """`ModelFileError` where arrays do not fit each other or the schema."""
        rows, width = len(self.codes), len(self.schema)
        fits = self.codes.ndim == 2 and self.samples.shape[1:] == (width,)
        fits &= self.originals.shape == self.reconstructions.shape == (rows, width)
        fits &= self.colors is None or self.colors.shape == (rows,)
        if not fits:
            raise ModelFileError(
                f"report: expected codes and colors of {rows} rows, originals, reconstructions and "
                f"samples of {width} columns, got other shapes"
            )
