"""`stockpot search`: from files to files, and what is refused."""

import csv

import pytest
import torch

from stockpot.networks import build, save_weights
from stockpot.training.jobs import search as searched

EXPERIMENT = """
network: {name: mlp, width: 8}
data: digits
split: {selection: 0.2, test: 0.5}
"""
RECIPE = """
method: interpolate
models: [0.safetensors, 1.safetensors]
search: {t: [0.0, 1.0]}
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        network = build("mlp", width=8, seed=seed, num_classes=10, in_channels=1, image_size=8)
        save_weights(network, tmp_path / f"{seed}.safetensors", {})
    (tmp_path / "e.yml").write_text(EXPERIMENT)
    (tmp_path / "r.yml").write_text(RECIPE)
    return tmp_path


def test_from_end_to_end(cli, files):
    done = cli("search", "r.yml", "e.yml", "--out", "s", "--trials", "5")
    assert done.code == 0, done.err
    for word in ("searched", "uniform-soup", "the selection split prefers", "best.yml"):
        assert word in done.out
    with (files / "s" / "trials.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert {"origin", "score", "t"} <= set(rows[0])
    page = (files / "s" / "report.html").read_text()
    assert "The score over trials" in page
    assert "The score against each field" in page
    done = cli("run", "s/best.yml", "--out", "again.safetensors")
    assert done.code == 0, done.err
    assert (files / "again.safetensors").read_bytes() == (
        files / "s" / "merged.safetensors"
    ).read_bytes()
    done = cli("verify", "s/merged.safetensors", "--recompute")
    assert done.code == 0, done.err


def test_interrupted_it_keeps_what_was_tried(cli, files, monkeypatch):
    score, asked = searched.Candidates.score, []

    def stopping(self, candidate):
        asked.append(candidate)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return score(self, candidate)

    monkeypatch.setattr(searched.Candidates, "score", stopping)
    done = cli("search", "r.yml", "e.yml", "--out", "s", "--trials", "5")
    assert done.code == 130
    assert "--resume goes on from there" in done.err
    assert not (files / "s" / "best.yml").exists()
    done = cli("search", "r.yml", "e.yml", "--out", "s", "--trials", "5", "--resume", "--json")
    assert done.code == 0, done.err
    assert len(asked) == 6
    assert len(done.json["attempts"]) == 5
    assert done.json["recipe"]["searched"]["trials"] == 5


@pytest.mark.parametrize(
    ("tokens", "code", "words"),
    [
        (["--trials", "0"], 2, "trials must be a whole number in [1, 100000]; got 0"),
        (["--resume", "--overwrite"], 2, "give one"),
        (["--sampler", "best"], 2, "sampler"),
        (["--memory", "1B"], 2, "at least 1MiB"),
        (["--sampler", "cma-es"], 1, "cma-es needs two or more ranges"),
    ],
)
def test_what_is_refused(tokens, code, words, cli, files):
    done = cli("search", "r.yml", "e.yml", "--out", "s", *tokens)
    assert done.code == code
    assert words in done.err
    assert not (files / "s").exists()


def test_models_that_are_not_of_the_network(cli, files):
    network = build("mlp", width=9, seed=0, num_classes=10, in_channels=1, image_size=8)
    for seed in range(2):
        save_weights(network, files / f"{seed}.safetensors", {})
    done = cli("search", "r.yml", "e.yml", "--out", "s")
    assert done.code == 1
    assert "does not fit this" in done.err
    assert not (files / "s").exists()
    save_weights(torch.nn.Linear(2, 2), files / "1.safetensors", {})
    assert cli("search", "r.yml", "e.yml", "--out", "s").code == 1
