"""Barriers and drops on redrawn test sets: what the samples that pools share add to intervals.

Shapes: A places of a path, N samples, G originals, R resamples.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...evaluation.predictions.predict import Predictions
from ...evaluation.results.estimator import POSITIVE, SHARE
from ...evaluation.results.intervals import Floats
from ...evaluation.scores.bootstrap import (
    Estimate,
    mean_estimate,
    over_pools,
    pool_estimate,
    resamplers_of,
)
from ...evaluation.scores.metrics import nll_of_each
from ...typed import to_numpy
from ..samples import SharedRow, shared_rows
from .result import ALL, WeightPath, pair_of, shared_key


class OfSamples(NamedTuple):
    """Of each sample at one place: its loss in nats and how right it is, float64 [N]."""

    loss: Tensor
    right: Tensor

    @property
    def score(self) -> tuple[float, float]:
        """Loss and accuracy."""
        return float(self.loss.mean()), float(self.right.mean())


def of_samples(predictions: Predictions) -> OfSamples:
    """What a network at one place of a path gives."""
    return OfSamples(nll_of_each(predictions), predictions.correct())


class Redrawn:
    """Estimates of every barrier and drop, path by path.

    Args:
        test_sets: the originals of the test samples of each cell and pool.
    """

    def __init__(self, test_sets: Mapping[tuple[str, int], Tensor]) -> None:
        cells = dict.fromkeys(cell for cell, _ in test_sets)
        self._resamplers = {
            key: resampler
            for name in cells
            for key, resampler in zip(
                [key for key in test_sets if key[0] == name],
                resamplers_of([one for (cell, _), one in test_sets.items() if cell == name]),
                strict=True,
            )
        }
        self._of: dict[tuple[str, str], dict[int, list[Estimate]]] = {}

    def add(self, path: WeightPath, seen: Sequence[OfSamples]) -> None:
        """A path on the test split, and what each of its samples gave at each place."""
        resampler = self._resamplers[path.cell, path.pool]

        def means(values_AN: Sequence[Tensor]) -> Floats:
            sums_RA = resampler.sums(to_numpy(torch.stack(list(values_AN), dim=1).cpu()))
            return sums_RA / resampler.sizes_R[:, None]

        loss_RA, right_RA = (
            means([one.loss for one in seen]),
            means([one.right for one in seen]),
        )
        at_A = np.array(path.at)
        ends_RA = (1 - at_A) * loss_RA[:, :1] + at_A * loss_RA[:, -1:]
        barrier_R = (loss_RA - ends_RA).max(axis=1)
        drop_R = (right_RA[:, 0] + right_RA[:, -1]) / 2 - right_RA[:, len(at_A) // 2]
        units = resampler.originals
        self._note(path, "barrier", pool_estimate(path.barrier, barrier_R, units, POSITIVE))
        self._note(path, "drop", pool_estimate(path.drop, drop_R, units, SHARE.minus(SHARE)))

    def _note(self, path: WeightPath, of: Literal["barrier", "drop"], estimate: Estimate) -> None:
        for pair in (ALL, pair_of(path)):
            pools = self._of.setdefault((path.cell, shared_key(path, pair, of)), {})
            pools.setdefault(path.pool, []).append(estimate)

    def rows(self) -> Iterator[SharedRow]:
        """Of each mean over pools; a pool's pairs share their samples, and are averaged first."""
        for (cell, of), pools in self._of.items():
            overall = over_pools([mean_estimate(pairs) for pairs in pools.values()])
            yield from shared_rows(cell, {of: overall})
