"""The pages of the documentation: their code runs, and their generated parts are up to date."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def code_cells(page: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(r"^```\{code-cell\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_extending_runs() -> None:
    names: dict[str, object] = {"__name__": "extending"}
    for code in code_cells("extending.md"):
        exec(compile(code, "extending.md", "exec"), names)
