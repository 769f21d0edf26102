"""Some ingredients of a pool, and what the columns of the table make of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from ...data import Dataset
from ..choices.greedy import Greedy, greedy_members
from ..choices.learned_soup import Learning
from ..choices.soups import soup
from ..choices.tuning import Tuning
from ..predictions.predict import Predictions
from ..predictions.views import JUDGED, seen_on
from ..results.comparison import Kind
from ..scores.scores import Scores, mean_over_networks, score_predictions
from ..scores.singles import Singles
from .contest import Contest, Exam
from .ledger import Entrant

Distil = Callable[[nn.Module, Dataset, Tensor, int], nn.Module]
"""Trains a student: (start, training data, soft targets [N, L], seed) to a network in evaluation
mode; the start is left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnOptions:
    """What columns may do with ingredients beside running them.

    Attributes:
        distil: trains the distilled network.
        learning: how the learned soup's weights are found.
        tuning: how merge methods are tuned, where they are.
    """

    distil: Distil | None = None
    learning: Learning = field(default_factory=Learning)
    tuning: Tuning | None = None


def scores_of_singles(contest: Contest, exam: Exam, singles: Singles) -> tuple[Scores, ...]:
    """Each network of a pool by itself, scored once however often it takes part."""
    return tuple(
        score_predictions(
            {key: singles.runs[key][i] for key in exam.resamplers},
            contest.metrics(exam.splits),
            exam.resamplers,
            {key: values[i] for key, values in singles.own.items()},
        )
        for i in range(len(singles.pool))
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Subset:
    """N ingredients of a pool: their predictions, and how soups of them are run and scored.

    Attributes:
        contest: that they take part in.
        exam: what they are judged on.
        singles: what is known of their pool.
        single_scores: of each network of the pool by itself.
        members: which of them take part.
        options: what columns may do.
        number: which subset of N this is.
    """

    contest: Contest
    exam: Exam
    singles: Singles
    single_scores: Sequence[Scores]
    members: tuple[int, ...]
    options: ColumnOptions
    number: int = 0

    @cached_property
    def scores(self) -> Mapping[int, float]:
        """Of each member alone on the selection split; larger is better."""
        scores = self.singles.scores(self.contest.metric)
        return {i: _or_worst(scores[i]) for i in self.members}

    @property
    def best(self) -> int:
        """The member that is best on the selection split; of equals the first."""
        return max(self.members, key=self.scores.__getitem__)

    @cached_property
    def greedy(self) -> Greedy:
        """The greedy soup's members; at most N - 1 soups are run on the selection split."""
        return greedy_members(
            self.scores, lambda some: self.network_score(self.soup(some), "greedy-soup")
        )

    @cached_property
    def greedy_mended(self) -> Greedy:
        """The same where every soup has its batch-norm statistics re-estimated first."""

        def score(some: tuple[int, ...]) -> float:
            network = self.mended(self.soup(some))
            assert network is not None
            return self.network_score(network, "greedy-soup")

        return greedy_members(self.scores, score)

    def soup(self, members: Sequence[int]) -> nn.Module:
        """The uniform average of some members."""
        return soup(self.singles.pool, members)

    def mended(self, network: nn.Module) -> nn.Module | None:
        """A copy with its batch-norm statistics re-estimated; None where it keeps none."""
        return self.contest.mended(self.exam, network)

    def score(self, selection: Predictions) -> float:
        """By the metric that chooses; larger is better, and no number is worst."""
        metric = self.contest.metric
        assert metric.value is not None
        return _or_worst(metric.sign * metric.value(selection))

    def network_score(self, network: nn.Module, candidate_of: str) -> float:
        """A candidate's score on the selection split; larger is better, and no number is worst."""
        called = f"{candidate_of} candidate"
        return _or_worst(self.contest.selection_score(self.exam, network, called))

    def of_singles(self, method: str, members: tuple[int, ...]) -> Entrant:
        """Members by themselves: the mean of their scores; predictions are the first one's."""
        runs = self.singles.runs
        return Entrant(
            method=method,
            kind="single",
            forwards=1,
            predictions={key: runs[key][members[0]] for key in self.exam.resamplers},
            scores=mean_over_networks([self.single_scores[i] for i in members]),
        )

    def of_network(self, method: str, kind: Kind, network: nn.Module) -> Entrant:
        """A new network, run over each split and view once."""
        return self.contest.network_entrant(self.exam, method, kind, network)

    def of_members(
        self,
        method: str,
        join: Callable[[Sequence[Predictions]], Predictions],
        members: Sequence[int] | None = None,
    ) -> Entrant:
        """An ensemble of the (or some) members' predictions; nothing is run."""
        chosen = self.members if members is None else members

        def joined(key: str) -> Predictions:
            return join([self.singles.runs[key][i] for i in chosen])

        predictions = seen_on(JUDGED, self.exam.views, joined)
        return self.contest.entrant(self.exam, method, "ensemble", predictions)

    def soft_targets(self, split: str) -> Tensor:
        """The members' mean probabilities, [N, L]."""
        seen = [self.singles.runs[split][i] for i in self.members]
        spread = torch.sigmoid if seen[0].is_multilabel else _softmax
        return torch.stack([spread(one.logits) for one in seen]).mean(dim=0)


def _softmax(logits_NL: Tensor) -> Tensor:
    return logits_NL.softmax(dim=1)


def _or_worst(score: float) -> float:
    return score if score == score else float("-inf")
