"""What docs/own-methods.md says is carried out."""

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch
from matplotlib import pyplot
from safetensors.torch import load_file, save_file

from stockpot.cli.app import execute
from stockpot.methods import own

matplotlib.use("agg")
PAGE = Path(__file__).parents[2] / "docs" / "own-methods.md"


def blocks(language: str) -> list[tuple[str, str]]:
    """The blocks of a language, each with the file as which it is to be saved, or ''."""
    found = re.findall(rf"([^\n]*)\n\n```{language}\n(.*?)```", PAGE.read_text(), re.S)
    names = (re.search(r"(?:[Ss]ave as|In its) `([\w.]+)`", before) for before, _ in found)
    return [(n[1] if n else "", code) for n, (_, code) in zip(names, found, strict=True)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with two models, and the files of the page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for k, name in enumerate("ab"):
        rows = {"layer.weight": torch.arange(6.0).reshape(2, 3) * (k + 1)}
        save_file(rows | {"layer.bias": torch.ones(3) * k}, f"{name}.safetensors")
    for language in ("python", "yaml", "toml"):
        for name, code in blocks(language):
            if name:
                (tmp_path / name).write_text(code)
    before = set(sys.modules)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == tmp_path:
            del sys.modules[name]
    own.declared.cache_clear()


def test_the_commands_run_and_the_laws_are_kept(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [
        line.removeprefix("$ ") for _, code in blocks("console") for line in code.splitlines()
    ]
    assert len(commands) == 6
    for command in commands:
        assert execute(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    told = " ".join(capsys.readouterr().out.split())  # sentences are as wide as the terminal
    assert "0 is the midrange, 1 is the average" in told
    assert told.count("the repeated merge gives the same bytes") == 2
    assert torch.equal(load_file("merged.safetensors")["layer.bias"], torch.ones(3) / 2)

    merging, comparing = [code for name, code in blocks("python") if not name]
    found: dict[str, Any] = {}
    exec(merging, found)
    assert found["merged"]["layer.bias"].tolist() == [0.5] * 3
    exec(comparing, found)
    assert {"mine:midrange", "uniform-soup"} <= set(found["table"]["method"])
    assert "balanced" in set(found["table"]["metric"])
    assert found["axes"] is not None
    pyplot.close("all")
    exec((here / "test_midrange.py").read_text(), found)
    found["test_midrange_is_a_merge_method"]()
    assert (
        execute(["merge", "streamed:largest", "a.safetensors", "b.safetensors", "--out", "l"]) == 0
    )


def test_a_package_declares_its_methods(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declared = tomllib.loads((here / "pyproject.toml").read_text())["project"]["entry-points"]
    (points,) = [f"{name} = {place}" for name, place in declared[own.GROUP].items()]
    info = here / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    broken = "lost = nowhere_at_all:Lost\nties = midrange:Midrange\n"
    (info / "entry_points.txt").write_text(f"[{own.GROUP}]\n{points}\n{broken}")
    own.declared.cache_clear()
    assert execute(["methods"]) == 0
    out, err = capsys.readouterr()
    (line,) = [line for line in out.splitlines() if line.startswith("acme-midrange")]
    assert line.endswith("acme 1.2")
    assert "'lost' of acme 1.2 is broken: nowhere_at_all:Lost: there is no module" in err
    assert "'ties' is stockpot's own Ties, and midrange:Midrange of acme 1.2 too" in err
    models = ["a.safetensors", "b.safetensors", "--out", "out.safetensors"]
    assert execute(["merge", "acme-midrange", *models, "--t", "1"]) == 0
    assert execute(["verify", "out.safetensors", "--recompute"]) == 0
    assert '"method": "midrange:Midrange"' in Path("out.safetensors.merge.json").read_text()
    assert execute(["merge", "lost", *models]) == 2
    assert "'lost' of acme 1.2 is broken" in capsys.readouterr().err
