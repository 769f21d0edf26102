"""Scopes of layers: mean and standard deviation of a weight tensor, of models of any size.

WSA: Xu, Li, Gan, Zhan, Weight Scope Alignment, arXiv 2408.12237.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ...checkpoints.entry import Checkpoint, TensorEntry, from_state_dict
from ...core import SEGMENT
from ...engine.rows import raw_bytes
from ...errors import NonFiniteError, StockpotError
from ...experiments.additions import Variance
from ...networks.layers import WEIGHTS, Layers, require_same, values_of
from ...ops.distribution import Scope, Scopes
from ...views.models import open_model

Model = nn.Module | Mapping[str, Tensor] | str | Path
"""A network, a state dict, or anything on disk that stockpot reads."""

_BLOCK = 16 * SEGMENT


def scope_of(model: Model, layers: Layers = WEIGHTS) -> dict[str, Scope]:
    """Mean and standard deviation of each tensor that counts.

        μ = Σ_i w_i / n        σ² = Σ_i (w_i - μ)² / n

    Sums are float64 partials over aligned runs of 2^15 elements, joined exactly, so that the same
    values give the same bits whether they lie in memory or in a file, in one file or in shards.

    Args:
        model: a network, a state dict, or a path; files are read in pieces of 2^19 elements and
            never held.
        layers: which tensors count.

    Raises:
        StockpotError: where no tensor counts, or one is empty.
        NonFiniteError: naming a tensor with NaN or infinity.

    Example:
        >>> scope_of({"fc.weight": torch.tensor([[1.0, 3.0]])})
        {'fc.weight': Scope(mean=2.0, std=1.0)}
    """
    checkpoint = _checkpoint(model, layers)
    entries = layers.of_entries(checkpoint)
    return {name: _measured(entry, checkpoint.label) for name, entry in entries.items()}


def fuse_scopes(
    scopes: Sequence[Scopes],
    variance: Variance = "mean",
    weights: Sequence[float] | None = None,
) -> dict[str, Scope]:
    """One scope for several models, tensor by tensor: what they are all to be pulled to.

    With weights w_k that are divided by their sum (1/K each by default), μ* = Σ_k w_k μ_k and

        mean       σ*² = Σ_k w_k σ_k²
        mixture    σ*² = Σ_k w_k (σ_k² + (μ_k - μ*)²): of all models' entries together
        averaged   σ*² = Σ_k w_k² σ_k²: of the average of independent weights; it shrinks the scope
                   by K, each time that it is used

    Args:
        scopes: of each model, with the same names.
        variance: the rule.
        weights: of each model, such as numbers of samples.

    Raises:
        StockpotError: no models, other names, or weights that cannot be divided by their sum.

    Example:
        >>> fuse_scopes([{"w": Scope(0.0, 1.0)}, {"w": Scope(2.0, 1.0)}], "mixture")
        {'w': Scope(mean=1.0, std=1.4142135623730951)}
    """
    shares = _shares(len(scopes), weights)
    for other in scopes[1:]:
        require_same(scopes[0], other, "a scope that is fused")
        require_same(other, scopes[0], "a scope that is fused")
    return {
        name: _fused([Scope(*one[name]) for one in scopes], shares, variance) for name in scopes[0]
    }


def scope_divergence(scope: Scope, target: Scope) -> float:
    """KL(N(μ, σ²) || N(μ*, σ*²)) = ln(σ*/σ) + (σ² + (μ - μ*)²) / 2σ*² - 1/2, in nats.

    Example:
        >>> scope_divergence(Scope(0.0, 1.0), Scope(0.0, 1.0))
        0.0
    """
    distance = scope.std**2 + (scope.mean - target.mean) ** 2
    return math.log(target.std / scope.std) + distance / (2 * target.std**2) - 0.5


def _checkpoint(model: Model, layers: Layers) -> Checkpoint:
    if isinstance(model, nn.Module):
        return from_state_dict(values_of(layers.of(model)), type(model).__name__)
    if isinstance(model, str | Path):
        return open_model(model)
    return from_state_dict(model, "the state dict")


def _measured(entry: TensorEntry, label: str) -> Scope:
    if not entry.numel:
        raise StockpotError(f"'{entry.name}' in {label} is empty and has no scope: leave it out.")
    counts, means, spreads = list[int](), list[float](), list[float]()
    for part_S in _segments(entry):
        mean = float(part_S.mean())
        counts.append(len(part_S))
        means.append(mean)
        spreads.append(float((part_S - mean).square_().sum()))
    if not all(map(math.isfinite, spreads)):
        raise NonFiniteError(f"'{entry.name}' in {label} holds NaN or infinity.")
    mean = math.fsum(n * m for n, m in zip(counts, means, strict=True)) / entry.numel
    between = (n * (m - mean) ** 2 for n, m in zip(counts, means, strict=True))
    return Scope(mean, math.sqrt((math.fsum(spreads) + math.fsum(between)) / entry.numel))


def _segments(entry: TensorEntry) -> Iterator[Tensor]:
    """The tensor in runs of 2^15 elements, as float64."""
    for begin in range(0, entry.numel, _BLOCK):
        flat = torch.empty(min(_BLOCK, entry.numel - begin), dtype=entry.dtype)
        entry.source.read_into(raw_bytes(flat), entry.offset + begin * entry.dtype.itemsize)
        wide = flat.double()
        yield from (wide[at : at + SEGMENT] for at in range(0, len(wide), SEGMENT))


def _shares(count: int, weights: Sequence[float] | None) -> list[float]:
    if not count:
        raise StockpotError("there are no scopes to fuse.")
    given = [1.0] * count if weights is None else [float(one) for one in weights]
    total = math.fsum(given)
    if len(given) != count or min(given) < 0 or not math.isfinite(total) or not total:
        raise StockpotError(
            f"weights of scopes must be {count} finite numbers of at least 0, not all 0; got "
            f"{str(given)[:80]}."
        )
    return [one / total for one in given]


def _fused(scopes: Sequence[Scope], shares: Sequence[float], variance: Variance) -> Scope:
    pairs = list(zip(scopes, shares, strict=True))
    mean = math.fsum(share * one.mean for one, share in pairs)
    match variance:
        case "mean":
            square = math.fsum(share * one.std**2 for one, share in pairs)
        case "mixture":
            square = math.fsum(
                share * (one.std**2 + (one.mean - mean) ** 2) for one, share in pairs
            )
        case "averaged":
            square = math.fsum((share * one.std) ** 2 for one, share in pairs)
    return Scope(mean, math.sqrt(square))
