"""A whole experiment: its files, what they say, and that nothing is ever trained twice."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import stockpot
from stockpot.checkpoints.read import read_checkpoint
from stockpot.data import Dataset, load, recorded_split, split
from stockpot.errors import CheckpointError, FieldError, OutputError, StockpotError
from stockpot.evaluation import accuracy, predict
from stockpot.experiments.experiment import SplitSpec, parse_experiment
from stockpot.networks import load_weights
from stockpot.recipes.reading.yaml import dump_yaml
from stockpot.training import Fit, train_experiment
from stockpot.training.fitting.loop import fit
from stockpot.training.jobs.cell import _opened, open_cell
from stockpot.training.jobs.compare import compare_experiment


def files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }


def record(path: Path) -> dict:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["stockpot.ingredient"])


def state(path: Path) -> dict:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping


@pytest.fixture(scope="module")
def ran(small, tmp_path_factory):
    out, told = tmp_path_factory.mktemp("run"), []
    experiment = small({"compare": {"seeds": 2}}, vary={"lr": [0.01, 0.003]})
    pools = train_experiment(experiment, out, progress=lambda *what: told.append(what))
    return experiment, out, pools, told


def test_every_pool_has_its_base_and_ingredients(ran):
    _, out, pools, _ = ran
    assert [pool.seed for pool in pools] == [0, 1]
    names = {"base", "ingredient-00", "ingredient-01", "ingredient-02"}
    expected = {f"pool-{seed}/{name}.safetensors" for seed in (0, 1) for name in names}
    assert set(files(out)) == expected | {"experiment.json"}
    for pool in pools:
        assert pool.base == out / f"pool-{pool.seed}" / "base.safetensors"
        assert [one.name for one in pool.kept] == sorted(names - {"base"})
        assert (pool.network_spec, pool.data) == ({"name": "mlp", "width": 8}, "digits")


def test_a_file_says_how_it_came_about(ran):
    _, _, pools, _ = ran
    for number, one in enumerate(pools[1].kept):
        said = record(one.path)
        assert said["train"]["how"]["lr"] == (0.01, 0.003, 0.01)[number]
        assert (said["pool"], said["share"], said["name"]) == (1, "pretrained", one.name)
        assert said["parent"]["from"] == "base.safetensors"
        assert len(said["data_digest"]) == 64
        score = accuracy(predict(one.network, pools[1].splits.selection))
        assert said["selection_score"] == one.selection_score == score
        assert said["selection_metric"] == one.selection_metric == "accuracy"
    assert record(pools[1].base)["pretrain"]["how"]["epochs"] == 2


def test_training_is_what_the_file_says_and_pools_share_nothing_but_data(ran):
    _, _, (first, second), _ = ran
    assert first.splits is second.splits
    assert (
        len({one.path.read_bytes()[-4000:] for pool in (first, second) for one in pool.kept}) == 6
    )
    said = record(first.kept[0].path)["train"]["how"]
    start = load_weights(first.build(), first.base)
    again = fit(start, first.splits.train, Fit(**said)).state_dict()
    there = state(first.kept[0].path)
    assert all(torch.equal(again[name], there[name]) for name in again)


def test_the_list_holds_everything_and_reads_back(ran):
    experiment, out, pools, _ = ran
    listing = json.loads((out / "experiment.json").read_text())
    assert listing["complete"] is True
    assert listing["experiment"] == experiment.resolved()
    assert [pool["base"] for pool in listing["pools"]] == [
        "pool-0/base.safetensors",
        "pool-1/base.safetensors",
    ]
    for pool, told in zip(pools, listing["pools"], strict=True):
        assert [one["path"] for one in told["ingredients"]] == [
            str(one.path.relative_to(out)) for one in pool.kept
        ]
        assert all(record(out / one["path"]).items() <= one.items() for one in told["ingredients"])


def test_progress_only_grows_and_ends_at_the_whole(ran):
    told = ran[3]
    done = [part for _, part in told]
    assert done == sorted(done)
    assert done[-1] == 1
    assert told[0][0] == "training pool 0 base"


def test_what_is_finished_is_never_trained_again(ran, monkeypatch):
    experiment, out, _, _ = ran
    before = files(out)
    monkeypatch.setattr("stockpot.training.jobs.preparation.fit", None)
    pools = train_experiment(experiment, out)
    assert files(out) == before
    assert pools[0].kept[0].selection_score == record(pools[0].kept[0].path)["selection_score"]


def test_more_pools_and_another_comparison_are_no_other_experiment(ran, small, tmp_path):
    one = small({"compare": {"seeds": 1}})
    train_experiment(one, tmp_path)
    before = files(tmp_path)
    pools = train_experiment(small({"compare": {"seeds": 2, "subsets": 9}}), tmp_path)
    assert [pool.seed for pool in pools] == [0, 1]
    after = files(tmp_path)
    assert all(after[name] == before[name] for name in before if name != "experiment.json")


def test_a_changed_experiment_is_refused_with_the_difference_named(ran, small):
    _, out, _, _ = ran
    before = files(out)
    other = small({"compare": {"seeds": 2}}, vary={"lr": [0.01, 0.004]}, epochs=3)
    with pytest.raises(OutputError) as caught:
        train_experiment(other, out)
    text = str(caught.value)
    assert "ingredients.epochs was 2 and is 3" in text
    assert "ingredients.vary.lr was [0.01, 0.003] and is [0.01, 0.004]" in text
    assert files(out) == before


def test_a_run_that_failed_before_its_first_network_may_be_mended(small, tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        train_experiment(small(weights="no.safetensors"), tmp_path)
    assert train_experiment(small(), tmp_path)


def test_what_is_wrong_with_any_cell_is_said_before_a_byte_is_written(small, tmp_path):
    networks = [{"name": "mlp", "width": 4}, {"name": "mpl"}]
    with pytest.raises(FieldError, match="mpl"):
        train_experiment(small({"network": None, "sweep": {"network": networks}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_changed_data_are_named(ran, monkeypatch):
    experiment, out, _, _ = ran
    monkeypatch.setattr("stockpot.training.jobs.cell.digest_of", lambda *parts: "other")
    _opened.cache_clear()
    try:
        with pytest.raises(OutputError, match=r"was made otherwise: data_digest was .* is 'other'"):
            train_experiment(experiment, out)
    finally:
        _opened.cache_clear()


@pytest.mark.parametrize("share", ["init", "none"])
def test_starts_are_shared_as_asked(share, small, tmp_path):
    keys = {"pretrain": None} if share == "init" else {}
    (pool,) = train_experiment(small(share=share, **keys), tmp_path)
    parents = {record(one.path)["parent"]["digest"] for one in pool.kept}
    assert len(parents) == (1 if share == "init" else 3)
    assert (pool.base is not None) == (share == "init")
    if share == "none":
        said = record(pool.kept[0].path)
        assert said["pretrain"]["how"]["epochs"] == 2
        assert said["parent"]["from"] == "random weights"


def test_weights_of_any_model_are_a_start_with_their_head_or_a_new_one(ran, small, tmp_path):
    base = ran[2][0].base
    for head in ("file", "new"):
        keys = {"weights": {"path": str(base), "head": head}, "pretrain": None, "count": 2}
        (pool,) = train_experiment(small(**keys), tmp_path / head)
        there, taken = state(base), state(pool.base)
        equal = {name for name in there if torch.equal(there[name], taken[name])}
        heads = {name for name in there if name.startswith("head.")}
        assert equal == set(there) - (heads if head == "new" else set())
        assert record(pool.base)["parent"]["from"] == str(base)
    with pytest.raises(CheckpointError, match="does not exist"):
        train_experiment(small(weights="no.safetensors", pretrain=None), tmp_path / "x")


def test_a_sweep_has_a_folder_for_each_cell(small, tmp_path):
    networks = [{"name": "mlp", "width": width} for width in (4, 8)]
    swept = small({"network": None, "sweep": {"network": networks}}, count=2, epochs=1)
    pools = train_experiment(swept, tmp_path)
    assert [pool.cell for pool in pools] == ["mlp-width-4", "mlp-width-8"]
    assert [pool.kept[0].network.head.in_features for pool in pools] == [4, 8]
    assert pools[0].splits is pools[1].splits
    (tmp_path / "mlp-width-8" / "pool-0" / "ingredient-01.safetensors").unlink()
    before = files(tmp_path)
    train_experiment(swept, tmp_path)
    assert len(files(tmp_path)) == len(before) + 1


def test_two_at_once_give_the_same_bytes_as_in_turn(ran, tmp_path):
    experiment, out, _, _ = ran
    told = []
    train_experiment(experiment, tmp_path, jobs=2, progress=lambda what, done: told.append(done))
    assert files(tmp_path) == files(out)
    assert told == sorted(told)
    assert told[-1] == 1


@pytest.mark.full
def test_an_error_in_a_worker_is_the_users(small, tmp_path):
    diverging = small(optimiser="sgd", lr=1e30, schedule="constant", epochs=20)
    with pytest.raises(StockpotError, match="lower lr"):
        train_experiment(diverging, tmp_path, jobs=2)


def test_one_writer_at_a_time(small, tmp_path):
    def nested(what, done):
        with pytest.raises(OutputError, match="in use by another stockpot"):
            train_experiment(small(), tmp_path)

    train_experiment(small(), tmp_path, progress=nested)


def test_what_is_in_the_way_is_not_overwritten(ran, small, tmp_path):
    there = tmp_path / "a" / "pool-0" / "base.safetensors"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"mine")
    with pytest.raises(CheckpointError, match=r"base\.safetensors"):
        train_experiment(small(), tmp_path / "a")
    assert there.read_bytes() == b"mine"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "experiment.json").write_text("[]")
    with pytest.raises(OutputError, match="no list of an experiment"):
        train_experiment(small(), tmp_path / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write into"):
        train_experiment(small(), tmp_path / "file" / "run")


SCRIPT = """
import os, signal, sys
from pathlib import Path
from stockpot.experiments.experiment import read_experiment
from stockpot.training import train_experiment

def told(what, done):
    if done >= float(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    jobs = int(sys.argv[3])
    experiment = read_experiment(sys.argv[1])
    train_experiment(experiment, Path(sys.argv[2]), jobs=jobs, progress=told)
"""


@pytest.mark.parametrize(
    ("jobs", "part"), [(1, 0.05), (1, 0.55), pytest.param(2, 0.4, marks=pytest.mark.full)]
)
def test_a_killed_run_goes_on_at_the_last_finished_epoch(jobs, part, ran, tmp_path, monkeypatch):
    experiment, whole, _, _ = ran
    (tmp_path / "e.yml").write_text(dump_yaml(experiment.resolved()))
    (tmp_path / "run.py").write_text(SCRIPT)
    out = tmp_path / "out"
    command = [sys.executable, "run.py", "e.yml", "out", str(jobs), str(part)]
    here = {"PYTHONPATH": str(Path(stockpot.__file__).parents[1])}
    killed = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | here
    )
    assert killed.returncode == -9, killed.stderr
    deadline = time.monotonic() + 10
    while True:  # orphaned workers let go of the folder as soon as they see that they are
        left, kept = set(files(out)), sorted((out / "work").glob("*.pt"))
        time.sleep(0.5)
        if set(files(out)) == left or time.monotonic() > deadline:
            break
    epochs = sum(torch.load(one, weights_only=True)["done"] for one in kept)
    finished = {name for name in left if name.endswith(".safetensors")}
    done = epochs + 2 * len(finished)
    assert 0 < done < 16

    steps, batch = [], Dataset.batch
    monkeypatch.setattr(
        Dataset, "batch", lambda self, index: (steps.append(self), batch(self, index))[1]
    )
    pools = train_experiment(experiment, out)
    assert files(out) == files(whole)
    per_epoch = -(-len(pools[0].splits.train) // 64)
    trained = [one for one in steps if len(one) == len(pools[0].splits.train)]
    assert len(trained) == (16 - done) * per_epoch


def test_each_pool_may_have_a_split_of_its_own(small, tmp_path):
    """So that an interval over pools covers the luck of the split too."""
    same = {"split": {"selection": 0.2, "test": 0.5, "draw": "per-pool"}, "seed": 3}
    experiment = small(same | {"compare": {"seeds": 2, "methods": ["uniform-soup"]}}, count=2)
    found = compare_experiment(experiment, tmp_path)
    assert "intervals over pools cover the luck of the split too" in found.origin
    pools = train_experiment(experiment, tmp_path)  # which finds them trained
    for pool in pools:
        own = split(load("digits"), selection=0.2, test=0.5, seed=pool.seed)
        assert torch.equal(pool.splits.test.originals, own.test.originals)
        for one in pool.kept:
            told = recorded_split(read_checkpoint(one.path).metadata)
            assert torch.equal(told.of(load("digits")).test.originals, own.test.originals)
    assert [one.seed for one in pools] == [3, 4]
    assert not torch.equal(*(pool.splits.test.originals for pool in pools))
    assert parse_experiment({"network": "mlp", "data": "digits", "split": "per-pool"}).split == (
        SplitSpec(draw="per-pool")
    )
    assert experiment.resolved()["split"]["draw"] == "per-pool"
    assert "draw" not in small().resolved()["split"]
    with pytest.raises(FieldError, match="split: per-pool: each pool has a split of its own"):
        open_cell(experiment)
