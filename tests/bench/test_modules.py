"""Every module of the benchmark imports what is there."""

import importlib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_module_imports() -> None:
    files = [file for file in (ROOT / "bench").rglob("*.py") if file.name != "__main__.py"]
    assert files
    for file in files:
        importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
