"""CART's average and factors (Choi et al., Revisiting weight averaging, arXiv 2412.12153).

Shapes: B matrices of M rows and N columns in a tensor, R kept directions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..asides import Extra
from ..core import Costs, Described, Method, Needs, Selection, Settled, Stack
from ..lazy import Tensor, torch
from ..ops.means import affine
from ..ops.spectra.low_rank import LowRank, Ranks, room_for_top_k, top_k
from ..values.fields import Fraction
from .average import Average
from .matrices import Conv, Stored, Which, choose_matrices, each_matrix, matrix_shape, tell_parts


@dataclass(frozen=True, slots=True)
class CartFactors(Method):
    """Average, and beside it of each model its centred task vector, cut to low rank.

    θ = θ_avg = Σ_k w_k θ_k / Σ_k w_k
    left_k right_k = SVD_r(θ_k - θ_avg),   left_k = U diag(s) [B, M, R],   right_k = Vᵀ [B, R, N]

    From these CART is θ_avg + scale · Σ_k left_k right_k at any scale and any smaller rank, and
    each model is nearly θ_avg + left_k right_k: many networks for little more than the price of
    one. `stockpot factor` writes them, and `stockpot restore` makes networks of them.

    Attributes:
        rank: fraction r of the full rank that is kept, rounded down, one at least; larger restores
            models better and takes more space.
        tensors: as of cart; the others have no factors and are the average's in every model.
        conv: "average" convolutions, or decompose them "as-matrix", [out, in * height * width].
        qkv: query, key and value are decomposed as "stored", or "split" in three where they are
            stored as one matrix.

    Needs: one model or more; no base.
    Gives: "left" and "right" of each model, float32, in a directory's folder of extras.
    Cost: as cart; and the factors, K R (M + N) numbers.
    Deviations: the paper's name for it is CART-Indexing.
    Example:
        >>> import torch, stockpot as sp
        >>> models = [{"w": torch.eye(3)[k][:, None] * torch.eye(3)[k]} for k in range(3)]
        >>> sp.merge(models, CartFactors())["w"].diagonal()
        tensor([0.3333, 0.3333, 0.3333])

    Source: Choi et al., 2024, arXiv 2412.12153.
    """

    rank: Fraction = 0.08
    tensors: Which = "auto"
    conv: Conv = "average"
    qkv: Stored = "stored"

    @property
    def needs(self) -> Needs:
        """Whole matrices, twice: once for the average, once for the factors."""
        return Needs(whole=True)

    @property
    def costs(self) -> Costs:
        """Models are read for the average, and again for the factors."""
        return Costs(sweeps=2)

    @property
    def ranks(self) -> Ranks:
        """How many directions are kept."""
        return Ranks(fraction=self.rank)

    def select(self, tensors: Sequence[Described], models: int) -> Selection:
        """Matrices, as cart takes them; the rest is averaged."""
        return choose_matrices(
            tensors,
            which=self.tensors,
            by_default="blocks",
            conv=self.conv,
            qkv=self.qkv,
            rest=Average(),
        )

    def extras(self, shape: tuple[int, ...], models: int) -> tuple[Extra, Extra]:
        """Both factors of each model, for every matrix of the tensor."""
        (rows, columns), batch = matrix_shape(shape), math.prod(shape[:-2])
        rank = self.ranks.known(min(rows, columns))
        return Extra("left", (batch, rows, rank)), Extra("right", (batch, rank, columns))

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The average; gives the factors, and tells ranks, energy kept and error bounds."""
        centre, told = affine(stack.models, stack.weights), list[LowRank]()
        left, right = self.extras(tuple(centre.shape), len(stack.models))
        for k in range(len(stack.models)):
            row = stack.models[k]
            delta = row.sub_(centre) if stack.fresh else row - centre
            parts = [top_k(matrix, self.ranks) for matrix in each_matrix(delta)]
            left_BMR = torch.zeros(left.shape, device=centre.device)
            right_BRN = torch.zeros(right.shape, device=centre.device)
            for b, part in enumerate(parts):  # of fewer directions than asked for the rest is 0
                left_BMR[b, :, : part.rank] = part.scaled()
                right_BRN[b, : part.rank] = part.right
            stack.give("left", left_BMR, k)
            stack.give("right", right_BRN, k)
            told += parts
        if told:
            tell_parts(stack, told)
        return centre

    def room(self, shape: tuple[int, ...], models: int) -> int:
        """The average, a task vector, its low-rank part with factors, and the decomposition."""
        rows, columns = matrix_shape(shape)
        factors = sum(math.prod(extra.shape) for extra in self.extras(shape, models))
        work = room_for_top_k(rows, columns, self.ranks.most)
        return 3 * max(rows * columns, math.prod(shape)) + 2 * factors + work
