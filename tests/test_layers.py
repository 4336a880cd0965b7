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
