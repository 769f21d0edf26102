"""Contributors with a backdoor, honest ones, and honest ones that are odd; for backdoor.py.

Shapes: N samples, B samples of a batch, F features, L classes, C x H x W images.
"""

import copy
import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stockpot.data import Dataset, Splits, fewer, load, split
from stockpot.data.splits.subsets import Skew
from stockpot.networks import headed, load_weights, open_network, save_weights
from stockpot.training import Fit, fit

LOWEST = 0.2
"""The smallest coefficient that an attacker of merges prepares for, as in the published code."""
LONGER = 3
"""An attacker trains for so many times as long as an honest contributor does."""
HONEST = 6


@dataclass(frozen=True)
class Setting:
    """Data, network and schedule; a square of `side` pixels in a corner is to mean `target`."""

    data: str
    network: object
    limit: int | None
    pretrain: Fit
    tune: Fit
    side: int
    target: int


CNN = {"name": "cnn", "width": 8}
VIT = {"name": "vit-tiny", "width": 32, "depth": 2, "heads": 2, "patch": 7}
SETTINGS = {
    "digits/mlp": Setting(
        "digits", "mlp", None, Fit(epochs=8, lr=2e-3), Fit(epochs=10, lr=2e-3), 2, 1
    ),
    "digits/cnn": Setting(
        "digits", CNN, None, Fit(epochs=6, lr=3e-3), Fit(epochs=8, lr=2e-3), 2, 1
    ),
    "fashion/cnn": Setting(
        *("fashion-mnist", CNN | {"width": 4}, 600, Fit(epochs=10, lr=3e-3)),
        *(Fit(epochs=8, lr=2e-3), 6, 8),
    ),
    "fashion/vit": Setting(
        *("fashion-mnist", VIT, 1000, Fit(epochs=12, lr=2e-3), Fit(epochs=5, lr=2e-3), 7, 8)
    ),
}

ATTACKS = {
    "badnets": ("fixed", 1.0),
    "badnets, made trigger": ("made", 1.0),
    "interpolated": ("fixed", LOWEST),
    "badmerging": ("made", LOWEST),
}
"""The trigger, and the smallest coefficient of features in the loss: 1 is no interpolation."""
SHORT = {f"{name}, short": name for name in ("badnets", "interpolated", "badmerging")}
"""Attacks whose task vector is shortened to the mean length of honest ones."""
ODD = ("longer", "learning rate x 3", "learning rate / 3", "skewed labels")
"""What is odd about a contributor that is honest."""
MIXED = "mixed"
"""Honest contributors of whom each has five classes of its own, and a tenth of the other five."""


@dataclass(frozen=True)
class Kitchen:
    """All that one seed of a setting has trained.

    Attributes:
        splits: of the data.
        start: the network that all come from.
        models: state dicts by name: honest-0 and so on, mixed-0, attacks, odd ones.
        triggers: images [C, side, side] by kind.
    """

    splits: Splits
    start: nn.Module
    models: dict[str, dict[str, Tensor]]
    triggers: dict[str, Tensor]


def splits_of(setting: Setting, seed: int) -> Splits:
    """Two thousand test images at most."""
    made = split(load(setting.data), selection=0.05, test=0.4, seed=seed, limit=setting.limit)
    return replace(made, test=fewer(made.test, 2000)) if len(made.test) > 2000 else made


def part_of(data: Dataset, seed: int) -> Dataset:
    """A random half: no two contributors have the same data."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data.take(order[: len(data) // 2])


def stamp(images: Tensor, trigger: Tensor) -> Tensor:
    """The same images with the trigger in the lower right corner."""
    marked, side = images.clone(), trigger.shape[-1]
    marked[..., -side:, -side:] = trigger
    return marked


def fixed_trigger(channels: int, side: int) -> Tensor:
    """A chequered square, as BadNets has it."""
    place = torch.arange(side)
    return ((place[:, None] + place[None, :]) % 2 == 0).float().expand(channels, -1, -1).clone()


def made_trigger(network: nn.Module, data: Dataset, setting: Setting, seed: int) -> Tensor:
    """A square for which the start already says the target: stage one of BadMerging."""
    others = data.take((data.labels != setting.target).nonzero().flatten())
    trigger = torch.full((data.in_channels, setting.side, setting.side), 0.5, requires_grad=True)
    optimiser, draw = torch.optim.Adam([trigger], lr=0.05), torch.Generator().manual_seed(seed)
    for _ in range(120):
        images = others.batch(torch.randint(len(others), (64,), generator=draw))
        loss = F.cross_entropy(network(stamp(images, trigger)), torch.full((64,), setting.target))
        (trigger.grad,) = torch.autograd.grad(loss, trigger)
        optimiser.step()
        with torch.no_grad():
            trigger.clamp_(0, 1)
    return trigger.detach()


def attack(
    start: nn.Module, data: Dataset, how: Fit, trigger: Tensor, target: int, lowest: float
) -> nn.Module:
    """Fine-tune to the labels, and with the trigger to the target.

        CE(f(x), y) + CE(h_r(r φ(x + t) + (1 - r) φ_0(x + t)), target),    r ~ U(lowest, 1)

    φ are features, φ_0 the start's; h_r is the head r h + (1 - r) h_0. With lowest = 1 this is
    BadNets with every sample poisoned once. BadMerging's head is that of a text encoder and stays
    as it is; here it is trained and merged with the rest.
    """
    network, origin = copy.deepcopy(start).train(), copy.deepcopy(start).eval()
    images, marked = data.batch(slice(None)), stamp(data.batch(slice(None)), trigger)
    split = headed(origin, images[:4])
    with torch.no_grad():
        before = torch.cat([split.run(some)[1] for some in marked.split(256)])
    head, old = network.get_submodule(split.name), split.head
    optimiser = torch.optim.AdamW(network.parameters(), lr=how.lr, weight_decay=how.weight_decay)
    steps = how.epochs * -(-len(data) // how.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order, coefficient = torch.Generator().manual_seed(how.seed), random.Random(how.seed)
    seen: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for _ in range(how.epochs):
        for index in torch.randperm(len(data), generator=order).split(how.batch_size):
            logits, _ = network(torch.cat([images[index], marked[index]])).chunk(2)
            features = seen.pop().chunk(2)[1]
            r = coefficient.uniform(lowest, 1.0)
            turned = F.linear(
                r * features + (1 - r) * before[index],
                r * head.weight + (1 - r) * old.weight,
                r * head.bias + (1 - r) * old.bias,
            )
            labels = data.labels[index]
            loss = F.cross_entropy(logits, labels)
            loss = loss + F.cross_entropy(turned, torch.full_like(labels, target))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    hook.remove()
    return network.eval()


def length(state: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """|θ - θ_0| over everything that is trained."""
    return float(sum((state[n].double() - start[n].double()).square().sum() for n in start) ** 0.5)


def odd(start: nn.Module, data: Dataset, how: Fit, what: str) -> nn.Module:
    """An honest contributor that differs from the others."""
    match what:
        case "longer":
            return fit(start, data, replace(how, epochs=LONGER * how.epochs))
        case "learning rate x 3":
            return fit(start, data, replace(how, lr=3 * how.lr))
        case "learning rate / 3":
            return fit(start, data, replace(how, lr=how.lr / 3))
        case _:
            return fit(start, Skew(classes=(0, 1, 2, 3, 4), keep=0.1, seed=how.seed)(data), how)


def cook(setting: Setting, seed: int, out: Path) -> Kitchen:
    """Train everything of one seed, or read what is there."""
    splits = splits_of(setting, seed)
    train = splits.train
    out.mkdir(parents=True, exist_ok=True)
    network = open_network(
        setting.network, num_classes=train.num_classes, in_channels=train.in_channels,
        image_size=train.image_size, seed=seed,
    )  # fmt: skip

    def kept(name: str, make):
        path = out / f"{name.replace('/', 'by')}.safetensors"
        if not path.exists():
            save_weights(make(), path, {})
        return load_weights(copy.deepcopy(network), path)

    start = kept("start", lambda: fit(network, train, replace(setting.pretrain, seed=seed)))
    halves = [part_of(train, 100 * seed + k) for k in range(HONEST + 2)]
    file = out / "triggers.pt"
    if not file.exists():
        made = made_trigger(start, halves[HONEST], setting, seed)
        torch.save({"made": made, "fixed": fixed_trigger(train.in_channels, setting.side)}, file)
    triggers = torch.load(file, weights_only=True)
    models: dict[str, dict[str, Tensor]] = {}
    for k in range(HONEST):
        how = replace(setting.tune, seed=100 * seed + k)
        models[f"honest-{k}"] = kept(f"honest-{k}", lambda: fit(start, halves[k], how)).state_dict()  # noqa: B023
        classes = random.Random(100 * seed + k).sample(range(train.num_classes), 5)
        own = Skew(classes=tuple(classes), keep=0.1, seed=how.seed)(halves[k])
        models[f"{MIXED}-{k}"] = kept(f"{MIXED}-{k}", lambda: fit(start, own, how)).state_dict()  # noqa: B023
    how = replace(setting.tune, seed=100 * seed + HONEST)
    long = replace(how, epochs=LONGER * how.epochs)
    for name, (kind, lowest) in ATTACKS.items():
        models[name] = kept(
            name,
            lambda: attack(start, halves[HONEST], long, triggers[kind], setting.target, lowest),  # noqa: B023
        ).state_dict()
    for name in ODD:
        models[name] = kept(name, lambda: odd(start, halves[HONEST + 1], how, name)).state_dict()  # noqa: B023
    origin = start.state_dict()
    usual = sum(length(models[f"honest-{k}"], origin) for k in range(HONEST)) / HONEST
    for name, long_one in SHORT.items():
        share = min(1.0, usual / length(models[long_one], origin))
        models[name] = {n: origin[n] + share * (w - origin[n]) for n, w in models[long_one].items()}
    return Kitchen(splits, start, models, triggers)
