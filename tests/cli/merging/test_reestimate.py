import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from stockpot.data import load, split
from stockpot.engine import merge
from stockpot.evaluation import predict
from stockpot.evaluation.scores.metrics import METRICS
from stockpot.experiments.fit import Fit
from stockpot.networks import build, load_weights, reestimate_batch_norm, save_weights
from stockpot.reestimation import training_batches
from stockpot.training import fit

SIZES = {"num_classes": 10, "in_channels": 1, "image_size": 8}
NETWORK = ("--network", "{name: resnet-8, width: 4}", "--data", "digits")


@pytest.fixture(scope="module")
def splits():
    return split(load("digits"))


@pytest.fixture(scope="module")
def trained(splits, tmp_path_factory):
    """Two fine-tunes of one start, far enough from each other for averaged statistics to be off."""
    folder = tmp_path_factory.mktemp("trained")
    for seed in (1, 2):
        network = build("resnet-8", seed=0, width=4, **SIZES)
        network = fit(network, splits.train, Fit(epochs=1, lr=0.1, seed=seed, batch_size=64))
        reestimate_batch_norm(network, [splits.train.images])
        save_weights(network, folder / f"{seed}.safetensors", {})
    return folder


@pytest.fixture
def pair(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return trained / "1.safetensors", trained / "2.safetensors"


def accuracy(path, splits):
    network = load_weights(build("resnet-8", width=4, **SIZES), path)
    return METRICS["accuracy"].value(predict(network, splits.test))


def test_one_go_is_two_commands_byte_for_byte_and_better(cli, pair, splits, tmp_path):
    assert cli("merge", "average", *pair, "--out", "m.safetensors").code == 0
    assert cli("reestimate", "m.safetensors", *NETWORK, "--out", "two.safetensors").code == 0
    made = cli("merge", "average", *pair, "--out", "one.safetensors", "--reestimate", *NETWORK)
    assert "7 layers are estimated again on 1,259 training samples of digits" in made.err
    assert "norm-stats are averaged" not in made.err
    (tmp_path / "r.yml").write_text(
        f"method: average\nmodels: [{', '.join(map(json.dumps, map(str, pair)))}]\n"
    )
    assert cli("run", "r.yml", "--out", "run.safetensors", "--reestimate", *NETWORK).code == 0
    one, two, run = (
        (tmp_path / f"{name}.safetensors").read_bytes() for name in ("one", "two", "run")
    )
    assert one == two == run
    merged, found = load_file("m.safetensors"), load_file("one.safetensors")
    moved = {name for name, tensor in merged.items() if not torch.equal(tensor, found[name])}
    assert moved == {n for n in merged if n.endswith(("_mean", "_var", "_tracked"))}
    network = load_weights(build("resnet-8", width=4, **SIZES), tmp_path / "m.safetensors")
    reestimate_batch_norm(network, training_batches(splits.train, 0, torch.device("cpu")))
    assert all(torch.equal(tensor, found[name]) for name, tensor in network.state_dict().items())
    before, after = (accuracy(tmp_path / f"{n}.safetensors", splits) for n in ("m", "one"))
    assert after > before + 0.1


def test_merge_json_says_what_was_estimated_and_verify_what_it_can_repeat(cli, pair, tmp_path):
    cli("merge", "average", *pair, "--out", "m.safetensors")
    wanted = (*NETWORK, "--samples", "300", "--seed", "3")
    assert cli("reestimate", "m.safetensors", *wanted, "--out", "n").code == 0
    manifest = json.loads((tmp_path / "n" / "merge.json").read_text())
    told = manifest["reestimated"]
    assert len(told.pop("digest")) == 64
    assert told == {
        "layers": 7, "network": {"name": "resnet-8", "width": 4}, "data": "digits",
        "part": "train", "samples": 300, "batch": 128, "seed": 3,
    }  # fmt: skip
    assert [one["name"] for one in manifest["inputs"]] == ["m.safetensors"]
    changed = {n: one for n, one in manifest["tensors"].items() if "merged" in one}
    assert len(changed) == 21
    assert all(one["merged"] == one["from"][0][1] != one["digest"] for one in changed.values())
    assert "estimated again on 300 training samples" in (tmp_path / "n" / "README.md").read_text()

    checked = cli("verify", "n", "--recompute")
    assert checked.code == 0
    assert "the repeated merge gives the same bytes but for 21 estimated again" in checked.out
    assert "--recompute repeats the merge and not the estimation" in checked.err
    changed = load_file("m.safetensors")
    changed["body.1.running_mean"] += 1
    save_file(changed, "m.safetensors", {"format": "pt"})
    assert cli("verify", "n").code == 0
    other = cli("verify", "n", "--recompute")
    assert other.code == 1
    assert "other digests of 'body.1.running_mean'" in other.err


def test_a_killed_run_goes_on_to_the_same_bytes(cli, pair, tmp_path, monkeypatch):
    command = ("merge", "average", *pair, "--reestimate", *NETWORK)
    cli(*command, "--out", "whole.safetensors")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:  # after the estimation, before the commit
        patched.setattr(merge, "manifest_of", killed)
        assert cli(*command, "--out", "a.safetensors").code == 130
    assert not (tmp_path / "a.safetensors").exists()
    assert cli(*command, "--out", "a.safetensors", "--resume").code == 0
    same = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("whole", "a")]
    assert same[0] == same[1]
    tensors = [
        json.loads((tmp_path / f"{name}.safetensors.merge.json").read_text())["tensors"]
        for name in ("whole", "a")
    ]
    assert tensors[0] == tensors[1]


def test_names_with_what_lightning_puts_before_them(cli, pair, tmp_path):
    state = {f"net.{name}": tensor for name, tensor in load_file(pair[0]).items()}
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.5"}, "net.ckpt")
    cli("reestimate", pair[0], *NETWORK, "--out", "bare.safetensors")
    net = cli("reestimate", "net.ckpt", *NETWORK, "--out", "net.safetensors")
    assert net.code == 0
    assert "the network's names are behind 'net.'." in net.err
    bare, found = load_file("bare.safetensors"), load_file("net.safetensors")
    assert found.keys() == state.keys()
    assert all(torch.equal(tensor, found[f"net.{name}"]) for name, tensor in bare.items())
    save_file({f"net.{n}": t for n, t in bare.items()} | {"loss": torch.ones(1)}, "b.safetensors")
    other = cli("reestimate", "b.safetensors", *NETWORK, "--out", "c.safetensors")
    assert other.code == 1
    assert "'loss' is not in the network." in other.err
    assert "missing" not in other.err
    one_go = cli(
        "merge", "average", "b.safetensors", "--out", "c.safetensors", "--reestimate", *NETWORK
    )
    assert (one_go.code, "'loss' is not in the network." in one_go.err) == (1, True)
    assert not list(tmp_path.glob("c.safetensors*"))


def test_what_cannot_be_is_said_before_a_byte_is_written(cli, pair, tmp_path):
    group = ("--network", "{name: resnet-8, norm: group}", "--data", "digits")
    nothing = cli("reestimate", pair[0], *group, "--out", "o.safetensors")
    assert nothing.code == 1
    assert "has nothing to estimate: group norm and layer norm" in nothing.err
    for flags, words in (
        (NETWORK, "--network, --data: only --reestimate looks at that"),
        (("--reestimate", "--data", "digits"), "--reestimate needs --network and --data"),
        (("--reestimate", *NETWORK, "--samples", "1"), "--samples must be at least 2"),
    ):
        refused = cli("merge", "average", *pair, "--out", "o.safetensors", *flags)
        assert refused.code == 2
        assert words in refused.err
    planned = cli("reestimate", pair[0], *NETWORK, "--out", "o.safetensors", "--dry-run", "--json")
    assert planned.json["notes"][-1].startswith("batch-norm statistics of 7 layers")
    plain = cli("merge", "average", *pair, "--out", "o.safetensors", "--dry-run")
    for words in ("--reestimate", "stockpot reestimate", "stockpot.reestimate_batch_norm"):
        assert words in plain.err
    assert not list(tmp_path.iterdir())
    quiet = cli("reestimate", pair[0], *NETWORK, "--out", "o.safetensors", "--quiet")
    assert (quiet.code, quiet.err) == (0, "")
