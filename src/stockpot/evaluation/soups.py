"""Merges of a pool's ingredients, through the engine, as networks that can be run.

Shapes: B samples of a batch.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core import Method
from ..data import Dataset
from ..engine.merge import merge, merge_to
from ..methods import Average
from ..networks import load_weights
from .ingredients import Ingredients
from .predictions import device_of

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
    Members in files are streamed to a file in a temporary folder and read back.

    Raises:
        StockpotError: as the engine says, where they cannot be merged.
    """
    method = method or Average()
    sources = [pool.sources[i] for i in members]
    base = pool.base if method.needs.base else None
    network = pool.build()
    paths = [one for one in sources if isinstance(one, Path)]
    if paths:
        with tempfile.TemporaryDirectory(prefix="stockpot-") as folder:
            out = Path(folder) / "soup.safetensors"
            from_base = base if isinstance(base, Path) else None
            merge_to(out, paths, method, base=from_base, weights=weights, seed=seed, digest="none")
            return load_weights(network, out)
    modules = [one for one in sources if isinstance(one, nn.Module)]
    of_base = base if isinstance(base, nn.Module) else None
    network.load_state_dict(merge(modules, method, base=of_base, weights=weights, seed=seed))
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
