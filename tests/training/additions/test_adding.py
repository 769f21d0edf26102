"""What an experiment adds to plain fits: files, stages, and that a run goes on to the same bits."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from stockpot.data import digits
from stockpot.errors import FieldError, OutputError, StockpotError
from stockpot.experiments.experiment import parse_experiment
from stockpot.networks import build
from stockpot.training import (
    Additions,
    Ema,
    Fge,
    Fit,
    InModelMerge,
    Lawa,
    ProximalTerm,
    Save,
    ScopeRegularizer,
    Swa,
    fit,
    fuse_scopes,
    scope_of,
    train_experiment,
)


def record(path: Path) -> dict:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["stockpot.ingredient"])


def files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def data():
    return digits().take(torch.arange(300))


def start():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def distance(a, b):
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return sum(float((x - y).detach().square().sum()) for x, y in pairs) ** 0.5


def test_penalties_hold_where_they_should(data):
    first, how = start(), Fit(epochs=3, lr=0.01)
    plain = fit(first, data, how)
    near = fit(first, data, how, additions=Additions(penalties=(ProximalTerm(first, 30.0),)))
    assert distance(near, first) < distance(plain, first) / 3
    target = (0.0, 0.02)
    regularizer = ScopeRegularizer(target, weight=3.0)
    pulled = fit(first, data, how, additions=Additions(penalties=(regularizer,)))
    assert regularizer(pulled).item() < regularizer(plain).item() / 3
    assert distance(fit(first, data, how, additions=Additions()), plain) == 0


class Stopped(Exception):
    """Stands for a kill between two epochs."""


@pytest.mark.parametrize(
    "averaging", [Ema(decay=0.9), Swa(start=0.3, lr=0.004), Lawa(last=2), Fge(start=0.2, cycle=1)]
)
def test_additions_go_on_to_the_same_bits_after_a_kill(data, averaging, tmp_path):
    first, how = start(), Fit(epochs=5, lr=0.01, batch_size=50, warmup=0.1)

    def added(folder):
        return Additions(
            penalties=(ScopeRegularizer(first), ProximalTerm(first)),
            merging=InModelMerge(skip_first=0, tau=-1.0),
            averaging=averaging,
            snapshots=folder,
        )

    whole = fit(first, data, how, additions=added(tmp_path / "whole"))
    save = Save(tmp_path / "epoch.pt", {})

    def stop(_, part):
        if part == 0.6:
            raise Stopped

    with pytest.raises(Stopped):
        fit(first, data, how, additions=added(tmp_path / "again"), save=save, progress=stop)
    again = fit(first, data, how, additions=added(tmp_path / "again"), save=save)
    for name, one in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], one), name
    assert files(tmp_path / "whole") == files(tmp_path / "again")
    assert len(files(tmp_path / "whole")) == {Lawa: 2, Fge: 4}.get(type(averaging), 0)


def test_the_network_of_snapshots_is_their_mean_with_statistics_of_its_own(data, tmp_path):
    added = Additions(averaging=Lawa(last=3), snapshots=tmp_path)
    network = fit(start(), data, Fit(epochs=5, lr=0.01), additions=added)
    kept = [load_file(path) for path in sorted(tmp_path.iterdir())]
    assert len(kept) == 3
    for name, one in network.named_parameters():
        torch.testing.assert_close(one.data, torch.stack([k[name] for k in kept]).mean(0))
    seen = []
    network[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(data.batch(slice(None)))
    mean = seen[0].mean((0, 2, 3))
    torch.testing.assert_close(network[1].running_mean, mean, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def staged(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("staged")
    experiment = small(stages=2, scope={"target": "fused", "weight": 1.0})
    return experiment, out, train_experiment(experiment, out)


def test_stages_leave_their_files_and_the_last_is_the_pool(staged):
    _, out, (pool,) = staged
    names = [f"ingredient-{k:02d}.safetensors" for k in range(3)]
    expected = {f"pool-0/{one}" for one in (*names, "base.safetensors")}
    expected |= {f"pool-0/stage-1/{one}" for one in names} | {"experiment.json"}
    assert set(files(out)) == expected
    assert [one.path for one in pool.kept] == [out / "pool-0" / one for one in names]
    for number, one in enumerate(pool.kept):
        said, before = record(one.path), record(out / "pool-0" / "stage-1" / names[number])
        assert said["stage"] == 2
        assert said["parent"]["from"] == f"stage-1/{names[number]}"
        assert said["train"]["additions"]["scope"]["target"]["kind"] == "fused"
        assert "additions" not in before["train"]
        assert "stage" not in before
        assert before["parent"]["from"] == "base.safetensors"
        assert said["train"]["how"]["seed"] != before["train"]["how"]["seed"]


def test_a_second_stage_is_a_fit_with_the_fused_scope_of_the_first(staged):
    _, out, (pool,) = staged
    before = sorted((out / "pool-0" / "stage-1").iterdir())
    target = fuse_scopes([scope_of(path) for path in before])
    network = pool.build()
    network.load_state_dict(load_file(before[1]))
    how = Fit(**record(pool.kept[1].path)["train"]["how"])
    added = Additions(penalties=(ScopeRegularizer(target, 1.0),))
    again = fit(network, pool.splits.train, how, additions=added)
    there = load_file(pool.kept[1].path)
    assert all(torch.equal(there[name], one) for name, one in again.state_dict().items())


@pytest.mark.full  # two processes import torch
def test_stages_are_the_same_bytes_with_workers(staged, tmp_path):
    experiment, out, _ = staged
    train_experiment(experiment, tmp_path, jobs=2)
    assert files(tmp_path) == files(out)


def test_stages_repeat_and_nothing_is_trained_twice(staged, tmp_path, monkeypatch):
    experiment, out, _ = staged
    train_experiment(experiment, tmp_path)
    assert files(tmp_path) == files(out)
    monkeypatch.setattr("stockpot.training.jobs.preparation.fit", None)
    train_experiment(experiment, tmp_path)
    (tmp_path / "pool-0" / "ingredient-01.safetensors").unlink()
    monkeypatch.undo()
    train_experiment(experiment, tmp_path)
    assert files(tmp_path) == files(out)


def test_another_number_of_stages_is_another_experiment(staged, small):
    with pytest.raises(OutputError, match=r"ingredients\.stages was 2"):
        train_experiment(small(), staged[1])


@pytest.mark.parametrize(
    "keys",
    [
        {"scope": {"target": "start"}},
        {"scope": {"target": "init", "weight": 0.01}},
        {"scope": {"target": {"kind": "constant", "std": 0.1}}},
        {"proximal": {"weight": 0.1}},
        {"in_merge": {"skip_first": 0, "layers": {"roles": ["matrix"]}}},
        {"averaging": {"kind": "ema", "decay": 0.9}},
        {"averaging": {"kind": "swa", "start": 0.1}},
        {"averaging": {"kind": "lawa", "last": 2}},
        {"averaging": {"kind": "fge", "start": 0.1, "cycle": 1}},
    ],
)
def test_each_key_does_something_and_is_recorded(keys, small, tmp_path):
    experiment = small(count=1, share="none", pretrain=None, **keys)
    (pool,) = train_experiment(experiment, tmp_path / "a")
    (plain,) = train_experiment(small(count=1, share="none", pretrain=None), tmp_path / "b")
    (name,) = keys
    assert name in record(pool.kept[0].path)["train"]["additions"]
    assert "additions" not in record(plain.kept[0].path)["train"]
    assert pool.kept[0].path.read_bytes()[-2000:] != plain.kept[0].path.read_bytes()[-2000:]
    again = parse_experiment(json.loads(json.dumps(experiment.resolved())))
    assert again == experiment
    kinds = keys.get("averaging", {}).get("kind")
    there = list((tmp_path / "a" / "pool-0").glob("snapshots/ingredient-00/*.safetensors"))
    assert len(there) == {"lawa": 2, "fge": 2}.get(kinds, 0)


def test_a_file_is_a_target_and_a_wrong_one_is_said(staged, small, tmp_path):
    _, out, _ = staged
    path = str(out / "pool-0" / "base.safetensors")
    keys = {"count": 1, "share": "none", "pretrain": None}
    target = {"kind": "file", "path": path}
    assert train_experiment(small(**keys, scope={"target": target}), tmp_path / "a")
    nowhere = small(**keys, scope={"target": {"kind": "file", "path": "no.safetensors"}})
    with pytest.raises(StockpotError, match="does not exist"):
        train_experiment(nowhere, tmp_path / "b")


def test_keys_that_mean_nothing_are_refused(small):
    for keys, said in [
        ({"scope": {"target": "fused"}}, "give stages: 2 or more"),
        ({"averaging": {"kind": "ema", "last": 3}}, "ema has no field 'last'"),
        ({"scope": {"target": "constant"}}, "needs std with kind: constant"),
        ({"scope": {"target": {"kind": "start", "path": "x"}}}, "needs path with kind: file"),
        ({"in_merge": {"q": 1}}, "unknown key 'q'"),
        ({"pretrain": {"scope": {"target": "fused"}}}, "nothing to fuse before a pool"),
    ]:
        with pytest.raises(FieldError, match=said):
            small(**keys)


def test_a_network_that_in_model_merging_would_leave_alone_is_refused(small, tmp_path):
    with pytest.raises(StockpotError, match="no tensor that Layers"):
        train_experiment(small(in_merge={}), tmp_path / "a")
    network = {"network": "cnn"}
    with pytest.raises(StockpotError, match="skips the first 10 layers"):
        train_experiment(small(network, in_merge={}), tmp_path / "b")


def test_tasks_take_additions_too(tmp_path):
    keys = {
        "network": {"name": "cnn"},
        "tasks": [{"name": "a", "data": "digits"}, {"name": "b", "data": "digits", "rotate": 90}],
        "split": {"selection": 0.2, "test": 0.5, "limit": 100},
        "ingredients": {
            "pretrain": {"epochs": 1, "averaging": {"kind": "swa", "start": 0.0}},
            "epochs": 1,
            "proximal": {},
            "scope": {"target": "start"},
            "in_merge": {"skip_first": 1},
            "averaging": {"kind": "ema"},
        },
    }
    (pool,) = train_experiment(parse_experiment(keys), tmp_path)
    assert set(record(pool.kept[0].path)["train"]["additions"]) == {
        "proximal", "scope", "in_merge", "averaging"
    }  # fmt: skip
    for scope in ("init", "fused"):
        keys["ingredients"]["scope"] = {"target": scope}
        with pytest.raises(FieldError, match=r"with tasks start or a constant|stages: 2"):
            parse_experiment(keys)
    keys["ingredients"]["scope"] = None
    with pytest.raises(FieldError, match="stages has no meaning with tasks"):
        parse_experiment({**keys, "ingredients": {**keys["ingredients"], "stages": 2}})


def test_a_network_with_batch_norm_trains_with_all_of_it(small, tmp_path):
    network = {"network": {"name": "resnet-8", "width": 4}, "split": {"limit": 60, "test": 0.5}}
    keys = {"in_merge": {"skip_first": 2}, "averaging": {"kind": "swa", "start": 0.1}}
    (pool,) = train_experiment(
        small(network, count=1, share="none", pretrain=None, **keys), tmp_path
    )
    build("resnet-8", num_classes=10, in_channels=1, image_size=8, width=4).load_state_dict(
        load_file(pool.kept[0].path)
    )
