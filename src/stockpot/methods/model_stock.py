"""Model stock (Jang et al., All we need is just a few fine-tuned models, arXiv 2403.19522)."""

from dataclasses import dataclass

from ..core import Costs, Facts, Method, Needs, Reach, Settled, Stack, Sums
from ..lazy import Tensor
from ..ops.means import affine
from ..ops.spectra.gram import cosines, gram_of_each

_SINGULAR = 1e-12
"""Nearer to its pole t is made of rounding errors only; there it is 0, the base."""


@dataclass(frozen=True, slots=True)
class ModelStock(Method):
    """Interpolate between the base and the average, by the angle between the task vectors.

    cos = mean over pairs of cos(θ_i - θ_0, θ_j - θ_0)
    t = K cos / (1 + (K - 1) cos),   θ = t · mean_k θ_k + (1 - t) θ_0        per tensor

    Task vectors that agree (cos near 1) are trusted and averaged; those that do not are noise
    around the base and pulled back to it.

    Attributes:
        clip: keep the mean cosine in [0, 1], so that t is in [0, 1]; without it a negative cosine
            extrapolates and blows up near -1/(K - 1), as in mergekit.

    Needs: a base; no weights.
    Cost: one survey (a K x K Gram matrix in float64) and one map.
    Deviations: pairs with a zero task vector have no angle and are left out of the mean; where no
        pair is left t is 1, the average. The paper names layers, this works per tensor.
    Example:
        >>> import torch, stockpot as sp
        >>> base = {"w": torch.zeros(2)}
        >>> models = [{"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 1.0])}]
        >>> sp.merge(models, ModelStock(), base=base)
        {'w': tensor([0., 0.])}

    Source: Jang et al., ECCV 2024, arXiv 2403.19522.
    """

    clip: bool = True

    @property
    def needs(self) -> Needs:
        """A base, and inner products of the task vectors within the tensor."""
        return Needs(base=True, reach=Reach.TENSOR, weights="unused")

    @property
    def costs(self) -> Costs:
        """Task vectors are held for their inner products, which are the same for any fields."""
        return Costs(held_per_model=1, survey_reads=(), settle_reads=("clip",))

    def survey(self, stack: Stack, hint: Settled | None) -> Sums:
        """Inner products of the task vectors."""
        return gram_of_each(stack.deltas(), len(stack.models))

    def settle(self, facts: Facts, hint: Settled | None) -> Settled:
        """The position t between base and average."""
        assert isinstance(facts, Sums)
        gram_KK = facts.total()
        count = len(gram_KK)
        moved_K = gram_KK.diagonal() > 0
        pairs_KK = (moved_K[:, None] & moved_K[None, :]).triu(diagonal=1)
        if not pairs_KK.any():
            return _position(1.0, 1.0)
        cosine = cosines(gram_KK)[pairs_KK].mean().item()
        if self.clip:
            cosine = min(max(cosine, 0.0), 1.0)
        bottom = 1 + (count - 1) * cosine
        return _position(count * cosine / bottom if abs(bottom) > _SINGULAR else 0.0, cosine)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """t · average + (1 - t) · base."""
        assert settled is not None
        (t,) = settled.values["t"]
        return affine(stack.models, [t / len(stack.models)] * len(stack.models), stack.anchor)


def _position(t: float, cosine: float) -> Settled:
    return Settled({"t": (t,)}, {"t": t, "cosine": cosine})
