"""`stockpot train`: what it says, and every mistake by its exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

SMALL = """
network: {name: mlp, width: 4}
data: digits
split: {selection: 0.2, test: 0.6}
ingredients: {count: 2, epochs: 1, pretrain: {epochs: 1}}
compare: {seeds: 2}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with e.yml."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "e.yml"
    path.write_text(SMALL)
    return path


def test_train_says_what_it_made_and_how_good_it_is(file: Path, cli: Run) -> None:
    done = cli("train", "e.yml", "--out", "run", "--jobs", 1)
    assert done.code == 0, done.err
    first, second, last = done.out.splitlines()
    assert first.startswith("run/pool-0: 2 ingredients, accuracy on the selection split ")
    assert second.startswith("run/pool-1: 2 ingredients")
    assert last.startswith("run/experiment.json lists them")
    assert Path("run/pool-1/ingredient-01.safetensors").exists()
    assert cli("train", "e.yml", "--out", "run", "--quiet").out.startswith(first)


def test_json_is_one_object_with_every_ingredient(file: Path, cli: Run) -> None:
    facts = cli("train", "e.yml", "--out", "run", "--json").json
    assert [pool["seed"] for pool in facts["pools"]] == [0, 1]
    assert facts["pools"][0]["base"] == "run/pool-0/base.safetensors"
    (one, _) = facts["pools"][0]["ingredients"]
    listing = json.loads(Path("run/experiment.json").read_text())
    assert one["path"] == "run/" + listing["pools"][0]["ingredients"][0]["path"]
    assert one["selection_score"] == listing["pools"][0]["ingredients"][0]["selection_score"]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["train", "e.yml"], "--out"),
        (["train", "--out", "run"], "EXPERIMENT"),
        (["train", "e.yml", "--out", "run", "--jobs", "0"], "--jobs"),
        (["train", "e.yml", "--out", "run", "--device", "tpu"], "tpu"),
        (["train", "e.yml", "--out", "run", "--wrkers", "2"], "--wrkers"),
    ],
)
def test_what_the_command_line_shows_ends_with_2(
    tokens: list[str], words: str, file: Path, cli: Run
) -> None:
    done = cli(*tokens)
    assert done.code == 2
    assert words.lower() in done.err.lower()
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network: cnn", "e.yml: data is required."),
        ("network: cnn\ndata: digits\nsed: 1", "unknown key 'sed': did you mean 'seed'?"),
        ("network: cnn\ndata: [", "e.yml:2:8"),
        (SMALL.replace("epochs: 1,", "epochs: 0,"), "ingredients.epochs must be a whole number"),
        (SMALL.replace("mlp", "mpl"), "mlp"),
    ],
)
def test_what_reading_shows_ends_with_1(text: str, words: str, file: Path, cli: Run) -> None:
    file.write_text(text)
    done = cli("train", "e.yml", "--out", "run")
    assert done.code == 1
    assert words in done.err
    assert done.err.count("\n") == 1
    assert not Path("run").exists()
    failed = cli("train", "e.yml", "--out", "run", "--json")
    assert failed.code == 1
    assert words in failed.json["error"]


def test_a_missing_file_and_a_changed_experiment_end_with_1(file: Path, cli: Run) -> None:
    assert "cannot read x.yml" in cli("train", "x.yml", "--out", "run").err
    assert cli("train", "e.yml", "--out", "run", "--quiet").code == 0
    file.write_text(SMALL + "seed: 7\n")
    changed = cli("train", "e.yml", "--out", "run")
    assert changed.code == 1
    assert "run holds another experiment: seed was 0 and is 7" in changed.err


def test_an_interrupt_says_that_the_same_command_goes_on(
    file: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stockpot.training.jobs.pools.train_experiment", interrupted)
    done = cli("train", "e.yml", "--out", "run")
    assert done.code == 130
    assert "the same command goes on from there" in done.err
