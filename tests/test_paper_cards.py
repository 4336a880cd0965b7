"""The cards say the same in TeX and in plain text, their pictures are files of their own, and the
command is theirs.
"""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from typer.testing import CliRunner, Result

from aevb.cli import app
from aevb.report.svg import standalone_svg
from aevb_paper import cards
from aevb_paper.cards import CARDS
from aevb_paper.checks import Card, Check
from aevb_paper.deck import DECK, deck
from aevb_paper.drawings import optimum
from aevb_paper.drawings.families import EQUATIONS
from aevb_paper.drawings.formulas import typeset
from aevb_paper.families import listed
from aevb_paper.notation import plain_formula, plain_text

PICTURES = [picture for card in CARDS for picture in card.pictures]
SVG = "{http://www.w3.org/2000/svg}"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> tuple[Card, Card]:
    """The first card with a check that holds, and one that does not."""

    def off() -> float:
        return 0.5

    def nothing() -> float:
        return float("nan")

    good = Check("one is one", lambda: 0.0, ())
    bad = (
        Check("one is a half", off, ()),
        Check("one is no number", nothing, ()),
        replace(good, needs="no_such_package"),
    )
    found = (replace(CARDS[0], checks=(good,)), replace(CARDS[2], checks=bad))
    monkeypatch.setattr(cards, "CARDS", found)
    return found


# Words


def formulas() -> list[str]:
    texts = [
        text
        for card in CARDS
        for text in (card.text, *(q.question + q.answer for q in card.questions))
    ]
    inside = [
        formula
        for text in texts
        for pair in re.findall(r"\$\$([^$]+)\$\$|\$([^$]+)\$", text)
        for formula in pair
    ]
    return [formula for card in CARDS for formula in card.formulas] + [
        formula for formula in inside if formula
    ]


@pytest.mark.parametrize("formula", formulas())
def test_every_formula_can_be_said_plainly(formula: str) -> None:
    assert not set(plain_formula(formula)) & set("\\{}$")
    assert formula.count("(") == formula.count(")") or "[" in formula
    assert formula.count("{") == formula.count("}")


def test_plain_formulas() -> None:
    said = {
        r"z = \mu + \sigma \odot \varepsilon": "z = μ + σ ⊙ ε",
        r"\theta^{*}, \phi^{*} = \arg\min_{\theta,\phi} L_{\mathrm{VAE}}": "θ*, φ* = argmin_θ,φ L_VAE",
        r"\log \sigma_j^2": "log σ_j²",
    }
    assert {tex: plain_formula(tex) for tex in said} == said
    assert plain_text(r"The bound, $\mathcal{L}(x)$, by `aevb`.") == "The bound, L(x), by `aevb`."


# Pictures


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_formulas_are_set_within_their_picture(card: Card) -> None:
    figure = typeset(card.formulas)
    assert [text.get_text().strip("$") for text in figure.texts] == list(card.formulas)
    FigureCanvasAgg(figure).draw()
    ends = [text.get_window_extent() for text in figure.texts]
    assert all(
        end.x0 >= 0 and end.x1 <= figure.bbox.x1 and end.y0 >= 0 and end.y1 <= figure.bbox.y1
        for end in ends
    )
    assert all(above.y0 > below.y1 for above, below in pairwise(ends))


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_pictures_are_the_same_bytes_and_need_nothing_else(picture: Any) -> None:
    text = standalone_svg(picture.draw(), picture.description)
    assert text == standalone_svg(picture.draw(), picture.description)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert next(root.iter(f"{SVG}title")).text == picture.description
    assert not list(root.iter(f"{SVG}text"))  # letters are outlines: no font is needed
    links = [
        value
        for element in root.iter()
        for name, value in element.attrib.items()
        if name.endswith("href")
    ]
    assert all(link.startswith(("#", "data:")) for link in links)


def test_standalone_pictures_escape_what_they_say() -> None:
    assert "<script" not in standalone_svg(Figure(), "a <script> & more")


def test_every_family_has_its_equation() -> None:
    assert EQUATIONS.keys() == {(route, example.name) for route, example in listed()}


def test_the_loss_drawn_is_least_at_the_posterior_and_then_log_p() -> None:
    w, a = np.linspace(0.1, 2, 20), np.linspace(-1, 2, 301)
    at_posterior = optimum.mean_loss(w, optimum.posterior_slope(w))
    np.testing.assert_allclose(at_posterior, optimum.mean_surprise(w), atol=1e-12)
    assert (optimum.mean_loss(w[:, None], a[None]) >= at_posterior[:, None] - 1e-12).all()
    best = np.sqrt(1 - optimum.V)
    assert (optimum.mean_surprise(w) >= optimum.mean_surprise(best)).all()
    np.testing.assert_allclose(
        optimum._downhill(np.array(optimum.START))[-1], [best, best], atol=1e-3
    )


# The deck


def test_a_deck_asks_answers_and_shows() -> None:
    files = deck(CARDS)
    text = files.pop(DECK)
    questions = [question for card in CARDS for question in card.questions]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        question.question for question in questions
    ]
    shown = set(re.findall(r"^!\[[^\]]+\]\(([^)]+)\)$", text, re.MULTILINE))
    assert files.keys() == {f"{picture.name}.svg" for picture in PICTURES} == shown
    assert all(len(content) < 1_500_000 for content in files.values())


# The command


def test_cards_are_checked(two_cards: tuple[Card, Card]) -> None:
    done = run("paper", "cards", "--json")
    assert done.exit_code == 4
    document = json.loads(done.stdout)
    assert [card["name"] for card in document["cards"]] == ["bound", "divergence"]
    assert document["cards"][0]["checks"] == [
        {"name": "one is one", "passed": True, "error": 0.0, "tolerance": 1e-06, "unit": ""}
    ]
    assert [check["passed"] for check in document["cards"][1]["checks"]] == [False, False]
    assert (
        "error: expected every check to pass, got 2 that did not: one is a half; one is no number"
        in done.stderr
    )
    assert "left out for want of no_such_package: 1 of the checks" in done.stderr


def test_cards_are_shown(
    two_cards: tuple[Card, Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "CARDS", two_cards[:1])
    done = run("paper", "cards", "--quiet", "--deck", str(tmp_path / "deck"))
    assert done.exit_code == 0
    assert done.stderr == ""
    for said in (
        two_cards[0].title,
        "L(x) = log p(x) - KL(q(z|x) || p(z|x))",
        "1 of 1 checks passed",
        "deck.md",
    ):
        assert said in done.stdout
    assert {path.name for path in (tmp_path / "deck").iterdir()} == {"deck.md", "bound.svg"}
    (tmp_path / "file").write_text("")
    assert run("paper", "cards", "--deck", str(tmp_path / "file")).exit_code == 5


def test_what_the_paper_says_must_be_named() -> None:
    assert "cards" in run("paper", "--help").stdout
    assert run("paper", "figure").exit_code == 2


def test_the_page_has_every_card() -> None:
    page = (Path(__file__).parents[1] / "docs" / "cards.md").read_text("utf-8")
    assert re.findall(r"^## \d\. (.+)$", page, re.MULTILINE) == [card.title for card in CARDS]
    assert re.findall(r"^words\((\w+)\)$", page, re.MULTILINE) == [card.name for card in CARDS]
