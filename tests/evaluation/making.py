"""Small pools and predictions for the tests of this room."""

import copy
from dataclasses import replace

import torch
from torch import nn

from stockpot.data import Dataset, Rotate, Splits, digits, mixture, three_way
from stockpot.evaluation import Ingredients, Predictions
from stockpot.networks import Network, build

SHAPE = {"num_classes": 10, "in_channels": 1, "image_size": 8}


def mlp(seed=0):
    return build("mlp", seed=seed, width=16, depth=1, **SHAPE)


def few_digits(count=240):
    return three_way(digits().take(torch.arange(count)), selection=0.3, test=0.4)


def fitted(start, data, seed, steps=40, lr=0.02):
    """A quick fine-tune: the training room's own loop lies above this one."""
    network = copy.deepcopy(start)
    optimiser = torch.optim.Adam(network.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        index = torch.randint(len(data), (32,), generator=generator)
        loss = nn.functional.cross_entropy(network(data.batch(index)), data.labels[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def pool_of(networks, splits, seed=0, build=mlp, **more):
    names = [f"net-{i}" for i in range(len(networks))]
    return Ingredients(seed=seed, names=names, sources=networks, splits=splits, build=build, **more)


def trained_pool(count, splits, seed=0):
    """Fine-tunes of one start."""
    start = fitted(mlp(seed), splits.train, 99 + seed)
    return pool_of(
        [fitted(start, splits.train, 10 * seed + i, steps=15) for i in range(count)],
        splits,
        seed,
        base=start,
    )


def noisy(network, scale, seed):
    """The network with noise on its weights."""
    other = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in other.parameters():
            one.add_(scale * torch.randn(one.shape, generator=generator))
    return other


class Linear(Network):
    """No body at all."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 12))
        self.head = nn.Linear(12, 10)
        self.eval()

    def features(self, images):
        return self.body(images)


def counted(network, seen):
    """Count the samples that pass through the network's body, whoever runs it."""
    network.body.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    return network


def said(logits, labels, **more):
    """Predictions from numbers."""
    labels = torch.as_tensor(labels)
    logits = torch.as_tensor(logits, dtype=torch.float32)
    return Predictions(logits, labels, torch.arange(len(labels)), **more)


def several_labels(count=120, seed=0):
    """A small multi-label problem: which quarters of an image are bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(count, 4, generator=generator) < 0.4
    quarters = labels.float().reshape(count, 1, 2, 2)
    images = nn.functional.interpolate(quarters, scale_factor=4.0)
    images = images + 0.4 * torch.randn(images.shape, generator=generator)
    return Dataset("quarters", images, labels, 4, torch.arange(count), ("a", "b", "c", "d"))


def several_splits(count=120):
    data = several_labels(count)
    parts = torch.arange(count).split([count // 2, count // 4, count - count // 2 - count // 4])
    return Splits(*(data.take(part) for part in parts))


def two_domains(count=240):
    """Digits as they are and turned, one original in both."""
    mixed = mixture(
        digits().take(torch.arange(count)), {"plain": None, "turned": Rotate(degrees=40)}
    )
    domain = torch.arange(2).repeat_interleave(count)
    return replace(mixed.data, domains=("plain", "turned"), domain=domain)
