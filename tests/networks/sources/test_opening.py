import sys

import pytest
import torch

from stockpot.errors import ExtraError, FieldError, StockpotError
from stockpot.networks import build, open_network
from stockpot.networks.sources.task import Task, require_logits

SIZES = {"num_classes": 3, "in_channels": 1, "image_size": 8}

USERS = """
import torch
from torch import nn

def small(num_classes, in_channels, hidden=4):
    body = nn.Linear(64 * in_channels, hidden)
    return nn.Sequential(nn.Flatten(), body, nn.Dropout(), nn.Linear(hidden, num_classes))

def nothing(num_classes, in_channels):
    return None

def broken(num_classes, in_channels):
    raise KeyError("weights")

def sized(image_size, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(image_size**2, num_classes))

def own(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width))

def picky(classes):
    return nn.Identity()

word = "no function"
"""


@pytest.fixture
def users(tmp_path, monkeypatch):
    """A package of the user's in the current directory, under a name no other test has."""
    package = tmp_path / f"users_{tmp_path.name}"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(USERS)
    (package / "lacking.py").write_text("import surely_not_installed\n")
    (package / "failing.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield package.name
    for name in [one for one in sys.modules if one.startswith(package.name)]:
        del sys.modules[name]


def test_a_built_in_network_by_name_and_by_mapping():
    plain = open_network("cnn", seed=3, **SIZES)
    assert torch.equal(plain.head.weight, build("cnn", seed=3, **SIZES).head.weight)
    grouped = open_network({"name": "resnet-8", "norm": "group", "width": 8}, **SIZES)
    assert grouped.head.in_features == 32


def test_a_users_function_is_called_with_sizes_and_its_own_keys(users):
    before = list(sys.path), torch.get_rng_state()
    spec = {"name": f"{users}.nets:small", "hidden": 5}
    first, again, other = (open_network(spec, seed=seed, **SIZES) for seed in (0, 0, 1))
    assert sys.path == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert first[1].out_features == 5
    assert not any(module.training for module in first.modules())
    assert torch.equal(first[3].weight, again[3].weight)
    assert not torch.equal(first[3].weight, other[3].weight)
    assert first(torch.rand(2, 1, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("{}.nets:smal", FieldError, "has no function 'smal': did you mean 'small'"),
        ("{}.nets:word", FieldError, "has no function 'word'"),
        ("{}.net:small", FieldError, "there is no module '.*net' among"),
        ("{}x.nets:small", FieldError, "there is no module"),
        ("{}.nets:", FieldError, "must be written package.module:function"),
        ("{}.nets:a.b", FieldError, "must be written package.module:function"),
        ("{}.lacking:small", StockpotError, "needs 'surely_not_installed'"),
        ("{}.failing:small", StockpotError, "failed with ZeroDivisionError"),
        ("{}.nets:nothing", StockpotError, "must return a torch.nn.Module; got NoneType"),
        ("{}.nets:broken", StockpotError, "failed with KeyError: 'weights'"),
        ("{}.nets:picky", FieldError, "needs 'classes': give it .* or take num_classes, in_"),
        ("{}.nets:broken", StockpotError, r"nets.py, line 13: raise KeyError"),
    ],
)
def test_what_is_wrong_with_a_users_function_is_said(users, name, kind, words):
    before = list(sys.path)
    with pytest.raises(kind, match=words):
        open_network(name.format(users), **SIZES)
    assert sys.path == before


def test_a_users_function_gets_what_its_signature_has(users):
    network = open_network(f"{users}.nets:sized", **SIZES)
    assert (network[1].in_features, network[1].out_features) == (64, 3)
    assert open_network({"name": f"{users}.nets:own", "width": 7}, **SIZES)[1].out_features == 7


def test_a_key_that_a_function_does_not_take_is_named(users):
    with pytest.raises(FieldError, match="hiden"):
        open_network({"name": f"{users}.nets:small", "hiden": 5}, **SIZES)


@pytest.mark.parametrize("spec", [3, None, {"norm": "group"}, {"name": 3}, ["cnn"]])
def test_what_is_no_specification_is_refused(spec):
    with pytest.raises(FieldError, match="A network is a name"):
        open_network(spec, **SIZES)


@pytest.mark.parametrize("key", ["num_classes", "image_size", "seed"])
def test_what_the_data_decide_cannot_be_set(key):
    with pytest.raises(FieldError, match=f"cnn: {key} is decided by the data"):
        open_network({"name": "cnn", key: 1}, **SIZES)


@pytest.mark.parametrize(
    ("spec", "module", "line"),
    [
        ("timm:resnet18", "timm", r"stockpot\[vision\]"),
        ("hf:somewhere", "transformers", r"stockpot\[hf\]"),
        ("clip:somewhere", "transformers", r"stockpot\[hf\]"),
    ],
)
def test_a_missing_library_is_an_install_line(spec, module, line, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)  # what import makes of a missing one
    with pytest.raises(ExtraError, match=line):
        open_network(spec, **SIZES)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (
            torch.nn.Identity(),
            r"expected logits of shape \(1, 3\) for one sample; got \(1, 1, 8, 8",
        ),
        (torch.nn.Conv2d(3, 3, 3), r"n cannot take inputs of shape \(1, 1, 8, 8\): "),
    ],
)
def test_a_network_that_gives_no_logits_is_refused(network, words):
    task = Task(**SIZES)
    with pytest.raises(StockpotError, match=words):
        require_logits(network, task.image(), task, "n")
