"""What stands on the stack of a scan: literals as they are, everything else as its shape."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from .budget import DEEPEST, HEAVIEST, Budget, PickleError

Kind = Literal["tuple", "list", "dict", "set", "name", "object", "tensor", "storage", "unknown"]

NATURAL = 2**61 - 1
"""Whole numbers below it are their own hash; larger ones can be chosen to collide."""


@dataclass(slots=True, eq=False)
class Shape:
    """A value that is not a literal, by what could go wrong with it.

    Attributes:
        kind: what it is.
        name: of a name, what it stands for; of an object, what made it.
        inside: the elements of a list or tuple; the keys of a dict.
        depth: containers within it, with itself.
        weight: elements that its hash goes through.
        nbytes: of a storage.
    """

    kind: Kind
    name: str = ""
    inside: list[object] = field(default_factory=list[object])
    depth: int = 0
    weight: int = 1
    nbytes: int = 0

    def take(self, kept: Sequence[object], held: Sequence[object]) -> None:
        """Keep the elements of a list or the keys of a dict, and nest all that it holds."""
        self.inside.extend(kept)
        self.depth = max(self.depth, depth_of(held))


def tuple_of(values: list[object]) -> Shape:
    """A tuple; the one container whose hash goes through what is inside."""
    weight = 1 + sum(value.weight if isinstance(value, Shape) else 1 for value in values)
    return Shape("tuple", inside=values, depth=depth_of(values), weight=weight)


def depth_of(values: Sequence[object]) -> int:
    """Containers within one another, of one that holds these values."""
    depth = 1 + max((value.depth for value in values if isinstance(value, Shape)), default=0)
    if depth > DEEPEST:
        raise PickleError(f"nests more than {DEEPEST} containers")
    return depth


def check_key(key: object, budget: Budget) -> None:
    """Refuse a key of a dict or set that cannot be one, or costs too much to be looked up."""
    if isinstance(key, str | bytes | bool | None) or (type(key) is int and abs(key) < NATURAL):
        return
    if isinstance(key, Shape):
        if key.kind in ("list", "dict", "set"):
            raise PickleError(f"has a {key.kind} as a key")
        if key.kind != "tuple":
            return  # told apart by where it lies
        if key.weight > HEAVIEST:
            raise PickleError(f"has a key of more than {HEAVIEST:,} elements")
        budget.step(key.weight)
    budget.odd_key()


def numbers_of(value: object, what: str, budget: Budget) -> list[int]:
    """The whole numbers of a list or tuple that must hold nothing else."""
    if isinstance(value, Shape) and value.kind in ("list", "tuple"):
        budget.step(len(value.inside))
        if all(type(number) is int for number in value.inside):
            return cast(list[int], value.inside)
    raise PickleError(f"gives {what} that is no list of whole numbers")


def is_a(value: object, kind: str) -> bool:
    """Whether it is a shape of this kind."""
    return isinstance(value, Shape) and value.kind == kind
