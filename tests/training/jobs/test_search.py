"""Searches on an experiment: what is read and looked at, what is written, and tasks."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from stockpot.checkpoints.source import FileSource
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.errors import FieldError, OutputError
from stockpot.evaluation.contests import contest
from stockpot.evaluation.results.comparison import ALL_TASKS
from stockpot.experiments.experiment import parse_experiment
from stockpot.methods import TaskArithmetic
from stockpot.recipes.reading.recipe import parse_recipe, read_recipe
from stockpot.recipes.reading.space import Candidate
from stockpot.recipes.reading.yaml import read_yaml
from stockpot.training import train_experiment
from stockpot.training.jobs.candidates import Candidates
from stockpot.training.jobs.search import search

ALONE = {
    "network": {"name": "mlp", "width": 8},
    "data": "digits",
    "split": {"selection": 0.2, "test": 0.5},
    "ingredients": {"count": 2, "pretrain": {"epochs": 1, "lr": 0.01}, "epochs": 1, "lr": 0.01},
}
TASKS = {
    "network": {"name": "mlp", "width": 8},
    "tasks": [
        {"name": "plain", "data": "digits", "limit": 200, "judge_limit": 100},
        {"name": "dark", "data": "digits", "invert": True, "limit": 200, "judge_limit": 90},
    ],
    "ingredients": {"pretrain": {"epochs": 1, "lr": 0.01}, "epochs": 1, "lr": 0.01},
}
AXES = {"scale": [0.1, 1.5], "weights": [0.0, 1.5]}


def state(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    experiment = parse_experiment(ALONE)
    (pool,) = train_experiment(experiment, tmp_path_factory.mktemp("alone"))
    return experiment, pool


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    experiment = parse_experiment(TASKS)
    (pool,) = train_experiment(experiment, tmp_path_factory.mktemp("tasks"))
    return experiment, pool


def recipe(pool, method="task-arithmetic", search=AXES, **more):
    models = [str(one.path) for one in pool.kept]
    keys = {"method": method, "base": str(pool.base), "models": models, "search": search}
    return parse_recipe(keys | more)


@pytest.fixture(scope="module")
def searched(alone, tmp_path_factory):
    """A search of six trials, with the splits that were run and the files that were read."""
    experiment, pool = alone
    out, seen, reads = tmp_path_factory.mktemp("search"), [], []
    with pytest.MonkeyPatch.context() as patch:
        predict, score, read = contest.predict, Candidates.score, FileSource.read_into

        def predicting(network, data, **more):
            seen.append(data)
            return predict(network, data, **more)

        def reading(self, buffer, offset):
            reads.append(str(self.path))
            return read(self, buffer, offset)

        def scoring(self, candidate):
            before = len(reads)
            found = score(self, candidate)
            assert len(reads) == before  # weights are read once, before the first trial
            return found

        patch.setattr(contest, "predict", predicting)
        patch.setattr(Candidates, "score", scoring)
        patch.setattr(FileSource, "read_into", reading)
        found = search(recipe(pool), experiment, out, budget={"trials": 6})
    return out, found, seen


def test_only_the_selection_split_is_looked_at_until_the_end(alone, searched):
    splits, (_, _, seen) = alone[1].splits, searched
    names = ["selection" if one is splits.selection else "test" for one in seen]
    assert len(seen) == 6 + 2 * 3  # six trials; then the winner, the soup and the defaults on both
    assert names[:6] == ["selection"] * 6
    assert names[6:].count("test") == 3
    assert not any(one is splits.train for one in seen)


def test_the_winner_is_no_worse_than_what_was_tried_first(searched):
    _, found, _ = searched
    rows = {
        (row.method, row.split): row.value
        for row in found.comparison.rows
        if row.metric == "accuracy"
    }
    assert {method for method, _ in rows} == {"searched", "uniform-soup", "defaults"}
    assert rows["searched", "selection"] == found.score
    assert found.score >= max(rows["uniform-soup", "selection"], rows["defaults", "selection"])
    assert [one.origin for one in found.comparison.attempts][:2] == ["uniform-soup", "defaults"]
    assert {one.b for one in found.comparison.differences} == {"uniform-soup", "defaults"}
    assert all(row.low <= row.value <= row.high for row in found.comparison.rows)


def test_the_winner_runs_as_a_recipe_and_says_where_it_is_from(searched, tmp_path):
    out, found, _ = searched
    again = parse_recipe(read_yaml(out / "best.yml"))
    assert again.resolved() == found.recipe.resolved()
    run_recipe(again, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == found.merged.read_bytes()
    kept = json.loads((out / "merged.safetensors.merge.json").read_text())["recipe"]["searched"]
    assert kept["fields"] == ["scale", "weights"]
    assert (kept["trials"], kept["sampler"], kept["data"]) == (6, "tpe", "digits")
    assert (kept["metric"], kept["score"], kept["split"]) == ("accuracy", found.score, "selection")


def test_what_was_found_shows_itself(searched, tmp_path):
    _, found, _ = searched
    assert repr(found).startswith(f"SearchResult(score {found.score:.4g}, best ")
    frame = found.to_pandas()
    assert list(frame["number"]) == list(range(6))
    assert {"origin", "score", "scale", "weights[1]"} <= set(frame.columns)
    assert "<table>" in found._repr_html_()
    with pytest.raises(FieldError, match="an Experiment, a mapping or its file; got function"):
        search(found.recipe, lambda: None, tmp_path)
    with pytest.raises(FieldError, match="a recipe must be a mapping"):
        search(("ties", 0.2), ALONE, tmp_path)


def test_the_winner_sees_its_models_as_the_recipe_does(alone, tmp_path):
    experiment, pool = alone
    stored = [tmp_path / f"{number}.safetensors" for number in range(2)]
    for one, path in zip(pool.kept, stored, strict=True):
        save_file({f"net.{name}": tensor for name, tensor in state(one.path).items()}, path)
    models = [{"path": str(path), "rename": {"net.*": "*"}} for path in stored]
    renamed = search(
        recipe(pool, models=models), experiment, tmp_path / "out", budget={"trials": 3}
    )
    plain = search(recipe(pool), experiment, tmp_path / "plain", budget={"trials": 3})
    run_recipe(read_recipe(renamed.best), tmp_path / "again.safetensors")
    again, expected = state(tmp_path / "again.safetensors"), state(plain.merged)
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[name], expected[name]) for name in expected)


def test_it_goes_on_only_where_it_is_the_same_search(alone, searched, tmp_path):
    experiment, pool = alone
    out, found, _ = searched
    with pytest.raises(OutputError, match="--resume goes on"):
        search(recipe(pool), experiment, out, budget={"trials": 6})
    with pytest.raises(OutputError, match="seed was 0 and is 1"):
        search(recipe(pool), experiment, out, budget={"trials": 6, "seed": 1}, resume=True)
    more = search(recipe(pool), experiment, out, budget={"trials": 8}, resume=True)
    assert more.comparison.attempts[:6] == found.comparison.attempts
    whole = search(recipe(pool), experiment, tmp_path, budget={"trials": 8})
    assert more.comparison.attempts == whole.comparison.attempts
    fresh = search(recipe(pool), experiment, out, budget={"trials": 6}, overwrite=True)
    assert fresh.comparison.attempts == found.comparison.attempts


def test_models_beyond_the_memory_are_streamed_to_the_same_scores(alone, searched, monkeypatch):
    experiment, pool = alone
    held = Candidates.open(recipe(pool), experiment, "cpu", Options())
    assert all(not one.files for one in held.models)
    little = Options(memory="1MiB")
    monkeypatch.setattr(Options, "memory_bytes", property(lambda self: 2**10))
    streamed = Candidates.open(recipe(pool), experiment, "cpu", little)
    monkeypatch.undo()
    assert all(one.files for one in streamed.models)
    candidate = Candidate(TaskArithmetic(scale=0.7), (1.0, 0.5))
    assert streamed.score(candidate) == held.score(candidate)


def test_a_metric_of_ones_own_and_one_where_smaller_is_better(alone, tmp_path):
    _, pool = alone
    for name in ("nll", "stockpot.evaluation.examples:brier"):
        keys = ALONE | {"compare": {"metric": name}}
        out = tmp_path / name[:3]
        found = search(recipe(pool), parse_experiment(keys), out, budget={"trials": 5})
        scores = [one.score for one in found.comparison.attempts]
        assert found.score == min(scores)
        assert found.comparison.rows[0].metric == name.rpartition(":")[2]


def test_tasks_keep_their_heads_and_count_alike(tasks, tmp_path):
    experiment, pool = tasks
    backwards = replace(recipe(pool), models=recipe(pool).models[::-1])
    found = search(backwards, experiment, tmp_path, budget={"trials": 4})
    values = {
        (row.method, row.data): row.value
        for row in found.comparison.rows
        if (row.split, row.metric) == ("selection", "accuracy")
    }
    assert found.score == values["searched", ALL_TASKS]
    mean = (values["searched", "plain"] + values["searched", "dark"]) / 2
    assert found.score == pytest.approx(mean)
    merged, first = state(found.merged), state(pool.kept[0].path)
    assert torch.equal(merged["head.weight"], first["head.weight"])
    assert [one.path for one in found.recipe.models] == [str(one.path) for one in pool.kept]


def test_what_does_not_fit_is_refused_before_anything_is_written(alone, tasks, tmp_path):
    (experiment, pool), out = alone, tmp_path / "out"
    three = parse_experiment(
        TASKS | {"tasks": [*TASKS["tasks"], {"name": "c", "data": "digits", "judge_limit": 90}]}
    )
    with pytest.raises(FieldError, match="2 models for 3 tasks"):
        search(recipe(pool), three, out)
    keys = {key: value for key, value in ALONE.items() if key != "network"}
    swept = parse_experiment(keys | {"sweep": {"network": ["mlp", "cnn"]}})
    with pytest.raises(FieldError, match="the experiment's sweep has 2"):
        search(recipe(pool), swept, out)
    with pytest.raises(FieldError, match="nothing to search"):
        search(recipe(pool, "median", {}), experiment, out)
    assert not out.exists()
