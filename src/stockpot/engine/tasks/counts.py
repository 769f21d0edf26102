"""What maps count of the elements that they merge, tensor by tensor."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from ...typed import to_floats


class Counts:
    """Whole numbers, so that neither slices nor workers show; for pieces that lie end to end.

    They stay on the device that counts until they are asked for.
    """

    def __init__(self, numels: Sequence[int]) -> None:
        self._bounds = [*pairwise([0, *accumulate(numels)])]
        self._totals: dict[str, Tensor] = {}

    def tally(self, start: int) -> Callable[[str, Tensor], None]:
        """Counts in a block that begins at element `start` of all pieces."""

        def count(what: str, where: Tensor) -> None:
            flat = where.reshape(-1)
            parts = [flat[max(a - start, 0) : max(b - start, 0)] for a, b in self._bounds]
            counts = torch.stack([torch.count_nonzero(part) for part in parts])
            before = self._totals.get(what)
            self._totals[what] = counts if before is None else before.add_(counts)

        return count

    @property
    def found(self) -> list[Counter[str]]:
        """For each piece what was counted in it."""
        numbers = {what: to_floats(total) for what, total in self._totals.items()}
        return [
            Counter({what: int(counts[i]) for what, counts in numbers.items()})
            for i in range(len(self._bounds))
        ]
