"""Flower's strategies as baselines, and methods as its strategies; needs Flower's environment."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stockpot.errors import MergeError
from stockpot.experiments.federated import Federation, parse_federation
from stockpot.experiments.flower import STRATEGIES, FlowerStrategy
from stockpot.experiments.krum import MultiKrum
from stockpot.federated import Order, Reply, aggregate, federate, local
from stockpot.federated.rounds.client import learn
from stockpot.federated.rounds.server import resume
from stockpot.federated.setting import Setting
from stockpot.methods import Average, Fisher, Median, Slerp, Ties, TrimmedMean

pytestmark = pytest.mark.full


@pytest.fixture(autouse=True)
def _flower():
    pytest.importorskip("flwr", reason="Flower needs an environment of its own")


def state(seed):
    drawn = torch.Generator().manual_seed(seed)
    return {
        "a.weight": torch.randn(50, 3, generator=drawn),
        "bn.running_var": torch.rand(3, generator=drawn) + 0.5,
        "bn.num_batches_tracked": torch.tensor(seed),
    }


BASE = state(0)


def replies(count=5, round_=1):
    found = [Reply(k, round_, state(10 * round_ + k), 10 * (k + 1)) for k in range(count)]
    return [replace(one, statistics={"a.weight": one.state["a.weight"] ** 2}) for one in found]


def flowers(name, got, round_=1, **fields):
    from stockpot.federated.flower.baselines import Baseline

    return Baseline(FlowerStrategy(name, tuple(fields.items()))).merged(BASE, got, round_)


def close(one, other):
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        torch.testing.assert_close(tensor, other[name], rtol=1e-6, atol=5e-7)


@pytest.mark.parametrize(
    ("name", "fields", "rule"),
    [
        ("FedAvg", {}, Average()),
        ("FedAvgM", {}, Average()),
        ("FedMedian", {}, Median()),
        ("FedTrimmedAvg", {"beta": 0.2}, TrimmedMean(trim=0.2)),
        ("Krum", {"num_malicious_nodes": 1}, MultiKrum(byzantine=1, keep=1)),
    ],
)
def test_it_is_stockpot_s_own_to_float_rounding(name, fields, rule):
    found, own = flowers(name, replies(), **fields), aggregate(BASE, replies(), rule)
    if isinstance(rule, Average):
        close(found, own)
    else:  # stockpot averages statistics whatever the method, and copies the counter of one it kept
        close({"a.weight": found["a.weight"]}, {"a.weight": own["a.weight"]})


def test_momentum_is_remembered_from_round_to_round():
    from stockpot.federated.flower.baselines import Baseline

    strategy = Baseline(FlowerStrategy("FedAvgM", (("server_momentum", 0.5),)))
    first = strategy.merged(BASE, replies(), 1)
    second = strategy.merged(first, replies(round_=2), 2)
    steps = [
        start["a.weight"] - aggregate(start, got, Average())["a.weight"]
        for start, got in ((BASE, replies()), (first, replies(round_=2)))
    ]
    torch.testing.assert_close(first["a.weight"], BASE["a.weight"] - steps[0])
    torch.testing.assert_close(second["a.weight"], first["a.weight"] - (0.5 * steps[0] + steps[1]))


def test_adam_takes_flower_s_step():
    found = flowers("FedAdam", replies(), eta=0.01, beta_1=0.9, beta_2=0.99, tau=0.1)
    moved = aggregate(BASE, replies(), Average())["a.weight"] - BASE["a.weight"]
    rate = 0.01 * np.sqrt(1 - 0.99**2) / (1 - 0.9**2)
    step = rate * 0.1 * moved / ((0.01 * moved**2).sqrt() + 0.1)
    torch.testing.assert_close(found["a.weight"], BASE["a.weight"] + step)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_one_has_its_fields_and_aggregates(name):
    import flwr.serverapp.strategy as flower

    assert set(STRATEGIES[name]) <= set(inspect.signature(getattr(flower, name)).parameters)
    fields = {"num_malicious_nodes": 1} if "num_malicious_nodes" in STRATEGIES[name] else {}
    found = flowers(name, replies(7), **fields)
    assert list(found) == list(BASE)
    assert all(bool(one.isfinite().all()) for one in found.values())
    assert found["bn.num_batches_tracked"] == replies()[0].state["bn.num_batches_tracked"]


def test_what_flower_refuses_is_said():
    with pytest.raises(MergeError, match=r"flower:FedTrimmedAvg: `beta` must be in the range"):
        flowers("FedTrimmedAvg", replies(), beta=0.7)


def small(**federated) -> Federation:
    return parse_federation(
        {
            "network": {"name": "mlp", "width": 16},
            "data": "digits",
            "split": {"test": 0.3},
            "federated": {"clients": 4, "rounds": 3, "local": {"momentum": 0.9}, **federated},
        }
    )


def only_file(folder: Path) -> Path:
    (found,) = folder.rglob("*.safetensors")
    return found


def test_baselines_stand_in_the_same_table(tmp_path):
    names = ["average", "flower:FedAvg", {"name": "flower:FedAvgM", "server_momentum": 0.5}]
    runs = [{"aggregation": one} for one in names]
    outcome = federate(small(runs=runs), tmp_path, local)
    assert outcome.runs == ("fedavg", "fedavg flower:FedAvg", "fedavg flower:FedAvgM")
    own, flower, momentum = (outcome.curve(0.5, run) for run in outcome.runs)
    assert [one.value for one in own] == pytest.approx([one.value for one in flower], abs=0.003)
    assert own[1].value == pytest.approx(momentum[1].value, abs=0.003)
    assert own[-1] != momentum[-1]


def test_what_remembers_begins_again_to_the_bytes_of_an_unbroken_run(tmp_path):
    run = {"aggregation": {"name": "flower:FedAvgM", "server_momentum": 0.5}}
    for folder, rounds in (("broken", 2), ("broken", 3), ("whole", 3)):
        federate(small(runs=[run], rounds=rounds), tmp_path / folder, local)
    found = [only_file(tmp_path / name).read_bytes() for name in ("broken", "whole")]
    assert found[0] == found[1]
    setting = Setting(federation=small(runs=[run]), run=0, alpha=0.5, seed=0)
    server = setting.server()
    resume(server, only_file(tmp_path / "whole"), setting.made(), 3)
    assert server.done == 3


def strategy_of(rule, **options):
    from flwr.app import ConfigRecord

    from stockpot.federated.flower.records import arrays_of
    from stockpot.federated.flower.strategy import MethodStrategy

    strategy = MethodStrategy(rule, fraction_train=0.0, **options)
    strategy.configure_train(1, arrays_of(BASE), ConfigRecord(), None)
    return strategy


def answers(got, order):
    from flwr.app import MetricRecord, RecordDict

    from stockpot.federated.flower.baselines import Answer
    from stockpot.federated.flower.records import arrays_of

    found = []
    for reply in got:
        facts = MetricRecord({"num-examples": reply.examples, "loss": float(reply.client)})
        record = RecordDict({"weights": arrays_of(reply.state), "metrics": facts})
        record["statistics"] = arrays_of(reply.statistics)
        found.append(Answer(record, 100 + reply.client))
    return [found[k] for k in order]


@pytest.mark.parametrize(
    "rule", [Average(), Ties(density=0.4), Median(), MultiKrum(), Fisher()], ids=repr
)
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 1, 4, 0, 2]])
def test_a_method_is_a_strategy_whatever_the_order_of_answers(rule, order):
    from stockpot.federated.flower.records import state_of

    arrays, metrics = strategy_of(rule, seed=6).aggregate_train(1, answers(replies(), order))
    expected, found = aggregate(BASE, replies(), rule, seed=7), state_of(arrays)
    assert list(found) == list(expected)
    assert all(torch.equal(found[n], expected[n]) for n in expected)
    assert metrics["loss"] == pytest.approx(sum(k * (k + 1) for k in range(5)) / 15)


def test_a_strategy_leaves_out_what_does_not_count_and_keeps_the_model_without_any():
    from stockpot.federated.flower.records import state_of

    bad = replies()
    bad[1] = Reply(1, 1, {n: one * float("nan") for n, one in bad[1].state.items()}, 5)
    bad[3] = Reply(3, 1, {"other": torch.ones(2)}, 5)
    arrays, _ = strategy_of(Average()).aggregate_train(1, answers(bad, range(5)))
    good = [bad[k] for k in (0, 2, 4)]
    assert torch.equal(state_of(arrays)["a.weight"], aggregate(BASE, good, Average())["a.weight"])
    none = strategy_of(Average()).aggregate_train(1, answers([bad[1], bad[3]], range(2)))
    assert none == (None, None)
    assert strategy_of(Slerp()).aggregate_train(1, answers(good, range(3))) == (None, None)


class LateGrid:
    """Nodes in this process, of which some answer a round when the next one is under way."""

    def __init__(self, clients, late):
        self._clients, self._late, self._waiting = clients, late, []

    def get_node_ids(self):
        return range(len(self._clients))

    def send_and_receive(self, messages, *, timeout):
        from stockpot.federated.flower import records
        from stockpot.federated.flower.baselines import Answer
        from stockpot.federated.rounds.client import judged

        assert timeout == 3600
        found, self._waiting = self._waiting, []
        for message in messages:
            node, order = message.metadata.dst_node_id, records.order_from(message.content)
            client = self._clients[node]
            if message.metadata.message_type == "evaluate":
                found.append(Answer(records.score_record(judged(client, order, {})), node))
                continue
            answer = Answer(records.reply_record(learn(client, order, {})[0]), node)
            late = (node, order.round) in self._late
            (self._waiting if late else found).append(answer)
        if messages and messages[0].metadata.message_type == "evaluate":
            found, self._waiting = found[-len(messages) :], [*found[: -len(messages)]]
        return found


@pytest.mark.parametrize("late", [{(1, 1)}, {(0, 1), (1, 1)}, {(1, 1), (1, 2)}])
def test_a_late_answer_enters_no_later_round(late, monkeypatch):
    from flwr.supercore.task_identity import TaskIdentity

    from stockpot.federated.flower.apps import _Room

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    setting = Setting(federation=small(clients=3), run=0, alpha=0.5, seed=0)
    server, clients = setting.server(), setting.clients()
    room = _Room(LateGrid(clients, late), setting)
    server.note_scores(room.introduce(server))
    expected = dict(server.state)
    for round_ in (1, 2, 3):
        on_time = [k for k in range(3) if (k, round_) not in late]
        order = Order(round_, expected)
        heard = [learn(clients[k], order, {})[0] for k in on_time]
        server.close(*room.learn(server))
        expected = aggregate(expected, heard, Average())
        dropped = server.rounds[-1].dropped
        assert [one.client for one in dropped] == [k for k in range(3) if k not in on_time]
        assert all(one.reason == "it did not answer within 3600 s" for one in dropped)
        assert all(torch.equal(server.state[n], expected[n]) for n in expected)
