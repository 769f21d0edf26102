"""Every mistake of issue 2: what it says, the exit code, and that nothing is left at PATH."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

Run = Callable[..., Any]
A, B, BASE = "a.safetensors", "b.safetensors", "base.safetensors"


def html(here: Path) -> None:
    (here / "x.safetensors").write_text("<!DOCTYPE html><html>Log in</html>" * 40)


def truncated(here: Path) -> None:
    (here / "x.safetensors").write_bytes((here / A).read_bytes()[:-100])


def shapes(here: Path) -> None:
    save_file(load_file(A) | {"head.weight": torch.ones(5, 8)}, "x.safetensors")


def fewer(here: Path) -> None:
    tensors = load_file(A)
    del tensors["head.weight"]
    save_file(tensors | {"extra": torch.ones(2)}, "x.safetensors")


def empty(here: Path) -> None:
    (here / "x.safetensors").write_bytes(b"")


def weightless(here: Path) -> None:
    (here / "x").mkdir()
    (here / "x" / "config.json").write_text("{}")


def not_finite(here: Path) -> None:
    tensors = load_file(A)
    tensors["head.weight"][1, 1] = torch.nan
    save_file(tensors, "x.safetensors")


def nothing(here: Path) -> None:
    pass


READING: list[tuple[Callable[[Path], None], list[str], list[str]]] = [
    (nothing, ["average", A, "x.safetensors"], ["x.safetensors does not exist"]),
    (nothing, ["average", A, "a.safetensor"], ["does not exist", "Did you mean", A]),
    (weightless, ["average", A, "x"], ["x has no weights in it", "config.json"]),
    (html, ["average", A, "x.safetensors"], ["x.safetensors is a web page"]),
    (truncated, ["average", A, "x.safetensors"], ["x.safetensors is truncated"]),
    (empty, ["average", A, "x.safetensors"], ["x.safetensors is empty"]),
    (shapes, ["average", A, "x.safetensors"], ["'head.weight'", "(5, 8)", "(4, 8)", A]),
    (fewer, ["average", A, "x.safetensors"], ["'head.weight'", "'extra'", "missing", "--copy"]),
    (not_finite, ["average", A, "x.safetensors"], ["'head.weight' in x.safetensors", "NaN"]),
    (nothing, ["average", A, B, "--only", "nix*"], ["only", "nix*"]),
    (nothing, ["average", A, B, "--copy", "nix*=0"], ["nix*"]),
]


@pytest.mark.parametrize(("spoil", "tokens", "words"), READING)
@pytest.mark.parametrize("out", ["out", "out.safetensors"])
def test_what_reading_shows_ends_with_1(
    spoil: Callable[[Path], None],
    tokens: list[str],
    words: list[str],
    out: str,
    here: Path,
    cli: Run,
) -> None:
    spoil(here)
    done = cli("merge", *tokens, "--out", out)
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("stockpot: ")
    assert [word for word in words if word not in done.err] == []
    assert not (here / out).exists()
    as_json = cli("merge", *tokens, "--out", out, "--overwrite", "--json")
    assert as_json.code == 1
    assert [word for word in words if word not in as_json.json["error"]] == []


USAGE: list[tuple[list[str], list[str]]] = [
    (["ties", A, B, "--base", BASE, "--density", "0"], ["density", "(0, 1]", "got 0"]),
    (["ties", A, B, "--base", BASE, "--density", "1.5"], ["density", "(0, 1]", "got 1.5"]),
    (["ties", A, B, "--base", BASE, "--density", "nan"], ["density", "(0, 1]", "nan"]),
    (["ties", A, B, "--base", BASE, "--density", "much"], ["density", "much", "number"]),
    (["ties", A, B, "--base", BASE, "--densty", "0.2"], ["--densty", "did you mean", "--density"]),
    (["ties", A, B, "--base", BASE, "--trim", "all"], ["trim", "all", "model", "tensor"]),
    (["ties", A, B], ["ties needs a base model", "--base"]),
    (["weave", A, B, "--base", BASE, "--method", "tis"], ["method", "'tis'", "'ties'"]),
    (["weave", A, B, "--base", BASE, "--method", "{name: tie"], ["--method:1:", "flow mapping"]),
    (["weave", A, B, "--base", BASE, "--grid", "scale"], ["grid", "mapping", "scale"]),
    (["weave", A, B, "--base", BASE, "--grid", "{scal: [1]}"], ["grid", "did you mean 'scale'"]),
    (["weave", A, B, "--base", BASE, "--pool", "meen"], ["pool", "'meen'", "'mean'"]),
    (["weave", A, B], ["weave needs a base model", "--base"]),
    (["averge", A, B], ["no method 'averge'", "did you mean 'average'"]),
    (["average", A, B, "--weights", "1,-1"], ["weights sum to zero"]),
    (["average", A, B, "--weights", "0,0"], ["weights sum to zero"]),
    (["average", A, B, "--weights", "1,2,3"], ["3", "2 models"]),
    (["average", A, B, "--weights", "1"], ["1", "2 models"]),
    (["average", A, B, "--weights", "nan,1"], ["weight", "nan"]),
    (["average", A, B, "--weights", "inf,1"], ["weight", "inf"]),
    (["average", A, B, "--weights", "one,two"], ["weights", "one,two", "number"]),
    (["slerp", A], ["slerp takes exactly 2 models, got 1", "--base"]),
    (["interpolate", A, B, A], ["interpolate takes exactly 2 models, got 3"]),
    (["median", A, B, "--weights", "1,2"], ["median takes no weights"]),
    (["average"], ["no model"]),
    (["average", A, B, "--frobnicate"], ["--frobnicate"]),
    (["average", A, B, "--memory", "lots"], ["lots", "512MiB"]),
    (["average", A, B, "--memory", "3"], ["memory", "1MiB"]),
    (["average", A, B, "--workers", "0"], ["workers", "at least 1"]),
    (["average", A, B, "--shard-size", "huge"], ["huge", "5GB"]),
    (["average", A, B, "--seed", "-1"], ["seed", "-1"]),
    (["average", A, B, "--dtype", "int8"], ["int8", "bfloat16"]),
    (["average", A, B, "--digest", "md5"], ["md5", "blake3"]),
    (["average", A, B, "--missing", "ignore"], ["ignore", "present"]),
    (["average", A, B, "--missing", "base"], ["missing", "base"]),
    (["average", A, B, "--copy", "head.*"], ["--copy", "PATTERN=MODEL", "head.*"]),
    (["average", A, B, "--copy", "head.*=base"], ["base"]),
    (["average", A, B, "--copy", "head.*=5"], ["5", "0 to 1"]),
    (["average", A, B, "--out", "x.pt"], ["x.pt", "safetensors"]),
    (["average", A, B, "--out", "d.safetensors"], ["directory"]),
    (["average", A, B, "--out", "a.txt"], ["a.txt is a file"]),
    (["average", A, B, "--out", "."], ["cannot be an output"]),
    (["average", A, B, "--out", "x" * 300], ["too long"]),
]  # fmt: skip


@pytest.mark.parametrize(("tokens", "words"), USAGE, ids=lambda v: " ".join(v)[:60])
def test_what_the_command_line_alone_shows_ends_with_2(
    tokens: list[str], words: list[str], here: Path, cli: Run
) -> None:
    (here / "d.safetensors").mkdir()
    (here / "a.txt").write_text("mine")
    before = sorted(here.rglob("*"))
    tokens = ["merge", *tokens] + ([] if "--out" in tokens else ["--out", "out"])
    done = cli(*tokens)
    assert done.code == 2, done.err
    assert done.out == ""
    assert done.err.startswith("stockpot: ")
    assert len(done.err.splitlines()) == 1
    assert [word for word in words if word.lower() not in done.err.lower()] == []
    as_json = cli(*tokens, "--json")
    assert as_json.code == 2
    assert as_json.json["error"] in done.err
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    "tokens",
    [
        ["ties", "x1", "x2"],
        ["average", "x1", "x2", "--weights", "1,-1"],
        ["slerp", "x1", "--weights", "1"],
        ["ties", "x1", "--base", "x2", "--density", "2"],
    ],
    ids=" ".join,
)
def test_the_command_line_is_judged_before_a_file_is_opened(
    tokens: list[str], here: Path, cli: Run
) -> None:
    assert cli("merge", *tokens, "--out", "out").code == 2


@pytest.mark.parametrize("tokens", [["merge", "average", A], ["nonsense"], ["inspect"], ["--nix"]])
def test_other_wrong_command_lines(tokens: list[str], here: Path, cli: Run) -> None:
    done = cli(*tokens)
    assert done.code == 2
    assert done.err.startswith("stockpot: ")
    assert cli(*tokens, "--json").json["error"]


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch was-here",)


def test_a_pickle_with_code_in_it_is_refused_and_does_not_run(here: Path, cli: Run) -> None:
    torch.save({"w": torch.ones(2), "x": Evil()}, here / "evil.pt")
    for command in (["merge", "average", "evil.pt", A, "--out", "out"], ["inspect", "evil.pt"]):
        done = cli(*command)
        assert done.code == 1
        assert "evil.pt" in done.err
        assert "system" in done.err
    assert not (here / "was-here").exists()
    assert not (here / "out").exists()


def test_one_model_alone_is_that_model(here: Path, cli: Run) -> None:
    assert cli("merge", "average", A, "--out", "out").code == 0
    merged, a = load_file("out/model.safetensors"), load_file(A)
    assert all(torch.equal(merged[name], a[name]) for name in a)


def test_a_base_that_is_ignored_is_told(here: Path, cli: Run) -> None:
    done = cli("merge", "average", A, B, "--base", BASE, "--out", "out")
    assert done.code == 0
    assert "base.safetensors" in done.err
    assert "does not change the result" in done.err


def test_a_sum_that_overshoots_is_told(here: Path, cli: Run) -> None:
    done = cli("merge", "task-arithmetic", A, B, "--base", BASE, "--out", "out")
    assert done.code == 0
    assert "note: " in done.err
    assert "scale" in done.err
    assert cli("merge", "task-arithmetic", A, B, "--base", BASE, "--out", "q", "--quiet").err == ""


@pytest.mark.parametrize(
    ("models", "out", "words"),
    [
        (["d", A], "d/out", "lies inside the input d"),
        (["d", A], "d", "d contains the input|lies inside"),
        ([A, B], A, "a.safetensors is an input"),
        (["d", A], "d/model.safetensors", "input"),
    ],
)
def test_an_output_at_an_input(
    models: list[str], out: str, words: str, here: Path, cli: Run
) -> None:
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    done = cli("merge", "average", *models, "--out", out, "--overwrite")
    assert done.code == 1
    assert any(word in done.err for word in words.split("|"))
    assert {p: p.read_bytes() for p in here.rglob("*") if p.is_file()} == before


def test_an_output_that_exists(here: Path, cli: Run) -> None:
    (here / "out").mkdir()
    (here / "out" / "mine").write_text("x")
    done = cli("merge", "average", A, B, "--out", "out")
    assert done.code == 1
    assert "out exists: pass --overwrite" in done.err
    assert [p.name for p in (here / "out").iterdir()] == ["mine"]


def test_twenty_differences_and_how_many_more(here: Path, cli: Run) -> None:
    for name, size in (("x", 2), ("y", 3)):
        alike = {f"alike{i:02}": torch.ones(1) for i in range(50)}
        unlike = {f"w{i:02}": torch.ones(size) for i in range(50)}
        save_file(alike | unlike, f"{name}.safetensors")
    done = cli("merge", "average", "x.safetensors", "y.safetensors", "--out", "out")
    assert done.code == 1
    assert done.err.count("y.safetensors is (3,)") == 20
    assert "30 more" in done.err


LONG = "z" * 1000


@pytest.mark.parametrize(
    "tokens",
    [
        ["merge", LONG, A, "--out", "o"],
        ["merge", "average", A, "--out", "o", f"--{LONG}"],
        ["merge", "average", A, "--out", "o", "--dtype", LONG],
        ["merge", "average", A, "--out", "o", "--memory", LONG],
        ["merge", "average", A, "--out", "o", "--weights", LONG],
        ["merge", "average", A, "--out", "o", "--seed", LONG],
        ["merge", "average", A, "--out", "o", "--copy", LONG],
        ["merge", "average", A, "--out", LONG],
        ["merge", "ties", A, "--base", BASE, "--out", "o", "--density", LONG],
        ["merge", "ties", A, "--base", BASE, "--out", "o", "--density", "9" * 1000],
        ["merge", "ties", A, "--base", BASE, "--out", "o", "--trim", LONG],
        ["methods", LONG],
        [LONG],
    ],
)
def test_values_that_are_too_long_are_cut(tokens: list[str], here: Path, cli: Run) -> None:
    done = cli(*tokens)
    assert done.code == 2
    assert len(done.err) < 500
    assert LONG[:400] not in done.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("method: averge\nmodels: [a.safetensors]", ["averge", "average"]),
        ("method: average\nmodel: [a.safetensors]", ["model", "models"]),
        ("method: {name: ties, densty: 0.2}\nmodels: [a.safetensors]", ["densty", "density"]),
        ("method: {name: ties, density: 2}\nmodels: [a.safetensors]", ["density", "(0, 1]"]),
        ("method: average\nmodels: []", ["models"]),
        ("- a\n- b", ["mapping"]),
        ("method: [", ["r.yml"]),
        ("method: average\nmethod: median\nmodels: [a.safetensors]", ["method", "twice"]),
        ("a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]", ["r.yml"]),
        ("method: average\nmodels: [a.safetensors, nix.safetensors]", ["nix.safetensors"]),
    ],
)
def test_recipes_that_are_wrong(content: str, words: list[str], here: Path, cli: Run) -> None:
    (here / "r.yml").write_text(content)
    for command in (["run", "r.yml", "--out", "out"], ["explain", "r.yml"]):
        done = cli(*command)
        assert done.code in (1, 2)
        assert [word for word in words if word not in done.err] == []
        assert cli(*command, "--json").json["error"]
    assert not (here / "out").exists()


@pytest.mark.parametrize("recipe", ["nix.yml", "d", A])
def test_a_recipe_that_is_none(recipe: str, here: Path, cli: Run) -> None:
    done = cli("run", recipe, "--out", "out")
    assert done.code == 1
    assert recipe in done.err


def start(here: Path, *tokens: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stockpot", *tokens], cwd=here, capture_output=True, text=True
    )


def test_the_command_itself(here: Path) -> None:
    done = start(here, "merge", "average", A, B, "--out", "out", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["tensors"] == 7
    failed = start(here, "merge", "average", A, "nix", "--out", "out2", "--json")
    assert failed.returncode == 1
    assert list(json.loads(failed.stdout)) == ["error"]
    assert "Traceback" not in failed.stderr


def test_a_reader_that_leaves_a_pipe(here: Path) -> None:
    command = f"{sys.executable} -m stockpot methods ties | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=here, capture_output=True, text=True
    )
    assert done.stdout.strip() == "ties"
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr
