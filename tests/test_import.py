"""What importing the package costs and gives."""

import ast
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

import stockpot
from stockpot import evaluation, federated, report, studies, training


def test_public_names() -> None:
    public = [name for name in dir(stockpot) if not name.startswith("_")]
    modules = {name for name in public if type(getattr(stockpot, name)).__name__ == "module"}
    assert sorted(set(public) - modules) == stockpot.__all__
    assert len(stockpot.__all__) <= 25
    assert {"merge", "merge_to", "run_recipe", "Recipe", "Options", "StockpotError"} <= set(public)
    for name in ("compare", "diagnose", "inspect", "search", "verify"):
        assert callable(getattr(stockpot, name))
    with pytest.raises(AttributeError, match="no attribute 'merg'"):
        stockpot.merg  # noqa: B018


def seen_in(package: ModuleType) -> dict[str, tuple[str, str]]:
    """What a type checker sees of a package's names: where each is, and its own name there."""
    return {
        name.asname: (f"{'.' * node.level}{node.module}", name.name)
        for node in ast.walk(ast.parse(Path(str(package.__file__)).read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
        for name in node.names
        if name.asname and not name.asname.startswith("_")
    }


@pytest.mark.parametrize("package", [stockpot, evaluation, federated, report, studies, training])
def test_names_of_a_package_are_those_that_a_type_checker_sees(package: ModuleType) -> None:
    seen = seen_in(package)
    assert set(seen) <= set(dir(package))
    for name, (module, own) in seen.items():
        assert getattr(package, name) is getattr(import_module(module, package.__name__), own)
    if package not in (stockpot, studies):  # which have some names at once
        assert set(dir(package)) == set(seen)
    with pytest.raises(AttributeError, match="no attribute 'scope'"):
        package.scope  # noqa: B018


def test_names_of_studies_are_those_that_a_type_checker_sees() -> None:
    assert set(dir(studies)) == {*seen_in(studies), "FAMILY", "STUDIES"}


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


LAB = (
    "data",
    "networks",
    "experiments",
    "evaluation",
    "training",
    "studies",
    "federated",
    "report",
)


@pytest.mark.parametrize(
    ("command", "also"),
    [
        (["methods"], ()),
        (["merge", "average", "x"], ()),
        (["verify", "x"], ()),
        (["--help"], ("studies",)),  # whose fields are flags
        (["report", "x"], ("studies", "report", "evaluation", "federated")),  # of each the results
    ],
)
def test_a_command_imports_nothing_of_the_lab(command: list[str], also: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        "from stockpot.cli import main\n"
        f"try: main({command!r})\n"
        "except SystemExit: pass\n"
        f"lab = tuple(f'stockpot.{{room}}' for room in {LAB!r} if room not in {also!r})\n"
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


@pytest.mark.parametrize("look", [stockpot.inspect, stockpot.diagnose, stockpot.compare])
def test_one_model_is_no_list_of_models(look: Callable[[object], object]) -> None:
    with pytest.raises(stockpot.MergeError, match=r"models must be a list; got a str"):
        look("model.pt")
