"""One body, several heads: shared and kept apart, whatever is done to it."""

import copy

import pytest
import torch

from stockpot.errors import StockpotError
from stockpot.networks import MultiTask, build, headed, load_shared, load_task, private_names
from stockpot.networks.weights import save_state

SHAPE = {"in_channels": 1, "image_size": 8}
IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def made(name="resnet-8", globs=(), **options):
    networks = {
        task: build(name, num_classes=classes, seed=seed, **SHAPE, **options)
        for seed, (task, classes) in enumerate({"ten": 10, "three": 3}.items())
    }
    splits = [headed(one, IMAGES) for one in networks.values()]
    return MultiTask(networks, splits, private_names(splits[0], globs)).eval()


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet-8", "vit-tiny"])
def test_a_mixed_batch_gives_what_each_network_gives(name):
    together = made(name)
    found = together({"three": IMAGES[:2], "ten": IMAGES[2:]})
    assert {task: tuple(one.shape) for task, one in found.items()} == {
        "three": (2, 3),
        "ten": (4, 10),
    }
    for task, images in (("three", IMAGES[:2]), ("ten", IMAGES[2:])):
        torch.testing.assert_close(found[task], together.network(task)(images))


@pytest.mark.parametrize("change", [lambda one: one, copy.deepcopy, lambda one: one.to("cpu")])
def test_the_body_is_one_and_heads_are_their_own(change):
    together = change(made())
    ten, three = (dict(together.network(task).named_parameters()) for task in ("ten", "three"))
    for name in ten:
        assert (ten[name] is three[name]) != name.startswith("head."), name
    buffers = (dict(together.network(task).named_buffers()) for task in ("ten", "three"))
    a, b = buffers
    assert a
    assert all(a[name] is b[name] for name in a)
    count = sum(one.numel() for one in together.parameters())
    whole = sum(one.numel() for one in ten.values())
    assert count == whole + sum(three[name].numel() for name in three if name.startswith("head."))


def test_a_file_gives_each_task_its_network_back(tmp_path):
    together, path = made(), tmp_path / "m.safetensors"
    save_state(together.tensors(), path, {})
    for task, classes in (("ten", 10), ("three", 3)):
        other = build("resnet-8", num_classes=classes, seed=7, **SHAPE)
        read = load_task(other, path, task).state_dict()
        own = together.network(task).state_dict()
        assert all(torch.equal(read[name], own[name]) for name in own)
    body = load_shared(path)
    assert set(body) == set(own) - {"head.weight", "head.bias"}


def test_further_private_tensors_make_each_task_run_by_itself():
    together = made("mlp", globs=["body.1.*"], width=8)
    own = {name for name in together.tensors() if name.startswith("ten::")}
    assert own > {"ten::head.weight", "ten::head.bias"}
    found = together({"ten": IMAGES[:3], "three": IMAGES[3:]})
    assert torch.equal(found["three"], together.network("three")(IMAGES[3:]))


def test_what_cannot_be_shared_is_named():
    split = headed(build("mlp", num_classes=3, **SHAPE), IMAGES)
    with pytest.raises(StockpotError, match="'nothing' matches no tensor"):
        private_names(split, ["nothing"])
    with pytest.raises(StockpotError, match="leaves nothing to share"):
        private_names(split, ["*"])
    networks = {str(w): build("mlp", num_classes=3, width=w, **SHAPE) for w in (4, 8)}
    splits = [headed(one, IMAGES) for one in networks.values()]
    with pytest.raises(StockpotError, match="cannot be shared"):
        MultiTask(networks, splits, private_names(splits[0]))
