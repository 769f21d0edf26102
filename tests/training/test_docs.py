"""The examples of docs/training.md run."""

import re
import warnings
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"# needs (\w+)(?: and (\w+))?")


def case(code):
    needs = NEEDS.match(code)
    title = next(line for line in code.splitlines() if "stockpot.training import" in line)
    return pytest.param(code, id=title[-30:], marks=[pytest.mark.full] if needs else [])


@pytest.mark.parametrize("code", [case(one) for one in BLOCKS])
def test_an_example_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if needs := NEEDS.match(code):
        for module in filter(None, needs.groups()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pytest.importorskip(module, reason=f"{module} is not installed")
    with warnings.catch_warnings():
        if needs:
            warnings.simplefilter("ignore")
        exec(compile(code, "docs/training.md", "exec"), {"__name__": "example"})


def test_every_way_is_shown():
    assert len(BLOCKS) == 6
