"""Rounds in this process: they repeat, resume, drop what fails, and do what each algorithm says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import stockpot as sp
from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import OutputError, StockpotError
from stockpot.experiments.federated import Federation
from stockpot.federated import driver as driving
from stockpot.federated import federate, local
from stockpot.federated.experiment import Told
from stockpot.federated.rounds.client import Client, private
from stockpot.federated.rounds.messages import Order, Reply, bytes_of
from stockpot.federated.setting import Setting, setting_from
from stockpot.methods import Fisher
from stockpot.networks import build, load_weights

Small = Callable[..., Federation]


def only_file(folder: Path) -> Path:
    (found,) = folder.rglob("*.safetensors")
    return found


def setting(federation: Federation, run: int = 0) -> Setting:
    return Setting(federation=federation, run=run, alpha=federation.alphas[0], seed=federation.seed)


def test_it_learns_and_the_file_is_a_checkpoint_of_the_network(small: Small, tmp_path: Path):
    outcome = federate(small(rounds=8, alpha=10), tmp_path, local)
    (trace,) = outcome.traces
    assert trace.rounds[0].accuracy < 0.3 < 0.75 < trace.rounds[-1].accuracy
    network = build("mlp", num_classes=10, in_channels=1, image_size=8, width=16)
    load_weights(network, only_file(tmp_path))
    clients = setting(small(alpha=10)).clients()
    right = sum(
        int((network(c.holding.test.images).argmax(1) == c.holding.test.labels).sum())
        for c in clients
    )
    assert right / sum(len(c.holding.test) for c in clients) == trace.rounds[-1].accuracy


def test_the_same_experiment_gives_the_same_bytes_and_another_seed_others(
    small: Small, tmp_path: Path
):
    for name in ("a", "b"):
        federate(small(participation=0.5), tmp_path / name, local)
    first, again = (only_file(tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == again
    other = replace(small(participation=0.5), seed=1)
    federate(other, tmp_path / "c", local)
    assert only_file(tmp_path / "c").read_bytes() != first


@pytest.mark.parametrize("run", ["wsa", "fedbn", {"client": "fedbn", "aggregation": "fisher"}])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_what_is_broken_off_goes_on_to_the_same_bytes(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any, stop: int
):
    federation = small(network={"name": "cnn", "width": 4}, runs=[run], participation=0.75)
    federate(federation, tmp_path / "whole", local)
    learned: list[int] = []
    real = driving.learn

    def killed(client: Client, order: Order, own: dict[str, torch.Tensor]):
        if order.round == stop and client.number >= 2:
            raise KeyboardInterrupt
        learned.append(order.round)
        return real(client, order, own)

    monkeypatch.setattr(driving, "learn", killed)
    with pytest.raises(KeyboardInterrupt):
        federate(federation, tmp_path / "broken", local)
    monkeypatch.setattr(driving, "learn", real)
    kept = only_file(tmp_path / "broken").read_bytes()
    assert kept != only_file(tmp_path / "whole").read_bytes()
    federate(federation, tmp_path / "broken", local)
    assert only_file(tmp_path / "broken").read_bytes() == only_file(tmp_path / "whole").read_bytes()


def test_more_rounds_go_on_and_another_experiment_is_refused(small: Small, tmp_path: Path):
    federate(small(rounds=2), tmp_path / "a", local)
    federate(small(rounds=4), tmp_path / "a", local)
    federate(small(rounds=4), tmp_path / "b", local)
    assert only_file(tmp_path / "a").read_bytes() == only_file(tmp_path / "b").read_bytes()
    fewer = federate(small(rounds=2), tmp_path / "a", local)
    assert len(fewer.traces[0].rounds) == 3
    with pytest.raises(OutputError, match=r"local.lr was 0.05 and is 0.1"):
        federate(small(local={"lr": 0.1, "epochs": 2, "momentum": 0.9}), tmp_path / "a", local)


def test_a_client_that_fails_or_lies_is_dropped_and_the_round_goes_on(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = driving.learn

    def faulty(client: Client, order: Order, own: dict[str, torch.Tensor]):
        reply, kept = real(client, order, own)
        if client.number == 0 and order.round == 1:
            raise StockpotError("its disk is full.")
        if client.number == 1:
            state = {n: one * float("nan") for n, one in reply.state.items()}
            return Reply(1, reply.round, state, reply.examples, reply.scopes), kept
        if client.number == 2 and order.round == 2:
            return Reply(2, reply.round, {}, reply.examples), kept
        return reply, kept

    monkeypatch.setattr(driving, "learn", faulty)
    rounds = federate(small(), tmp_path, local).traces[0].rounds
    assert [[d.client for d in one.dropped] for one in rounds] == [[], [0, 1], [1, 2], [1]]
    assert rounds[1].dropped[0].reason == "it failed: its disk is full."
    assert "holds NaN" in rounds[1].dropped[1].reason
    assert "has no" in rounds[2].dropped[1].reason
    assert rounds[-1].accuracy > rounds[0].accuracy
    state = {n: e.load() for n, e in read_checkpoint(only_file(tmp_path)).entries.items()}
    assert all(bool(one.isfinite().all()) for one in state.values())


def test_without_a_reply_that_counts_the_global_model_stays(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def failing(client: Client, order: Order, own: dict[str, torch.Tensor]):
        raise StockpotError("no.")

    monkeypatch.setattr(driving, "learn", failing)
    rounds = federate(small(rounds=1), tmp_path, local).traces[0].rounds
    assert rounds[1].note == "no reply counts: the global model stays"
    assert rounds[1].accuracy == rounds[0].accuracy
    assert rounds[1].sent_up == 0 < rounds[1].sent_down


def test_too_few_replies_for_the_rule_change_nothing_and_are_said(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = driving.learn

    def one_fails(client: Client, order: Order, own: dict[str, torch.Tensor]):
        if client.number == 0:
            raise StockpotError("no.")
        return real(client, order, own)

    monkeypatch.setattr(driving, "learn", one_fails)
    krum = {"client": "fedavg", "aggregation": {"name": "multi-krum", "byzantine": 1}}
    rounds = federate(small(clients=5, rounds=1, runs=[krum]), tmp_path, local).traces[0].rounds
    assert "at least 5 models; there are 4" in rounds[1].note
    assert rounds[1].accuracy == rounds[0].accuracy


def test_participants_are_drawn_and_bytes_are_counted(small: Small, tmp_path: Path):
    federation = small(clients=6, rounds=6, participation=0.5, runs=["fedavg", "wsa"])
    outcome = federate(federation, tmp_path, local)
    plain, pulled = outcome.traces
    assert {len(one.participants) for one in plain.rounds[1:]} == {3}
    assert len({one.participants for one in plain.rounds[1:]}) > 2
    size = bytes_of(setting(federation).server().state)
    layers = len(plain.rounds[0].scopes)
    assert {one.sent_down for one in plain.rounds[1:]} == {3 * size}
    assert {one.sent_up for one in plain.rounds[1:]} == {3 * (size + 16 * layers)}
    assert {one.sent_down for one in pulled.rounds[1:]} == {3 * (size + 16 * layers)}


def test_penalties_of_weight_0_are_fedavg_and_others_are_not(small: Small, tmp_path: Path):
    runs = [
        "fedavg",
        {"client": "fedprox", "proximal": 0.0, "name": "p0"},
        {"client": "wsa", "scope": 0.0, "name": "s0"},
        {"client": "fedprox", "proximal": 1.0, "name": "p1"},
        {"client": "wsa", "scope": 1.0, "name": "s1"},
        {"client": "wsa-fedprox", "scope": 1.0, "proximal": 1.0, "name": "both"},
    ]
    federate(small(rounds=1, runs=runs), tmp_path, local)

    def weights(name: str):
        entries = read_checkpoint(next((tmp_path / "alpha-0.5" / name).iterdir())).entries
        return torch.cat([entries[name].load().flatten() for name in sorted(entries)])

    start = setting(small()).server().state
    begun = torch.cat([start[name].flatten() for name in sorted(start)])
    moved = {n: (weights(n) - begun).norm().item() for n in ("fedavg", "p0", "s0", "p1", "both")}
    assert torch.equal(weights("p0"), weights("fedavg"))
    assert torch.equal(weights("s0"), weights("fedavg"))
    assert moved["p1"] < 0.9 * moved["fedavg"]
    assert not torch.equal(weights("s1"), weights("fedavg"))
    assert len({weights(n).sum().item() for n in ("fedavg", "p1", "s1", "both")}) == 4


def test_wsa_holds_scopes_to_the_fused_one(small: Small, tmp_path: Path):
    runs = ["fedavg", {"client": "wsa", "scope": 3.0}]
    local_ = {"epochs": 4, "lr": 0.02, "momentum": 0.9}
    plain, pulled = federate(small(rounds=3, runs=runs, local=local_), tmp_path, local).traces

    def drift(trace):
        first, last = trace.rounds[0].scopes, trace.rounds[-1].scopes
        return max(abs(last[n].std / first[n].std - 1) for n in first)

    assert drift(pulled) < 0.5 * drift(plain)


def test_fedbn_keeps_norm_layers_with_their_clients(small: Small, tmp_path: Path):
    federation = small(network={"name": "cnn", "width": 4}, runs=["fedbn"], rounds=2)
    federate(federation, tmp_path, local)
    network = build("cnn", num_classes=10, in_channels=1, image_size=8, width=4)
    kept = private(federation.federated.runs[0], network)
    assert len(kept) == 6
    assert set(setting(federation).server().state) == set(network.state_dict()) - kept
    entries = read_checkpoint(only_file(tmp_path)).entries
    own = [[entries[f"client-{c}/{n}"].load() for n in sorted(kept)] for c in range(4)]
    assert not torch.equal(own[0][0], own[1][0])
    with pytest.raises(StockpotError, match="no normalisation layers"):
        federate(small(runs=["fedbn"]), tmp_path / "mlp", local)


def test_lora_clients_send_factors_alone(small: Small, tmp_path: Path):
    runs = [{"client": "fedavg", "lora": {"rank": 2}}]
    federation = small(
        runs=runs, rounds=6, alpha=10, local={"epochs": 4, "lr": 0.1, "momentum": 0.9}
    )
    (trace,) = federate(federation, tmp_path, local).traces
    assert trace.rounds[-1].sent_up < 0.4 * trace.rounds[-1].sent_down
    assert trace.rounds[-1].accuracy > trace.rounds[0].accuracy + 0.2
    start = setting(federation).server().state
    end = {n: e.load() for n, e in read_checkpoint(only_file(tmp_path)).entries.items()}
    still = [name for name in start if torch.equal(start[name], end[name])]
    assert still == [name for name in start if start[name].ndim == 1]


def test_a_refactored_round_changes_the_model_by_the_clients_rank(small: Small, tmp_path: Path):
    runs = [{"lora": {"rank": 2}}, {"lora": {"rank": 2, "merge": "refactored"}}]
    federation = small(runs=runs, rounds=1, alpha=10)
    assert federation.federated.names == ("fedavg lora-2", "fedavg lora-2 refactored")
    federate(federation, tmp_path, local)
    start = setting(federation).server().state
    ranks = [
        {
            int(torch.linalg.matrix_rank(entry.load() - start[name], rtol=1e-4))
            for name, entry in read_checkpoint(path).entries.items()
            if entry.load().ndim == 2
        }
        for path in sorted(tmp_path.rglob("*.safetensors"))
    ]
    assert ranks == [{8}, {2}]


def test_fisher_clients_send_the_information_of_what_they_learned(small: Small, tmp_path: Path):
    """The next global model is the merge of what they send, weighed by their examples too."""
    federation = small(runs=["fedavg", {"aggregation": "fisher"}], rounds=4, alpha=10)
    average, weighed = federate(federation, tmp_path, local).traces
    assert weighed.rounds[1].sent_up > 1.9 * average.rounds[1].sent_up
    assert weighed.rounds[-1].accuracy > weighed.rounds[0].accuracy + 0.2
    one = setting(small(runs=[{"aggregation": "fisher"}]))
    server, clients = one.server(), one.clients()
    heard = [driving.learn(client, server.order(), {})[0] for client in clients]
    server.close(heard[:])
    expected = sp.merge(
        [reply.state for reply in heard],
        Fisher(),
        weights=[reply.examples for reply in heard],
        statistics=[reply.statistics for reply in heard],
    )
    assert all(torch.allclose(server.state[name], expected[name]) for name in expected)
    lacking = Reply(0, 2, heard[0].state, heard[0].examples, heard[0].scopes)
    server.close([lacking])
    assert "statistics[0] holds no tensors" in server.rounds[-1].note


def test_a_setting_travels_as_text(small: Small):
    wanted = small(
        runs=["wsa", {"client": "fedavg", "aggregation": {"name": "ties", "density": 0.4}}]
    )
    one = setting(wanted, run=1)
    assert setting_from(one.text()) == one
    assert one.name == "fedavg ties"


def test_progress_ends_at_1(small: Small, tmp_path: Path):
    seen: list[float] = []
    federate(
        small(rounds=2, runs=["fedavg", "wsa"]),
        tmp_path,
        local,
        progress=lambda _, p: seen.append(p),
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_an_engine_may_be_any_function(small: Small, tmp_path: Path):
    called: list[str] = []

    def engine(which: Setting, path: Path, told: Told) -> None:
        called.append(path.name)
        local(which, path, told)

    federate(small(rounds=1, seeds=2), tmp_path, engine)
    assert called == ["seed-0.safetensors", "seed-1.safetensors"]
