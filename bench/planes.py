"""A loss plane of 21 x 21 points: `Span` beside the plain loop, processor time of one thread.

The plain loop builds a network, merges three into it, loads the weights and predicts, point by
point; the second column only loads and predicts. Points alternate in blocks, so that both see the
same machine. Losses are compared.

    python -m bench.planes [--side 21] [--samples 1000] [--networks mlp ...]
"""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stockpot.data import Dataset
from stockpot.evaluation import nll, predict
from stockpot.networks import build
from stockpot.ops.means import affine
from stockpot.studies.connectivity.computing import side_of
from stockpot.studies.connectivity.curves import Span

NETWORKS: Mapping[str, tuple[str, int, Mapping[str, Any]]] = {
    "mlp, 8 x 8": ("mlp", 8, {}),
    "mlp, 28 x 28": ("mlp", 28, {}),
    "cnn, 8 x 8": ("cnn", 8, {}),
    "cnn, 28 x 28": ("cnn", 28, {}),
    "resnet-8 batch, 8 x 8": ("resnet-8", 8, {"width": 8}),
    "resnet-8 batch, 28 x 28": ("resnet-8", 28, {"width": 8}),
    "resnet-8 group, 28 x 28": ("resnet-8", 28, {"width": 8, "norm": "group"}),
}
BLOCKS = 3
"""Parts of the plane that are computed in turn by each contender."""

Point = tuple[float, float, float]


def drawn(size: int, samples: int) -> Dataset:
    made = torch.Generator().manual_seed(0)
    return Dataset(
        name="drawn",
        inputs=torch.rand(samples, 1, size, size, generator=made),
        labels=torch.randint(10, (samples,), generator=made),
        num_classes=10,
        originals=torch.arange(samples),
    )


def merged(states: list[dict[str, Tensor]], point: Point) -> dict[str, Tensor]:
    return {
        name: affine([one[name] for one in states], point) if first.is_floating_point() else first
        for name, first in states[0].items()
    }


def measure(name: str, side: int, samples: int) -> tuple[dict[str, float], float]:
    """Seconds a point of each contender, and the largest relative difference of losses."""
    kind, size, keys = NETWORKS[name]

    def made(seed: int) -> nn.Module:
        return build(kind, num_classes=10, in_channels=1, image_size=size, seed=seed, **keys)

    states = [made(seed).state_dict() for seed in range(3)]
    data, shell = drawn(size, samples), made(0)
    span = Span.of(shell, states)

    def rebuild(points: list[Point]) -> list[float]:
        found: list[float] = []
        for point in points:
            network = made(0)
            network.load_state_dict(merged(states, point))
            found.append(nll(predict(network, data)))
        return found

    def load(points: list[Point]) -> list[float]:
        found: list[float] = []
        for point in points:
            shell.load_state_dict(merged(states, point))
            found.append(nll(predict(shell, data)))
        return found

    def fast(points: list[Point]) -> list[float]:
        return [nll(one) for one in span.run(points, data)]

    contenders: dict[str, Callable[[list[Point]], list[float]]] = {
        "rebuild": rebuild,
        "load": load,
        "span": fast,
    }
    places = side_of(side)
    points = [(1 - u - v, u, v) for v in places for u in places]
    spent = dict.fromkeys(contenders, 0.0)
    losses: dict[str, list[float]] = {one: [] for one in contenders}
    size_of_block = -(-len(points) // BLOCKS)
    for one in contenders.values():
        one(points[:2])
    for start in range(0, len(points), size_of_block):
        for contender, run in contenders.items():
            begun = time.process_time()
            losses[contender] += run(points[start : start + size_of_block])
            spent[contender] += time.process_time() - begun
    apart = max(abs(a - b) / a for a, b in zip(losses["rebuild"], losses["span"], strict=True))
    return {one: seconds / len(points) for one, seconds in spent.items()}, apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=21)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | rebuild | load | span | rebuild / span | load / span | losses apart |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in args.networks:
        found, apart = measure(name, args.side, args.samples)
        shown = " | ".join(f"{1e3 * found[one]:.2f} ms" for one in found)
        ratios = " | ".join(f"{found[one] / found['span']:.1f}" for one in ("rebuild", "load"))
        print(f"| {name} | {shown} | {ratios} | {apart:.0e} |", flush=True)


if __name__ == "__main__":
    main()
