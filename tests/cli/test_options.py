"""Options are called alike in every command, and mean the same."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from safetensors.torch import load_file

import stockpot as sp
from stockpot.cli.app import COMMANDS, program
from stockpot.cli.lists import with_commas
from stockpot.methods import Average

Run = Callable[..., Any]
A, B, BASE = "a.safetensors", "b.safetensors", "base.safetensors"


def every_command() -> Iterator[tuple[str, App]]:
    """Each command that runs, those of merge, statistics and study by two words."""
    app = program()
    for command in COMMANDS:
        one = app[command.name]
        inner = [name for name in one if not name.startswith("-")]
        yield from ((f"{command.name} {name}", one[name]) for name in inner)
        if not inner or one.default_command is not None:
            yield command.name, one


def test_every_command_takes_quiet_and_json(cli: Run) -> None:
    lacking = [
        (name, flag)
        for name, app in every_command()
        for flag in ("--quiet", "--json")
        if flag not in {n for one in app.assemble_argument_collection() for n in one.names}
    ]
    assert lacking == []


@pytest.mark.parametrize(
    "words",
    ["--weights 0.7 -0.3", "--weights 0.7,-0.3", "--weights 0.7, -0.3", "--weights=0.7 -0.3"],
)
def test_a_list_stands_between_commas_or_spaces(words: str, here: Path, cli: Run) -> None:
    expected = sp.merge([load_file(A), load_file(B)], Average(), weights=[0.7, -0.3])
    for tokens in ((A, B, *words.split()), (*words.split(), A, B)):
        done = cli("merge", "average", *tokens, "--out", "m.safetensors", "--overwrite")
        assert done.code == 0, done.err
        merged = load_file("m.safetensors")
        assert all((merged[name] == one).all() for name, one in expected.items())


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        ("--counts 2 3 5 --seed 1", "--counts 2,3,5 --seed 1"),
        ("--counts 2,3 5", "--counts 2,3,5"),
        ("--scale -0.5 x", "--scale -0.5 x"),
        ("--methods ties dare a.safetensors", "--methods ties,dare a.safetensors"),
        ("--methods ties ./dare", "--methods ties ./dare"),
        ("--resume 3", "--resume 3"),
        ("1 2 --weights 1 2", "1 2 --weights 1,2"),
    ],
)
def test_a_list_ends_where_something_else_begins(words: str, joined: str) -> None:
    assert with_commas(words.split()) == joined.split()


def test_a_number_that_is_a_file_is_a_file(here: Path) -> None:
    (here / "2").mkdir()
    assert with_commas(["--weights", "1", "2"]) == ["--weights", "1", "2"]


def test_quiet_leaves_out_notes_and_keeps_results(here: Path, cli: Run) -> None:
    command = ("merge", "average", A, B, "--base", BASE, "--dry-run", "--out", "m")
    loud, quiet = cli(*command), cli(*command, "--quiet")
    assert "note: " in loud.err
    assert quiet.err == ""
    assert quiet.out.splitlines()[:-1] == loud.out.splitlines()[:-1]  # the last has a time in it
