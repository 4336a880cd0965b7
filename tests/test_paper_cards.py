"""The study cards: pictures are files of their own, and the command prints and checks cards."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner, Result

from aevb.cli import app
from aevb.report.svg import standalone_svg
from aevb_paper import cards
from aevb_paper.cards import CARDS, deck
from aevb_paper.checks import Card, Check, Picture
from aevb_paper.drawings import optimum

PICTURES = [picture for card in CARDS for picture in card.pictures]
SVG = "{http://www.w3.org/2000/svg}"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> tuple[Card, Card]:
    """The first card with a check that passes, and one with checks that do not."""
    good = Check("one is one", lambda: 0.0)
    bad = (
        Check("one is a half", lambda: 0.5),
        Check("one is no number", lambda: float("nan")),
        replace(good, needs="no_such_package"),
    )
    found = (CARDS[0]._replace(checks=(good,)), CARDS[2]._replace(checks=bad))
    monkeypatch.setattr(cards, "CARDS", found)
    return found


@pytest.mark.long
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_pictures_are_the_same_bytes_and_need_nothing_else(picture: Picture) -> None:
    text = standalone_svg(picture.draw(), picture.description)
    assert text == standalone_svg(picture.draw(), picture.description)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert next(root.iter(f"{SVG}title")).text == picture.description
    assert not list(root.iter(f"{SVG}text"))  # letters are outlines: no font is needed
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.endswith("href") or value.startswith(("#", "data:"))


def test_standalone_pictures_escape_their_description() -> None:
    assert "<script" not in standalone_svg(Figure(), "a <script> & more")


def test_the_loss_drawn_is_least_at_the_posterior_and_then_log_p() -> None:
    w, a = np.linspace(0.1, 2, 20), np.linspace(-1, 2, 301)
    at_posterior = optimum.mean_loss(w, optimum.posterior_slope(w))
    np.testing.assert_allclose(at_posterior, optimum.mean_surprise(w), atol=1e-12)
    assert (optimum.mean_loss(w[:, None], a[None]) >= at_posterior[:, None] - 1e-12).all()
    best = np.sqrt(1 - 0.3)
    assert (optimum.mean_surprise(w) >= optimum.mean_surprise(best)).all()
    np.testing.assert_allclose(optimum.descend(1.45, 0.2)[-1], [best, best], atol=1e-3)


def test_a_deck_has_every_question_and_picture() -> None:
    files = deck(CARDS)
    text = files.pop("deck.md")
    questions = [question.question for card in CARDS for question in card.questions]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == questions
    shown = set(re.findall(r"^!\[[^\]]+\]\(([^)]+)\)$", text, re.MULTILINE))
    assert files.keys() == {f"{picture.name}.svg" for picture in PICTURES} == shown
    assert all(len(content) < 1_500_000 for content in files.values())


def test_cards_are_checked(two_cards: tuple[Card, Card]) -> None:
    done = run("paper", "cards", "--json")
    assert done.exit_code == 4
    document = json.loads(done.stdout)
    assert [card["name"] for card in document["cards"]] == ["bound", "divergence"]
    assert document["cards"][0]["checks"] == [
        {"name": "one is one", "passed": True, "error": 0.0, "tolerance": 1e-06, "unit": ""}
    ]
    assert [check["passed"] for check in document["cards"][1]["checks"]] == [False, False]
    assert "got 2 that failed: one is a half; one is no number" in done.stderr
    assert "skipped 1 checks that need no_such_package" in done.stderr


def test_cards_are_printed_and_written(
    two_cards: tuple[Card, Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "CARDS", two_cards[:1])
    done = run("paper", "cards", "--quiet", "--deck", str(tmp_path / "deck"))
    assert done.exit_code == 0
    assert done.stderr == ""
    formula = "L(x) = log p(x) - KL(q(z|x) || p(z|x))"
    for text in (two_cards[0].title, formula, "1 of 1 checks passed", "deck.md"):
        assert text in done.stdout
    assert {path.name for path in (tmp_path / "deck").iterdir()} == {"deck.md", "bound.svg"}
    (tmp_path / "file").write_text("")
    assert run("paper", "cards", "--deck", str(tmp_path / "file")).exit_code == 5


def test_a_command_of_the_paper_must_be_named() -> None:
    assert "cards" in run("paper", "--help").stdout
    assert run("paper", "figure").exit_code == 2


def test_the_page_has_every_card() -> None:
    page = (Path(__file__).parents[1] / "docs" / "cards.md").read_text("utf-8")
    assert re.findall(r"^## \d\. (.+)$", page, re.MULTILINE) == [card.title for card in CARDS]
    assert re.findall(r"^show\((\w+)\)$", page, re.MULTILINE) == [card.name for card in CARDS]
