"""Steps of the stored dtypes: what rounding to them does, and rounding to them once.

A step is the distance from a number to the next larger one that a dtype holds.
"""

import math

from ..lazy import Tensor, torch
from ..typed import length

_RUN = 2**20
"""Elements looked at together, so that no copy of a whole matrix is made."""
_EXPONENT = {4: 0x7F800000, 8: 0x7FF0000000000000}
"""The bits of the exponent, by the bytes of a number."""


def rounded(values: Tensor, dtype: "torch.dtype") -> Tensor:
    """The values in another dtype, each rounded once; the same tensor where that is its own."""
    if values.dtype == dtype:
        return values
    into = torch.empty(values.shape, dtype=dtype, device=values.device)
    copy_rounded(into, values)
    return into


def copy_rounded(into: Tensor, values: Tensor) -> None:
    """Copy float32 or float64 values into a tensor of any dtype, each rounded once to the nearest.

    Torch takes float64 to bfloat16, float16 and float8 by way of float32, and so rounds twice:
    1 + 2⁻⁸ + 2⁻⁴⁰ would become 1. What lies between two float32 numbers is moved to the one whose
    last bit is 1 instead, from where rounding to fewer bits gives what it would have given.
    """
    narrow = into.dtype.is_floating_point and into.dtype.itemsize < 4
    if values.dtype != torch.float64 or not narrow:
        into.copy_(values, non_blocking=True)
        return
    flat, given = into.view(-1), values.reshape(-1)
    for start in range(0, given.numel(), _RUN):
        run = slice(start, start + _RUN)
        flat[run].copy_(_to_odd(given[run]), non_blocking=True)


def _to_odd(values: Tensor) -> Tensor:
    """Float32: the value where it is one, else that of its two neighbours whose last bit is 1."""
    nearest = values.to(torch.float32)
    back, bits = nearest.double(), nearest.view(torch.int32)
    moved = (back != values) & (bits & 1 == 0) & ~values.isnan()
    outward = back.abs() < values.abs()
    bits.add_(moved & outward, alpha=1).sub_((moved & ~outward).to(torch.int32))
    return nearest


def mean_square_step(values: Tensor, stored: "torch.dtype") -> float:
    """Mean square of the steps at the values, float32 or float64, in the dtype they are stored in.

    At x it is eps · 2^floor(log2 |x|), and nowhere less than the least step of the dtype. Not
    finite where a value is not.
    """
    info, flat = torch.finfo(stored), values.reshape(-1)
    size, total = values.dtype.itemsize, 0.0
    whole = torch.int32 if size == 4 else torch.int64
    for start in range(0, flat.numel(), _RUN):
        bits = flat[start : start + _RUN].view(whole) & _EXPONENT[size]
        powers = bits.view(values.dtype).clamp_(min=info.smallest_normal)
        total += length(powers) ** 2
    return info.eps**2 * total / max(flat.numel(), 1) if math.isfinite(total) else math.inf
