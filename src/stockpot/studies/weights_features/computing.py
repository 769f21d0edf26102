"""Averaging weights against averaging features, layer by layer, on an experiment's networks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...data import Dataset
from ...engine.merge import merge
from ...errors import FieldError
from ...evaluation.choices.soups import mend
from ...evaluation.predictions.predict import BATCH, Predictions
from ...evaluation.scores.bootstrap import over_pools, resamplers_of, share_estimate
from ...experiments.cells import spec_name
from ...methods import Average
from ...networks import reestimate_batch_norm
from ...running.executor import one_thread
from ...training.jobs.pools import Pool
from ...values.result import Progress
from ..pools import TrainedPools
from ..samples import SharedRow, shared_rows
from . import WeightsFeatures
from .agreement import Agreement, compare_layers
from .result import (
    ENSEMBLE,
    GAP,
    MENDED,
    MERGED,
    SINGLE,
    LayerRow,
    ScoreRow,
    WeightsFeaturesResult,
)

TITLE = "Averaging weights against averaging features"


def compute(
    study: WeightsFeatures, trained: TrainedPools, *, progress: Progress | None = None
) -> WeightsFeaturesResult:
    """The study of averaged weights against averaged features; see `WeightsFeatures`."""
    count, samples = study.count, study.samples
    rows: list[LayerRow] = []
    scores: list[ScoreRow] = []
    cells: dict[str, list[Judged]] = {}
    for number, pool in enumerate(trained.pools):
        name = pool.cell or spec_name(pool.network_spec)
        if progress:
            progress(f"{name}, pool {pool.seed}", number / len(trained.pools))
        data = _some(pool.splits.test, samples, trained.experiment.seed)
        variants, found = _compared(pool, count, data, trained.experiment.seed)
        for variant, layers in zip(variants, found.layers, strict=True):
            rows += [
                LayerRow(cell=name, seed=pool.seed, variant=variant, **asdict(one))
                for one in layers
            ]
        members = len(found.logits) - len(variants)
        singles = [_right(logits, data) for logits in found.logits[:members]]
        right = {
            SINGLE: torch.stack(singles).mean(dim=0),
            ENSEMBLE: _right(found.mean_logits, data),
        }
        merged = zip(variants, found.logits[members:], strict=True)
        right |= {variant: _right(logits, data) for variant, logits in merged}
        cells.setdefault(name, []).append(Judged(data.originals, right))
        scores += [
            ScoreRow(cell=name, seed=pool.seed, variant=variant, accuracy=float(right_N.mean()))
            for variant, right_N in right.items()
        ]
    return WeightsFeaturesResult(
        title=TITLE,
        cells=tuple(cells),
        rows=tuple(rows),
        scores=tuple(scores),
        facts=_facts(trained, count, samples),
        shared=tuple(row for name, pools in cells.items() for row in _shared(name, pools)),
    )


class Judged(NamedTuple):
    """Of one pool: float64 [N] of each variant, 1 where a sample is right, and what they are of."""

    originals: Tensor
    right: Mapping[str, Tensor]


def _shared(cell: str, pools: Sequence[Judged]) -> Iterator[SharedRow]:
    resamplers = resamplers_of([one.originals for one in pools])
    of_each = {
        variant: over_pools(
            [
                share_estimate(one.right[variant], at)
                for one, at in zip(pools, resamplers, strict=True)
            ]
        )
        for variant in pools[0].right
    }
    best = MENDED if MENDED in of_each else MERGED
    of_each[GAP] = of_each[ENSEMBLE].minus(of_each[best])
    yield from shared_rows(cell, of_each)


def _compared(
    pool: Pool, count: int | None, data: Dataset, seed: int
) -> tuple[tuple[str, ...], Agreement]:
    kept = pool.kept[:count]
    if len(kept) < 2 or (count is not None and len(kept) < count):
        raise FieldError(
            f"averages need two ingredients or more, and no more than the pool's "
            f"{len(pool.kept)}; got {len(pool.kept) if count is None else count}."
        )
    with one_thread():
        members = [one.network for one in kept]
        merged = pool.build()
        merged.load_state_dict(merge([one.path for one in kept], Average()))
        variants, networks = [MERGED], [merged]
        mended = pool.build()
        mended.load_state_dict(merged.state_dict())
        if mend(mended, pool.splits.train, reestimate_batch_norm, seed=seed):
            variants.append(MENDED)
            networks.append(mended)
        found = compare_layers(members, networks, _batches(data, networks[0]))
    return tuple(variants), found


def _some(data: Dataset, samples: int, seed: int) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    return data.take(torch.randperm(len(data), generator=generator)[:samples])


def _batches(data: Dataset, network: nn.Module) -> Iterator[Tensor]:
    """A last batch of one sample has no variance, and joins the one before it."""
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    start = 0
    while start < len(data):
        end = start + BATCH
        end = len(data) if end + 1 >= len(data) else end
        yield data.batch(slice(start, end)).to(device)
        start = end


def _right(logits_NL: Tensor, data: Dataset) -> Tensor:
    """Of each sample, float64 [N]; outputs that are not finite count as wrong."""
    said = Predictions(logits_NL.cpu(), data.labels, data.originals)
    return said.correct().double()


def _facts(trained: TrainedPools, count: int | None, samples: int) -> tuple[tuple[str, str], ...]:
    first = trained.pools[0]
    seeds = sorted({pool.seed for pool in trained.pools})
    return (
        ("run", str(trained.run)),
        ("data", _listed([spec_name(pool.data or "") for pool in trained.pools])),
        ("ingredients", f"{len(first.kept[:count])} of a pool, averaged"),
        ("pools", f"seeds {_listed(list(map(str, seeds)))}; intervals are 95% over them"),
        ("samples", f"{min(samples, len(first.splits.test))} of the test split"),
        ("share", trained.experiment.ingredients.share),
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
