"""Merges of a pool's ingredients, through the engine, as networks that can be run.

Shapes: B samples of a batch.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ...core import Method
from ...data import Dataset
from ...engine.merge import merge
from ...methods import Average
from ..predictions.ingredients import Ingredients
from ..predictions.predict import device_of

Reestimate = Callable[[nn.Module, Iterable[Tensor]], int]
"""Re-estimates batch-norm statistics on training inputs; how many layers had any."""

MENDING = 2048
"""Training samples that statistics are re-estimated on; all, where there are fewer."""


def soup(
    pool: Ingredients,
    members: Sequence[int],
    method: Method | None = None,
    *,
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Merge some ingredients into a new network; by default their uniform average.

    It is always a merge of the members themselves, never of earlier soups, so that nothing drifts.
    Members in files are streamed: only the soup itself is in memory as a whole.

    Raises:
        StockpotError: as the engine says, where they cannot be merged.
    """
    method = method or Average()
    network = pool.build()
    merged = merge(
        [pool.sources[i] for i in members],
        method,
        base=pool.base if method.needs.base else None,
        weights=weights,
        seed=seed,
    )
    network.load_state_dict(merged)
    return network


def mend(network: nn.Module, train: Dataset, reestimate: Reestimate, *, seed: int = 0) -> bool:
    """Re-estimate batch-norm statistics in place; False, and no change, where there are none.

    A merge averages weights, but the statistics of the averaged network are not the averages of
    statistics. Only training inputs are looked at.
    """
    return reestimate(network, _some_batches(train, seed, device_of(network))) > 0


def _some_batches(
    train: Dataset, seed: int, device: torch.device, size: int = 128
) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(train), generator=generator)[:MENDING]
    # One sample alone may have no variance, so a last one is left out.
    starts = range(0, max(len(chosen) - 1, 1), size)
    return (train.batch(chosen[i : i + size]).to(device) for i in starts)
