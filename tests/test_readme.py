"""The README's code runs, with smaller settings; commands and files on the pages are real."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from aevb.cli import app
from aevb.settings import read_settings
from aevb.table.schema import KINDS

ROOT = Path(__file__).parents[1]
#: Put into everything the README fits, so that it takes seconds.
SMALL = "latent_dim=2, hidden=(4,), epochs=2, "


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks(language: str, page: str = "README.md") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


@pytest.mark.long
def test_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in blocks("python"):
        small = re.sub(r"\b(VAE\w*)\((?!vae\))", rf"\1({SMALL}", code)
        exec(compile(small, "README.md", "exec"), names)
    assert "nats per row on 36 test rows" in capsys.readouterr().out
    assert (tmp_path / "wine" / "report.html").is_file()


def commands() -> list[str]:
    lines = []
    for page in ("README.md", "docs/command-line.md", "docs/columns.md"):
        for block in blocks("console", page):
            lines += [line[line.index("aevb ") :] for line in block.splitlines() if "aevb " in line]
    return sorted(set(lines))


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str) -> None:
    _, name, *rest = arguments = shlex.split(line)
    command = typer.main.get_command(app).get_command(None, name)
    if hasattr(command, "commands"):  # aevb paper cards
        name, *rest = rest
        command = command.commands[name]
    with command.make_context(name, rest, obj=arguments[1:]) as context:
        assert context.params


def test_every_command_is_listed() -> None:
    listed = {line.split()[1] for line in commands()}
    assert set(typer.main.get_command(app).list_commands(None)) == listed


def test_the_settings_file_is_one(tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    path.write_text(blocks("toml", "docs/command-line.md")[0])
    columns = read_settings(path, {}).given()["columns"]
    assert columns == {"age": "continuous", "zip": "categorical"}


def test_all_kinds_are_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", text_of("docs/columns.md"), re.MULTILINE)
    assert tuple(listed) == KINDS


def test_it_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 130


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", text_of("README.md")))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).is_file()
