"""Whether a base is what models were trained from: how they lie around it, in a sample of layers.

Shapes: K models, N entries of one layer.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..running.executor import one_thread
from ..typed import to_numpy
from .entry import Checkpoint, TensorEntry
from .roles import Role, classify
from .sampling import sample, thinned

LAYERS = (Role.EMBEDDING, Role.MATRIX, Role.CONV, Role.EXPERT_STACK)
"""Roles whose direction tells an origin. Biases start at 0 and scales of norms at 1 in every
network, so that theirs does not."""
LEAST = 64
"""Entries of a layer that has a say: the correlation of fewer is noise."""
ALIKE = 0.2
"""Correlation from which two layers are said to come from one start. Trained networks of unrelated
starts had 0.11 at most, of one start 0.28 at least: see docs/diagnosis.md."""
DEVIATIONS = 5.0
"""And how many standard deviations 1 / sqrt(n) of unrelated layers it must be."""
NEAR = 2.0**-8
"""Models nearer than this part of the base's length are one, rounded: bfloat16 is as coarse."""
ROUNDED = 2.0**-6
"""An entry nearer than this part of it is the base's: two steps of bfloat16."""
FAR = 0.2
"""A base at less than this part of its length is near: codes of 4 bits are at 0.1."""
TOGETHER = 0.1
"""Models whose distances from each other are at most this part of those from the base are shifted:
how often that was right is in docs/diagnosis.md."""
TURNED = 0.25
"""The sine of the angle from which entries that all models share are not the base's: codes of 4
bits have 0.1, weight decay has 0."""
Doubt = Literal["", "stranger", "shifted", "held"]


def bar(entries: int) -> float:
    """The correlation from which two layers of this size are alike.

    Example:
        >>> bar(64), bar(10_000)
        (0.625, 0.2)
    """
    return max(ALIKE, DEVIATIONS / math.sqrt(entries))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """How models lie around a base; see `lineage_of`.

    Attributes:
        models: those that are neither the base itself nor, but for rounding, one before them.
        layers, entries: how many were looked at, of each model.
        strangers: models that are unlike the base in most layers.
        correlation: the highest of theirs, the median over layers; NaN where there is none.
        moved: rms over models of |θ_k - b| / |b|; NaN where nothing could be compared.
        apart: rms over pairs of |θ_i - θ_j| / |b|; NaN of one model.
        cosine: of the two task vectors that are least alike; NaN of one model.
        held: entries in which all models are bit by bit the same, and not 0.
        other: those of them that are not the base's, beyond rounding.
        turned: over `held`, the sine of the angle between models and base.
    """

    models: tuple[str, ...]
    layers: int
    entries: int
    strangers: tuple[str, ...] = ()
    correlation: float = math.nan
    moved: float = math.nan
    apart: float = math.nan
    cosine: float = math.nan
    held: int = 0
    other: int = 0
    turned: float = 0.0

    @property
    def kind(self) -> Doubt:
        """What speaks against the base, if anything.

        stranger: a model and the base are of different starts. shifted: what all models share is
        far from the base, and what sets them apart is not. held: entries that no model has changed
        are not the base's.
        """
        if self.strangers:
            return "stranger"
        if self.moved >= FAR and self.apart <= TOGETHER * self.moved:
            return "shifted"
        if self.other >= max(LEAST, self.held / 2) and self.turned >= TURNED:
            return "held"
        return ""

    @property
    def said(self) -> str:
        """What is wrong with the base, with the numbers, in words that follow its name; or ''."""
        looked = f"{self.entries:,} sampled entries of {_counted(self.layers)}"
        if self.kind == "stranger":
            return (
                f"has nothing in common with {_some(self.strangers)}: in {looked}, correlations "
                f"of {self.correlation:.3f} at most (median layer), and a fine-tune has nearly 1 "
                "with its base"
            )
        if self.kind == "shifted":
            return (
                f"may not be what they were trained from: in {looked}, the models are "
                f"{self.moved / self.apart:.0f} times as far from it as from each other, and their "
                f"task vectors are nearly parallel (cosines from {self.cosine:.4f}). It may be "
                "another version; or they are checkpoints of one run"
            )
        if self.kind == "held":
            return (
                f"may not be what they were trained from: in {looked}, {self.held:,} are bit by "
                f"bit the same in all models, and {self.other:,} of those are not the base's (sine "
                f"of the angle {self.turned:.2f}): what no model has changed should be the base's"
            )
        return ""


@one_thread()
def lineage_of(
    models: Sequence[Checkpoint],
    base: Checkpoint,
    names: Sequence[str] = (),
    private: Sequence[str] = (),
) -> Lineage:
    """How the models lie around the base, from at most 64 layers and 4096 entries of each.

    With δ_k = θ_k - b, lengths over all sampled entries and the means of layers taken off in

        r_k = <θ_k - μ_k, b - μ_b> / (|θ_k - μ_k| |b - μ_b|)

    a model is a stranger where most of the layers that it has changed have an r below `bar`. Models
    of another base than this one, d away from it, have δ_k + d: long, and nearly the same of all.

    Args:
        models: one or more; those that are the base itself are left out.
        base: what they are said to be fine-tuned from.
        names: what the models are called; their labels without.
        private: names of tensors that are each model's own.

    Cost: a read of 16 KiB at most of each of the sampled tensors. On one thread: several would
        wait for one another in products this small, on a busy machine for seconds.
    """
    called = tuple(names) or tuple(one.label for one in models)
    found = _Found(len(models))
    for rows_KN, base_N in _layers([*models, base], frozenset(private)):
        found.add(rows_KN, base_N)
    away = [k for k in range(len(models)) if found.deltas_KK[k, k] > 0]
    if 0 < len(away) < len(models):  # the base itself shares with the others what it is to judge
        return lineage_of([models[k] for k in away], base, [called[k] for k in away], private)
    kept = found.distinct()
    strange = [(called[k], r) for k in kept for r, kin in [found.correlation(k)] if not kin]
    pairs = list(combinations(kept, 2))
    return Lineage(
        models=tuple(called[k] for k in kept),
        layers=found.layers,
        entries=found.entries,
        strangers=tuple(name for name, _ in strange),
        correlation=max((r for _, r in strange), default=math.nan),
        moved=found.rms([found.deltas_KK[k, k] for k in kept]),
        apart=found.rms([found.square(i, j) for i, j in pairs]),
        cosine=min((found.cosine(i, j) for i, j in pairs), default=math.nan),
        held=found.held if pairs else 0,
        other=found.other if pairs else 0,
        turned=found.turned if pairs else 0.0,
    )


def _layers(
    every: Sequence[Checkpoint], private: frozenset[str]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each layer that is sampled [K, N] of the models and [N] of the base, which comes last.

    What is not finite is left out: it says nothing of an origin.
    """
    shared = [
        entries
        for name in every[-1].entries
        if name not in private and (entries := _comparable([c.entries.get(name) for c in every]))
    ]
    for entries in thinned(shared):
        rows = torch.stack([sample(one) for one in entries])
        if bool(rows.isfinite().all()):
            yield rows[:-1], rows[-1]


class _Found:
    """Sums over layers."""

    def __init__(self, count: int) -> None:
        self.layers = self.entries = self.held = self.other = 0
        self.length = 0.0
        self.deltas_KK = np.zeros((count, count))
        self._shared = np.zeros((2, 2))
        self._correlations = [list[tuple[float, bool]]() for _ in range(count)]

    def add(self, rows_KN: Tensor, base_N: Tensor) -> None:
        """One more layer."""
        deltas_KN = rows_KN - base_N
        self.layers += 1
        self.entries += len(base_N)
        self.length += float(base_N @ base_N)
        self.deltas_KK += to_numpy(deltas_KN @ deltas_KN.T)
        for k, row_N in enumerate(rows_KN):
            r = _correlation(row_N, base_N)
            if math.isfinite(r) and bool(deltas_KN[k].any()):
                self._correlations[k].append((r, r >= bar(len(base_N))))
        self._share(rows_KN, base_N)

    def _share(self, rows_KN: Tensor, base_N: Tensor) -> None:
        """Entries that all models share."""
        first_N = rows_KN[0]
        same_N = (rows_KN == first_N).all(0) & (first_N != 0)
        rows = torch.stack([first_N[same_N], base_N[same_N]])
        self.held += rows.shape[1]
        self.other += int(((rows[0] - rows[1]).abs() > ROUNDED * rows[0].abs()).sum())
        self._shared += to_numpy(rows @ rows.T)

    @property
    def turned(self) -> float:
        """The sine of the angle between entries that all models share and the base's."""
        own, product, base = self._shared[0, 0], self._shared[0, 1], self._shared[1, 1]
        if not own * base > 0:
            return 1.0 if own > 0 else 0.0
        return math.sqrt(max(0.0, 1 - float(product**2 / (own * base))))

    def square(self, i: int, j: int) -> float:
        """|θ_i - θ_j|²."""
        gram_KK = self.deltas_KK
        return max(float(gram_KK[i, i] + gram_KK[j, j] - 2 * gram_KK[i, j]), 0.0)

    def cosine(self, i: int, j: int) -> float:
        """Of two task vectors that are not 0."""
        gram_KK = self.deltas_KK
        scale = math.sqrt(gram_KK[i, i]) * math.sqrt(gram_KK[j, j])
        return max(-1.0, min(1.0, float(gram_KK[i, j]) / scale))

    def distinct(self) -> list[int]:
        """Models that are farther than rounding from those before them, and are not the base."""
        kept = list[int]()
        least = NEAR**2 * self.length
        known = self.length > 0 and bool(np.isfinite(self.deltas_KK).all())
        for k in range(len(self.deltas_KK)) if known else ():
            if self.deltas_KK[k, k] > 0 and all(self.square(k, j) > least for j in kept):
                kept.append(k)
        return kept

    def correlation(self, k: int) -> tuple[float, bool]:
        """The median over layers that the model has changed, and whether half of them are alike."""
        found = self._correlations[k]
        kin = 2 * sum(alike for _, alike in found) >= len(found)
        return median(r for r, _ in found) if found else math.nan, kin

    def rms(self, squares: Sequence[float]) -> float:
        """Over the base's length; NaN of none."""
        return math.sqrt(math.fsum(squares) / len(squares) / self.length) if squares else math.nan


def _comparable(entries: Sequence[TensorEntry | None]) -> list[TensorEntry]:
    """The entries, the base's last, where all have this layer in one shape; else none."""
    there = [one for one in entries if one is not None]
    base = there[-1]
    fits = (
        len(there) == len(entries)
        and len({one.shape for one in there}) == 1
        and all(one.dtype.is_floating_point for one in there)
        and base.numel >= LEAST
        and classify(base.name, base.shape, base.dtype, base.alias_of) in LAYERS
    )
    return there if fits else []


def _correlation(row_N: Tensor, base_N: Tensor) -> float:
    one, other = row_N - row_N.mean(), base_N - base_N.mean()
    scale = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / scale if scale > 0 else math.nan


def _counted(count: int) -> str:
    return f"{count} layer{'s' * (count != 1)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
