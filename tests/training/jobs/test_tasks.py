"""Experiments with tasks: what is trained from what, how long, and with which bytes."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from stockpot.data import Dataset, Rotate, load, split
from stockpot.errors import CheckpointError, FieldError, OutputError, StockpotError
from stockpot.experiments.experiment import parse_experiment
from stockpot.networks import load_task
from stockpot.training import Fit, compare_experiment, train_experiment
from stockpot.training.fitting import jointly as joint_module
from stockpot.training.fitting.jointly import fit_jointly
from stockpot.training.fitting.loop import fit
from stockpot.training.jobs.tasks import open_tasks

TASKS = [
    {"name": "plain", "data": "digits", "limit": 200},
    {"name": "turned", "data": "digits", "limit": 150, "rotate": 90, "epochs": 3},
]


def crossed(top=None, tasks=TASKS, **ingredients):
    made = {"epochs": 2, "lr": 0.01, "pretrain": {"epochs": 1, "lr": 0.01}, **ingredients}
    keys = {
        "network": {"name": "mlp", "width": 8},
        "tasks": tasks,
        "split": {"selection": 0.2, "test": 0.5},
        "ingredients": {key: value for key, value in made.items() if value is not None},
    }
    return parse_experiment(keys | (top or {}))


def files(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


class Stop(Exception):
    """Stands for a kill between two epochs."""


def broken_off(experiment, out, name):
    """What a run leaves that was stopped when one network had an epoch, and then went on."""

    def stop(what, done):
        if name in what and (out / "work" / f"pool-0.{name}.train.pt").exists():
            raise Stop

    with pytest.raises(Stop):
        train_experiment(experiment, out, progress=stop)
    assert not (out / "pool-0" / f"{name}.safetensors").exists()
    train_experiment(experiment, out)
    return files(out)


def state(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping


def record(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["stockpot.ingredient"])


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    out = tmp_path_factory.mktemp("tasks")
    return crossed(), out, train_experiment(crossed(), out)


def test_a_pool_is_a_start_a_network_for_each_task_and_one_for_all(ran):
    _, out, (pool,) = ran
    names = {"base", "plain", "turned", "joint"}
    assert set(files(out)) == {f"pool-0/{one}.safetensors" for one in names} | {"experiment.json"}
    assert [one.name for one in pool.kept] == ["plain", "turned"]
    assert (pool.base.stem, pool.joint.stem) == ("base", "joint")
    listed = json.loads((out / "experiment.json").read_text())["pools"][0]
    assert listed["joint"] == "pool-0/joint.safetensors"
    assert [one["task"]["name"] for one in listed["ingredients"]] == ["plain", "turned"]


def test_an_ingredient_starts_from_the_common_body_and_its_head(ran):
    _, _, (pool,) = ran
    for one in pool.kept:
        start = load_task(one.build(), pool.base, one.name)
        again = fit(start, one.splits.train, Fit(**record(one.path)["train"]["how"])).state_dict()
        there = state(one.path)
        assert all(torch.equal(again[name], there[name]) for name in there)
    assert [record(one.path)["train"]["how"]["epochs"] for one in pool.kept] == [2, 3]


def test_views_of_one_data_set_have_one_split(ran):
    _, _, (pool,) = ran
    plain, turned = (one.splits for one in pool.kept)
    assert (len(plain.train), len(turned.train)) == (199, 149)  # about 200 and 150
    assert torch.equal(plain.test.originals, turned.test.originals)
    assert torch.equal(Rotate(degrees=90)(plain.test).inputs, turned.test.inputs)


def test_the_joint_network_takes_the_steps_and_sees_the_samples_of_all(ran, monkeypatch):
    experiment, _, _ = ran
    tasks, seen, steps = open_tasks(experiment), {"plain": [], "turned": []}, []
    data = {task: cell.splits.train for task, cell in tasks.cells.items()}
    kept = joint_module.inputs_of

    def noting(part, index_B, *rest):
        seen["plain" if part is data["plain"] else "turned"].append(index_B)
        return kept(part, index_B, *rest)

    monkeypatch.setattr(joint_module, "inputs_of", noting)
    loss = joint_module._Lessons.loss
    monkeypatch.setattr(
        joint_module._Lessons, "loss", lambda *a: steps.append(len(a[2])) or loss(*a)
    )
    start = tasks.together({task: cell.network(0) for task, cell in tasks.cells.items()})
    fit_jointly(start, data, Fit(epochs=3, batch_size=64), {"plain": 2, "turned": 3})
    assert len(steps) == 2 * 4 + 3 * 3
    assert max(steps) - min(steps) <= 2
    for task, times in (("plain", 2), ("turned", 3)):
        counts = torch.bincount(torch.cat(seen[task]), minlength=len(data[task]))
        assert counts.tolist() == [times] * len(data[task])


def test_frozen_heads_stay_as_the_joint_pretraining_left_them(tmp_path):
    (pool,) = train_experiment(crossed(heads="frozen"), tmp_path)
    base = state(pool.base)
    for one in pool.kept:
        own = state(one.path)
        assert torch.equal(own["head.weight"], base[f"{one.name}::head.weight"])
        assert not all(torch.equal(own[n], base[n]) for n in own if not n.startswith("head."))
    joint = state(pool.joint)
    assert all(torch.equal(joint[name], base[name]) for name in base if "::" in name)


@pytest.mark.parametrize("share", ["init", "none"])
def test_without_pretraining_bodies_start_random_together_or_apart(share, tmp_path):
    (pool,) = train_experiment(crossed(share=share, pretrain=None), tmp_path)
    digests = {record(one.path)["parent"]["digest"] for one in pool.kept}
    assert len(digests) == 2
    start = [load_task(one.build(), pool.base, one.name).state_dict() for one in pool.kept]
    assert torch.equal(start[0]["body.1.weight"], start[1]["body.1.weight"])
    assert not torch.equal(start[0]["head.weight"], start[1]["head.weight"])
    origin = {record(one.path)["parent"]["from"] for one in pool.kept}
    assert origin == ({"base.safetensors"} if share == "init" else {"random weights"})


def test_given_weights_are_the_body_and_heads_are_new(ran, tmp_path):
    weights = str(ran[2][0].kept[0].path)
    (pool,) = train_experiment(crossed(weights=weights, pretrain=None), tmp_path)
    given, base = state(ran[2][0].kept[0].path), state(pool.base)
    assert all(torch.equal(given[n], base[n]) for n in base if "::" not in n)
    assert not torch.equal(given["head.weight"], base["plain::head.weight"])


def test_networks_that_exist_are_taken_as_they_are(ran, tmp_path):
    _, _, (made,) = ran
    tasks = [{"name": one.name, "data": "digits", "weights": str(one.path)} for one in made.kept]
    experiment = crossed(
        {"compare": {"methods": ["uniform-soup"]}},
        tasks=tasks,
        pretrain=None,
        weights=str(made.kept[0].path),
    )
    found = compare_experiment(experiment, tmp_path)
    (pool,) = train_experiment(experiment, tmp_path)
    assert pool.joint is None
    for given, kept in zip(made.kept, pool.kept, strict=True):
        there, here = state(given.path), state(kept.path)
        assert there.keys() == here.keys()
        assert all(torch.equal(there[name], here[name]) for name in there)
        assert record(kept.path)["parent"]["from"] == str(given.path)
    assert {row.method for row in found.rows} == {"individual", "uniform-soup"}
    wrong = [tasks[0], tasks[1] | {"weights": str(made.base)}]
    experiment = crossed(tasks=wrong, pretrain=None, weights=str(made.kept[0].path))
    with pytest.raises(CheckpointError, match="does not fit"):
        train_experiment(experiment, tmp_path / "b")


def test_two_at_once_give_the_same_bytes_and_a_broken_run_goes_on(ran, tmp_path):
    experiment, out, _ = ran
    train_experiment(experiment, tmp_path / "two", jobs=2)
    assert files(tmp_path / "two") == files(out)
    assert broken_off(experiment, tmp_path / "on", "joint") == files(out)


def test_nothing_is_trained_twice_and_another_experiment_is_refused(ran, monkeypatch):
    experiment, out, _ = ran
    before = files(out)
    monkeypatch.setattr("stockpot.training.jobs.preparation.fit", None)
    monkeypatch.setattr("stockpot.training.jobs.task_preparation.fit_jointly", None)
    train_experiment(experiment, out)
    assert files(out) == before
    with pytest.raises(OutputError, match=r"ingredients\.heads was 'trained' and is 'frozen'"):
        train_experiment(crossed(heads="frozen"), out)


def test_a_run_of_before_there_was_a_key_goes_on(ran, monkeypatch):
    experiment, out, _ = ran
    listing = out / "experiment.json"
    content = json.loads(listing.read_text())
    for task in content["experiment"]["tasks"]:
        del task["weights"]
    listing.write_text(json.dumps(content))
    monkeypatch.setattr("stockpot.training.jobs.preparation.fit", None)
    monkeypatch.setattr("stockpot.training.jobs.task_preparation.fit_jointly", None)
    train_experiment(experiment, out)
    assert "weights" in json.loads(listing.read_text())["experiment"]["tasks"][0]


def test_compared_the_table_has_all_baselines(ran):
    _, out, _ = ran
    found = compare_experiment(crossed({"compare": {"counts": [2]}}), out)
    methods = {"individual", "joint", "base", "uniform-soup", "logits-ensemble"}
    assert {row.method for row in found.rows} == methods
    assert {row.data for row in found.rows} == {"all-tasks", "plain", "turned"}
    assert {row.split for row in found.rows} == {"selection", "test"}


def test_adamerging_is_read_run_and_read_back(ran):
    _, out, _ = ran
    column = {"name": "adamerging", "level": "task", "vectors": "ties", "steps": 2, "density": 0.5}
    experiment = crossed({"compare": {"methods": ["adamerging", column]}})
    assert parse_experiment(experiment.resolved()).resolved() == experiment.resolved()
    few = crossed({"compare": {"methods": [column | {"inputs": "selection"}, column]}})
    found = compare_experiment(few, out)
    kinds = {row.method: row.kind for row in found.rows if row.method.startswith("adamerging")}
    assert kinds == {
        "adamerging inputs=selection": "merge",
        "adamerging inputs=test": "test-time-adaptation",
    }


def test_private_tensors_beside_the_head(tmp_path):
    (pool,) = train_experiment(crossed(private=["body.1.*"]), tmp_path)
    assert "plain::body.1.weight" in state(pool.base)
    assert record(pool.kept[0].path)["private"] == [
        "body.1.bias",
        "body.1.weight",
        "head.bias",
        "head.weight",
    ]


def test_tasks_of_different_shape_are_refused_and_size_mends_it(tmp_path):
    tasks = [{"name": "small", "data": "digits"}, {"name": "large", "data": "digits", "size": 12}]
    with pytest.raises(StockpotError, match=r"small \(1, 8, 8\), large \(1, 12, 12\)"):
        train_experiment(crossed(tasks=tasks), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    tasks[0] |= {"size": 12, "channels": 3, "judge_limit": 100}
    tasks[1] |= {"channels": 3, "invert": True, "shift": {"down": 1}}
    small, large = open_tasks(crossed(tasks=tasks)).cells.values()
    assert small.splits.test.inputs.shape[1:] == large.splits.test.inputs.shape[1:] == (3, 12, 12)
    assert len(small.splits.test) == len(small.splits.selection) == 100


@pytest.mark.parametrize(
    ("top", "made", "words"),
    [
        ({"data": "digits"}, {}, "data has no meaning with tasks"),
        ({}, {"count": 3}, "ingredients.count has no meaning with tasks"),
        ({}, {"vary": {"lr": [0.1]}}, "ingredients.vary has no meaning"),
        ({}, {"part": {"classes": [1]}}, "ingredients.part has no meaning"),
        ({"compare": {"subsets": 2}}, {}, "compare.subsets has no meaning"),
        ({"compare": {"counts": [3]}}, {}, r"at most the number of tasks, 2; got 3"),
        ({"compare": {"counts": [1]}}, {}, "at least 2"),
        ({"compare": {"methods": ["greedy-soup"]}}, {}, "of networks of one task"),
        ({"compare": {"methods": ["adamergin"]}}, {}, "did you mean 'adamerging'"),
        ({"compare": {"methods": [{"name": "adamerging", "lvl": "task"}]}}, {}, "level"),
        ({"compare": {"methods": [{"name": "adamerging", "steps": -1}]}}, {}, "steps must be"),
        ({}, {"heads": "frozen", "pretrain": None, "share": "init"}, "frozen ones need a pretrain"),
        ({}, {"share": "none"}, "start from nothing"),
        ({"tasks": TASKS[:1]}, {}, "two or more"),
        (
            {
                "tasks": [TASKS[0] | {"name": n, "weights": n} for n in "ab"],
                "compare": {"seeds": 2},
            },
            {"weights": "c", "pretrain": None},
            "pools would be copies",
        ),
        ({"tasks": [one | {"weights": "x"} for one in TASKS]}, {}, "turned: with weights nothing"),
        (
            {"tasks": [TASKS[0] | {"name": n, "weights": n} for n in "ab"]},
            {},
            "what they were fine",
        ),
        ({"tasks": [TASKS[0], TASKS[0]]}, {}, "'plain' stands twice"),
        ({"tasks": [TASKS[0], {"name": "joint", "data": "digits"}]}, {}, "none of base, joint"),
        ({"tasks": [TASKS[0], {"name": "a/b", "data": "digits"}]}, {}, "letters, digits"),
        ({"tasks": [TASKS[0], {"name": "b", "data": "digits", "rotat": 9}]}, {}, "rotate"),
    ],
)
def test_what_has_no_meaning_with_tasks_is_refused(top, made, words):
    with pytest.raises(FieldError, match=words):
        crossed(top, **made)


def test_heads_and_private_need_tasks_and_tasks_read_back():
    keys = {"network": "mlp", "data": "digits"}
    for own in ({"heads": "frozen"}, {"private": ["x"]}):
        with pytest.raises(FieldError, match="for experiments with tasks"):
            parse_experiment(keys | {"ingredients": own})
    with pytest.raises(FieldError, match="adamerging is for experiments with tasks"):
        parse_experiment(keys | {"compare": {"methods": ["adamerging"]}})
    one = crossed()
    assert parse_experiment(one.resolved()).resolved() == one.resolved()
    assert "tasks" not in parse_experiment(keys).resolved()


def test_a_domain_is_taken_after_the_split(monkeypatch):
    made = load("digits").train
    two = Dataset(
        "two", made.inputs, made.labels, 10, made.originals // 2, (), ("a", "b"), made.originals % 2
    )
    monkeypatch.setattr("stockpot.training.jobs.tasks.load", lambda spec: _collection(two))
    tasks = [{"name": d, "data": "digits", "domain": d} for d in ("a", "b")]
    a, b = open_tasks(crossed({"seed": 5}, tasks=tasks)).cells.values()
    whole = split(_collection(two), selection=0.2, test=0.5, seed=5)
    assert set(a.splits.test.originals.tolist()) <= set(whole.test.originals.tolist())
    assert not set(a.splits.test.originals.tolist()) & set(b.splits.train.originals.tolist())


def _collection(data):
    from stockpot.data import Collection

    return Collection(data)


THREE = [*TASKS, {"name": "dark", "data": "digits", "limit": 100, "invert": True}]


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory):
    out = tmp_path_factory.mktemp("in-turn")
    experiment = crossed(tasks=THREE, start="previous")
    return experiment, out, train_experiment(experiment, out)


def test_tasks_in_turn_go_on_from_the_body_before_with_their_own_head(in_turn):
    _, _, (pool,) = in_turn
    before = None
    for one in pool.kept:
        start = load_task(one.build(), pool.base, one.name)
        if before:
            body = {n: t for n, t in state(before.path).items() if not n.startswith("head.")}
            start.load_state_dict({**start.state_dict(), **body})
        again = fit(start, one.splits.train, Fit(**record(one.path)["train"]["how"])).state_dict()
        there = state(one.path)
        assert all(torch.equal(again[name], there[name]) for name in there)
        origin = record(one.path)["parent"]["from"]
        assert origin == (before.path.name if before else "base.safetensors")
        before = one


def test_the_first_task_and_the_joint_network_are_those_of_a_shared_start(in_turn, tmp_path):
    _, _, (pool,) = in_turn
    (apart,) = train_experiment(crossed(tasks=THREE), tmp_path)
    for one, other in ((pool.base, apart.base), (pool.joint, apart.joint)):
        assert all(torch.equal(t, state(other)[n]) for n, t in state(one).items())
    first, second = (
        [torch.equal(state(a.path)[n], t) for n, t in state(b.path).items()]
        for a, b in zip(pool.kept[:2], apart.kept[:2], strict=True)
    )
    assert all(first)
    assert not any(second)


def test_in_turn_with_workers_and_broken_off_the_bytes_are_the_same(in_turn, tmp_path):
    experiment, out, _ = in_turn
    train_experiment(experiment, tmp_path / "two", jobs=2)
    assert files(tmp_path / "two") == files(out)
    assert broken_off(experiment, tmp_path / "on", "turned") == files(out)


def test_a_task_that_was_changed_is_noticed_by_the_next(in_turn, tmp_path):
    experiment, out, _ = in_turn
    for name, content in files(out).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    first = tmp_path / "pool-0" / "plain.safetensors"
    tensors = state(first)
    tensors["body.1.bias"] += 1
    save_file(tensors, first, {"stockpot.ingredient": json.dumps(record(first))})
    with pytest.raises(
        OutputError, match=r"turned\.safetensors was made otherwise: parent\.digest"
    ):
        train_experiment(experiment, tmp_path)


def test_private_tensors_stay_each_tasks_own_in_turn(tmp_path):
    (pool,) = train_experiment(crossed(start="previous", private=["body.1.*"]), tmp_path)
    one = pool.kept[1]
    start = load_task(one.build(), pool.base, one.name)
    body = {
        n: t for n, t in state(pool.kept[0].path).items() if n not in record(one.path)["private"]
    }
    start.load_state_dict({**start.state_dict(), **body})
    again = fit(start, one.splits.train, Fit(**record(one.path)["train"]["how"])).state_dict()
    assert all(torch.equal(again[name], t) for name, t in state(one.path).items())


def test_in_turn_the_table_shows_what_is_forgotten(in_turn):
    _, out, (pool,) = in_turn
    compare = {"counts": [2, 3], "methods": ["uniform-soup", "ties"]}
    experiment = crossed({"compare": compare}, tasks=THREE, start="previous")
    found = compare_experiment(experiment, out)
    rows = [row for row in found.rows if row.method == "sequential"]
    assert {row.kind for row in rows} == {"control"}
    at = {
        (row.method, row.n, row.data): row.value
        for row in found.rows
        if (row.split, row.metric) == ("test", "accuracy")
    }
    for n, task in ((2, "turned"), (3, "dark")):  # what was trained last is as it was
        assert at["sequential", n, task] == at["individual", n, task]
    first, last = pool.kept[0], pool.kept[-1]
    network, body = first.network, state(last.path)
    network.load_state_dict(
        {n: t if n.startswith("head.") else body[n] for n, t in network.state_dict().items()}
    )
    test = first.splits.test
    with torch.no_grad():
        right = network(test.images).argmax(1) == test.labels
    assert at["sequential", 3, "plain"] == pytest.approx(float(right.double().mean()))
    assert ("ties", "sequential") in {(one.a, one.b) for one in found.differences}
    assert "sequential" not in found.conclusion.partition(".")[0]
    assert "the body that the one before it has left" in dict(found.facts)["start"]


def test_in_turn_is_for_tasks_with_a_start_in_common():
    with pytest.raises(FieldError, match="no start in common"):
        crossed(start="previous", share="none", pretrain=None)
    given = [TASKS[0], {"name": "given", "data": "digits", "weights": "w.safetensors"}]
    with pytest.raises(FieldError, match="goes on from no other task"):
        crossed(tasks=given, start="previous")
    keys = {"network": "mlp", "data": "digits", "ingredients": {"start": "previous"}}
    with pytest.raises(FieldError, match="start are for experiments with tasks"):
        parse_experiment(keys)
    one = crossed(start="previous")
    assert parse_experiment(one.resolved()).resolved() == one.resolved()
    assert "start" not in crossed().resolved()["ingredients"]


def test_tasks_of_some_classes_of_one_data_set():
    tasks = [
        {"name": "low", "data": "digits", "classes": [0, 1, 2]},
        {"name": "rest", "data": "digits", "classes": [3, 4, 5, 6, 7, 8, 9], "judge_limit": 50},
    ]
    experiment = crossed(tasks=tasks)
    low, rest = (cell.splits for cell in open_tasks(experiment).cells.values())
    assert set(low.train.labels.tolist()) == set(low.test.labels.tolist()) == {0, 1, 2}
    assert set(rest.train.labels.tolist()) == set(range(3, 10))
    assert low.train.num_classes == rest.train.num_classes == 10
    assert len(low.train) + len(rest.train) == len(split(load("digits"), selection=0.2,
                                                         test=0.5, seed=0).train)  # fmt: skip
    assert 45 < len(rest.test) <= 50  # about so many
    assert parse_experiment(experiment.resolved()).resolved() == experiment.resolved()
    assert "classes" not in crossed().resolved()["tasks"][0]
    wrong = [tasks[0], tasks[1] | {"classes": [10]}]
    with pytest.raises(StockpotError, match=r"classes 0 to 9; got \[10\]"):
        open_tasks(crossed(tasks=wrong))
