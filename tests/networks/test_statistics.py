import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import stockpot
from stockpot.errors import StockpotError
from stockpot.networks import build, has_batch_norm, reestimate_batch_norm, statistics_layers


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3 + 2


def by_hand(batches):
    """Mean and unbiased variance of all values of all batches, in float64."""
    values = torch.cat([one.double().transpose(0, 1).flatten(1) for one in batches], 1)
    return values.mean(1), values.var(1, correction=1)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.BatchNorm1d, ()),
        (nn.BatchNorm1d, (6,)),
        (nn.BatchNorm2d, (3, 5)),
        (nn.BatchNorm3d, (2, 3, 2)),
        (nn.SyncBatchNorm, (3, 5)),
    ],
)
def test_statistics_are_those_computed_by_hand(layer, shape):
    network = nn.Sequential(layer(4, momentum=0.3)).eval()
    batches = [random(size, 4, *shape, seed=seed) for seed, size in enumerate((16, 16, 5))]
    assert reestimate_batch_norm(network, iter(batches)) == 1
    mean, var = by_hand(batches)
    torch.testing.assert_close(network[0].running_mean.double(), mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(network[0].running_var.double(), var, rtol=1e-5, atol=1e-6)
    assert network[0].momentum == 0.3
    assert network[0].num_batches_tracked == 3


@given(
    cuts=st.lists(st.integers(2, 30), min_size=1, max_size=6),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-1e3, 1e3),
)
def test_no_matter_how_the_samples_are_batched(cuts, scale, shift):
    """Also where the mean is many times the deviation, which a sum of squares would not stand."""
    data = (random(sum(cuts), 3) + shift) * scale
    batches = data.split(cuts)
    once, network = (nn.Sequential(nn.BatchNorm1d(3)) for _ in range(2))
    reestimate_batch_norm(network, batches)
    reestimate_batch_norm(once, [data])
    mean, var = by_hand([data])
    for one in (network, once):
        torch.testing.assert_close(one[0].running_mean.double(), mean, rtol=1e-6, atol=1e-3 * scale)
        torch.testing.assert_close(one[0].running_var.double(), var, rtol=1e-3, atol=0)


@pytest.mark.parametrize("unbatched", [False, True])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.InstanceNorm1d, (6,)), (nn.InstanceNorm2d, (3, 5)), (nn.InstanceNorm3d, (2, 3, 2))],
)
def test_instance_norm_has_the_averages_of_its_samples(layer, shape, unbatched):
    network = nn.Sequential(layer(4, track_running_stats=True)).eval()
    batches = [random(size, 4, *shape, seed=seed) for seed, size in enumerate((8, 3))]
    assert has_batch_norm(network)
    loader = [one for batch in batches for one in batch] if unbatched else batches
    seen = []
    network[0].register_forward_hook(lambda _module, args, out: seen.append(out))
    assert reestimate_batch_norm(network, loader) == 1
    means = seen[0].flatten(-len(shape)).mean(-1)
    torch.testing.assert_close(means, torch.zeros_like(means))
    values = torch.cat(batches).double().flatten(2)
    expected = values.mean(2).mean(0), values.var(2, correction=1).mean(0)
    found = network[0].running_mean.double(), network[0].running_var.double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    theirs = layer(4, track_running_stats=True, momentum=1.0)
    theirs.train()(torch.cat(batches))
    torch.testing.assert_close(network[0].running_var, theirs.running_var, rtol=1e-5, atol=1e-6)


def test_sync_batch_norm_waits_for_no_other_process(tmp_path):
    """In training mode it would refuse the CPU as soon as there is a group of processes."""
    network = nn.Sequential(nn.SyncBatchNorm(4)).eval()
    where = f"file://{tmp_path / 'group'}"
    torch.distributed.init_process_group("gloo", init_method=where, rank=0, world_size=1)
    try:
        reestimate_batch_norm(network, [random(8, 4), random(5, 4, seed=1)])
    finally:
        torch.distributed.destroy_process_group()
    mean, _ = by_hand([random(8, 4), random(5, 4, seed=1)])
    torch.testing.assert_close(network[0].running_mean.double(), mean, rtol=1e-5, atol=1e-6)


class Named(nn.Module):
    """Called by names, as transformers' models are."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, pixel_values, labels=None):
        return {"logits": self.norm(pixel_values)}


def test_loaders_give_tensors_tuples_or_mappings():
    data, labels = random(20, 4), torch.arange(20)
    mean, _ = by_hand([data])
    pairs = DataLoader(TensorDataset(data, labels), batch_size=8)
    mappings = [{"pixel_values": x, "labels": y, "n": None} for x, y in pairs]
    for module, loader in (
        (nn.Sequential(nn.BatchNorm1d(4)), pairs),
        (nn.Sequential(nn.BatchNorm1d(4)), [[x] for x, _ in pairs]),
        (Named(), [{k: v for k, v in one.items() if k != "n"} for one in mappings]),
        (Named(), [(one["pixel_values"],) for one in mappings]),
    ):
        assert stockpot.reestimate_batch_norm(module, loader) == 1
        (layer,) = statistics_layers(module).values()
        torch.testing.assert_close(layer.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="unexpected keyword argument 'n'"):
        reestimate_batch_norm(Named(), mappings)
    for bad in ("text", ["text"], [], 3):
        with pytest.raises(StockpotError, match="A batch is a tensor, a tuple or list"):
            reestimate_batch_norm(Named(), [bad])
    module = Named()
    steps = [(x, y) for x, y in pairs]
    reestimate_batch_norm(module, steps, forward=lambda batch: module(batch[0], labels=batch[1]))
    torch.testing.assert_close(module.norm.running_mean.double(), mean, rtol=1e-5, atol=1e-6)


def test_a_later_layer_sees_what_batches_normalise():
    network = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    batches = [random(size, 4, seed=seed) for seed, size in enumerate((32, 8))]
    assert reestimate_batch_norm(network, batches) == 2
    double = network[1].double()
    normal = [
        (one - one.mean(0)) / (one.var(0, correction=0) + 1e-5).sqrt()
        for one in (batch.double() for batch in batches)
    ]
    mean, var = by_hand([double(one).detach() for one in normal])
    torch.testing.assert_close(network[2].running_mean.double(), mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network[2].running_var.double(), var, rtol=1e-4, atol=1e-5)


def test_a_small_last_batch_counts_by_its_size():
    network = nn.Sequential(nn.BatchNorm1d(1)).eval()
    data = torch.cat([torch.zeros(98, 1), torch.full((2, 1), 100.0)])
    reestimate_batch_norm(network, [data[:98], data[98:]])
    assert network[0].running_mean.item() == pytest.approx(2.0)  # and not 50


def test_a_layer_that_is_called_twice_averages_over_both():
    layer = nn.BatchNorm1d(4)
    network = nn.Sequential(layer, layer).eval()
    batch = random(32, 4)
    reestimate_batch_norm(network, [batch])
    torch.testing.assert_close(layer.running_mean, batch.mean(0) / 2)  # the second call sees 0


def test_modes_and_momenta_are_restored_and_dropout_stays_off():
    network = nn.Sequential(
        nn.BatchNorm1d(4, momentum=None), nn.Dropout(0.9), nn.BatchNorm1d(4, momentum=0.2)
    )
    network[1].eval()
    modes = [one.training for one in network.modules()]
    seen = []
    network[1].register_forward_hook(lambda _module, args, out: seen.append((args[0], out)))
    reestimate_batch_norm(network, [random(16, 4)])
    assert torch.equal(*seen[0])
    assert [one.training for one in network.modules()] == modes
    assert [network[0].momentum, network[2].momentum] == [None, 0.2]
    assert not any(one._forward_pre_hooks for one in network.modules())


def test_parameters_are_not_touched_and_no_graph_is_kept():
    network = build("resnet-8", num_classes=3, in_channels=1, image_size=8)
    before = {name: one.detach().clone() for name, one in network.named_parameters()}
    statistics = {name: one.clone() for name, one in network.named_buffers()}
    assert reestimate_batch_norm(network, [random(8, 1, 8, 8)]) == 7
    assert all(torch.equal(before[name], one) for name, one in network.named_parameters())
    changed = [not torch.equal(statistics[name], one) for name, one in network.named_buffers()]
    assert all(changed)
    assert not any(one.requires_grad for one in network.buffers())


def test_one_batch_makes_evaluation_agree_with_training():
    network = build("resnet-8", num_classes=3, in_channels=1, image_size=8)
    batch = random(64, 1, 8, 8)
    expected = network.train()(batch)
    reestimate_batch_norm(network.eval(), [batch])
    torch.testing.assert_close(network(batch), expected, rtol=0.05, atol=0.02)


def test_old_statistics_do_not_matter_even_where_they_are_not_finite():
    network = nn.Sequential(nn.BatchNorm1d(4)).eval()
    nn.init.constant_(network[0].running_mean, float("nan"))
    nn.init.constant_(network[0].running_var, 1e30)
    batch = random(16, 4)
    reestimate_batch_norm(network, [batch])
    torch.testing.assert_close(network[0].running_mean, batch.mean(0))


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([], "from no data at all"),
        ([random(8, 4), random(1, 4)], "'0' sees one value per channel"),
        (
            [random(8, 4), torch.full((8, 4), float("inf"))],
            "'0' has statistics that are not finite",
        ),
    ],
)
def test_a_refusal_leaves_the_network_as_it_was(batches, words):
    network = nn.Sequential(nn.BatchNorm1d(4)).eval()
    reestimate_batch_norm(network, [random(9, 4, seed=5)])
    before = {name: one.clone() for name, one in network.state_dict().items()}
    with pytest.raises(StockpotError, match=words):
        reestimate_batch_norm(network, batches)
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    assert not network.training
    assert network[0].momentum == 0.1


def test_an_error_of_the_network_leaves_it_as_it_was():
    network = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    before = {name: one.clone() for name, one in network.state_dict().items()}
    with pytest.raises(ValueError, match="expected 2D or 3D"):
        reestimate_batch_norm(network, [random(8, 4), random(8, 4, 2, 2)])
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    assert not any(one.training for one in network.modules())


def test_layers_that_no_batch_reaches_keep_what_they_had():
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.BatchNorm1d(4), nn.BatchNorm1d(4)

        def forward(self, x):
            return self.used(x)

    network = Partly().eval()
    nn.init.constant_(network.unused.running_mean, 7.0)
    assert reestimate_batch_norm(network, [random(8, 4)]) == 1
    assert torch.equal(network.unused.running_mean, torch.full((4,), 7.0))


@pytest.mark.parametrize(
    "network",
    [
        nn.Linear(4, 2),
        nn.Sequential(nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.InstanceNorm1d(4)),
        nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)),
    ],
)
def test_without_statistics_there_is_nothing_to_do(network):
    assert not has_batch_norm(network)
    assert reestimate_batch_norm(network, []) == 0


def test_which_networks_have_statistics():
    sizes = {"num_classes": 3, "in_channels": 1, "image_size": 8}
    with_them = {
        name for name in ("mlp", "cnn", "resnet-8") if has_batch_norm(build(name, **sizes))
    }
    assert with_them == {"resnet-8"}


def test_the_example_of_the_page_runs():
    page = Path(__file__).parents[2] / "docs" / "batch-norm.md"
    (code,) = re.findall(r"^```python\n(.*?)^```", page.read_text("utf8"), re.MULTILINE | re.DOTALL)
    exec(compile(code, str(page), "exec"), {})
