"""The cards as a deck for programs of spaced repetition: a Markdown file and its pictures."""

from collections.abc import Sequence

from aevb.report.svg import standalone_svg
from aevb_paper.checks import Card

__all__ = ["DECK", "deck"]

#: The name of the Markdown file.
DECK = "deck.md"


def deck(cards: Sequence[Card]) -> dict[str, str]:
    """Files by name: `DECK`, in which every heading of level two is a question and what follows its
    answer, and SVGs.

    Formulas are TeX between dollars. So programs that make a card of a heading read it as it is.

    >>> from aevb_paper.checks import Question
    >>> card = Card("sums", "Sums", "", (), (), (), (Question("What is 1 + 1?", "$2$"),))
    >>> print(deck([card])[DECK])
    # Auto-Encoding Variational Bayes
    <BLANKLINE>
    ## What is 1 + 1?
    <BLANKLINE>
    $2$
    <BLANKLINE>
    """
    descriptions = {
        picture.name: picture.description for card in cards for picture in card.pictures
    }
    lines = ["# Auto-Encoding Variational Bayes", ""]
    for question in (question for card in cards for question in card.questions):
        lines += [f"## {question.question}", "", question.answer, ""]
        if question.picture:
            lines += [f"![{descriptions[question.picture]}]({question.picture}.svg)", ""]
    pictures = (picture for card in cards for picture in card.pictures)
    files = {
        f"{picture.name}.svg": standalone_svg(picture.draw(), picture.description)
        for picture in pictures
    }
    return {DECK: "\n".join(lines), **files}
