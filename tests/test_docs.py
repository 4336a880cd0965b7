"""The pages of the documentation: their code runs, and what is generated is complete."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import aevb

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture
def make_pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.delitem(sys.modules, "make_pages", raising=False)
    import make_pages

    return make_pages


def code_cells(page: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(r"^```\{code-cell\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.long
def test_extending_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (aevb.priors.PRIORS, aevb.likelihoods.LIKELIHOODS):
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))  # names go when it ends
    names: dict[str, object] = {"__name__": "extending"}
    for code in code_cells("extending.md"):
        exec(compile(code, "extending.md", "exec"), names)


def test_settings_are_up_to_date(make_pages: ModuleType) -> None:
    """If not: python docs/make_pages.py."""
    assert (DOCS / "settings.md").read_text("utf-8") == make_pages.settings_page()


def test_notes_are_up_to_date(make_pages: ModuleType) -> None:
    """If not: python docs/make_pages.py."""
    assert (DOCS / "notes.md").read_text("utf-8") == make_pages.notes_page()


def test_every_public_name_has_a_page(make_pages: ModuleType) -> None:
    listed = make_pages.listed_modules()
    assert len(listed) == len(set(listed))
    for package in ("aevb", "aevb_paper"):
        for module in make_pages.modules_of(package):
            if make_pages.is_shadowed(module):
                continue
            pages = [name for name in listed if f"{module}.".startswith(f"{name}.")]
            found = make_pages.exports("aevb")
            for page in pages:
                found |= make_pages.exports(page)
            assert make_pages.exports(module) <= found, f"{module} is in no section of the API"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (DOCS / link).exists(), link
