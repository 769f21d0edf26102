"""The same ingredients under the published protocol of testing and under ours, column by column.

The published code never calls eval() before it tests: dropout drops and batch normalisation takes
the test batch's statistics. Nine tenths of its selection split are training data. Its greedy soup
is (soup + new)/2, which gives the newest member half of all weight.

Shapes: N samples.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from ...data import Dataset
from ...evaluation.choices.greedy import Greedy, greedy_members
from ...evaluation.choices.soups import soup
from ...evaluation.predictions.ensembles import average_head, features_ensemble, logits_ensemble
from ...evaluation.predictions.ingredients import Ingredients
from ...evaluation.predictions.predict import Predictions
from ...evaluation.scores.bootstrap import Estimate, over_pools, resamplers_of, share_estimate
from ...experiments.cells import slug
from ...networks import Headed
from ...networks.reproducible import seeded
from ...running.executor import one_thread
from ...values.result import Progress
from ..magnitude.computing import RESAMPLES, counts_of, ingredients_in_memory
from ..pools import TrainedPools
from . import Protocol
from .result import COPIES, GAP, OURS, PUBLISHED, Choice, ProtocolPoint, ProtocolResult

BATCH = 64
"""Samples of a test batch, as published."""
LEAK = 0.9
"""Part of the published selection split that ingredients were trained on."""
_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Testing:
    """One way to test.

    Attributes:
        name, words: in tables, for a reader.
        live: kinds of modules that stay in training mode.
        leaks: part of the selection split that is training data.
        weights: of a greedy soup of so many members, in the order of their acceptance.
    """

    name: str
    words: str
    live: tuple[type[nn.Module], ...] = ()
    leaks: float = 0.0
    weights: Callable[[int], Sequence[float]] = lambda count: [1.0] * count


def halving(count: int) -> list[float]:
    """Weights of members of (soup + new)/2: the first two 2^-(k-1), the last 1/2.

    >>> halving(4)
    [0.125, 0.125, 0.25, 0.5]
    """
    return [2.0 ** -min(count - 1, count - place) for place in range(count)]


_BATCHES: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

PROTOCOLS: tuple[Testing, ...] = (
    Testing(name=OURS, words="evaluation mode, selection data of its own, running mean"),
    Testing(name="dropout", words="Dropout at test time", live=_DROPOUT),
    Testing(name="batch-statistics", words=f"Statistics of test batches of {BATCH}", live=_BATCHES),
    Testing(
        name="leaked-split", words=f"{LEAK:.0%} of the selection split from training", leaks=LEAK
    ),
    Testing(name="halving-mean", words="Greedy soups as (soup + new)/2", weights=halving),
    Testing(
        name=PUBLISHED,
        words="The published protocol, all of these",
        live=(*_DROPOUT, *_BATCHES),
        leaks=LEAK,
        weights=halving,
    ),
)


def compute(
    study: Protocol, trained: TrainedPools, *, progress: Progress | None = None
) -> ProtocolResult:
    """The study of the protocol; see `Protocol`."""
    own = counts_of(trained, study.counts)
    found: dict[tuple[str, int, str], list[Estimate]] = {}
    choices: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    wanted = _fitting(ingredients_in_memory(trained, 0, own))
    test_sets = [pool.splits.test.originals for pool in trained.pools]
    for number, resampler in enumerate(resamplers_of(test_sets, resamples=RESAMPLES)):
        pool = ingredients_in_memory(trained, number, own)
        for at, one in enumerate(wanted):
            if progress:
                part = (number + at / len(wanted)) / len(trained.pools)
                progress(f"{one.name}, pool {pool.seed}", part)
            tested = _Tested(pool, one)
            for n in own:
                choices.setdefault((one.name, n), []).append(tested.choice(n))
                for method, right in tested.columns(n).items():
                    estimate = share_estimate(right, resampler)
                    found.setdefault((one.name, n, method), []).append(estimate)
                gap = _gap(found, one.name, n)
                found.setdefault((one.name, n, GAP), []).append(gap)
            first = tested.right([tested.runs[0]])
            estimate = share_estimate(first, resampler)
            found.setdefault((one.name, 1, "first-single"), []).append(estimate)
    return ProtocolResult(
        title="The published protocol of testing, and ours",
        pools=tuple(pool.seed for pool in trained.pools),
        counts=own,
        protocols=tuple((one.name, one.words) for one in wanted),
        points=tuple(_point(key, found) for key in found),
        choices=tuple(
            Choice(protocol=name, n=n, members=_mean(m), selection=_mean(s), test=_mean(t))
            for (name, n), each in choices.items()
            for m, s, t in [list(zip(*each, strict=True))]
        ),
        facts=_facts(trained, own, wanted),
    )


def _gap(found: Mapping[tuple[str, int, str], list[Estimate]], name: str, n: int) -> Estimate:
    """The latest pool's logits ensemble less its uniform soup."""
    one, other = (found[name, n, method][-1] for method in GAP.split(" - "))
    return one.minus(other)


def _fitting(pool: Ingredients) -> tuple[Testing, ...]:
    """Protocols that can make a difference to this network."""
    modules = list(pool.build().modules())

    def differs(one: Testing) -> bool:
        if one.live and not one.leaks:
            return any(isinstance(module, one.live) for module in modules)
        return True

    return tuple(one for one in PROTOCOLS if differs(one))


class _Tested:
    """A pool's ingredients under one protocol, each run once over each split."""

    def __init__(self, pool: Ingredients, how: Testing) -> None:
        self.pool, self.how, splits = pool, how, pool.splits
        self.subjects = [pool.headed(pool.network(i)) for i in range(len(pool))]
        self.runs = [
            run_live(one, splits.test, how.live, seed=i) for i, one in enumerate(self.subjects)
        ]
        self.selection = leaked(splits.train, splits.selection, how.leaks, pool.seed)
        self._greedy: dict[int, Greedy] = {}
        self._scored: dict[tuple[int, ...], float] = {}
        self._columns: dict[int, Mapping[str, Tensor]] = {}

    @cached_property
    def scores(self) -> list[float]:
        """Of each ingredient on the selection split, always in evaluation mode, as published."""
        return [_accuracy(run_live(one, self.selection, ())) for one in self.subjects]

    def souped(self, members: Sequence[int], weights: Sequence[float] | None) -> Headed:
        """A soup with its head."""
        return self.subjects[0].on(soup(self.pool, members, weights=weights))

    def greedy(self, n: int) -> Greedy:
        """The greedy soup of the first n."""
        if n not in self._greedy:

            def score(members: tuple[int, ...]) -> float:
                if members not in self._scored:
                    subject = self.souped(members, self.how.weights(len(members)))
                    self._scored[members] = _accuracy(run_live(subject, self.selection, ()))
                return self._scored[members]

            self._greedy[n] = greedy_members({i: self.scores[i] for i in range(n)}, score)
        return self._greedy[n]

    def choice(self, n: int) -> tuple[float, float, float]:
        """Members, and the accuracy of the greedy soup on the selection and test splits."""
        found = self.greedy(n)
        test = float(self.columns(n)["greedy-soup"].mean())
        return float(len(found.members)), found.score, test

    def columns(self, n: int) -> Mapping[str, Tensor]:
        """How right each sample is, [N], for every column."""
        if n not in self._columns:
            self._columns[n] = self._made(n)
        return self._columns[n]

    def _made(self, n: int) -> Mapping[str, Tensor]:
        everyone, greedy = list(range(n)), self.greedy(n).members
        heads = [one.head for one in self.subjects]
        whole = average_head([heads[i] for i in everyone])
        chosen = average_head([heads[i] for i in greedy])
        picked = [self.runs[i] for i in greedy]
        found = {
            "single-mean": torch.stack([self.right([one]) for one in self.runs[:n]]).mean(dim=0),
            "uniform-soup": self._of(self.souped(everyone, None)),
            "greedy-soup": self._of(self.souped(greedy, self.how.weights(len(greedy)))),
            "logits-ensemble": self.right(self.runs[:n]),
            "features-ensemble": features_ensemble(self.runs[:n], whole).correct(),
            "features-ensemble-first-head": features_ensemble(self.runs[:n], heads[0]).correct(),
            "greedy-logits-ensemble": self.right(picked),
            "greedy-features-ensemble": features_ensemble(picked, chosen).correct(),
        }
        if any(issubclass(kind, _DROPOUT) for kind in self.how.live):
            first, test = self.subjects[0], self.pool.splits.test
            copies = [run_live(first, test, self.how.live, seed=1000 + i) for i in everyone]
            found[COPIES] = self.right(copies)
        return found

    def right(self, runs: Sequence[Predictions]) -> Tensor:
        """Of the mean of logits."""
        return logits_ensemble(runs).correct()

    def _of(self, subject: Headed) -> Tensor:
        return run_live(subject, self.pool.splits.test, self.how.live, seed=999).correct()


def run_live(
    subject: Headed, data: Dataset, live: tuple[type[nn.Module], ...], *, seed: int = 0
) -> Predictions:
    """Run a network over a split in batches of 64, with some kinds of modules in training mode.

    Args:
        subject: left as it is.
        data: the split, in its order; a last batch of one sample goes with the one before it.
        live: kinds of modules; none is evaluation mode.
        seed: of dropout.

    Raises:
        StockpotError: a statistic of a batch cannot be computed.
    """
    own = subject.on(copy.deepcopy(subject.network).eval()) if live else subject
    for module in own.network.modules():
        if isinstance(module, live):
            module.train()
    sizes = [BATCH] * (len(data) // BATCH)
    rest = len(data) - sum(sizes)
    if rest == 1 and sizes:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    outputs: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad(), seeded(seed), one_thread():
        start = 0
        for size in sizes:
            outputs.append(own.run(data.batch(slice(start, start + size))))
            start += size
    return Predictions(
        logits=torch.cat([logits for logits, _ in outputs]),
        labels=data.labels,
        originals=data.originals,
        features=torch.cat([features for _, features in outputs]),
    )


def leaked(train: Dataset, selection: Dataset, part: float, seed: int) -> Dataset:
    """A selection split of the same size, a part of which is training data."""
    count = len(selection)
    taken = min(round(part * count), len(train))
    if not taken:
        return selection
    generator = torch.Generator().manual_seed(seed)
    kept = selection.take(torch.randperm(count, generator=generator)[: count - taken])
    seen = train.take(torch.randperm(len(train), generator=generator)[:taken])
    return replace(
        kept,
        inputs=torch.cat([kept.inputs, seen.inputs]),
        labels=torch.cat([kept.labels, seen.labels]),
        originals=torch.cat([kept.originals, seen.originals]),
        domain=None,
        domains=(),
    )


def _accuracy(seen: Predictions) -> float:
    return float(seen.correct().mean())


def _point(
    key: tuple[str, int, str], found: Mapping[tuple[str, int, str], list[Estimate]]
) -> ProtocolPoint:
    name, n, method = key
    span = over_pools(found[key]).interval()
    ours = found.get((OURS, n, method))
    gap = (math.nan,) * 3
    if ours:
        pairs = zip(found[key], ours, strict=True)
        between = over_pools([one.minus(other) for one, other in pairs]).interval()
        gap = between.value, between.low, between.high
    return ProtocolPoint(
        protocol=name,
        n=n,
        method=method,
        accuracy=span.value,
        low=span.low,
        high=span.high,
        difference=gap[0],
        difference_low=gap[1],
        difference_high=gap[2],
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _facts(
    trained: TrainedPools, counts: tuple[int, ...], wanted: Sequence[Testing]
) -> tuple[tuple[str, str], ...]:
    splits = trained.pools[0].splits
    left = [one.name for one in PROTOCOLS if one not in wanted]
    return (
        ("run", str(trained.run)),
        ("network", slug(trained.pools[0].network_spec)),
        ("data", slug(trained.pools[0].data or "none")),
        ("samples", f"{len(splits.selection):,} of selection, {len(splits.test):,} of test"),
        ("pools", f"{len(trained.pools)}, of {counts[-1]} ingredients"),
        *([("left out, nothing in this network differs", ", ".join(left))] if left else []),
        ("resamples", f"{RESAMPLES:,}"),
    )
