"""What a penalty costs in a training step of ResNet-18 (11.2 million parameters, 32 x 32 images).

Steps with and without it alternate; the time is the process's own on one thread, which other work
on the machine disturbs little.

    python -m bench.penalties [--batch 32] [--steps 5]
"""

import argparse
import copy
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stockpot.training import InModelMerge, ProximalTerm, ScopeRegularizer, scope_of


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


def resnet18() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def naive(target: dict[str, tuple[float, float]], network: nn.Module) -> Tensor:
    """The formula as one writes it: what the fused penalty is held against."""
    total = torch.zeros(())
    for name, weight in network.named_parameters():
        if name in target:
            (mean, std), own, spread = target[name], weight.mean(), weight.std(correction=0)
            gap = (spread**2 + (own - mean) ** 2) / (2 * std**2)
            total = total + torch.log(std / spread) + gap - 0.5
    return total


def seconds(step: Callable[[], None]) -> float:
    begun = time.process_time()
    step()
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = resnet18()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    images, labels = torch.rand(args.batch, 3, 32, 32), torch.randint(10, (args.batch,))
    target = scope_of(resnet18())
    anchor = copy.deepcopy(network)

    def plain() -> None:
        optimiser.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimiser.step()

    def alone(penalty: Callable[[nn.Module], Tensor]) -> Callable[[], None]:
        def run() -> None:
            optimiser.zero_grad()
            penalty(network).backward()

        return run

    contenders = {
        "scope penalty": alone(ScopeRegularizer(target, 0.1)),
        "scope penalty, as one writes it": alone(lambda one: naive(target, one)),
        "proximal term": alone(ProximalTerm(anchor, 0.1)),
        "in-model merge": lambda: (InModelMerge(seed=1)(network, 0), None)[1],
    }
    found: dict[str, list[float]] = {name: [] for name in ("step", *contenders)}
    plain()
    for _ in range(args.steps):
        found["step"].append(seconds(plain))
        for name, run in contenders.items():
            found[name].append(seconds(run))
    step = median(found["step"])
    print(f"step of batch {args.batch}: {step:.3f} s of one core")
    for name in contenders:
        own = median(found[name])
        print(f"{name}: {own * 1e3:.1f} ms, {own / step:.2%} of a step")


if __name__ == "__main__":
    main()
