"""`stockpot federate`: what it says and writes, and its mistakes by their exit code."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

SMALL = """
network: {name: mlp, width: 4}
data: digits
split: {selection: 0.2, test: 0.4}
federated: {clients: 3, rounds: 2, alpha: [0.5, 10], seeds: 2, runs: [fedavg, wsa]}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with f.yml."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "f.yml"
    path.write_text(SMALL)
    return path


def test_it_says_who_ends_where_and_writes_every_number(file: Path, cli: Run) -> None:
    done = cli("federate", "f.yml", "--out", "run")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "Federated: mlp on digits, 3 clients"
    assert len([line for line in done.out.splitlines() if " wsa " in line]) == 2
    rows = list(csv.DictReader(Path("run/results.csv").read_text().splitlines()))
    everyone = [row for row in rows if row["client"] == "-1"]
    assert len(everyone) == 2 * 2 * 3 * (2 + 1)
    last = json.loads(Path("run/results.json").read_text())
    assert len(last["traces"]) == 8
    assert {len(one["rounds"]) for one in last["traces"]} == {3}
    assert all(one["rounds"][1]["scopes"] for one in last["traces"])
    page = Path("run/report.html").read_text()
    for figure in ("rounds", "spread", "traffic", "scopes"):
        assert f'id="figure-{figure}"' in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    again = cli("federate", "f.yml", "--out", "run", "--json").json
    assert again["final"] == last["final"]
    assert Path("run/report.html").read_text() == page


@pytest.mark.parametrize(
    ("tokens", "code", "words"),
    [
        (["f.yml"], 2, "--out"),
        (["f.yml", "--out", "run", "--engine", "ray"], 2, "ray"),
        (["x.yml", "--out", "run"], 1, "cannot read x.yml"),
    ],
)
def test_mistakes_have_their_exit_code(
    tokens: list[str], code: int, words: str, file: Path, cli: Run
) -> None:
    done = cli("federate", *tokens)
    assert done.code == code
    assert words in done.err
    assert not Path("run").exists()


def test_a_wrong_file_is_told_apart_by_its_keys(file: Path, cli: Run) -> None:
    assert (
        "f.yml: this is a federated experiment, with network"
        in cli("train", "f.yml", "--out", "run").err
    )
    file.write_text("network: mlp\ndata: digits\n")
    done = cli("federate", "f.yml", "--out", "run")
    assert done.code == 1
    assert "f.yml: federated is required." in done.err
