"""Merges of a pool's ingredients, through the engine, as networks that can be run."""

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn

from ...core import Method
from ...data import Dataset
from ...engine.merge import merge
from ...methods import Average
from ...reestimation import training_batches
from ..predictions.ingredients import Ingredients
from ..predictions.predict import device_of

Reestimate = Callable[[nn.Module, Iterable[Tensor]], int]
"""Re-estimates batch-norm statistics on training inputs; how many layers had any."""


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
    return reestimate(network, training_batches(train, seed, device_of(network))) > 0
