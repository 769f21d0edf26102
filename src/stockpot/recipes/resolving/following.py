"""Tensors that follow another: the parts of a weight that a network computes from several.

A weight under weight norm or spectral norm, or with a pruning mask, is merged as the network uses
it, under the name of one of its tensors. The others follow: they are derived from what was merged,
or come from where that one is copied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core import Method, Needs, Settled, Stack
from ...values.fields import check_fields
from ...views.derived import Derivation, Norms, SingularVector
from ...views.parametrised import Parametrised, Pruned, SpectralNorm, WeightNorm


@dataclass(frozen=True, slots=True)
class AnyOf(Method):
    """1 where any of the masks has one, else 0."""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        """As many as there are."""
        return Needs(weights="sum")

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:  # noqa: ARG002
        """The union of what the masks keep."""
        kept = torch.zeros_like(stack.models[0])
        for mask in stack.models:
            kept.masked_fill_(mask != 0, 1.0)
        return kept


@dataclass(frozen=True, slots=True)
class Follower:
    """A tensor that follows another.

    Attributes:
        of: the name of the other.
        what: the weight that both are part of.
    """

    of: str
    what: Parametrised

    def derivation(self, name: str, shape: tuple[int, ...]) -> Derivation | None:
        """How it is derived from the other; None for a mask."""
        match self.what:
            case WeightNorm():
                return Norms(self.of, shape)
            case SpectralNorm():
                return SingularVector(self.of, "u" if name == self.what.left else "v")
            case Pruned():
                return None

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the tensors that are read of one model to derive it."""
        if not isinstance(self.what, SpectralNorm):
            return ()
        right = () if self.what.right is None else (self.what.right,)
        return (self.what.weight, self.what.left, *right)


def followers_of(parametrised: Sequence[Parametrised]) -> Mapping[str, Follower]:
    """By name the tensors that follow another."""
    found: dict[str, Follower] = {}
    for one in parametrised:
        match one:
            case WeightNorm():
                found[one.size] = Follower(one.direction, one)
            case SpectralNorm():
                found[one.left] = Follower(one.weight, one)
                if one.right is not None:
                    found[one.right] = Follower(one.weight, one)
            case Pruned():
                found[one.mask] = Follower(one.weight, one)
    return found
