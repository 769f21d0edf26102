"""Averaging weights against averaging features, layer by layer, on an experiment's networks."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from ...data import Dataset
from ...engine.merge import merge
from ...errors import FieldError
from ...evaluation.choices.soups import mend
from ...evaluation.predictions.predict import BATCH, Predictions
from ...experiments.cells import spec_name
from ...methods import Average
from ...networks import reestimate_batch_norm
from ...running.executor import one_thread
from ...training.jobs.pools import Pool
from ...values.result import Progress
from ..pools import TrainedPools
from . import WeightsFeatures
from .agreement import Agreement, compare_layers
from .result import ENSEMBLE, MENDED, MERGED, SINGLE, LayerRow, ScoreRow, WeightsFeaturesResult

TITLE = "Averaging weights against averaging features"


def compute(
    study: WeightsFeatures, trained: TrainedPools, *, progress: Progress | None = None
) -> WeightsFeaturesResult:
    """The study of averaged weights against averaged features; see `WeightsFeatures`."""
    count, samples = study.count, study.samples
    rows: list[LayerRow] = []
    scores: list[ScoreRow] = []
    cells: dict[str, None] = {}
    for number, pool in enumerate(trained.pools):
        name = pool.cell or spec_name(pool.network_spec)
        cells[name] = None
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
        singles = [_accuracy(logits, data) for logits in found.logits[:members]]
        told = {SINGLE: sum(singles) / members, ENSEMBLE: _accuracy(found.mean_logits, data)}
        merged = zip(variants, found.logits[members:], strict=True)
        told |= {variant: _accuracy(logits, data) for variant, logits in merged}
        scores += [
            ScoreRow(cell=name, seed=pool.seed, variant=variant, accuracy=score)
            for variant, score in told.items()
        ]
    return WeightsFeaturesResult(
        title=TITLE,
        cells=tuple(cells),
        rows=tuple(rows),
        scores=tuple(scores),
        facts=_facts(trained, count, samples),
    )


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


def _accuracy(logits_NL: Tensor, data: Dataset) -> float:
    """Outputs that are not finite count as wrong."""
    said = Predictions(logits_NL.cpu(), data.labels, data.originals)
    return float(said.correct().mean())


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
