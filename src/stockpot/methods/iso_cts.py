"""Iso-CTS (Marczak et al., No task left behind, arXiv 2502.04959)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Ge, Lt

from ..core import Costs, Described, Method, Needs, Selection, Settled, Stack
from ..lazy import Tensor, torch
from ..ops.spectra.low_rank import LowRank, directions
from ..ops.spectra.noise import Noise
from ..ops.spectra.polar import turned_apart
from ..values.fields import Finite, Fraction
from .matrices import (
    Conv,
    Cuts,
    Qkv,
    Which,
    each_matrix,
    matrices_of,
    matrix_shape,
    room_for_stacks,
    summed_deltas,
    weighted_deltas,
)


@dataclass(frozen=True, slots=True)
class IsoCts(Method):
    """Iso-C, with the weakest shared directions given up for each task's own strongest ones.

    U_c, V_c: the first R_c directions of M = Σ_k τ_k,   τ_k = w_k (θ_k - θ_0)
    U_k, V_k: the first s of τ_k - U_c U_cᵀ τ_k,   s = round((1 - common) R / K),   R_c = R - s K
    θ = θ_0 + scale · σ̄ polar[U_1 .. U_K U_c] polar[V_1 .. V_K V_c]ᵀ,   σ̄ the mean of all values

    Attributes:
        scale: λ on the merged task vector; larger moves further from the base.
        common: share of the directions that stay common, before rounding; 1 is Iso-C.
        tolerance: which singular values are noise and take no part. 0: those that rounding makes of
            the weights as they are stored, up to c s (√m + √n), s the root mean square of the steps
            of their dtype at the weights, c 0.5; up to 16 times that where they suddenly fall by a
            factor of 1000, for training rounds at every step. Another number is a share of the
            sum's largest singular value.
        tensors: "matrices" (and "auto") decomposes every matrix but embeddings and CLIP's
            text_projection, which the authors leave out too; "blocks" those inside numbered blocks;
            "attention-mlp" those with attn or mlp in their names.
        conv: "average" convolutions with the rest, or decompose them "as-matrix".
        qkv: query, key and value are decomposed as "stored"; "split" in three where they are stored
            as one matrix; "fused" to one, end to end, where they are stored one by one.

    Needs: a base; weights as given.
    Cost: two sweeps; a decomposition of the sum and one per model, and two polar factors.
    Deviations: noise takes no part, as in Iso-C; s is lowered where s K would exceed R. Tensors
        that are not decomposed get θ_0 + scale/K Σ w_k (θ_k - θ_0), embeddings among them.
    Example:
        >>> import torch, stockpot as sp
        >>> base, model = {"w": torch.zeros(2, 2)}, {"w": torch.tensor([[3.0, 0.0], [0.0, 1.0]])}
        >>> sp.merge([model], IsoCts(common=0.5), base=base)
        {'w': tensor([[2., 0.],
                [0., 2.]])}

    Source: Marczak et al., ICML 2025, arXiv 2502.04959.
    """

    scale: Finite = 1.0
    common: Fraction = 0.8
    tolerance: Annotated[float, Ge(0), Lt(1)] = 0.0
    tensors: Which = "auto"
    conv: Conv = "average"
    qkv: Qkv = "stored"

    @property
    def needs(self) -> Needs:
        """A base and whole matrices, twice: for the sum, and for what each task adds to it."""
        return Needs(base=True, whole=True, weights="sum")

    @property
    def costs(self) -> Costs:
        """Models are read for the sum, and again for what each task adds to it."""
        return Costs(sweeps=2)

    def select(self, tensors: Sequence[Described], models: int) -> Selection:
        """Matrices; the rest gets the mean task vector."""
        return matrices_of(self, tensors, models)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The merged matrix, or batch of them.

        Tells ranks, energy, error bounds and what was noise, of the sum first, then by model.
        """
        total = summed_deltas(stack)
        shape, count = matrix_shape(tuple(total.values.shape)), len(stack.models)
        shared, own = self._ranks(min(shape), count)
        cuts, common, largest = Cuts(), list[tuple[LowRank, Noise]](), list[float]()
        for matrix in each_matrix(total.values):
            part = directions(matrix, max(shared, 1))
            largest.append(part.largest)
            noise = total.noise(self.tolerance).beside(part.largest)
            common.append((cuts.of(part.first(shared), shared, noise), noise))
        of_tasks: list[list[tuple[LowRank, Noise]]] = [[] for _ in common]
        for delta in weighted_deltas(stack):
            for b, matrix in enumerate(each_matrix(delta.values) if own else ()):
                middle, of_sum = common[b]
                part, noise = directions(_outside(matrix, middle), own), delta.noise(self.tolerance)
                rounded = torch.finfo(middle.left.dtype).eps * largest[b]  # of what is taken away
                noise = replace(noise, level=max(noise.level, of_sum.level, rounded))
                of_tasks[b].append((cuts.of(part, own, noise, largest[b]), noise))
        dependent = 0
        for b, into in enumerate(each_matrix(total.values)):
            parts, noises = zip(*of_tasks[b], common[b], strict=True)
            turned = turned_apart(parts, noises, into.dtype)
            values_S = torch.cat([part.values for part in parts])
            mean = float(values_S.sum()) / max(len(values_S), 1)
            into.copy_(turned.left @ turned.right * mean)
            dependent += turned.dependent
        cuts.tell(stack, dependent)
        return total.values.mul_(self.scale).add_(stack.anchor)

    def _ranks(self, full: int, count: int) -> tuple[int, int]:
        """R_c and s."""
        own = round((full - math.floor(full * self.common + 1e-9)) / count)
        own = min(own, full // count)
        return full - own * count, own

    def room(self, shape: tuple[int, ...], models: int) -> int:
        """Directions of all models, and what finds them and turns them apart."""
        return room_for_stacks(shape, 1.0)


def _outside(matrix_MN: Tensor, common: LowRank) -> Tensor:
    """What of a task vector does not lie in the common directions' span on the left."""
    given_MN = matrix_MN.to(common.left.dtype)
    return torch.addmm(given_MN, common.left, common.left.mT @ given_MN, alpha=-1).to(
        matrix_MN.dtype
    )
