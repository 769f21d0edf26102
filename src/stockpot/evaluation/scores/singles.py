"""Every network of a pool, run over each split exactly once; all that follows is arithmetic."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import nn

from ...data import Dataset, Splits
from ...networks import Headed
from ..predictions.ingredients import Ingredients
from ..predictions.predict import BATCH, Predictions, Tally, predict
from ..predictions.views import JUDGED, TEST, Viewed, Views, seen_on, split_of
from .losses import fit_temperature
from .metrics import Metric


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Singles:
    """What is known of a pool without merging any of it.

    Attributes:
        pool: the networks.
        runs: predictions with features, of each network on each split that was asked for, and
            on each view.
        heads: a copy of each network's head.
        temperatures: of each network's logits, fitted on the selection split.
        own: scores of metrics that run a network themselves, by (split, metric).
        seconds: wall time of 1,000 samples, over all networks.
        views: of the test split.
    """

    pool: Ingredients
    runs: Mapping[str, Sequence[Predictions]]
    heads: Sequence[nn.Module]
    temperatures: Sequence[float]
    own: Mapping[tuple[str, str], Sequence[float]]
    seconds: float
    views: Views = field(default_factory=dict[str, Viewed])

    def data(self, key: str) -> Dataset:
        """The samples of a split or a view."""
        return self.views[key].data if key in self.views else split_of(self.pool.splits, key)

    def scores(self, metric: Metric) -> list[float]:
        """Of each network on the selection split, signed so that larger is better."""
        if metric.value is None:
            return [metric.sign * one for one in self.own["selection", metric.name]]
        return [metric.sign * metric.value(one) for one in self.runs["selection"]]


def run_singles(
    pool: Ingredients,
    *,
    splits: Sequence[str] = JUDGED,
    views: Views | None = None,
    metrics: Sequence[Metric] = (),
    batch_size: int = BATCH,
    tally: Tally | None = None,
) -> Singles:
    """Run each network over each split and view once; networks in files are read one at a time.

    Args:
        pool: the networks.
        splits: names of those to run over; distillation needs "train" as well.
        views: of the test split; those that are some of its samples need no run.
        metrics: those that must run a network themselves do it now.
        batch_size: samples of one forward pass.
        tally: where the samples run are noted.

    Raises:
        StockpotError: as `predict`.
    """
    views = views or {}
    runs: dict[str, list[Predictions]] = {key: [] for key in (*splits, *views)}
    own: dict[tuple[str, str], list[float]] = {}
    heads: list[nn.Module] = []
    seconds, samples = 0.0, 0

    def run(subject: Headed, name: str, key: str) -> Predictions:
        nonlocal seconds, samples
        data = views[key].data if key in views else split_of(pool.splits, key)
        began = time.perf_counter()
        seen = predict(subject, data, batch_size=batch_size, tally=tally, called=name)
        seconds, samples = seconds + time.perf_counter() - began, samples + len(data)
        return seen

    for index, name in enumerate(pool.names):
        network = pool.network(index)
        subject = pool.headed(network)
        for key, seen in seen_on(splits, views, partial(run, subject, name)).items():
            runs[key].append(seen)
        for key, value in network_scores(network, pool.splits, metrics, views).items():
            own.setdefault(key, []).append(value)
        heads.append(copy.deepcopy(subject.head).cpu())
    return Singles(
        pool=pool,
        runs=runs,
        heads=heads,
        temperatures=[fit_temperature(one) for one in runs["selection"]],
        own=own,
        seconds=1000 * seconds / samples,
        views=views,
    )


def network_scores(
    network: nn.Module, splits: Splits, metrics: Sequence[Metric], views: Views
) -> dict[tuple[str, str], float]:
    """Scores by metrics that run the network themselves, by (split or view, metric).

    A metric with data of its own is asked once, and stands under the test split.
    """
    judged = {split: split_of(splits, split) for split in JUDGED}
    judged |= {key: view.data for key, view in views.items()}
    return {
        (key, metric.name): metric.of_network(network, data)
        for metric in metrics
        if metric.of_network
        for key, data in judged.items()
        if metric.chooses or key == TEST
    }
