import csv
import io
import json
import sys

import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file

from stockpot.cli import demo
from stockpot.cli.demo import CONTROL, TASKS, VIEWS, print_demo, run_demo
from stockpot.errors import ExtraError, OutputError
from stockpot.training import Fit


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def ran(tmp_path_factory, told):
    """The whole demo, once."""
    out = tmp_path_factory.mktemp("demo") / "made" / "here"
    random = torch.get_rng_state()
    comparison = run_demo(out, progress=lambda what, done: told.append((what, done)))
    assert torch.equal(torch.get_rng_state(), random)
    return out, comparison


def overall(comparison):
    return {row.method: row for row in comparison.overall()}


def test_the_soup_and_the_bad_merge_can_be_told_apart(ran):
    _, comparison = ran
    (difference,) = (d for d in comparison.differences if d.b == CONTROL)
    assert difference.a == "uniform-soup"
    assert difference.interval.low > 0.1


def test_the_networks_of_the_bad_merge_are_as_good_as_the_ingredients(ran):
    rows = overall(ran[1])
    assert abs(rows["single-mean:independent"].value - rows["single-mean"].value) < 0.1


def test_the_task_is_hard_enough_that_methods_differ(ran):
    merges = [row.value for row in ran[1].overall() if row.kind == "merge"]
    assert len(merges) == 4
    assert max(merges) - min(merges) > 0.05
    assert max(merges) < 0.95


def test_each_specialist_is_the_best_single_at_its_own_view(ran):
    _, comparison = ran
    for view in set(TASKS) & set(VIEWS):
        singles = {
            row.method: row.value
            for row in comparison.rows
            if row.part == view and row.method.startswith("single:")
        }
        assert max(singles, key=singles.__getitem__) == f"single:{view}"


def test_the_table_has_every_variant_with_its_cost_and_interval(ran):
    rows = overall(ran[1])
    assert set(rows) == {
        "base",
        *(f"single:{name}" for name in TASKS),
        "single-mean",
        "single-best",
        "uniform-soup",
        "task-arithmetic",
        "ties",
        "model-stock",
        "logits-ensemble",
        "single-mean:independent",
        CONTROL,
    }
    assert rows["logits-ensemble"].forwards == 6
    assert {row.forwards for name, row in rows.items() if name != "logits-ensemble"} == {1}
    assert all(row.low < row.value < row.high for row in rows.values())


def test_the_mixture_is_the_mean_of_its_views(ran):
    _, comparison = ran
    values = {(row.method, row.part): row.value for row in comparison.rows}
    views = [values["ties", view] for view in VIEWS]
    assert values["ties", "all"] == pytest.approx(sum(views) / len(views))


def test_the_files_hold_what_was_shown(ran):
    out, comparison = ran
    rows = list(csv.DictReader(io.StringIO((out / "results.csv").read_text())))
    assert [float(row["value"]) for row in rows] == [row.value for row in comparison.rows]
    assert json.loads((out / "results.json").read_text())["conclusion"] == comparison.conclusion
    assert "<svg" in (out / "comparison.svg").read_text()
    merges = {path.name for path in (out / "merges").glob("*.safetensors")}
    assert len(merges) == 5
    for name in merges:
        manifest = json.loads((out / "merges" / f"{name}.merge.json").read_text())
        assert manifest


def test_the_merges_are_merges_of_the_files_beside_them(ran):
    out, _ = ran
    states = [load_file(path) for path in (out / "ingredients").glob("*.safetensors")]
    soup = load_file(out / "merges" / "uniform-soup.safetensors")
    assert len(states) == len(TASKS)
    for name, tensor in soup.items():
        mean = torch.stack([state[name] for state in states]).mean(dim=0)
        torch.testing.assert_close(tensor, mean, atol=1e-6, rtol=1e-6)


def test_an_ingredient_carries_its_configuration_and_selection_score(ran):
    out, _ = ran
    with safe_open(out / "ingredients" / "rotated.safetensors", "pt") as file:
        record = json.loads(file.metadata()["stockpot.ingredient"])
    assert record["task"] == "Rotate(degrees=45.0)"
    assert 0 < record["selection_accuracy"] < 1


def test_what_is_printed_fits_eighty_columns_and_says_where_settings_were_chosen(ran):
    text = io.StringIO()
    print_demo(ran[1], Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "…" not in text.getvalue()
    words = " ".join(text.getvalue().split())
    assert "of 10 settings on the selection split" in words
    assert " ".join(ran[1].conclusion.split()) in words


def test_progress_only_grows_and_ends_at_the_whole(ran, told):
    done = [fraction for _, fraction in told]
    assert done == sorted(done)
    assert done[-1] == 1


def test_what_would_fail_at_the_end_fails_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        run_demo(tmp_path / "file" / "demo")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExtraError, match=r"pip install 'stockpot\[lab\]'"):
        run_demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_a_seed_repeats_to_the_last_bit_and_replaces_an_earlier_demo(tmp_path, monkeypatch):
    for name in ("BASE", "TUNE", "FAST"):
        monkeypatch.setattr(demo, name, Fit(epochs=1))
    monkeypatch.setattr(demo, "TASKS", {name: TASKS[name] for name in ("rotated", "plain-fast")})
    few = {name: methods[:2] for name, methods in demo.CANDIDATES.items()}
    monkeypatch.setattr(demo, "CANDIDATES", few)
    first = run_demo(tmp_path, seed=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert sum(path.suffix == ".safetensors" for path in before) == 1 + 2 + 2 + 2 + 5
    for path in before:
        path.write_bytes(b"an earlier demo")
    assert run_demo(tmp_path, seed=1) == first
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert before.keys() == after.keys()
    for path, content in before.items():
        assert path.suffix == ".json" or after[path] == content, path
    assert (tmp_path / "results.json").read_bytes() == before[tmp_path / "results.json"]
