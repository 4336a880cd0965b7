"""What the README says runs, with smaller settings; its commands and files are ones there are."""

import re
import shlex
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
#: Put into everything the README fits, so that it takes seconds.
SMALL = "latent_dim=2, hidden=(4,), epochs=2, "


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in blocks("python"):
        exec(
            compile(re.sub(r"\b(VAE\w*)\((?!vae\))", rf"\1({SMALL}", code), "README.md", "exec"),
            names,
        )
    assert "nats a row on 36 test rows" in capsys.readouterr().out
    assert (tmp_path / "wine" / "report.html").is_file()


def commands() -> list[list[str]]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [shlex.split(line[line.index("aevb ") :])[1:] for line in lines if "aevb " in line]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_commands_parse(arguments: list[str]) -> None:
    from aevb.cli import app

    group = typer.main.get_command(app)
    name, *rest = arguments
    command = group.get_command(None, name)
    if hasattr(command, "commands"):  # aevb paper cards
        name, *rest = rest
        command = command.commands[name]
    with command.make_context(name, rest, obj=arguments) as context:
        assert context.params


def test_every_command_is_said() -> None:
    from aevb.cli import app

    group = typer.main.get_command(app)
    assert set(group.list_commands(None)) == {arguments[0] for arguments in commands()}


def test_the_settings_file_is_one(tmp_path: Path) -> None:
    from aevb.settings import read_configuration

    (tmp_path / "people.toml").write_text(blocks("toml")[0])
    assert read_configuration(tmp_path / "people.toml", {}).parameters()["columns"] == {
        "age": "continuous",
        "zip": "categorical",
    }


def test_kinds_are_all_said() -> None:
    from aevb.table.schema import KINDS

    table = README.split("## Kinds of columns")[1].split("##")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == KINDS


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).is_file()
