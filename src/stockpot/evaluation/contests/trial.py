"""Some ingredients of a pool, and what the columns of the table make of them."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from ...data import Dataset
from ..choices.greedy import Greedy, greedy_members
from ..choices.learned_soup import Learning
from ..choices.soups import Reestimate, mend, soup
from ..choices.tuning import Tuning
from ..predictions.predict import BATCH, Predictions, Tally, predict
from ..predictions.views import JUDGED, seen_on
from ..results.comparison import Kind
from ..scores.metrics import METRICS, Metric
from ..scores.singles import Singles, network_scores

Distil = Callable[[nn.Module, Dataset, Tensor, int], nn.Module]
"""Trains a student: (start, training data, soft targets [N, L], seed) to a network in evaluation
mode; the start is left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all trials of a comparison share.

    Attributes:
        metric: what is chosen by, on the selection split.
        metrics: all that are reported.
        reestimate: of batch-norm statistics, for a second row of each soup.
        distil: trains the distilled network.
        learning: how the learned soup's weights are found.
        seed: of what draws at random.
        batch_size: samples of one forward pass.
        tally: where the samples run are noted.
        tuning: how merge methods are tuned, where they are.
    """

    metric: Metric = METRICS["accuracy"]
    metrics: tuple[Metric, ...] = (METRICS["accuracy"],)
    reestimate: Reestimate | None = None
    distil: Distil | None = None
    learning: Learning = field(default_factory=Learning)
    seed: int = 0
    batch_size: int = BATCH
    tally: Tally = field(default_factory=Tally)
    tuning: Tuning | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Entrant:
    """One column's result for one trial.

    Attributes:
        method, kind: as in the table.
        forwards: network evaluations that one sample costs.
        predictions: on each split and view; or
        singles: the ingredients whose scores are averaged, which were predicted before.
        own: scores of metrics that run a network themselves, by (split, metric).
    """

    method: str
    kind: Kind
    forwards: int
    predictions: Mapping[str, Predictions] = field(default_factory=dict[str, Predictions])
    singles: tuple[int, ...] = ()
    own: Mapping[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial:
    """N ingredients of a pool: their predictions, and how soups of them are run and scored."""

    singles: Singles
    members: tuple[int, ...]
    setting: Setting
    subset: int = 0

    def seen(self, key: str, members: Sequence[int] | None = None) -> list[Predictions]:
        """Predictions of the (or some) members on a split or view."""
        chosen = self.members if members is None else members
        return [self.singles.runs[key][i] for i in chosen]

    @cached_property
    def scores(self) -> Mapping[int, float]:
        """Of each member alone on the selection split; larger is better."""
        scores = self.singles.scores(self.setting.metric)
        return {i: _or_worst(scores[i]) for i in self.members}

    @property
    def best(self) -> int:
        """The member that is best on the selection split; of equals the first."""
        return max(self.members, key=self.scores.__getitem__)

    @cached_property
    def greedy(self) -> Greedy:
        """The greedy soup's members; at most N - 1 soups are run on the selection split."""
        return greedy_members(
            self.scores, lambda some: self.score_network(self.soup(some), _GREEDY)
        )

    @cached_property
    def greedy_mended(self) -> Greedy:
        """The same where every soup has its batch-norm statistics re-estimated first."""
        return greedy_members(
            self.scores, lambda some: self.score_network(self.mended(self.soup(some)), _GREEDY)
        )

    def soup(self, members: Sequence[int]) -> nn.Module:
        """The uniform average of some members."""
        return soup(self.singles.pool, members)

    @cached_property
    def mends(self) -> bool:
        """Whether soups are to be run with re-estimated statistics too."""
        reestimate, pool = self.setting.reestimate, self.singles.pool
        return bool(reestimate) and mend(pool.build(), pool.splits.train, reestimate)

    def mended(self, network: nn.Module) -> nn.Module:
        """A copy of a soup with its batch-norm statistics re-estimated on training inputs."""
        setting, copied = self.setting, copy.deepcopy(network)
        assert setting.reestimate
        mend(copied, self.singles.pool.splits.train, setting.reestimate, seed=setting.seed)
        return copied

    def score(self, selection: Predictions) -> float:
        """By the metric that chooses; larger is better, and no number is worst."""
        metric = self.setting.metric
        assert metric.value is not None
        return _or_worst(metric.sign * metric.value(selection))

    def score_network(self, network: nn.Module, candidate_of: str) -> float:
        """A candidate's score on the selection split; larger is better, and no number is worst."""
        pool, metric = self.singles.pool, self.setting.metric
        if metric.of_network:
            return _or_worst(metric.sign * metric.of_network(network, pool.splits.selection))
        return self.score(self.run(network, "selection", f"{candidate_of} candidate"))

    def run(self, network: nn.Module, key: str, called: str) -> Predictions:
        """A new network's predictions on a split or view."""
        return predict(
            network,
            self.singles.data(key),
            batch_size=self.setting.batch_size,
            tally=self.setting.tally,
            called=called,
        )

    def of_network(self, method: str, kind: Kind, network: nn.Module) -> Entrant:
        """A new network, run over each split and view once."""
        singles = self.singles
        return Entrant(
            method=method,
            kind=kind,
            forwards=1,
            predictions=seen_on(JUDGED, singles.views, lambda key: self.run(network, key, method)),
            own=network_scores(network, singles.pool.splits, self.setting.metrics, singles.views),
        )

    def of_members(
        self,
        method: str,
        join: Callable[[Sequence[Predictions]], Predictions],
        members: Sequence[int] | None = None,
    ) -> Entrant:
        """An ensemble of the (or some) members' predictions; nothing is run."""
        joined = seen_on(JUDGED, self.singles.views, lambda key: join(self.seen(key, members)))
        return Entrant(
            method=method,
            kind="ensemble",
            forwards=joined["test"].forwards,
            predictions=joined,
        )

    def soft_targets(self, split: str) -> Tensor:
        """The members' mean probabilities, [N, L]."""
        seen = self.seen(split)
        spread = torch.sigmoid if seen[0].is_multilabel else _softmax
        return torch.stack([spread(one.logits) for one in seen]).mean(dim=0)


_GREEDY = "greedy-soup"


def _softmax(logits_NL: Tensor) -> Tensor:
    return logits_NL.softmax(dim=1)


def _or_worst(score: float) -> float:
    return score if score == score else float("-inf")
