"""Which tensors are matrices for a method that decomposes them, and how it sees them.

Shapes: a view is [..., M, N], a batch of matrices of M rows and N columns.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from ..core import Described, Method, Selection, Stack
from ..ops.polar import room_for_polar
from ..ops.spectral import LowRank, room_for_top_k
from .task_arithmetic import TaskArithmetic

Which = Literal["auto", "matrices", "attention-mlp"]
Conv = Literal["average", "as-matrix"]
Stored = Literal["stored", "split"]
Qkv = Literal[Stored, "fused"]

_MATRICES = ("matrix", "expert-stack")
_NAMES = re.compile(r"attn|mlp")
_FUSED = re.compile(r"(^|[._])(in_proj_weight|(qkv|Wqkv|qkv_proj)\.weight)$")
_APART = (
    ("q_proj", "k_proj", "v_proj"),
    ("query", "key", "value"),
    ("q_lin", "k_lin", "v_lin"),
    ("to_q", "to_k", "to_v"),
    ("q", "k", "v"),
    ("wq", "wk", "wv"),
)
"""What query, key and value are called that are stored one by one."""


def choose_matrices(
    tensors: Sequence[Described],
    *,
    which: Which,
    by_default: Literal["matrices", "attention-mlp"],
    conv: Conv,
    qkv: Qkv,
    rest: Method,
) -> Selection:
    """The tensors that a method decomposes, by role or by the names of attention and MLP blocks.

    Args:
        tensors: all that it is to merge.
        which: "matrices" takes those whose role is matrix or expert-stack; "attention-mlp" those
            of them with attn or mlp in their names; "auto" is what the method's paper does.
        by_default: what "auto" means; "attention-mlp" only where there are any.
        conv: "as-matrix" takes convolutions too, [out, in * height * width].
        qkv: "split" sees a square query, key and value that are stored as one, [3 D, D], as three
            matrices; "fused" sees those that are stored one by one as one matrix, end to end.
        rest: the method of all others.
    """
    taken = (*_MATRICES, "conv") if conv == "as-matrix" else _MATRICES
    fit = [tensor for tensor in tensors if tensor.role in taken and len(tensor.shape) > 1]
    named = [tensor for tensor in fit if _NAMES.search(tensor.name)]
    by_paper = which == "auto" and by_default == "attention-mlp" and bool(named)
    by_name = which == "attention-mlp" or by_paper
    kind = "the matrices of attention and MLP blocks" if by_name else "matrices"
    mend = [
        *(["tensors to 'matrices'"] if by_name else []),
        *(["conv to 'as-matrix'"] if conv == "average" else []),
    ]
    chosen = named if by_name else fit
    joined = _joined(chosen) if qkv == "fused" else {}
    shapes = {t.name: t.shape for t in chosen}
    views = {t.name: _view(t, qkv) for t in chosen}
    for name, names in joined.items():
        views[name] = (sum(shapes[one][0] for one in names), shapes[name][1])
    return Selection(
        views=views,
        joined=joined,
        rest=rest,
        kind=kind + (" and convolutions" if conv == "as-matrix" else ""),
        mend=(f"set {' or '.join(mend)}, or " if mend else "") + "use a method such as 'average'.",
    )


class AroundBase(Protocol):
    """A method that decomposes task vectors, as far as its choice of tensors goes."""

    @property
    def scale(self) -> float:
        """λ on the merged task vector."""
        ...

    @property
    def tensors(self) -> Which:
        """Which matrices."""
        ...

    @property
    def conv(self) -> Conv:
        """What becomes of convolutions."""
        ...

    @property
    def qkv(self) -> Qkv:
        """How query, key and value in one matrix are seen."""
        ...


def matrices_of(method: AroundBase, tensors: Sequence[Described], models: int) -> Selection:
    """Its matrices, all of them by default; the rest gets the mean task vector."""
    return choose_matrices(
        tensors,
        which=method.tensors,
        by_default="matrices",
        conv=method.conv,
        qkv=method.qkv,
        rest=TaskArithmetic(scale=method.scale / models),
    )


def _view(tensor: Described, qkv: Qkv) -> tuple[int, ...]:
    shape = tensor.shape
    if tensor.role == "conv":
        return (shape[0], math.prod(shape[1:]))
    fused = len(shape) == 2 and shape[0] == 3 * shape[1] and _FUSED.search(tensor.name)
    if qkv == "split" and fused:
        return (3, shape[1], shape[1])
    return shape


def _joined(tensors: Sequence[Described]) -> dict[str, tuple[str, ...]]:
    """By name the query, key and value of one layer, where all three are matrices as wide."""
    shapes = {t.name: t.shape for t in tensors if len(t.shape) == 2}
    found: dict[str, tuple[str, ...]] = {}
    for name in shapes:
        parts = name.split(".")
        for called, *others in _APART:
            for at in (k for k, part in enumerate(parts) if part == called):
                three = [
                    ".".join((*parts[:at], one, *parts[at + 1 :])) for one in (called, *others)
                ]
                if len({shapes[one][1:] for one in three if one in shapes}) == 1 and all(
                    one in shapes for one in three
                ):
                    found |= dict.fromkeys(three, tuple(three))
    return found


def each_matrix(tensor: Tensor) -> Iterator[Tensor]:
    """The matrices [M, N] of a batch [..., M, N], as views."""
    return iter(tensor.flatten(0, -3) if tensor.ndim > 2 else [tensor])


def matrix_shape(view: tuple[int, ...]) -> tuple[int, int]:
    """M and N; a vector counts as one row."""
    return (view[-2], view[-1]) if len(view) > 1 else (1, math.prod(view))


def weighted_deltas(stack: Stack) -> Iterator[Tensor]:
    """Task vectors times their weights, one at a time; new memory."""
    for delta, weight in zip(stack.deltas(), stack.weights, strict=True):
        yield delta if weight == 1 else delta.mul_(weight)


def summed_deltas(stack: Stack) -> Tensor:
    """Their sum; new memory."""
    total = torch.zeros_like(stack.anchor)
    for delta in weighted_deltas(stack):
        total.add_(delta)
    return total


def room_for_stacks(view: tuple[int, ...], share: float) -> int:
    """Float32 elements for base, sum, task vector and result, and for directions side by side.

    Their decompositions at a rank of `share` are made first, then two polar factors.
    """
    rows, columns = matrix_shape(view)
    rank = min(rows, columns)
    stacks = 2 * rank * (rows + columns)
    polars = max(room_for_polar(rows, rank), room_for_polar(columns, rank)) + rank * rank
    work = max(room_for_top_k(rows, columns, share), polars + rows * columns)
    batch = math.prod(view) // max(rows * columns, 1)
    return 4 * math.prod(view) + max(batch, 1) * stacks + work


def told(parts: Sequence[LowRank]) -> dict[str, object]:
    """What the manifest says of decompositions: one entry each, in the order of the models."""
    return {
        "rank": [part.rank for part in parts],
        "energy": [round(part.energy, 6) for part in parts],
        "error": float(f"{max((part.bound for part in parts), default=0.0):.2g}"),
        "exact": sum(part.exact for part in parts),
    }
