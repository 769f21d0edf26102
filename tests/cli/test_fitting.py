"""Tables and sentences fit the terminal; where a program reads, a row is a line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from stockpot.cli import console
from stockpot.cli.fitting import wrapped

Run = Callable[..., Any]
A, B, BASE = "a.safetensors", "b.safetensors", "base.safetensors"
RECIPE = f"""
method: {{name: ties, density: 0.5}}
base: {BASE}
models: [{A}, {B}]
rules: [{{match: "head.*", method: {{name: task-arithmetic, scale: 0.25}}}}]
"""
COMMANDS = [
    "methods",
    "methods weave",
    f"inspect {A} {B} --tensors",
    "explain r.yml",
    f"merge ties {A} {B} --base {BASE} --dry-run --out o",
    f"diagnose {A} {B} --base {BASE}",
    f"study interference {A} {B} --out s",
    f"study scopes {A} {B} --out s",
]


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("line", COMMANDS)
def test_every_line_fits(
    line: str, width: int, here: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "r.yml").write_text(RECIPE)
    monkeypatch.setenv("COLUMNS", str(width))
    done = cli(*line.split())
    assert done.code == 0, done.err
    code = (">>>", "...", "θ = ")  # examples and formulas of a docstring
    wide = [one for one in done.out.splitlines() if cell_len(one) > width]
    assert [one for one in wide if not one.strip().startswith(code)] == []


def test_a_program_reads_a_row_on_one_line(
    here: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    (here / "r.yml").write_text(RECIPE)
    (row,) = [one for one in cli("explain", "r.yml").out.splitlines() if "layers.1.q.weight" in one]
    assert "reduce='mean'" in row


def test_a_wide_table_goes_on_below_with_its_first_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    columns = ["method", *(f"N = {n}" for n in range(12))]
    console.print_table("", columns, [["soup", *[0.1234] * 12], ["best", *[0.5] * 12]], "N: count.")
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert sum(line.startswith("soup") for line in lines) == 2
    assert sum(line.count("0.1234") for line in lines) == 12
    assert lines[-1] == "N: count."


def test_a_command_is_cut_so_that_it_can_be_copied() -> None:
    line = "   stockpot compare a.safetensors b.safetensors --network 'a b' --data D --out run"
    lines = wrapped(line, 60).split("\n")
    assert [one.endswith(" \\") for one in lines] == [True, False]
    assert "".join(one.removesuffix("\\").strip() + " " for one in lines).strip() == line.strip()


def test_words_of_any_length_stay_whole() -> None:
    path = "/" + "x" * 90
    assert path in wrapped(f"{path}: it is a long path, and stays as it is, to be copied.", 60)
