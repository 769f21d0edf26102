"""Output tensors that follow from a merged one, and are computed when that is written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..errors import MergeError
from ..ops.spectra.low_rank import LIMIT, Ranks, room_for_top_k, top_k
from .sources.computed import SliceNorms, chunks


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived tensor, flat, in float64, and what people want to know of it."""

    values: Tensor
    report: Mapping[str, object] = field(default_factory=dict[str, object])


class Derivation(Protocol):
    """How a tensor follows from a merged one."""

    @property
    def of(self) -> str:
        """Name of the merged tensor."""
        ...

    @property
    def words(self) -> str:
        """What is computed, in words, for the rule of the tensor."""
        ...

    def room(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Bytes that it takes beyond the merged tensor itself, which has this shape."""
        ...

    def __call__(self, merged: Tensor, parts: Sequence[Tensor]) -> Derived:
        """The tensor, from the merged one as it was written, in its shape, and from `parts`."""
        ...


@dataclass(frozen=True, slots=True)
class Norms:
    """g of weight norm, where v is the merged weight itself: the norms of its slices."""

    of: str
    shape: tuple[int, ...]

    @property
    def words(self) -> str:
        """What is computed."""
        return f"weight norm: the norms of the merged '{self.of}'"

    def room(self, shape: tuple[int, ...], itemsize: int) -> int:  # noqa: ARG002
        """A few chunks."""
        return 2**21

    def __call__(self, merged: Tensor, parts: Sequence[Tensor]) -> Derived:  # noqa: ARG002
        """Norms in float64.

        Raises:
            MergeError: a slice is all zeros, of which weight norm makes NaN.
        """
        norms, flat = SliceNorms(tuple(merged.shape), self.shape), merged.reshape(-1)
        for start, stop in chunks(len(flat)):
            norms.add(start, flat[start:stop])
        if len(flat) and bool((norms.squares == 0).any()):
            raise MergeError(
                f"'{self.of}' is merged to zeros in a slice, and weight norm divides by its norm: "
                "the network would give NaN. Change the weights, or copy it from one model."
            )
        return Derived(norms.squares.sqrt())


@dataclass(frozen=True, slots=True)
class SingularVector:
    """u or v of spectral norm: a singular vector of the largest singular value σ.

    Of the merged weight, seen as the matrix that u and v of the first model belong to; certified to
    a relative error of 1e-5 in σ = uᵀ W v, then improved by a step of power iteration in float64.
    It has the sign of the first model's.
    """

    of: str
    side: str

    @property
    def words(self) -> str:
        """What is computed."""
        return f"spectral norm: {self.side} of the merged '{self.of}'"

    def room(self, shape: tuple[int, ...], itemsize: int) -> int:
        """The model's own weight, three copies in float64, and what the decomposition holds."""
        numel = torch.Size(shape).numel()
        held = max(room_for_top_k(size, numel // size, 0.0) for size in shape if size)
        return numel * (itemsize + 24) + 8 * held

    def __call__(self, merged: Tensor, parts: Sequence[Tensor]) -> Derived:
        """u or v, float64; that of the first model where the merged weight is all zeros."""
        weight, left, *rest = (part.double() for part in parts)
        right = rest[0] if rest else None
        dim = _dimension(weight, left, right)
        matrix_MN = _as_matrix(merged, dim).double()
        found = top_k(matrix_MN.float(), Ranks(count=1))
        if not found.rank:
            return Derived(left if self.side == "u" or right is None else right, {"sigma": 0.0})
        v_N = matrix_MN.mT @ (matrix_MN @ found.right[0].double())
        v_N = v_N / _length(v_N)
        u_M = matrix_MN @ v_N
        sigma = _length(u_M)
        u_M = u_M / sigma
        if float(u_M @ left) < 0:
            u_M, v_N = -u_M, -v_N
        return Derived(u_M if self.side == "u" else v_N, {"sigma": sigma, "within": LIMIT})


def _length(vector: Tensor) -> float:
    return math.sqrt(float(vector @ vector))


def _as_matrix(weight: Tensor, dim: int) -> Tensor:
    return weight.movedim(dim, 0).reshape(weight.shape[dim], -1)


def _dimension(weight: Tensor, left: Tensor, right: Tensor | None) -> int:
    """Which dimension of a model's own weight is the rows: where u and v explain most of it."""

    def explained(dim: int) -> float:
        image_N = left @ _as_matrix(weight, dim)
        return abs(float(image_N @ right)) if right is not None else _length(image_N)

    fitting = [dim for dim, size in enumerate(weight.shape) if size == len(left)]
    return max(fitting, key=explained)
