"""The study of the protocol: each deviation alone, what it touches, and what it leaves as it is."""

import json
import math

import pytest
import torch

from stockpot.cli.app import execute
from stockpot.data import load, split
from stockpot.evaluation import predict, soup
from stockpot.evaluation.contests.models import ingredients_of
from stockpot.networks import headed
from stockpot.report import render
from stockpot.studies import Protocol, open_pools
from stockpot.studies.protocol.computing import (
    PROTOCOLS,
    halving,
    leaked,
    run_live,
)
from stockpot.studies.protocol.result import COPIES, GAP

from ..report.test_browser import FIGURES, OVERLAPS

NETWORK = """
from torch import nn

def both(num_classes, in_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(144, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, num_classes))
"""
EXPERIMENT = """
network: "{network}"
data: digits
split: {{selection: 0.2, test: 0.5}}
ingredients: {{count: 3, share: pretrained, pretrain: {{epochs: 2, lr: 0.01}}, epochs: 1}}
compare: {{counts: [2, 3], seeds: 2}}
"""


def trained(folder, network):
    path = folder / "experiment.yml"
    path.write_text(EXPERIMENT.format(network=network))
    return open_pools(path, folder / "study")


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("protocol")
    (folder / "two_kinds.py").write_text(NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield trained(folder, "two_kinds:both")


@pytest.fixture(scope="module")
def found(trial):
    return Protocol()(trial)


@pytest.fixture(scope="module")
def subject(trial):
    pool = trial.pools[0]
    return headed(pool.kept[0].network, pool.splits.train.batch(slice(0, 4)))


def test_in_evaluation_mode_it_is_predict(trial, subject):
    test = trial.pools[0].splits.test
    ours, usual = run_live(subject, test, ()), predict(subject, test)
    torch.testing.assert_close(ours.logits, usual.logits)
    torch.testing.assert_close(ours.features, usual.features)


def test_live_modules_are_live_and_the_network_is_left_as_it_was(trial, subject):
    test = trial.pools[0].splits.test
    before = {name: one.clone() for name, one in subject.network.state_dict().items()}
    live = {one.name: one.live for one in PROTOCOLS}
    first, again, other = (
        run_live(subject, test, live["dropout"], seed=s).logits for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    batches = run_live(subject, test, live["batch-statistics"])
    network = subject.network
    network[1].train()
    with torch.no_grad():
        whole = network(test.images[:64])
    network.eval()
    torch.testing.assert_close(batches.logits[:64], whole)
    network.load_state_dict(before)  # train() has moved the statistics here, not in run_live
    for name, one in subject.network.state_dict().items():
        assert torch.equal(one, before[name])
    assert not subject.network.training


def test_a_last_sample_alone_has_no_statistics_of_its_own(trial, subject):
    test = trial.pools[0].splits.test.take(torch.arange(65))
    found = run_live(subject, test, PROTOCOLS[2].live)
    assert len(found.logits) == 65
    assert bool(found.logits.isfinite().all())


def test_halving_is_the_published_recursion(trial):
    pool = trial.pools[0]
    made = ingredients_of(
        0, ["a", "b", "c"], [o.path for o in pool.kept], pool.splits, pool.build, base=None
    )
    weights = halving(3)
    assert weights == [0.25, 0.25, 0.5]
    assert halving(1) == [1.0]
    states = [one.network.state_dict() for one in pool.kept]
    found = soup(made, [2, 0, 1], weights=weights).state_dict()
    for name, one in found.items():
        if one.is_floating_point():
            step = (states[2][name] + states[0][name]) / 2
            torch.testing.assert_close(one, (step + states[1][name]) / 2)


def test_a_leaked_split_has_the_size_of_ours_and_training_data():
    splits = split(load("digits"), selection=0.2, test=0.5)
    mixed = leaked(splits.train, splits.selection, 0.9, 3)
    assert len(mixed) == len(splits.selection)
    seen = set(splits.train.originals.tolist())
    share = sum(one in seen for one in mixed.originals.tolist()) / len(mixed)
    assert share == pytest.approx(0.9, abs=0.01)
    assert not set(mixed.originals.tolist()) & set(splits.test.originals.tolist())
    assert leaked(splits.train, splits.selection, 0.0, 3) is splits.selection


def test_each_deviation_touches_its_own_columns(found):
    assert [name for name, _ in found.protocols] == [one.name for one in PROTOCOLS]
    for n in (2, 3):
        for p in (p for p in found.points if p.n == n):
            if p.protocol == "ours" or (
                p.protocol in ("leaked-split", "halving-mean") and "greedy" not in p.method
            ):
                assert p.difference == 0
            elif p.method != COPIES:
                ours = found.at("ours", n, p.method)
                assert p.difference == pytest.approx(p.accuracy - ours.accuracy, abs=1e-12)
    single = found.at("dropout", 3, "single-mean")
    assert single.difference < 0  # half of the features are gone
    assert math.isnan(single.difference_low)  # two pools are too few for an interval
    assert math.isnan(single.difference_high)
    assert found.at("dropout", 3, COPIES).accuracy > found.at("dropout", 1, "first-single").accuracy
    gap = found.at("ours", 3, GAP)
    parts = [found.at("ours", 3, name).accuracy for name in GAP.split(" - ")]
    assert gap.accuracy == pytest.approx(parts[0] - parts[1], abs=1e-12)
    leak = next(c for c in found.choices if (c.protocol, c.n) == ("leaked-split", 3))
    assert 1 <= leak.members <= 3
    json.dumps(found.as_dict(), allow_nan=False)
    assert found.to_csv().count("\n") == 1 + len(found.points)


def test_what_a_network_does_not_have_is_left_out(tmp_path):
    result = Protocol()(trained(tmp_path, "mlp"))
    assert [name for name, _ in result.protocols] == [
        "ours",
        "leaked-split",
        "halving-mean",
        "published",
    ]
    assert (
        "left out, nothing in this network differs",
        "dropout, batch-statistics",
    ) in result.facts
    assert render(result).count("<figure id=") == 1


def test_the_command_writes_the_study(trial, tmp_path, capsys):
    words = ["study", "protocol", str(trial.run), "--out", str(tmp_path / "out"), "--counts", "2"]
    assert execute([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["study"] == "protocol"
    assert {p["n"] for p in told["points"]} == {1, 2}
    assert (tmp_path / "out" / "report.html").is_file()
    assert execute(["study", "protocol", str(tmp_path / "none.yml"), "--out", str(tmp_path)]) == 1
    assert "none.yml" in capsys.readouterr().err


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(browser, found, width):
    page = render(found)
    figures, console = browser.ask(page, FIGURES, width=width)
    assert console == []
    assert len(figures) == page.count("<figure id=") == 1
    overlaps, _ = browser.ask(page, OVERLAPS, width=width)
    assert overlaps == []
    script = "return [window.innerWidth, document.documentElement.scrollWidth];"
    (window, reached), _ = browser.ask(page, script, width=width)
    assert reached <= window
