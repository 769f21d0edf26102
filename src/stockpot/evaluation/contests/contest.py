"""A contest: tasks with their data, and one way to run, score and note what is entered for them.

A comparison of pools is one task with N ingredients, a comparison across tasks is T tasks with one
each, and a search is T tasks with the tensors of candidates.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...data import Dataset, Splits
from ...errors import FieldError
from ...typed import to_numpy
from ..choices.soups import Reestimate, mend
from ..predictions.predict import BATCH, Predictions, Tally, predict
from ..predictions.views import JUDGED, Viewed, Views, seen_on, split_and_part, split_of
from ..results.comparison import Kind
from ..scores.bootstrap import Resampler
from ..scores.custom import metric_called
from ..scores.metrics import METRICS, Metric
from ..scores.scores import score_predictions
from ..scores.singles import network_scores
from .ledger import Entrant, Ledger


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Exam:
    """What networks of one task are judged on.

    Attributes:
        splits: the task's data.
        resamplers: of the splits that are judged, and of each view.
        views: of the test split, by their keys.
    """

    splits: Splits
    resamplers: Mapping[str, Resampler]
    views: Views = field(default_factory=dict[str, Viewed])

    def data(self, key: str) -> Dataset:
        """The samples of a split or a view."""
        return self.views[key].data if key in self.views else split_of(self.splits, key)


@dataclass(frozen=True, slots=True, eq=False)
class Resamplers:
    """A resampler for each set of samples; splits, views and tasks that show it share one.

    Attributes:
        seeds: of one after another. Tasks of different samples must not share one.
        among: originals of each split over all pools, where pools have splits of their own.
    """

    seeds: Iterator[int]
    among: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    _known: dict[tuple[str, str, bytes], Resampler] = field(
        default_factory=dict[tuple[str, str, bytes], Resampler]
    )

    def exam(self, splits: Splits, views: Views | None = None) -> Exam:
        """What a task is judged on."""
        views, found = views or {}, dict[str, Resampler]()
        for key in (*JUDGED, *views):
            split = split_of(splits, split_and_part(key)[0])
            originals_N = views[key].data.originals if key in views else split.originals
            samples = split_and_part(key)[0], split.name, to_numpy(originals_N).tobytes()
            if samples not in self._known:
                among = self.among.get(split_and_part(key)[0])
                self._known[samples] = Resampler(originals_N, seed=next(self.seeds), among=among)
            found[key] = self._known[samples]
        return Exam(splits=splits, resamplers=found, views=views)


def among_pools(pools: Sequence[Splits]) -> dict[str, Tensor]:
    """Originals of each split that is judged, over pools that have splits of their own.

    A view shows originals of its split, or some that were kept aside and are in no pool's split.
    """
    first = pools[0]
    if all(_same(splits, first) for splits in pools):
        return {}
    aside = [one.aside.originals for one in pools if one.aside is not None]
    return {
        key: torch.cat([*(split_of(one, key).originals for one in pools), *aside]) for key in JUDGED
    }


def _same(one: Splits, other: Splits) -> bool:
    return one is other or all(
        torch.equal(split_of(one, key).originals, split_of(other, key).originals) for key in JUDGED
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Contest:
    """How everything that is entered is run and judged, and what came of it.

    Attributes:
        metric: what is chosen by, on the selection split, and judged by.
        ledger: of all results.
        also: metrics that are reported beside the usual ones.
        reestimate: of batch-norm statistics, for a second row of each network that keeps any.
        seed: of that.
        batch_size: samples of one forward pass.
        tally: where the samples run are noted.
    """

    metric: Metric
    ledger: Ledger
    also: tuple[Metric, ...] = ()
    reestimate: Reestimate | None = None
    seed: int = 0
    batch_size: int = BATCH
    tally: Tally = field(default_factory=Tally)

    def metrics(self, splits: Splits) -> tuple[Metric, ...]:
        """All that are reported on these data, each once; what is chosen by comes first."""
        usual = ("auroc", "accuracy") if splits.test.is_multilabel else ("accuracy",)
        reported = (self.metric, *(METRICS[name] for name in (*usual, "nll", "ece")), *self.also)
        return tuple({one.name: one for one in reported}.values())

    def run(self, network: nn.Module, data: Dataset, called: str) -> Predictions:
        """What a network says of each sample."""
        return predict(network, data, batch_size=self.batch_size, tally=self.tally, called=called)

    def selection_score(self, exam: Exam, network: nn.Module, called: str) -> float:
        """A candidate on the selection split, and no other; larger is better."""
        data = exam.splits.selection
        if self.metric.of_network:
            return self.metric.sign * self.metric.of_network(network, data)
        assert self.metric.value
        return self.metric.sign * self.metric.value(self.run(network, data, called))

    def network_entrant(self, exam: Exam, method: str, kind: Kind, network: nn.Module) -> Entrant:
        """A network, run over each split and view once."""
        predictions = seen_on(
            JUDGED, exam.views, lambda key: self.run(network, exam.data(key), method)
        )
        own = network_scores(network, exam.splits, self.metrics(exam.splits), exam.views)
        return self.entrant(exam, method, kind, predictions, own)

    def entrant(
        self,
        exam: Exam,
        method: str,
        kind: Kind,
        predictions: Mapping[str, Predictions],
        own: Mapping[tuple[str, str], float] | None = None,
    ) -> Entrant:
        """What was said on each split and view, by every metric.

        Args:
            exam: of the task.
            method, kind: as in the table.
            predictions: by split or view.
            own: scores of metrics that run a network themselves, by (split or view, metric).
        """
        metrics = self.metrics(exam.splits)
        return Entrant(
            method=method,
            kind=kind,
            forwards=predictions["test"].forwards,
            predictions=predictions,
            scores=score_predictions(predictions, metrics, exam.resamplers, own),
        )

    def mended(self, exam: Exam, network: nn.Module) -> nn.Module | None:
        """A copy with batch-norm statistics of the training inputs; None where it keeps none."""
        if not self.reestimate:
            return None
        copied = copy.deepcopy(network)
        changed = mend(copied, exam.splits.train, self.reestimate, seed=self.seed)
        return copied if changed else None


def choose_metric(
    wanted: str | Metric | Callable[..., object] | None, tasks: Iterable[Splits]
) -> Metric:
    """The metric that is wanted, or accuracy, or auroc where a sample may have several classes.

    Raises:
        FieldError: there is none of this name, tasks have no usual one in common, or it brings its
            own data and so cannot choose.
    """
    usual = {"auroc" if splits.test.is_multilabel else "accuracy" for splits in tasks}
    if wanted is None and len(usual) > 1:
        raise FieldError(
            "some tasks have one class a sample and some several, and there is no mean of accuracy "
            "and auroc: name one metric for all."
        )
    metric = wanted if isinstance(wanted, Metric) else metric_called(wanted or usual.pop())
    if not metric.chooses:
        raise FieldError(
            f"metric {metric.name} brings its own data, so it cannot choose on the selection "
            "split: report it beside another, or let it take (network, data)."
        )
    return metric
