"""What follows from a merged tensor: computed when that is written, from its bytes there."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ...errors import NonFiniteError
from ...recipes.resolving.assignment import Assignment
from ..rows import is_finite, raw_bytes

Read = Callable[[str, int, memoryview], None]
"""Reads bytes of a merged tensor, from an offset within it."""


def derived(
    a: Assignment, merged: Assignment, read: Read, *, check: bool
) -> tuple[Tensor, Sequence[Tensor], Mapping[str, object]]:
    """The tensor, flat, as it is written; the parts it was made of; and what is told of it.

    Raises:
        NonFiniteError: it is NaN or infinite, and `check` refuses that.
    """
    assert a.derivation is not None
    flat = torch.empty(math.prod(merged.shape), dtype=merged.dtype)
    read(merged.name, 0, raw_bytes(flat))
    parts = [part.load() for part in a.parts]
    made = a.derivation(flat.reshape(merged.shape), parts)
    out = made.values.reshape(-1).to(a.dtype)
    if check and not is_finite(out):
        raise NonFiniteError(
            f"'{a.name}' becomes NaN or infinity ({a.rule}): it may exceed the range of "
            f"{str(a.dtype).removeprefix('torch.')}. Try --dtype float32."
        )
    return out, parts, made.report
