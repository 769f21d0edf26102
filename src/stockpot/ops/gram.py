"""Inner products between models, as fp64 partial sums that any slicing agrees on."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core import SEGMENT, Sums


def gram(rows: Sequence[Tensor]) -> Sums:
    """Partials of the Gram matrix `G_ij = <row_i, row_j>`, float64 [segments, K, K].

    Each aligned run of 2^15 elements is one segment; products and sums are float64.
    """
    count, numel = len(rows), rows[0].numel()
    flat = [row.reshape(-1) for row in rows]
    whole = numel - numel % SEGMENT
    pieces = [(0, whole)] if whole else []
    if numel % SEGMENT or not numel:
        pieces.append((whole, numel))
    partials: list[Tensor] = []
    for start, stop in pieces:
        segments = max((stop - start) // SEGMENT, 1)
        wide = [row[start:stop].double().view(segments, -1) for row in flat]
        part = wide[0].new_empty(segments, count, count)
        for i in range(count):
            for j in range(i + 1):  # not a matrix product: its bits depend on what it is part of
                part[:, i, j] = part[:, j, i] = (wide[i] * wide[j]).sum(-1)
        partials.append(part)
    return Sums(torch.cat(partials).cpu())


def cosines(gram_KK: Tensor) -> Tensor:
    """`G_ij / sqrt(G_ii G_jj)`, [K, K] float64, clipped into [-1, 1]; 0 where a norm is 0."""
    norms_K = gram_KK.diagonal().sqrt()
    scale_KK = norms_K[:, None] * norms_K[None, :]
    return torch.where(scale_KK > 0, gram_KK / scale_KK, 0.0).clamp(-1.0, 1.0)
