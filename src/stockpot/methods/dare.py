"""DARE (Yu et al., Language models are super Mario, arXiv 2311.03099)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core import Costs, Facts, Method, Needs, Reach, Settled, Stack, Sums
from ..lazy import Tensor, torch
from ..ops.l1 import l1_norms
from ..ops.means import overshoot
from ..ops.signs import vote_and_merge
from ..typed import to_floats
from ..values.fields import Finite, Fraction, PerModel, per_model


@dataclass(frozen=True, slots=True)
class Dare(Method):
    """Drop entries of each task vector at random, rescale the rest, and merge.

    m_k ~ Bernoulli(density_k),   δ_k = w_k · m_k ⊙ (θ_k - θ_0) · r_k
    θ = θ_0 + scale · Σ_k δ_k,    or the TIES vote over the δ_k

    r_k = 1 / density_k keeps the expectation (the paper); rescale = "norm" makes the L1 norm of
    each tensor's task vector what it was (mergekit).

    Attributes:
        density: probability that an entry is kept, 1 - p of the paper; one number or one per
            model. Large language models bear 0.1 and less, small networks do not.
        scale: λ on the merged task vector.
        rescale: "inverse" multiplies by 1/density, "norm" restores each tensor's L1 norm, "none"
            does neither.
        merge: "sum" as task arithmetic, or "ties": elect a sign by mass, then the mean of those
            that agree.

    Needs: a base; weights as given; a seed.
    Cost: one pass, and with rescale "norm" one survey.
    Deviations: the mask depends only on (seed, tensor name, model index, position), so it is the
        same whatever the order, slicing, workers and device.
    Example:
        >>> import torch, stockpot as sp
        >>> base, model = {"w": torch.zeros(3)}, {"w": torch.ones(3)}
        >>> sp.merge([model], Dare(density=1.0), base=base)
        {'w': tensor([1., 1., 1.])}

    Source: Yu et al., ICML 2024, arXiv 2311.03099.
    """

    density: PerModel[Fraction] = 0.5
    scale: Finite = 1.0
    rescale: Literal["inverse", "norm", "none"] = "inverse"
    merge: Literal["sum", "ties"] = "sum"

    @property
    def needs(self) -> Needs:
        """A base and randomness; norms of the tensor where they are to be restored."""
        reach = Reach.TENSOR if self.rescale == "norm" else Reach.ELEMENT
        return Needs(
            base=True,
            reach=reach,
            weights="sum",
            random=True,
            symmetric=False,
        )

    @property
    def costs(self) -> Costs:
        """Norms depend on the density alone."""
        return Costs(survey_reads=("density",), settle_reads=("density",))

    def survey(self, stack: Stack, hint: Settled | None) -> Sums:
        """L1 norms before and after the mask, [2, K]."""
        before = l1_norms(stack.deltas())
        after = l1_norms(self._masked(stack))
        return Sums(torch.stack([before, after], 1))

    def settle(self, facts: Facts, hint: Settled | None) -> Settled:
        """The factor that restores each L1 norm; 1 where nothing was kept."""
        assert isinstance(facts, Sums)
        before_K, after_K = facts.total()
        factors = tuple(to_floats(torch.where(after_K > 0, before_K / after_K, 1.0)))
        return Settled({"factors": factors}, {"factors": factors})

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """Drop, rescale, merge."""
        count = len(stack.models)
        if settled is not None:
            factors = settled.values["factors"]
        elif self.rescale == "inverse":
            factors = tuple(1 / d for d in per_model(self.density, count))
        else:
            factors = (1.0,) * count
        scaled = (
            delta.mul_(factor * weight)
            for delta, factor, weight in zip(
                self._masked(stack), factors, stack.weights, strict=True
            )
        )
        if self.merge == "ties":
            merged = vote_and_merge(list(scaled), stack.weights, "mass", "mean")
        else:
            merged = torch.zeros_like(stack.anchor)
            for delta in scaled:
                merged.add_(delta)
        return merged.mul_(self.scale).add_(stack.anchor)

    def _masked(self, stack: Stack) -> Iterator[Tensor]:
        densities = per_model(self.density, len(stack.models))
        for delta, draw, density in zip(stack.deltas(), stack.uniform(), densities, strict=True):
            yield delta.mul_(draw.lt_(density))

    def advice(self, weights: tuple[float, ...]) -> Sequence[str]:
        """Warn where the sum overshoots every model."""
        return overshoot(self.scale, weights) if self.merge == "sum" else ()
