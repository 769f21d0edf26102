"""Nothing that a stranger wrote commands the terminal, and Ctrl-C is one line at any time."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stockpot.cli import console
from stockpot.cli.app import execute

ESCAPES = "a\x1b[2J\u202eb[/red]\x9b:heart:"


def test_names_paths_and_labels_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / ESCAPES.replace("/", "-")
    folder.mkdir()
    path = folder / "m.safetensors"
    save_file({ESCAPES: torch.ones(2)}, path)
    assert execute(["inspect", str(path)]) == 0
    assert execute(["inspect", str(path), "--json"]) == 0
    assert execute(["merge", "average", str(path), str(path) + ESCAPES, "--out", "o"]) == 1
    (folder / "r.yml").write_text('method: "x\\e[2J"\nmodels: [a]\n')
    assert execute(["run", str(folder / "r.yml"), "--out", "o"]) == 1
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert not {"\x1b", "\u202e", "\x9b"} & set(text)
    assert "a\\x1b[2J\\u202eb[-red]\\x9b:heart:" in said.out
    json.loads(said.out.splitlines()[-1])


def test_tables_notes_and_errors(capsys: pytest.CaptureFixture) -> None:
    console.print_table(ESCAPES, [ESCAPES], [[ESCAPES], ["x\ny"]])
    console.say(ESCAPES)
    console.note(f"{ESCAPES}\nstockpot: a second line")
    console.complain(ESCAPES, as_json=True)
    console.print_json({"name": ESCAPES})
    said = capsys.readouterr()
    assert not {"\x1b", "\u202e", "\x9b"} & set(said.out + said.err)
    assert "[/red]" in said.out
    assert ":heart:" in said.out
    assert said.err.splitlines()[0].endswith("\\nstockpot: a second line")
    assert json.loads(said.out.splitlines()[-1]) == {"name": ESCAPES}


@pytest.mark.parametrize("module", ["numpy", "torch", "cyclopts"])
def test_ctrl_c_while_it_is_imported(tmp_path: Path, module: str) -> None:
    """A module of that name which interrupts its own import."""
    (tmp_path / f"{module}.py").write_text(
        f"import os, signal\nos.kill(os.getpid(), {int(signal.SIGINT)})\nraise SystemExit(9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "stockpot", "inspect", "nothing.safetensors"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
        timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background
    )
    assert done.returncode == 130
    assert done.stderr == "stockpot: interrupted.\n"
    assert not done.stdout
