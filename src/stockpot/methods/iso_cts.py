"""Iso-CTS (Marczak et al., No task left behind, arXiv 2502.04959)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from ..core import Described, Method, Needs, Selection, Settled, Stack
from ..fields import Finite, Fraction, check_fields
from ..ops.polar import common_below, turned_apart
from ..ops.spectral import LowRank, Ranks, top_k
from .matrices import (
    Conv,
    Qkv,
    Which,
    each_matrix,
    matrices_of,
    matrix_shape,
    room_for_stacks,
    summed_deltas,
    told,
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
        tolerance: directions with a singular value below this share of the sum's largest are noise
            and left out; raise it to 0.01 where task vectors are differences of bfloat16 weights.
        tensors: "matrices" (and "auto") decomposes every matrix but embeddings; "attention-mlp"
            those with attn or mlp in their names.
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
    tolerance: Annotated[float, Ge(0), Lt(1)] = 1e-5
    tensors: Which = "auto"
    conv: Conv = "average"
    qkv: Qkv = "stored"

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        """A base and whole matrices, twice: for the sum, and for what each task adds to it."""
        return Needs(base=True, whole=True, sweeps=2, weights="sum")

    def select(self, tensors: Sequence[Described], models: int) -> Selection:
        """Matrices; the rest gets the mean task vector."""
        return matrices_of(self, tensors, models)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The merged matrix, or batch of them."""
        return self.with_report(stack, settled)[0]

    def with_report(
        self, stack: Stack, settled: Settled | None
    ) -> tuple[Tensor, Mapping[str, object]]:
        """The merged matrix; and ranks, energy, error bounds, of the sum first, then by model."""
        total = summed_deltas(stack)
        shape, count = matrix_shape(tuple(total.shape)), len(stack.models)
        shared, own = self._ranks(min(shape), count)
        common = [top_k(matrix, Ranks(count=shared)) for matrix in each_matrix(total)]
        largest = [float(part.values[0]) if part.rank else 0.0 for part in common]
        common = [part.above(self.tolerance) for part in common]
        of_tasks: list[list[LowRank]] = [[] for _ in common]
        for delta in weighted_deltas(stack):
            for b, matrix in enumerate(each_matrix(delta) if own else ()):
                rest = _outside(matrix, common[b])
                of_tasks[b].append(top_k(rest, Ranks(count=own)).above(self.tolerance, largest[b]))
        for b, into in enumerate(each_matrix(total)):
            parts = [*of_tasks[b], common[b]]
            values_S = torch.cat([part.values for part in parts])
            floor = common_below(parts, min(shape), self.tolerance, largest[b])
            left_MS, right_SN = turned_apart(parts, floor)
            mean = float(values_S.sum()) / max(len(values_S), 1)
            into.copy_(left_MS @ right_SN * mean)
        report = told([*common, *(part for parts in of_tasks for part in parts)])
        return total.mul_(self.scale).add_(stack.anchor), report

    def _ranks(self, full: int, count: int) -> tuple[int, int]:
        """R_c and s."""
        own = round((full - math.floor(full * self.common + 1e-9)) / count)
        own = min(own, max(full - 1, 0) // count)
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
