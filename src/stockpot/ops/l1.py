"""L1 norms as fp64 partial sums that any slicing agrees on."""

from collections.abc import Iterable

from ..core import SEGMENT
from ..lazy import Tensor, torch


def l1_norms(rows: Iterable[Tensor]) -> Tensor:
    """Partials of `Σ |row_k|`, float64 [segments, K], over aligned runs of 2^15 elements."""
    columns: list[Tensor] = []
    for row in rows:
        wide = row.reshape(-1).double().abs_()
        starts = range(0, max(wide.numel(), 1), SEGMENT)
        columns.append(torch.stack([wide[s : s + SEGMENT].sum() for s in starts]).cpu())
    return torch.stack(columns, 1)
