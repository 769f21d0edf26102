"""What maps count of the elements that they merge, tensor by tensor."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor


class Counts:
    """Whole numbers, so that neither slices nor workers show; for pieces that lie end to end.

    Attributes:
        found: for each piece what was counted in it.
    """

    def __init__(self, numels: Sequence[int]) -> None:
        self._ends = list(accumulate(numels))
        self.found = [Counter[str]() for _ in numels]

    def tally(self, start: int) -> Callable[[str, Tensor], None]:
        """Counts in a block that begins at element `start` of all pieces."""

        def count(what: str, where: Tensor) -> None:
            flat = where.reshape(-1).cpu()
            for found, low, high in zip(self.found, [0, *self._ends], self._ends, strict=False):
                part = flat[max(low - start, 0) : max(high - start, 0)]
                found[what] += int(torch.count_nonzero(part))

        return count
