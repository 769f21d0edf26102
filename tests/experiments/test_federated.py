"""What a federated experiment may say, and how it is told what it may not."""

import pytest

from stockpot.errors import FieldError
from stockpot.experiments.federated import FederatedRun, parse_federation
from stockpot.experiments.krum import MultiKrum
from stockpot.methods import Average, Ties


def parsed(**federated):
    return parse_federation({"network": "mlp", "data": "digits", "federated": federated})


def test_a_word_is_a_client_and_names_tell_runs_apart():
    ties = {"client": "wsa", "aggregation": {"name": "ties", "density": 0.5}}
    krum = {"client": "fedavg", "aggregation": "multi-krum"}
    found = parsed(runs=["fedavg", ties, krum, {"name": "mine", "lora": {"rank": 2}}]).federated
    assert found.names == ("fedavg", "wsa ties", "fedavg multi-krum", "mine")
    assert [one.aggregation for one in found.runs] == [
        Average(),
        Ties(density=0.5),
        MultiKrum(),
        Average(),
    ]


def test_penalties_have_weights_only_where_they_are_meant():
    weights = {
        client: (one.proximal_weight, one.scope_weight)
        for client in ("fedavg", "fedprox", "fedbn", "wsa", "wsa-fedprox")
        for one in [FederatedRun(client=client)]
    }
    assert weights == {
        "fedavg": (0, 0),
        "fedprox": (0.01, 0),
        "fedbn": (0, 0),
        "wsa": (0, 0.1),
        "wsa-fedprox": (0.01, 0.1),
    }


def test_it_is_read_back_from_its_plain_values():
    one = parsed(alpha=[0.1, 5], participation=0.5, runs=["fedbn", {"client": "wsa", "scope": 1.0}])
    assert parse_federation(one.resolved()) == one
    domains = parsed(partition="domain")
    assert parse_federation(domains.resolved()) == domains
    assert domains.alphas == (None,)
    assert parsed(participation=0.01).federated.drawn == 1
    adam = {"aggregation": {"name": "flower:FedAdam", "eta": 0.01}}
    flower = parsed(runs=["fedavg", adam, {"aggregation": {"name": "flower:Krum"}}])
    assert flower.federated.names == ("fedavg", "fedavg flower:FedAdam", "fedavg flower:Krum")
    assert [one.remembers for one in flower.federated.runs] == [False, True, False]
    assert parse_federation(flower.resolved()) == flower


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cleints": 3}, r"federated: unknown key 'cleints': did you mean 'clients'\?"),
        ({"rounds": 0}, r"federated.rounds must be a whole number in \[1"),
        ({"participation": 0.0}, r"federated.participation must be .*\(0, 1\]"),
        ({"alpha": [0.5, 0.5]}, "federated.alpha must be a number in"),
        ({"alpha": 0}, "federated.alpha must be a number in"),
        ({"partition": "domain", "alpha": 1}, "alpha: is of partition: dirichlet"),
        ({"runs": []}, "needs at least one"),
        ({"runs": ["fedavg", "fedavg"]}, "two are called 'fedavg'"),
        ({"runs": ["fedavgg"]}, r"federated.runs\[0\].client must be one of"),
        ({"runs": [{"client": "fedavg", "proximal": 1.0}]}, "proximal: is of fedprox"),
        ({"runs": [{"client": "fedprox", "scope": 1.0}]}, "scope: is of wsa"),
        ({"runs": [{"client": "wsa", "lora": {}}]}, "lora: goes with client: fedavg"),
        ({"runs": [{"lora": {}, "aggregation": "flower:FedAvg"}]}, "would merge factors apart"),
        ({"runs": [{"aggregation": "tise"}]}, r"there is no method 'tise'.*did you mean 'ties'"),
        ({"runs": [{"aggregation": {"name": "multi-krum", "keeps": 1}}]}, "keeps"),
        ({"runs": [{"aggregation": "slerp"}]}, "10 clients are drawn each round, and it merges 2"),
        ({"clients": 4, "runs": [{"aggregation": "multi-krum"}]}, "at least 5 models; there are 4"),
        ({"runs": [{"aggregation": "flower:FedAvgg"}]}, "'flower:FedAvgg': did you mean 'FedAvg'"),
        (
            {"runs": [{"aggregation": {"name": "flower:FedAdam", "beta": 1}}]},
            "flower:FedAdam: unknown key 'beta': did you mean 'eta'",
        ),
        (
            {"runs": [{"aggregation": {"name": "flower:Krum", "num_malicious_nodes": 0.5}}]},
            r"num_malicious_nodes must be a whole number in \[0, ∞\)",
        ),
        (
            {"runs": [{"aggregation": {"name": "flower:Bulyan", "num_malicious_nodes": 2}}]},
            "flower:Bulyan needs 11 replies or more; there are 10",
        ),
        ({"local": {"scope": {}}}, "scope: has no meaning for clients"),
        ({"local": {"lr": 0}}, "federated.local.lr must be"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(keys, words):
    with pytest.raises(FieldError, match=words):
        parsed(**keys)
