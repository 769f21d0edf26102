"""Who holds which samples: a split of the data over clients, the same each time.

Shapes: N samples, G groups (classes or domains), K clients.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..data import Dataset, Splits
from ..errors import StockpotError
from ..typed import from_numpy, to_numpy

LEAST = 2
"""Training samples that each client has: batch normalisation learns nothing from one."""
_TRIES = 1000

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """What one client has.

    Attributes:
        client: its number, from 0.
        train: what it learns from.
        test: what it is judged on, of its own distribution; it may be empty.
    """

    client: int
    train: Dataset
    test: Dataset


def by_label(splits: Splits, clients: int, alpha: float, seed: int) -> tuple[Holding, ...]:
    """Deal each class to the clients by shares from a symmetric Dirichlet distribution.

        p_g ~ Dir_K(α), for each class g; client k has p_gk of its training and of its test samples

    α → 0 gives each class to one client, α → ∞ equal shares to all. Shares are drawn anew until
    each client has two training samples.

    Args:
        splits: its training split is dealt, and its test split with the same shares.
        clients: K.
        alpha: α.
        seed: the same seed gives the same holdings.

    Raises:
        StockpotError: samples of several classes, or too few samples for so many clients.

    Source: Hsu, Qi, Brown, arXiv 1909.06335; dealt class by class as Li et al., arXiv 2102.02079.
    """
    if splits.train.is_multilabel:
        raise StockpotError(
            f"'{splits.train.name}': samples have several classes each, and a split by label needs "
            "one; use partition: domain."
        )
    generator = np.random.default_rng(seed)
    groups_N, groups = to_numpy(splits.train.labels), splits.train.num_classes
    for _ in range(_TRIES):
        shares_GK = generator.dirichlet([alpha] * clients, size=groups)
        order = int(cast(int, generator.integers(2**31)))
        dealt = _deal(groups_N, shares_GK, np.random.default_rng(order))
        if min(len(one) for one in dealt) >= LEAST:
            test = _deal(to_numpy(splits.test.labels), shares_GK, np.random.default_rng(order))
            return _holdings(splits, dealt, test)
    raise StockpotError(
        f"'{splits.train.name}': in {_TRIES} tries alpha={alpha:g} gave no split of "
        f"{len(splits.train)} samples in which each of {clients} clients has {LEAST}: raise alpha, "
        "or take fewer clients."
    )


def by_domain(splits: Splits, clients: int, seed: int) -> tuple[Holding, ...]:
    """Give each client samples of one domain; clients take domains in turn and share them equally.

    Args:
        splits: both parts are dealt alike.
        clients: at least as many as there are domains.
        seed: the same seed gives the same holdings.

    Raises:
        StockpotError: data without domains, fewer clients than domains, or too few samples.
    """
    train, test = splits.train, splits.test
    count = len(train.domains)
    if train.domain is None or test.domain is None or clients < count:
        raise StockpotError(
            f"'{train.name}' has {count} domains: partition: domain needs at least one, and a "
            f"client for each; got {clients} clients."
        )
    shares_GK = np.zeros((count, clients))
    for client in range(clients):
        shares_GK[client % count, client] = 1.0
    shares_GK /= shares_GK.sum(axis=1, keepdims=True)
    parts = [
        _deal(to_numpy(domain_N), shares_GK, np.random.default_rng(seed))
        for domain_N in (train.domain, test.domain)
    ]
    if min(len(one) for one in parts[0]) < LEAST:
        raise StockpotError(f"'{train.name}' has too few samples for {clients} clients.")
    return _holdings(splits, *parts)


def _deal(
    groups_N: NDArray[np.int64], shares_GK: Shares, generator: np.random.Generator
) -> list[NDArray[np.intp]]:
    """Sorted positions of each client: every group shuffled, and cut where shares add up."""
    parts: list[list[NDArray[np.intp]]] = [[] for _ in range(shares_GK.shape[1])]
    for group, shares_K in enumerate(shares_GK):
        members = generator.permutation(np.flatnonzero(groups_N == group))
        ends_K = np.round(np.cumsum(shares_K) * len(members)).astype(int)
        ends_K[-1] = len(members)
        for part, low, high in zip(parts, [0, *ends_K], ends_K, strict=False):
            part.append(members[low:high])
    return [np.sort(np.concatenate(part)) for part in parts]


def _holdings(
    splits: Splits, train: list[NDArray[np.intp]], test: list[NDArray[np.intp]]
) -> tuple[Holding, ...]:
    return tuple(
        Holding(client, splits.train.take(_index(mine)), splits.test.take(_index(judged)))
        for client, (mine, judged) in enumerate(zip(train, test, strict=True))
    )


def _index(positions: NDArray[np.intp]) -> Tensor:
    return from_numpy(positions.astype(np.int64))
