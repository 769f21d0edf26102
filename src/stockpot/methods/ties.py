"""TIES-Merging (Yadav et al., Resolving interference when merging models, arXiv 2306.01708)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..core import Costs, Facts, Method, Needs, Reach, Settled, Stack
from ..lazy import Tensor
from ..ops.means import overshoot
from ..ops.signs import vote_and_merge
from ..ops.thresholds import Magnitudes, settle_threshold, survey_magnitudes, trim
from ..values.fields import Finite, Fraction, PerModel, per_model


@dataclass(frozen=True, slots=True)
class Ties(Method):
    """Trim small changes, elect a sign per parameter, merge those that agree.

    δ_k = w_k · trim(θ_k - θ_0, density_k)
    γ = sign(Σ_k δ_k)            vote = "mass";   γ = sign(Σ_k sign δ_k)    vote = "count"
    θ = θ_0 + scale · mean{δ_k : sign δ_k = γ}

    Attributes:
        density: fraction of each task vector kept, the largest by magnitude; smaller trims more.
            One number or one per model.
        scale: λ on the merged task vector.
        trim: "model" ranks over all tensors that share this method value, as in the paper;
            "tensor" within each tensor, as mergekit does.
        vote: elect signs by summed magnitude, or by the number of models.
        reduce: "mean" over those that agree (Σ m δ / Σ m w), or their "sum".

    Needs: a base; weights as given.
    Cost: a sample, one survey and one map; a missed bracket costs one more survey, and so does one
        with more different magnitudes than the memory has room for, as with dozens of models.
    Deviations: every |δ| at or above the threshold is kept, so ties at it may exceed the density
        (the manifest says how many were kept). Where the vote is exactly 0 the sign is +, as in
        mergekit; the authors' code takes the sign that is more frequent over the whole model.
    Example:
        >>> import torch, stockpot as sp
        >>> base = {"w": torch.zeros(4)}
        >>> a, b = torch.tensor([4.0, 0.1, 2.0, 0.0]), torch.tensor([2.0, 0.2, -3.0, 0.1])
        >>> sp.merge([{"w": a}, {"w": b}], Ties(density=0.5), base=base)
        {'w': tensor([ 3.,  0., -3.,  0.])}

    Source: Yadav et al., NeurIPS 2023, arXiv 2306.01708.
    """

    density: PerModel[Fraction] = 0.2
    scale: Finite = 1.0
    trim: Literal["model", "tensor"] = "model"
    vote: Literal["mass", "count"] = "mass"
    reduce: Literal["mean", "sum"] = "mean"

    @property
    def needs(self) -> Needs:
        """A base, and thresholds over the model or the tensor."""
        reach = Reach.MODEL if self.trim == "model" else Reach.TENSOR
        return Needs(
            base=True,
            reach=reach,
            sample=True,
            weights="sum",
        )

    @property
    def costs(self) -> Costs:
        """Magnitudes are the same whatever the fields; thresholds depend on the density alone."""
        return Costs(survey_reads=(), settle_reads=("density",))

    def survey(self, stack: Stack, hint: Settled | None) -> Magnitudes:
        """Magnitudes of the task vectors against the brackets."""
        return survey_magnitudes(stack.deltas(), hint, stack.runs, stack.facts_of_one)

    def settle(self, facts: Facts, hint: Settled | None) -> Settled:
        """The exact threshold of each task vector."""
        assert isinstance(facts, Magnitudes)
        return settle_threshold(facts, hint, per_model(self.density, len(facts.inside)))

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """Trim, elect, merge."""
        assert settled is not None
        thresholds_K = settled.values["threshold"]
        deltas = [
            _weighted(trim(delta, threshold), weight)
            for delta, threshold, weight in zip(
                stack.deltas(), thresholds_K, stack.weights, strict=True
            )
        ]
        merged = vote_and_merge(deltas, stack.weights, self.vote, self.reduce)
        return _weighted(merged, self.scale).add_(stack.anchor)

    def advice(self, weights: tuple[float, ...]) -> Sequence[str]:
        """Warn where the sum overshoots every model."""
        return overshoot(self.scale, weights) if self.reduce == "sum" else ()


def _weighted(delta: Tensor, weight: float) -> Tensor:
    return delta if weight == 1 else delta.mul_(weight)
