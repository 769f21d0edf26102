"""What CONTRIBUTING says of a new method is carried out, on a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import stockpot

HERE = Path(__file__).parent


def blocks_of(section: str) -> list[tuple[str, str]]:
    """Each block of code of a section, with the file that the words before it name last."""
    text = (HERE.parent / "CONTRIBUTING.md").read_text()
    (part,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    found = re.findall(r"`([\w/]+\.py)`[^`]*?(?:`METHODS`:)?\s*```python\n(.*?)```", part, re.S)
    return list(found)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package and of what tries methods."""
    unwanted = shutil.ignore_patterns("__pycache__")
    package = Path(stockpot.__file__).parent
    shutil.copytree(package, tmp_path / "src" / "stockpot", ignore=unwanted)
    for name in ("contract", "reference"):
        shutil.copytree(HERE / name, tmp_path / "tests" / name, ignore=unwanted)
    for name in ("cases.py", "conftest.py"):
        shutil.copy(HERE / name, tmp_path / "tests" / name)
    shutil.copy(HERE.parent / "pyproject.toml", tmp_path)
    return tmp_path


def run(house: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(house / "src")}
    done = subprocess.run(
        [sys.executable, *words], cwd=house, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_method_is_two_files_and_two_lines(house: Path) -> None:
    (method, code), (listing, line), (reference, slow) = blocks_of("A new merge method")
    (house / method).write_text(code)
    (house / reference).write_text(slow)
    text = (house / listing).read_text()
    text = text.replace("from .model_stock", f"{line}from .model_stock", 1)
    (house / listing).write_text(text.replace("    Median,\n", "    Median,\n    Midrange,\n", 1))

    suites = ("tests", "src/stockpot/methods/midrange.py", "--doctest-modules")
    told = run(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suites, "-k", "midrange")
    (passed,) = re.findall(r"(\d+) passed", told)
    assert int(passed) >= 20
    told = run(house, "-m", "stockpot", "methods", "midrange")
    assert "(min_k θ_k + max_k θ_k) / 2" in told
    told = run(house, "-m", "stockpot", "merge", "midrange", "--help")
    assert "moves by half its distance" in " ".join(told.replace("│", " ").split())
