"""What importing the package costs and gives."""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

import stockpot
from stockpot import studies


def test_public_names() -> None:
    public = [name for name in dir(stockpot) if not name.startswith("_")]
    modules = {name for name in public if type(getattr(stockpot, name)).__name__ == "module"}
    assert len(set(public) - modules) <= 25
    assert {"merge", "merge_to", "run_recipe", "Recipe", "Options", "StockpotError"} <= set(public)
    for name in ("compare", "diagnose", "inspect", "search", "verify"):
        assert callable(getattr(stockpot, name))
    with pytest.raises(AttributeError, match="no attribute 'merg'"):
        stockpot.merg  # noqa: B018


def seen_in(package: ModuleType) -> dict[str, tuple[str | None, str]]:
    """What a type checker sees of a package's names: where each is, and its own name there."""
    return {
        name.asname: (node.module, name.name)
        for node in ast.walk(ast.parse(Path(str(package.__file__)).read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
        for name in node.names
        if name.asname
    }


def test_public_names_are_those_that_a_type_checker_sees() -> None:
    seen = seen_in(stockpot)
    assert set(stockpot._WHERE) <= set(seen)
    for name, (module, own) in seen.items():
        there = import_module(f"stockpot.{module}")
        assert getattr(stockpot, name) is getattr(there, own)


def test_names_of_studies_are_those_that_a_type_checker_sees() -> None:
    seen = seen_in(studies)
    assert set(dir(studies)) == {*seen, "FAMILY", "STUDIES"}
    for name, (module, own) in seen.items():
        there = import_module(f"stockpot.studies.{module}")
        assert getattr(studies, name) is getattr(there, own)
    with pytest.raises(AttributeError, match="no attribute 'scope'"):
        studies.scope  # noqa: B018


def test_import_leaves_the_command_line_and_the_lab_alone() -> None:
    code = (
        "import sys, stockpot\n"
        "from stockpot.studies import statistics_of\n"
        "heavy = {'rich', 'cyclopts', 'sklearn', 'scipy', 'matplotlib', 'torchmetrics', 'jinja2'}\n"
        "heavy |= {'stockpot.evaluation', 'stockpot.networks', 'stockpot.data'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["--version"], version("stockpot")),
        (["--help"], "diagnose"),
        (["methods"], "trimmed-mean"),
        (["methods", "ties"], "density"),
    ],
)
def test_what_there_is_is_told_without_torch(command: list[str], told: str) -> None:
    code = (
        "import sys\n"
        "from stockpot.cli import main\n"
        f"try: main({command!r})\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told in done.stdout
    assert done.stdout.splitlines()[-1] == "0 False"


@pytest.mark.parametrize("command", [["methods"], ["merge", "average", "x"], ["verify", "x"]])
def test_a_command_imports_nothing_of_the_lab(command: list[str]) -> None:
    code = (
        "import sys\n"
        "from stockpot.cli import main\n"
        f"try: main({command!r})\n"
        "except SystemExit: pass\n"
        "rooms = ('evaluation', 'networks', 'data', 'training', 'studies', 'federated', 'report')\n"
        "lab = tuple(f'stockpot.{room}' for room in rooms)\n"
        "print([name for name in sys.modules if name.startswith(lab)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_of_the_program_tells_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    from stockpot.cli.app import COMMANDS, execute, program

    assert execute(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f" {command.name} " in shown
        own = program(command.name)[command.name].help.split("\n\n")[0]  # of the command itself
        assert " ".join(own.split()).startswith(command.summary), command.name
