"""What a method gives beside the merged tensor: named extras, and what it tells the manifest.

What is told of a block joins what is told of the tensor's other blocks, in any order, to the same
value; so neither slices nor workers show.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

from .lazy import Tensor, torch


@dataclass(frozen=True, slots=True)
class Extra:
    """A tensor that a method gives beside each merged one, such as a mask or a factor.

    One of the merged tensor's own shape is given block by block, as the merged one is. One of
    another shape comes from a method that gets whole tensors; or it depends on what was settled
    alone, and every block gives the same.

    Attributes:
        name: without a dot, such as "mask"; NAME.mask in files.
        shape: of it, in one tensor and for one model.
        dtype: in which it is given and stored.
        of: "model" for one of each model, which lie in a file of that model's; "models" for one of
            all of them.
    """

    name: str
    shape: tuple[int, ...]
    dtype: "torch.dtype" = field(default_factory=lambda: torch.float32)
    of: Literal["model", "models"] = "model"


class Note(Protocol):
    """What is told of some blocks of a tensor."""

    def join(self, other: Self) -> Self:
        """What is told of both."""
        ...

    @property
    def plain(self) -> object:
        """As merge.json has it."""
        ...


@dataclass(frozen=True, slots=True)
class Where:
    """The elements of a block at which something holds, or is not 0; it becomes their `Count`."""

    holds: Tensor


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number; they add up.

    Attributes:
        number: how many.
        total: among how many elements; None where it does not count elements.
    """

    number: int
    total: int | None = None

    def join(self, other: "Count") -> "Count":
        """The sum."""
        whole = None if self.total is None or other.total is None else self.total + other.total
        return Count(self.number + other.number, whole)

    @property
    def plain(self) -> int:
        """The number."""
        return self.number


@dataclass(frozen=True, slots=True)
class Largest:
    """A number of which the largest counts."""

    value: float

    def join(self, other: "Largest") -> "Largest":
        """The larger; NaN where one is."""
        return max(self, other, key=lambda one: (math.isnan(one.value), one.value))

    @property
    def plain(self) -> float:
        """The number."""
        return self.value


@dataclass(frozen=True, slots=True)
class Series:
    """Values in the order of the elements that they are about.

    Attributes:
        blocks: by the first element of a block, its values; see `Series.of`.
    """

    blocks: tuple[tuple[int, tuple[int | float, ...]], ...]

    @classmethod
    def of(cls, start: int, *values: int | float) -> "Series":
        """Of the block that begins at an element."""
        return cls(((start, values),))

    def join(self, other: "Series") -> "Series":
        """Those of the earlier block first."""
        return Series(tuple(sorted((*self.blocks, *other.blocks))))

    @property
    def plain(self) -> list[int | float]:
        """All of them."""
        return [value for _, values in self.blocks for value in values]


class Aside(Protocol):
    """Where a map gives and tells; the engine's, for one block."""

    def tell(self, name: str, what: Where | Note) -> None:
        """Say something of the block, for the manifest."""
        ...

    def give(self, name: str, values: Tensor, model: int | None) -> None:
        """Give an extra of the block, or a whole one; of the stack's model of that number."""
        ...
