"""Imports go one way, down the layers in pyproject.toml, and `import aevb` stays light."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    "jax",
    "sklearn",
    "pyarrow",
    "matplotlib",
    "numpyro",
    "equinox",
    "optax",
    "pandas",
    "polars",
    "scipy",
    "numpy",
)


def test_imports_keep_their_contracts() -> None:
    """Late imports and those for types are read too."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", ["aevb", "aevb_paper"])
def test_no_module_imports_itself_and_none_reads_what_is_private_to_another(package: str) -> None:
    house = runpy.run_path(str(ROOT / "benchmarks" / "house.py"))
    modules = house["read"](ROOT / "src" / package)
    assert house["circles"](modules) == {}
    reads = {module.name: list(house["private_reads"](module)) for module in modules}
    assert {name: found for name, found in reads.items() if found} == {}


@pytest.mark.parametrize("module", ["aevb", "aevb.cli"])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules.keys() & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_inspecting_a_file_imports_no_more_than_reading_one_does(tmp_path: Path) -> None:
    """The time of `aevb inspect` is that of the file."""
    lines = ["id,day,price,when,level,share"]
    for i in range(60):
        cells = f'"{i * 37 % 101:,}.50"', f"2024-01-05T10:{i:02}Z", "ab"[i % 2], "?" if i else "5%"
        lines.append(f"{i},{i % 28 + 1}.{i % 12 + 1}.2024,{','.join(cells)}")
    (tmp_path / "export.csv").write_text("\n".join(lines))
    heavy = {*HEAVY} - {"numpy", "pyarrow"}
    code = (
        "import atexit, sys; from aevb.cli import main\n"
        f"atexit.register(lambda: print('heavy:', *sorted(sys.modules.keys() & {heavy!r})))\n"
        f"sys.argv[1:] = ['inspect', {str(tmp_path / 'export.csv')!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "heavy:"
