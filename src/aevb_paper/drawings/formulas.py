"""Formulas in TeX set as a picture, for pages that ask for nothing from elsewhere."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from aevb_paper.drawings.diagram import book

__all__ = ["typeset"]

WIDTH, LINE, SIZE = 6.8, 0.34, 11.5


@book
def typeset(formulas: Sequence[str]) -> Figure:
    """One below the other, flush left.

    >>> [text.get_text() for text in typeset(["x_1 + x_2"]).texts]
    ['$x_1 + x_2$']
    """
    height = LINE * len(formulas) + 0.06
    figure = Figure(figsize=(WIDTH, height))
    for place, formula in enumerate(formulas):
        y = 1 - (LINE * (place + 0.5) + 0.03) / height
        figure.text(0.03, y, f"${formula}$", fontsize=SIZE, va="center", parse_math=True)
    return figure
