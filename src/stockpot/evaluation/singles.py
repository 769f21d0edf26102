"""Every network of a pool, run over each split exactly once; all that follows is arithmetic."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from ..data import Dataset, Splits
from .ingredients import Ingredients
from .metrics import Metric
from .predictions import BATCH, Predictions, Tally, predict
from .temperature import fit_temperature

JUDGED = ("selection", "test")
"""The splits that scores are reported on."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Singles:
    """What is known of a pool without merging any of it.

    Attributes:
        pool: the networks.
        runs: predictions with features, of each network on each split that was asked for.
        heads: a copy of each network's head.
        temperatures: of each network's logits, fitted on the selection split.
        own: scores of metrics that run a network themselves, by (split, metric).
        seconds: wall time of 1,000 samples, over all networks.
    """

    pool: Ingredients
    runs: Mapping[str, Sequence[Predictions]]
    heads: Sequence[nn.Module]
    temperatures: Sequence[float]
    own: Mapping[tuple[str, str], Sequence[float]]
    seconds: float

    def scores(self, metric: Metric) -> list[float]:
        """Of each network on the selection split, signed so that larger is better."""
        if metric.value is None:
            return [metric.sign * one for one in self.own["selection", metric.name]]
        return [metric.sign * metric.value(one) for one in self.runs["selection"]]


def run_singles(
    pool: Ingredients,
    *,
    splits: Sequence[str] = JUDGED,
    metrics: Sequence[Metric] = (),
    batch_size: int = BATCH,
    tally: Tally | None = None,
) -> Singles:
    """Run each network over each of the splits once; networks in files are read one at a time.

    Args:
        pool: the networks.
        splits: names of those to run over; distillation needs "train" as well.
        metrics: those that must run a network themselves do it now.
        batch_size: samples of one forward pass.
        tally: where the samples run are noted.

    Raises:
        StockpotError: as `predict`.
    """
    runs: dict[str, list[Predictions]] = {split: [] for split in splits}
    own: dict[tuple[str, str], list[float]] = {}
    heads: list[nn.Module] = []
    seconds, samples = 0.0, 0
    for index, name in enumerate(pool.names):
        network = pool.network(index)
        subject = pool.headed(network)
        for split in splits:
            data, began = split_of(pool.splits, split), time.perf_counter()
            seen = predict(subject, data, batch_size=batch_size, tally=tally, called=name)
            seconds, samples = seconds + time.perf_counter() - began, samples + len(data)
            runs[split].append(seen)
        for key, value in network_scores(network, pool.splits, metrics).items():
            own.setdefault(key, []).append(value)
        heads.append(copy.deepcopy(subject.head).cpu())
    return Singles(
        pool=pool,
        runs=runs,
        heads=heads,
        temperatures=[fit_temperature(one) for one in runs["selection"]],
        own=own,
        seconds=1000 * seconds / samples,
    )


def split_of(splits: Splits, name: str) -> Dataset:
    """Train, selection or test."""
    return {"train": splits.train, "selection": splits.selection, "test": splits.test}[name]


def network_scores(
    network: nn.Module, splits: Splits, metrics: Sequence[Metric]
) -> dict[tuple[str, str], float]:
    """Scores by metrics that run the network themselves, by (split, metric).

    A metric with data of its own is asked once, and stands under the test split.
    """
    return {
        (split, metric.name): metric.of_network(network, split_of(splits, split))
        for metric in metrics
        if metric.of_network
        for split in (JUDGED if metric.chooses else JUDGED[1:])
    }
