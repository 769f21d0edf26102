"""TSV-Merge (Gargiulo et al., Task singular vectors, arXiv 2412.00081)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Lt

from ..core import Described, Method, Needs, Selection, Settled, Stack
from ..lazy import Tensor, torch
from ..ops.spectra.low_rank import LowRank, directions
from ..ops.spectra.noise import Noise
from ..ops.spectra.polar import turned_apart
from ..values.fields import Finite
from .matrices import (
    Conv,
    Cuts,
    Qkv,
    Which,
    each_matrix,
    matrices_of,
    matrix_shape,
    room_for_stacks,
    weighted_deltas,
)


@dataclass(frozen=True, slots=True)
class TsvM(Method):
    """Cut each task vector to its share of the rank, and make the directions of all orthogonal.

    w_k (θ_k - θ_0) = U_k S_k V_kᵀ,   the first ⌊R/K⌋ directions of each, R = min(m, n)
    U = polar [U_1 .. U_K],   V = polar [V_1 .. V_K],   θ = θ_0 + scale · U diag(S_1 .. S_K) Vᵀ

    polar A = A (AᵀA)^(-1/2), the nearest matrix with orthonormal columns: tasks whose directions
    overlap are turned apart instead of added up.

    Attributes:
        scale: λ on the merged task vector; the paper's 1 needs no tuning as a rule.
        tolerance: which singular values are noise and take no part. 0: those that rounding makes of
            the weights as they are stored, up to c s (√m + √n), s the root mean square of the steps
            of their dtype at the weights, c 0.5; up to 16 times that where they suddenly fall by a
            factor of 1000, for training rounds at every step. Another number is a share of the
            largest singular value.
        tensors: "matrices" (and "auto") decomposes every matrix but embeddings and CLIP's
            text_projection, which the authors leave out too; "blocks" those inside numbered blocks;
            "attention-mlp" those with attn or mlp in their names.
        conv: "average" convolutions with the rest, or decompose them "as-matrix".
        qkv: query, key and value are decomposed as "stored"; "split" in three where they are stored
            as one matrix; "fused" to one, end to end, where they are stored one by one.

    Needs: a base; weights as given.
    Cost: one sweep; a decomposition per model, of which U and V are held, and two polar factors.
    Deviations: tensors that are not decomposed get θ_0 + scale/K Σ w_k (θ_k - θ_0), as in the
        authors' code, but embeddings are among them; directions that are noise take no part, which
        in the authors' code fill the stacks of task vectors that lack rank. As there, a matrix of
        fewer rows or columns than models has no direction for each, and stays the base's.
    Example:
        >>> import torch, stockpot as sp
        >>> base, ones = {"w": torch.zeros(4, 4)}, torch.eye(4)
        >>> models = [{"w": torch.diag(ones[0] + ones[1])}, {"w": torch.diag(ones[2] * 3)}]
        >>> sp.merge(models, TsvM(), base=base)["w"].diagonal()
        tensor([1., 1., 3., 0.])

    Source: Gargiulo et al., CVPR 2025, arXiv 2412.00081.
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
        """The merged matrix, or batch of them; tells ranks, energy, errors and noise by model."""
        share = min(matrix_shape(tuple(stack.anchor.shape))) // len(stack.models)
        cuts, of_models = Cuts(), list[list[tuple[LowRank, Noise]]]()
        for delta in weighted_deltas(stack):
            parts, noise = list[tuple[LowRank, Noise]](), delta.noise(self.tolerance)
            for matrix in each_matrix(delta.values):
                part = directions(matrix, share)
                own = noise.beside(part.largest)
                parts.append((cuts.of(part, share, own), own))
            of_models.append(parts)
        merged, dependent = torch.zeros_like(stack.anchor), 0
        for into, found in zip(each_matrix(merged), zip(*of_models, strict=True), strict=True):
            parts, noises = zip(*found, strict=True)
            turned = turned_apart(parts, noises, into.dtype)
            values_S = torch.cat([part.values for part in parts]).to(turned.left)
            into.copy_((turned.left * values_S) @ turned.right)
            dependent += turned.dependent
        cuts.tell(stack, dependent)
        return merged.mul_(self.scale).add_(stack.anchor)

    def room(self, shape: tuple[int, ...], models: int) -> int:
        """Directions of all models, and what finds them and turns them apart."""
        return room_for_stacks(shape, 1 / models)
