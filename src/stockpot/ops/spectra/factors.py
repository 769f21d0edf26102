"""Matrices of low rank as two factors, wherever these come from: decomposed, stored or learned.

Shapes: M rows, N columns, R rank; `...` for a batch of matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ...lazy import Tensor, torch


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """The matrix `left right`, or a batch of them.

    Attributes:
        left: [..., M, R].
        right: [..., R, N].
    """

    left: Tensor
    right: Tensor

    @property
    def rank(self) -> int:
        """R."""
        return self.left.shape[-1]

    def product(self) -> Tensor:
        """The matrix, [..., M, N]."""
        return self.left @ self.right

    def between(self, first: int, last: int) -> "Factors":
        """Directions [first, last) alone."""
        return Factors(self.left[..., first:last], self.right[..., first:last, :])

    @classmethod
    def end_to_end(cls, parts: Sequence["Factors"], shares: Sequence[float]) -> "Factors":
        """Factors of `Σ_k p_k left_k right_k`, of all ranks together.

        Example:
            >>> part = Factors(torch.ones(2, 1), torch.ones(1, 3))
            >>> Factors.end_to_end([part, part], [0.25, 0.75]).product()
            tensor([[1., 1., 1.],
                    [1., 1., 1.]])
        """
        pairs = zip(parts, shares, strict=True)
        left = torch.cat([part.left * share for part, share in pairs], dim=-1)
        return cls(left, torch.cat([part.right for part in parts], dim=-2))
