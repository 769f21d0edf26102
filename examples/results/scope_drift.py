"""How far scopes move when one thing about training changes, and whether weights are Gaussian.

    python examples/results/scope_drift.py OUT.csv [--seeds 5] [--only digits/mlp ...]

Every network is trained five times or more with the settings of REFERENCE, and as often with one
thing changed: CHANGES. OUT.csv has a line for each weight tensor, seed and change; what it says is
printed: KL to the scope of the same tensor in the reference of the same seed, the ratio of standard
deviations, Kolmogorov and Smirnov's distance to a normal distribution before and after training.
Dataset fashion-mnist is Debian's; the other comes with scikit-learn.
"""

import argparse
import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from stockpot.data import Dataset, Splits, fewer, load, split
from stockpot.data.splits.subsets import Skew
from stockpot.evaluation import accuracy, predict
from stockpot.evaluation.results.estimator import over_seeds
from stockpot.networks import open_network
from stockpot.studies import statistics_of
from stockpot.training import Fit, Scope, fit, scope_divergence

NETWORKS = {
    "digits/mlp": ("mlp", 15),
    "digits/cnn": ("cnn", 8),
    "fashion-mnist/cnn": ({"name": "cnn", "width": 8}, 3),
    "digits/resnet-8": ({"name": "resnet-8", "width": 8, "norm": "batch"}, 5),
}
REFERENCE = Fit(lr=0.002, batch_size=32, weight_decay=0.01, optimiser="adamw")
CHANGES: dict[str, dict[str, object]] = {
    "nothing": {},
    "order of the data": {"order": 1000},
    "order and initial weights": {"order": 1000, "start": 1000},
    "learning rate / 4": {"lr": 0.0005},
    "learning rate x 4": {"lr": 0.008},
    "weight decay 0": {"weight_decay": 0.0},
    "weight decay 1": {"weight_decay": 1.0},
    "batch 8": {"batch_size": 8},
    "batch 128": {"batch_size": 128},
    "sgd, learning rate 0.05": {"optimiser": "sgd", "lr": 0.05},
    "initial weights normal": {"init": "normal"},
    "initial weights of two values": {"init": "signs"},
    "initial weights x 2": {"init": "double"},
    "half of the classes rare": {"skew": True},
}
INITS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "normal": lambda w, g: w.std() * torch.randn(w.shape, generator=g),
    "signs": lambda w, g: w.std() * torch.randn(w.shape, generator=g).sign(),
    "double": lambda w, _: 2 * w,
}


def start(spec: object, data: Dataset, seed: int, init: str | None) -> nn.Module:
    """A new network; with `init`, its weight tensors drawn so, with the spread that they had."""
    network = open_network(
        spec,
        num_classes=data.num_classes,
        in_channels=data.inputs.shape[1],
        image_size=data.inputs.shape[-1],
        seed=seed,
    )
    if init:
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in network.parameters():
                if weight.ndim >= 2:
                    weight.copy_(INITS[init](weight, draw))
    return network


def splits_of(name: str, seed: int) -> Splits:
    """Of a data set."""
    limit = 1500 if name == "fashion-mnist" else None
    return split(load(name), selection=0.1, test=0.3, seed=seed, limit=limit)


def rows_of(where: str, seeds: int) -> Iterator[dict[str, object]]:
    """One for each tensor, change and seed."""
    data = where.split("/", maxsplit=1)[0]
    spec, epochs = NETWORKS[where]
    for seed in range(seeds):
        splits = splits_of(data, seed)
        scopes: dict[str, Scope] = {}
        for change, own in CHANGES.items():
            fields = {k: v for k, v in own.items() if k not in ("start", "init", "skew")}
            if "order" in fields:
                fields["order"] = 1000 + seed
            how = replace(REFERENCE, epochs=epochs, seed=seed, **fields)
            part = splits.train
            if "skew" in own:
                part = Skew(classes=tuple(range(5)), keep=0.1, seed=seed)(part)
            before = start(spec, part, seed + int(own.get("start", 0)), own.get("init"))
            after = fit(before, part, how)
            right = accuracy(predict(after, fewer(splits.test, min(len(splits.test), 1000))))
            found = statistics_of([before.state_dict(), after.state_dict()])
            for one in found.among(("conv", "matrix")):
                early, late = one.models
                scope = Scope(late.moments.mean, late.moments.std)
                if change == "nothing":
                    scopes[one.name] = scope
                yield {
                    "network": where,
                    "seed": seed,
                    "change": change,
                    "tensor": one.name,
                    "entries": one.numel,
                    "std_before": early.moments.std,
                    "mean": scope.mean,
                    "std": scope.std,
                    "ratio": scope.std / scopes[one.name].std,
                    "kl": scope_divergence(scope, scopes[one.name]),
                    "distance_before": early.distance,
                    "distance": late.distance,
                    "kurtosis_before": early.moments.kurtosis,
                    "kurtosis": late.moments.kurtosis,
                    "accuracy": right,
                }
        print(where, "seed", seed, flush=True)


def interval(values: list[float], *, logs: bool = False) -> str:
    """Mean over seeds and its 95% interval by Student's t; of logarithms, their powers."""
    found = over_seeds(values)
    three = [found.value, found.low, found.high]
    mean, low, high = map(math.exp, three) if logs else three
    return f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def told(rows: list[dict[str, object]]) -> None:
    """For each network and change, means over tensors, then over seeds."""
    for where in dict.fromkeys(row["network"] for row in rows):
        print(f"\n{where}: change; KL in nats; ratio of std; distance before; after; accuracy")
        for change in CHANGES:
            mine = [row for row in rows if (row["network"], row["change"]) == (where, change)]
            seeds = sorted({row["seed"] for row in mine})

            def over(key: str, *, logs: bool = False, mine=mine, seeds=seeds) -> str:
                means = []
                for seed in seeds:
                    values = [float(row[key]) for row in mine if row["seed"] == seed]
                    values = [math.log(value) for value in values] if logs else values
                    means.append(math.fsum(values) / len(values))
                return interval(means, logs=logs)

            columns = [over("kl"), over("ratio", logs=True)]
            columns += [over("distance_before"), over("distance"), over("accuracy")]
            print(f"{change}; " + "; ".join(columns))


def main() -> None:
    """Train, write, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(NETWORKS))
    said = parser.parse_args()
    rows: list[dict[str, object]] = []
    for where in said.only:
        rows.extend(rows_of(where, said.seeds))
        with said.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    told(rows)


if __name__ == "__main__":
    main()
