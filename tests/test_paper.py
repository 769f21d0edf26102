"""Each file of examples/paper, cut down, by the real command on stand-ins of its data; needs timm.

The stand-ins have the format of the published files, the networks and the way their weights are
loaded are timm's own, and the files run unchanged but for what `cut` makes smaller.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from stockpot.evaluation.contests.columns import WITHOUT_TRAINING

from . import formats

pytestmark = pytest.mark.full

PAPER = Path(__file__).parents[1] / "examples" / "paper"
FILES = sorted(
    [*PAPER.glob("table-1-*.yml"), *PAPER.glob("table-9-*.yml"), *PAPER.glob("fig*.yml")]
)
ACROSS = sorted(PAPER.glob("table-3-*.yml"))
CLIPS = sorted(PAPER.glob("clip-*.yml"))
CLASSES = {"pathmnist": 9, "dermamnist": 7}

FAMILIES = {
    "resnet18",
    "densenet121",
    "vgg11",
    "vgg11_bn",
    "deit_tiny_patch16_224",
    "vit_tiny_patch16_224",
}
"""Of the twenty architectures the smallest of each family; all are built in test_timm.py."""


def medmnist(path: Path, rng: np.random.Generator, train: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **formats.medmnist(rng, classes=CLASSES[path.stem], parts=(train, 18, 18)))


def chestx_ray14(path: Path, rng: np.random.Generator, train: int) -> None:
    formats.chestx_ray14(path, rng, patients=train // 2 + 4, tested=4, side=64)


STANDINS: dict[str, Callable[[Path, np.random.Generator, int], object]] = {
    "cifar-10": lambda path, rng, train: formats.cifar_10(path, rng, train=train // 3, test=20),
    "cifar-100": lambda path, rng, train: formats.cifar_100(path, rng, train, test=48, used=8),
    "tiny-imagenet": lambda path, rng, train: formats.tiny_imagenet(path, rng, train // 3, test=12),
    "celeba": lambda path, rng, train: formats.celeba(path, rng, parts=(train, 12, 12)),
    "chestx-ray14": chestx_ray14,
    "medmnist": medmnist,
}


@pytest.fixture
def here():
    """A folder that does not outlive the test: a run leaves gigabytes."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def cut(plain: dict[str, Any], here: Path) -> dict[str, Any]:
    """The experiment with two ingredients of one epoch, one pool, N = 2, and smaller networks."""
    plain["ingredients"] |= {"count": 2, "epochs": 1}
    plain["compare"] |= {"counts": [2], "seeds": 1}
    if plain["data"]["name"] == "chestx-ray14":
        plain["data"]["size"] = 32
    if "network" in plain:
        plain["network"] = with_weights(plain["network"], here)
    else:
        whole = plain["sweep"]["network"]
        some = [one for one in whole if one["name"].removeprefix("timm:") in FAMILIES]
        assert (len(whole), len(some)) == (20, len(FAMILIES))
        plain["sweep"]["network"] = [with_weights(one, here) for one in some]
    return plain


def with_weights(spec: dict[str, Any], here: Path) -> dict[str, Any]:
    """The network with a file in place of a download: as published, 1000 classes at 224 pixels.

    VGG's hidden layer, of 103 million weights, is made narrow.
    """
    import timm

    assert spec["pretrained"] is True
    name = spec["name"].removeprefix("timm:")
    narrow = {"mlp_ratio": 0.02} if name.startswith("vgg") else {}
    path = here / "weights" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(timm.create_model(name, **narrow).state_dict(), path)
    return {**spec, **narrow, "pretrained_cfg_overlay": {"file": str(path)}}


def run(experiment: dict[str, Any], here: Path) -> Path:
    """`stockpot compare` on it, in a process of its own, where its data are."""
    (here / "paper.yml").write_text(yaml.safe_dump(experiment))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "stockpot",
            "compare",
            "paper.yml",
            "--out",
            "run",
            "--jobs",
            "1",
        ],
        cwd=here,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return here / "run"


def weights_file(network: dict[str, Any]) -> Path:
    return Path(network["pretrained_cfg_overlay"]["file"])


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_OFFLINE": "1"}


def check_start(base: Path, weights: Path) -> None:
    """The common start has the weights of the file, all but what the data decide."""
    mine, theirs = load_file(base), load_file(weights)
    same = [name for name in mine if name in theirs and mine[name].shape == theirs[name].shape]
    assert len(same) >= len(mine) - 4  # a new head; of transformers positions and patches too
    assert all(mine[name].equal(theirs[name]) for name in same)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_experiment_runs_on_data_of_its_format(file: Path, here: Path) -> None:
    pytest.importorskip("timm", reason="timm needs an environment of its own")
    plain = yaml.safe_load(file.read_text())
    data = plain["data"]
    count = 256 if "sweep" in plain else 48
    STANDINS[data["name"]](here / data["path"], np.random.default_rng(0), count)
    experiment = cut(plain, here)
    out = run(experiment, here)

    networks = experiment["sweep"]["network"] if "sweep" in plain else [experiment["network"]]
    pools = json.loads((out / "experiment.json").read_text())["pools"]
    assert [len(pool["ingredients"]) for pool in pools] == [2] * len(networks)
    for pool, network in zip(pools, networks, strict=True):
        check_start(out / pool["base"], weights_file(network))

    check_results(out, "auroc" if data["name"] == "chestx-ray14" else "accuracy", len(networks))


def check_results(out: Path, metric: str, networks: int) -> None:
    rows = rows_of(out)
    for network in {row["network"] for row in rows}:
        mine = [row for row in rows if row["network"] == network]
        assert {row["n"] for row in mine} == {"2"}
        assert {row["split"] for row in mine} == {"selection", "test"}
        assert metric in {row["metric"] for row in mine}
        assert set(WITHOUT_TRAINING) <= {row["method"] for row in mine}
        assert {row["forwards"] for row in mine if row["method"] == "uniform-soup"} == {"1"}
        assert {row["forwards"] for row in mine if row["method"] == "logits-ensemble"} == {"2"}
        assert all(0 <= float(row["value"]) <= 1 for row in mine if row["metric"] == metric)
    assert len({row["network"] for row in rows}) == networks
    assert len(json.loads((out / "results.json").read_text())["rows"]) == len(rows)
    assert "<svg" in (out / "report.html").read_text()


@pytest.mark.parametrize("file", ACROSS, ids=lambda file: file.stem)
def test_the_experiment_across_tasks_runs_on_data_of_its_format(file: Path, here: Path) -> None:
    pytest.importorskip("timm", reason="timm needs an environment of its own")
    experiment = yaml.safe_load(file.read_text())
    first, second = (task["data"] for task in experiment["tasks"])
    for data in (first, second):
        STANDINS[data["name"]](here / data["path"], np.random.default_rng(0), 48)
    experiment["ingredients"]["epochs"] = 1
    experiment["compare"]["seeds"] = 1
    experiment["network"] = with_weights(experiment["network"], here)
    out = run(experiment, here)

    check_start(out / "pool-0" / "base.safetensors", weights_file(experiment["network"]))
    rows = rows_of(out)
    assert {row["data"] for row in rows} == {"cifar-100", file.stem[8:], "all-tasks"}
    methods = {"individual", "joint", "uniform-soup", "logits-ensemble"}
    assert {row["method"].removesuffix(":bn") for row in rows} == methods
    assert "accuracy" in {row["metric"] for row in rows}


@pytest.mark.parametrize("file", CLIPS, ids=lambda file: file.stem)
def test_published_towers_are_merged_as_they_are(file: Path, here: Path) -> None:
    """Stand-ins of the towers' layout, small; heads by the script that users run."""
    pytest.importorskip("transformers", reason="transformers is in stockpot[hf]")
    experiment = yaml.safe_load(file.read_text())
    assert len(experiment["tasks"]) == 20
    experiment["tasks"] = experiment["tasks"][:3]
    experiment["compare"]["counts"] = [2, 3]
    clip = here / experiment["network"]["name"].removeprefix("clip:")
    tower = formats.clip(clip, side=32)
    rng = np.random.default_rng(0)
    for task in experiment["tasks"]:
        task["data"]["size"] = 32
        folder = here / task["data"]["path"]
        formats.image_folder(folder, rng, classes=("a_b", "c", "10"), train=12, test=6, side=40)
        formats.fine_tune(tower, here / task["weights"], seed=len(task["head"]))
        script = [sys.executable, str(PAPER / "clip_heads.py"), str(clip), task["head"]]
        subprocess.run([*script, str(folder / "train")], check=True, env=environment())
    for column in experiment["compare"]["methods"]:
        if isinstance(column, dict) and column["name"] == "adamerging":
            column["steps"] = 2
    out = run(experiment, here)

    assert not (out / "pool-0" / "joint.safetensors").exists()
    projection = "visual_projection.weight"
    for task in experiment["tasks"]:
        kept = load_file(out / "pool-0" / f"{task['name']}.safetensors")
        given = load_file(here / task["weights"] / "model.safetensors")
        assert kept.keys() - given.keys() == {projection}
        assert all(kept[name].equal(given[name]) for name in given)
    rows = [row for row in rows_of(out) if row["data"] == "all-tasks"]
    names = {row["method"] for row in rows}
    assert len(names) == len(experiment["compare"]["methods"]) + 2  # individual and base
    assert {"individual", "base", "uniform-soup", "tsv-m", "consensus"} <= names
    assert {row["n"] for row in rows} == {"2", "3"}


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open() as opened:
        return list(csv.DictReader(opened))
