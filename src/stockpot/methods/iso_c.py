"""Iso-C (Marczak et al., No task left behind, arXiv 2502.04959)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Lt

from ..asides import Largest, Series
from ..core import Described, Method, Needs, Selection, Settled, Stack
from ..lazy import Tensor, torch
from ..ops.spectra.polar import polar, room_for_polar
from ..values.fields import Finite
from .matrices import (
    Conv,
    Qkv,
    Which,
    each_matrix,
    matrices_of,
    matrix_shape,
    short,
    summed_deltas,
)


@dataclass(frozen=True, slots=True)
class IsoC(Method):
    """Add up the task vectors, and make all singular values of the sum equal.

    Σ_k w_k (θ_k - θ_0) = U diag(σ) Vᵀ,   σ̄ = mean σ,   θ = θ_0 + scale · σ̄ U Vᵀ

    The sum is ruled by a few directions that tasks share; equal values give the others, which hold
    what single tasks need, the same weight.

    Attributes:
        scale: λ on the merged task vector; larger moves further from the base. The authors search
            up to 3; about 1 for eight vision tasks, less for more of them.
        tolerance: which singular values are noise and take no part. 0: those that rounding makes of
            the weights as they are stored, up to c s (√m + √n), s the root mean square of the steps
            of their dtype at the weights, c 0.5; up to 16 times that where they suddenly fall by a
            factor of 1000, for training rounds at every step. Another number is a share of the
            largest singular value.
        tensors: "matrices" (and "auto") flattens every matrix but embeddings and CLIP's
            text_projection, which the authors leave out too; "blocks" those inside numbered blocks;
            "attention-mlp" those with attn or mlp in their names.
        conv: "average" convolutions with the rest, or take them "as-matrix".
        qkv: query, key and value are taken as "stored"; "split" in three where they are stored as
            one matrix; "fused" to one, end to end, where they are stored one by one.

    Needs: a base; weights as given.
    Cost: one sweep; one polar factor for all models, no SVD.
    Deviations: the published code has every direction take part, so that a sum that lacks rank, as
        of LoRA models, gets random ones at full weight. Tensors that are not flattened get
        θ_0 + scale/K Σ w_k (θ_k - θ_0), as in that code, but embeddings are among them.
    Example:
        >>> import torch, stockpot as sp
        >>> base, model = {"w": torch.zeros(2, 2)}, {"w": torch.tensor([[3.0, 0.0], [0.0, 1.0]])}
        >>> sp.merge([model], IsoC(), base=base)
        {'w': tensor([[2., 0.],
                [0., 2.]])}

    Source: Marczak et al., ICML 2025, arXiv 2502.04959.
    """

    scale: Finite = 1.0
    tolerance: Annotated[float, Ge(0), Lt(1)] = 0.0
    tensors: Which = "auto"
    conv: Conv = "average"
    qkv: Qkv = "stored"

    @property
    def needs(self) -> Needs:
        """A base and whole matrices."""
        return Needs(base=True, whole=True, weights="sum")

    def select(self, tensors: Sequence[Described], models: int) -> Selection:
        """Matrices; the rest gets the mean task vector."""
        return matrices_of(self, tensors, models)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The merged matrix, or batch of them.

        Tells the rank of the sum, the value that its directions got, and how many directions were
        noise, up to which singular value.
        """
        total = summed_deltas(stack)
        ranks, values, cut, noise = list[int](), list[float](), list[int](), 0.0
        for matrix in each_matrix(total.values):
            found = polar(matrix, total.noise(self.tolerance))
            values.append(found.nuclear / max(found.rank, 1))
            ranks.append(found.rank)
            cut.append(min(matrix.shape) - found.rank)
            noise = max(noise, found.noise)
            matrix.copy_(found.factor * values[-1])
        for name, told in (("rank", ranks), ("value", values), ("cut", cut)):
            stack.tell(name, Series.of(stack.start, *told))
        stack.tell("noise", Largest(short(noise)))
        return total.values.mul_(self.scale).add_(stack.anchor)

    def room(self, shape: tuple[int, ...], models: int) -> int:
        """Base, sum and task vector, and the polar factor."""
        return 4 * torch.Size(shape).numel() + room_for_polar(*matrix_shape(shape))
