"""What a piece of a tensor tells of its models, block by block: bins, products, signs.

Shapes: K models, B elements of a block, R rows of one Gram matrix, N segments of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core import SEGMENT, Sums
from ...engine.streaming import MOST
from ...ops.agreement import Planes, SignCounts, count_signs, mean_of
from ...ops.distribution import RUN, Sketch, sketch
from ...ops.spectra.gram import gram_of

BLOCK = 2**17
"""Elements whose task vectors are held at once, a multiple of SEGMENT: so few that caches hold
them, so many that what each call costs is little beside what it does."""
_BINS = 2**19
"""Bytes of a table of bins."""


@dataclass(frozen=True, slots=True, eq=False)
class PieceStatistics:
    """Of some elements of one tensor: what joins exactly.

    Attributes:
        sketches: of the models' entries, then of the base's.
        products: [segments, R, R] of differences from the base; else of all models but the first,
            from the first.
        signs: of differences from the base, else from the mean.
    """

    sketches: tuple[Sketch, ...]
    products: Sums
    signs: SignCounts

    def join(self, other: "PieceStatistics") -> "PieceStatistics":
        """Of both."""
        pairs = zip(self.sketches, other.sketches, strict=True)
        return PieceStatistics(
            tuple(one.join([two]) for one, two in pairs),
            self.products.join(other.products),
            self.signs.join(other.signs),
        )


def measure_piece(
    rows: Sequence[Tensor], pivots: Sequence[float], models: int, *, wide: bool
) -> PieceStatistics:
    """Of a piece that starts at a multiple of SEGMENT.

    Args:
        rows: flat, in their stored dtypes; the base, where there is one, is the last.
        pivots: of their distributions.
        models: how many there are.
        wide: whether differences are float64; else float32.
    """
    based, numel = len(rows) > models, len(rows[0])
    size = min(BLOCK, numel)
    # The same memory serves every block, so that it stays in the cache.
    block_RB = torch.empty((len(rows), size), dtype=torch.float64 if wide else torch.float32)
    centre_B = torch.empty_like(block_RB[0])
    first = 0 if based else min(1, models - 1)  # the pivot's own differences are 0
    wide_NRS = torch.empty((size // SEGMENT, models - first, SEGMENT), dtype=torch.float64)
    products, planes = list[Tensor](), Planes.blank(models, numel)
    for start in range(0, numel, size):
        stop = min(start + size, numel)
        offsets_KB = _offsets(
            [row[start:stop] for row in rows], models, block_RB[:, : stop - start]
        )
        products.append(gram_of(offsets_KB[first:], wide_NRS).partials)
        mean_B = None if based else mean_of(offsets_KB, centre_B[: stop - start])
        planes.mark(start, offsets_KB, mean_B)
    sketches = tuple(sketch(row, pivot) for row, pivot in zip(rows, pivots, strict=True))
    return PieceStatistics(sketches, Sums(torch.cat(products)), count_signs(planes))


def room_for(rows: int, numel: int, *, wide: bool) -> int:
    """Bytes that `measured` takes beyond the rows, whatever the piece."""
    block = min(BLOCK, numel) * ((8 if wide else 4) * (rows + 1) + 8 * rows + 2 * rows)
    signs = min(MOST, numel) // 4 * rows * 2  # and once more, while they are counted
    bins = _BINS * (2 * rows + 3) + 6 * min(RUN, numel)
    return block + signs + bins + min(SEGMENT, numel) * 8 * 4


def _offsets(rows: Sequence[Tensor], models: int, block_RB: Tensor) -> Tensor:
    """[K, B] differences from the base, else from the first model."""
    for to_B, row in zip(block_RB, rows, strict=True):
        to_B.copy_(row)
    offsets_KB = block_RB[:models]
    if len(rows) > models:
        return offsets_KB.sub_(block_RB[models])
    offsets_KB[1:].sub_(offsets_KB[0])
    offsets_KB[0].zero_()
    return offsets_KB
