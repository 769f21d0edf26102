"""Which tensors are matrices for a method that decomposes them, and how it sees them.

Shapes: a view is [..., M, N], a batch of matrices of M rows and N columns.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..asides import Count, Largest, Series
from ..core import Described, Method, Selection, Stack
from ..lazy import Tensor, torch
from ..ops.rounding import mean_square_step
from ..ops.spectra.low_rank import LowRank, room_for_top_k
from ..ops.spectra.noise import Noise
from ..ops.spectra.polar import room_for_polar
from .task_arithmetic import TaskArithmetic

Which = Literal["auto", "matrices", "blocks", "attention-mlp"]
Conv = Literal["average", "as-matrix"]
Stored = Literal["stored", "split"]
Qkv = Literal[Stored, "fused"]

_MATRICES = ("matrix", "expert-stack")
_NAMES = re.compile(r"attn|mlp")
_PROJECTION = "text_projection"
"""CLIP's, which the authors of TSV-M and Iso-C leave out by this name; so do we."""
_SERIES = 3
"""So many series of blocks are named in a sentence."""
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
    by_default: Literal["matrices", "blocks"],
    conv: Conv,
    qkv: Qkv,
    rest: Method,
) -> Selection:
    """The tensors that a method decomposes, by role, by where they lie, or by their names.

    Args:
        tensors: all that it is to merge.
        which: "matrices" takes those whose role is matrix or expert-stack, but for CLIP's
            text_projection; "blocks" those of them inside numbered blocks; "attention-mlp" those
            with attn or mlp in their names.
        by_default: what "auto" means; "blocks" only where there are any.
        conv: "as-matrix" takes convolutions too, [out, in * height * width].
        qkv: "split" sees a square query, key and value that are stored as one, [3 D, D], as three
            matrices; "fused" sees those that are stored one by one as one matrix, end to end.
        rest: the method of all others.
    """
    taken = (*_MATRICES, "conv") if conv == "as-matrix" else _MATRICES
    fit = [t for t in tensors if t.role in taken and len(t.shape) > 1 and _PROJECTION not in t.name]
    chosen, kind = fit, "matrices"
    if which == "attention-mlp":
        chosen = [tensor for tensor in fit if _NAMES.search(tensor.name)]
        kind = "the matrices with attn or mlp in their names"
    elif which == "blocks" or (which == "auto" and by_default == "blocks"):
        inside = numbered_blocks([tensor.name for tensor in tensors])
        found = [tensor for tensor in fit if tensor.name in inside]
        if found or which == "blocks":
            chosen, kind = found, _in_blocks(found, inside)
    mend = [
        *(["tensors to 'matrices'"] if kind != "matrices" else []),
        *(["conv to 'as-matrix'"] if conv == "average" else []),
    ]
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


def numbered_blocks(names: Sequence[str]) -> dict[str, str]:
    """By name of each tensor inside a numbered block, where the series of blocks is.

    A block is a module under a number, as in `h.3.attn.c_proj.weight`; one of its parts at least
    occurs under a second number, but where no part of any does, as in a network of one block. The
    layers of a Sequential hold their weights themselves and are none.

    Example:
        >>> numbered_blocks(["h.0.a.w", "h.1.a.w", "h.1.b.w", "head.0.w", "head.1.w", "out.7.a.w"])
        {'h.0.a.w': 'h', 'h.1.a.w': 'h', 'h.1.b.w': 'h'}
    """
    numbers: dict[tuple[str, str], set[str]] = {}
    within: dict[str, list[str]] = {}
    for name in names:
        parts = name.split(".")
        for at in (k for k, part in enumerate(parts[:-2]) if part.isdecimal()):
            series = ".".join(parts[:at])
            within.setdefault(name, []).append(series)
            numbers.setdefault((series, ".".join(parts[at + 1 :])), set()).add(parts[at])
    repeated = {series for (series, _), found in numbers.items() if len(found) > 1}
    repeated = repeated or {series for series, _ in numbers}
    outermost = {name: [s for s in found if s in repeated] for name, found in within.items()}
    return {name: found[0] for name, found in outermost.items() if found}


def _in_blocks(chosen: Sequence[Described], inside: Mapping[str, str]) -> str:
    """What was found, in words: which series of blocks hold the matrices."""
    series = list(dict.fromkeys(f"'{inside[tensor.name]}.N'" for tensor in chosen))
    more = f" and {len(series) - _SERIES} more" if len(series) > _SERIES else ""
    where = ", ".join(series[:_SERIES])
    return f"the matrices inside numbered blocks{' ' * bool(series)}{where}{more}"


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


@dataclass(frozen=True, slots=True)
class Delta:
    """A weighted task vector, or the sum of all, and how it is rounded.

    Attributes:
        values: in new memory.
        steps: mean square of the steps of the stored dtypes at the weights, times squared weights.
    """

    values: Tensor
    steps: float

    def noise(self, tolerance: float) -> Noise:
        """What is noise in each of its matrices: what rounding makes, or a share of the largest."""
        if tolerance:
            return Noise(share=tolerance)
        return Noise.of_rounding(self.steps, *matrix_shape(tuple(self.values.shape)))


def weighted_deltas(stack: Stack) -> Iterator[Delta]:
    """Task vectors times their weights, one at a time."""
    base, of_base = stack.anchor, _steps_of_base(stack)
    for k, weight in enumerate(stack.weights):
        row = stack.models[k]
        steps = mean_square_step(row, _stored(stack, k, row)) + of_base
        delta = row.sub_(base) if stack.fresh else row - base
        yield Delta(delta if weight == 1 else delta.mul_(weight), weight * weight * steps)


def summed_deltas(stack: Stack) -> Delta:
    """Their sum, in which roundings of the base are the same in all."""
    total, steps = torch.zeros_like(stack.anchor), 0.0
    for delta in weighted_deltas(stack):
        total.add_(delta.values)
        steps += delta.steps
    alone = math.fsum(weight * weight for weight in stack.weights)
    together = math.fsum(stack.weights) ** 2
    return Delta(total, max(steps + (together - alone) * _steps_of_base(stack), 0.0))


def _steps_of_base(stack: Stack) -> float:
    """None where it is stored in float32 or float64: training has started from that very number."""
    dtype = _stored(stack, len(stack.models), stack.anchor)
    return mean_square_step(stack.anchor, dtype) if dtype.itemsize < 4 else 0.0


def _stored(stack: Stack, row: int, values: Tensor) -> "torch.dtype":
    return stack.stored[row] if stack.stored else values.dtype


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


def tell_parts(stack: Stack, parts: Sequence[LowRank]) -> None:
    """Tell the manifest of decompositions: one entry each, in the order of the models."""
    stack.tell("rank", Series.of(stack.start, *(part.rank for part in parts)))
    stack.tell("energy", Series.of(stack.start, *(round(part.energy, 6) for part in parts)))
    stack.tell("error", Largest(short(max((part.bound for part in parts), default=0.0))))
    stack.tell("exact", Count(sum(part.exact for part in parts)))


@dataclass(slots=True)
class Cuts:
    """What was cut as noise from the matrices of one tensor, for the manifest.

    Attributes:
        kept: parts without noise, in the order in which they were made.
        cut: of each part how many directions were noise.
        noise: the largest singular value that was taken for noise, or would have been.
    """

    kept: list[LowRank] = field(default_factory=list[LowRank])
    cut: list[int] = field(default_factory=list[int])
    noise: float = 0.0

    def of(self, part: LowRank, asked: int, noise: Noise, above: float = 0.0) -> LowRank:
        """The part's directions that are more than noise, of so many that were asked for."""
        found = part.first(noise.real(part.values, above))
        self.kept.append(found)
        self.cut.append(asked - found.rank)
        self.noise = max(self.noise, noise.level)
        return found

    def tell(self, stack: Stack, dependent: int) -> None:
        """Tell the manifest, with how many directions of parts lay in the span of the others."""
        tell_parts(stack, self.kept)
        stack.tell("cut", Series.of(stack.start, *self.cut))
        stack.tell("noise", Largest(short(self.noise)))
        stack.tell("dependent", Count(dependent))


def short(value: float) -> float:
    """Two digits."""
    return float(f"{value:.2g}")
