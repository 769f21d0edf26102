"""What importing the package costs and gives."""

import subprocess
import sys

import pytest

import stockpot


def test_public_names() -> None:
    public = [name for name in vars(stockpot) if not name.startswith("_")]
    modules = {name for name in public if type(getattr(stockpot, name)).__name__ == "module"}
    assert len(set(public) - modules) <= 25
    assert {"merge", "merge_to", "run_recipe", "StockpotError"} <= set(public)
    assert callable(stockpot.compare)
    with pytest.raises(AttributeError, match="no attribute 'merg'"):
        stockpot.merg  # noqa: B018


def test_import_leaves_the_command_line_and_the_lab_alone() -> None:
    code = (
        "import sys, stockpot\n"
        "heavy = {'rich', 'cyclopts', 'sklearn', 'scipy', 'matplotlib', 'torchmetrics', 'jinja2'}\n"
        "heavy |= {'stockpot.evaluation', 'stockpot.networks', 'stockpot.data'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
