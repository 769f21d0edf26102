"""`stockpot compare`: an experiment from end to end, and checkpoints that exist already."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from stockpot.data import load, split
from stockpot.networks import build, save_weights

EXPERIMENT = """
network: {name: mlp, width: 8}
data: digits
split: {selection: 0.2, test: 0.5}
ingredients: {count: 3, share: pretrained, pretrain: {epochs: 1}, epochs: 1, vary: {seed: true}}
compare:
  counts: [2, 3]
  subsets: 2
  seeds: 2
  methods: [single-mean, single-best, uniform-soup, logits-ensemble, distilled, ties]
"""


def test_an_experiment_from_end_to_end_and_again(cli, tmp_path):
    file, run = tmp_path / "e.yml", tmp_path / "run"
    file.write_text(EXPERIMENT)
    done = cli("compare", file, "--out", run, "--jobs", "1")
    assert done.code == 0, done.err
    assert "uniform-soup" in done.out
    files = {path.name for path in run.iterdir()}
    assert {"report.html", "results.csv", "results.json", "experiment.json"} <= files
    with (run / "results.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    wanted = {"n", "subset", "seed", "method", "split", "metric", "value", "low", "high"}
    assert wanted | {"forwards"} <= set(rows[0])
    assert {row["split"] for row in rows} == {"selection", "test"}
    assert {"distilled", "ties", "logits-ensemble"} <= {row["method"] for row in rows}
    costs = {row["method"]: row["forwards"] for row in rows if row["n"] == "3"}
    assert (costs["logits-ensemble"], costs["uniform-soup"]) == ("3", "1")

    trained = {path: path.stat().st_mtime_ns for path in run.rglob("ingredient-*.safetensors")}
    assert len(trained) == 6
    again = cli("compare", file, "--out", run, "--json")
    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert len(again.json["rows"]) == len(rows)
    assert again.json["verdict"]["choice"]


def test_checkpoints_are_judged_on_the_split_that_they_record(cli, tmp_path, monkeypatch):
    """Or on the samples of a file; a fresh split may hold what trained them, and says so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.yml").write_text(
        "{network: {name: mlp, width: 4}, data: digits, split: {test: 0.3, seed: 5}, "
        "ingredients: {count: 2, share: init, epochs: 1}}"
    )
    assert cli("train", "e.yml", "--out", "run", "--quiet").code == 0
    paths = [f"run/pool-0/ingredient-0{k}.safetensors" for k in range(2)]
    flags = ["--network", "{name: mlp, width: 4}", "--data", "digits"]
    flags += ["--methods", "uniform-soup", "--json", "--out"]

    def compared(name, *given):
        done = cli("compare", *given[:2], *flags, name, *given[2:])
        assert done.code == 0, done.err
        page = (tmp_path / name / "report.html").read_text()
        origin = done.json["origin"]
        assert origin[:40] in page
        return origin, dict(map(tuple, done.json["facts"]))["samples"]

    own = split(load("digits"), test=0.3, seed=5)
    sizes = f"{len(own.train):,} train, {len(own.selection):,} selection, {len(own.test):,} test"
    origin, samples = compared("own", *paths)
    assert f"none of the {len(own.test)} test samples has trained any of them" in origin
    assert samples == sizes
    for path in paths:
        shutil.copy(path, path.rpartition("/")[2])
        save_file(load_file(path), path)  # as another program would: no word of its making
    origin, samples = compared("fresh", *paths)
    assert "were cut afresh from digits (seed 0), and the checkpoints record no split" in origin
    assert "--test-split FILE" in origin
    assert samples != sizes
    for file in ("ingredient-00.safetensors", "run/experiment.json"):
        origin, samples = compared(f"of-{Path(file).suffix}", *paths, "--test-split", file)
        assert origin == f"The split is the one that {file} records."
        assert samples == sizes
    (tmp_path / "t.txt").write_text("0, 5\n7 9")
    origin, samples = compared("listed", *paths, "--test-split", "t.txt")
    assert "The 4 test samples are those that t.txt names. The selection split is cut" in origin
    assert samples.endswith(" 4 test")
    (tmp_path / "t.json").write_text('{"test": [0, 5, 7], "selection": [1, 2]}')
    origin, samples = compared("both", *paths, "--test-split", "t.json")
    assert (origin[-26:], samples) == (
        "so is the selection split.",
        "1,792 train, 2 selection, 3 test",
    )
    shown = cli("compare", *paths, *flags[:-2], "--out", "shown")
    assert "were cut afresh from digits" in " ".join(shown.out.split())


TASKS = """
network: {name: mlp, width: 8}
tasks:
  - {name: plain, data: digits, limit: 200, judge_limit: 200}
  - {name: dark, data: digits, invert: true, limit: 200, judge_limit: 200}
ingredients: {pretrain: {epochs: 1}, epochs: 1}
compare: {methods: [uniform-soup, logits-ensemble, {name: adamerging, steps: 2}]}
"""


def test_tasks_from_end_to_end(cli, tmp_path):
    file, run = tmp_path / "t.yml", tmp_path / "run"
    file.write_text(TASKS)
    trained = cli("train", file, "--out", run, "--jobs", "1")
    assert trained.code == 0, trained.err
    done = cli("compare", file, "--out", run, "--jobs", "1")
    assert done.code == 0, done.err
    for word in ("normalised", "plain", "dark", "joint", "individual", "the selection split"):
        assert word in done.out
    said = "adapted on unlabelled test inputs"
    assert f"adamerging: {said}." in done.out
    assert said in (run / "report.html").read_text()
    assert said in (run / "results.json").read_text()
    with (run / "results.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert {row["data"] for row in rows} == {"all-tasks", "plain", "dark"}
    assert "normalised accuracy" in {row["metric"] for row in rows}
    kinds = {row["kind"] for row in rows if row["method"] == "adamerging"}
    assert kinds == {"test-time-adaptation"}


def test_checkpoints_that_exist(cli, tmp_path):
    shape = {"num_classes": 10, "in_channels": 1, "image_size": 8}
    paths = [tmp_path / f"{seed}.safetensors" for seed in range(2)]
    for seed, path in enumerate(paths):
        save_weights(build("mlp", width=8, seed=seed, **shape), path, {})
    done = cli(
        "compare", *paths, "--network", "{name: mlp, width: 8}", "--data", "digits",
        "--out", tmp_path / "run", "--counts", "2",
        "--methods", "single-best,uniform-soup", "--views", "noise-5,blur", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert {row["part"] for row in done.json["rows"]} == {"all", "noise-5", "blur-3"}
    assert {row["method"] for row in done.json["rows"]} == {
        *("single-mean", "single-best", "logits-ensemble"),
        "uniform-soup",
    }


def test_an_experiment_under_shift(cli, tmp_path):
    file, run = tmp_path / "e.yml", tmp_path / "run"
    views = "  views: [{corruption: noise, severity: [1, 5]}, {corruption: blur}]\n"
    file.write_text(EXPERIMENT.replace("distilled, ties", "greedy-soup") + views)
    done = cli("compare", file, "--out", run, "--jobs", "1")
    assert done.code == 0, done.err
    assert all(name in done.out for name in ("noise-1", "noise-5", "blur-3"))
    with (run / "results.csv").open() as opened:
        parts = {(row["split"], row["part"]) for row in csv.DictReader(opened)}
    assert parts == {
        ("selection", "all"),
        *(("test", part) for part in ("all", "noise-1", "noise-5", "blur-3")),
    }
    results = json.loads((run / "results.json").read_text())
    assert {one["part"] for one in results["differences"]} == {
        "all",
        "noise-1",
        "noise-5",
        "blur-3",
    }
    page = (run / "report.html").read_text()
    assert 'id="figure-parts"' in page
    assert 'id="figure-part-gaps"' in page


def test_a_view_that_cannot_be_is_refused_before_training(cli, tmp_path):
    file, run = tmp_path / "e.yml", tmp_path / "run"
    file.write_text(EXPERIMENT + "  views: [{domain: twitter}]\n")
    done = cli("compare", file, "--out", run)
    assert done.code == 1
    assert "views: 'digits' has the domains: none; got 'twitter'" in done.err
    assert not run.exists()


OWN_METRIC = """
def right(labels, predictions):
    return (predictions.argmax(1) == labels).float().mean()

def distance(network, data):
    return (network(data.batch(slice(None))).argmax(1) - data.labels).abs().float().mean()

distance.larger_is_better = False
"""


@pytest.fixture
def own_metric(tmp_path, monkeypatch):
    """A module of the user's in the current directory."""
    (tmp_path / "own_metric.py").write_text(OWN_METRIC)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("own_metric", None)


@pytest.mark.parametrize("name", ["right", "distance"])
def test_a_users_own_metric_by_its_place(name, cli, tmp_path, own_metric):
    file = tmp_path / "e.yml"
    file.write_text(f"{EXPERIMENT}  metric: own_metric:{name}\n".replace("seeds: 2", "seeds: 1"))
    done = cli("compare", file, "--out", tmp_path / "run", "--jobs", "1", "--json")
    assert done.code == 0, done.err
    rows = {
        (row["method"], row["metric"]): row["value"]
        for row in done.json["rows"]
        if (row["split"], row["n"]) == ("test", 3)
    }
    assert ("uniform-soup", name) in rows
    if name == "right":
        assert rows["uniform-soup", name] == pytest.approx(rows["uniform-soup", "accuracy"])
    else:
        assert ("logits-ensemble", name) not in rows  # an ensemble is no network
    models = sorted((tmp_path / "run").rglob("ingredient-*.safetensors"))
    again = cli(
        "compare", *models, "--network", "{name: mlp, width: 8}", "--data", "digits",
        "--out", tmp_path / "given", "--counts", "3", "--methods", "single-best,uniform-soup",
        "--metric", f"own_metric:{name}", "--json",
    )  # fmt: skip
    assert again.code == 0, again.err
    assert name in {row["metric"] for row in again.json["rows"]}


@pytest.mark.parametrize(
    ("name", "words"),
    [("own_metric:rihgt", "did you mean 'right'?"), ("f1", "No metric 'f1'")],
)
def test_a_metric_that_is_not_there_is_said_before_any_training(
    name, words, cli, tmp_path, own_metric
):
    file = tmp_path / "e.yml"
    file.write_text(f"{EXPERIMENT}  metric: {name}\n")
    done = cli("compare", file, "--out", tmp_path / "run", "--jobs", "1")
    assert done.code == 1
    assert words in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["a.safetensors", "--network", "cnn"], "give both, and two or more models"),
        (["a", "b"], "give one experiment"),
        ([], "give one experiment"),
        (["e.yml", "--counts", "2", "--seed", "1"], "--counts, --seed: e.yml says that itself"),
        (
            ["a", "b", "--network", "cnn", "--data", "digits", "--jobs", "2"],
            "--jobs: models that exist are not trained",
        ),
        (["e.yml", "--views", "noise"], "--views: e.yml says that itself"),
        (
            ["a", "b", "--network", "cnn", "--data", "digits", "--views", "noise-9"],
            "views: 'noise-9' is neither domain=NAME nor a corruption",
        ),
        (["a", "b", "--network", "{cnn", "--data", "digits"], "--network"),
        (
            ["a", "b", "--network", "cnn", "--data", "digits", "--counts", "x"],
            "is no whole number, and no whole numbers between commas",
        ),
    ],
)
def test_what_the_command_line_shows_to_be_wrong(tokens, words, cli, tmp_path):
    done = cli("compare", *tokens, "--out", tmp_path / "run")
    assert done.code == 2
    assert words in done.err
    assert not (tmp_path / "run").exists()


def test_a_missing_experiment_and_a_missing_model(cli, tmp_path):
    done = cli("compare", tmp_path / "no.yml", "--out", tmp_path / "run")
    assert done.code == 1
    assert "no.yml" in done.err
    one, two = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    done = cli("compare", one, two, "--network", "cnn", "--data", "digits", "--out", tmp_path / "r")
    assert done.code == 1
    assert "a.safetensors" in done.err
