"""Great circles: the coefficients that turn two vectors into a point between them."""

import math

from ..lazy import Tensor
from .spectra.gram import cosines

_PARALLEL = 1e-6
"""A cosine in float64 hardly tells a smaller angle from none; there the arc is the line."""


def slerp_coefficients(gram_22: Tensor, t: float, lerp_above: float) -> tuple[float, float, float]:
    """Coefficients (c_a, c_b) of `slerp(a, b, t)` and the cosine between a and b.

        ω = angle(a, b),   c_a = sin((1 - t) ω) / sin ω,   c_b = sin(t ω) / sin ω

    The angle is taken as 2 atan2(|â - b̂|, |â + b̂|), which is accurate where acos is not. Where
    |cos| > lerp_above, or a vector is zero, or sin ω is 0, the coefficients are (1 - t, t).

    Args:
        gram_22: float64 inner products of a and b.
        t: the position; 0 is a, 1 is b.
        lerp_above: in [0, 1]; 1 never lerps but at ω = 0 and ω = π.
    """
    cosine = cosines(gram_22)[0, 1].item()
    omega = 2 * math.atan2(math.sqrt(max(1 - cosine, 0)), math.sqrt(max(1 + cosine, 0)))
    parallel = math.sin(omega) < _PARALLEL
    if abs(cosine) > lerp_above or parallel or not gram_22.diagonal().all():
        return 1 - t, t, cosine
    return (
        math.sin((1 - t) * omega) / math.sin(omega),
        math.sin(t * omega) / math.sin(omega),
        cosine,
    )
