"""Spherical linear interpolation (Shoemake, Animating rotation with quaternion curves, 1985)."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from ..core import Costs, Facts, Method, Needs, Reach, Settled, Stack, Sums
from ..lazy import Tensor
from ..ops.means import affine, weighted_sum
from ..ops.spectra.gram import gram
from ..ops.sphere import slerp_coefficients
from ..values.fields import Finite

_ROUNDING = 1e-12
"""Coefficients on the straight line miss a sum of 1 by less than this."""


@dataclass(frozen=True, slots=True)
class Slerp(Method):
    """Spherical interpolation of two models, or of the base and one, tensor by tensor.

    ω = angle(θ_a, θ_b),   θ = sin((1 - t) ω)/sin ω · θ_a + sin(t ω)/sin ω · θ_b

    Each tensor is one flat vector. The norm does not sag between models that point apart, as it
    does on the straight line.

    Attributes:
        t: the position: 0 is the first model (or the base), 1 the second; outside [0, 1] it
            extrapolates along the circle.
        lerp_above: where |cos ω| exceeds this, the straight line is taken; 1 never does but for
            parallel vectors. Fine-tunes of one base lie above 0.9995 as a rule, so that lowering
            or raising it decides whether slerp differs from interpolate at all.

    Needs: exactly two models, or a base and one.
    Cost: one survey (a 2 x 2 Gram matrix in float64) and one map.
    Example:
        >>> import torch, stockpot as sp
        >>> a, b = {"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 1.0])}
        >>> sp.merge([a, b], Slerp(t=0.5))
        {'w': tensor([0.7071, 0.7071])}

    Source: Shoemake, SIGGRAPH 1985; the lerp above 0.9995 is everyone's default since.
    """

    t: Finite = 0.5
    lerp_above: Annotated[float, Ge(0), Le(1)] = 0.9995

    @property
    def needs(self) -> Needs:
        """Two models in order, and their inner products within the tensor."""
        return Needs(models=(2, 2), reach=Reach.TENSOR, weights="unused", symmetric=False)

    @property
    def costs(self) -> Costs:
        """Inner products are the same whatever the fields."""
        return Costs(survey_reads=())

    def survey(self, stack: Stack, hint: Settled | None) -> Sums:
        """Inner products of the two models."""
        return gram(stack.models)

    def settle(self, facts: Facts, hint: Settled | None) -> Settled:
        """The two coefficients."""
        assert isinstance(facts, Sums)
        first, second, cosine = slerp_coefficients(facts.total(), self.t, self.lerp_above)
        return Settled({"coefficients": (first, second)}, {"cosine": cosine})

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The combination; on the straight line exact at the ends and on copies."""
        assert settled is not None
        first, second = coefficients = settled.values["coefficients"]
        if abs(first + second - 1) <= _ROUNDING * (abs(first) + abs(second)):
            return affine(stack.models, coefficients)
        return weighted_sum(stack.models, coefficients)
