"""An experiment file: what it may say, what it means, and every mistake by its place."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stockpot.data import CORRUPTIONS, named_views
from stockpot.errors import FieldError
from stockpot.experiments.cells import slug
from stockpot.experiments.experiment import parse_experiment, read_experiment
from stockpot.experiments.schooling import Pretraining
from stockpot.methods import Ties

PRODUCT = """
network: cnn                      # built-in | timm:NAME | hf:PATH | package.module:function
data: digits                      # built-in | {name: fashion-mnist, path: ...}
ingredients: {count: 10, share: pretrained, epochs: 3, vary: {seed: true, lr: [0.01, 0.003]}}
compare: {counts: [2, 3, 5, 7, 10], subsets: 3, seeds: 3}
seed: 0
"""


def with_ingredients(**keys: Any) -> dict[str, Any]:
    return {"network": "cnn", "data": "digits", "ingredients": keys}


def with_views(*views: object) -> dict[str, Any]:
    return with_ingredients() | {"compare": {"views": views}}


def test_views_have_severity_3_unless_they_say_otherwise() -> None:
    views = with_views({"corruption": "shift"}, {"corruption": "blur", "severity": "all"})
    texts = parse_experiment(views).compare.view_texts
    assert texts == ("shift-3", *(f"blur-{one}" for one in range(1, 6)))
    assert set(named_views(texts)) == set(texts)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_has_views(name: str) -> None:
    (text,) = parse_experiment(with_views({"corruption": name})).compare.view_texts
    assert list(named_views([text])) == [f"{name}-3"]


def test_files_from_before_domains_could_be_kept_apart_are_the_same_experiment() -> None:
    assert "domains" not in parse_experiment(with_ingredients()).resolved()["split"]


def test_the_example_of_the_product_parses_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "e.yml").write_text(PRODUCT)
    experiment = read_experiment(tmp_path / "e.yml")
    assert (experiment.network, experiment.data, experiment.seed) == ("cnn", "digits", 0)
    made = experiment.ingredients
    assert (made.count, made.share, made.epochs) == (10, "pretrained", 3)
    assert (made.vary.seed, made.vary.lr) == (True, (0.01, 0.003))
    assert experiment.compare.counts == (2, 3, 5, 7, 10)
    assert list(experiment.seeds) == [0, 1, 2]


def test_an_experiment_reads_back_from_its_plain_values() -> None:
    data = {
        "network": {"name": "cnn", "width": 8},
        "data": "digits",
        "split": {"selection": 0.2, "seed": 4, "limit": 100, "domains": ["google"]},
        "ingredients": {
            "share": "none",
            "pretrain": {"epochs": 2, "optimiser": "sgd", "part": {"classes": [1]}},
            "augment": {"flip": 0.5},
            "vary": {"pick": "draw", "augment": [None, {"shift": 0.1}], "weight_decay": [0, 0.1]},
        },
        "compare": {
            "methods": ["greedy-soup", {"name": "ties", "density": 0.5}, "median", "weave"],
            "views": [{"domain": "twitter"}, {"corruption": "noise", "severity": [3, 5]}],
        },
        "seed": 3,
    }
    experiment = parse_experiment(data)
    assert experiment.compare.methods[1] == Ties(density=0.5)
    assert experiment.compare.view_texts == ("domain=twitter", "noise-3", "noise-5")
    assert parse_experiment(json.loads(json.dumps(experiment.resolved()))) == experiment


@pytest.mark.parametrize(
    ("network", "keys", "expected"),
    [
        ("cnn", {}, Pretraining()),
        ("cnn", {"pretrain": {"epochs": 9}}, Pretraining(epochs=9)),
        ("cnn", {"weights": "a.safetensors"}, None),
        (
            "cnn",
            {"weights": {"path": "a", "head": "new"}, "pretrain": {"epochs": 1}},
            Pretraining(epochs=1),
        ),
        ("cnn", {"share": "init"}, None),
        ("cnn", {"share": "none"}, None),
        ("cnn", {"share": "none", "pretrain": {"epochs": 1}}, Pretraining(epochs=1)),
        ("hf:some/where", {}, None),
        ({"name": "timm:resnet18", "pretrained": True}, {}, None),
        ({"name": "timm:resnet18"}, {}, Pretraining()),
    ],
)
def test_a_pretrained_start_is_given_brought_or_trained(
    network: object, keys: dict[str, Any], expected: Pretraining | None
) -> None:
    data = {"network": network, "data": "digits", "ingredients": keys}
    assert parse_experiment(data).pretraining == expected


def test_a_sweep_is_every_pair_by_name() -> None:
    networks = ["cnn", {"name": "resnet-20", "norm": "group"}, "hf:a/deit", "hf:b/deit"]
    data = ["digits", {"name": "fashion-mnist", "path": "/some/where"}]
    swept = parse_experiment({"sweep": {"network": networks, "data": data}, "seed": 5})
    cells = dict(swept.cells())
    assert list(cells)[:4] == [
        "cnn--digits",
        "cnn--fashion-mnist",
        "resnet-20-norm-group--digits",
        "resnet-20-norm-group--fashion-mnist",
    ]
    assert len(cells) == 8
    assert cells["cnn--fashion-mnist"].data == data[1]
    assert all(cell.seed == 5 and not cell.sweep.network for cell in cells.values())
    one = parse_experiment({"network": "cnn", "sweep": {"data": ["digits", "mnist"]}})
    assert [name for name, _ in one.cells()] == ["digits", "mnist"]
    alone = parse_experiment({"network": "cnn", "data": "digits"})
    assert list(alone.cells()) == [("", alone)]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("cnn", "cnn"),
        ("timm:vit_tiny", "timm-vit-tiny"),
        ("hf:/a/b c/", "hf-b-c"),
        ("../..:x/..", "cell"),
        ({"name": "x", "path": "/secret"}, "x"),
        ("::", "cell"),
    ],
)
def test_a_slug_is_one_harmless_folder(spec: Any, name: str) -> None:
    assert slug(spec) == name


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "an experiment must be a mapping; got nothing."),
        ({"data": "digits"}, "network is required."),
        ({"network": "cnn"}, "data is required."),
        ({"netwrk": "cnn"}, "unknown key 'netwrk': did you mean 'network'?"),
        ({"network": [1]}, "network must be a name, or a mapping of a name"),
        ({"network": {"norm": "group"}}, "network must be a name, or a mapping of a name"),
        (
            {"network": "cnn", "data": "digits", "sweep": {"network": ["mlp"]}},
            "network: sweep has networks too; give one or the other.",
        ),
        (with_ingredients(counts=3), "ingredients: unknown key 'counts': did you mean 'count'?"),
        (with_ingredients(lr=0), "ingredients.lr must be in (0, ∞); got 0."),
        (with_ingredients(lr="fast"), "ingredients.lr must be in (0, ∞); got 'fast'."),
        (with_ingredients(lr=float("inf")), "ingredients.lr must be in (0, ∞); got inf."),
        (with_ingredients(epochs=True), "ingredients.epochs must be a whole number in [1, 100000]"),
        (with_ingredients(epochs=[1]), "ingredients.epochs must be a whole number"),
        (with_ingredients(share="some"), "ingredients.share must be one of 'pretrained', 'init'"),
        (with_ingredients(optimiser="lion"), "ingredients.optimiser must be one of 'adamw'"),
        (with_ingredients(warmup=1), "ingredients.warmup must be in [0, 1); got 1."),
        (
            with_ingredients(milestones=[0.5, 0.5]),
            "ingredients: milestones must rise, and there must be at least one.",
        ),
        (
            with_ingredients(schedule="one-cycle", warmup=0.1),
            "ingredients: warmup: one-cycle rises by itself",
        ),
        (with_ingredients(augment={"flp": 1}), "ingredients.augment: unknown key 'flp': did you"),
        (with_ingredients(augment={"flip": 2}), "ingredients.augment.flip must be in [0, 1]; got"),
        (with_ingredients(part={}), "ingredients.part needs exactly one of classes and domains."),
        (
            with_ingredients(share="init", weights="a"),
            "ingredients: weights: with share: init nothing starts from them.",
        ),
        (
            with_ingredients(share="init", pretrain={}),
            "ingredients: pretrain: a common start that is trained is share: pretrained.",
        ),
        (with_ingredients(vary={"seed": 1}), "ingredients.vary.seed must be true or false; got 1."),
        (with_ingredients(vary={"lr": 0.1}), "ingredients.vary.lr must be a list; got 0.1."),
        (with_ingredients(vary={"lr": [1, -1]}), "ingredients.vary.lr[1] must be in (0, ∞); got"),
        (
            with_ingredients(vary={"seed": False, "lr": [0.1, 0.1]}),
            "ingredients: vary: nothing varies, so all ingredients would be one network.",
        ),
        (
            with_ingredients(count=3) | {"compare": {"counts": [2, 4]}},
            "compare.counts[1] must be at most ingredients.count, 3; got 4.",
        ),
        (
            with_ingredients() | {"compare": {"methods": ["grady-soup"]}},
            "compare.methods[0]: there is no method 'grady-soup': did you mean 'greedy-soup'?",
        ),
        (
            with_ingredients() | {"compare": {"methods": [{"name": "ties", "density": 0}]}},
            "compare.methods[0]: ties: density must be in (0, 1]",
        ),
        (with_ingredients() | {"compare": {"margin": -1}}, "compare.margin must be in [0, ∞)"),
        (with_views({}), "compare.views[0] needs exactly one of domain and corruption."),
        (
            with_views({"domain": "a", "corruption": "blur"}),
            "compare.views[0] needs exactly one of domain and corruption.",
        ),
        (
            with_views({"domain": "a", "severity": 2}),
            "compare.views[0]: severity: a domain has none.",
        ),
        (
            with_views({"corruption": "blur", "severity": [1, 6]}),
            "compare.views[0].severity must be a whole number in [1, 5], a list of such numbers",
        ),
        (with_views({"corruption": "blurr"}), "compare.views[0].corruption must be one of"),
        (
            with_views({"corruption": "blur"}, {"corruption": "blur", "severity": "all"}),
            "compare: views: 'blur-3' stands twice.",
        ),
        (with_ingredients() | {"split": {"test": 1}}, "split.test must be in (0, 1); got 1."),
        (
            with_ingredients() | {"split": {"test": 0.6, "selection": 0.4}},
            "split: selection and test must have a sum below 1.",
        ),
        (
            with_ingredients() | {"split": {"limit": 5, "fraction": 0.4}},
            "split needs at most one of limit and fraction.",
        ),
        (with_ingredients() | {"seed": -1}, "seed must be a whole number in [0"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(data: object, message: str) -> None:
    with pytest.raises(FieldError, match=re.escape(f"e.yml: {message}")) as caught:
        parse_experiment(data, "e.yml")
    assert "Input should" not in str(caught.value)


def test_everything_wrong_is_said_at_once_and_cut() -> None:
    data = with_ingredients(lr="x" * 10_000, epochs=0) | {"seed": "x"}
    with pytest.raises(FieldError) as caught:
        parse_experiment(data)
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == ["ingredients.epochs", "ingredients.lr", "seed"]
    assert all(len(line) < 200 for line in lines)
