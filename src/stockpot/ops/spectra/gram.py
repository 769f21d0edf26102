"""Inner products between models, as fp64 partial sums that any slicing agrees on."""

from collections.abc import Iterable, Sequence

from ...core import SEGMENT, Sums
from ...lazy import Tensor, torch


def gram(rows: Sequence[Tensor]) -> Sums:
    """Partials of the Gram matrix `G_ij = <row_i, row_j>`, float64 [segments, K, K].

    Each aligned run of 2^15 elements is one segment; products and sums are float64. A segment is
    one matrix product of its own, over memory that starts at a multiple of 64 bytes: of a batched
    product, or of one over more elements, the bits would depend on what else is in it.
    """
    return gram_of_each(rows, len(rows))


def gram_of_each(rows: Iterable[Tensor], count: int) -> Sums:
    """The same of `count` rows that are asked for one after the other and not kept."""
    segments = list[Tensor]()
    for k, row in enumerate(rows):
        flat = row.reshape(-1)
        starts = range(0, max(flat.numel(), 1), SEGMENT)
        parts = [flat[start : start + SEGMENT] for start in starts]
        if not segments:
            shapes = [(count, part.numel()) for part in parts]
            segments = [row.new_empty(shape, dtype=torch.float64) for shape in shapes]
        for wide_KS, part in zip(segments, parts, strict=True):
            wide_KS[k].copy_(part)
    return Sums(torch.stack([wide_KS @ wide_KS.T for wide_KS in segments]).cpu())


def gram_of(rows_KS: Tensor, wide_NKS: Tensor) -> Sums:
    """The same partials, of rows that lie in one matrix on the CPU.

    Args:
        rows_KS: the rows.
        wide_NKS: float64 memory for all whole segments, to be used again.
    """
    count, numel = rows_KS.shape
    whole = numel // SEGMENT
    parts = list(wide_NKS[:whole])
    if whole:
        segments_KNS = rows_KS[:, : whole * SEGMENT].view(count, whole, SEGMENT)
        wide_NKS[:whole].transpose(0, 1).copy_(segments_KNS)
    if whole * SEGMENT < numel:
        rest_KS = wide_NKS.new_empty((count, numel - whole * SEGMENT))
        parts.append(rest_KS.copy_(rows_KS[:, whole * SEGMENT :]))
    return Sums(torch.stack([part_KS @ part_KS.T for part_KS in parts]))


def cosines(gram_KK: Tensor) -> Tensor:
    """`G_ij / sqrt(G_ii G_jj)`, [K, K] float64, clipped into [-1, 1]; 0 where a norm is 0."""
    norms_K = gram_KK.diagonal().sqrt()
    scale_KK = norms_K[:, None] * norms_K[None, :]
    return torch.where(scale_KK > 0, gram_KK / scale_KK, 0.0).clamp(-1.0, 1.0)
