"""Averaging weights against averaging features, layer by layer, on an experiment's networks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from ...data import Dataset
from ...engine.merge import merge
from ...errors import FieldError
from ...evaluation.predictions import BATCH, Predictions
from ...evaluation.soups import mend
from ...methods import Average
from ...networks import reestimate_batch_norm
from ...networks.reproducible import one_thread
from ...recipes.cells import spec_name
from ...training import Pool
from ..pools import Trial
from .agreement import Agreement, compare_layers
from .result import (
    ENSEMBLE,
    MENDED,
    MERGED,
    SINGLE,
    LayerRow,
    ScoreRow,
    WeightsFeatures,
)

SAMPLES = 1024
"""Test samples that features are compared on, where no other number is given."""

TITLE = "Averaging weights against averaging features"


def weights_features(
    trial: Trial,
    *,
    count: int | None = None,
    samples: int = SAMPLES,
    progress: Callable[[str, float], None] | None = None,
) -> WeightsFeatures:
    """How far the features of the merged network are from the average of the members' features.

    With h_k what a layer gives in member k, and h what it gives in the network of averaged weights,
    cross-task linearity holds where h = mean_k h_k. Where the gap opens is told layer by layer:
    each layer f of the merged network is given the average of its inputs,

        own = |f(mean_k x_k) - mean_k f_k(x_k)| / |mean_k f_k(x_k)|

    For an activation that is what equations 6 to 8 of the paper compare, and it comes with the
    share of units whose inputs disagree in sign. For a layer of weights it is the covariance of
    weights and inputs over members, mean_k (W_k - W)(x_k - x): nothing in the first layer, whose
    inputs are the same, and nothing to do with nonlinearity in later ones.

    Args:
        trial: as `pools_of` gives it; every pool is a repetition.
        count: merge the first so many ingredients; all without it.
        samples: of the test split, drawn at random; all where there are fewer.
        progress: called with the pool in work and the fraction of the whole.

    Raises:
        FieldError: fewer than two ingredients, or samples.
        StockpotError: networks cannot be merged or run.

    Cost: one pass of each member and of each merged network over the samples, and every layer of
        the merged ones once more. Memory: about four times one network's features on a batch.
    Source: arXiv 2411.09263, section 4; cross-task linearity: arXiv 2402.03660; collapse of
        variances: K. Jordan et al., REPAIR, arXiv 2211.08403.
    """
    if samples < 2:
        raise FieldError(f"samples must be at least 2; got {samples}.")
    rows: list[LayerRow] = []
    scores: list[ScoreRow] = []
    cells: dict[str, None] = {}
    for number, pool in enumerate(trial.pools):
        name = pool.cell or spec_name(pool.network_spec)
        cells[name] = None
        if progress:
            progress(f"{name}, pool {pool.seed}", number / len(trial.pools))
        data = _some(pool.splits.test, samples, trial.experiment.seed)
        variants, found = _compared(pool, count, data, trial.experiment.seed)
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
    return WeightsFeatures(
        title=TITLE,
        cells=tuple(cells),
        rows=tuple(rows),
        scores=tuple(scores),
        facts=_facts(trial, count, samples),
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


def _facts(trial: Trial, count: int | None, samples: int) -> tuple[tuple[str, str], ...]:
    first = trial.pools[0]
    seeds = sorted({pool.seed for pool in trial.pools})
    return (
        ("run", str(trial.run)),
        ("data", _listed([spec_name(pool.data or "") for pool in trial.pools])),
        ("ingredients", f"{len(first.kept[:count])} of a pool, averaged"),
        ("pools", f"seeds {_listed(list(map(str, seeds)))}; intervals are 95% over them"),
        ("samples", f"{min(samples, len(first.splits.test))} of the test split"),
        ("share", trial.experiment.ingredients.share),
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
