"""Float tensors in another dtype."""

from dataclasses import dataclass
from typing import Literal

import torch

from ...checkpoints.entry import Checkpoint
from ..sources.computed import cast
from ..view import View, with_entries

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class Cast(View):
    """Float tensors as if they were stored in another dtype, each element rounded once.

    Integers, booleans and complex numbers stay as they are. What exceeds the range of a narrower
    dtype becomes infinity, which a merge refuses.

    Args:
        dtype: of the tensors that are seen.
        tensors: globs of the names of those that are cast.
    """

    dtype: Literal["float64", "float32", "bfloat16", "float16"]
    tensors: tuple[str, ...] = ("*",)

    def __call__(self, checkpoint: Checkpoint, *others: Checkpoint) -> Checkpoint:
        """The checkpoint in that dtype."""
        self.expect_beside(checkpoint, others, 0)
        dtype = DTYPES[self.dtype]
        changed = {
            name: cast(entry, dtype)
            for name, entry in self.chosen(checkpoint, self.tensors).items()
            if entry.dtype.is_floating_point
            and not entry.is_complex
            and dtype not in (entry.dtype, None)
            and entry.alias_of is None
        }
        return with_entries(checkpoint, changed)
