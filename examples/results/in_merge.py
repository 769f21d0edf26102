"""In-model merging against an equally long plain fine-tune, weight decay and dropout.

    python examples/results/in_merge.py emoji RUN
    python examples/results/in_merge.py fashion RUN

For each seed one resnet-20 is trained, and every arm goes on from it, with the same order of the
data. The same command goes on after a kill; a finished network is not trained again.
"""

import csv
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from stockpot.data import Dataset, Splits, fewer, load, named_views, split
from stockpot.evaluation import predict
from stockpot.evaluation.scores.bootstrap import Estimate, Resampler, over_pools, share_estimate
from stockpot.networks import Network, build
from stockpot.training import Additions, Fit, InModelMerge, Layers, fit, kernel_report

SEEDS = range(5)
CONVOLUTIONS = Layers(roles=("conv",))
CORRUPTIONS = ("noise-3", "noise-5", "blur-3", "blur-5", "contrast-3")


@dataclass(frozen=True)
class Setting:
    """A data set, and how long networks are trained on it."""

    data: Mapping[str, Any]
    split: Mapping[str, Any]
    before: int
    """Epochs of the common start."""
    after: int
    """Epochs of each arm."""
    domains: tuple[str, ...] = ()
    judged: int | None = None
    """Test samples that are judged on; None for all."""


SETTINGS = {
    "emoji": Setting(
        {"name": "emoji", "path": "node_modules", "vendor": "both", "size": 32},
        {"domains": ["google"], "selection": 0.15, "test": 0.3},
        before=12,
        after=6,
        domains=("twitter",),
    ),
    "fashion": Setting({"name": "fashion-mnist"}, {"limit": 2500}, before=5, after=3, judged=2000),
}


@dataclass(frozen=True)
class Arm:
    """What differs from the plain fine-tune."""

    merge: InModelMerge | None = None
    weight_decay: float = 5e-4
    dropout: float = 0.0


ARMS = {
    "plain": Arm(),
    "in-merge": Arm(InModelMerge()),
    "in-merge, norm kept": Arm(InModelMerge(norm="kept")),
    "in-merge, tau 0.2": Arm(InModelMerge(tau=0.2)),
    "in-merge, tau 0.2, norm kept": Arm(InModelMerge(tau=0.2, norm="kept")),
    "weight decay": Arm(weight_decay=5e-3),
    "dropout": Arm(dropout=0.3),
}


def start_of(setting: Setting, splits: Splits, seed: int) -> Network:
    """The trained network that all arms of a seed go on from."""
    how = Fit(
        epochs=setting.before,
        optimiser="sgd",
        lr=0.05,
        schedule="step",
        milestones=(0.75,),
        weight_decay=5e-4,
        seed=seed,
    )
    return fit(new(splits, seed), splits.train, how)


def new(splits: Splits, seed: int, dropout: float = 0.0) -> Network:
    """Random weights."""
    data = splits.train
    sizes = {"in_channels": data.in_channels, "image_size": data.image_size}
    own = {"width": 8, "dropout": dropout}
    return build("resnet-20", seed=seed, num_classes=data.num_classes, **sizes, **own)


def go_on(arm: Arm, setting: Setting, splits: Splits, start: Network, seed: int) -> Network:
    """Fine-tuned at the rate at which the start ended, which stays constant."""
    network = new(splits, seed, arm.dropout)
    network.load_state_dict(start.state_dict())
    how = Fit(
        epochs=setting.after,
        optimiser="sgd",
        lr=0.005,
        schedule="constant",
        weight_decay=arm.weight_decay,
        seed=1000 + seed,
    )
    merge = replace(arm.merge, seed=seed) if arm.merge else None
    return fit(network, splits.train, how, additions=Additions(merging=merge))


def seen(setting: Setting, splits: Splits) -> dict[str, Dataset]:
    """What is judged on."""
    test = fewer(splits.test, setting.judged)
    views = {name: view(test) for name, view in named_views(CORRUPTIONS).items()}
    asides = dict.fromkeys(setting.domains, splits.aside)
    return {"clean": test, **asides, **views}


def judged(network: Network, views: Mapping[str, Dataset]) -> dict[str, Any]:
    """Right or wrong on each sample of each view, and what became of the kernels."""
    merge = InModelMerge(p=1.0)
    names = set(merge.names(network))
    kernels = [one for one in kernel_report(network, CONVOLUTIONS) if one.name in names]
    moved = merge(deepcopy(network).train(), 0).kernels  # of all kernels, each with one partner
    return {
        **{f"correct {name}": predict(network, one).correct() for name, one in views.items()},
        "alike": float(moved) / sum(one.count for one in kernels),
        "rank": fmean(one.effective_rank / one.count for one in kernels),
        "duplicates": sum(one.duplicates for one in kernels),
        "norm": sum(float(network.state_dict()[name].square().sum()) for name in names) ** 0.5,
        "state": network.state_dict(),
    }


def made(setting: Setting, splits: Splits, out: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Every network's results, trained where its file is not there yet."""
    views = seen(setting, splits)
    for seed in SEEDS:
        start = new(splits, seed)
        for name, arm in {"start": None, **ARMS}.items():
            path = out / f"{seed}-{name.replace(', ', '-').replace(' ', '-')}.pt"
            if not path.exists():
                network = go_on(arm, setting, splits, start, seed) if arm else None
                partial = path.with_suffix(".partial")
                torch.save(judged(network or start_of(setting, splits, seed), views), partial)
                partial.replace(path)
            found = torch.load(path)
            if arm is None:
                start.load_state_dict(found["state"])
            print(seed, name, round(float(found["correct clean"].mean()), 4), flush=True)
            yield seed, name, found


def table(found: Mapping[str, list[dict[str, Any]]], setting: Setting, test: Dataset) -> list[Any]:
    """Rows: arm, view, accuracy and difference from the plain fine-tune, each with its interval."""
    resampler = Resampler(test.originals)

    def estimates(arm: str, views: tuple[str, ...]) -> list[Estimate]:
        right = [torch.stack([one[f"correct {v}"] for v in views]).mean(0) for one in found[arm]]
        return [share_estimate(one, resampler) for one in right]

    groups = {name: (name,) for name in ("clean", *setting.domains, *CORRUPTIONS)}
    rows = []
    for view, views in {**groups, "corrupted": CORRUPTIONS}.items():
        plain = estimates("plain", views)
        for arm in found:
            own = estimates(arm, views)
            pairs = [a.minus(b) for a, b in zip(own, plain, strict=True)]
            for what, one in (("accuracy", own), ("difference", pairs)):
                every = over_pools(one).interval()
                rows.append((arm, view, what, every.value, every.low, every.high))
    for arm, networks in found.items():
        for what in ("alike", "rank", "duplicates", "norm"):
            values = [float(one[what]) for one in networks]
            rows.append((arm, "kernels", what, fmean(values), min(values), max(values)))
    return rows


def main(name: str, out: Path) -> None:
    """Train, judge, and write table.csv."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    setting = SETTINGS[name]
    splits = split(load(setting.data), **setting.split)
    found: dict[str, list[dict[str, Any]]] = {}
    for _, arm, one in made(setting, splits, out):
        found.setdefault(arm, []).append(one)
    rows = table(found, setting, seen(setting, splits)["clean"])
    with (out / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["arm", "view", "what", "value", "low", "high"])
        writer.writerows(rows)
    for row in rows:
        print(*row[:3], *(f"{one:.4f}" for one in row[3:]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
