"""Small networks trained on digits: fine-tunes of one start, and strangers."""

import torch
from torch import nn

from stockpot.data import digits
from stockpot.networks import build

SHAPE = {"num_classes": 10, "in_channels": 1, "image_size": 8}


def trained(start, seed, steps=60, lr=0.01, frozen=()):
    """A state dict after some steps of Adam; `frozen` names tensors that stay."""
    network = build("mlp", seed=0, width=48, depth=2, **SHAPE)
    network.load_state_dict(start)
    network.train()
    data = digits()
    learned = [p for name, p in network.named_parameters() if name not in frozen]
    optimiser = torch.optim.Adam(learned, lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        index = torch.randint(len(data), (64,), generator=generator)
        loss = nn.functional.cross_entropy(network(data.batch(index)), data.labels[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {name: one.detach().clone() for name, one in network.state_dict().items()}


def fresh(seed):
    return build("mlp", seed=seed, width=48, depth=2, **SHAPE).state_dict()


def pool(count=3):
    """The base, and fine-tunes of it."""
    base = trained(fresh(0), 0, steps=150)
    return base, [trained(base, seed) for seed in range(1, count + 1)]


def stranger(seed=7):
    """Trained alike from a start of its own."""
    return trained(trained(fresh(seed), seed, steps=150), seed + 1)


def rescaled(state, factor, first="body.1", second="body.3"):
    """The same function: ReLU passes a factor on to the next layer."""
    state = dict(state)
    state[f"{first}.weight"] = state[f"{first}.weight"] * factor
    state[f"{first}.bias"] = state[f"{first}.bias"] * factor
    state[f"{second}.weight"] = state[f"{second}.weight"] / factor
    return state


def permuted(state, seed=0, first="body.1", second="body.3"):
    """The same function with the units of a layer in another order."""
    order = torch.randperm(48, generator=torch.Generator().manual_seed(seed))
    state = dict(state)
    state[f"{first}.weight"] = state[f"{first}.weight"][order]
    state[f"{first}.bias"] = state[f"{first}.bias"][order]
    state[f"{second}.weight"] = state[f"{second}.weight"][:, order]
    return state
