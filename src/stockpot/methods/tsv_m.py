"""TSV-Merge (Gargiulo et al., Task singular vectors, arXiv 2412.00081)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from ..core import Described, Method, Needs, Selection, Settled, Stack
from ..fields import Finite, check_fields
from ..ops.polar import common_below, turned_apart
from ..ops.spectral import Ranks, top_k
from .matrices import (
    Conv,
    Qkv,
    Which,
    each_matrix,
    matrices_of,
    matrix_shape,
    room_for_stacks,
    told,
    weighted_deltas,
)


@dataclass(frozen=True, slots=True)
class TsvM(Method):
    """Cut each task vector to its share of the rank, and make the directions of all orthogonal.

    w_k (θ_k - θ_0) = U_k S_k V_kᵀ,   the first R/K directions of each, R = min(m, n)
    U = polar [U_1 .. U_K],   V = polar [V_1 .. V_K],   θ = θ_0 + scale · U diag(S_1 .. S_K) Vᵀ

    polar A = A (AᵀA)^(-1/2), the nearest matrix with orthonormal columns: tasks whose directions
    overlap are turned apart instead of added up.

    Attributes:
        scale: λ on the merged task vector; the paper's 1 needs no tuning as a rule.
        tolerance: directions with a singular value below this share of the largest are noise and
            left out; where task vectors lack rank, of the polar factors too. Raise it to 0.01 where
            task vectors are differences of bfloat16 weights.
        tensors: "matrices" (and "auto") decomposes every matrix but embeddings; "attention-mlp"
            those with attn or mlp in their names.
        conv: "average" convolutions with the rest, or decompose them "as-matrix".
        qkv: query, key and value are decomposed as "stored"; "split" in three where they are stored
            as one matrix; "fused" to one, end to end, where they are stored one by one.

    Needs: a base; weights as given.
    Cost: one sweep; a decomposition per model, of which U and V are held, and two polar factors.
    Deviations: tensors that are not decomposed get θ_0 + scale/K Σ w_k (θ_k - θ_0), as in the
        authors' code, but embeddings are among them; directions that are noise take no part, which
        in the authors' code fill the stacks of task vectors that lack rank.
    Example:
        >>> import torch, stockpot as sp
        >>> base, ones = {"w": torch.zeros(4, 4)}, torch.eye(4)
        >>> models = [{"w": torch.diag(ones[0] + ones[1])}, {"w": torch.diag(ones[2] * 3)}]
        >>> sp.merge(models, TsvM(), base=base)["w"].diagonal()
        tensor([1., 1., 3., 0.])

    Source: Gargiulo et al., CVPR 2025, arXiv 2412.00081.
    """

    scale: Finite = 1.0
    tolerance: Annotated[float, Ge(0), Lt(1)] = 1e-5
    tensors: Which = "auto"
    conv: Conv = "average"
    qkv: Qkv = "stored"

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        """A base and whole matrices."""
        return Needs(base=True, whole=True, weights="sum")

    def select(self, tensors: Sequence[Described], models: int) -> Selection:
        """Matrices; the rest gets the mean task vector."""
        return matrices_of(self, tensors, models)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The merged matrix, or batch of them."""
        return self.with_report(stack, settled)[0]

    def with_report(
        self, stack: Stack, settled: Settled | None
    ) -> tuple[Tensor, Mapping[str, object]]:
        """The merged matrix; and by model ranks, shares of energy kept and error bounds."""
        rows, columns = matrix_shape(tuple(stack.anchor.shape))
        share = Ranks(count=max(1, min(rows, columns) // len(stack.models)))
        of_models = [
            [top_k(matrix, share).above(self.tolerance) for matrix in each_matrix(delta)]
            for delta in weighted_deltas(stack)
        ]
        merged = torch.zeros_like(stack.anchor)
        for into, parts in zip(each_matrix(merged), zip(*of_models, strict=True), strict=True):
            floor = common_below(parts, share.count * len(parts), self.tolerance)
            left_MS, right_SN = turned_apart(parts, floor)
            values_S = torch.cat([part.values for part in parts]).to(left_MS)
            into.copy_((left_MS * values_S) @ right_SN)
        report = told([part for parts in of_models for part in parts])
        return merged.mul_(self.scale).add_(stack.anchor), report

    def room(self, shape: tuple[int, ...], models: int) -> int:
        """Directions of all models, and what finds them and turns them apart."""
        return room_for_stacks(shape, 1 / models)
