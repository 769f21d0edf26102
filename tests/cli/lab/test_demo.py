import csv
import io
import json
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from stockpot.cli.app import execute
from stockpot.cli.lab import demonstration as demo
from stockpot.cli.lab.demonstration import MERGES, run_demo
from stockpot.errors import ExtraError, OutputError
from stockpot.experiments.experiment import parse_experiment
from stockpot.recipes.reading.yaml import load_yaml

SMALL = """\
network: {name: cnn, width: 4}
data: digits
split: {selection: 0.2, test: 0.4}
ingredients: {count: 3, pretrain: {epochs: 1}, epochs: 1}
compare:
  counts: [2, 3]
  seeds: 2
  methods: [single-mean, single-best, uniform-soup, greedy-soup, logits-ensemble]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A small demo, once; what it told of its progress; and its folder."""
    out, told = tmp_path_factory.mktemp("demo") / "made" / "here", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "EXPERIMENT", SMALL)
        random = torch.get_rng_state()
        found = run_demo(out, jobs=1, progress=lambda what, done: told.append((what, done)))
        assert torch.equal(torch.get_rng_state(), random)
    return out, found, told


def accuracy(comparison, n, split="test"):
    return {
        row.method: row
        for row in comparison.summary()
        if (row.split, row.metric, row.n) == (split, "accuracy", n)
    }


def test_its_experiment_is_one_that_a_user_could_run():
    wanted = parse_experiment(load_yaml(demo.EXPERIMENT, "demo"))
    assert wanted.ingredients.count == 10
    assert wanted.compare.counts == (2, 3, 5, 7, 10)
    assert wanted.compare.seeds >= 3


def test_the_folder_holds_what_was_run_and_found(ran):
    out, found, _ = ran
    written = parse_experiment(load_yaml((out / "experiment.yml").read_text(), "written"))
    kept = json.loads((out / "experiment.json").read_text())
    assert written.resolved() == kept["experiment"]
    for folder, comparison in ((out, found.comparison), (out / "independent", found.control)):
        rows = list(csv.DictReader(io.StringIO((folder / "results.csv").read_text())))
        assert [float(row["value"]) for row in rows] == [row.value for row in comparison.rows]
        held = json.loads((folder / "results.json").read_text())
        assert held["conclusion"] == comparison.conclusion
        assert "<svg" in (folder / "report.html").read_text()


def test_the_control_differs_in_its_starts_alone(ran):
    out, _, _ = ran
    one, other = (
        json.loads((folder / "experiment.json").read_text())["experiment"]
        for folder in (out, out / "independent")
    )
    assert one["ingredients"].pop("share") == "pretrained"
    assert other["ingredients"].pop("share") == "none"
    assert {**one, "compare": None} == {**other, "compare": None}


def test_merges_are_of_the_first_pools_files_and_verified(ran, capsys):
    out, found, _ = ran
    assert [path.stem for path in found.merges] == list(MERGES)
    states = [load_file(path) for path in (out / "pool-0").glob("ingredient-*.safetensors")]
    assert len(states) == 3
    for name, tensor in load_file(out / "merges" / "uniform-soup.safetensors").items():
        mean = torch.stack([state[name] for state in states]).mean(dim=0)
        torch.testing.assert_close(tensor, mean, atol=1e-6, rtol=1e-6)
    for path in found.merges:
        assert execute(["verify", str(path), "--recompute", "--quiet"]) == 0
    capsys.readouterr()


def test_the_greedy_soup_is_of_the_members_that_were_accepted(ran):
    out, found, _ = ran
    accepted = [
        one.candidate
        for one in found.comparison.decisions
        if (one.seed, one.n, one.accepted) == (0, 3, True)
    ]
    manifest = json.loads((out / "merges" / "greedy-soup.safetensors.merge.json").read_text())
    for name in ("ingredient-00", "ingredient-01", "ingredient-02"):
        assert (f"{name}.safetensors" in json.dumps(manifest)) == (name in accepted)


def test_an_ingredient_carries_its_configuration_and_selection_score(ran):
    with safe_open(ran[0] / "pool-0" / "ingredient-01.safetensors", "pt") as file:
        record = json.loads(file.metadata()["stockpot.ingredient"])
    assert record["share"] == "pretrained"
    assert 0 < record["selection_score"] < 1


def test_the_bad_merge_is_said_in_words(ran):
    found = ran[1]
    soup = accuracy(found.control, 3)["uniform-soup"].value
    assert "3 networks trained alike" in found.sentence()
    assert found.sentence().endswith(f"their uniform soup on {100 * soup:.1f}%.")


def test_progress_only_grows_and_ends_at_the_whole(ran):
    done = [fraction for _, fraction in ran[2]]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1)


def test_a_seed_repeats_to_the_last_bit_with_any_workers(ran, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "EXPERIMENT", SMALL)
    out, found, _ = ran
    again = run_demo(tmp_path, jobs=2)
    assert again.comparison.rows == found.comparison.rows
    assert again.control.rows == found.control.rows
    for path in sorted(out.rglob("*.safetensors")):
        other = tmp_path / path.relative_to(out)
        if path.parent.name == "merges":  # their headers name the files that went in
            merged, there = load_file(path), load_file(other)
            assert all(torch.equal(there[name], one) for name, one in merged.items()), path
        else:
            assert other.read_bytes() == path.read_bytes(), path


def test_what_is_trained_is_not_trained_again(ran, monkeypatch):
    out, found, _ = ran
    monkeypatch.setattr(demo, "EXPERIMENT", SMALL)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("ingredient-*.safetensors")}
    again = run_demo(out, jobs=1)
    assert again.comparison.rows == found.comparison.rows
    assert len(times) == 3 * 2 + 3
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())
    with pytest.raises(OutputError, match="another experiment: seed"):
        run_demo(out, seed=1)
    kept = parse_experiment(load_yaml((out / "experiment.yml").read_text(), "kept"))
    assert kept.seed == 0


def test_the_command_prints_the_table_the_control_and_what_to_do_next(ran, monkeypatch, capsys):
    monkeypatch.setattr(demo, "EXPERIMENT", SMALL)
    out, found, _ = ran
    assert execute(["demo", "--out", str(out), "--quiet"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "uniform-soup" in printed
    assert found.comparison.conclusion in printed
    assert found.sentence() in printed
    assert f"stockpot verify {found.merges[0]} --recompute" in printed
    assert execute(["demo", "--out", str(out), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["merges"] == [str(path) for path in found.merges]
    assert shown["conclusion"] == found.comparison.conclusion
    assert shown["control"]["rows"]


def test_what_would_fail_at_the_end_fails_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        run_demo(tmp_path / "file" / "demo")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExtraError, match=r"pip install 'stockpot\[lab\]'"):
        run_demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


@pytest.mark.full
def test_the_whole_demo_shows_what_it_is_there_to_show(tmp_path):
    found = run_demo(tmp_path)
    rows, bad = accuracy(found.comparison, 10), accuracy(found.control, 10)
    assert rows["uniform-soup"].value > rows["single-mean"].value + 0.005
    assert abs(rows["uniform-soup"].value - rows["logits-ensemble"].value) < 0.02
    assert bad["single-mean"].value > 0.9
    assert bad["uniform-soup"].value < 0.5
    assert rows["logits-ensemble"].forwards == 10
