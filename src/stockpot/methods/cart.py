"""CART (Choi et al., Revisiting weight averaging for model merging, arXiv 2412.12153)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from ..core import Costs, Described, Method, Needs, Selection, Settled, Stack
from ..lazy import Tensor, torch
from ..ops.means import affine
from ..ops.spectra.low_rank import LowRank, Ranks, room_for_top_k, top_k
from ..values.fields import Finite, Fraction
from .average import Average
from .matrices import Conv, Qkv, Which, choose_matrices, each_matrix, matrix_shape, tell_parts
from .task_arithmetic import TaskArithmetic


@dataclass(frozen=True, slots=True)
class Cart(Method):
    """Add the centred task vectors, each cut to low rank, to the average.

    θ_avg = Σ_k w_k θ_k / Σ_k w_k,   δ_k = θ_k - θ_avg        (around = "base": δ_k = θ_k - θ_0)
    θ = θ_avg + scale · Σ_k SVD_r(δ_k)

    Centred task vectors add up to nothing, so that at full rank this is the average. Their leading
    directions hold what each task needs and overlap little; what is cut is what interferes.

    Attributes:
        rank: fraction r of the full rank that is kept, rounded down, one at least. Accuracy over it
            is a bell: the paper's eight vision tasks are best near 0.08, its released settings
            have 0.12 for eight tasks and up to 0.32 for twenty.
        rank_count: this many directions instead, where it is not 0.
        energy: else the fewest directions whose squared singular values hold this share, where it
            is not 0.
        scale: λ on the sum; larger moves further from the average. Tune it with the rank on
            held-out data: the released settings have 1.5 to 2.
        around: "average" as in the paper; "base" cuts plain task vectors and adds them to the base,
            the ablation "task arithmetic and SVD".
        tensors: "blocks" decomposes the matrices inside numbered blocks, those of attention and MLP
            whatever they are called; "attention-mlp" the ones with attn or mlp in their names, as
            the paper's code does; "matrices" all; "auto" is blocks, or all where there are none.
            Embeddings never, nor CLIP's text_projection.
        conv: "average" convolutions, or decompose them "as-matrix", [out, in * height * width].
        qkv: query, key and value are decomposed as "stored"; "split" in three where they are stored
            as one matrix; "fused" to one, end to end, where they are stored one by one.

    Needs: one model or more, three for any effect; no base. Weights w other than equal ones weight
        the sum with K w_k / Σ w.
    Cost: two sweeps over the models; a few matrices at a time, however many models there are. The
        Gram matrix of each matrix's smaller side, and its eigenvectors.
    Deviations: tensors that are not decomposed are averaged, as they are by the paper's arithmetic.
    Example:
        >>> import torch, stockpot as sp
        >>> models = [{"w": torch.eye(3)[k][:, None] * torch.eye(3)[k]} for k in range(3)]
        >>> sp.merge(models, Cart(rank_count=1, scale=0.0))["w"].diagonal()
        tensor([0.3333, 0.3333, 0.3333])
        >>> sp.merge(models, Cart(rank_count=1, scale=1.0))["w"].diagonal()
        tensor([1., 1., 1.])

    Source: Choi et al., 2024, arXiv 2412.12153.
    """

    rank: Fraction = 0.08
    rank_count: Annotated[int, Ge(0)] = 0
    energy: Annotated[float, Ge(0), Le(1)] = 0.0
    scale: Finite = 1.0
    around: Literal["average", "base"] = "average"
    tensors: Which = "auto"
    conv: Conv = "average"
    qkv: Qkv = "stored"

    @property
    def needs(self) -> Needs:
        """Whole matrices, twice: once for the average, once for what is cut."""
        if self.around == "base":
            return Needs(base=True, whole=True, weights="sum")
        return Needs(whole=True)

    @property
    def costs(self) -> Costs:
        """Models are read for the average, and again for what is cut."""
        return Costs(sweeps=1 if self.around == "base" else 2)

    @property
    def ranks(self) -> Ranks:
        """How many directions are kept."""
        return Ranks(fraction=self.rank, count=self.rank_count, energy=self.energy)

    def select(self, tensors: Sequence[Described], models: int) -> Selection:
        """Matrices; the rest is averaged, or added up where the sum is around the base."""
        rest = Average() if self.around == "average" else TaskArithmetic(scale=self.scale)
        return choose_matrices(
            tensors,
            which=self.tensors,
            by_default="blocks",
            conv=self.conv,
            qkv=self.qkv,
            rest=rest,
        )

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The merged matrix, or batch of them; tells ranks, energy kept and error bounds."""
        count = len(stack.models)
        if self.around == "base":
            centre, shares = stack.anchor, stack.weights
        else:
            centre = affine(stack.models, stack.weights)
            shares = tuple(count * weight for weight in stack.weights)
        total = torch.zeros_like(centre)
        parts: list[LowRank] = []
        for k, share in enumerate(shares):
            row = stack.models[k]
            delta = row.sub_(centre) if stack.fresh else row - centre
            if self.ranks.everything:  # the best approximation of full rank is the matrix itself
                total.add_(delta.mul_(share))
                continue
            for into, matrix in zip(each_matrix(total), each_matrix(delta), strict=True):
                part = top_k(matrix, self.ranks)
                into.add_((part.scaled() * share @ part.right).to(into.dtype))
                parts.append(part)
        if parts:
            tell_parts(stack, parts)
        return total.mul_(self.scale).add_(centre)

    def room(self, shape: tuple[int, ...], models: int) -> int:
        """The average, the sum, a task vector, its low-rank part, and the decomposition."""
        rows, columns = matrix_shape(shape)
        work = room_for_top_k(rows, columns, self.ranks.most)
        return 4 * max(rows * columns, torch.Size(shape).numel()) + work

    def advice(self, weights: tuple[float, ...]) -> Sequence[str]:
        """Warn where the centred task vectors cancel at every rank."""
        if self.around == "average" and len(weights) < 3:
            return (
                f"cart of {len(weights)} model{'s' * (len(weights) > 1)} is the average for every "
                "rank and scale: centred task vectors of two models are opposite. Merge three or "
                "more, or set around to 'base'.",
            )
        return ()
