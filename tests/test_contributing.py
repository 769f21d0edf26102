"""What CONTRIBUTING says of new methods and views is carried out, on a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot

HERE = Path(__file__).parent


def blocks_of(section: str) -> list[tuple[str, str]]:
    """Each block of code of a section, with the file that the words before it name last."""
    text = (HERE.parent / "CONTRIBUTING.md").read_text()
    (part,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    found = re.findall(
        r"`([\w/]+\.py)`[^`]*?(?:`METHODS`:|`VIEWS`:)?\s*```python\n(.*?)```", part, re.S
    )
    return list(found)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package and of what tries methods and views."""
    unwanted = shutil.ignore_patterns("__pycache__")
    package = Path(stockpot.__file__).parent
    shutil.copytree(package, tmp_path / "src" / "stockpot", ignore=unwanted)
    for name in ("contract", "reference", "views"):
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


def test_a_new_view_is_one_file_and_two_lines(house: Path) -> None:
    (view, code), (listing, line), (suite, case) = blocks_of("A new view")
    (house / view).write_text(code)
    text = (house / listing).read_text()
    text = text.replace("from .kinds.sliced", f"{line}from .kinds.sliced", 1)
    (house / listing).write_text(text.replace("    Sliced,\n", "    Scaled,\n    Sliced,\n", 1))
    laws = (house / suite).read_text()
    laws = laws.replace(
        "\ndef tensors(",
        f"\nfrom stockpot.views.kinds.scaled import scaled\n{case}\n\ndef tensors(",
    )
    (house / suite).write_text(laws)

    suites = (suite, view, "--doctest-modules")
    told = run(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suites, "-k", "scaled")
    (passed,) = re.findall(r"(\d+) passed", told)
    assert int(passed) >= 7
    for k in (1, 3):
        save_file({"w": torch.full((4,), float(k))}, house / f"{k}.safetensors")
    recipe = "models: [1.safetensors, {path: 3.safetensors, view: {name: scaled, factor: 0.5}}]"
    (house / "r.yml").write_text(f"method: average\n{recipe}\n")
    run(house, "-m", "stockpot", "run", "r.yml", "--out", "out.safetensors")
    assert load_file(house / "out.safetensors")["w"].tolist() == [1.25] * 4
    told = run(house, "-m", "stockpot", "verify", "out.safetensors", "--recompute")
    assert "the repeated merge gives the same bytes" in " ".join(told.split())
